"""What a channel says beforehand, by asking in a way that sends nothing."""

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alertd.core.message import Budget
from channels.base import Channel
from channels.email import Email
from channels.relay import Relay
from channels.sms import Sms
from channels.webpush import subject_fault
from tests.channels.helpers import CONTEXT, mail, sms, webpush
from tests.providers import SmtpServer, TwilioServer
from tests.providers.smtp import Stage, Tls
from tests.providers.twilio import ACCOUNT_SID, AUTH_TOKEN

Closing = Callable[[Channel], None]
Arrange = Callable[[Any], object]


def impatient_sms(twilio: TwilioServer) -> Sms:
    return Sms(twilio.settings(), CONTEXT, Budget(form="short", size=2, concurrency=1), timeout=0.5)


def impatient_mail(relay: SmtpServer) -> Email:
    return Email(Relay.parse(relay.url), "alert@city.example.jp", CONTEXT, timeout=0.5)


# Web push


@pytest.mark.parametrize(
    "subject", ["mailto:it@example.jp", "mailto:a.b+c@sub.example.co.jp", "https://example.jp", "https://example.jp/x"]
)
async def test_a_subject_that_apple_takes(subject: str) -> None:
    assert await webpush(VAPID_SUBJECT=subject).check() == []


@pytest.mark.parametrize(
    ("subject", "word"),
    [
        ("mailto:it@localhost", "this machine"),
        ("mailto:it@city.localhost", "this machine"),
        ("mailto:it@127.0.0.1", "number"),
        ("mailto:it@[127.0.0.1]", "number"),
        ("mailto:it@intranet", "no dot"),
        ("https://localhost/contact", "this machine"),
        ("https://192.0.2.7", "number"),
        ("https://intranet/contact", "no dot"),
    ],
)
async def test_a_subject_that_apple_refuses(subject: str, word: str) -> None:
    (fault,) = await webpush(VAPID_SUBJECT=subject).check()
    assert subject in fault.en
    assert word in fault.en
    assert "public URL" not in fault.en


@pytest.mark.parametrize("subject", ["mailto: it@example.jp", "mailto:<it@example.jp>", "tel:110", "mailto:it", ""])
def test_what_the_settings_refuse_is_no_better_here(subject: str) -> None:
    assert subject_fault(subject)


async def test_a_subject_that_comes_from_an_inside_url_says_so() -> None:
    (fault,) = await webpush(context=replace(CONTEXT, public_url="http://city")).check()
    assert "comes from the public URL http://city" in fault.en


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
async def test_one_machine_alone_needs_no_subject_but_is_told_of_one_that_was_set(url: str) -> None:
    context = replace(CONTEXT, public_url=url)
    assert await webpush(context=context).check() == []
    (fault,) = await webpush(context=context, VAPID_SUBJECT="mailto:it@localhost").check()
    assert "mailto:it@localhost" in fault.en


async def test_without_a_key_nobody_can_subscribe() -> None:
    (fault,) = await webpush(context=replace(CONTEXT, vapid_keys={})).check()
    assert "no VAPID key" in fault.en


# SMS


async def test_an_account_that_works(twilio: TwilioServer, closing: Closing) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    assert await channel.check() == []
    assert (twilio.requests, twilio.messages) == (0, [])


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"TWILIO_AUTH_TOKEN": "0" * 32}, "account SID or the auth token"),
        ({"TWILIO_ACCOUNT_SID": f"AC{'0' * 32}"}, "account SID or the auth token"),
    ],
)
async def test_wrong_credentials(twilio: TwilioServer, closing: Closing, changed: dict[str, str], word: str) -> None:
    channel = sms({**twilio.settings(), **changed})
    closing(channel)
    (fault,) = await channel.check()
    assert word in fault.en
    assert "20003" in fault.en


@pytest.mark.parametrize("status", ["suspended", "closed"])
async def test_an_account_that_sends_nothing(twilio: TwilioServer, closing: Closing, status: str) -> None:
    twilio.set_account(status)
    channel = sms(twilio.settings())
    closing(channel)
    (fault,) = await channel.check()
    assert status in fault.en


@pytest.mark.parametrize(
    ("arrange", "word"),
    [
        (lambda twilio: twilio.stop_listening(), "cannot be reached"),
        (lambda twilio: twilio.hang(), "does not answer within"),
        (lambda twilio: twilio.answer(200, "<html>"), "not Twilio's API"),
        (lambda twilio: twilio.answer(200, "[]"), "not Twilio's API"),
        (lambda twilio: twilio.answer(200, "{}"), "not Twilio's API"),
        (lambda twilio: twilio.answer(404, "nothing here"), "no such account"),
        (lambda twilio: twilio.fail(20500, status=500), "500 20500"),
        (lambda twilio: twilio.fail(20429, status=429), "429 20429"),
        (lambda twilio: twilio.answer(500, f"{ACCOUNT_SID}:{AUTH_TOKEN}\r\n"), "500"),
    ],
)
async def test_a_provider_that_does_not_tell(
    twilio: TwilioServer, closing: Closing, arrange: Arrange, word: str
) -> None:
    channel = impatient_sms(twilio)
    closing(channel)
    arrange(twilio)
    (fault,) = await channel.check()
    assert word in fault.en
    assert AUTH_TOKEN not in fault.en + fault.ja
    assert "\n" not in fault.en


# Mail


async def test_a_relay_that_works(closing: Closing) -> None:
    with SmtpServer(username="alert", password="secret") as relay:
        channel = mail(relay.url)
        closing(channel)
        assert await channel.check() == []
        assert (relay.letters, relay.attempts, relay.connections) == ([], 1, 1)


@pytest.mark.parametrize(
    ("stage", "answer"),
    [
        ("mail", "550 5.7.1 not your address"),
        ("rcpt", "554 5.7.1 Relay access denied"),
        ("rcpt", "550 relay not permitted"),
        ("rcpt", "553 5.1.8 no such domain"),
    ],
)
async def test_a_relay_that_lets_us_in_but_takes_nothing_from_us(relay: SmtpServer, stage: Stage, answer: str) -> None:
    relay.answer(stage, answer)
    (fault,) = await mail(relay.url).check()
    assert answer in fault.en


@pytest.mark.parametrize("answer", ["550 5.1.1 no such user", "552 5.2.2 full", "451 4.7.1 greylisted"])
async def test_that_nobody_reads_our_own_mailbox_is_nothing_against_a_relay(relay: SmtpServer, answer: str) -> None:
    relay.answer("rcpt", answer)
    assert await mail(relay.url).check() == []


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_relay_whose_certificate_is_trusted_or_not(
    tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SmtpServer(tls=tls) as relay:
        (fault,) = await mail(relay.url).check()
        assert "certificate" in fault.en
        trusted = tmp_path / "ca.pem"
        trusted.write_bytes(relay.certificate)
        monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(trusted))
        assert await mail(relay.url).check() == []


async def test_what_is_wrong_is_told_in_both_languages(relay: SmtpServer) -> None:
    relay.stop_listening()
    (fault,) = await mail(relay.url).check()
    english, japanese = fault.in_language("en"), fault.in_language("ja")
    assert relay.host in english
    assert relay.host in japanese
    assert "接続拒否" in japanese
    assert english.rpartition(": ")[2] == japanese.rpartition(": ")[2], "what others said stays as it is"


async def test_a_wrong_password_is_told_without_it() -> None:
    with SmtpServer(username="alert", password="secret") as relay:
        relay.answer("auth", "535 5.7.8 hunter2 is wrong", times=None)
        (fault,) = await mail(f"smtp://alert:hunter2@{relay.host}?tls=none").check()
        assert "user name or the password" in fault.en
        assert "535" in fault.en or "5.7.8" in fault.en
        assert "hunter2" not in fault.en + fault.ja


async def test_a_relay_that_asks_for_no_password_but_is_given_one(relay: SmtpServer) -> None:
    (fault,) = await mail(f"smtp://alert:hunter2@{relay.host}?tls=starttls").check()
    assert "does not offer" in fault.en
    assert "hunter2" not in fault.en


@pytest.mark.parametrize(
    ("arrange", "word"),
    [
        (lambda relay: relay.stop_listening(), "connection refused"),
        (lambda relay: relay.answer("connect", "554 5.7.1 go away"), "554 5.7.1 go away"),
        (lambda relay: relay.answer("connect", "421 4.3.2 busy"), "421 4.3.2 busy"),
        *((lambda relay, stage=stage: relay.hang(stage), "does not answer within") for stage in ("connect", "ehlo")),
        *((lambda relay, stage=stage: relay.drop(stage), "cannot be reached") for stage in ("connect", "ehlo")),
    ],
)
async def test_a_relay_that_lets_nobody_in(relay: SmtpServer, arrange: Arrange, word: str) -> None:
    channel = impatient_mail(relay)
    arrange(relay)
    (fault,) = await channel.check()
    assert word in fault.en
    assert relay.host in fault.en


async def test_a_relay_that_nobody_has_heard_of() -> None:
    (fault,) = await mail("smtp://relay.invalid?tls=none").check()
    assert "relay.invalid:" in fault.en
    assert "is not known (DNS)" in fault.en


async def test_tls_with_somebody_who_speaks_none(relay: SmtpServer) -> None:
    (fault,) = await mail(f"smtp://{relay.host}?tls=implicit").check()
    assert "TLS" in fault.en or "cannot be reached" in fault.en
