"""Mail: one worker, claim and settle included, to Postfix's smtp-sink; and what one letter's bytes cost to make."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Final

from alertd.core.message import Message
from channels.letter import compose
from tests.acceptance.town import free_port
from tests.bench.figures import Curve, Figure, Run, Skipped, at_least, at_most, cost, in_turn
from tests.bench.town import ENGINES, NAMES, Engine, Town
from tests.channels.helpers import message
from tests.services import wait_until

_BESIDE: Final = ("/usr/sbin", "/usr/libexec/postfix")  # where Postfix puts it; not on everybody's PATH
_SENDER: Final = "alert@mikan.example"
_DOMAINS: Final = 20
_BACKLOG: Final = "1000"


def measure(run: Run) -> list[Figure]:
    """The rate of one worker on each engine against Postfix's own client, and the cost of composing."""
    figures = _composing(run)
    with _sink() as port:
        theirs = _smtp_source(port, run.size(20_000, 2_000))
        for engine in ENGINES:
            rate = _deliver(run, engine, port)
            figures.append(
                Figure(f"mail, one worker, {NAMES[engine]}", rate, "/s", "smtp-source, 8 sessions", theirs,
                       at_least(2_000))
            )  # fmt: skip
    return figures


def settings(port: int) -> dict[str, str]:
    return {"ALERTD_SMTP_URL": f"smtp://127.0.0.1:{port}?tls=none", "ALERTD_MAIL_FROM": _SENDER}


def _deliver(run: Run, engine: Engine, port: int) -> float:
    points: list[tuple[float, float]] = []
    with Town.open(run.fresh(), engine, settings(port)) as town, town.workers("email") as workers:
        rate = 0.0
        for people in run.size((2_000, 8_000, 10_000), (500, 1_000)):
            town.populate(people, {"email": lambda number: {"email": f"p{number}@d{number % _DOMAINS}.example.jp"}})
            delivered = town.deliver(workers)
            points.append((delivered.count, delivered.seconds))
            rate = delivered.rate
    run.draw(Curve("mail", "Mail, one worker", "people", "seconds", {NAMES[engine]: points}))
    return rate


def _composing(run: Run) -> list[Figure]:
    letter = message(html="<p>第一小学校へ避難してください。</p>" * 20)
    ours, theirs = in_turn(
        run.size(9, 3),
        lambda: cost(
            lambda: compose(letter, sender=_SENDER, organisation="みかん市", to="p1@example.jp", key="key"), 300
        ),
        lambda: cost(lambda: _composed_by_the_library(letter), 30),
    )
    return [Figure("composing a letter", ours, "µs", "email.message", theirs, at_most(0.05, "ratio"))]


def _composed_by_the_library(given: Message) -> bytes:
    """The same letter made from nothing."""
    letter = EmailMessage(policy=SMTP)
    letter["From"] = Address("みかん市", "alert", "mikan.example")
    letter["To"] = "p1@example.jp"
    letter["Subject"] = given.title
    letter["Date"] = given.sent_at
    letter["Message-ID"] = "<name@mikan.example>"
    letter.set_content(given.text, cte="base64")
    letter.add_alternative(given.html, subtype="html", cte="base64")
    return letter.as_bytes()


def _find(program: str) -> Path:
    """Postfix's program. Raises Skipped."""
    for path in (None, os.pathsep.join(_BESIDE)):
        if found := shutil.which(program, path=path):
            return Path(found)
    raise Skipped(f"{program} is not installed: on Debian it comes with the package postfix")


@contextlib.contextmanager
def _sink() -> Iterator[int]:
    """Postfix's smtp-sink on a port of the loopback. Raises Skipped."""
    port = free_port()
    as_user = ["-u", pwd.getpwnam("nobody").pw_name] if os.geteuid() == 0 else []
    with subprocess.Popen([_find("smtp-sink"), *as_user, f"127.0.0.1:{port}", _BACKLOG]) as process:
        try:
            wait_until(lambda: _answers(port))
            yield port
        finally:
            process.kill()


def _smtp_source(port: int, count: int) -> float:
    """Letters a second of Postfix's own test client: in C, with as many connections as we keep."""
    command = [str(_find("smtp-source")), "-d", "-s", "8", "-l", "2000", "-m", str(count), f"127.0.0.1:{port}"]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return count / (time.monotonic() - began)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
