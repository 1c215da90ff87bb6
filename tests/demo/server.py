"""The real thing: `alertd serve` as a program of its own, its command line, and its HTTP API."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

HOST: Final = "127.0.0.1"
_CHECKOUT: Final = Path(__file__).parents[2]
_PORTS_TRIED: Final = 100
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0  # longer than alertd itself gives its parts
_LOG_LINES: Final = 25
_ROLES: Final = {("web", None), ("clock", None), ("worker", "webpush"), ("worker", "sms"), ("worker", "email")}


class Trouble(Exception):
    """Why the demo cannot go on, in words for whoever started it."""


def free_port(first: int) -> int:
    """`first`, or the next port that nobody listens on. Raises Trouble."""
    for port in range(first, min(first + _PORTS_TRIED, 65_536)):
        if is_free(port):
            return port
    raise Trouble(f"no port is free from {first} on")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Server:
    """`async with Server(…) as server:` runs alertd on `server.url` until the block ends, and leaves nothing of it."""

    def __init__(self, port: int, data: Path, settings: Mapping[str, str]) -> None:
        self.url = f"http://{HOST}:{port}"
        self.log = data / "demo-serve.log"
        self._port = port
        self._data = data
        # Whatever the shell has set is for a real installation, whose providers and people the demo must not touch.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ALERTD_", "TWILIO_"))}
        self._environment = {
            **inherited,
            **{f"ALERTD_{name}": value for name, value in settings.items()},
            "ALERTD_PUBLIC_URL": self.url,
        }
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        arguments = ("serve", "--host", HOST, "--port", str(self._port), "--data", str(self._data))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "alertd", *arguments),
                cwd=_CHECKOUT,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends this in order
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except TimeoutError:
                # It leads a session of its own, with all of its children in sessions of theirs: they end with it.
                os.killpg(self._process.pid, signal.SIGKILL)
                await self._process.wait()

    async def watch(self) -> None:
        """Wait for ever, and raise Trouble if the program ends."""
        status = await self._process.wait()
        raise Trouble(f"alertd serve has ended by itself ({status})")

    def log_tail(self) -> str:
        """The end of what the program has logged."""
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-_LOG_LINES:])

    async def wait_ready(self, http: aiohttp.ClientSession) -> None:
        """Until every part of it is up. Raises Trouble."""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._is_ready(http):  # noqa: ASYNC110 - another program can only be asked again
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Trouble(f"alertd serve was not ready within {_READY_SECONDS:g} s") from None

    async def _is_ready(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"{self.url}/health/ready") as response:
                if response.status != 200:
                    return False
                roles = (await response.json())["roles"]
        except aiohttp.ClientConnectionError:
            return False
        return {(role["role"], role["channel"]) for role in roles} >= _ROLES

    async def command(self, *arguments: str) -> str:
        """What `alertd …` prints, beside the running server. Raises Trouble."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "alertd", *arguments, "--data", str(self._data)),
            cwd=_CHECKOUT,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            printed, complaint = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            raise Trouble(f"alertd {' '.join(arguments[:2])}: {complaint.decode(errors='replace').strip()}")
        return printed.decode().strip()


class Api:
    """alertd's HTTP API for whoever holds `token`."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http = http
        self.url = url
        self.token = token

    def with_token(self, token: str) -> "Api":
        """The same API for whoever holds another token."""
        return Api(self._http, self.url, token)

    async def get(self, path: str, **query: str) -> Any:
        """What a call answers. Raises Trouble."""
        return await self._call("GET", path, params=query)

    async def put(self, path: str, body: object) -> Any:
        """The same with a JSON body."""
        return await self._call("PUT", path, json=body)

    async def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Any:
        """The same with a JSON body."""
        return await self._call("POST", path, json=body, headers=headers)

    async def post_csv(self, path: str, text: str) -> Any:
        """The same with a CSV file."""
        return await self._call("POST", path, data=text.encode(), headers={"Content-Type": "text/csv"})

    async def _call(self, method: str, path: str, headers: Mapping[str, str] | None = None, **given: Any) -> Any:
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        try:
            async with self._http.request(method, f"{self.url}/api/v1{path}", headers=sent, **given) as response:
                if response.status >= 400:
                    raise Trouble(f"{method} {path} was answered {response.status}: {await response.text()}")
                return await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Trouble(f"{method} {path}: {type(error).__name__} {error}") from error
