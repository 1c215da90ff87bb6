"""Where mail is handed in: the relay (RFC 5321) and the connections that are kept to it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit
from weakref import WeakValueDictionary

from aiosmtplib import SMTP, SMTPException, SMTPHeloError

from channels.conversation import Conversation

TIMEOUT: Final = 30.0  # seconds for a whole attempt
CONNECTIONS: Final = 8
_IDLE_MAX: Final = 60.0  # seconds; relays commonly hang up after one to five minutes
_IDLE_SURE: Final = 5.0  # seconds; one that rested longer is asked whether it still lives
_MESSAGES_MAX: Final = 100  # on one connection; relays commonly refuse more
_FAREWELL: Final = 2.0  # seconds
_LANE_CONNECTIONS: Final = CONNECTIONS // 2  # for one domain: one that hangs leaves the others theirs
Tls = Literal["implicit", "starttls", "none"]
_TLS: Final[dict[str, Tls]] = {"implicit": "implicit", "starttls": "starttls", "none": "none"}
_DEFAULT_PORT: Final[dict[Tls, int]] = {"implicit": 465, "starttls": 587, "none": 25}


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail is handed in."""

    host: str
    port: int
    tls: Tls
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "Relay":
        """From `smtp://user:pass@host:port?tls=starttls|implicit|none`.

        ValueError says what is wrong, without the password.
        """
        parts = urlsplit(url)
        if parts.scheme != "smtp" or not parts.hostname or parts.path not in ("", "/") or parts.fragment:
            raise ValueError("should be smtp://user:pass@host:port?tls=starttls|implicit|none")
        try:
            parts.hostname.encode("idna")
        except UnicodeError:
            raise ValueError("the host should be a name or an address") from None
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the port should be a number from 1 to 65535") from None
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        tls = _TLS.get(options.pop("tls", "implicit" if port == 465 else "starttls"))
        if tls is None:
            raise ValueError("tls should be starttls, implicit or none")
        if options:
            raise ValueError(f"{', '.join(sorted(options))}: only the option tls is known")
        if (parts.username is None) != (parts.password is None):
            raise ValueError("a user name and a password should come together")
        username = None if parts.username is None else unquote(parts.username)
        password = None if parts.password is None else unquote(parts.password)
        return cls(parts.hostname, port or _DEFAULT_PORT[tls], tls, username, password)


@dataclass(slots=True)
class _Line:
    """A kept connection."""

    talk: Conversation
    sent: int = 0
    rested_at: float = 0.0  # time.monotonic


class Pool:
    """At most CONNECTIONS connections to the relay. One that saw an error is not used again."""

    def __init__(self, relay: Relay, hostname: str) -> None:
        self._relay = relay
        self._hostname = hostname
        self._idle: list[_Line] = []
        self._turn = asyncio.Semaphore(CONNECTIONS)
        self._lanes: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # as long as one is in use

    @asynccontextmanager
    async def turn(self, lane: str) -> AsyncIterator[None]:
        """A connection may be used, which is one of its lane's."""
        lane_turn = self._lanes.get(lane)
        if lane_turn is None:
            lane_turn = self._lanes[lane] = asyncio.Semaphore(_LANE_CONNECTIONS)
        async with lane_turn, self._turn:
            yield

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Conversation]:
        """A connection that is ready for MAIL. The body must raise when the transaction did not end well."""
        line = await self._take()
        try:
            yield line.talk
        except BaseException:
            line.talk.close()
            raise
        line.sent += 1
        line.rested_at = time.monotonic()
        if line.sent < _MESSAGES_MAX:
            self._idle.append(line)
        else:
            # Without a QUIT to wait for: the letter is handed over, and nothing may turn that into a time-out.
            line.talk.close()

    async def _take(self) -> _Line:
        if self._idle:
            line = self._idle.pop()
            rested = time.monotonic() - line.rested_at
            if line.talk.is_open and (rested < _IDLE_SURE or (rested < _IDLE_MAX and await _is_alive(line.talk))):
                return line
            # The others have rested even longer, and asking each of them could take the whole attempt's time.
            for dead in (line, *self._idle):
                dead.talk.close()
            self._idle.clear()
        return _Line(await self._open())

    async def _open(self) -> Conversation:
        smtp = await call(self._relay, self._hostname, TIMEOUT)
        try:
            await _introduce(smtp)
        except BaseException:
            smtp.close()
            raise
        assert isinstance(smtp.transport, asyncio.Transport)
        return Conversation(smtp.transport, pipelines=smtp.supports_extension("pipelining"))

    async def close(self) -> None:
        while self._idle:
            await _hang_up(self._idle.pop().talk)


async def call(relay: Relay, hostname: str, timeout: float) -> SMTP:  # noqa: ASYNC109  # the library counts it itself
    """A connection that is ready for MAIL."""
    smtp = SMTP(
        hostname=relay.host,
        port=relay.port,
        use_tls=relay.tls == "implicit",
        start_tls=relay.tls == "starttls",
        username=relay.username,
        password=relay.password,
        local_hostname=hostname,
        timeout=timeout,
    )
    await smtp.connect()
    return smtp


async def _introduce(smtp: SMTP) -> None:
    """Say EHLO, or what a relay takes instead (RFC 5321 section 3.2), where connecting has not said it."""
    if not smtp.is_ehlo_or_helo_needed:
        return
    try:
        await smtp.ehlo()
    except SMTPHeloError:
        if not smtp.is_connected:
            raise
        await smtp.helo()


async def _is_alive(talk: Conversation) -> bool:
    try:
        async with asyncio.timeout(_IDLE_SURE):
            await talk.ask(b"NOOP")
    except (SMTPException, TimeoutError):
        # The relay hung up while nothing was under way; a new connection takes its place.
        return False
    return True


async def _hang_up(talk: Conversation) -> None:
    """Say goodbye, briefly, and let the connection go."""
    # Every letter on it has been answered for: a goodbye that fails changes nothing.
    with suppress(SMTPException, TimeoutError):
        async with asyncio.timeout(_FAREWELL):
            await talk.ask(b"QUIT")
    talk.close()
