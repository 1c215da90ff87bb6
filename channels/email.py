"""E-mail over an SMTP relay (RFC 5321), one recipient each."""

import asyncio
import re
import socket
import ssl
import time
import unicodedata
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit
from weakref import WeakValueDictionary

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Outcome, Refused
from alertd.core.errors import AddressError
from alertd.core.message import Budget, Message
from channels.base import (
    CHECK_SECONDS,
    Address,
    Channel,
    Context,
    Field,
    Setting,
    SettingFaults,
    Unconfigured,
    one_line,
    parse_rate,
)
from channels.letter import NAME, NAME_LENGTH, compose, letter_name, message_id

TIMEOUT: Final = 30.0  # seconds for a whole attempt
CONNECTIONS: Final = 8
_IDLE_MAX: Final = 60.0  # seconds; relays commonly hang up after one to five minutes
_IDLE_SURE: Final = 5.0  # seconds; one that rested longer is asked whether it still lives
_MESSAGES_MAX: Final = 100  # on one connection; relays commonly refuse more
_FAREWELL: Final = 2.0  # seconds
_LANE_CONNECTIONS: Final = CONNECTIONS // 2  # for one domain: one that hangs leaves the others theirs
_LOCAL_MAX: Final = 64  # characters before the @ (RFC 5321 section 4.5.3.1.1)
_ADDRESS_MAX: Final = 254  # RFC 5321 section 4.5.3.1.3 less the angle brackets
_LOCAL: Final = re.compile(rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,{_LOCAL_MAX}}}")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ENHANCED: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
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

    smtp: SMTP
    sent: int = 0
    rested_at: float = 0.0  # time.monotonic


class _Pool:
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
    async def line(self) -> AsyncIterator[SMTP]:
        """A connection that is ready for MAIL. The body must raise when the transaction did not end well."""
        line = await self._take()
        try:
            yield line.smtp
        except BaseException:
            line.smtp.close()
            raise
        line.sent += 1
        line.rested_at = time.monotonic()
        if line.sent < _MESSAGES_MAX:
            self._idle.append(line)
        else:
            # Without a QUIT to wait for: the letter is handed over, and nothing may turn that into a time-out.
            line.smtp.close()

    async def _take(self) -> _Line:
        if self._idle:
            line = self._idle.pop()
            rested = time.monotonic() - line.rested_at
            if line.smtp.is_connected and (rested < _IDLE_SURE or (rested < _IDLE_MAX and await _is_alive(line.smtp))):
                return line
            # The others have rested even longer, and asking each of them could take the whole attempt's time.
            for dead in (line, *self._idle):
                dead.smtp.close()
            self._idle.clear()
        return _Line(await _call(self._relay, self._hostname, TIMEOUT))

    async def close(self) -> None:
        while self._idle:
            await _hang_up(self._idle.pop().smtp)


class Email:
    """Hands letters to an SMTP relay."""

    kind: ClassVar[str] = "email"
    fields: ClassVar[tuple[Field, ...]] = (Field("email"),)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("SMTP_URL", "smtp://user:pass@host:port?tls=starttls|implicit|none", secret=True),
        Setting("MAIL_PER_SECOND", "letters a second that the relay takes (default: any)"),
        # A letter keeps its Message-ID and its way back whichever relay carries it.
        Setting("MAIL_FROM", "the address that mail comes from", shared=True),
        Setting("MAIL_BOUNCES", "the address that bounces go to, which alertd bounces receives", shared=True),
    )
    has_second: ClassVar[bool] = True

    def __init__(
        self,
        relay: Relay,
        sender: str,
        context: Context,
        timeout: float = TIMEOUT,
        *,
        bounces: str | None = None,
        rate: float | None = None,
    ) -> None:
        self.budget = replace(_BUDGET, rate=rate, pace=rate)
        self._timeout = timeout
        self._patience = min(timeout, CHECK_SECONDS)
        self._sender = sender
        self._bounces = bounces
        self._organisation = context.organisation
        self._relay = relay
        self._clock = context.now
        self._pool: _Pool | None = None

    @classmethod
    def configure(cls, values: Mapping[str, str], context: Context) -> Channel:
        """The channel, or an Unconfigured when no relay and no sender is set. Raises SettingFaults."""
        url, sender = values.get("SMTP_URL"), values.get("MAIL_FROM")
        faults: list[tuple[str, str]] = []
        rate, bounces = None, None
        relay, checked = Relay("", 0, "starttls"), ""
        try:
            rate = parse_rate(values["MAIL_PER_SECOND"]) if values.get("MAIL_PER_SECOND") else None
        except ValueError as error:
            faults.append(("MAIL_PER_SECOND", str(error)))
        if values.get("MAIL_BOUNCES"):
            try:
                bounces = _bounce_address(values["MAIL_BOUNCES"])
            except AddressError as error:
                faults.append(("MAIL_BOUNCES", f"should be the address that bounces go to: it {error.message}"))
        if url or sender:
            try:
                relay = Relay.parse(url or "")
            except ValueError as error:
                faults.append(("SMTP_URL", str(error)))
            try:
                checked = parse_mail_address({"email": sender or ""})["email"]
            except AddressError as error:
                faults.append(("MAIL_FROM", f"should be the address that mail comes from: it {error.message}"))
        if faults:
            raise SettingFaults(faults)
        if not url:
            missing = "ALERTD_SMTP_URL and ALERTD_MAIL_FROM are not set"
            return Unconfigured(cls.kind, replace(_BUDGET, rate=rate), missing, parse_mail_address)
        return cls(relay, checked, context, bounces=bounces, rate=rate)

    def parse_address(self, raw: Mapping[str, str]) -> Address:
        """The mailbox, or AddressError."""
        return parse_mail_address(raw)

    def lane(self, address: Address) -> str:
        """The mailbox's domain."""
        return address["email"].rpartition("@")[2]

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        """One attempt. A repeated letter carries the same Message-ID."""
        if expires_at <= self._clock():
            return Refused("expired")
        if self._pool is None:
            self._pool = _Pool(self._relay, self._sender.rpartition("@")[2])
        name, raw = compose(message, sender=self._sender, organisation=self._organisation, to=address["email"], key=key)
        is_handed_over = False
        async with self._pool.turn(self.lane(address)):
            try:
                async with asyncio.timeout(self._timeout), self._pool.line() as smtp:
                    await smtp.mail(self._return_path(key))
                    await smtp.rcpt(address["email"])
                    is_handed_over = True
                    await smtp.data(raw)
            except (SMTPException, OSError, TimeoutError) as error:
                outcome = outcome_of(error)
                is_answered = isinstance(error, SMTPResponseException)
                if isinstance(outcome, Deferred) and is_handed_over and not is_answered:
                    return replace(outcome, dark=True)
                return outcome
        return Accepted(name)

    async def check(self) -> list[str]:
        """Whether the relay lets us in: see `channels.base.Checkable`."""
        try:
            async with asyncio.timeout(self._patience):
                smtp = await _call(self._relay, self._sender.rpartition("@")[2], self._patience)
                try:
                    await self._try_sender(smtp)
                    await smtp.quit()
                finally:
                    smtp.close()
        except (SMTPException, OSError, TimeoutError) as error:
            words = _fault(error, self._relay, self._patience)
            return [words.replace(self._relay.password, "…") if self._relay.password else words]
        return []

    async def _try_sender(self, smtp: SMTP) -> None:
        """Raises what the relay says against our writing at all; the letter to ourselves is not written."""
        await smtp.mail(self._sender)
        try:
            await smtp.rcpt(self._sender)
        except SMTPRecipientRefused as error:
            # That our own mailbox is full, busy or not there at all is nothing against writing to others.
            if isinstance(outcome_of(error), Misconfigured):
                raise
        await smtp.rset()

    def name_of_bounce(self, recipient: str) -> str | None:
        """The Message-ID of the letter that a message to `recipient` speaks of; None when that is no address of ours.

        It is what `send` gave as the provider's id. There may never have been such a letter.
        """
        if self._bounces is None:
            return None
        local, _, domain = self._bounces.lower().rpartition("@")
        found = re.fullmatch(re.escape(f"{local}+") + f"({NAME})@" + re.escape(domain), recipient.lower())
        return message_id(found.group(1), self._sender) if found else None

    def _return_path(self, key: str) -> str:
        """Where the letter is sent back to (VERP): each has an address of its own, which only its bounce can know."""
        if self._bounces is None:
            return self._sender
        local, _, domain = self._bounces.rpartition("@")
        return f"{local}+{letter_name(key)}@{domain}"

    async def aclose(self) -> None:
        """Give back kept connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


# Letters wait in line for a connection, so that none of these idles while the next ones are claimed.
_BUDGET: Final = Budget(form="letter", size=0, concurrency=8 * CONNECTIONS)


def outcome_of(error: Exception) -> Outcome:
    """What an attempt that ended in `error` means."""
    reason = one_line(f"{type(error).__name__}: {error}")
    if isinstance(error, SMTPResponseException):
        return _outcome_of_answer(error, one_line(f"{error.code} {error.message}"))
    if _has_cause(error, ssl.SSLCertVerificationError):
        return Misconfigured(f"the relay's certificate cannot be verified: {reason}")
    if type(error) in (SMTPException, SMTPNotSupported):
        # The library's own refusal: the relay does not offer the STARTTLS or the AUTH that the settings ask for.
        return Misconfigured(reason)
    return Deferred("no answer in time" if type(error) is TimeoutError else reason)


def _outcome_of_answer(error: SMTPResponseException, reason: str) -> Outcome:
    found = _ENHANCED.match(error.message)
    enhanced = found.group(1) if found else ""  # RFC 3463
    if not 500 <= error.code < 600:
        is_mailbox = isinstance(error, SMTPRecipientRefused) and error.code in (450, 451, 452)
        return Deferred(reason, of_recipient=is_mailbox)
    if isinstance(error, SMTPAuthenticationError) or error.code in (530, 534, 535, 538):
        return Misconfigured(reason)
    if isinstance(error, SMTPSenderRefused):
        return Refused(reason) if error.code == 552 else Misconfigured(reason)
    if isinstance(error, SMTPRecipientRefused):
        return _outcome_at_rcpt(error.code, enhanced, reason)
    if isinstance(error, SMTPDataError):
        # The relay's policy against us; what it has against the letter itself is 5.6.x or 552.
        return Misconfigured(reason, of_recipient=True) if enhanced.startswith("5.7.") else Refused(reason)
    # A refusal before the transaction (banner, EHLO) is about the relay's state, not about this letter.
    return Deferred(reason)


def _outcome_at_rcpt(code: int, enhanced: str, reason: str) -> Outcome:
    if enhanced in ("5.1.7", "5.1.8"):  # the sender's address
        return Misconfigured(reason)
    if enhanced.startswith("5.1."):
        return Gone(reason) if code in (550, 551, 553, 554) else Refused(reason)
    # Without a word about the mailbox the relay does not let us write there: nobody's address is given up for that,
    # and nobody else is kept waiting, for it may be the rule for this one domain.
    is_ours = code in (550, 553, 554) and not enhanced.startswith(("5.2.", "5.6."))
    if enhanced.startswith("5.7.") or is_ours:
        return Misconfigured(reason, of_recipient=True)
    return Refused(reason)


def parse_mail_address(raw: Mapping[str, str]) -> Address:
    """The mailbox with its domain in lower case and ASCII. Raises AddressError.

    Dots may stand anywhere before the @: Japanese carriers gave out such addresses against RFC 5321.
    """
    text = unicodedata.normalize("NFKC", raw.get("email", "")).strip()
    if not text:
        raise AddressError("email", "is missing")
    local, at, domain = text.rpartition("@")
    if not at or not _LOCAL.fullmatch(local):
        raise AddressError("email", "should be like name@example.jp, with ASCII before the @")
    try:
        host = domain.lower().encode("idna").decode()
    except UnicodeError:
        host = ""
    if not host or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise AddressError("email", f"{one_line(domain)!r} is not a domain")
    if len(local) + 1 + len(host) > _ADDRESS_MAX:
        raise AddressError("email", f"is longer than {_ADDRESS_MAX} characters")
    return {"email": f"{local}@{host}"}


def _bounce_address(text: str) -> str:
    """The mailbox that bounces go to, short enough for a letter's name behind it. Raises AddressError."""
    address = parse_mail_address({"email": text})["email"]
    if len(address.rpartition("@")[0]) + 1 + NAME_LENGTH > _LOCAL_MAX:
        raise AddressError("email", f"has more than {_LOCAL_MAX - 1 - NAME_LENGTH} characters before the @")
    return address


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


async def _call(relay: Relay, hostname: str, timeout: float) -> SMTP:  # noqa: ASYNC109  # the library counts it itself
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


def _fault(error: Exception, relay: Relay, patience: float) -> str:
    """Why no letter could be handed in, in words for whoever keeps the relay."""
    where, said = f"{relay.host}:{relay.port}", one_line(f"{type(error).__name__}: {error}")
    if isinstance(error, SMTPAuthenticationError):
        return f"the relay {where} does not accept the user name or the password: {one_line(str(error.message))}"
    if isinstance(error, SMTPResponseException):
        return f"the relay {where} turns us away: {one_line(f'{error.code} {error.message}')}"
    if isinstance(error, TimeoutError):
        return f"the relay {where} does not answer within {patience:g} s"
    for cause, words in (
        (socket.gaierror, f"the relay's name {relay.host} is not known (DNS)"),
        (ConnectionRefusedError, f"nobody listens at the relay {where} (connection refused)"),
        (ssl.SSLCertVerificationError, f"the certificate of the relay {where} cannot be verified"),
        (ssl.SSLError, f"the relay {where} and we cannot agree on TLS"),
    ):
        if _has_cause(error, cause):
            return f"{words}: {said}"
    if type(error) in (SMTPException, SMTPNotSupported):
        return f"the relay {where} does not offer what the settings ask for: {said}"
    return f"the relay {where} cannot be reached: {said}"


async def _is_alive(smtp: SMTP) -> bool:
    try:
        await smtp.noop(timeout=_IDLE_SURE)
    except (SMTPException, OSError):
        # The relay hung up while nothing was under way; a new connection takes its place.
        return False
    return True


async def _hang_up(smtp: SMTP) -> None:
    try:
        await smtp.quit(timeout=_FAREWELL)
    except (SMTPException, OSError):
        # Every letter on it has been answered for: a goodbye that fails changes nothing.
        smtp.close()
