"""Acknowledges over the live stream as fast as it is confirmed: `python -m tests.bench.stream_loader PORT`.

Its input is JSON: `tokens`, of one person each, who are all connected, and `alerts`, all of which each of them
acknowledges, the next when the one before is confirmed. As little more than writing and reading as `loader` is.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from tests.bench.loader import Load, ask_loader, first_of

_CONFIRMED: Final = b'{"type":"acknowledged"'
_HELLO: Final = b'{"type":"hello"'
_ERROR: Final = b'{"type":"error"'


def load_stream(port: int, tokens: Sequence[str], alerts: Sequence[str]) -> Load:
    """Let each of these people acknowledge each of these alerts; from when all are connected on."""
    told = json.dumps({"tokens": tokens, "alerts": alerts})
    return ask_loader([sys.executable, "-m", "tests.bench.stream_loader", str(port)], told)


class _Phone(asyncio.Protocol):
    def __init__(self, everybody: "_Everybody", request: bytes) -> None:
        self._everybody = everybody
        self._request = request
        self._held = b""
        self._sent = 0
        self._began = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def acknowledge(self) -> None:
        if self._sent < len(self._everybody.frames):
            self._began = time.perf_counter()
            self._transport.write(self._everybody.frames[self._sent])
            self._sent += 1

    def data_received(self, data: bytes) -> None:
        self._held += data
        if self._held.startswith(b"HTTP/1.1 101 "):
            _, over, rest = self._held.partition(b"\r\n\r\n")
            if not over:
                return
            self._held = rest
        while (frame := _first_frame(self._held)) is not None:
            payload, self._held = frame
            self._hear(payload)

    def _hear(self, payload: bytes) -> None:
        if payload.startswith(_HELLO):
            self._everybody.greet()
        elif payload.startswith((_CONFIRMED, _ERROR)):
            latency = time.perf_counter() - self._began
            self._everybody.hear(payload.decode() if payload.startswith(_ERROR) else None, latency)
            self.acknowledge()

    def connection_lost(self, error: Exception | None) -> None:
        self._everybody.broken.set()


class _Everybody:
    def __init__(self, tokens: Sequence[str], alerts: Sequence[str]) -> None:
        self._tokens = tokens
        self.frames = [_masked(json.dumps({"type": "ack", "alert": alert}).encode()) for alert in alerts]
        self._count = len(tokens) * len(alerts)
        self._missing = len(tokens)
        self._latencies: list[float] = []
        self._refusals: list[str] = []
        self.greeted = asyncio.Event()
        self.done = asyncio.Event()
        self.broken = asyncio.Event()

    def greet(self) -> None:
        self._missing -= 1
        if not self._missing:
            self.greeted.set()

    def hear(self, refusal: str | None, latency: float) -> None:
        self._latencies.append(latency)
        if refusal is not None:
            self._refusals.append(refusal)
        if len(self._latencies) == self._count:
            self.done.set()

    async def run(self, port: int) -> Load:
        loop = asyncio.get_running_loop()
        phones = []
        for token in self._tokens:
            request = _handshake(token)
            _, phone = await loop.create_connection(lambda: _Phone(self, request), "127.0.0.1", port)  # noqa: B023
            phones.append(phone)
        await self._wait_for(self.greeted)
        began = time.perf_counter()
        for phone in phones:
            phone.acknowledge()
        await self._wait_for(self.done)
        return Load.of(self._latencies, self._refusals, time.perf_counter() - began)

    async def _wait_for(self, event: asyncio.Event) -> None:
        await first_of(event, self.broken)
        if not event.is_set():
            raise RuntimeError(f"{len(self._latencies)} of {self._count} were confirmed")


def _handshake(token: str) -> bytes:
    return (
        "GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def _masked(payload: bytes) -> bytes:
    """A client's short text frame, masked with zeros."""
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload


def _first_frame(held: bytes) -> tuple[bytes, bytes] | None:
    """The payload of the first frame and what comes after it; None while it is not whole."""
    if len(held) < 2:
        return None
    length, head = held[1], 2
    if length >= 126:
        head = 4 if length == 126 else 10
        length = int.from_bytes(held[2:head], "big")
    if len(held) < max(head, head + length):
        return None
    return held[head : head + length], held[head + length :]


def _main() -> None:
    told = json.loads(sys.stdin.read())
    everybody = _Everybody(told["tokens"], told["alerts"])
    print(json.dumps(asdict(asyncio.run(everybody.run(int(sys.argv[1]))))))


if __name__ == "__main__":
    _main()
