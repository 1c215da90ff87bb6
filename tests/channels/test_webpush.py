"""Web push: what is encrypted, who is trusted, what is never followed or read."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import example, given
from hypothesis import strategies as st
from py_vapid import Vapid02
from pywebpush import WebPusher

from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Refused
from alertd.core.errors import AddressError
from alertd.core.message import Button
from channels.base import Channel, Context, SettingFaults
from channels.hosts import ANYWHERE, Hosts, is_public, url_fault
from channels.push_crypto import VapidTokens, encrypt, generate_key, load_key, seal
from channels.webpush import PAYLOAD_MAX, WebPush, payload
from tests.channels.helpers import (
    CONTEXT,
    DELIVERY,
    KEY,
    LINK,
    MESSAGE,
    in_an_hour,
    message,
    push_address,
    subscribed,
    webpush,
)
from tests.providers import PushService
from tests.providers.push import b64, decrypt, unb64, verify_vapid

Closing = Callable[[Channel], None]
# A valid public key, for subscriptions at push services that nobody calls here.
POINT = KEY.public_key


def address_at(endpoint: str) -> dict[str, str]:
    return {"endpoint": endpoint, "p256dh": POINT, "auth": b64(bytes(16)), "key_id": KEY.id}


def claims_of(header: str) -> dict[str, Any]:
    token = header.removeprefix("vapid t=").partition(",")[0]
    claims: dict[str, Any] = json.loads(unb64(token.split(".")[1]))
    return claims


# What arrives


async def test_the_browser_reads_what_was_sent(push: PushService, closing: Closing) -> None:
    channel, address, subscription = subscribed(push)
    closing(channel)
    outcome = await channel.send(address, message(beacon="/b/bea-con_123"), key=DELIVERY, expires_at=in_an_hour())
    (taken,) = push.received(subscription)
    assert outcome == Accepted(f"{push.url}/message/{taken.id}")
    assert taken.payload == {
        "web_push": 8030,
        "notification": {
            "title": MESSAGE.title,
            "body": MESSAGE.text,
            "navigate": LINK,
            "lang": "ja",
            "dir": "auto",
            "tag": MESSAGE.alert_id,
            "renotify": True,
            "requireInteraction": True,
            "silent": False,
            "timestamp": 1795316645000,
            "actions": [{"action": "ack", "title": "確認しました", "navigate": LINK}],
            "data": {
                "alert": MESSAGE.alert_id,
                "revision": 2,
                "token": "tok-en_123",
                "beacon": "/b/bea-con_123",
                "drill": True,
                "severity": "extreme",
                "navigate": LINK,
            },
        },
    }
    assert taken.headers["Urgency"] == "high"
    assert taken.headers["Topic"] == MESSAGE.alert_id
    assert taken.headers["Content-Type"] == "application/octet-stream"
    assert 3_590 <= int(taken.headers["TTL"]) <= 3_600
    assert taken.claims["sub"] == "mailto:alertd@alert.example.jp"


async def test_a_newer_revision_replaces_the_waiting_one(push: PushService, closing: Closing) -> None:
    channel, address, subscription = subscribed(push)
    closing(channel)
    for revision in (1, 2):
        await channel.send(address, message(revision=revision), key=f"k{revision}", expires_at=in_an_hour())
    (waiting,) = push.waiting(subscription)
    assert waiting.payload["notification"]["data"]["revision"] == 2


async def test_ttl_stays_within_what_push_services_take(push: PushService, closing: Closing) -> None:
    channel, address, subscription = subscribed(push)
    closing(channel)
    await channel.send(address, MESSAGE, key=DELIVERY, expires_at=datetime.now(UTC) + timedelta(days=60))
    assert push.received(subscription)[0].headers["TTL"] == str(28 * 24 * 3_600)


def test_choices_become_buttons() -> None:
    document = json.loads(payload(message(buttons=(Button("safe", "無事です"), Button("help", "助けて")))))
    assert [(each["action"], each["title"]) for each in document["notification"]["actions"]] == [
        ("answer:safe", "無事です"),
        ("answer:help", "助けて"),
    ]


@given(
    text=st.text(max_size=2_000),
    title=st.text(max_size=40),
    labels=st.lists(st.text(min_size=1, max_size=40), max_size=9),
)
def test_a_payload_always_fits(text: str, title: str, labels: list[str]) -> None:
    buttons = tuple(Button(str(number), label) for number, label in enumerate(labels))
    raw = payload(message(title=title, text=text, buttons=buttons))
    assert len(raw) <= PAYLOAD_MAX
    notification = json.loads(raw)["notification"]
    assert notification["title"] == title
    assert notification["data"]["token"] == MESSAGE.token
    assert text.startswith(notification["body"].removesuffix("…"))


def test_what_json_inflates_is_cut() -> None:
    raw = payload(message(text='"\n' * 1_000, buttons=(Button(None, "確認"),)))
    assert 3_700 < len(raw) <= PAYLOAD_MAX


def test_half_a_surrogate_pair_does_not_stop_an_alert() -> None:
    assert json.loads(payload(message(text="a\ud83d")))["notification"]["body"] == "a?"


# Encryption and identification, against the RFCs' examples


# RFC 8291 appendix A.
RFC_8291 = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    "browser": "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
    "sender": "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
    "salt": "DGv6ra1nlYgDCS1FRnbzlw",
    "plaintext": "V2hlbiBJIGdyb3cgdXAsIEkgd2FudCB0byBiZSBhIHdhdGVybWVsb24",
    "body": "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6"
    "PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
}


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unb64(text)), ec.SECP256R1())


def test_rfc_8291_appendix_a_is_what_we_make_of_it() -> None:
    sender, salt = private_key(RFC_8291["sender"]), unb64(RFC_8291["salt"])
    assert b64(seal(RFC_8291, unb64(RFC_8291["plaintext"]), sender, salt)) == RFC_8291["body"]


def test_rfc_8291_appendix_a_opens_with_our_oracle() -> None:
    opened = decrypt(unb64(RFC_8291["body"]), private_key(RFC_8291["browser"]), unb64(RFC_8291["auth"]))
    assert opened == unb64(RFC_8291["plaintext"])


RECORD_MAX = 3_993  # bytes of plaintext: RFC 8291 section 4


@given(plaintext=st.binary(min_size=1, max_size=RECORD_MAX))
@example(plaintext=bytes(RECORD_MAX))
def test_pywebpush_makes_and_opens_the_same(plaintext: bytes) -> None:
    auth = b64(b"sixteen bytes ..")
    address = {"endpoint": "https://fcm.googleapis.com/x", "p256dh": POINT, "auth": auth}
    browser = private_key(KEY.private_key)
    ours = encrypt(address, plaintext)
    assert http_ece.decrypt(ours, private_key=browser, auth_secret=unb64(auth), version="aes128gcm") == plaintext
    subscription = {"endpoint": address["endpoint"], "keys": {"p256dh": POINT, "auth": auth}}
    theirs = WebPusher(subscription).encode(plaintext, "aes128gcm")["body"]
    assert len(ours) == len(theirs)
    assert ours[16:21] == theirs[16:21], "the record size and the key's length"
    assert decrypt(theirs, browser, unb64(auth)) == decrypt(ours, browser, unb64(auth)) == plaintext


RFC_8292_HEADER = (
    "vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsI"
    "nN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjv"
    "W2L9OkSSHzvoD1oA, k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
)


def test_rfc_8292_example_is_verified_as_our_headers_are() -> None:
    ours = VapidTokens("mailto:push@example.com").header("https://push.example.net", KEY, datetime.now(UTC))
    for header in (RFC_8292_HEADER, ours):
        assert Vapid02.verify(header.replace(", ", ","))
    assert claims_of(RFC_8292_HEADER).keys() == claims_of(ours).keys()
    with pytest.raises(Exception, match=r"exp"):
        verify_vapid(RFC_8292_HEADER, "https://push.example.net", None)
    assert verify_vapid(ours, "https://push.example.net", KEY.public_key) == claims_of(ours)


def test_every_message_is_encrypted_afresh(push: PushService) -> None:
    _, address, subscription = subscribed(push)
    first, second = encrypt(address, b"same"), encrypt(address, b"same")
    assert first[:16] != second[:16]
    assert first[21:86] != second[21:86]
    assert decrypt(first, subscription.private_key, subscription.auth) == b"same"


def test_tokens_are_kept_per_origin_and_key_and_renewed_early() -> None:
    tokens = VapidTokens("mailto:a@example.jp")
    other = generate_key()
    now = datetime(2026, 11, 22, tzinfo=UTC)
    header = tokens.header("https://one.example", KEY, now)
    assert tokens.header("https://one.example", KEY, now + timedelta(hours=5)) == header
    assert claims_of(header) == {
        "aud": "https://one.example",
        "exp": int((now + timedelta(hours=12)).timestamp()),
        "sub": "mailto:a@example.jp",
    }
    assert claims_of(tokens.header("https://two.example", KEY, now))["aud"] == "https://two.example"
    assert f"k={other.public_key}" in tokens.header("https://one.example", other, now)
    renewed = tokens.header("https://one.example", KEY, now + timedelta(hours=6))
    assert claims_of(renewed)["exp"] == int((now + timedelta(hours=18)).timestamp())
    # A clock that was set back must not keep a token that lasts too long.
    assert tokens.header("https://one.example", KEY, now - timedelta(days=1)) != renewed


async def test_each_push_service_gets_its_own_audience(push: PushService, closing: Closing) -> None:
    with PushService() as other:
        channel = webpush(push.host, other.host)
        closing(channel)
        for service in (push, other, push):
            address = push_address(channel, service.subscribe())
            assert isinstance(await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour()), Accepted)
        assert [taken.claims["aud"] for taken in push.messages] == [push.url] * 2
        assert [taken.claims["aud"] for taken in other.messages] == [other.url]


async def test_a_refused_token_is_not_used_again(push: PushService, closing: Closing) -> None:
    channel, address, _ = subscribed(push)
    closing(channel)
    push.answer(403, body=b"BadJwtToken")
    refused = await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour())
    assert refused == Misconfigured("403 Forbidden BadJwtToken")
    assert isinstance(await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour()), Accepted)


async def test_a_subscription_keeps_the_key_it_was_made_under(push: PushService, closing: Closing) -> None:
    newer = generate_key()
    channel = webpush(push.host, context=replace(CONTEXT, vapid_keys={newer.id: newer, KEY.id: KEY}))
    closing(channel)
    for key in (newer, KEY):
        address = push_address(channel, push.subscribe(key.public_key), key.id)
        assert isinstance(await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour()), Accepted)


async def test_a_vanished_key_retires_its_subscriptions_but_no_keys_at_all_do_not(push: PushService) -> None:
    _, address, _ = subscribed(push)
    other = generate_key()
    for keys, expected in (({other.id: other}, Gone), ({}, Misconfigured)):
        channel = webpush(push.host, context=replace(CONTEXT, vapid_keys=keys))
        assert type(await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour())) is expected


async def test_unusable_keys_retire_the_subscription(push: PushService) -> None:
    channel, address, _ = subscribed(push)
    broken = {**address, "p256dh": b64(b"\4" + bytes(64))}
    outcome = await channel.send(broken, MESSAGE, key="k", expires_at=in_an_hour())
    assert outcome == Gone("the subscription's keys are unusable")


def test_keys_are_loaded_from_what_people_have() -> None:
    key = generate_key()
    private = ec.derive_private_key(int.from_bytes(unb64(key.private_key)), ec.SECP256R1())
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        assert load_key(private.private_bytes(Encoding.PEM, form, NoEncryption()).decode()) == key
    assert load_key(key.private_key) == load_key(f" {key.private_key}=\n") == key
    assert len(key.id) == 16
    assert len(urlsafe_b64decode(key.public_key + "=")) == 65
    assert key.private_key not in repr(key)


def test_a_wrong_private_key_is_refused_in_words() -> None:
    curve = ec.generate_private_key(ec.SECP384R1())
    other = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    broken = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
    for text in ("", "short", "ä" * 43, b64(bytes(32)), b64(b"\xff" * 32), other, broken):
        with pytest.raises(ValueError, match=r"P-256|PEM"):
            load_key(text)


# Addresses


def test_an_address_is_normalised(push: PushService) -> None:
    channel = webpush(push.host)
    document = push.subscribe().json()
    keys = {"p256dh": document["keys"]["p256dh"] + "=", "auth": document["keys"]["auth"] + "=="}
    address = channel.parse_address({"endpoint": document["endpoint"], **keys, "key_id": KEY.id})
    assert address == {"endpoint": document["endpoint"], **document["keys"], "key_id": KEY.id}


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:APA91b_x-y",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAA",
        "https://web.push.apple.com/QGux",
        "https://wns2-par02p.notify.windows.com/w/?token=BQYA%2b%3d%3d",
        "https://FCM.googleapis.com/x",
    ],
)
def test_the_big_push_services_are_known(endpoint: str) -> None:
    assert webpush().parse_address(address_at(endpoint))["endpoint"] == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "nonsense",
        "//fcm.googleapis.com/x",
        "http://fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://user@fcm.googleapis.com/x",
        "https://user:pass@fcm.googleapis.com/x",
        "https://fcm.googleapis.com@evil.example/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evilfcm.googleapis.com/x",
        "https://notify.windows.com.evil.example/x",
        "https://fcm.googleapis.com/x y",
        "https://fcm.googleapis.com/x\r\nX: y",
        "https://fcm.googleapis.com\\@evil.example/x",
        "https://fcm.googleapis.com/x#fragment",
        "https://fcm.googleapis.com:port/x",
        "https://[::1]/x",
        "https://127.0.0.1/x",
        "https://2130706433/x",
        "ftp://fcm.googleapis.com/x",
        "https://fcm.googleapis.com/" + "x" * 2_048,
        "https://ｆcm.googleapis.com/x",
    ],
)
def test_other_endpoints_are_refused(endpoint: str) -> None:
    with pytest.raises(AddressError) as caught:
        webpush().parse_address(address_at(endpoint))
    assert caught.value.field == "endpoint"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("p256dh", ""),
        ("p256dh", b64(b"\4" + bytes(64))),
        ("p256dh", b64(b"\2" + unb64(POINT)[1:33])),
        ("p256dh", POINT + "!"),
        ("p256dh", POINT[:-1]),
        ("auth", ""),
        ("auth", b64(bytes(15))),
        ("auth", "+/" * 11),
        ("key_id", ""),
        ("key_id", "unknown"),
    ],
)
def test_wrong_keys_are_refused(field: str, value: str) -> None:
    with pytest.raises(AddressError) as caught:
        webpush().parse_address({**address_at("https://fcm.googleapis.com/x"), field: value})
    assert caught.value.field == field


# Who may be called


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "fec0::1", "::127.0.0.1"),
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2002:a00:1::1",
        ),
        *("64:ff9b:1::808:808", "2001:db8::1", "2001::1", "fe80::1%1"),
    ],
)
def test_addresses_inside(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("hosts", ["localhost", "*.localhost,localhost"])
async def test_a_name_that_leads_inside_is_not_called(push: PushService, closing: Closing, hosts: str) -> None:
    channel = webpush(hosts)
    closing(channel)
    address = channel.parse_address(address_at("https://localhost/wpush/x"))
    sending = [channel.send(address, MESSAGE, key=str(number), expires_at=in_an_hour()) for number in range(5)]
    for outcome in await asyncio.gather(*sending):
        assert isinstance(outcome, Refused)
        assert "not a public address" in outcome.reason


async def test_a_trusted_port_is_that_port_alone(push: PushService, closing: Closing) -> None:
    channel = webpush(f"localhost:{push.port}")
    closing(channel)
    address = channel.parse_address(address_at(f"http://localhost:{push.port}/wpush/x"))
    assert isinstance(await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour()), Gone)
    for endpoint in (f"http://localhost:{push.port + 1}/x", "https://localhost/x", f"http://127.0.0.1:{push.port}/x"):
        with pytest.raises(AddressError):
            channel.parse_address(address_at(endpoint))


async def test_a_host_that_is_no_longer_allowed_is_refused_but_not_retired(push: PushService) -> None:
    _, address, _ = subscribed(push)
    outcome = await webpush().send(address, MESSAGE, key="k", expires_at=in_an_hour())
    assert isinstance(outcome, Refused)
    assert push.requests == 0


async def test_redirects_are_not_followed_and_lose_nothing(push: PushService, closing: Closing) -> None:
    with PushService() as inside:
        channel, address, _ = subscribed(push)
        closing(channel)
        push.redirect(f"{inside.url}/wpush/x")
        outcome = await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour())
        assert isinstance(outcome, Deferred)
        assert "redirects" in outcome.reason
        assert inside.requests == 0


@pytest.mark.parametrize(
    "value", ["https://x.example", "a b", "*.x.example:1", "x:0", "x:99999", "x:y", "*", "*.*.x", "[x]"]
)
def test_malformed_push_hosts_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"host"):
        Hosts.parse(value)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://chat.example.jp/hook?room=7", None),
        ("http://10.0.0.7:8080/hook", None),
        ("https://10.0.0.7:8080/hook", None),
        ("http://chat.example.jp/hook", "must be https on port 443"),
        ("https://chat.example.jp:8443/hook", "must be https on port 443"),
        ("http://10.0.0.7/hook", "must be https on port 443"),
        ("https://10.0.0.7/hook", "'10.0.0.7' is not a public address"),
        ("https://[fd00::7]/hook", "'fd00::7' is not a public address"),
        ("https://169.254.169.254/latest", "'169.254.169.254' is not a public address"),
        ("https://2130706433/hook", "'2130706433' is not a public address"),
        ("https://127.1/hook", "'127.1' is not a public address"),
        ("https://staff:secret@chat.example.jp/hook", "must not carry a user or a password"),
        ("https://chat.example.jp/hook#room", "must be an https address"),
        ("ftp://chat.example.jp/hook", "must be an https address"),
        ("/hook", "must be an https address"),
        ("https://[/hook", "must be an https address"),
        ("", "must be an https address"),
    ],
)
def test_where_somebody_may_have_us_send_things(url: str, fault: str | None) -> None:
    assert url_fault(Hosts.parse("10.0.0.7:8080", ANYWHERE), url) == fault


def test_a_public_host_need_not_be_named_and_one_inside_needs_its_port() -> None:
    with pytest.raises(ValueError, match="host:port"):
        Hosts.parse("chat.city.example", ANYWHERE)


def test_all_setting_faults_at_once() -> None:
    with pytest.raises(SettingFaults) as caught:
        webpush("a b", VAPID_SUBJECT="someone@example.jp", PUSH_PER_SECOND="many")
    assert [name for name, _ in caught.value.faults] == ["VAPID_SUBJECT", "PUSH_HOSTS", "PUSH_PER_SECOND"]


@pytest.mark.parametrize("subject", ["mailto:a@example.jp", "https://example.jp", "https://example.jp/contact?x=1"])
async def test_subjects(push: PushService, closing: Closing, subject: str) -> None:
    channel = webpush(push.host, VAPID_SUBJECT=subject)
    closing(channel)
    await channel.send(push_address(channel, push.subscribe()), MESSAGE, key="k", expires_at=in_an_hour())
    assert push.messages[0].claims["sub"] == subject


def test_a_public_url_that_is_an_ip_address_still_makes_a_subject() -> None:
    for host in ("http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1"):
        WebPush.configure({}, Context(public_url=host, organisation="", region="JP"))


# Answers


async def test_retry_after_in_both_forms(push: PushService, closing: Closing) -> None:
    channel, address, _ = subscribed(push)
    closing(channel)
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    for value, low, high in (("7", 7, 7), (soon, 85, 90), ("999999999999", 3_600, 3_600), ("0", 0, 0)):
        push.answer(429, retry_after=value)
        outcome = await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour())
        assert isinstance(outcome, Deferred)
        assert outcome.retry_after is not None
        assert low <= outcome.retry_after.total_seconds() <= high
    push.answer(503, retry_after="soon")
    assert await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour()) == Deferred("503 Service Unavailable")


async def test_a_huge_answer_is_not_read(push: PushService, closing: Closing) -> None:
    channel, address, _ = subscribed(push)
    closing(channel)
    push.huge(400)
    outcome = await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour())
    assert isinstance(outcome, Refused)
    assert len(outcome.reason) <= 200
    assert push.bytes_answered < 20_000_000  # what fits into socket buffers, at most


async def test_an_answer_whose_body_never_comes_still_counts(push: PushService, closing: Closing) -> None:
    channel, address, _ = subscribed(push)
    closing(channel)
    push.stall(201)
    assert await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour()) == Accepted()


async def test_reasons_are_one_printable_line(push: PushService, closing: Closing) -> None:
    channel, address, _ = subscribed(push)
    closing(channel)
    push.answer(400, body=b"first\r\n\x1b[31msecond\xff")
    outcome = await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour())
    assert outcome == Refused("400 Bad Request first [31msecond\ufffd")


async def test_connections_are_kept_and_attempts_run_side_by_side(push: PushService, closing: Closing) -> None:
    channel = webpush(push.host)
    closing(channel)
    addresses = [push_address(channel, push.subscribe()) for _ in range(50)]
    sending = [channel.send(each, MESSAGE, key="k", expires_at=in_an_hour()) for each in addresses]
    assert {type(outcome) for outcome in await asyncio.gather(*sending)} == {Accepted}
    assert len(push.messages) == 50


async def test_a_dead_phone_is_gone(push: PushService, closing: Closing) -> None:
    channel, address, subscription = subscribed(push)
    closing(channel)
    push.kill(subscription)
    assert isinstance(await channel.send(address, MESSAGE, key="k", expires_at=in_an_hour()), Gone)
