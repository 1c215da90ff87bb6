"""HTTP/1.1 to push services (RFC 9112): connections are kept, and each carries one request at a time."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self
from weakref import WeakValueDictionary

from aiohappyeyeballs import start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from yarl import URL

from channels.hosts import GuardedResolver

_KEPT_SECONDS: Final = 30.0  # push services hang up after minutes
_NEXT_ADDRESS_SECONDS: Final = 0.25  # RFC 8305 section 5
_OPENING_FIRST: Final = 8  # connections to one push service at once: a request waits for all of their handshakes
_OPENING_MOST: Final = 64
_DETAIL_BYTES: Final = 4_096  # of an answer's body that are read
_DETAIL_SECONDS: Final = 1.0  # in which they must come
_HEAD_MAX: Final = 65_536  # bytes


class NotSent(Exception):
    """It never came to a connection: nobody can have taken anything over."""


class Unanswered(Exception):
    """The connection ended, or made no sense, before an answer: the request may have been taken."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A push service as requests are sent to it (RFC 6454)."""

    is_tls: bool
    host: str
    port: int
    authority: str  # the Host field (RFC 9110 section 7.2)

    @classmethod
    def of(cls, url: URL) -> Self:
        host = (url.raw_host or "").lower()
        shown = f"[{host}]" if ":" in host else host
        authority = shown if url.is_default_port() else f"{shown}:{url.port}"
        return cls(url.scheme == "https", host, url.port or 0, authority)

    def __str__(self) -> str:
        return f"{'https' if self.is_tls else 'http'}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a push service answered."""

    status: int
    reason: str
    fields: Mapping[str, str]  # by names in lower case
    detail: bytes  # the beginning of the body, as far as it came


class PushHttp:
    """Posts to push services. There are as many connections as there are requests at the same time."""

    def __init__(self, resolver: GuardedResolver, timeout: float, *, kept_seconds: float = _KEPT_SECONDS) -> None:
        self._resolver = resolver
        self._timeout = timeout  # seconds for all of it; two thirds of them for connecting
        self._kept_seconds = kept_seconds  # an idle connection's life
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._idle: dict[Origin, deque[_Line]] = {}  # the one that rested longest comes first
        self._turns: WeakValueDictionary[Origin, _Turns] = WeakValueDictionary()  # as long as one is in use
        self._sweeper: asyncio.TimerHandle | None = None

    async def post(self, origin: Origin, target: str, make: Callable[[], tuple[Mapping[str, str], bytes]]) -> Answer:
        """The answer, redirects included. `make` says the header and the body, once there is a connection.

        Raises NotSent, Unanswered, BlockedAddress, TimeoutError when it was sent and no answer came in time,
        UnicodeError for a host that is no name, and whatever `make` does.
        """
        async with asyncio.timeout(self._timeout):
            line = self._kept(origin) or await self._connect(origin)
            try:
                answer = await line.ask(_request(origin, target, *make()))
            except BaseException:
                line.close()
                raise
        if line.is_reusable:
            self._keep(origin, line)
        else:
            line.close()
        return answer

    def close(self) -> None:
        """Give back kept connections."""
        self._resolver.close()
        for lines in self._idle.values():
            for line in lines:
                line.close()
        self._idle.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _keep(self, origin: Origin, line: "_Line") -> None:
        line.rested_at = time.monotonic()
        self._idle.setdefault(origin, deque()).append(line)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._kept_seconds, self._sweep)

    def _kept(self, origin: Origin) -> "_Line | None":
        lines = self._idle.get(origin)
        while lines:
            line = lines.pop()
            if line.is_reusable and time.monotonic() - line.rested_at < self._kept_seconds:
                return line
            line.close()
        return None

    def _sweep(self) -> None:
        self._sweeper = None
        oldest = time.monotonic() - self._kept_seconds
        for origin, lines in list(self._idle.items()):
            while lines and (lines[0].rested_at <= oldest or not lines[0].is_reusable):
                lines.popleft().close()
            if not lines:
                del self._idle[origin]
        if self._idle:
            self._sweeper = asyncio.get_running_loop().call_later(self._kept_seconds / 2, self._sweep)

    async def _connect(self, origin: Origin) -> "_Line":
        turns = self._turns.get(origin)
        if turns is None:
            turns = self._turns[origin] = _Turns()
        try:
            async with asyncio.timeout(self._timeout * 2 / 3), turns:
                # One that was given back meanwhile is better than a new one.
                line = self._kept(origin) or await self._open(origin)
                turns.grow()
                return line
        except TimeoutError:
            raise NotSent(f"no answer within {self._timeout:g} s: no connection") from None
        except OSError as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error

    async def _open(self, origin: Origin) -> "_Line":
        loop = asyncio.get_running_loop()
        found = await self._resolver.resolve(origin.host, origin.port)
        sock = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS)
        _, line = await loop.create_connection(
            lambda: _Line(loop),
            sock=sock,
            ssl=self._tls if origin.is_tls else None,
            server_hostname=origin.host if origin.is_tls else None,
        )
        return line


class _Turns(asyncio.Semaphore):
    """How many connections may be opened at once to one push service: twice as many after each round trip."""

    def __init__(self) -> None:
        super().__init__(_OPENING_FIRST)
        self._size = _OPENING_FIRST

    def grow(self) -> None:
        """A handshake was done."""
        if self._size < _OPENING_MOST:
            self._size += 1
            self.release()


class _Line(asyncio.Protocol):
    """One connection. What httptools calls (`on_…`) is the parser's word about the answer that is being read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_reusable = False
        self.rested_at = 0.0  # time.monotonic
        self._loop = loop
        self._transport: asyncio.Transport
        self._parser = HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._status = 0  # 0 until the head of the answer is whole
        self._reason = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._detail = b""
        self._head_size = 0
        self._limit: asyncio.TimerHandle | None = None

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """The answer to one request. The future raises Unanswered."""
        self.is_reusable = False
        self._status, self._reason, self._fields, self._detail, self._head_size = 0, b"", [], b"", 0
        self._waiter = self._loop.create_future()
        self._transport.write(request)
        return self._waiter

    def close(self) -> None:
        self.is_reusable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._break_off(f"{type(error).__name__}: {error}")
            return
        if not self._is_asked():
            if not self.is_reusable:
                self.close()
            return
        if not self._status:
            self._head_size += len(data)
            if self._head_size > _HEAD_MAX:
                self._break_off("an answer that does not begin")
        elif len(self._detail) >= _DETAIL_BYTES:
            self._tell()
        elif self._limit is None:
            self._limit = self._loop.call_later(_DETAIL_SECONDS, self._tell)

    def on_message_begin(self) -> None:
        # A second answer to one request is nobody's, and so is one that comes unasked.
        self.is_reusable = False

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
        else:  # RFC 9110 section 15.2: the answer is still to come
            self._reason, self._fields = b"", []

    def on_body(self, part: bytes) -> None:
        if len(self._detail) < _DETAIL_BYTES:
            self._detail += part[:_DETAIL_BYTES]

    def on_message_complete(self) -> None:
        if self._status and self._waiter is not None:
            self.is_reusable = self._parser.should_keep_alive()
            self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_reusable = False
        if self._status:
            self._tell()  # only the words may be missing
        else:
            self._break_off("the connection ended" if exc is None else f"{type(exc).__name__}: {exc}")

    def _is_asked(self) -> bool:
        return self._waiter is not None

    def _tell(self) -> None:
        self._stop_waiting()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            fields = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._fields}
            waiter.set_result(Answer(self._status, self._reason.decode("latin-1"), fields, self._detail))

    def _break_off(self, why: str) -> None:
        self._stop_waiting()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(Unanswered(why))
        self.close()

    def _stop_waiting(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


def _request(origin: Origin, target: str, fields: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"POST {target} HTTP/1.1", f"Host: {origin.authority}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise RuntimeError("a header field cannot hold a line break")
    return head.encode("latin-1") + body
