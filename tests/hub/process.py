"""A hub as a process runs it, and connections to it over real sockets, without a handshake."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Final

from alertd.core.alert import Language
from alertd.core.stream import Close
from alertd.hub import Connection, Hub
from tests.hub.raw import CLOSE, PING, TEXT
from tests.services import wait_until
from tests.web.server import PATIENCE

KERNEL: Final = 16 * 1024  # about what the kernel takes for a reader that does not read


@contextlib.asynccontextmanager
async def process(hub: Hub) -> AsyncIterator[Hub]:
    running = asyncio.create_task(hub.run())
    yield hub
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    # A thread that is reading does not hear of it.
    await asyncio.to_thread(wait_until, lambda: hub._store.engine.pool.checkedout() == 0)  # type: ignore[attr-defined]


class Line:
    """A connection of the hub's with its client's end. `said` is what the client has said, None for a binary."""

    opened: ClassVar["list[Line]"] = []
    """All of one test's; a fixture hangs them up."""

    def __init__(
        self,
        person: str = "taro",
        credential: str = "c",
        language: Language = "ja",
        *,
        hears_all: bool = False,
        watch: str | None = None,
        hub: Hub | None = None,
    ) -> None:
        self.said: list[str | None] = []
        self.lost = asyncio.Event()
        self._hub = hub
        self.server = Connection(
            person, credential, language, hears_all=hears_all, watch=watch, hear=self._hear, lost=self._lose
        )
        self._reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def open(self, *, secure: tuple[ssl.SSLContext, ssl.SSLContext] | None = None) -> "Line":
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
            end.setblocking(False)
        Line.opened.append(self)
        loop = asyncio.get_running_loop()
        accepting = loop.connect_accepted_socket(lambda: self.server, ours, ssl=secure[0] if secure else None)
        options: dict[str, Any] = {"ssl": secure[1], "server_hostname": "localhost"} if secure else {}
        connecting = asyncio.open_connection(sock=theirs, limit=KERNEL, **options)
        _, (self._reader, self.writer) = await asyncio.gather(accepting, connecting)
        if self._hub is None:
            self.server.listen()
        return self

    def _hear(self, _connection: Connection, text: str | None) -> None:
        self.said.append(text)

    def _lose(self, connection: Connection) -> None:
        self.lost.set()
        if self._hub is not None:
            self._hub.forget(connection)

    async def receive(self) -> tuple[int, bytes] | None:
        """The next frame, as opcode and payload; None at the end."""
        async with asyncio.timeout(PATIENCE):
            try:
                head = await self._reader.readexactly(2)
                length = head[1]
                if length > 125:
                    length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
                return head[0] & 0x0F, await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None

    async def heard(self) -> dict[str, Any] | Close | None:
        """The next message, or why there is none any more; None when the line was cut."""
        while (received := await self.receive()) is not None:
            opcode, payload = received
            if opcode == TEXT:
                read: dict[str, Any] = json.loads(payload)
                return read
            if opcode == CLOSE:
                return Close(int.from_bytes(payload[:2], "big"))
            assert opcode == PING
        return None

    async def offset(self) -> int:
        """The offset of the next message, which has one."""
        message = await self.heard()
        assert isinstance(message, dict), message
        return int(message["offset"])

    def hang_up(self) -> None:
        self.writer.transport.abort()


async def attached(hub: Hub, person: str = "taro", *, after: int | None = None, **options: Any) -> Line:
    """A line that the hub has greeted."""
    line = await Line(person, hub=hub, **options).open()
    await hub.attach(line.server, after, None)
    return line
