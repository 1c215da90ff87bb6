"""Twilio's Messages and Account resources (2010-04-01): their checks and errors, their signed callbacks. Shares no code
with the client library, so that it can judge it."""

import asyncio
import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from tests.providers.thread import HttpThread, Reset, cut

ACCOUNT_SID: Final = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN: Final = "fedcba9876543210" * 2
SERVICE_SID: Final = "MG" + "0011223344556677" * 2
NUMBER: Final = "+815012345678"
BODY_MAX: Final = 1_600
_E164: Final = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€"
)


@dataclass
class SmsMessage:
    """A message that was taken over: 201."""

    sid: str
    to: str
    sender: str | None
    messaging_service_sid: str | None
    body: str
    status_callback: str | None
    num_segments: int
    created_at: datetime
    form: Mapping[str, str]
    status: str = "queued"
    error_code: int | None = None


@dataclass(frozen=True)
class Reply:
    """The answer to an inbound webhook."""

    status: int
    media_type: str
    text: str


@dataclass
class _Plan:
    status: int | None = None
    body: dict[str, Any] | str = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    hang: bool = False
    mute: bool = False
    reset: Reset | None = None
    left: int | None = 1


class _Error(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class TwilioServer(HttpThread):
    """`with TwilioServer() as twilio:` serves on `twilio.url` until the block ends."""

    def __init__(self, port: int = 0, *, account_sid: str = ACCOUNT_SID, auth_token: str = AUTH_TOKEN) -> None:
        super().__init__(port)
        self.account_sid = account_sid
        self.auth_token = auth_token
        self._messages: list[SmsMessage] = []
        self._plans: dict[str | None, deque[_Plan]] = {}
        self._requests = 0
        self._look_ups = 0
        self._automatic: tuple[Sequence[str], float] | None = None
        self._account_status = "active"
        self._client: aiohttp.ClientSession | None = None

    def settings(self, *, sender: str = NUMBER) -> dict[str, str]:
        """The settings (without prefix) of a channel that sends here from `sender`, a number or an MG… sid."""
        way = "TWILIO_MESSAGING_SERVICE_SID" if sender.startswith("MG") else "TWILIO_FROM"
        return {
            "TWILIO_ACCOUNT_SID": self.account_sid,
            "TWILIO_AUTH_TOKEN": self.auth_token,
            "TWILIO_API_URL": self.url,
            way: sender,
        }

    @property
    def messages(self) -> list[SmsMessage]:
        """Everything that was taken over, oldest first."""
        with self.changed:
            return list(self._messages)

    @property
    def requests(self) -> int:
        """POSTs that arrived, whatever became of them."""
        with self.changed:
            return self._requests

    @property
    def look_ups(self) -> int:
        """GETs of the list that arrived."""
        with self.changed:
            return self._look_ups

    def sent_to(self, number: str) -> list[SmsMessage]:
        return [message for message in self.messages if message.to == number]

    def wait_for(self, count: int, within: float = 10) -> list[SmsMessage]:
        """The messages, once there are `count`."""
        self.wait_until(lambda: len(self._messages) >= count, within)
        return self.messages

    def fail(
        self,
        code: int,
        *,
        status: int = 400,
        message: str = "refused",
        retry_after: str | None = None,
        number: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Answer an error to the next messages (to `number`)."""
        headers = {"Retry-After": retry_after} if retry_after is not None else {}
        self._plan(number, _Plan(status, _error_body(status, code, message), headers, left=times))

    def answer(self, status: int, body: str, *, number: str | None = None, times: int | None = 1) -> None:
        """Answer something that is not Twilio's."""
        self._plan(number, _Plan(status, body, left=times))

    def delay(self, seconds: float, *, number: str | None = None, times: int | None = 1) -> None:
        """Take the message, but only after a while."""
        self._plan(number, _Plan(delay=seconds, left=times))

    def hang(self, *, taken: bool = False, number: str | None = None, times: int | None = 1) -> None:
        """Read the request, take the message or not, and never answer (until the server ends)."""
        self._plan(number, _Plan(hang=not taken, mute=taken, left=times))

    def reset(self, when: Reset = "before", *, number: str | None = None, times: int | None = 1) -> None:
        """Cut the connection before the message is taken, or after it without an answer."""
        self._plan(number, _Plan(reset=when, left=times))

    def reset_plans(self) -> None:
        """Behave again."""
        with self.changed:
            self._plans.clear()

    def set_account(self, status: str) -> None:
        """Say from now on that the account is this: active, suspended or closed."""
        with self.changed:
            self._account_status = status

    def report_automatically(self, *statuses: str, after: float = 0.0) -> None:
        """From now on call back for each new message: `statuses` in turn, the first `after` seconds; none: stop."""
        with self.changed:
            self._automatic = (statuses, after) if statuses else None

    def report(self, message: SmsMessage, status: str, *, error_code: int | None = None) -> int:
        """Send the signed status callback for `message`; the HTTP status of the answer."""
        return self.call(self._report(message, status, error_code))

    def reply(self, sender: str, text: str, inbound_url: str, *, to: str = NUMBER) -> Reply:
        """Deliver `text` from a person's phone to the signed inbound webhook."""
        form = [
            ("MessageSid", "SM" + secrets.token_hex(16)),
            ("AccountSid", self.account_sid),
            ("From", sender),
            ("To", to),
            ("Body", text),
            ("NumSegments", "1"),
            ("NumMedia", "0"),
            ("ApiVersion", "2010-04-01"),
        ]
        return self.call(self._post(inbound_url, form))

    def routes(self) -> list[web.RouteDef]:
        path = "/2010-04-01/Accounts/{account}/Messages.json"
        account = "/2010-04-01/Accounts/{account}.json"
        return [web.post(path, self._create), web.get(path, self._list), web.get(account, self._tell)]

    async def _open(self) -> None:
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        await super()._open()

    async def _close(self) -> None:
        if self._client is not None:
            await self._client.close()
        await super()._close()

    def _plan(self, number: str | None, plan: _Plan) -> None:
        with self.changed:
            self._plans.setdefault(number, deque()).append(plan)

    def _next_plan(self, number: str) -> _Plan:
        with self.changed:
            for key in (number, None):
                queue = self._plans.get(key)
                if queue:
                    plan = queue[0]
                    if plan.left is not None:
                        plan.left -= 1
                        if plan.left <= 0:
                            queue.popleft()
                    return plan
        return _Plan()

    async def _tell(self, request: web.Request) -> web.Response:
        """The Account resource; what the next message would be answered is answered here too, and not used up."""
        plan = self._peek()
        if plan.hang:
            await self.closing.wait()
            return cut(request)
        if plan.status is not None:
            return self._planned(plan)
        try:
            self._authenticate(request)
        except _Error as error:
            return web.json_response(_error_body(error.status, error.code, error.message), status=error.status)
        moment = format_datetime(datetime.now(UTC))
        account = {"sid": self.account_sid, "owner_account_sid": self.account_sid, "friendly_name": "a town"}
        state = {"status": self._account_status, "type": "Full", "date_created": moment, "date_updated": moment}
        return web.json_response({**account, **state, "auth_token": self.auth_token, "subresource_uris": {}})

    def _peek(self) -> _Plan:
        with self.changed:
            queue = self._plans.get(None)
            return queue[0] if queue else _Plan()

    def _planned(self, plan: _Plan) -> web.Response:
        if isinstance(plan.body, str):
            return web.Response(status=plan.status or 200, text=plan.body, headers=plan.headers)
        return web.json_response(plan.body, status=plan.status or 200, headers=plan.headers)

    async def _create(self, request: web.Request) -> web.Response:
        with self.changed:
            self._requests += 1
            self.changed.notify_all()
        form = {key: str(value) for key, value in (await request.post()).items()}
        plan = self._next_plan(form.get("To", ""))
        if plan.delay:
            await asyncio.sleep(plan.delay)
        if plan.hang:
            await self.closing.wait()
            return cut(request)
        if plan.reset == "before":
            return cut(request)
        if plan.status is not None:
            return self._planned(plan)
        try:
            self._authenticate(request)
            check_form(form)
        except _Error as error:
            return web.json_response(_error_body(error.status, error.code, error.message), status=error.status)
        message = self._record(form)
        if plan.mute:
            await self.closing.wait()
            return cut(request)
        if plan.reset == "after":
            return cut(request)
        return await self.answered(request, web.json_response(self._render(message), status=201))

    def _record(self, form: Mapping[str, str]) -> SmsMessage:
        message = SmsMessage(
            sid="SM" + secrets.token_hex(16),
            to=form["To"],
            sender=form.get("From"),
            messaging_service_sid=form.get("MessagingServiceSid"),
            body=form["Body"],
            status_callback=form.get("StatusCallback"),
            num_segments=count_segments(form["Body"]),
            created_at=datetime.now(UTC),
            form=form,
        )
        with self.changed:
            self._messages.append(message)
            automatic = self._automatic
            self.changed.notify_all()
        if automatic is not None:
            self.later(self._report_in_turn(message, *automatic))
        return message

    async def _list(self, request: web.Request) -> web.Response:
        with self.changed:
            self._look_ups += 1
            self.changed.notify_all()
        try:
            self._authenticate(request)
        except _Error as error:
            return web.json_response(_error_body(error.status, error.code, error.message), status=error.status)
        number = request.query.get("To")
        size = int(request.query.get("PageSize", "50"))
        after = request.query.get("DateSent>") or request.query.get("DateSent") or ""
        found = [
            self._render(message)
            for message in reversed(self.messages)
            if number in (None, message.to) and message.created_at.date().isoformat() >= after[:10]
        ]
        page = {"page": 0, "page_size": size, "start": 0, "end": len(found), "uri": request.path_qs}
        links = {"first_page_uri": request.path_qs, "next_page_uri": None, "previous_page_uri": None}
        return web.json_response({"messages": found[:size], **page, **links})

    def _authenticate(self, request: web.Request) -> None:
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        expected = f"{self.account_sid}:{self.auth_token}"
        if scheme != "Basic" or b64decode(encoded).decode() != expected:
            raise _Error(401, 20003, "Authenticate")
        if request.match_info["account"] != self.account_sid:
            raise _Error(404, 20404, "The requested resource was not found")

    def _render(self, message: SmsMessage) -> dict[str, Any]:
        created = format_datetime(message.created_at)
        return {
            "account_sid": self.account_sid,
            "api_version": "2010-04-01",
            "body": message.body,
            "date_created": created,
            "date_sent": None if message.status == "queued" else created,
            "date_updated": created,
            "direction": "outbound-api",
            "error_code": message.error_code,
            "error_message": None,
            "from": message.sender,
            "messaging_service_sid": message.messaging_service_sid,
            "num_media": "0",
            "num_segments": str(message.num_segments),
            "price": None,
            "price_unit": "USD",
            "sid": message.sid,
            "status": message.status,
            "subresource_uris": {},
            "to": message.to,
            "uri": f"/2010-04-01/Accounts/{self.account_sid}/Messages/{message.sid}.json",
        }

    async def _report_in_turn(self, message: SmsMessage, statuses: Sequence[str], after: float) -> None:
        await asyncio.sleep(after)
        for status in statuses:
            await self._report(message, status, None)

    async def _report(self, message: SmsMessage, status: str, error_code: int | None) -> int:
        if message.status_callback is None:
            raise ValueError(f"{message.sid} has no StatusCallback")
        message.status, message.error_code = status, error_code
        form = [
            ("MessageSid", message.sid),
            ("SmsSid", message.sid),
            ("MessageStatus", status),
            ("SmsStatus", status),
            ("To", message.to),
            ("From", message.sender or ""),
            ("AccountSid", self.account_sid),
            ("ApiVersion", "2010-04-01"),
        ]
        if error_code is not None:
            form.append(("ErrorCode", str(error_code)))
        return (await self._post(message.status_callback, form)).status

    async def _post(self, url: str, form: Sequence[tuple[str, str]]) -> Reply:
        assert self._client is not None
        headers = {"X-Twilio-Signature": signature(self.auth_token, url, form), "User-Agent": "TwilioProxy/1.1"}
        async with self._client.post(url, data=form, headers=headers, allow_redirects=False) as response:
            return Reply(response.status, response.content_type, await response.text())


def check_form(form: Mapping[str, str]) -> None:
    """_Error for a message that Twilio refuses."""
    if not form.get("To"):
        raise _Error(400, 21604, "A 'To' phone number is required.")
    if not _E164.fullmatch(form["To"]):
        raise _Error(400, 21211, f"The 'To' number {form['To']} is not a valid phone number.")
    if not form.get("Body"):
        raise _Error(400, 21602, "Message body is required.")
    if len(form["Body"]) > BODY_MAX:
        raise _Error(400, 21617, "The concatenated message body exceeds the 1600 character limit")
    sender, service = form.get("From"), form.get("MessagingServiceSid")
    if not sender and not service:
        raise _Error(400, 21603, "A 'From' phone number is required.")
    if sender and not (_E164.fullmatch(sender) or re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9 +&_-]{1,11}", sender)):
        raise _Error(400, 21212, f"The 'From' number {sender} is not a valid phone number.")
    if service and not re.fullmatch(r"MG[0-9a-fA-F]{32}", service):
        raise _Error(400, 21701, "The messaging service does not exist.")
    callback = form.get("StatusCallback")
    if callback and (urlsplit(callback).scheme not in ("http", "https") or not urlsplit(callback).hostname):
        raise _Error(400, 21609, f"The StatusCallback URL {callback} is not a valid URL.")
    period = form.get("ValidityPeriod")
    if period and not (period.isdigit() and 1 <= int(period) <= 36_000):
        raise _Error(400, 20001, "ValidityPeriod is not valid")


def signature(token: str, url: str, form: Sequence[tuple[str, str]]) -> str:
    """X-Twilio-Signature: HMAC-SHA1 over the URL and every distinct (name, value), sorted."""
    text = url + "".join(name + value for name, value in sorted(set(form)))
    return b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def count_segments(text: str) -> int:
    """What Twilio charges: 160 septets or 70 UTF-16 units alone, 153 or 67 in a row."""
    if all(char in _GSM for char in text):
        length, single, joined = len(text) + sum(char in "^{}\\[~]|€" for char in text), 160, 153
    else:
        length, single, joined = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if length <= single else -(-length // joined)


def _error_body(status: int, code: int, message: str) -> dict[str, Any]:
    return {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
