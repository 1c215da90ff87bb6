"""The live stream: a WebSocket that says hello, replays, and then tells as it happens.

The application does the handshake and decides who may come in; then the socket is the hub's.
"""

import asyncio
import logging
from typing import Final, cast

from starlette.websockets import WebSocket

from alertd.core import stream
from alertd.core.acknowledgement import Way
from alertd.core.alert import Language
from alertd.core.errors import Fault, Forbidden, StoreUnavailable, TooMany, Unauthenticated
from alertd.core.roles import Role
from alertd.core.stream import AckFrame, BadFrame, Close, PingFrame
from alertd.hub import EXTENSION, Connection, Handshake
from alertd.service import watching
from alertd.service.acknowledging import Acknowledged, Acknowledging
from alertd.service.group_commit import GroupCommit
from alertd.service.runtime import Actor
from alertd.web.context import in_thread, web_of
from alertd.web.endpoints import Other
from alertd.web.security import authenticate, check_origin

OTHERS: Final = (
    Other("GET", "/api/v1/stream", "The live stream, a WebSocket: see docs/api.md", ((101, "switched to WebSocket"),)),
)

log = logging.getLogger(__name__)

_SUBPROTOCOL: Final = "bearer."
_POLICY: Final = 1008  # RFC 6455 section 7.4.1


async def stream_endpoint(socket: WebSocket) -> None:
    """`GET /api/v1/stream`: see the contract in docs/api.md. Refusals come as close codes, which a browser can read."""
    offered = next((name for name in socket.scope["subprotocols"] if name.startswith(_SUBPROTOCOL)), None)
    # Whoever waits for the answer to their handshake waits for us; answered first, a whole town would stand in here.
    try:
        actor = await authenticate(socket, offered.removeprefix(_SUBPROTOCOL) if offered else None)
        if actor.kind == "session":
            check_origin(socket)
        await _check_watch(socket, actor)
        after = _offset(socket)
    except (Fault, StoreUnavailable, ValueError) as refusal:
        _handshake(socket).turn_away(offered, *_words(refusal))
    else:
        await _serve(socket, offered, actor, after)


def _handshake(socket: WebSocket) -> Handshake:
    handshake: Handshake = socket.scope["extensions"][EXTENSION]
    return handshake


def _words(refusal: Fault | StoreUnavailable | ValueError) -> tuple[str | None, int, str]:
    """What somebody who is turned away is told: the last message, the close code and its reason."""
    if isinstance(refusal, StoreUnavailable):
        return None, Close.RESTARTING, "the store is busy"
    if isinstance(refusal, ValueError):
        return stream.error("invalid", str(refusal)), _POLICY, "invalid position"
    return stream.error(refusal.code, refusal.message), _close_code(refusal), refusal.code


def _close_code(fault: Fault) -> Close:
    if isinstance(fault, TooMany):
        return Close.RESTARTING
    return Close.SIGN_IN_AGAIN if isinstance(fault, Unauthenticated) else Close.NOT_YOURS


async def _check_watch(socket: WebSocket, actor: Actor) -> None:
    """Raises Forbidden, NotFound unless what is to be watched may be watched."""
    watch = socket.query_params.get("watch")
    if watch is None:
        return
    if not actor.may(Role.VIEWER):
        raise Forbidden("watching an alert takes the role viewer")
    web = web_of(socket)
    await in_thread(lambda: watching.read_alert(web.rt, actor, watch))


def _offset(socket: WebSocket) -> int | None:
    raw = socket.query_params.get("after")
    if raw is None or raw == "":
        return None
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 18):
        raise ValueError("after must be an offset: a whole number")
    return int(raw)


async def _serve(socket: WebSocket, offered: str | None, actor: Actor, after: int | None) -> None:
    web = web_of(socket)
    hearing: Hearing = socket.app.state.hearing
    connection = Connection(
        actor.person_id,
        actor.credential_id,
        cast("Language", actor.language),
        hears_all=actor.may(Role.VIEWER),
        watch=socket.query_params.get("watch"),
        hear=hearing.hear,
        lost=web.hub.forget,
    )
    if not _handshake(socket).hand_over(connection, offered):
        return
    try:
        await web.hub.attach(connection, after, socket.query_params.get("epoch"))
    except StoreUnavailable:
        connection.close(Close.RESTARTING)
    except Exception:
        log.exception("a connection could not be greeted")
        connection.close(Close.RESTARTING)


class Hearing:
    """Takes in what clients say. A client's acknowledgements are kept and answered in the order in which they came."""

    def __init__(self, acknowledgements: GroupCommit[Acknowledging, Acknowledged]) -> None:
        self._acknowledgements = acknowledgements
        self._answering: set[asyncio.Task[None]] = set()

    def hear(self, connection: Connection, text: str | None) -> None:
        if text is None:
            connection.say(stream.error("malformed", "frames are text"))
            return
        frame = stream.read_frame(text)
        if isinstance(frame, PingFrame):
            connection.say(stream.pong())
        elif isinstance(frame, BadFrame):
            connection.say(stream.error(frame.code, frame.message, frame.ref))
        else:
            task = asyncio.create_task(self._answer(connection, frame))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            connection.await_answer(task)

    async def _answer(self, connection: Connection, frame: AckFrame) -> None:
        try:
            connection.say(await self._acknowledge(connection.person_id, frame))
        except Exception:
            log.exception("a connection broke")
            connection.close(Close.RESTARTING)

    async def _acknowledge(self, person_id: str, frame: AckFrame) -> str:
        """The frame that answers an acknowledgement, after it is committed."""
        wish = Acknowledging(
            Way.WEBSOCKET,
            frame.alert,
            person_id,
            answer=frame.answer,
            comment=frame.comment,
            revision=frame.revision,
        )
        try:
            await self._acknowledgements.submit(wish)
        except Fault as fault:
            return stream.error(fault.code, fault.message, frame.ref)
        except StoreUnavailable:
            return stream.error("unavailable", "not kept: the store is busy; send it again", frame.ref)
        return stream.acknowledged(frame.alert, frame.ref)
