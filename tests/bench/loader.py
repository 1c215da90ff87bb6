"""Asks a web server as fast as it answers, or at a given rate: `python -m tests.bench.loader PORT`.

Each line of its input is a path to POST to. A program of its own which does little more than write and read, so that
the same can be asked of whatever is compared.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

_BEAT: Final = 0.002  # seconds between two looks at what is due, when there is a rate
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LATE: Final = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it; latencies in seconds."""

    answered: int
    refusals: list[str]  # the beginnings of the first few answers that were no success
    seconds: float
    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, latencies: Sequence[float], refusals: Sequence[str], seconds: float) -> "Load":
        taken = sorted(latencies)
        middle, high = taken[len(taken) // 2], taken[min(len(taken) - 1, len(taken) * 99 // 100)]
        return cls(len(taken) - len(refusals), list(refusals[:3]), seconds, middle, high, taken[-1])

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


def load(port: int, paths: Sequence[str], *, connections: int, rate: float | None = None) -> Load:
    """POST to each of these paths once."""
    command = [sys.executable, "-m", "tests.bench.loader", str(port), "--connections", str(connections)]
    command += ["--rate", str(rate)] if rate else []
    return ask_loader(command, "\n".join(paths))


def ask_loader(command: Sequence[str], told: str) -> Load:
    """What a loader that is told this says came of it; RuntimeError if anything was refused."""
    said = subprocess.run(command, input=told, check=True, stdout=subprocess.PIPE, text=True).stdout
    taken = Load(**json.loads(said))
    if taken.refusals:
        raise RuntimeError(f"refused: {taken.refusals[0]}")
    return taken


class _Connection(asyncio.Protocol):
    def __init__(self, asker: "_Asker") -> None:
        self._asker = asker
        self._began = 0.0
        self._held = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self, request: bytes, since: float) -> None:
        self._began = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        length = _LENGTH.search(self._held, 0, end) if end >= 0 else None
        if end < 0 or (length is None and self._held[9:12] != b"204"):  # 204 has neither a body nor its length
            return
        if len(self._held) < end + 4 + (int(length.group(1)) if length else 0):
            return
        answer, self._held = self._held, b""
        latency = time.perf_counter() - self._began
        self._asker.hear(self, None if answer[9:10] == b"2" else answer.decode("latin-1"), latency)

    def connection_lost(self, error: Exception | None) -> None:
        self._asker.broken.set()


class _Asker:
    def __init__(self, requests: Sequence[bytes], rate: float | None) -> None:
        self._waiting = deque(requests)
        self._count = len(requests)
        self._rate = rate
        self._idle: list[_Connection] = []
        self._due: deque[float] = deque()  # when requests should have left that found no connection free
        self._latencies: list[float] = []
        self._refusals: list[str] = []
        self.done = asyncio.Event()
        self.broken = asyncio.Event()

    def hear(self, connection: _Connection, refusal: str | None, latency: float) -> None:
        self._latencies.append(latency)
        if refusal is not None:
            self._refusals.append(refusal)
        if len(self._latencies) == self._count:
            self.done.set()
        elif self._rate is None and self._waiting:
            connection.ask(self._waiting.popleft(), time.perf_counter())
        elif self._due:
            connection.ask(self._waiting.popleft(), self._due.popleft())
        else:
            self._idle.append(connection)

    async def run(self, port: int, connections: int) -> Load:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", port)
            self._idle.append(connection)
        began = time.perf_counter()
        if self._rate is None:
            for connection in self._idle[: self._count]:
                connection.ask(self._waiting.popleft(), time.perf_counter())
            self._idle = self._idle[self._count :]
        else:
            await self._pace(began, self._rate)
        await first_of(self.done, self.broken)
        if not self.done.is_set():
            raise TimeoutError(f"{self._count - len(self._latencies)} of {self._count} were not answered")
        return Load.of(self._latencies, self._refusals, time.perf_counter() - began)

    async def _pace(self, began: float, rate: float) -> None:
        sent = 0
        while sent < self._count:
            for number in range(sent, min(self._count, int((time.perf_counter() - began) * rate) + 1)):
                due = began + number / rate
                sent += 1
                if self._idle:
                    self._idle.pop().ask(self._waiting.popleft(), due)
                else:
                    self._due.append(due)
            await asyncio.sleep(_BEAT)


async def first_of(*events: asyncio.Event) -> None:
    """Return when one of them happens, or when it is too late."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=_LATE, return_when=asyncio.FIRST_COMPLETED)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.loader")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float)
    arguments = parser.parse_args()
    requests = [
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n".encode()
        for path in sys.stdin.read().split()
    ]
    asker = _Asker(requests, arguments.rate)
    print(json.dumps(asdict(asyncio.run(asker.run(arguments.port, arguments.connections)))))


if __name__ == "__main__":
    _main()
