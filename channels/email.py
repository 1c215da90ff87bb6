"""E-mail over an SMTP relay (RFC 5321), one recipient each."""

import asyncio
import re
import socket
import ssl
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Final

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

from alertd.core.alert import Bilingual
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
from channels.conversation import Conversation
from channels.letter import NAME, NAME_LENGTH, compose, letter_name, message_id
from channels.relay import CONNECTIONS, TIMEOUT, Pool, Relay, call

_LOCAL_MAX: Final = 64  # characters before the @ (RFC 5321 section 4.5.3.1.1)
_ADDRESS_MAX: Final = 254  # RFC 5321 section 4.5.3.1.3 less the angle brackets
_LOCAL: Final = re.compile(rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]{{1,{_LOCAL_MAX}}}")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ENHANCED: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")


class Email:
    """Hands letters to an SMTP relay."""

    kind: ClassVar[str] = "email"
    fields: ClassVar[tuple[Field, ...]] = (Field("email"),)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("SMTP_URL", "smtp://user:pass@host:port?tls=starttls|implicit|none", secret=True),
        Setting("MAIL_PER_SECOND", "letters a second that the relay takes (default: any)"),
        # A letter keeps its Message-ID and its way back whichever relay carries it.
        Setting("MAIL_FROM", "the address that mail comes from", shared=True),
        Setting("MAIL_BOUNCES", "the address that bounces go to, which alertd incoming receives", shared=True),
    )
    has_second: ClassVar[bool] = True
    on_record: ClassVar[bool] = True
    is_extra: ClassVar[bool] = False

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
        self._pool: Pool | None = None

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
            self._pool = Pool(self._relay, self._sender.rpartition("@")[2])
        name, raw = compose(message, sender=self._sender, organisation=self._organisation, to=address["email"], key=key)
        line: Conversation | None = None
        async with self._pool.turn(self.lane(address)):
            try:
                async with asyncio.timeout(self._timeout), self._pool.line() as line:
                    await line.hand_in(self._return_path(key), address["email"], raw)
            except (SMTPException, OSError, TimeoutError) as error:
                outcome = outcome_of(error)
                is_answered = isinstance(error, SMTPResponseException)
                if isinstance(outcome, Deferred) and line is not None and line.is_handed_over and not is_answered:
                    return replace(outcome, dark=True)
                return outcome
        return Accepted(name)

    async def check(self) -> list[Bilingual]:
        """Whether the relay lets us in: see `channels.base.Checkable`."""
        try:
            async with asyncio.timeout(self._patience):
                smtp = await call(self._relay, self._sender.rpartition("@")[2], self._patience)
                try:
                    await self._try_sender(smtp)
                    await smtp.quit()
                finally:
                    smtp.close()
        except (SMTPException, OSError, TimeoutError) as error:
            return [_fault(error, self._relay, self._patience)]
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


# Letters wait in line for a connection, so that none of these idles while the next ones are claimed: a claim of a few
# costs as much as one of many. More would stand in the way of whoever is to go first, where the relay is slow.
_BUDGET: Final = Budget(form="letter", size=0, concurrency=16 * CONNECTIONS)


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


def _fault(error: Exception, relay: Relay, patience: float) -> Bilingual:
    """Why no letter could be handed in, for whoever keeps the relay."""
    where = f"{relay.host}:{relay.port}"

    def told(en: str, ja: str, said: str) -> Bilingual:
        words = Bilingual(f"the relay {where} {en}", f"中継サーバー {where} {ja}")
        return words.followed_by(one_line(said.replace(relay.password, "…") if relay.password else said))

    if isinstance(error, SMTPAuthenticationError):
        words = ("does not accept the user name or the password", "がユーザー名かパスワードを受け付けません")
        return told(*words, str(error.message))
    if isinstance(error, SMTPResponseException):
        return told("turns us away", "に断られました", f"{error.code} {error.message}")
    if isinstance(error, TimeoutError):
        return Bilingual(
            f"the relay {where} does not answer within {patience:g} s",
            f"中継サーバー {where} が{patience:g}秒以内に応答しません。",
        )
    said = f"{type(error).__name__}: {error}"
    for cause, en, ja in _CAUSES:
        if _has_cause(error, cause):
            return told(en, ja, said)
    if type(error) in (SMTPException, SMTPNotSupported):
        return told("does not offer what the settings ask for", "は設定で求めている機能を備えていません", said)
    return told("cannot be reached", "に接続できません", said)


_CAUSES: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (socket.gaierror, "is not known (DNS)", "の名前が見つかりません（DNS）"),
    (
        ConnectionRefusedError,
        "has nobody who listens (connection refused)",
        "で待ち受けているものがありません（接続拒否）",
    ),
    (ssl.SSLCertVerificationError, "has a certificate that cannot be verified", "の証明書を確認できません"),
    (ssl.SSLError, "and we cannot agree on TLS", "とTLSで接続できません"),
)
