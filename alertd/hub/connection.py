"""One client's WebSocket after the handshake, as lean as it gets: no task, no queue, no parser of its own."""

import asyncio
import codecs
import os
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, cast

from alertd.core.alert import Language
from alertd.core.stream import FRAME_MAX, Close
from alertd.hub import frames
from alertd.hub.frames import Fault, Opcode, ProtocolError

BUFFER_MAX: Final = 256 * 1024  # bytes waiting for one reader before it is told to come back
_ROOM: Final = BUFFER_MAX // 2
_UNREAD_MAX: Final = 64 * 1024  # bytes from a client that wait for its answers before nothing more is read
_UNANSWERED_MAX: Final = 16  # answers under way for one client before its next frame waits


class _Phase(IntEnum):
    OPEN = 0
    CLOSING = 1  # a close frame was written: only the client's matters now
    DEAF = 2  # the client's close frame came, or it broke the protocol: nothing it sends matters
    GONE = 3


class Connection(asyncio.Protocol):
    """One client: who it is, what it was told last, and what waits to be written to it.

    `hear` gets each text message, None for a binary one; `lost` is called once, when the line is gone. Not
    thread-safe: the event loop's. Everything may be called in any phase and does nothing when it is too late.
    """

    __slots__ = (
        "_decoder",
        "_drained",
        "_fd",
        "_hear",
        "_lost",
        "_message",
        "_phase",
        "_room",
        "_size",
        "_transport",
        "_unanswered",
        "_unread",
        "_waiting",
        "credential_id",
        "hears_all",
        "language",
        "offset",
        "person_id",
        "quiet",
        "registry",
        "watch",
    )

    def __init__(
        self,
        person_id: str,
        credential_id: str,
        language: Language,
        *,
        hears_all: bool,
        watch: str | None,
        hear: "Callable[[Connection, str | None], None]",
        lost: "Callable[[Connection], None]",
    ) -> None:
        self.person_id = person_id
        self.credential_id = credential_id
        self.language = language
        self.hears_all = hears_all
        self.watch = watch
        self.offset = 0
        self.registry: set[Any] | None = None  # where whoever stops the server looks for connections
        self.quiet = 0  # beats of the hub since the last pong; once it is closing, since then
        self._hear = hear
        self._lost = lost
        self._transport: asyncio.Transport
        self._phase = _Phase.OPEN
        # The socket while a frame can be written past the transport: nothing waits, no TLS, not closing. Else -1. The
        # number is another connection's only after connection_lost, which takes it away.
        self._fd = -1
        self._waiting: deque[bytes] | None = None  # what the kernel does not take yet; None: it takes
        self._size = 0  # of what waits
        self._drained: asyncio.Future[None] | None = None
        self._unread = b""  # half a frame, or what comes while too many answers are under way
        self._unanswered = _UNANSWERED_MAX  # until it is greeted
        self._message: list[str] | None = None  # the fragments so far; binary ones are counted, not kept
        self._decoder: codecs.IncrementalDecoder | None = None
        self._room = FRAME_MAX

    @property
    def is_open(self) -> bool:
        return self._phase is _Phase.OPEN

    @property
    def is_closing(self) -> bool:
        """It was told to close, and the line is still there."""
        return self._phase in (_Phase.CLOSING, _Phase.DEAF)

    # What is written

    def send(self, frame: bytes) -> None:
        """Write a ready frame; a reader that is too far behind is closed instead, to come back and resume."""
        fd = self._fd
        if fd < 0:
            self._send_later(frame)
            return
        try:
            sent = os.write(fd, frame)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.cut()
            return
        if sent < len(frame):
            self._transport.write(frame[sent:])

    def say(self, text: str) -> None:
        """Write a text message."""
        self.send(frames.text(text))

    def tell(self, offset: int, frame: bytes) -> None:
        """Write an event, in order and once."""
        if offset > self.offset:
            self.offset = offset
            self.send(frame)

    def ping(self, frame: bytes) -> None:
        """Write a ping; it goes before the messages that wait (RFC 6455 section 5.4)."""
        if self._waiting is None:
            self.send(frame)
        elif self._phase is _Phase.OPEN:
            self._waiting.appendleft(frame)
            self._size += len(frame)

    async def room(self) -> None:
        """Return when at least half of the buffer is free, or the connection is not open any more."""
        while self._size > _ROOM and self._phase is _Phase.OPEN:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)

    def close(self, code: Close) -> None:
        """End the connection; of what still waits only an orderly restart lets anything be written."""
        if self._phase is _Phase.OPEN:
            if code is not Close.RESTARTING:
                self._forget_waiting()
            self._end(_Phase.CLOSING, frames.close(code, code.name.lower()))

    def shutdown(self) -> None:
        """The server stops: uvicorn's word for it."""
        self.close(Close.RESTARTING)

    def cut(self) -> None:
        """Drop the line without a word, and what waits with it."""
        if self._phase is not _Phase.GONE:
            self._fd = -1
            self._forget_waiting()
            self._transport.abort()

    def _send_later(self, frame: bytes) -> None:
        if self._phase is not _Phase.OPEN:
            return
        if self._waiting is None:
            self._transport.write(frame)
        elif self._size + len(frame) > BUFFER_MAX:
            self.close(Close.TOO_SLOW)
        else:
            self._waiting.append(frame)
            self._size += len(frame)

    def _end(self, phase: _Phase, frame: bytes) -> None:
        self._phase = phase
        self.quiet = 0
        self._fd = -1
        if self._waiting is None:
            self._transport.write(frame)
        else:
            self._waiting.append(frame)
            self._size += len(frame)
        self._wake()

    @property
    def _is_clogged(self) -> bool:
        return self._waiting is not None

    def _forget_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.clear()
            self._size = 0

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a socket over; from now on frames can be sent."""
        self._transport = cast("asyncio.Transport", transport)
        # The transport says at once when it has to keep something. One byte is not enough over TLS, which else would
        # never say that it is through.
        self._transport.set_write_buffer_limits(high=1 if self._is_tls else 0, low=0)
        if self._transport.get_write_buffer_size():
            self.pause_writing()
        else:
            self._write_directly()

    @property
    def _is_tls(self) -> bool:
        return self._transport.get_extra_info("sslcontext") is not None

    def _write_directly(self) -> None:
        if self._phase is _Phase.OPEN and not self._is_tls and not self._transport.is_closing():
            self._fd = self._transport.get_extra_info("socket").fileno()

    def pause_writing(self) -> None:
        self._fd = -1
        if self._waiting is None:
            self._waiting = deque()

    def resume_writing(self) -> None:
        waiting = self._waiting
        self._waiting = None  # until the transport says again that it has to keep something
        while waiting:
            frame = waiting.popleft()
            self._size -= len(frame)
            self._transport.write(frame)
            if self._is_clogged:
                self._waiting = waiting
                break
        else:
            self._write_directly()
            if self._phase is _Phase.DEAF:
                self._hang_up()
        if self._size <= _ROOM:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._phase = _Phase.GONE
        self._fd = -1
        self._forget_waiting()
        self._unread = b""
        self._message = self._decoder = None
        self._wake()
        if self.registry is not None:
            self.registry.discard(self)
        self._lost(self)

    # What is read

    def data_received(self, data: bytes) -> None:
        if self._phase is _Phase.DEAF:
            return
        self._unread = self._unread + data if self._unread else data
        if self._may_read():
            self._read()
        elif len(self._unread) > _UNREAD_MAX:
            self._transport.pause_reading()

    def listen(self) -> None:
        """Begin to read what the client says: it has been greeted."""
        self._unanswered -= _UNANSWERED_MAX
        self._go_on()

    def _may_read(self) -> bool:
        if self._phase is _Phase.OPEN:
            return self._unanswered < _UNANSWERED_MAX
        return self._phase is _Phase.CLOSING

    def await_answer(self, answer: "asyncio.Task[None]") -> None:
        """Count an answer as under way until `answer` is done: a client with too many is read no further."""
        self._unanswered += 1
        answer.add_done_callback(self._answered)

    def _answered(self, _answer: "asyncio.Task[None]") -> None:
        self._unanswered -= 1
        self._go_on()

    def _go_on(self) -> None:
        if self._unread and self._may_read():
            self._read()
            self._transport.resume_reading()

    def _read(self) -> None:
        at = 0
        try:
            while self._may_read():
                frame = frames.read(self._unread, at, self._room)
                if frame is None:
                    break
                at = frame.end
                self._take(frame.opcode, frame.payload, is_final=frame.is_final)
        except ProtocolError as error:
            self._fail(error)
        self._unread = self._unread[at:]

    def _take(self, opcode: int, payload: bytes, *, is_final: bool) -> None:
        if opcode == Opcode.PONG:
            if self._phase is _Phase.OPEN:
                self.quiet = 0
        elif opcode == Opcode.PING:
            self.ping(frames.pong(payload))
        elif opcode == Opcode.CLOSE:
            self._take_close(payload)
        elif self._message is None and is_final:
            self._take_whole(opcode, payload)
        else:
            self._take_fragment(opcode, payload, is_final=is_final)

    def _take_whole(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.CONTINUATION:
            raise ProtocolError(Fault.PROTOCOL, "nothing to continue")
        try:
            text = payload.decode() if opcode == Opcode.TEXT else None
        except UnicodeDecodeError:
            raise ProtocolError(Fault.NOT_TEXT, "a text is UTF-8") from None
        self._pass_on(text)

    def _take_fragment(self, opcode: int, payload: bytes, *, is_final: bool) -> None:
        if (opcode == Opcode.CONTINUATION) is (self._message is None):
            raise ProtocolError(Fault.PROTOCOL, "fragments follow each other, the first says of what")
        if self._message is None:
            self._message = []
            if opcode == Opcode.TEXT:
                self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._room -= len(payload)
        if self._decoder is not None:
            try:
                self._message.append(self._decoder.decode(payload, is_final))
            except UnicodeDecodeError:
                raise ProtocolError(Fault.NOT_TEXT, "a text is UTF-8") from None
        if is_final:
            text = "".join(self._message) if self._decoder is not None else None
            self._message, self._decoder, self._room = None, None, FRAME_MAX
            self._pass_on(text)

    def _pass_on(self, text: str | None) -> None:
        if self._phase is _Phase.OPEN:
            self._hear(self, text)

    def _take_close(self, payload: bytes) -> None:
        code = frames.read_close(payload)
        self._forget_waiting()
        if self._phase is _Phase.OPEN:
            self._end(_Phase.DEAF, frames.close(code))
        self._phase = _Phase.DEAF
        for frame in self._waiting or ():
            self._transport.write(frame)
        self._forget_waiting()
        self._transport.close()

    def _fail(self, error: ProtocolError) -> None:
        if self._phase is not _Phase.OPEN:
            self.cut()
            return
        self._forget_waiting()
        self._end(_Phase.DEAF, frames.close(error.code, str(error)))
        if self._waiting is None:
            self._hang_up()

    def _hang_up(self) -> None:
        # Half a close: a whole one, with something unread in the kernel, could take the close frame with it.
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()
