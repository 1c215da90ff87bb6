"""WebSocket frames as bytes (RFC 6455 section 5): what a server writes, and how it reads what a client wrote."""

import struct
from enum import IntEnum
from typing import Final, NamedTuple


class Opcode(IntEnum):
    """RFC 6455 section 11.8; every other one is a mistake."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Fault(IntEnum):
    """Why a server fails a connection (RFC 6455 section 7.4.1)."""

    PROTOCOL = 1002
    UNSUITABLE = 1003
    NOT_TEXT = 1007
    TOO_BIG = 1009


class ProtocolError(Exception):
    """The client broke the protocol: the connection is failed with `code`."""

    def __init__(self, code: Fault, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Frame(NamedTuple):
    """A client's frame, unmasked, and where in the buffer the next one starts."""

    is_final: bool
    opcode: int
    payload: bytes
    end: int


_CONTROL: Final = 0x08
_CONTROL_MAX: Final = 125
_OPCODES: Final = frozenset(Opcode)
NORMAL: Final = 1000
_CLOSE_CODES: Final = frozenset((NORMAL, 1001, 1002, 1003, *range(1007, 1015)))  # registered, and allowed on the wire


def text(payload: str) -> bytes:
    """A whole message, ready to be written."""
    return _frame(Opcode.TEXT, payload.encode())


def ping(payload: bytes = b"") -> bytes:
    return _frame(Opcode.PING, payload)


def pong(payload: bytes) -> bytes:
    return _frame(Opcode.PONG, payload)


def close(code: int | None, reason: str = "") -> bytes:
    """A close frame; `code` None echoes one that gave no code. `reason` is at most 123 bytes."""
    return _frame(Opcode.CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


def _frame(opcode: Opcode, payload: bytes) -> bytes:
    length = len(payload)
    if length <= _CONTROL_MAX:
        return bytes((0x80 | opcode, length)) + payload
    if length < 1 << 16:
        return struct.pack("!BBH", 0x80 | opcode, 126, length) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, length) + payload


def read(buffer: bytes, start: int, room: int) -> Frame | None:
    """The frame that begins at `start`, None while it is not whole; `room`: how many bytes the message may still have.

    Raises ProtocolError as soon as the header shows that the frame cannot be taken, before its payload has come.
    """
    if len(buffer) - start < 2:
        return None
    first, second = buffer[start], buffer[start + 1]
    opcode, length = first & 0x0F, second & 0x7F
    if first & 0x70:
        raise ProtocolError(Fault.PROTOCOL, "reserved bits without an extension")
    if opcode not in _OPCODES:
        raise ProtocolError(Fault.PROTOCOL, "unknown opcode")
    if not second & 0x80:
        raise ProtocolError(Fault.PROTOCOL, "a client masks its frames")
    if opcode & _CONTROL:
        if length > _CONTROL_MAX or not first & 0x80:
            raise ProtocolError(Fault.PROTOCOL, "a control frame is short and whole")
        room = _CONTROL_MAX
    at = start + 2
    if length > _CONTROL_MAX:
        size = 2 if length == 126 else 8
        if len(buffer) - at < size:
            return None
        length = int.from_bytes(buffer[at : at + size], "big")
        at += size
        if length >> 63:
            raise ProtocolError(Fault.PROTOCOL, "a length has 63 bits")
    if length > room:
        raise ProtocolError(Fault.TOO_BIG, "a message beyond the size that is taken")
    end = at + 4 + length
    if len(buffer) < end:
        return None
    return Frame(bool(first & 0x80), opcode, _unmasked(buffer[at : at + 4], buffer[at + 4 : end]), end)


def _unmasked(mask: bytes, payload: bytes) -> bytes:
    # As two large numbers: a loop over bytes takes a hundred times as long.
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")


def read_close(payload: bytes) -> int | None:
    """The code of a close frame, None when it gives none. Raises ProtocolError (RFC 6455 sections 5.5.1 and 7.4)."""
    if not payload:
        return None
    if len(payload) == 1:
        raise ProtocolError(Fault.PROTOCOL, "a close code has two bytes")
    code = int.from_bytes(payload[:2], "big")
    if code not in _CLOSE_CODES and not 3000 <= code <= 4999:
        raise ProtocolError(Fault.PROTOCOL, "no such close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(Fault.NOT_TEXT, "a reason is UTF-8") from None
    return code
