"""An installation to be measured: a durable store on either engine, a Redis, people by the thousand, real processes."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import psutil
from sqlalchemy import func, select

from alertd.compose import Parts, compose, read_settings
from alertd.core.audience import Audience
from alertd.core.delivery import State
from alertd.core.roles import Role
from alertd.service import access, posting, rollout
from alertd.service import directory as residents
from alertd.service.posting import Draft
from alertd.store import instance, people, rollouts
from alertd.store.schema import attempts, deliveries
from tests.acceptance.town import free_port
from tests.chaos.servers import RestartablePostgres
from tests.services import Redis, wait_until

Engine = Literal["sqlite", "postgresql"]
ENGINES: Final[tuple[Engine, ...]] = ("sqlite", "postgresql")
NAMES: Final[dict[Engine, str]] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_TITLE: Final = "避難所を開設しました"
_ADMIN: Final = "boss"  # nobody's name: in no audience
_CLERK: Final = "clerk"
_PATIENCE: Final = 900.0  # seconds for whatever is measured to come to its end
_FAREWELL: Final = 60.0  # seconds in which a process ends that was asked to
_OPEN: Final = (State.PENDING, State.SENDING)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How the deliveries of one alert went."""

    count: int
    posted_at: float  # time.time() when the alert was committed
    seconds: float  # from the first claim to the last outcome that was written
    cpu: float  # seconds that the workers were on a processor meanwhile

    @property
    def rate(self) -> float:
        return self.count / self.seconds


class Town:
    """One installation. Its processes are started one by one, so that nothing runs that is not measured."""

    def __init__(self, directory: Path, database_url: str, redis_url: str, settings: Mapping[str, str]) -> None:
        self._log = directory / "log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ALERTD_")}
        self.environment = {
            **inherited,
            "ALERTD_DATA_DIR": str(directory / "data"),
            "ALERTD_DATABASE_URL": database_url,
            "ALERTD_REDIS_URL": redis_url,
            "ALERTD_ORGANISATION": "みかん市",
            "ALERTD_TIME_ZONE": "Asia/Tokyo",
            **settings,
        }
        self.parts: Parts = compose(read_settings(self.environment))
        self.rt = self.parts.rt
        self.database_url = database_url
        self._living = 0
        self.admin = access.system_actor(_ADMIN)
        residents.ensure_system_person(self.rt, _ADMIN)

    @classmethod
    @contextlib.contextmanager
    def open(cls, directory: Path, engine: Engine, settings: Mapping[str, str] | None = None) -> Iterator[Self]:
        """An installation in which nobody lives yet. Raises Unavailable."""
        with contextlib.ExitStack() as stack:
            redis = Redis()
            redis.start()
            stack.callback(redis.stop)
            url = f"sqlite:///{directory}/alertd.db"
            if engine == "postgresql":
                postgres = RestartablePostgres()
                stack.callback(postgres.close)
                postgres.start(free_port())
                url = f"postgresql+psycopg://postgres@127.0.0.1:{postgres.port}/alertd"
            town = cls(directory, url, redis.url, settings or {})
            stack.callback(town.parts.close)
            yield town

    def populate(self, count: int, addresses: Mapping[str, Callable[[int], Mapping[str, str]]]) -> None:
        """Let so many more people live here, each with an address on these channels."""
        now, batch = self.rt.now(), 5_000
        before, self._living = self._living, self._living + count
        for start in range(before, before + count, batch):
            numbers = range(start, min(start + batch, before + count))
            with self.rt.store.write() as connection:
                version = people.bump_version(connection)
                rows = [{"id": f"p{number:07}", "name": f"職員{number}"} for number in numbers]
                people.add_all(connection, rows, now, version)
                people.add_subscriptions(
                    connection,
                    [
                        residents.subscription_values(self.rt, f"p{number:07}", channel, address(number), None, now)
                        for number in numbers
                        for channel, address in addresses.items()
                    ],
                )

    def post(self, title: str = _TITLE) -> str:
        """Issue an alert to everyone through the service, wholly laid down: there may be no clock; its id."""
        alert_id = self._issue(title)
        rollout.carry_on(self.rt)
        return alert_id

    def _issue(self, title: str = _TITLE) -> str:
        draft = Draft(
            board="general",
            title=title,
            body="第一小学校へ避難してください。",
            urgent=True,
            audience=Audience(everyone=True),
            drill=False,
        )
        return str(posting.post(self.rt, self.admin, draft).body["alert"]["id"])

    @contextlib.contextmanager
    def workers(self, channel: str, count: int = 1) -> Iterator[list[psutil.Process]]:
        """So many workers of a channel, ready."""
        names = [f"w{secrets.token_hex(4)}" for _ in range(count)]
        with contextlib.ExitStack() as stack:
            started = [
                stack.enter_context(self.process("workers", "worker", "--channel", channel, "--id", name))
                for name in names
            ]
            wait_until(lambda: self._are_listed(names), 60)
            yield started

    @contextlib.contextmanager
    def process(self, *command: str) -> Iterator[psutil.Process]:
        """`python -m` this command, until the block ends."""
        with self._log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_FAREWELL)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def web(self) -> Iterator[int]:
        """A web process and the clock, ready, on this port."""
        port = free_port()
        with self.process("alertd", "clock"), self.process("alertd", "web", "--port", str(port)):
            wait_until(lambda: _status(f"http://127.0.0.1:{port}/health/live") == 200, 60)
            yield port

    @contextlib.contextmanager
    def bare(self, most: int = 500) -> Iterator[int]:
        """The bare endpoint of `tests.bench.bare` on the same store, at most so many answers a commit; its port."""
        port = free_port()
        with self.process("tests.bench.bare", str(port), self.database_url, str(most)):
            wait_until(lambda: _status(f"http://127.0.0.1:{port}/a/ready") == 405, 60)
            yield port

    def _are_listed(self, names: Sequence[str]) -> bool:
        with self.rt.store.read() as connection:
            return {row["id"] for row in instance.list_workers(connection)} >= set(names)

    def deliver(self, workers: Sequence[psutil.Process]) -> Delivered:
        """Issue an alert to everyone, and wait until every delivery is settled."""
        before = sum(map(_cpu, workers))
        alert_id = self._issue()
        posted_at = time.time()
        rollout.carry_on(self.rt)
        deadline = time.monotonic() + _PATIENCE
        while self._is_under_way(alert_id):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not delivered within {_PATIENCE:g} s\n{self._log.read_text()[-2_000:]}")
            time.sleep(0.25)
        cpu = sum(map(_cpu, workers)) - before
        ours = deliveries.c.alert_id == alert_id
        with self.rt.store.read() as connection:
            counted = select(deliveries.c.state, func.count()).where(ours).group_by(deliveries.c.state)
            states: dict[str, int] = dict(connection.execute(counted).tuples().all())
            first, last = connection.execute(
                select(func.min(attempts.c.started_at), func.max(attempts.c.ended_at))
                .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
                .where(ours)
            ).one()
        if states.keys() != {State.SENT.value}:
            raise RuntimeError(f"not everything was taken over: {states}\n{self._log.read_text()[-2_000:]}")
        return Delivered(states[State.SENT.value], posted_at, (last - first).total_seconds(), cpu)

    def token(self) -> str:
        """A bearer token of an admin, who is one more person without an address."""
        return access.create_token(self.rt, self.admin, _CLERK, Role.ADMIN).secret

    def cookie(self) -> str:
        """The header by which a browser shows that the admin of `token` has signed in."""
        link = access.create_link(self.rt, self.admin, _CLERK)
        return f"alertd={access.open_session_by_link(self.rt, link.secret).secret}"

    def wait_until_laid_down(self, alert_id: str) -> None:
        """Return when every recipient of an alert has a delivery."""
        wait_until(lambda: not self._is_rolling_out(alert_id), _PATIENCE)

    def _is_rolling_out(self, alert_id: str) -> bool:
        with self.rt.store.read() as connection:
            return rollouts.position(connection, alert_id) is not None

    def _is_under_way(self, alert_id: str) -> bool:
        """Whether recipients are still being laid down, or deliveries wait for an outcome."""
        waiting = select(deliveries.c.id).where(deliveries.c.alert_id == alert_id, deliveries.c.state.in_(_OPEN))
        with self.rt.store.read() as connection:
            is_open = connection.execute(waiting.limit(1)).first() is not None
        return is_open or self._is_rolling_out(alert_id)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _status(url: str) -> int:
    """What a GET is answered with, 0 when it is not."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - http, by its only callers
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
