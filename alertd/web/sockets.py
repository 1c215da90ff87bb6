"""The live stream: a WebSocket that says hello, replays, and then tells as it happens."""

import asyncio
import contextlib
import logging
from typing import Final, cast

from starlette.websockets import WebSocket, WebSocketDisconnect

from alertd.core import stream
from alertd.core.acknowledgement import Way
from alertd.core.alert import Language
from alertd.core.errors import Fault, Forbidden, StoreUnavailable, TooMany, Unauthenticated
from alertd.core.roles import Role
from alertd.core.stream import AckFrame, BadFrame, Close, PingFrame
from alertd.hub import Connection
from alertd.service import watching
from alertd.service.acknowledging import wish_of
from alertd.service.runtime import Actor
from alertd.web.context import in_thread, web_of
from alertd.web.endpoints import Other
from alertd.web.security import authenticate, check_origin

OTHERS: Final = (
    Other("GET", "/api/v1/stream", "The live stream, a WebSocket: see docs/api.md", ((101, "switched to WebSocket"),)),
)

log = logging.getLogger(__name__)

_SUBPROTOCOL: Final = "bearer."
_CLOSE_SECONDS: Final = 5.0
_POLICY: Final = 1008  # RFC 6455 section 7.4.1


async def stream_endpoint(socket: WebSocket) -> None:
    """`GET /api/v1/stream`: see the contract in docs/api.md. Refusals come as close codes, which a browser can read."""
    offered = next((name for name in socket.scope["subprotocols"] if name.startswith(_SUBPROTOCOL)), None)
    await socket.accept(subprotocol=offered)
    try:
        actor = await authenticate(socket, offered.removeprefix(_SUBPROTOCOL) if offered else None)
        if actor.kind == "session":
            check_origin(socket)
        connection = await _connection(socket, actor)
        after = _offset(socket)
    except TooMany as fault:
        await _refuse(socket, fault, Close.RESTARTING)
    except Unauthenticated as fault:
        await _refuse(socket, fault, Close.SIGN_IN_AGAIN)
    except Fault as fault:
        await _refuse(socket, fault, Close.NOT_YOURS)
    except ValueError as error:
        await socket.send_text(stream.error("invalid", str(error)))
        await socket.close(_POLICY, "invalid position")
    except StoreUnavailable:
        await socket.close(Close.RESTARTING, "the store is busy")
    else:
        await _serve(socket, actor, connection, after)


async def _refuse(socket: WebSocket, fault: Fault, code: Close) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        await socket.send_text(stream.error(fault.code, fault.message))
        await socket.close(code, fault.code)


async def _connection(socket: WebSocket, actor: Actor) -> Connection:
    watch = socket.query_params.get("watch")
    if watch is not None:
        if not actor.may(Role.VIEWER):
            raise Forbidden("watching an alert takes the role viewer")
        web = web_of(socket)
        await in_thread(lambda: watching.read_alert(web.rt, actor, watch))
    return Connection(
        actor.person_id,
        actor.credential_id,
        cast("Language", actor.language),
        hears_all=actor.may(Role.VIEWER),
        watch=watch,
    )


def _offset(socket: WebSocket) -> int | None:
    raw = socket.query_params.get("after")
    if raw is None or raw == "":
        return None
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 18):
        raise ValueError("after must be an offset: a whole number")
    return int(raw)


async def _serve(socket: WebSocket, actor: Actor, connection: Connection, after: int | None) -> None:
    hub = web_of(socket).hub
    writer = asyncio.create_task(_write(socket, connection))
    reader = asyncio.create_task(_read(socket, actor, connection))
    closed = asyncio.create_task(connection.closed.wait())
    attaching = asyncio.create_task(_attach(socket, connection, after))
    try:
        await asyncio.wait((writer, reader, closed), return_when=asyncio.FIRST_COMPLETED)
        if connection.closed.is_set():
            # A reader that has stopped reading may never take the close frame either; then the line is cut.
            await asyncio.wait((writer,), timeout=_CLOSE_SECONDS)
    finally:
        hub.detach(connection)
        tasks = (attaching, writer, reader, closed)
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, WebSocketDisconnect):
                log.error("a connection broke", exc_info=ended)


async def _attach(socket: WebSocket, connection: Connection, after: int | None) -> None:
    try:
        await web_of(socket).hub.attach(connection, after, socket.query_params.get("epoch"))
    except Exception as error:
        if not isinstance(error, StoreUnavailable):
            log.exception("a connection could not be greeted")
        connection.close(Close.RESTARTING)


async def _write(socket: WebSocket, connection: Connection) -> None:
    while True:
        frame = await connection.frames.get()
        if isinstance(frame, Close):
            await socket.close(frame, frame.name.lower())
            return
        await socket.send_text(frame)
        connection.written(frame)


async def _read(socket: WebSocket, actor: Actor, connection: Connection) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None:
            connection.send(stream.error("malformed", "frames are text"))
            continue
        frame = stream.read_frame(text)
        if isinstance(frame, PingFrame):
            connection.send(stream.pong())
        elif isinstance(frame, BadFrame):
            connection.send(stream.error(frame.code, frame.message, frame.ref))
        else:
            connection.send(await _acknowledge(socket, actor, frame))


async def _acknowledge(socket: WebSocket, actor: Actor, frame: AckFrame) -> str:
    """The frame that answers an acknowledgement, after it is committed."""
    wish = wish_of(
        actor, frame.alert, Way.WEBSOCKET, answer=frame.answer, comment=frame.comment, revision=frame.revision
    )
    try:
        await web_of(socket).acknowledgements.submit(wish)
    except Fault as fault:
        return stream.error(fault.code, fault.message, frame.ref)
    except StoreUnavailable:
        return stream.error("unavailable", "not kept: the store is busy; send it again", frame.ref)
    return stream.acknowledged(frame.alert, frame.ref)
