"""E-mail over an SMTP relay (RFC 5321), one recipient each."""

import asyncio
import re
import secrets
import ssl
import time
import unicodedata
from base64 import encodebytes
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address as MailAddress
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from functools import lru_cache
from typing import ClassVar, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

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
from alertd.core.message import Budget, Message
from channels.base import (
    Address,
    AddressError,
    Channel,
    Context,
    Field,
    Setting,
    SettingFaults,
    Unconfigured,
    one_line,
)

TIMEOUT: Final = 30.0  # seconds for a whole attempt
CONNECTIONS: Final = 8
_IDLE_MAX: Final = 60.0  # seconds; relays commonly hang up after one to five minutes
_IDLE_SURE: Final = 5.0  # seconds; one that rested longer is asked whether it still lives
_MESSAGES_MAX: Final = 100  # on one connection; relays commonly refuse more
_FAREWELL: Final = 2.0  # seconds
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
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

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        async with self._turn:
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
        smtp = SMTP(
            hostname=self._relay.host,
            port=self._relay.port,
            use_tls=self._relay.tls == "implicit",
            start_tls=self._relay.tls == "starttls",
            username=self._relay.username,
            password=self._relay.password,
            local_hostname=self._hostname,
            timeout=TIMEOUT,
        )
        await smtp.connect()
        return _Line(smtp)

    async def close(self) -> None:
        while self._idle:
            await _hang_up(self._idle.pop().smtp)


class Email:
    """Hands letters to an SMTP relay."""

    kind: ClassVar[str] = "email"
    fields: ClassVar[tuple[Field, ...]] = (Field("email"),)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("SMTP_URL", "smtp://user:pass@host:port?tls=starttls|implicit|none", secret=True),
        Setting("MAIL_FROM", "the address that mail comes from"),
    )

    def __init__(self, relay: Relay, sender: str, context: Context, timeout: float = TIMEOUT) -> None:
        self.budget = _BUDGET
        self._timeout = timeout
        self._sender = sender
        self._organisation = context.organisation
        self._relay = relay
        self._pool: _Pool | None = None

    @classmethod
    def configure(cls, values: Mapping[str, str], context: Context) -> Channel:
        """The channel, or an Unconfigured when nothing is set. Raises SettingFaults."""
        url, sender = values.get("SMTP_URL"), values.get("MAIL_FROM")
        if not url and not sender:
            missing = "ALERTD_SMTP_URL and ALERTD_MAIL_FROM are not set"
            return Unconfigured(cls.kind, _BUDGET, missing, parse_mail_address)
        faults: list[tuple[str, str]] = []
        relay, checked = Relay("", 0, "starttls"), ""
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
        return cls(relay, checked, context)

    def parse_address(self, raw: Mapping[str, str]) -> Address:
        """The mailbox, or AddressError."""
        return parse_mail_address(raw)

    def lane(self, address: Address) -> str:
        """The mailbox's domain."""
        return address["email"].rpartition("@")[2]

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        """One attempt. A repeated letter carries the same Message-ID."""
        if expires_at <= datetime.now(UTC):
            return Refused("expired")
        if self._pool is None:
            self._pool = _Pool(self._relay, self._sender.rpartition("@")[2])
        name, raw = compose(message, sender=self._sender, organisation=self._organisation, to=address["email"], key=key)
        async with self._pool.turn():
            try:
                async with asyncio.timeout(self._timeout), self._pool.line() as smtp:
                    await smtp.mail(self._sender)
                    await smtp.rcpt(address["email"])
                    await smtp.data(raw)
            except (SMTPException, OSError, TimeoutError) as error:
                return outcome_of(error)
        return Accepted(name)

    async def aclose(self) -> None:
        """Give back kept connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


# Letters wait in line for a connection, so that none of these idles while the next ones are claimed.
_BUDGET: Final = Budget(form="letter", size=0, concurrency=8 * CONNECTIONS)


def compose(message: Message, *, sender: str, organisation: str, to: str, key: str) -> tuple[str, bytes]:
    """The letter's Message-ID and its bytes: text and HTML, pure ASCII, nothing in its header but what stands here."""
    name = f"<{_dot_atom(key)}@{sender.rpartition('@')[2]}>"
    own = (to.encode(), name.encode(), _base64(message.text), _base64(message.html))
    shared = _shared_parts(_header(message.title), message.sent_at, _header(message.alert_id), sender, organisation)
    return name, b"".join(piece for pair in zip(shared, (*own, b""), strict=True) for piece in pair)


# One of these per process, so that no post can contain it.
_PLACE: Final = secrets.token_hex(12)


@lru_cache(maxsize=64)
def _shared_parts(title: str, sent_at: datetime, alert_id: str, sender: str, organisation: str) -> tuple[bytes, ...]:
    """What is the same in everybody's letter: the pieces around To, Message-ID, text and HTML.

    Making a letter takes the library milliseconds, and ten thousand differ in nothing but these four places.
    """
    letter = EmailMessage(policy=SMTP_POLICY)
    local, _, domain = sender.rpartition("@")
    letter["From"] = MailAddress(display_name=_header(organisation), username=local, domain=domain)
    letter["To"] = f"{_PLACE}@to.invalid"
    letter["Subject"] = title
    letter["Date"] = sent_at
    letter["Message-ID"] = f"<{_PLACE}@id.invalid>"
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834 section 5: no out-of-office answers to it
    letter["X-Alertd-Alert"] = alert_id
    letter.set_content(f"{_PLACE} text", cte="base64")
    letter.add_alternative(f"{_PLACE} html", subtype="html", cte="base64")
    places = (
        letter["To"].encode(),
        letter["Message-ID"].encode(),
        _base64(f"{_PLACE} text\n"),
        _base64(f"{_PLACE} html\n"),
    )
    pieces, rest = [], letter.as_bytes()
    for place in places:
        piece, found, rest = rest.partition(place)
        if not found:
            raise RuntimeError(f"no place for {place!r} in {piece!r}")
        pieces.append(piece)
    return (*pieces, rest)


def _base64(text: str) -> bytes:
    """`text` as the content of a base64 part: UTF-8, its lines ended by CRLF (RFC 2045 section 6.8)."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    raw = "\r\n".join(lines).encode("utf-8", "replace")
    return encodebytes(raw).rstrip(b"\n").replace(b"\n", b"\r\n")


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
        return Deferred(reason)
    if isinstance(error, SMTPAuthenticationError) or error.code in (530, 534, 535, 538):
        return Misconfigured(reason)
    if isinstance(error, SMTPSenderRefused):
        return Refused(reason) if error.code == 552 else Misconfigured(reason)
    if isinstance(error, SMTPRecipientRefused):
        if enhanced in ("5.1.7", "5.1.8"):  # these are about the sender's address
            return Misconfigured(reason)
        # Without an enhanced code 550 may as well mean that relaying is denied: nobody's address is given up for that.
        unknown = error.code in (550, 551, 553) and enhanced.startswith("5.1.")
        return Gone(reason) if unknown else Refused(reason)
    # A refusal before the transaction (banner, EHLO) is about the relay's state, not about this letter.
    return Refused(reason) if isinstance(error, SMTPDataError) else Deferred(reason)


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
    if not host or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise AddressError("email", f"{one_line(domain)!r} is not a domain")
    return {"email": f"{local}@{host}"}


def _header(text: str) -> str:
    """`text` as it may stand in a header field: nothing that could end the field or change its encoding."""
    kept = (" " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char for char in text)
    return " ".join("".join(kept).split(" ")).strip()


def _dot_atom(key: str) -> str:
    """`key` as the left side of a Message-ID (RFC 5322 section 3.6.4); different keys stay different."""
    return "".join(
        char if re.fullmatch("[A-Za-z0-9_-]", char) else "".join(f"={byte:02X}" for byte in char.encode())
        for char in key
    )


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


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
