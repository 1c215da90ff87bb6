"""The town that faults are done to: three push services, every role within reach of a signal."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, Self

import aiohttp
import psutil

from tests.acceptance.town import Process, Town, eventually, free_port
from tests.chaos.servers import Line, RestartablePostgres, postgres_behind_a_line
from tests.providers import BrowserSubscription, PushService
from tests.services import Redis, compile_c, find_binary, short_directory

StoreKind = Literal["sqlite", "postgresql"]
Role = Literal["web", "worker", "clock", "redis"]
_COMMANDS: Final[dict[Role, str]] = {
    "web": "alertd.app",
    "worker": "workers worker",
    "clock": "workers clock",
    "redis": "redis",
}
_FAKETIME: Final = "/usr/lib/*/faketime/libfaketime.so.1"


class Place(Town):
    """A town with three push services; on PostgreSQL with two web processes, two sets of workers and a clock."""

    def __init__(self, directory: Path, store: StoreKind, redis: Redis | None, servers: "_Servers | None") -> None:
        super().__init__(
            directory,
            database_url=servers.line.url if servers else None,
            redis_url=redis.url if redis else None,
        )
        self.store = store
        self.own_redis = redis
        self.servers = servers
        self.pushes = [self.push, PushService(address="127.0.0.2"), PushService(address="127.0.0.3")]
        self.extra_environment: dict[str, str] = {}
        self._commands: list[tuple[str, ...]] = []
        self._others = contextlib.ExitStack()
        self._next_push = 0

    async def __aenter__(self) -> Self:
        for push in self.pushes[1:]:
            self._others.enter_context(push)
        return await super().__aenter__()

    async def __aexit__(self, *error: object) -> None:
        for process in self.processes:  # one that was stopped cannot hear that it is to end
            with contextlib.suppress(psutil.NoSuchProcess):
                for each in process.children():
                    each.resume()
        await super().__aexit__(*error)
        self._others.close()

    @property
    def environment(self) -> dict[str, str]:
        hosts = ",".join(push.host for push in self.pushes)
        return super().environment | {"ALERTD_PUSH_HOSTS": hosts} | self.extra_environment

    def start(self, *arguments: str) -> Process:
        self._commands.append(arguments)
        return super().start(*arguments)

    async def subscribe(self, person: Any) -> BrowserSubscription:
        self.push = self.pushes[self._next_push % len(self.pushes)]
        self._next_push += 1
        return await super().subscribe(person)

    def push_of(self, browser: BrowserSubscription) -> PushService:
        return next(push for push in self.pushes if browser.endpoint.startswith(push.url + "/"))

    @property
    def store_url(self) -> str:
        """Where SQLAlchemy finds the store, around every fault that is done to it."""
        if self.servers is None:
            return f"sqlite:///{self.directory}/data/alertd.db"
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.servers.postgres.port}/alertd"

    @property
    def bell_url(self) -> str:
        return self.redis_url or f"unix://{self.directory}/data/redis.sock"

    # Processes

    def running(self, role: Role) -> list[psutil.Process]:
        """The processes of this role that run now (not their supervisors)."""
        return [
            child
            for process in self.processes
            if process.returncode is None
            for child in process.children(_COMMANDS[role])
        ]

    async def until_running(self, role: Role) -> None:
        """The last one that was killed may not be back yet, when nothing needed it."""

        async def runs() -> bool:
            return (role == "redis" and self.own_redis is not None) or bool(self.running(role))

        await eventually(runs, 30, f"a {role} runs")

    def kill(self, role: Role, dice: random.Random, number: int = signal.SIGKILL) -> list[int]:
        """Send a signal to one process of this role, drawn by the dice; its id."""
        if role == "redis" and self.own_redis is not None:
            self.own_redis.stop()
            self.own_redis.start()
            return [0]
        found = sorted(self.running(role), key=lambda process: process.pid)
        assert found, f"no {role} runs"
        victim = dice.choice(found)
        victim.send_signal(number)
        return [victim.pid]

    def kill_everything(self) -> list[int]:
        """Every process at once, the supervisors first."""
        found = [each for process in self.processes if process.returncode is None for each in process.children()]
        pids = [process.psutil.pid for process in self.processes if process.returncode is None]
        pids += [each.pid for each in found]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        psutil.wait_procs(found, timeout=10)
        if self.own_redis is not None:
            self.own_redis.stop()
        return pids

    def start_again(self) -> None:
        """Start what was started at first."""
        for process in self.processes:
            process.stop(signal.SIGKILL)
        commands, self._commands = self._commands, []
        self.processes.clear()
        if self.own_redis is not None:
            self.own_redis.start()
        for command in commands:
            self.start(*command)

    @contextlib.contextmanager
    def with_another_clock(self, *arguments: str) -> Iterator["SkewedProcess"]:
        """One more role beside the others, whose wall clock is the test's to set."""
        offset = self.directory / "faketime"
        offset.write_text("+0\n")
        library = next(iter(Path("/").glob(_FAKETIME.lstrip("/"))), None)
        assert library is not None, "libfaketime is not installed: run `.ci/setup`"
        rests = compile_c(Path(__file__).with_name("rests.c"), self.directory, "-shared", "-fPIC")
        environment = self.environment | {
            "LD_PRELOAD": f"{rests} {library}",
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        process = Process(*arguments, environment=environment, log=self.directory / "log-skewed")
        self.processes.append(process)
        try:
            yield SkewedProcess(process, offset)
        finally:
            process.stop()
            self.processes.remove(process)

    # Providers

    def slow(self, seconds: float) -> None:
        """Let every provider take that long for a message, so that something is under way at any time."""
        for push in self.pushes:
            push.delay(seconds, times=None)
        self.twilio.delay(seconds, times=None)
        self.smtp.delay("message", seconds, times=None)

    def behave(self) -> None:
        for push in self.pushes:
            push.reset_plans()
        self.twilio.reset_plans()
        self.smtp.reset_plans()

    def under_way(self) -> int:
        """Requests that arrived and have not become messages: only differences mean something."""
        pushed = sum(push.requests - len(push.messages) for push in self.pushes)
        return pushed + self.twilio.requests - len(self.twilio.messages) + self.smtp.attempts - len(self.smtp.letters)

    # Calls that go on through faults

    async def ask(self, path: str, within: float = 60) -> Any:
        """A GET that is repeated until it is answered with 200."""
        deadline = time.monotonic() + within
        web = 0
        while True:
            last: object
            try:
                status, body = await self.call("GET", path, web=web)
                if status == 200:
                    return body
                last = (status, body)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                last = error
            if time.monotonic() > deadline:
                raise AssertionError(f"GET {path} is not answered within {within} s: {last}")
            web = (web + 1) % len(self.urls)
            await asyncio.sleep(0.1)

    async def try_post(self, body: Any, key: str, web: int) -> tuple[int, dict[str, Any], str | None]:
        """One POST /posts: status, body, Retry-After; status 0 when there was no answer."""
        headers = {"Authorization": f"Bearer {self.admin}", "Idempotency-Key": key}
        url = f"{self.urls[web % len(self.urls)]}/api/v1/posts"
        try:
            async with self._http.post(url, json=body, headers=headers) as answer:
                try:
                    found = await answer.json()
                except (aiohttp.ContentTypeError, ValueError):
                    found = {}
                return answer.status, found, answer.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, {}, None


class SkewedProcess:
    """A process with a wall clock of its own."""

    def __init__(self, process: Process, offset: Path) -> None:
        self.process = process
        self._offset = offset

    def shift(self, hours: float) -> None:
        # Moved into place: a half-written file would be half a time.
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(f"{hours * 3600:+.0f}\n")
        fresh.replace(self._offset)

    @property
    def is_faked(self) -> bool:
        """Whether the library is loaded into the role itself."""
        children = self.process.children("alertd.app") + self.process.children("workers ")
        return bool(children) and all(
            "libfaketime" in Path(f"/proc/{child.pid}/maps").read_text() for child in children
        )


class _Servers:
    def __init__(self, postgres: RestartablePostgres, line: Line) -> None:
        self.postgres = postgres
        self.line = line


class Opened:
    """A running place, opened with `open_place`, to be closed."""

    def __init__(self, place: Place, stack: contextlib.AsyncExitStack) -> None:
        self.place = place
        self._stack = stack

    async def close(self) -> None:
        await self._stack.aclose()


async def open_place(
    store: StoreKind, directory: Path | None = None, prepare: Callable[[Place], Awaitable[None]] | None = None
) -> Opened:
    """A running place without people. `directory` is made, and removed, unless it is given."""
    stack = contextlib.AsyncExitStack()
    try:
        where = directory or short_directory(durable=True)
        if directory is None:
            where.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, where, ignore_errors=True)
        redis = servers = None
        if store == "postgresql":
            servers = _Servers(*stack.enter_context(postgres_behind_a_line(free_port())))
            redis = Redis()
            redis.start()
            stack.callback(redis.stop)
        else:
            find_binary("redis-server", "valkey-server")
        place = Place(where, store, redis, servers)
        await stack.enter_async_context(place)
        if prepare is not None:
            await prepare(place)
        await place.run()
    except BaseException:
        await stack.aclose()
        raise
    return Opened(place, stack)
