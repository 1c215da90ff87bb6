"""A WebSocket client of bare bytes, written from RFC 6455: it can also say what no library would."""

import base64
import hashlib
import os
import re
import socket
import struct
from collections.abc import Iterator
from typing import Final, Self
from urllib.parse import urlsplit

from tests.web.server import PATIENCE, ROOT

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MASK: Final = b"\x37\xfa\x21\x3d"  # the one of the examples in section 5.7


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK, size: int = 0
) -> bytes:
    """A client's frame. `size` 2 or 8 writes the length longer than it needs to be."""
    length = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    masked = 0x80 if mask is not None else 0
    if size == 8 or length > 0xFFFF:
        head += bytes([masked | 127]) + struct.pack("!Q", length)
    elif size == 2 or length > 125:
        head += bytes([masked | 126]) + struct.pack("!H", length)
    else:
        head += bytes([masked | length])
    if mask is None:
        return head + payload
    return head + mask + bytes(octet ^ mask[at % 4] for at, octet in enumerate(payload))


def close(code: int | None = None, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def pieces(message: bytes, size: int) -> list[bytes]:
    return [message[at : at + size] for at in range(0, len(message), size)]


def fragments(payload: bytes, size: int, opcode: int = TEXT) -> list[bytes]:
    """A message in frames of at most `size` bytes."""
    parts = pieces(payload, size) or [b""]
    return [
        frame(CONTINUATION if number else opcode, part, fin=number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]


def request(url: str, token: str | None, query: str = "", *more: str, key: str = "") -> bytes:
    """The opening handshake (section 4.1)."""
    lines = [
        f"GET {ROOT}/stream{query} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key or base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *([f"Authorization: Bearer {token}"] if token else []),
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class Raw:
    """A connection. Every read waits at most PATIENCE seconds, and then raises TimeoutError."""

    def __init__(self, url: str, *, narrow: bool = False) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self.url = url
        self.line = socket.socket()
        if narrow:  # it takes in next to nothing before it is read
            self.line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.line.settimeout(PATIENCE)
        self.line.connect((parts.hostname, parts.port))
        self.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = b""
        self.headers = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def open(self, token: str | None, query: str = "", *more: str) -> Self:
        """Shake hands; AssertionError when that is not answered as it must be (section 4.2.2)."""
        key = base64.b64encode(os.urandom(16)).decode()
        self.send(request(self.url, token, query, *more, key=key))
        self.take_answer(key)
        return self

    def take_headers(self, status: int) -> None:
        while b"\r\n\r\n" not in self._read:
            more = self.line.recv(65_536)
            assert more, "the server hung up"
            self._read += more
        self.headers, _, self._read = self._read.partition(b"\r\n\r\n")
        assert self.headers.startswith(b"HTTP/1.1 %d " % status), self.headers

    def take_answer(self, key: str | None = None) -> None:
        self.take_headers(101)
        if key is not None:
            accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest())
            assert re.search(rb"(?im)^sec-websocket-accept: *" + re.escape(accept) + rb"\r?$", self.headers)

    def send(self, data: bytes) -> None:
        self.line.sendall(data)

    def _exactly(self, count: int) -> bytes | None:
        while len(self._read) < count:
            try:
                more = self.line.recv(65_536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self._read += more
        taken, self._read = self._read[:count], self._read[count:]
        return taken

    def receive(self) -> tuple[int, bytes] | None:
        """The next frame, as opcode and payload; None when the line ends. A server's is whole and not masked."""
        head = self._exactly(2)
        if head is None:
            return None
        assert head[0] & 0xF0 == 0x80, "one frame a message, no reserved bits"
        assert not head[1] & 0x80, "a server does not mask"
        length = head[1]
        if length > 125:
            size = 2 if length == 126 else 8
            length = int.from_bytes(self._exactly(size) or b"", "big")
            assert length > (125 if size == 2 else 0xFFFF), "a length is as short as can be"
        payload = self._exactly(length)
        return None if payload is None else (head[0] & 0x0F, payload)

    def everything(self) -> bytes:
        """Whatever comes until the line ends."""
        while more := self.line.recv(65_536):
            self._read += more
        return self._read

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """Every frame until the line ends."""
        while (received := self.receive()) is not None:
            yield received
