"""Answers the handshake of a live stream, and takes its socket out of uvicorn's hands.

uvicorn's parser reads the request, and its own WebSocket protocol would then read it again, with a parser, a queue and
timers that are of no use after the hand-over. Here the application decides in `scope["extensions"]` what becomes of a
client whose handshake is right: it hands the socket to a `Connection`, or refuses with a close code. This leans on what
uvicorn does inside, so it takes the versions only that it was tested with.
"""

import asyncio
import base64
import logging
import re
import sys
from collections import deque
from hashlib import sha1
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import unquote

import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from alertd.hub import frames
from alertd.hub.connection import Connection

EXTENSION: Final = "alertd.handshake"
_VERSION: Final = "0.54."
_EARLY_MAX: Final = 64 * 1024  # bytes that may come before the hand-over; then nothing more is read until it
AT_ONCE: Final = 512  # handshakes before the application: more than twice as many as are looked up together
_FAREWELL_SECONDS: Final = 10.0  # in which somebody who was refused hangs up
_TURNS: Final = "alertd.turns"

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")  # 16 bytes
_SUPPORTED: Final = b"13"

if not uvicorn.__version__.startswith(_VERSION):  # pragma: no cover
    raise ImportError(f"the live stream works with uvicorn {_VERSION}x, not with {uvicorn.__version__}: see pyproject")

log = logging.getLogger(__name__)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's own, but an upgrade to WebSocket is answered here, from the headers that have been read."""

    _piece = b""

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def data_received(self, data: bytes) -> None:
        self._piece = data
        super().data_received(data)
        self._piece = b""

    def handle_websocket_upgrade(self) -> None:
        upgrade = cast("Exception", sys.exception())  # httptools' HttpParserUpgrade: where the request ended
        turns: _Turns = self.app_state.setdefault(_TURNS, _Turns())
        scope = cast("dict[str, Any]", self.scope)
        handshake = Handshake(self.transport, self.connections, self.tasks, turns, self._piece[upgrade.args[0] :])
        self.connections.discard(self)
        self.connections.add(handshake)  # type: ignore[arg-type]
        self.transport.set_protocol(handshake)
        handshake.begin(self.app, scope, self.url)
        # The parser holds this protocol, and this protocol the parser.
        self.parser = None  # type: ignore[assignment]


class _Turns:
    """How many handshakes are before the application, and who waits for that: a request and a socket each."""

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: deque[tuple[Handshake, ASGI3Application, dict[str, Any]]] = deque()

    def take(self, handshake: "Handshake", app: ASGI3Application, scope: dict[str, Any]) -> None:
        if self._under_way < AT_ONCE:
            self._under_way += 1
            handshake.run(app, scope)
        else:
            self._waiting.append((handshake, app, scope))

    def give_back(self) -> None:
        while self._waiting:
            handshake, app, scope = self._waiting.popleft()
            if not handshake.is_over:
                handshake.run(app, scope)
                return
        self._under_way -= 1


class Handshake(asyncio.Protocol):
    """A request to switch to WebSocket, until it is answered (RFC 6455 section 4.2): what the application finds."""

    __slots__ = ("_connections", "_early", "_has_turn", "_key", "_tasks", "_transport", "_turns", "is_over")

    def __init__(
        self, transport: asyncio.Transport, connections: set[Any], tasks: set[Any], turns: _Turns, early: bytes
    ) -> None:
        self._transport = transport
        self._connections = connections
        self._tasks = tasks
        self._turns = turns
        self._early = early
        self._key = b""
        self._has_turn = False
        self.is_over = False  # answered, or the client is gone

    def begin(self, app: ASGI3Application, scope: dict[str, Any], url: bytes) -> None:
        """Ask the application, as soon as it is this one's turn, or answer that this is no handshake."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        keys = [value for name, value in headers if name == b"sec-websocket-key"]
        versions = [value for name, value in headers if name == b"sec-websocket-version"]
        if scope["method"] != "GET":
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, b"Allow: GET\r\n")
        elif scope["http_version"] != "1.1":
            self._refuse(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
        elif len(versions) == 1 and versions[0] != _SUPPORTED:
            self._refuse(HTTPStatus.UPGRADE_REQUIRED, b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
        elif not versions or len(versions) > 1 or len(keys) != 1 or not _KEY.fullmatch(keys[0]):
            self._refuse(HTTPStatus.BAD_REQUEST)
        else:
            self._key = keys[0]
            path, _, query = url.partition(b"?")
            scope["type"] = "websocket"
            scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
            scope["raw_path"] = path
            scope["path"] = unquote(path.decode("latin-1"))
            scope["query_string"] = query
            scope["subprotocols"] = [
                offered.strip()
                for name, value in headers
                if name == b"sec-websocket-protocol"
                for offered in value.decode("latin-1").split(",")
            ]
            scope["extensions"] = {EXTENSION: self}
            self._turns.take(self, app, scope)

    def run(self, app: ASGI3Application, scope: dict[str, Any]) -> None:
        """Ask the application now: it is this one's turn."""
        self._has_turn = True
        task = asyncio.get_running_loop().create_task(self._run(app, scope))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, app: ASGI3Application, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)  # type: ignore[arg-type]
        except Exception:
            log.exception("a handshake broke")
        finally:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
            self._give_turn_back()

    @staticmethod
    async def _receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def _send(self, message: Any) -> None:
        if message["type"] != "websocket.close":
            raise RuntimeError(f"a live stream is handed over, not written to by {message['type']}")
        self._refuse(HTTPStatus.FORBIDDEN)

    # What the application does

    def hand_over(self, connection: Connection, subprotocol: str | None) -> bool:
        """Switch protocols, and give `connection` the socket with all that came on it; False: the client is gone."""
        if self.is_over or self._transport.is_closing():
            return False
        self._end()
        self._transport.write(self._switching(subprotocol))
        self._connections.discard(self)
        self._connections.add(connection)
        connection.registry = self._connections
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        self._transport.resume_reading()
        if self._early:
            connection.data_received(self._early)
        return True

    def turn_away(self, subprotocol: str | None, message: str | None, code: int, reason: str) -> None:
        """Switch protocols only to say why not, with a close code, which a browser can read."""
        if self.is_over:
            return
        self._end()
        said = frames.text(message) if message is not None else b""
        self._transport.write(self._switching(subprotocol) + said + frames.close(code, reason))
        # Half a close: whatever the client has sent and nobody reads could take the reason with it.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._early = b""
        self._transport.resume_reading()
        asyncio.get_running_loop().call_later(_FAREWELL_SECONDS, self._transport.abort)

    def _switching(self, subprotocol: str | None) -> bytes:
        accepted = base64.b64encode(sha1(self._key + _GUID, usedforsecurity=False).digest())
        chosen = b"Sec-WebSocket-Protocol: %b\r\n" % subprotocol.encode("latin-1") if subprotocol else b""
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (accepted, chosen)
        )

    def _refuse(self, status: HTTPStatus, headers: bytes = b"") -> None:
        if self.is_over:
            return
        self._end()
        text = status.phrase.encode() + b"\n"
        self._transport.write(
            b"HTTP/1.1 %d %b\r\n%bContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status, status.phrase.encode(), headers, len(text), text)
        )
        self._transport.close()

    def _end(self) -> None:
        self.is_over = True
        self._give_turn_back()

    def _give_turn_back(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turns.give_back()

    # What the transport says

    def data_received(self, data: bytes) -> None:
        if self.is_over:
            return
        self._early += data
        if len(self._early) > _EARLY_MAX:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self.is_over = True

    def shutdown(self) -> None:
        """The server stops: uvicorn's word for it."""
        self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
