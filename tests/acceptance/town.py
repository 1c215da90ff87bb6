"""A town that runs: real processes, loopback providers, people with phones, and the calls that tests make to it."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import psutil
from websockets.asyncio.client import ClientConnection, connect

from tests.providers import BrowserSubscription, PushService, SmtpServer, TwilioServer

ROOT: Final = Path(__file__).parents[2]
READY_SECONDS: Final = 60.0
_TOKENS_FOR_ALL: Final = 1_000
_TOKENS_AT_ONCE: Final = 50
_TOKENS_LEAST: Final = 100
LINK: Final = re.compile(r"https?://[^\s\"'<>]+/a/[\w-]+")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def eventually(check: Callable[[], Awaitable[bool]], within: float, what: str) -> None:
    """Returns as soon as `check` holds; fails the test when it does not within that many seconds."""
    deadline = time.monotonic() + within
    while not await check():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        await asyncio.sleep(0.05)


class Process:
    """One `alertd` command and what it started."""

    def __init__(self, *arguments: str, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "alertd", *arguments],
                env=environment,
                cwd=log.parent,  # any working directory will do
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.psutil = psutil.Process(self._popen.pid)

    def children(self, name: str = "") -> list[psutil.Process]:
        """The running descendants whose command line holds `name`."""
        found = []
        for child in self.psutil.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if name in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def stop(self, number: int = signal.SIGTERM) -> list[psutil.Process]:
        """End it; the descendants that it had."""
        before = self.children() if self._popen.poll() is None else []
        if self._popen.poll() is None:
            self._popen.send_signal(number)
        self._popen.wait(60)
        return before

    @property
    def returncode(self) -> int | None:
        return self._popen.poll()


@dataclass
class Person:
    """Somebody in the town, and what they hold in their hands."""

    id: str
    token: str = ""
    phone: str | None = None
    email: str | None = None
    browsers: list[BrowserSubscription] = field(default_factory=list)
    socket: ClientConnection | None = None
    frames: list[dict[str, Any]] = field(default_factory=list)


class Town:
    """The providers, the processes and the people of one test."""

    def __init__(self, directory: Path, *, database_url: str | None = None, redis_url: str | None = None) -> None:
        self.directory = directory
        self.push, self.twilio, self.smtp = PushService(), TwilioServer(), SmtpServer()
        self.ports = [free_port(), free_port()] if database_url else [free_port()]
        self.urls = [f"http://127.0.0.1:{port}" for port in self.ports]
        self.url = self.urls[0]
        self.database_url = database_url
        self.redis_url = redis_url
        self.processes: list[Process] = []
        self.people: dict[str, Person] = {}
        self.admin = ""
        self.settings: dict[str, str] = {}  # a test's own, over those below
        self._http: aiohttp.ClientSession
        self._readers: list[asyncio.Task[None]] = []
        self._stack = contextlib.ExitStack()

    async def __aenter__(self) -> Self:
        for provider in (self.push, self.twilio, self.smtp):
            self._stack.enter_context(provider)
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for person in self.people.values():
            if person.socket is not None:
                await person.socket.close()
        await self._http.close()
        for process in self.processes:
            await asyncio.to_thread(process.stop)
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "ALERTD_DATA_DIR": str(self.directory / "data"),
            "ALERTD_PUBLIC_URL": self.url,
            "ALERTD_ORGANISATION": "みかん市",
            "ALERTD_TIME_ZONE": "Asia/Tokyo",
            "ALERTD_PUSH_HOSTS": self.push.host,
            "ALERTD_SMTP_URL": self.smtp.url,
            "ALERTD_MAIL_FROM": "alert@mikan.example",
            **{f"ALERTD_{name}": value for name, value in self.twilio.settings().items()},
        }
        if self.database_url:
            ours |= {"ALERTD_DATABASE_URL": self.database_url, "ALERTD_REDIS_URL": self.redis_url or ""}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ALERTD_")}
        return inherited | ours | self.settings

    def start(self, *arguments: str) -> Process:
        process = Process(*arguments, environment=self.environment, log=self.directory / "log")
        self.processes.append(process)
        return process

    async def run(self) -> None:
        """Start the town: one `serve`, or on PostgreSQL two web processes, two sets of workers and a clock."""
        if self.database_url:
            for port in self.ports:
                self.start("web", "--port", str(port))
            self.start("worker")
            self.start("worker")
            self.start("clock")
            self.start("poller")
        else:
            self.start("serve", "--port", str(self.ports[0]))
        await self.ready()
        self.admin = await self.command_token("admin", "admin")

    async def ready(self, channels: int = 3) -> None:
        """Until every web process answers and every role has been seen."""

        async def check() -> bool:
            for url in self.urls:
                try:
                    async with self._http.get(f"{url}/health/ready") as answer:
                        roles = [role["role"] for role in (await answer.json())["roles"]]
                except (aiohttp.ClientError, TimeoutError):
                    return False
                if roles.count("worker") < channels * (2 if self.database_url else 1) or "clock" not in roles:
                    return False
            return True

        await eventually(check, READY_SECONDS, f"ready\n{self.log()[-3000:]}")

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.directory.glob("log*")))

    async def command(self, *arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        """Run an `alertd` command to its end: exit status, output, error output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "alertd", *arguments, env=self.environment, cwd=self.directory,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate(stdin)
        return process.returncode or 0, out.decode(), err.decode()

    async def command_token(self, person: str, role: str) -> str:
        status, out, err = await self.command("token", "create", "--person", person, "--role", role, "--json")
        assert status == 0, err
        return str(json.loads(out)["token"])

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str = "", web: int = 0, key: str | None = None
    ) -> tuple[int, Any]:
        """One API call, by the admin unless `token` says otherwise; status and JSON."""
        sent = {"Authorization": f"Bearer {token or self.admin}"} | ({"Idempotency-Key": key} if key else {})
        async with self._http.request(method, f"{self.urls[web]}/api/v1{path}", json=body, headers=sent) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def form(self, url: str, **fields: str) -> tuple[int, str]:
        """Post a form as a browser does."""
        async with self._http.post(url, data=fields) as answer:
            return answer.status, await answer.text()

    async def get(self, url: str) -> tuple[int, str]:
        async with self._http.get(url) as answer:
            return answer.status, await answer.text()

    async def inhabit(self, count: int, *, push: int, two_devices: int, phones: int, connected: int) -> None:
        """People p00, p01 …: all with mail, the first `phones` with phones, the last `push` with push.

        In a large town the first hundred have tokens, and those who need one for push.
        """
        rows = ["id,name,email,phone,language,groups,active"]
        for number in range(count):
            person = Person(f"p{number:02}", email=f"p{number:02}@mikan.example")
            person.phone = f"+8190000{number:05}" if number < phones else None
            self.people[person.id] = person
            language = "en" if number % 5 == 4 else "ja"
            rows.append(f"{person.id},職員{number},{person.email},{person.phone or ''},{language},,true")
        async with self._http.post(
            f"{self.url}/api/v1/people/import",
            data="\n".join(rows).encode(),
            headers={"Authorization": f"Bearer {self.admin}", "Content-Type": "text/csv"},
        ) as answer:
            assert answer.status == 200, await answer.text()
        people = list(self.people.values())
        with_browser = people[-push:] if push else []
        with_token = people if count <= _TOKENS_FOR_ALL else [*people[:_TOKENS_LEAST], *with_browser]
        # Not all at once: a call's time counts from when it is begun, not from when it is its turn.
        for start in range(0, len(with_token), _TOKENS_AT_ONCE):
            some = with_token[start : start + _TOKENS_AT_ONCE]
            await asyncio.gather(*(self._give_token(person) for person in some))
        for number, person in enumerate(with_browser):
            for _ in range(2 if number < two_devices else 1):
                await self.subscribe(person)
        for number, person in enumerate(people[:connected]):
            await self.connect(person, web=number % len(self.urls))

    async def _give_token(self, person: Person) -> None:
        status, body = await self.call("POST", "/tokens", {"person": person.id, "role": "staff"})
        assert status == 201, body
        person.token = body["token"]

    async def subscribe(self, person: Person) -> BrowserSubscription:
        _, key = await self.call("GET", "/push/key")
        browser = self.push.subscribe(key["public_key"])
        status, body = await self.call("POST", "/me/subscriptions", browser.json(), token=person.token)
        assert status == 201, body
        person.browsers.append(browser)
        return browser

    async def connect(self, person: Person, *, web: int = 0, query: str = "") -> ClientConnection:
        """Open the person's live stream; what it says is kept in their `frames`."""
        url = f"{self.urls[web].replace('http', 'ws')}/api/v1/stream{query}"
        person.socket = await connect(url, additional_headers={"Authorization": f"Bearer {person.token}"})
        hello = json.loads(await person.socket.recv())
        assert hello["type"] == "hello"
        self._readers.append(asyncio.create_task(self._read(person, person.socket)))
        return person.socket

    async def _read(self, person: Person, socket: ClientConnection) -> None:
        async for frame in socket:
            person.frames.append(json.loads(frame))

    async def post(self, title: str, *, key: str | None = None, **more: Any) -> tuple[int, dict[str, Any]]:
        """An urgent post to p00, p01 … (not to whoever posts)."""
        body = {
            "board": "general",
            "title": title,
            "body": "本庁舎に集まってください。",
            "urgent": True,
            "drill": False,
            "audience": {"people": list(self.people)},
            **more,
        }
        return await self.call("POST", "/posts", body, key=key)

    async def summary(self, alert_id: str, web: int = 0) -> dict[str, Any]:
        status, body = await self.call("GET", f"/alerts/{alert_id}/summary", web=web)
        assert status == 200, body
        return dict(body)

    @property
    def browsers(self) -> list[BrowserSubscription]:
        return [browser for person in self.people.values() for browser in person.browsers]

    async def everyone_has_it(self, within: float) -> None:
        """Every browser, phone and mailbox has at least one message."""

        async def check() -> bool:
            return (
                {message.subscription for message in self.push.messages} >= {browser.id for browser in self.browsers}
                and {sms.to for sms in self.twilio.messages} >= {p.phone for p in self.people.values() if p.phone}
                and {letter.recipient for letter in self.smtp.letters} >= {p.email for p in self.people.values()}
            )

        try:
            await eventually(check, within, "every browser, phone and mailbox has a message")
        except AssertionError as error:
            counts = (len(self.push.messages), len(self.twilio.messages), len(self.smtp.letters))
            raise AssertionError(f"{error}; push, sms, mail: {counts}\n{self.log()[-3000:]}") from None


def link_in(text: str) -> str:
    """The one link of a message."""
    links = LINK.findall(text)
    assert len(links) == 1, text
    return str(links[0])


@contextlib.asynccontextmanager
async def running_town(
    directory: Path, *, database_url: str | None = None, redis_url: str | None = None
) -> AsyncIterator[Town]:
    async with Town(directory, database_url=database_url, redis_url=redis_url) as town:
        await town.run()
        yield town


def gone(processes: Sequence[psutil.Process], within: float) -> list[psutil.Process]:
    """Those that still run after `within` seconds."""
    _, alive = psutil.wait_procs(processes, timeout=within)
    return list(alive)
