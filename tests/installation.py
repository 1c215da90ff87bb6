"""An installation without processes: a real store on each engine, a clock that is moved, a bell that is heard.

The fixtures are for the `conftest.py` of whoever needs them.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from alertd.core.acknowledgement import TokenKeys
from alertd.core.alert import Ask, Choice
from alertd.core.audience import Audience
from alertd.core.message import Budget
from alertd.core.roles import Role
from alertd.service import access, directory, posting
from alertd.service.access import Issued, system_actor
from alertd.service.checkup import Patient
from alertd.service.directory import PersonDraft
from alertd.service.installation import VapidPair, prepare
from alertd.service.posting import Draft, Posted
from alertd.service.runtime import Actor, Runtime
from alertd.store.engine import Store
from channels.email import parse_mail_address
from channels.sms import parse_phone_address

START: Final = datetime(2026, 11, 22, 3, 4, 5, 678_901, tzinfo=UTC)
SECRET: Final = "a secret key that is long enough for tokens"
TOKENS: Final = TokenKeys({1: SECRET.encode()}, 1)
PUBLIC_URL: Final = "https://alert.example.jp"
BUDGETS: Final = {
    "webpush": Budget("notification", 2_000, 100),
    "sms": Budget("short", 3, 20, invites_reply=True),
    "email": Budget("letter", 0, 4),
}
PARSE: Final[dict[str, Callable[[Mapping[str, str]], Mapping[str, str]]]] = {
    "webpush": dict,
    "sms": partial(parse_phone_address, region="JP"),
    "email": parse_mail_address,
}
LANES: Final[dict[str, Callable[[Mapping[str, str]], str]]] = {
    "webpush": lambda address: address["endpoint"].split("/")[2],
    "sms": lambda address: "",
    "email": lambda address: address["email"].rpartition("@")[2],
}
BOSS: Final = Actor("boss", "防災 課長", "ja", Role.ADMIN, "shell", "system")
RECORDS: Final = {"sms": "phone", "email": "email"}
ASK: Final = Ask("無事ですか", (Choice("safe", "無事"), Choice("hurt", "けが")))


class Clock:
    """The time, which stands still until it is moved."""

    def __init__(self, time: datetime = START) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


class Bell:
    """Remembers what was rung."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def events(self) -> None:
        self.rung.append("events")

    def work(self, channels: Iterable[str]) -> None:
        self.rung += [f"work:{channel}" for channel in sorted(channels)]

    def changed(self, alert_id: str) -> None:
        self.rung.append(f"changed:{alert_id}")


def prepare_store(url: str) -> None:
    """Bring a database to what every installation starts with."""
    store = Store(url)
    prepare(
        store, START, secret_key=SECRET, vapid=None, make_vapid=lambda: VapidPair("vapid-1", "a key nobody signs with")
    )
    store.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "alertd.db"
    prepare_store(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, data_dir: Path) -> str:
    """A prepared SQLite database of this test's own."""
    shutil.copy(sqlite_template, data_dir / "alertd.db")
    return f"sqlite:///{data_dir}/alertd.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def prepared_url(request: pytest.FixtureRequest) -> str:
    """A prepared database of this test's own: the test runs twice, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
    else:
        copy: Callable[[str, Callable[[str], None]], str] = request.getfixturevalue("template_database")
        url = copy("prepared", prepare_store)
    return url


@pytest.fixture
def store(prepared_url: str) -> Iterator[Store]:
    """A prepared store of this test's own, on each engine."""
    opened = Store(prepared_url)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def rt(store: Store, clock: Clock, bell: Bell) -> Runtime:
    """An installation on `store` in which nobody lives but `boss`, the admin, who is in no audience."""
    return make_runtime(store, clock, bell)


def make_runtime(store: Store, clock: Clock, bell: Any, public_url: str = PUBLIC_URL) -> Runtime:
    rt = Runtime(
        store=store,
        bell=bell,
        now=clock,
        tokens=TOKENS,
        public_url=public_url,
        organisation="みどり市",
        zone=ZoneInfo("Asia/Tokyo"),
        region="JP",
        budgets=BUDGETS,
        parse=PARSE,
        lanes=LANES,
        records=RECORDS,
    )
    directory.ensure_system_person(rt, BOSS.person_id)
    return rt


def patient(rt: Runtime) -> Patient:
    """What the doctor is handed of an installation that has no Redis, no provider to ask and no public URL."""
    return Patient(
        store=rt.store,
        now=rt.now,
        wall=rt.now,
        zone=rt.zone,
        redis_url="unix:///nowhere/redis.sock",
        public_url=None,
        channels=rt.channels,
        probes={},
        missing=rt.missing,
        roles=("clock", "web", "poller"),
        self_test=rt.self_test,
        sms_ceiling=None,
    )


def settle(rt: Runtime, person_id: str, **values: Any) -> None:
    """Let a person live here: with a mail address, unless `values` say otherwise."""
    draft = {"name": f"{person_id} さん", "email": f"{person_id}@example.jp", **values}
    directory.put_person(rt, BOSS, PersonDraft(id=person_id, **draft))


def group(rt: Runtime, group_id: str, parent: str | None = None, supervisors: Iterable[str] = ()) -> None:
    directory.put_group(rt, BOSS, group_id, f"{group_id} 課", parent, list(supervisors))


def draft(**changes: Any) -> Draft:
    """An urgent, real post to everyone."""
    values: dict[str, Any] = {
        "board": "general",
        "title": "避難所を開設しました",
        "body": "第一小学校へ。",
        "urgent": True,
        "audience": Audience(everyone=True),
        "drill": False,
    }
    return Draft(**{**values, **changes})


def post(rt: Runtime, key: str | None = None, **changes: Any) -> Posted:
    return posting.post(rt, BOSS, draft(**changes), key)


def alert(rt: Runtime, **changes: Any) -> str:
    """Post an urgent alert; its id."""
    return str(post(rt, **changes).body["alert"]["id"])


def actor(person_id: str, role: Role = Role.STAFF) -> Actor:
    return Actor(person_id, person_id, "ja", role, "", "token")


def token(rt: Runtime, person_id: str, role: Role) -> Issued:
    return access.create_token(rt, system_actor(BOSS.person_id), person_id, role)
