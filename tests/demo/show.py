"""The course of the show: start everything, move the town in, post, watch, check, and keep serving."""

import asyncio
import json
import re
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from rich.text import Text
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.demo import check, drill, town
from tests.demo.loading import Providers, move_in
from tests.demo.players import Players
from tests.demo.progress import Progress
from tests.demo.screen import Screen
from tests.demo.server import Api, Server, Trouble, free_port, is_free
from tests.demo.words import Language, Speaker
from tests.providers import PushService, SmtpServer, TwilioServer

DEFAULT_PORT: Final = 8000
_SETTLE_SECONDS: Final = 60.0  # at speed 1; the slowest answer in the town takes 45
_SETTLE_SECONDS_MIN: Final = 30.0
_SETTLE_SECONDS_EACH: Final = 0.05  # for each of its people more
_CALL_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 2.0
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    people: int
    speed: float
    port: int | None  # None: the default, or the next free one
    data: Path | None  # None: a directory that is gone afterwards
    language: Language
    once: bool


class Show:
    """One run of the demo."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._say = Speaker(options.language)
        self._progress = Progress(town.build(options.people))
        self._screen = Screen(console, self._progress, self._say)

    async def run(self) -> int:
        """The whole show; the exit status. Cancelling ends it in order, and nothing is left running."""
        status = 1
        with ExitStack() as stack:
            data = self._data_directory(stack)
            enter = stack.enter_context
            providers = Providers(enter(PushService()), enter(TwilioServer()), enter(SmtpServer()))
            port = self._port()
            async with Server(port, data, _settings(providers)) as server:
                try:
                    async with asyncio.TaskGroup() as tasks:
                        watch = tasks.create_task(server.watch())
                        status = await self._perform(server, providers)
                        watch.cancel()
                except* Trouble as troubles:
                    self._tell("failed to go on", reason=_words(troubles))
                    self._tell("log")
                    self._print(server.log_tail())
                finally:
                    self._tell("ending")
        return status

    def _data_directory(self, stack: ExitStack) -> Path:
        if self._options.data is None:
            return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alertd-demo-")))
        self._options.data.mkdir(parents=True, exist_ok=True)
        return self._options.data

    def _port(self) -> int:
        if self._options.port is None:
            return free_port(DEFAULT_PORT)
        if not is_free(self._options.port):
            raise Trouble(f"port {self._options.port} is in use")
        return self._options.port

    async def _perform(self, server: Server, providers: Providers) -> int:
        async with aiohttp.ClientSession(
            # Given up before alertd's own server does: a call on a connection that just ends would be lost.
            connector=aiohttp.TCPConnector(keepalive_timeout=_IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=_CALL_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as http:
            self._tell("starting", url=server.url)
            await server.wait_ready(http)
            self._tell("moving in", people=len(self._progress.town.people), town=town.NAME)
            who = ("--person", self._progress.town.admin.id, "--role", "admin")
            admin = Api(http, server.url, await server.command("token", "create", *who))
            keys = await move_in(admin, self._progress, providers)
            manager = admin.with_token(keys.tokens[self._progress.town.manager.id])
            async with Players(self._progress, keys, providers, manager, http, self._options.speed) as players:
                self._tell("connecting", count=self._progress.expected["websocket"].total())
                await players.wait_connected()
                self._tell("posting", title=drill.TITLE)
                has_settled = await self._play(manager, players)
                status = await self._judge(manager, has_settled)
                if not self._options.once:
                    await self._tell_where(server, providers)
                    await asyncio.get_running_loop().create_future()  # until Ctrl-C
        return status

    async def _play(self, manager: Api, players: Players) -> bool:
        """The alert goes out and is answered, on the screen; whether everything came to rest in time."""
        async with _in_background(self._screen.show()):
            await self._post(manager)
            players.answer_by_proxy(self._progress.alert["id"])
            async with _in_background(self._follow(manager), self._follow_unreachable(manager)):
                try:
                    async with asyncio.timeout(self._patience):
                        await self._progress.wait_for(lambda: players.are_at_rest and self._progress.is_complete)
                except TimeoutError:
                    return False
        return True

    @property
    def _patience(self) -> float:
        """Seconds after which the rest is no longer waited for."""
        least = max(_SETTLE_SECONDS / self._options.speed, _SETTLE_SECONDS_MIN)
        return least + _SETTLE_SECONDS_EACH * self._options.people

    async def _post(self, manager: Api) -> None:
        progress = self._progress
        progress.posted_at = progress.now()
        answer = await manager.post("/posts", drill.post_body(), {"Idempotency-Key": uuid.uuid4().hex})
        progress.confirmed_at, progress.alert = progress.now(), answer["alert"]
        progress.summary = await manager.get(f"/alerts/{progress.alert['id']}/summary")

    async def _follow(self, manager: Api) -> None:
        """Take in the summary whenever it changes, as the manager's console does."""
        url = f"{manager.url.replace('http', 'ws', 1)}/api/v1/stream?watch={self._progress.alert['id']}"
        headers = {"Authorization": f"Bearer {manager.token}"}
        async for socket in connect(url, additional_headers=headers, proxy=None):
            with suppress(ConnectionClosed):  # then it is opened again
                async for text in socket:
                    frame = json.loads(text)
                    if frame["type"] == "summary":
                        self._progress.summary = frame
                        self._progress.tell()

    async def _follow_unreachable(self, manager: Api) -> None:
        """Ask who they are whenever alertd says that their number has changed."""
        known = 0

        def has_changed() -> bool:
            return bool(self._progress.summary["unreachable"] != known)

        while True:
            await self._progress.wait_for(has_changed)
            known = self._progress.summary["unreachable"]
            self._progress.unreachable = await self._recipients(manager, state="unreachable")

    async def _recipients(self, manager: Api, **query: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            path = f"/alerts/{self._progress.alert['id']}/recipients"
            page = await manager.get(path, limit=str(_PAGE), **query, **cursor)
            items += page["items"]
            if page["next"] is None:
                return items
            cursor = {"cursor": page["next"]}

    async def _judge(self, manager: Api, has_settled: bool) -> int:
        """Tell how it went; the exit status."""
        progress = self._progress
        elapsed = f"{progress.elapsed:.1f}"
        progress.is_over = True
        progress.summary = await manager.get(f"/alerts/{progress.alert['id']}/summary")
        progress.unreachable = await self._recipients(manager, state="unreachable")
        faults = check.faults(progress, await self._recipients(manager))
        self._print()
        self._tell("post answered", seconds=f"{progress.confirmed_at - progress.posted_at:.2f}")
        self._console.print(self._screen.result())
        self._print()
        self._tell("settled" if has_settled else "late", seconds=elapsed)
        if not faults:
            self._print(self._say("all reached"), style="bold green")
            return 0
        self._print(self._say("not reached"), style="bold red")
        for fault in faults:
            self._print(f"  {fault}")
        return 1

    async def _tell_where(self, server: Server, providers: Providers) -> None:
        """The addresses to open."""
        manager, visitor = self._progress.town.manager, self._progress.town.visitor
        console, phone = await asyncio.gather(
            *(server.command("link", "create", "--person", person.id) for person in (manager, visitor))
        )
        assert visitor.phone
        texts = "\n".join(message.body for message in providers.twilio.sent_to(visitor.phone))
        letter = re.search(rf"{re.escape(server.url)}/a/\S+", texts)
        self._where("console", console, manager.name)
        self._where("live", f"{server.url}/alerts/{self._progress.alert['id']}")
        self._where("phone", phone, visitor.name)
        if letter:
            self._where("letter", letter[0], visitor.name)
        self._where("api docs", f"{server.url}/openapi.json")
        self._print()
        self._print(self._say("press"), style="bold")

    def _where(self, key: str, url: str, name: str = "") -> None:
        self._print()
        self._tell(key, name=name)
        self._print(f"  {url}", style="cyan")

    def _tell(self, key: str, **given: object) -> None:
        self._print(self._say(key, **given))

    def _print(self, text: str = "", style: str = "") -> None:
        # Addresses must stay in one piece, to be clicked on.
        self._console.print(Text(text, style), soft_wrap=True)


def _settings(providers: Providers) -> dict[str, str]:
    return {
        **providers.twilio.settings(),
        "SMTP_URL": providers.relay.url,
        "MAIL_FROM": "bousai@mikan.example",
        "PUSH_HOSTS": providers.push.host,
        "ORGANISATION": town.NAME,
        "TIME_ZONE": "Asia/Tokyo",
    }


@asynccontextmanager
async def _in_background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these beside the block, until it ends."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


def _words(troubles: BaseExceptionGroup[Trouble]) -> str:
    leaves: list[str] = []
    for each in troubles.exceptions:
        leaves += [_words(each)] if isinstance(each, BaseExceptionGroup) else [str(each)]
    return "; ".join(leaves)
