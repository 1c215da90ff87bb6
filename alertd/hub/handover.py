"""Takes a socket out of uvicorn's hands once its handshake is done.

An ordinary connection of uvicorn costs some 25 KiB: a task, a queue, a parser, timers. These two protocols let uvicorn
and Starlette do the handshake as ever, and offer in `scope["extensions"]` to hand the socket to a `Connection`.
They lean on what uvicorn does inside, so they take the versions only that they were tested with.
"""

import asyncio
import sys
from typing import Any, Final, cast

import uvicorn
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from alertd.hub.connection import Connection

EXTENSION: Final = "alertd.hand_over"
_VERSION: Final = "0.54."
_EARLY_MAX: Final = 64 * 1024  # bytes that may come before the hand-over; then nothing more is read until it

if not uvicorn.__version__.startswith(_VERSION):  # pragma: no cover
    raise ImportError(f"the live stream works with uvicorn {_VERSION}x, not with {uvicorn.__version__}: see pyproject")


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's own, but at an upgrade what comes in one piece with the request is kept, and no cycle is left over."""

    _piece = b""

    def data_received(self, data: bytes) -> None:
        self._piece = data
        super().data_received(data)
        self._piece = b""

    def handle_websocket_upgrade(self) -> None:
        upgrade = cast("Exception", sys.exception())  # httptools' HttpParserUpgrade: where the request ended
        rest = self._piece[upgrade.args[0] :]
        super().handle_websocket_upgrade()
        if rest:
            cast("asyncio.Protocol", self.transport.get_protocol()).data_received(rest)
        # The parser holds this protocol, and this protocol the parser.
        self.parser = None  # type: ignore[assignment]


class _NoTransport:
    """Stands where the socket was: what uvicorn still does at the end of the call does nothing."""

    def close(self) -> None: ...


class Handshake(WebSocketsSansIOProtocol):
    """uvicorn's own up to the answer to the handshake; the application then hands the socket over, or refuses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._early = b""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            # The task that runs the application has not begun yet.
            self.scope["extensions"][EXTENSION] = self._hand_over  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated or self.close_sent:
            super().data_received(data)
            return
        self._early += data
        if len(self._early) > _EARLY_MAX:
            self.transport.pause_reading()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.close_sent and self._early and not self.transport.is_closing():
            early, self._early = self._early, b""
            self.transport.resume_reading()
            self.data_received(early)

    def _hand_over(self, connection: Connection) -> bool:
        """Give the socket to `connection` together with all that has come on it; False when the client is gone."""
        if self.disconnected or self.close_sent or self.transport.is_closing() or not self.handshake_complete:
            return False
        self.stop_keepalive()
        transport, self.transport = self.transport, cast("asyncio.Transport", _NoTransport())
        self.connections.discard(self)
        connection.registry = self.connections
        self.connections.add(connection)  # type: ignore[arg-type]
        transport.set_protocol(connection)
        connection.connection_made(transport)
        transport.resume_reading()
        if self._early:
            connection.data_received(self._early)
        # Two cycles: the scope and this protocol, the parser and its generator.
        self.scope["extensions"].clear()
        self.conn.parser.close()
        return True
