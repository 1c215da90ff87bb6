"""The providers on the loopback: a judge that lets everything pass proves nothing."""

import asyncio
import base64
import json
import smtplib
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid.jwt import sign

from channels.push_crypto import encrypt, generate_key
from channels.webpush import payload
from tests.channels.helpers import DELIVERY, KEY, MESSAGE, PHONE, in_an_hour, push_address, sms, webpush
from tests.providers import BrowserSubscription, PushService, SmtpServer, TwilioServer
from tests.providers.push import unb64
from tests.providers.thread import HttpThread
from tests.providers.twilio import ACCOUNT_SID, AUTH_TOKEN, NUMBER, signature

# The push service


def request_for(push: PushService, subscription: BrowserSubscription, **claims: Any) -> tuple[dict[str, str], bytes]:
    """A request that is right, but for `claims`."""
    address = push_address(webpush(push.host), subscription)
    right = {"aud": push.url, "exp": int(time.time()) + 3_600, "sub": "mailto:a@example.jp"}
    private = ec.derive_private_key(int.from_bytes(unb64(KEY.private_key)), ec.SECP256R1())
    token = sign({**right, **claims}, private)
    headers = {
        "TTL": "60",
        "Urgency": "high",
        "Topic": "topic",
        "Content-Encoding": "aes128gcm",
        "Authorization": f"vapid t={token}, k={KEY.public_key}",
    }
    return headers, encrypt(address, payload(MESSAGE))


async def post(url: str, headers: dict[str, str], body: bytes) -> int:
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        return response.status


async def test_the_push_service_takes_what_is_right(push: PushService) -> None:
    subscription = push.subscribe(KEY.public_key)
    assert await post(subscription.endpoint, *request_for(push, subscription)) == 201
    assert push.rejections == []


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"aud": "https://push.example"}, 403),
        ({"exp": int(time.time()) - 1}, 403),
        ({"exp": int(time.time()) + 25 * 3_600}, 403),
        ({"exp": "soon"}, 403),
        ({"sub": "someone"}, 403),
        ({"sub": None}, 403),
    ],
)
async def test_the_push_service_checks_claims(push: PushService, claims: dict[str, Any], status: int) -> None:
    subscription = push.subscribe()
    assert await post(subscription.endpoint, *request_for(push, subscription, **claims)) == status
    assert len(push.rejections) == 1


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("TTL", None, 400),
        ("TTL", "soon", 400),
        ("Urgency", "urgent", 400),
        ("Topic", "x" * 33, 400),
        ("Topic", "a:b", 400),
        ("Content-Encoding", "aesgcm", 400),
        ("Authorization", None, 401),
        ("Authorization", "vapid t=a.b.c, k=d", 401),
        ("Authorization", "WebPush abc", 401),
    ],
)
async def test_the_push_service_checks_headers(push: PushService, name: str, value: str | None, status: int) -> None:
    subscription = push.subscribe()
    headers, body = request_for(push, subscription)
    changed = {key: text for key, text in {**headers, name: value}.items() if text is not None}
    assert await post(subscription.endpoint, changed, body) == status


async def test_the_push_service_checks_the_signature(push: PushService) -> None:
    subscription = push.subscribe()
    headers, body = request_for(push, subscription)
    forged = headers["Authorization"].replace(KEY.public_key, generate_key().public_key)
    assert await post(subscription.endpoint, headers | {"Authorization": forged}, body) == 401


async def test_the_push_service_checks_whose_key_it_is(push: PushService) -> None:
    subscription = push.subscribe(generate_key().public_key)
    assert await post(subscription.endpoint, *request_for(push, subscription)) == 403


async def test_the_push_service_opens_the_message(push: PushService) -> None:
    mine, theirs = push.subscribe(), push.subscribe()
    headers, body = request_for(push, theirs)
    assert await post(mine.endpoint, headers, body) == 400
    assert await post(mine.endpoint, headers, request_for(push, mine)[1][:-1]) == 400
    assert await post(mine.endpoint, headers, b"x" * 4_097) == 413
    address = push_address(webpush(push.host), mine)
    assert await post(mine.endpoint, headers, encrypt(address, b"not json")) == 400
    assert await post(mine.endpoint, headers, encrypt(address, json.dumps([1]).encode())) == 400
    assert push.messages == []


# Twilio


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"To": None}, 400, 21604),
        ({"To": "090-1234-5678"}, 400, 21211),
        ({"Body": None}, 400, 21602),
        ({"Body": "x" * 1_601}, 400, 21617),
        ({"From": None}, 400, 21603),
        ({"From": "!"}, 400, 21212),
        ({"From": None, "MessagingServiceSid": "MG1"}, 400, 21701),
        ({"StatusCallback": "nowhere"}, 400, 21609),
        ({"ValidityPeriod": "0"}, 400, 20001),
    ],
)
async def test_twilio_checks_the_form(
    twilio: TwilioServer, changes: dict[str, str | None], status: int, code: int
) -> None:
    form = {"To": PHONE, "From": NUMBER, "Body": "x", **changes}
    sent = {name: value for name, value in form.items() if value is not None}
    assert await create(twilio, sent) == (status, code)


async def create(twilio: TwilioServer, form: dict[str, str], login: str = f"{ACCOUNT_SID}:{AUTH_TOKEN}") -> Any:
    url = f"{twilio.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    async with aiohttp.ClientSession() as session, session.post(url, data=form, headers=headers) as response:
        return response.status, (await response.json()).get("code")


async def test_twilio_checks_who_asks(twilio: TwilioServer) -> None:
    for login in ("", "a:b", f"{ACCOUNT_SID}:wrong"):
        assert await create(twilio, {"To": PHONE, "From": NUMBER, "Body": "x"}, login) == (401, 20003)
    assert await create(twilio, {"To": PHONE, "From": NUMBER, "Body": "x"}) == (201, None)


class Webhooks(HttpThread):
    """Our side of Twilio's webhooks: keeps what comes, and who signed it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict[str, str]] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/{path:.*}", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        form = [(name, str(value)) for name, value in (await request.post()).items()]
        right = signature(AUTH_TOKEN, str(request.url), form) == request.headers["X-Twilio-Signature"]
        with self.changed:
            self.calls.append(dict(form) | {"signed": str(right)})
            self.changed.notify_all()
        return web.Response(text="<Response/>", content_type="text/xml")


async def test_twilio_calls_back(twilio: TwilioServer) -> None:
    with Webhooks() as ours:
        channel = sms(twilio.settings())
        await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
        await channel.aclose()
        (message,) = twilio.messages
        message.status_callback = f"{ours.url}/hooks/twilio/status"
        assert await asyncio.to_thread(twilio.report, message, "undelivered", error_code=30005) == 200
        reply = await asyncio.to_thread(twilio.reply, PHONE, "１", f"{ours.url}/hooks/twilio/inbound?x=1")
        assert (reply.status, reply.media_type, reply.text) == (200, "text/xml", "<Response/>")
        form = {"To": PHONE, "From": NUMBER, "Body": "x", "StatusCallback": f"{ours.url}/auto"}
        twilio.report_automatically("sent", "delivered")
        assert await create(twilio, form) == (201, None)
        ours.wait_until(lambda: len(ours.calls) == 4)
    assert [call["signed"] for call in ours.calls] == ["True"] * 4
    assert [call.get("MessageStatus") for call in ours.calls] == ["undelivered", None, "sent", "delivered"]
    assert ours.calls[0]["ErrorCode"] == "30005"
    assert (ours.calls[1]["From"], ours.calls[1]["Body"]) == (PHONE, "１")


# The relay

LETTER = (
    b"From: a@example.jp\r\nTo: b@example.jp\r\nSubject: x\r\nDate: Sun, 22 Nov 2026 03:04:05 +0000\r\n"
    b"Message-ID: <1@example.jp>\r\n\r\nbody\r\n"
)


def without(name: bytes) -> bytes:
    return b"".join(line for line in LETTER.splitlines(keepends=True) if not line.startswith(name))


@pytest.mark.parametrize(
    "letter",
    [
        *(without(name) for name in (b"From", b"To", b"Subject", b"Date", b"Message-ID")),
        LETTER.replace(b"<1@example.jp>", b"1"),
        LETTER.replace(b"Date", b"To: c@example.jp\r\nDate"),
        LETTER.replace(b"body", b"x" * 999),
    ],
)
def test_the_relay_checks_the_letter(relay: SmtpServer, letter: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("a@example.jp", ["b@example.jp"], letter)
        client.sendmail("a@example.jp", ["b@example.jp"], LETTER)
    assert [taken.raw for taken in relay.letters] == [LETTER]


def test_the_relay_takes_one_recipient_and_no_bare_line_feeds(relay: SmtpServer) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        refused = client.sendmail("a@example.jp", ["b@example.jp", "c@example.jp"], LETTER)
        assert refused["c@example.jp"][0] == 554
        client.mail("a@example.jp")
        client.rcpt("b@example.jp")
        assert client.docmd("DATA")[0] == 354
        client.send(LETTER.replace(b"body", b"bo\ndy") + b".\r\n")
        assert client.getreply()[0] == 550


@pytest.mark.parametrize("stop", [PushService, TwilioServer, SmtpServer])
def test_a_server_can_be_started_on_a_port_of_choice_and_ends(stop: Callable[[int], Any]) -> None:
    with stop(0) as first:
        port = first.port
    with stop(port) as second:
        assert second.host == f"127.0.0.1:{port}"
