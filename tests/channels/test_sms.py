"""SMS: Twilio's form, its errors, its signatures; and never the same text twice for want of an answer."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from alertd.core.delivery import Accepted, Deferred, Misconfigured, Receipt
from alertd.core.errors import AddressError
from alertd.core.segments import count_segments
from channels.base import Channel, Inbound, Receipts, Replies, SettingFaults, SignatureError, Traceable
from channels.sms import Sms
from tests.channels.helpers import CONTEXT, DELIVERY, MESSAGE, PHONE, in_an_hour, message, sms
from tests.providers import TwilioServer
from tests.providers.thread import HttpThread
from tests.providers.twilio import AUTH_TOKEN, NUMBER, SERVICE_SID, signature
from tests.providers.twilio import count_segments as count_as_twilio_does

Closing = Callable[[Channel], None]
SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "twilio"
URL = "https://alert.example.jp/hooks/twilio/status"


def unsent(**values: str) -> Sms:
    return sms(TwilioServer().settings() | {"TWILIO_API_URL": ""} | values)


def signed(form: list[tuple[str, str]], url: str = URL) -> dict[str, str]:
    return {"X-Twilio-Signature": signature(AUTH_TOKEN, url, form)}


# What is sent


async def test_the_form_that_twilio_gets(twilio: TwilioServer, closing: Closing) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    (taken,) = twilio.messages
    assert outcome == Accepted(taken.sid)
    assert 3_590 <= int(taken.form["ValidityPeriod"]) <= 3_600
    assert {name: value for name, value in taken.form.items() if name != "ValidityPeriod"} == {
        "To": PHONE,
        "From": NUMBER,
        "Body": MESSAGE.text,
        "StatusCallback": URL,
    }


async def test_a_messaging_service_instead_of_a_number(twilio: TwilioServer, closing: Closing) -> None:
    channel = sms(twilio.settings(sender=SERVICE_SID))
    closing(channel)
    await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=datetime.now(UTC) + timedelta(days=1))
    (taken,) = twilio.messages
    assert (taken.messaging_service_sid, taken.sender) == (SERVICE_SID, None)
    assert taken.form["ValidityPeriod"] == "36000"


async def test_the_host_is_not_the_environment_s_to_choose(
    twilio: TwilioServer, closing: Closing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    monkeypatch.setenv("TWILIO_REGION", "au1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    channel = sms(twilio.settings())
    closing(channel)
    assert isinstance(await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour()), Accepted)


@pytest.mark.parametrize("text", ["a" * 160, "a" * 161, "あ" * 70, "あ" * 71, "😀" * 35, "{" * 80, "{" * 81])
async def test_parts_are_counted_as_twilio_counts_them(twilio: TwilioServer, closing: Closing, text: str) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    await channel.send({"phone": PHONE}, message(text=text), key=DELIVERY, expires_at=in_an_hour())
    assert twilio.messages[0].num_segments == count_segments(text) == count_as_twilio_does(text)


async def test_half_a_surrogate_pair_does_not_stop_an_alert(twilio: TwilioServer, closing: Closing) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    await channel.send({"phone": PHONE}, message(text="a\ud83d"), key=DELIVERY, expires_at=in_an_hour())
    assert twilio.messages[0].body == "a?"


async def test_many_at_once(twilio: TwilioServer, closing: Closing) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    sending = [
        channel.send({"phone": f"+8190{number:08}"}, MESSAGE, key=str(number), expires_at=in_an_hour())
        for number in range(40)
    ]
    outcomes = await asyncio.gather(*sending)
    named = {outcome.provider_id for outcome in outcomes if isinstance(outcome, Accepted)}
    assert named == {taken.sid for taken in twilio.messages}
    assert len(named) == 40


# Answers


async def test_retry_after_survives_the_library(twilio: TwilioServer, closing: Closing) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    twilio.fail(20429, status=429, message="Too Many Requests", retry_after="12")
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert outcome == Deferred("429 20429 Too Many Requests", timedelta(seconds=12))


async def test_a_wrong_token_is_ours(twilio: TwilioServer, closing: Closing) -> None:
    channel = sms(twilio.settings() | {"TWILIO_AUTH_TOKEN": "wrong"})
    closing(channel)
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert outcome == Misconfigured("401 20003 Authenticate")


async def test_a_huge_answer_is_not_read(twilio: TwilioServer, closing: Closing) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    twilio.answer(201, "x" * 3_000_000)
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Deferred)


# The dark


@pytest.mark.parametrize("taken", [True, False])
async def test_an_attempt_without_an_answer_is_in_the_dark_and_can_be_looked_up(
    twilio: TwilioServer, closing: Closing, taken: bool
) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    began = datetime.now(UTC)
    twilio.reset("after" if taken else "before")
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Deferred)
    assert outcome.dark
    found = await channel.find({"phone": PHONE}, MESSAGE, since=began)
    assert found == (Accepted(twilio.messages[0].sid) if taken else None)


async def test_another_delivery_with_the_same_words_is_not_taken_for_this_one(
    twilio: TwilioServer, closing: Closing
) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    await channel.send({"phone": PHONE}, MESSAGE, key="step 0", expires_at=in_an_hour())
    since = datetime.now(UTC) + timedelta(minutes=10)
    assert await channel.find({"phone": PHONE}, MESSAGE, since=since) is None
    assert await channel.find({"phone": PHONE}, message(text="others"), since=since - timedelta(days=1)) is None
    assert await channel.find({"phone": "+819000000000"}, MESSAGE, since=since - timedelta(days=1)) is None
    found = await channel.find({"phone": PHONE}, MESSAGE, since=since - timedelta(minutes=10))
    assert found == Accepted(twilio.messages[0].sid)


async def test_another_delivery_is_known_by_its_name_however_alike_it_reads(
    twilio: TwilioServer, closing: Closing
) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    began = datetime.now(UTC)
    await channel.send({"phone": PHONE}, MESSAGE, key="repeat 0", expires_at=in_an_hour())
    first = twilio.messages[0].sid
    assert await channel.find({"phone": PHONE}, MESSAGE, since=began, others={first}) is None
    await channel.send({"phone": PHONE}, MESSAGE, key="repeat 1", expires_at=in_an_hour())
    (second,) = {taken.sid for taken in twilio.messages} - {first}
    assert await channel.find({"phone": PHONE}, MESSAGE, since=began, others={first}) == Accepted(second)


@pytest.mark.parametrize(("code", "of_recipient"), [(21408, True), (21608, True), (21606, False), (30002, False)])
async def test_what_the_account_may_not_send_to_one_number_says_nothing_of_the_others(
    twilio: TwilioServer, closing: Closing, code: int, of_recipient: bool
) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    twilio.fail(code)
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Misconfigured)
    assert outcome.of_recipient is of_recipient


@pytest.mark.parametrize(("status", "dark"), [(429, False), (503, False), (500, True), (502, True)])
async def test_an_answer_that_says_it_was_not_taken_leaves_nothing_in_the_dark(
    twilio: TwilioServer, closing: Closing, status: int, dark: bool
) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    twilio.answer(status, "later")
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Deferred)
    assert outcome.dark is dark


async def test_whoever_refuses_connections_has_taken_nothing(twilio: TwilioServer, closing: Closing) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    twilio.stop_listening()
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Deferred)
    assert not outcome.dark


class Unlistable(HttpThread):
    """Answers `status` to whoever asks for the list."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/{path:.*}", self._get)]

    async def _get(self, request: web.Request) -> web.Response:
        return web.Response(status=self.status, text="{}")


@pytest.mark.parametrize(("status", "waits"), [(404, False), (403, False), (200, False), (503, True), (500, True)])
async def test_a_look_up_that_is_refused_stops_nothing_but_one_that_fails_waits(
    closing: Closing, status: int, waits: bool
) -> None:
    with Unlistable(status) as server:
        channel = sms(TwilioServer().settings() | {"TWILIO_API_URL": server.url})
        closing(channel)
        found = await channel.find({"phone": PHONE}, MESSAGE, since=datetime.now(UTC))
    if waits:
        assert isinstance(found, Deferred)
        assert not found.dark, "asking puts nothing in the dark"
    else:
        assert found is None


def test_capabilities() -> None:
    channel = unsent()
    assert isinstance(channel, Receipts)
    assert isinstance(channel, Replies)
    assert isinstance(channel, Traceable)


# Numbers


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("090-1234-5678", PHONE),
        ("０９０－１２３４－５６７８", PHONE),
        ("+81 (0)90 1234 5678", PHONE),
        (" +819012345678 ", PHONE),
        ("+447700900513", "+447700900513"),
        ("0596-12-3456", "+81596123456"),
    ],
)
def test_numbers_are_normalised(raw: str, number: str) -> None:
    assert unsent().parse_address({"phone": raw}) == {"phone": number}


@pytest.mark.parametrize(
    "raw", ["", "   ", "abc", "12", "+81", "090-1234-5678 ext 9", "090-ABCD-5678", "+8190123456789012345"]
)
def test_what_is_no_possible_number_is_refused(raw: str) -> None:
    with pytest.raises(AddressError) as caught:
        unsent().parse_address({"phone": raw})
    assert caught.value.field == "phone"


# Webhooks


def test_signature_vectors_of_our_own() -> None:
    # Computed by hand with openssl: HMAC-SHA1 of the URL followed by each name and value, sorted.
    form = [("MessageSid", "SM1"), ("MessageStatus", "delivered")]
    headers = {"x-twilio-signature": signature("12345", URL, form)}
    assert headers == {"x-twilio-signature": "Ubo5/kr5+uiCZ+gzaQmBEkWR0d4="}
    channel = unsent(TWILIO_AUTH_TOKEN="12345")
    assert channel.parse_receipts(URL, headers, form) == [Receipt("SM1", True)]


def test_twilio_s_signature_vectors() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the samples are not here")
    document = json.loads((SAMPLES / "signature_vectors.json").read_text())
    channel = unsent(TWILIO_AUTH_TOKEN=document["auth_token"])
    checked = 0
    for vector in document["vectors"]:
        if "body" in vector:
            continue
        form = [tuple(pair) for pair in vector.get("params_list", [])] or list(vector["params"].items())
        channel.parse_reply(vector["url"], {"X-Twilio-Signature": vector["signature"]}, form)
        with pytest.raises(SignatureError):
            channel.parse_reply(vector["url"], {"X-Twilio-Signature": vector["signature"]}, [*form, ("x", "y")])
        checked += 1
    assert checked == 6


def test_twilio_s_samples() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the samples are not here")
    channel = unsent()
    form = parse_qsl((SAMPLES / "inbound_sms.txt").read_text(), keep_blank_values=True)
    assert channel.parse_reply(URL, signed(form), form) == Inbound("+447700900513", "Ack", dict(form).get("MessageSid"))
    form = parse_qsl((SAMPLES / "status_delivered.txt").read_text(), keep_blank_values=True)
    assert channel.parse_receipts(URL, signed(form), form) == [Receipt("SM" + "2" * 32, True)]


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": "x" * 28}, {"X-Twilio-Signature": "あ"}],
)
def test_unsigned_calls_are_refused(headers: dict[str, str]) -> None:
    form = [("MessageSid", "SM1"), ("MessageStatus", "delivered")]
    with pytest.raises(SignatureError):
        unsent().parse_receipts(URL, headers, form)


def test_a_signature_is_for_one_url_and_one_form() -> None:
    form = [("MessageSid", "SM1"), ("MessageStatus", "sent")]
    for url, other in ((URL + "?x", form), (URL, [("MessageSid", "SM2"), ("MessageStatus", "sent")]), (URL, [])):
        with pytest.raises(SignatureError):
            unsent().parse_receipts(url, signed(form), other)


@pytest.mark.parametrize(
    ("status", "code", "receipt"),
    [
        ("queued", None, Receipt("SM1", None)),
        ("sent", None, Receipt("SM1", None)),
        ("something new", None, Receipt("SM1", None)),
        ("delivered", None, Receipt("SM1", True)),
        ("undelivered", "30003", Receipt("SM1", False, "undelivered 30003")),
        ("undelivered", "30006", Receipt("SM1", False, "undelivered 30006", retire=True)),
        ("failed", "21610", Receipt("SM1", False, "failed 21610", retire=True)),
        ("failed", None, Receipt("SM1", False, "failed")),
        ("undelivered", "30008", Receipt("SM1", False, "undelivered 30008")),
    ],
)
def test_receipts(status: str, code: str | None, receipt: Receipt) -> None:
    form = [("MessageSid", "SM1"), ("MessageStatus", status)] + ([("ErrorCode", code)] if code else [])
    assert unsent().parse_receipts(URL, signed(form), form) == [receipt]


def test_a_receipt_without_a_message_says_nothing() -> None:
    form = [("MessageStatus", "delivered")]
    assert unsent().parse_receipts(URL, signed(form), form) == []


def test_answers_are_twiml() -> None:
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    channel = unsent()
    assert channel.render_answer(None) == ("text/xml", f"{declaration}<Response />")
    text = "受け取りました <1> & \x00😀"
    body = "受け取りました &lt;1&gt; &amp;  😀"
    assert channel.render_answer(text) == ("text/xml", f"{declaration}<Response><Message>{body}</Message></Response>")


# Settings


def test_replies_are_invited_only_to_a_number() -> None:
    assert unsent().budget.invites_reply
    assert unsent().can_reply
    for other in ({"TWILIO_FROM": "MidoriCity"}, {"TWILIO_FROM": "", "TWILIO_MESSAGING_SERVICE_SID": SERVICE_SID}):
        channel = unsent(**other)
        assert not channel.can_reply
        assert not channel.budget.invites_reply


def test_parts() -> None:
    assert unsent().budget.size == 2
    assert unsent(SMS_PARTS="10").budget.size == 10


def test_a_ceiling_a_day_is_an_option() -> None:
    assert unsent().budget.daily_parts is None
    assert unsent(SMS_DAILY_PARTS="5000").budget.daily_parts == 5_000


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"TWILIO_ACCOUNT_SID": ""}, ["TWILIO_ACCOUNT_SID"]),
        ({"TWILIO_ACCOUNT_SID": "AC123", "TWILIO_AUTH_TOKEN": ""}, ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"]),
        ({"TWILIO_FROM": ""}, ["TWILIO_FROM"]),
        ({"TWILIO_MESSAGING_SERVICE_SID": SERVICE_SID}, ["TWILIO_FROM"]),
        ({"TWILIO_FROM": "", "TWILIO_MESSAGING_SERVICE_SID": "MG1"}, ["TWILIO_MESSAGING_SERVICE_SID"]),
        ({"TWILIO_FROM": "090-1234-5678"}, ["TWILIO_FROM"]),
        ({"TWILIO_FROM": "TwelveLetter"}, ["TWILIO_FROM"]),
        ({"TWILIO_API_URL": "http://api.example.jp"}, ["TWILIO_API_URL"]),
        ({"TWILIO_API_URL": "nonsense"}, ["TWILIO_API_URL"]),
        ({"SMS_PARTS": "0"}, ["SMS_PARTS"]),
        ({"SMS_PARTS": "11", "TWILIO_FROM": "!"}, ["SMS_PARTS", "TWILIO_FROM"]),
        ({"SMS_PARTS_PER_SECOND": "0"}, ["SMS_PARTS_PER_SECOND"]),
        ({"SMS_DAILY_PARTS": "0"}, ["SMS_DAILY_PARTS"]),
        ({"SMS_DAILY_PARTS": "1.5", "SMS_PARTS_PER_SECOND": "fast"}, ["SMS_PARTS_PER_SECOND", "SMS_DAILY_PARTS"]),
    ],
)
def test_faults_are_named(changes: dict[str, str], names: list[str]) -> None:
    with pytest.raises(SettingFaults) as caught:
        unsent(**changes)
    assert [name for name, _ in caught.value.faults] == names


async def test_without_settings_everything_is_held_and_addresses_are_taken() -> None:
    channel = Sms.configure({"SMS_PARTS": "3"}, CONTEXT)
    assert (channel.kind, channel.budget.size) == ("sms", 3)
    address = channel.parse_address({"phone": "090-1234-5678"})
    assert address == {"phone": PHONE}
    outcome = await channel.send(address, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Misconfigured)
    assert "ALERTD_TWILIO_ACCOUNT_SID" in outcome.reason
    await channel.aclose()
