"""Who may import whom: the table of the architecture, held by reading every import in the source."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("alertd", "channels", "workers", "config")

ROOTS: Final = (
    "alertd.app",
    "alertd.doctor",
    "alertd.incoming",
    "alertd.cli",
    "alertd.__main__",
    "alertd.compose",
    "alertd.serve",
    "workers.__main__",
)
"""They put everything together (`compose` is what they share) and may import anything. Only they read `config`, and
nobody else imports them."""


@dataclass(frozen=True)
class Room:
    who: str
    may: tuple[str, ...]
    """Our own modules, each with everything in it."""
    drivers: tuple[str, ...] | None = None
    """Libraries beside the standard one; None: any."""


# fmt: off
TABLE: Final = (
    Room("alertd.__init__",   may=(), drivers=()),
    Room("alertd.core",       may=("alertd.core",), drivers=()),
    Room("alertd.store",      may=("alertd.core", "alertd.store"), drivers=("sqlalchemy", "alembic", "psycopg")),
    Room("alertd.bus",        may=("alertd.core", "alertd.bus"), drivers=("redis",)),
    Room("alertd.queue",      may=("alertd.core", "alertd.queue"), drivers=("rq", "redis")),
    Room("alertd.bell",       may=("alertd.bus", "alertd.queue", "alertd.bell"), drivers=("redis",)),
    Room("alertd.log",        may=(), drivers=("pythonjsonlogger",)),
    Room("alertd.lifeline",   may=(), drivers=()),
    Room("alertd.supervisor", may=(), drivers=()),
    Room("alertd.private_redis", may=("alertd.supervisor",), drivers=("redis",)),
    Room("alertd.service",
         may=("alertd.core", "alertd.store", "alertd.bus", "alertd.queue", "alertd.service", "alertd.sources")),
    Room("alertd.sources.base", may=("alertd.core",), drivers=("pydantic",)),
    Room("alertd.sources.feed", may=("alertd.core", "alertd.sources.base", "alertd.sources.xml"), drivers=()),
    Room("alertd.sources.xml", may=("alertd.sources.base",), drivers=()),
    Room("alertd.sources.certificates", may=("alertd.core", "alertd.sources.base"), drivers=("cryptography",)),
    Room("alertd.sources.signature",
         may=("alertd.sources.base", "alertd.sources.certificates", "alertd.sources.xml"),
         drivers=("cryptography", "lxml", "signxml")),
    Room("alertd.sources.cap",
         may=("alertd.core", "alertd.sources.base", "alertd.sources.certificates", "alertd.sources.signature",
              "alertd.sources.xml"), drivers=()),
    # One source knows nothing of another, and none sends anything.
    Room("alertd.sources.registry", may=("alertd.core", "alertd.sources"), drivers=()),
    Room("alertd.sources.jma",
         may=("alertd.core", "alertd.sources.base", "alertd.sources.xml", "alertd.sources.jma_words",
              "alertd.sources.jma_telegram", "alertd.sources.jma_hazards"), drivers=()),
    Room("alertd.sources.cap_feed",
         may=("alertd.sources.base", "alertd.sources.feed"), drivers=("pydantic",)),
    Room("alertd.sources.mail",
         may=("alertd.core", "alertd.sources.base", "alertd.sources.html",
              "alertd.sources.json"), drivers=()),
    Room("alertd.sources.garoon",
         may=("alertd.core", "alertd.sources.base", "alertd.sources.garoon_notice", "alertd.sources.garoon_rest",
              "alertd.sources.garoon_soap",
              "alertd.sources.garoon_topic"), drivers=("pydantic",)),
    Room("alertd.sources.garoon_notice",
         may=("alertd.core", "alertd.sources.base", "alertd.sources.garoon_rest", "alertd.sources.json"),
         drivers=("pydantic",)),
    Room("alertd.sources.garoon_rest",
         may=("alertd.sources.base", "alertd.sources.garoon_topic", "alertd.sources.html", "alertd.sources.json"),
         drivers=("pydantic",)),
    Room("alertd.sources.garoon_soap",
         may=("alertd.sources.base", "alertd.sources.garoon_topic", "alertd.sources.html", "alertd.sources.xml"),
         drivers=()),
    Room("alertd.sources.garoon_topic", may=(), drivers=()),
    Room("alertd.sources.html", may=(), drivers=("nh3",)),
    Room("alertd.sources.kintone",
         may=("alertd.core", "alertd.sources.base", "alertd.sources.kintone_rest"), drivers=("pydantic",)),
    Room("alertd.sources.kintone_rest",
         may=("alertd.sources.base", "alertd.sources.html", "alertd.sources.json"), drivers=("pydantic",)),
    Room("alertd.sources.jma_feed",
         may=("alertd.sources.base", "alertd.sources.feed", "alertd.sources.jma"), drivers=("pydantic",)),
    Room("alertd.sources.jma_hazards",
         may=("alertd.core", "alertd.sources.xml", "alertd.sources.jma_words", "alertd.sources.jma_telegram"),
         drivers=()),
    Room("alertd.sources.jma_telegram",
         may=("alertd.core", "alertd.sources.base", "alertd.sources.xml", "alertd.sources.jma_words"), drivers=()),
    Room("alertd.sources.jma_words", may=("alertd.core",), drivers=()),
    Room("alertd.sources.json", may=("alertd.core", "alertd.sources.base"), drivers=("pydantic",)),
    Room("alertd.sources.mapping", may=("alertd.core", "alertd.sources.base", "alertd.sources.json"), drivers=()),
    Room("alertd.sources",
         may=("alertd.core", "alertd.sources.base", "alertd.sources.json", "alertd.sources.xml")),
    Room("alertd.hub",        may=("alertd.core", "alertd.store", "alertd.bus", "alertd.queue", "alertd.hub")),
    # The channels themselves are handed in; the web knows what a channel is, not which there are.
    Room("alertd.web",
         may=("alertd.core", "alertd.service", "alertd.hub", "alertd.sources.base", "alertd.sources.registry",
              "alertd.web", "channels.base")),
    # One channel knows nothing of another.
    Room("channels",          may=("alertd.core", "channels.base")),
    Room("channels.push_crypto", may=("alertd.core", "channels.base")),
    Room("channels.push_http", may=("channels.hosts",)),
    Room("channels.guarded",
         may=("alertd.core", "channels.base", "channels.hosts", "channels.push_http")),
    Room("channels.webpush",
         may=("alertd.core", "channels.base", "channels.guarded", "channels.push_crypto", "channels.hosts",
              "channels.push_http")),
    Room("channels.teams",
         may=("alertd.core", "channels.base", "channels.guarded", "channels.hosts", "channels.push_http")),
    Room("channels.sms",      may=("alertd.core", "channels.base", "channels.twilio_http")),
    Room("channels.relay",    may=("channels.conversation",)),
    Room("channels.email",
         may=("alertd.core", "channels.base", "channels.conversation", "channels.letter", "channels.relay")),
    Room("channels.registry", may=("alertd.core", "channels"), drivers=()),
    Room("workers",
         may=("alertd.core", "alertd.store", "alertd.queue", "alertd.service", "alertd.sources.base", "channels",
              "workers")),
    Room("config",            may=("config",), drivers=()),
)
# fmt: on

VERSION: Final = "alertd.__version__"  # anyone may tell it, except who only decides

SQL: Final = ("sqlalchemy", "alembic", "psycopg", "sqlite3")
SQL_HANDLE: Final = "sqlalchemy.Connection"  # a use case holds the transaction and hands it on

IMPURE: Final = (
    "asyncio",
    "http",
    "logging",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "threading",
    "time",
    "urllib.request",
)
CLOCKS: Final = {"now", "today", "utcnow"}


@dataclass(frozen=True)
class Import:
    target: str
    line: int
    in_function: bool


def within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def imports(module: str, tree: ast.AST, in_function: bool = False) -> Iterator[Import]:
    """Every import, wherever it stands; `from a import b` is an import of `a.b`."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(alias.name, node.lineno, in_function)
            case ast.ImportFrom():
                base = module.split(".")[: -node.level] if node.level else []
                for alias in node.names:
                    target = ".".join([*base, *filter(None, [node.module]), alias.name])
                    yield Import(target, node.lineno, in_function)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from imports(module, node, in_function=True)
            case _:
                yield from imports(module, node, in_function)


def import_faults(module: str, source: str) -> Iterator[str]:
    """What this module imports against the table."""
    tree = ast.parse(source)
    is_root = within(module, ROOTS)
    room = max((room for room in TABLE if within(module, (room.who,))), key=lambda room: len(room.who), default=None)
    if not (room or is_root):
        yield f"{module} is in no room of the table"
        return
    drivers = None if is_root or not room else room.drivers
    for found in imports(module, tree):
        where = f"{module}:{found.line} imports {found.target}"
        top = found.target.partition(".")[0]
        if top in (*PACKAGES, "tests"):
            if found.in_function:
                yield f"{where} inside a function"
            if top == "tests" or not (is_root or may_import(room, found.target)):
                yield where
        elif within(found.target, SQL) and not within(module, ("alertd.store",)) and found.target != SQL_HANDLE:
            yield f"{where}, but SQL is the store's"
        elif drivers is not None and top not in sys.stdlib_module_names and top not in drivers:
            yield where
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node.func) in ("import_module", "__import__"):
            yield f"{module}:{node.lineno} imports by name"


def may_import(room: Room | None, target: str) -> bool:
    assert room
    if within(target, ROOTS):
        return False
    return within(target, room.may) or (target == VERSION and room.who != "alertd.core")


def purity_faults(module: str, source: str) -> Iterator[str]:
    """What this module does beside deciding."""
    tree = ast.parse(source)
    for found in imports(module, tree):
        if within(found.target, IMPURE):
            yield f"{module}:{found.line} imports {found.target}"
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{module}:{node.lineno} waits"
        elif isinstance(node, ast.Call) and name_of(node.func) in CLOCKS:
            yield f"{module}:{node.lineno} reads a clock"
        elif isinstance(node, ast.Call) and name_of(node.func) in ("open", "print", "input"):
            yield f"{module}:{node.lineno} talks to the world"


def name_of(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def sources() -> dict[str, str]:
    """Every module of ours; a package's own code is its `__init__`."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text("utf-8")
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


SOURCES: Final = sources()


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    assert list(import_faults(module, SOURCES[module])) == []


@pytest.mark.parametrize("module", [module for module in SOURCES if within(module, ("alertd.core",))])
def test_core_only_decides(module: str) -> None:
    assert list(purity_faults(module, SOURCES[module])) == []


def test_the_roots_and_rooms_are_real() -> None:
    # The table would hold nothing if a room were renamed.
    missing = [name for name in (*ROOTS, *(room.who for room in TABLE)) if not any(within(m, (name,)) for m in SOURCES)]
    assert missing == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("alertd.core.alert", "import pydantic"),
        ("alertd.core.alert", "from alertd import __version__"),
        ("alertd.core.alert", "from alertd.store import people"),
        ("alertd.core.alert", "from .. import store"),
        ("alertd.core.alert", "from ..store.people import find"),
        ("alertd.store.people", "import redis"),
        ("alertd.store.people", "from alertd.bus import Bus"),
        ("alertd.bus", "import rq"),
        ("alertd.bell", "from alertd.store import people"),
        ("alertd.log", "import redis"),
        ("alertd.lifeline", "from alertd import log"),
        ("alertd.service.posting", "from channels import base"),
        ("alertd.service.posting", "import alertd.hub"),
        ("alertd.service.posting", "from sqlalchemy import select"),
        ("alertd.service.posting", "try:\n    import workers.jobs\nexcept ImportError:\n    raise"),
        ("alertd.hub.hub", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from alertd.web import api"),
        ("alertd.hub.hub", "def late():\n    from alertd.core import stream"),
        ("alertd.hub.hub", "class Late:\n    async def late(self):\n        if self:\n            import alertd.core"),
        ("alertd.web.api", "from alertd.store import people"),
        ("alertd.web.api", "from channels.sms import Sms"),
        ("alertd.web.api", "from config.settings import Settings"),
        ("alertd.web.api", "from alertd import app"),
        ("alertd.web.api", "import importlib\nimportlib.import_module('alertd.store')"),
        ("alertd.app", "import sqlite3"),
        ("alertd.app", "def late():\n    import workers"),
        ("alertd.app", "from tests import services"),
        ("alertd.helpers", "import json"),
        ("channels.sms", "from channels.email import Email"),
        ("channels.sms", "from . import email"),
        ("channels.sms", "from alertd.service import views"),
        ("channels.base", "from config import settings"),
        ("channels.registry", "import aiohttp"),
        ("workers.jobs", "from workers import __main__"),
        ("workers.jobs", "from alertd.web import api"),
        ("workers.jobs", "from alertd.bus import Bus"),
        ("config.settings", "from channels.registry import CHANNELS"),
        ("config.settings", "import pydantic"),
    ],
)
def test_it_can_fail(module: str, source: str) -> None:
    assert len(list(import_faults(module, source))) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("alertd.core.alert", "import json\nfrom alertd.core import ids\nfrom . import roles\nfrom .roles import Role"),
        ("alertd.core.__init__", "from . import roles\nfrom .roles import Role"),
        ("alertd.store.people", "from sqlalchemy import select\nimport sqlite3"),
        (
            "alertd.service.posting",
            "from sqlalchemy import Connection\nimport phonenumbers\nfrom alertd import __version__",
        ),
        ("alertd.web.api", "import starlette\nfrom channels.base import Channel\nfrom alertd.hub import Hub"),
        (
            "alertd.cli",
            "from alertd import serve, app\nimport config.settings\nimport workers.__main__\nimport alertd.store",
        ),
        ("channels.sms", "import twilio\nfrom alertd.core.message import Message\nfrom .base import Channel"),
        ("channels.registry", "from channels.sms import Sms"),
        ("workers.__main__", "from config.settings import load\nimport rq"),
    ],
)
def test_it_can_pass(module: str, source: str) -> None:
    assert list(import_faults(module, source)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from asyncio import sleep",
        "async def late(): ...",
        "from datetime import datetime\nAT = datetime.now()",
        "TEXT = open('file')",
    ],
)
def test_it_sees_who_does_more_than_decide(source: str) -> None:
    assert len(list(purity_faults("alertd.core.alert", source))) == 1
