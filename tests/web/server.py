"""The web application behind a real socket on the loopback, in a thread of its own, and a client for it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from alertd.core.roles import Role
from alertd.hub import HttpProtocol, Hub
from alertd.hub.hub import PONG_SECONDS
from alertd.service import access, watching
from alertd.service.acknowledging import acknowledge_all
from alertd.service.group_commit import GroupCommit
from alertd.service.runtime import Runtime
from alertd.store.engine import Store
from alertd.web.app import build_app
from alertd.web.context import Web
from alertd.web.limits import Limits
from channels import registry
from channels.base import Context
from channels.push_crypto import generate_key
from tests.installation import BOSS, Bell, Clock, make_runtime, patient, settle
from tests.providers.thread import HOST, LoopThread
from tests.services import wait_until

VAPID: Final = generate_key()
PATIENCE: Final = 20  # seconds that a test waits for what must come
ROOT: Final = "/api/v1"


class _LiveBell(Bell):
    """Rings in the one process there is, as Redis would in every one."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.hub: Hub | None = None

    def events(self) -> None:
        super().events()
        if self.loop and self.hub and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.hub.ring)

    def changed(self, alert_id: str) -> None:
        super().changed(alert_id)
        if self.loop and self.hub and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.hub.changed, alert_id)


class Site(LoopThread):
    """One web process with an installation behind it. Runs from entering to leaving."""

    rt: Runtime
    hub: Hub
    web: Web
    url: str

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        public_url: str | None = None,
        settings: Mapping[str, str] | None = None,
        sweep_seconds: float = 0.05,
        pong_seconds: float = PONG_SECONDS,
    ) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._public_url = public_url
        self._settings = settings or {}
        self._sweep_seconds = sweep_seconds
        self._pong_seconds = pong_seconds
        self._server: uvicorn.Server
        self._serving: asyncio.Task[None]
        self.bell = _LiveBell()

    async def _open(self) -> None:
        listening = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{listening.getsockname()[1]}"
        self.rt = make_runtime(self._store, self._clock, self.bell, self._public_url or self.url)
        summarise = partial(watching.summarise, self.rt)
        self.hub = Hub(self._store, summarise, self._clock, self._sweep_seconds, self._pong_seconds)
        self.bell.loop, self.bell.hub = asyncio.get_running_loop(), self.hub
        context = Context(self.rt.public_url, self.rt.organisation, self.rt.region, {VAPID.id: VAPID})
        web = Web(
            rt=self.rt,
            hub=self.hub,
            channels=registry.configure(self._settings, context),
            limits=Limits(),
            acknowledgements=GroupCommit(partial(acknowledge_all, self.rt)),
            session_secret=b"the secret of sessions",
            vapid_public_key=VAPID.public_key,
            vapid_key_id=VAPID.id,
            patient=patient(self.rt),
            seconds=registry.configure_second(self._settings, context),
        )
        self.web = web
        self._server = uvicorn.Server(
            uvicorn.Config(
                build_app(web, (self.hub.run,)),
                http=HttpProtocol,
                ws="none",
                access_log=False,
                log_config=None,
                lifespan="on",
                timeout_graceful_shutdown=1,
            )
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        await asyncio.to_thread(wait_until, lambda: self._server.started)

    async def _close(self) -> None:
        self._server.should_exit = True
        await self._serving


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> dict[str, Any]:
        """The error of a refusal, whose body has exactly the documented form."""
        assert self.headers["content-type"] == "application/json", self
        assert self.body.keys() == {"error"}, self.body
        error: dict[str, Any] = self.body["error"]
        assert error.keys() == {"code", "message", "details"}, error
        assert error["code"]
        assert error["message"]
        for detail in error["details"]:
            assert detail.keys() == {"field", "message"}, detail
        return error

    @property
    def fields(self) -> list[str]:
        """The fields that a refusal names."""
        return [detail["field"] for detail in self.error["details"]]


class Town:
    """A site with one person of each role, and the calls they make."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.rt = site.rt
        self.tokens: dict[str, str] = {}
        for role in Role:
            self.move_in(role.word, role)
        self._http: aiohttp.ClientSession

    def move_in(self, person_id: str, role: Role = Role.STAFF, **values: Any) -> str:
        """Somebody new, with a mail address and a token; the token."""
        settle(self.rt, person_id, role=role.word, **values)
        self.tokens[person_id] = access.create_token(self.rt, BOSS, person_id, role).secret
        return self.tokens[person_id]

    async def __aenter__(self) -> "Town":
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=PATIENCE), cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def raw(self, method: str, path: str, **options: Any) -> Answer:
        async with self._http.request(method, self.site.url + path, allow_redirects=False, **options) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, headers, await answer.read())

    async def call(
        self, who: str | None, method: str, path: str, body: object = None, *, data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """A call of `who` under /api/v1, with `body` as JSON or with `data` as it is."""
        sent = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        if body is not None:
            data = json.dumps(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        return await self.raw(method, ROOT + path, data=data, headers={**sent, **(headers or {})})

    async def post(self, who: str = "manager", **changes: Any) -> dict[str, Any]:
        """Post urgently to everyone, or as `changes` say; the answer."""
        answer = await self.call(who, "POST", "/posts", post_body(**changes))
        assert answer.status == 201, answer
        posted: dict[str, Any] = answer.body
        return posted

    async def alert(self, **changes: Any) -> str:
        return str((await self.post(**changes))["alert"]["id"])

    @contextlib.asynccontextmanager
    async def stream(self, who: str | None, query: str = "", **options: Any) -> AsyncIterator[ClientConnection]:
        """A live stream of `who`, who signs in by header."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        headers |= options.pop("headers", {})
        url = f"{self.site.url.replace('http', 'ws', 1)}{ROOT}/stream{query}"
        async with connect(url, additional_headers=headers, proxy=None, compression=None, **options) as stream:
            yield stream


def post_body(**changes: Any) -> dict[str, Any]:
    return {
        "board": "general",
        "title": "避難所を開設しました",
        "body": "第一小学校へ。",
        "urgent": True,
        "drill": False,
        "audience": {"everyone": True},
        **changes,
    }


async def frame(stream: ClientConnection, *kinds: str) -> dict[str, Any]:
    """The next frame (of one of these kinds); TimeoutError when none comes."""
    async with asyncio.timeout(PATIENCE):
        while True:
            read: dict[str, Any] = json.loads(await stream.recv())
            if not kinds or read["type"] in kinds:
                return read
