"""SMS over Twilio's Programmable Messaging API (version 2010-04-01)."""

import asyncio
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, Final

import aiohttp
import phonenumbers
from multidict import MultiDict
from twilio.base.exceptions import TwilioException
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.messaging_response import MessagingResponse

from alertd.core.alert import Bilingual
from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Outcome, Receipt, Refused
from alertd.core.errors import AddressError
from alertd.core.message import Budget, Message
from channels.base import (
    CHECK_SECONDS,
    Address,
    Channel,
    Context,
    Field,
    Inbound,
    Setting,
    SettingFaults,
    SignatureError,
    Unconfigured,
    is_api_url,
    one_line,
    parse_rate,
    parse_retry_after,
    words_of,
)
from channels.twilio_http import Answered, HttpClient, error_of

TIMEOUT: Final = 15.0  # seconds for a whole attempt
STATUS_PATH: Final = "/hooks/twilio/status"
_CARRIER_PACE: Final = 10.0  # parts a second that Twilio hands on for an alphanumeric sender; the rest waits there
_VALIDITY_MAX: Final = 36_000  # seconds; what ValidityPeriod may be at most
_CLOCK_SKEW: Final = timedelta(minutes=1)
_LOOK_BACK: Final = 50  # messages to one number that are looked through
_E164: Final = re.compile(r"\+[1-9]\d{1,14}", re.ASCII)
_NO_NUMBER: Final = "is not a possible phone number: write it like 090-1234-5678 or +819012345678"
_ALPHANUMERIC: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +&_-]{1,11}")
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Twilio's error codes that say more than the HTTP status they come with.
CODES: Final[dict[int, type[Deferred] | type[Refused] | type[Gone] | type[Misconfigured]]] = {
    21211: Gone,  # To is not a number
    21217: Gone,  # To cannot be a phone number
    21610: Gone,  # the recipient opted out
    21614: Gone,  # To is not a mobile
    21635: Gone,  # To is a landline
    30006: Gone,  # landline or a carrier without SMS
    14107: Deferred,  # sending rate exceeded
    20429: Deferred,  # too many requests
    21611: Deferred,  # the sender's queue is full
    30001: Deferred,  # queue overflow
    20003: Misconfigured,  # wrong credentials
    20005: Misconfigured,  # the account is not active
    20006: Misconfigured,  # access denied
    20008: Misconfigured,  # test credentials
    20404: Misconfigured,  # no such account
    21212: Misconfigured,  # From is not valid
    21408: Misconfigured,  # the account may not send to that region
    21603: Misconfigured,  # a sender is missing
    21606: Misconfigured,  # From cannot send
    21608: Misconfigured,  # a trial account sends to verified numbers only
    21609: Misconfigured,  # the callback URL cannot be reached from outside
    21659: Misconfigured,  # From is not a number of Twilio's
    21660: Misconfigured,  # From belongs to another account
    21661: Misconfigured,  # From cannot send SMS
    21701: Misconfigured,  # no such messaging service
    21703: Misconfigured,  # the messaging service has no sender
    21704: Misconfigured,  # the messaging service is being provisioned
    21705: Misconfigured,  # the messaging service is not valid
    30002: Misconfigured,  # the account is suspended
}
# What the account may not do for one recipient, though it may for others.
_OF_RECIPIENT: Final = frozenset({21408, 21608})
# What a failed delivery says about the number itself, rather than about this message or this hour.
NEVER_AGAIN: Final = frozenset(str(code) for code, outcome in CODES.items() if outcome is Gone)
_RECEIPTS: Final[dict[str, bool]] = {
    "delivered": True,
    "read": True,
    "undelivered": False,
    "failed": False,
    "canceled": False,
}


class Sms:
    """Sends text messages, reads Twilio's status callbacks and people's replies."""

    kind: ClassVar[str] = "sms"
    fields: ClassVar[tuple[Field, ...]] = (Field("phone"),)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("TWILIO_ACCOUNT_SID", "AC and 32 hexadecimal digits"),
        Setting("TWILIO_AUTH_TOKEN", "the account's token", secret=True),
        Setting("TWILIO_MESSAGING_SERVICE_SID", "MG and 32 hexadecimal digits; or TWILIO_FROM"),
        Setting("TWILIO_FROM", "a number like +815012345678, or up to 11 letters and digits as the sender"),
        Setting("TWILIO_API_URL", "https://…, or http:// on a loopback address (default Twilio's own)"),
        Setting("SMS_PARTS_PER_SECOND", "parts a second that the account may send (default: any, Twilio queues them)"),
        Setting("SMS_PARTS", "parts that one message may take, 1 to 10 (default 2)", shared=True),
        Setting("SMS_DAILY_PARTS", "parts a day after which somebody is told; a real alert goes on", shared=True),
    )
    has_second: ClassVar[bool] = True
    on_record: ClassVar[bool] = True
    is_extra: ClassVar[bool] = False

    def __init__(
        self,
        values: Mapping[str, str],
        context: Context,
        budget: Budget,
        timeout: float = TIMEOUT,
    ) -> None:
        """`values` have been checked by `configure`."""
        self.budget = budget
        account, token = self._account, self._token = values["TWILIO_ACCOUNT_SID"], values["TWILIO_AUTH_TOKEN"]
        service = values.get("TWILIO_MESSAGING_SERVICE_SID")
        self._sender = {"messaging_service_sid": service} if service else {"from_": values["TWILIO_FROM"]}
        self._context = context
        self._clock = context.now
        self._patience = min(timeout, CHECK_SECONDS)
        self._http = HttpClient(budget.concurrency, timeout)
        # An environment of its own, or the library would let TWILIO_EDGE and TWILIO_REGION choose the host.
        self._client = Client(account, token, http_client=self._http, environment={"TWILIO_EDGE": ""})
        if values.get("TWILIO_API_URL"):
            self._client.api.base_url = values["TWILIO_API_URL"]
        self._validator = RequestValidator(token)

    @classmethod
    def configure(cls, values: Mapping[str, str], context: Context) -> Channel:
        """The channel, or an Unconfigured when neither account nor sender is set. Raises SettingFaults."""
        needed = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_MESSAGING_SERVICE_SID", "TWILIO_FROM")
        absent = not any(values.get(name) for name in needed)
        faults = _option_faults(values) + ([] if absent else _account_faults(values))
        if faults:
            raise SettingFaults(faults)
        rate = values.get("SMS_PARTS_PER_SECOND")
        budget = Budget(
            form="short",
            size=int(values.get("SMS_PARTS") or "2"),
            # Twilio bounds the concurrent requests of an account (error 20429), which several workers share. At its
            # usual 0.2 s an answer, these are 160 messages a second: far more than a sender hands on.
            concurrency=32,
            invites_reply=bool(_E164.fullmatch(values.get("TWILIO_FROM") or "")),
            rate=parse_rate(rate) if rate else None,
            pace=parse_rate(rate) if rate else _CARRIER_PACE,
            daily_parts=int(values["SMS_DAILY_PARTS"]) if values.get("SMS_DAILY_PARTS") else None,
        )
        if absent:
            missing = (
                "ALERTD_TWILIO_ACCOUNT_SID, ALERTD_TWILIO_AUTH_TOKEN"
                " and ALERTD_TWILIO_MESSAGING_SERVICE_SID or ALERTD_TWILIO_FROM are not set"
            )
            return Unconfigured(cls.kind, budget, missing, partial(parse_phone_address, region=context.region))
        return cls(values, context, budget)

    @property
    def can_reply(self) -> bool:
        """Whether the sender is a number that people can answer to."""
        return self.budget.invites_reply

    def parse_address(self, raw: Mapping[str, str]) -> Address:
        """The number in E.164, or AddressError."""
        return parse_phone_address(raw, region=self._context.region)

    def lane(self, address: Address) -> str:
        """All numbers depend on the provider alone."""
        return ""

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        """One attempt. Twilio cannot tell a repeated message from a new one: after a Deferred that is `dark`, `find`
        it before sending it again."""
        life = int((expires_at - self._clock()).total_seconds())
        if life <= 0:
            return Refused("expired")
        try:
            made = await self._client.api.v2010.account.messages.create_async(
                to=address["phone"],
                body=message.text.encode("utf-8", "replace").decode(),
                status_callback=f"{self._context.public_url}{STATUS_PATH}",
                validity_period=min(life, _VALIDITY_MAX),
                **self._sender,
            )
        except Answered as answer:
            return self._judge(answer)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Deferred(words_of(error))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Deferred(words_of(error), dark=True)
        except (TwilioException, ValueError, TypeError, AttributeError) as error:
            return Deferred(one_line(f"an answer that cannot be read: {error}"), dark=True)
        return Accepted(made.sid)

    async def find(
        self, address: Address, message: Message, *, since: datetime, others: Collection[str] = ()
    ) -> Outcome | None:
        """The message at Twilio if it has been taken over since `since`: see `channels.base.Traceable`.

        None also when Twilio does not let us ask or cannot be understood: then twice is better than never.
        """
        try:
            listed = await self._client.api.v2010.account.messages.list_async(
                to=address["phone"], limit=_LOOK_BACK, page_size=_LOOK_BACK
            )
        except Answered as answer:
            outcome = self._judge(answer)
            return replace(outcome, dark=False) if isinstance(outcome, Deferred) else None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Deferred(f"cannot ask whether it was sent: {words_of(error)}")
        except (TwilioException, ValueError, TypeError, AttributeError):
            # Whatever answered here is no list of messages, and asking again will not make it one.
            return None
        wanted = _plain(message.text)
        for item in listed:
            recent = item.date_created is None or item.date_created >= since - _CLOCK_SKEW
            # A trial account's messages get words in front.
            is_ours = recent and item.sid not in others and item.direction != "inbound"
            if is_ours and _plain(item.body or "").endswith(wanted):
                return Accepted(item.sid)
        return None

    async def check(self) -> list[Bilingual]:
        """What the account says about itself: see `channels.base.Checkable`."""
        try:
            async with asyncio.timeout(self._patience):
                account = await self._client.api.v2010.accounts(self._account).fetch_async()
        except Answered as answer:
            return [self._fault(answer)]
        except TimeoutError:
            return [
                Bilingual(
                    f"the provider does not answer within {self._patience:g} s",
                    f"事業者が{self._patience:g}秒以内に応答しません。",
                )
            ]
        except (aiohttp.ClientError, OSError) as error:
            return [Bilingual("the provider cannot be reached", "事業者に接続できません").followed_by(words_of(error))]
        except (TwilioException, ValueError, TypeError, AttributeError):
            return [_NOT_TWILIO]
        if not isinstance(account.status, str):
            return [_NOT_TWILIO]
        if account.status != "active":
            stands = one_line(account.status)
            return [
                Bilingual(
                    f"the account is not active but {stands!r}: it sends nothing",
                    f"アカウントが有効ではありません（{stands}）。何も送られません。",
                )
            ]
        return []

    def _fault(self, answer: Answered) -> Bilingual:
        code, words = error_of(answer.text)
        said = one_line(f"{answer.status} {code or ''} {words}").replace(self._token, "…")
        if answer.status == 401 or code == 20003:
            told = Bilingual(
                "the provider does not accept the account SID or the auth token",
                "事業者がアカウントSIDか認証トークンを受け付けません",
            )
        elif answer.status == 404:
            told = Bilingual("the provider knows no such account", "事業者にこのアカウントがありません")
        else:
            told = Bilingual("the provider does not tell about the account", "事業者からアカウントの状態を得られません")
        return told.followed_by(said)

    def parse_receipts(self, url: str, headers: Mapping[str, str], form: Sequence[tuple[str, str]]) -> list[Receipt]:
        """The receipt in a status callback. Raises SignatureError."""
        fields = self._signed(url, headers, form)
        name = fields.get("MessageSid") or fields.get("SmsSid")
        if not name:
            return []
        status = fields.get("MessageStatus") or fields.get("SmsStatus") or ""
        delivered = _RECEIPTS.get(status)
        if delivered is not False:
            return [Receipt(name, delivered)]
        code = fields.get("ErrorCode", "")
        reason = one_line(" ".join(filter(None, (status, code, fields.get("ErrorMessage", "")))))
        return [Receipt(name, delivered, reason, retire=code in NEVER_AGAIN)]

    def parse_reply(self, url: str, headers: Mapping[str, str], form: Sequence[tuple[str, str]]) -> Inbound:
        """The text that a person sent to our number. Raises SignatureError."""
        fields = self._signed(url, headers, form)
        sender, text = fields.get("From", "").strip(), fields.get("Body", "")
        return Inbound(sender, text, fields.get("MessageSid") or None)

    def render_answer(self, text: str | None) -> tuple[str, str]:
        """TwiML that sends `text` back, or nothing."""
        document = MessagingResponse()
        if text:
            document.message(_NOT_XML.sub(" ", text))
        return "text/xml", str(document)

    async def aclose(self) -> None:
        """Give back kept connections."""
        await self._http.close()

    def _judge(self, answer: Answered) -> Outcome:
        """What an answer other than success means."""
        status, (code, words) = answer.status, error_of(answer.text)
        reason = one_line(f"{status} {code or ''} {words}")
        kind = CODES.get(code)
        if kind is Deferred or status in (408, 429) or (kind is None and status >= 500):
            wait = parse_retry_after(answer.headers.get("Retry-After"), self._clock())
            return Deferred(reason, wait, dark=status >= 500 and status != 503)
        if kind is Misconfigured:
            return Misconfigured(reason, of_recipient=code in _OF_RECIPIENT)
        if kind is not None:
            return kind(reason)
        if status in (401, 402, 403, 404) or status < 400:
            return Misconfigured(reason)
        return Refused(reason)

    def _signed(self, url: str, headers: Mapping[str, str], form: Sequence[tuple[str, str]]) -> dict[str, str]:
        signature = next((value for name, value in headers.items() if name.lower() == "x-twilio-signature"), "")
        if not self._validator.validate(url, MultiDict(form), signature):
            raise SignatureError("X-Twilio-Signature does not match")
        return dict(form)


def parse_phone_address(raw: Mapping[str, str], *, region: str) -> Address:
    """The number in E.164; one without a country is taken to be in `region`. Raises AddressError.

    It must be *possible* (the right length): number plans change faster than the library's tables of valid ones.
    """
    text = unicodedata.normalize("NFKC", raw.get("phone", "")).strip()
    if not text:
        raise AddressError("phone", "is missing")
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        raise AddressError("phone", _NO_NUMBER) from None
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not possible or number.extension or re.search("[A-Za-z]", text) or not _E164.fullmatch(written):
        raise AddressError("phone", _NO_NUMBER)
    return {"phone": written}


def _option_faults(values: Mapping[str, str]) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    parts = values.get("SMS_PARTS") or "2"
    if not re.fullmatch("[1-9]|10", parts):
        faults.append(("SMS_PARTS", "should be a number from 1 to 10"))
    try:
        parse_rate(values.get("SMS_PARTS_PER_SECOND") or "1")
    except ValueError as error:
        faults.append(("SMS_PARTS_PER_SECOND", str(error)))
    daily = values.get("SMS_DAILY_PARTS") or "1"
    if not re.fullmatch(r"[1-9]\d{0,8}", daily, re.ASCII):
        faults.append(("SMS_DAILY_PARTS", "should be a number from 1 to 999999999"))
    api = values.get("TWILIO_API_URL")
    if api and not is_api_url(api):
        faults.append(("TWILIO_API_URL", "should be https://…, or http:// on a loopback address"))
    return faults


def _account_faults(values: Mapping[str, str]) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    # Other providers that speak Twilio's API name accounts and services in their own ways.
    digits = r"[\w-]+" if values.get("TWILIO_API_URL") else "[0-9a-fA-F]{32}"
    if not re.fullmatch(f"AC{digits}", values.get("TWILIO_ACCOUNT_SID") or "", re.ASCII):
        faults.append(("TWILIO_ACCOUNT_SID", "should be AC and 32 hexadecimal digits"))
    if not values.get("TWILIO_AUTH_TOKEN"):
        faults.append(("TWILIO_AUTH_TOKEN", "should be the account's token"))
    service, sender = values.get("TWILIO_MESSAGING_SERVICE_SID"), values.get("TWILIO_FROM")
    if bool(service) == bool(sender):
        faults.append(("TWILIO_FROM", "exactly one of this and TWILIO_MESSAGING_SERVICE_SID should be set"))
    if service and not re.fullmatch(f"MG{digits}", service, re.ASCII):
        faults.append(("TWILIO_MESSAGING_SERVICE_SID", "should be MG and 32 hexadecimal digits"))
    if sender and not (_E164.fullmatch(sender) or _ALPHANUMERIC.fullmatch(sender)):
        faults.append(("TWILIO_FROM", "should be a number like +815012345678 or up to 11 letters and digits"))
    return faults


_NOT_TWILIO: Final = Bilingual("what answers is not Twilio's API", "TwilioのAPIではないものが応答しています。")


def _plain(text: str) -> str:
    return " ".join(text.split())
