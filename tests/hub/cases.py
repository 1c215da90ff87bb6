"""What the Autobahn test suite asks of a server, as data: its groups and numbers, its cases written anew from RFC 6455.

Autobahn talks to a server that echoes. Ours answers a text `{"type": "ping"}` with `{"type": "pong"}` whatever else
stands in it, and everything that says nothing with an error; that takes the echo's place.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from alertd.core.stream import FRAME_MAX
from tests.hub.raw import BINARY, CONTINUATION, PING, PONG, TEXT, close, fragments, frame, pieces

Answer = str | bytes
"""What a text is answered with (its type, or its error's code), or the payload of a pong frame."""


@dataclass(frozen=True)
class Case:
    name: str
    sent: tuple[bytes, ...]
    """Each is a write of its own."""
    answers: tuple[Answer, ...] = ()
    ends: int | None = None
    """The code of the server's close frame; 0: one without a code; None: the line stays."""


def ping_of(size: int) -> bytes:
    """An application ping of so many bytes."""
    return b'{"type":"ping","x":"' + b"*" * (size - 22) + b'"}'


ASKS: Final = ping_of(40)


def framing() -> Iterator[Case]:
    for size in (40, 125, 126, 127, 128, FRAME_MAX):
        yield Case(f"1.1 text of {size}", (frame(TEXT, ping_of(size)),), ("pong",))
    for chop in (1, 997):
        message = frame(TEXT, ping_of(3_000))
        yield Case(f"1.1 text of 3000 in writes of {chop}", tuple(pieces(message, chop)), ("pong",))
    yield Case("1.1 empty text", (frame(TEXT),), ("malformed",))
    for size in (0, 125, 126, 127, 128, FRAME_MAX):
        yield Case(f"1.2 binary of {size}", (frame(BINARY, b"\xfe" * size),), ("malformed",))
    for size in (2, 8):
        yield Case(f"1.x length in {size} bytes", (frame(TEXT, ASKS, size=size),), ("pong",))
    yield Case("1.x many in one write", (frame(TEXT, ASKS) * 50,), ("pong",) * 50)
    yield Case("1.x mask of zeros", (frame(TEXT, ASKS, mask=bytes(4)),), ("pong",))
    yield Case("1.x not masked", (frame(TEXT, ASKS, mask=None),), (), 1002)
    yield Case("1.x not masked, only the head", (b"\x81\x05",), (), 1002)
    yield Case("1.x length of 64 bits", (b"\x81\xff" + b"\xff" * 8,), (), 1002)


def pings() -> Iterator[Case]:
    for payload in (b"", b"hello", b"\0\xff\xfe\xfd\xfc\xfb\0\xff", b"\xfe" * 125):
        yield Case(f"2.1-4 ping of {len(payload)}", (frame(PING, payload),), (payload,))
    yield Case("2.5 ping of 126", (frame(PING, b"\xfe" * 126),), (), 1002)
    yield Case("2.6 ping octet by octet", tuple(pieces(frame(PING, b"\xfe" * 125), 1)), (b"\xfe" * 125,))
    yield Case("2.7 pong nobody asked for", (frame(PONG),))
    yield Case("2.8 the same with a payload", (frame(PONG, b"unasked"),))
    yield Case("2.9 and a ping", (frame(PONG, b"unasked"), frame(PING, b"asked")), (b"asked",))
    many = [b"payload-%d" % number for number in range(10)]
    yield Case("2.10 ten pings", tuple(frame(PING, each) for each in many), tuple(many))
    octets = pieces(b"".join(frame(PING, each) for each in many), 1)
    yield Case("2.11 ten pings octet by octet", tuple(octets), tuple(many))


def reserved_bits() -> Iterator[Case]:
    for rsv in range(1, 8):
        yield Case(f"3.1 text with rsv {rsv}", (frame(TEXT, ASKS, rsv=rsv),), (), 1002)
        yield Case(f"3.2-4 after a text, rsv {rsv}", (frame(TEXT, ASKS), frame(TEXT, ASKS, rsv=rsv), frame(PING)),
                   ("pong",), 1002)  # fmt: skip
        yield Case(f"3.5 binary with rsv {rsv}", (frame(BINARY, b"\0" * 8, rsv=rsv),), (), 1002)
        yield Case(f"3.6 ping with rsv {rsv}", (frame(PING, b"hello", rsv=rsv),), (), 1002)
        yield Case(f"3.7 close with rsv {rsv}", (frame(8, struct.pack("!H", 1000), rsv=rsv),), (), 1002)


def opcodes() -> Iterator[Case]:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield Case(f"4 opcode {opcode}", (frame(opcode),), (), 1002)
        yield Case(f"4 opcode {opcode} with a payload", (frame(opcode, b"payload"),), (), 1002)
        yield Case(f"4 opcode {opcode} after a text", (frame(TEXT, ASKS), frame(opcode, b"x"), frame(PING)),
                   ("pong",), 1002)  # fmt: skip


def fragmentation() -> Iterator[Case]:
    first, second = ASKS[:20], ASKS[20:]
    start, end = frame(TEXT, first, fin=False), frame(CONTINUATION, second)
    for name, opcode in (("5.1 ping", PING), ("5.2 pong", PONG)):
        yield Case(f"{name} in fragments", (frame(opcode, b"a", fin=False), frame(CONTINUATION, b"b")), (), 1002)
    yield Case("5.3 two fragments", (start, end), ("pong",))
    yield Case("5.4 in one write", (start + end,), ("pong",))
    yield Case("5.5 octet by octet", tuple(pieces(start + end, 1)), ("pong",))
    between = start + frame(PING, b"between") + end
    yield Case("5.6 a ping between", tuple(pieces(between, len(between))), (b"between", "pong"))
    yield Case("5.7 a ping between, frame by frame", (start, frame(PING, b"between"), end), (b"between", "pong"))
    yield Case("5.8 a ping between, octet by octet", tuple(pieces(between, 1)), (b"between", "pong"))
    for name, fin in (("5.9-11 a last", True), ("5.12-14 a first", False)):
        lone = frame(CONTINUATION, b"nothing to continue", fin=fin)
        yield Case(f"{name} continuation of nothing", (lone,), (), 1002)
        yield Case(f"{name} continuation of nothing, before a text", (lone + frame(TEXT, ASKS),), (), 1002)
        yield Case(f"{name} continuation of nothing, octets", tuple(pieces(lone, 1)), (), 1002)
    yield Case("5.15 a continuation after a message", (start, end, frame(CONTINUATION, b"x")), ("pong",), 1002)
    for opcode in (TEXT, BINARY):
        yield Case(f"5.16-18 a new message (opcode {opcode}) within one", (start, frame(opcode, second)), (), 1002)
    parts = fragments(ASKS, 8)
    mixed = [*parts[:2], frame(PING, b"1"), *parts[2:3], frame(PING, b"2"), *parts[3:]]
    yield Case("5.19 five fragments and two pings", tuple(mixed), (b"1", b"2", "pong"))
    yield Case("5.20 the same in one write", (b"".join(mixed),), (b"1", b"2", "pong"))
    yield Case("5.x a pong between", (start, frame(PONG, b"x"), end), ("pong",))
    yield Case("5.x a close between", (start, close(1000)), (), 1000)
    yield Case("5.x empty fragments", (frame(TEXT, fin=False), *[frame(CONTINUATION, fin=False)] * 3,
                                       frame(CONTINUATION)), ("malformed",))  # fmt: skip
    yield Case("5.x binary", tuple(fragments(b"\xfe" * 60, 20, BINARY)), ("malformed",))


# Boundaries and examples of RFC 3629 (Autobahn 6.5 to 6.23).
_BOUNDARIES: Final = (
    0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1FFFE, 0xFFFFF, 0x10FFFF,
)  # fmt: skip
VALID: Final = (
    *map(chr, _BOUNDARIES), "κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "避難所を開設しました", "\U0001f6a8\u0301",
)  # fmt: skip
INVALID: Final = (
    b"\x80", b"\xbf", b"\x80\xbf\x80", b"\xc0\x20", b"\xc3", b"\xe0\x80", b"\xe3\x81", b"\xf0\x9f\x9a", b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xc0\x80", b"\xf4\x90\x80\x80",
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xad\xbf\xed\xb0\x80", b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited",
)  # fmt: skip


def utf8() -> Iterator[Case]:
    for text in VALID:
        said = b'{"type":"ping","x":"%s"}' % text.encode()
        yield Case(f"6.2 {text!a}", (frame(TEXT, said),), ("pong",))
        yield Case(f"6.2 {text!a}, a frame an octet", tuple(fragments(said, 1)), ("pong",))
        yield Case(f"6.2 {text!a}, a write an octet", tuple(pieces(frame(TEXT, said), 1)), ("pong",))
    for octets in INVALID:
        yield Case(f"6.3 {octets.hex()}", (frame(TEXT, octets),), (), 1007)
        yield Case(f"6.3 {octets.hex()} within a text", (frame(TEXT, b'{"x":"' + octets + b'"}'),), (), 1007)
        yield Case(f"6.3 {octets.hex()}, a frame an octet", tuple(fragments(octets, 1)), (), 1007)
    good = "κόσμε".encode()
    start = frame(TEXT, good, fin=False)
    never = frame(CONTINUATION, b"\xf4\x90\x80\x80", fin=False)
    yield Case("6.4 refused before the message ends", (start, never), (), 1007)
    yield Case("6.4 half a character at the end", (start, frame(CONTINUATION, b"\xce")), (), 1007)
    yield Case("6.x anything is binary", (frame(BINARY, b"\xed\xa0\x80"),), ("malformed",))


def closing() -> Iterator[Case]:
    yield Case("7.1.1 after a text", (frame(TEXT, ASKS), close(1000)), ("pong",), 1000)
    yield Case("7.1.2 twice", (close(1000) + close(1000),), (), 1000)
    yield Case("7.1.3 a ping after it", (close(1000) + frame(PING, b"late"),), (), 1000)
    yield Case("7.1.4 a text after it", (close(1000) + frame(TEXT, ASKS),), (), 1000)
    yield Case("7.1.5 within a message", (frame(TEXT, b"{", fin=False) + close(1000) + frame(CONTINUATION, b"}"),),
               (), 1000)  # fmt: skip
    yield Case("7.1.6 after a long text", (frame(TEXT, ping_of(FRAME_MAX)), close(1000)), ("pong",), 1000)
    yield Case("7.x garbage after it", (close(1000) + b"\xff" * 40,), (), 1000)
    yield Case("7.3.1 without a code", (close(),), (), 0)
    yield Case("7.3.2 half a code", (frame(8, b"\x03"),), (), 1002)
    yield Case("7.3.3 a code", (close(1000),), (), 1000)
    yield Case("7.3.4 a reason", (close(1000, b"Hello World!"),), (), 1000)
    yield Case("7.3.5 the longest reason", (close(1000, b"*" * 123),), (), 1000)
    yield Case("7.3.6 a longer reason", (close(1000, b"*" * 124),), (), 1002)
    yield Case("7.5.1 a reason that is no text", (close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80"),), (), 1007)
    for code in (1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999):
        yield Case(f"7.7 code {code}", (close(code),), (), code)
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Case(f"7.9 code {code}", (close(code),), (), 1002)
        yield Case(f"7.9 code {code} and a reason", (close(code, b"why"),), (), 1002)
    yield Case("7.x octet by octet", tuple(pieces(close(1000, "さようなら".encode()), 1)), (), 1000)
    yield Case("7.x in fragments", (frame(8, struct.pack("!H", 1000), fin=False),), (), 1002)


def limits() -> Iterator[Case]:
    more = FRAME_MAX + 1
    yield Case("9.1 a text beyond the limit", (frame(TEXT, b"*" * more),), (), 1009)
    yield Case("9.2 a binary beyond the limit", (frame(BINARY, b"*" * more),), (), 1009)
    yield Case("9.x refused by its head", (b"\x81\xff" + struct.pack("!Q", 1 << 40),), (), 1009)
    for size in (64, 4_096):
        whole = ping_of(FRAME_MAX)
        yield Case(f"9.3 the longest text in fragments of {size}", tuple(fragments(whole, size)), ("pong",))
        beyond = fragments(b"*" * more, size)
        yield Case(f"9.4 a longer one in fragments of {size}", (b"".join(beyond),), (), 1009)
        binary = fragments(b"*" * more, size, BINARY)
        yield Case(f"9.4 the same in binary, {size}", (b"".join(binary),), (), 1009)
    yield Case("9.5 the longest in writes of 256", tuple(pieces(frame(TEXT, ping_of(FRAME_MAX)), 256)), ("pong",))
    yield Case("9.7 a thousand texts", (frame(TEXT, ASKS) * 1_000,), ("pong",) * 1_000)
    yield Case("9.x the limit is a message's", tuple(fragments(ping_of(FRAME_MAX), 5_000)) * 3, ("pong",) * 3)


GROUPS: Final = (framing, pings, reserved_bits, opcodes, fragmentation, utf8, closing, limits)
CASES: Final = tuple(case for group in GROUPS for case in group())
