"""Causes in plain words."""

import pytest

from alertd.web.words import explain


@pytest.mark.parametrize(
    ("channel", "reason", "told"),
    [
        ("webpush", "410 Gone", "turn them on there again"),
        ("webpush", "403 Forbidden bad vapid", "does not accept our key"),
        ("webpush", "429 Too Many Requests", "asks us to wait"),
        ("webpush", "503 Service Unavailable", "trouble of its own"),
        ("webpush", "no answer within 10 s", "did not answer in time"),
        ("sms", "400 21211 Invalid 'To' Phone Number", "does not exist"),
        ("sms", "400 21610 Attempt to send to unsubscribed recipient", "STOP"),
        ("sms", "undelivered 30003 Unreachable destination handset", "switched off or out of reach"),
        ("sms", "undelivered 30005", "does not exist"),
        ("sms", "failed", "could not deliver"),
        ("sms", "401 20003 Authenticate", "does not accept our account"),
        ("sms", "429 20429 Too Many Requests", "asks us to wait"),
        ("sms", "ClientConnectorError: Cannot connect to host", "could not be reached"),
        ("email", "550 5.1.1 <a@example.jp>: user unknown", "mail address does not exist"),
        ("email", "552 5.2.2 mailbox full", "mailbox is full"),
        ("email", "554 5.7.1 blocked", "refuses our mails"),
        ("email", "451 try later", "asks us to wait"),
        ("email", "535 5.7.8 authentication failed", "does not accept our password"),
        ("email", "SMTPConnectError: Error connecting", "could not be reached"),
        ("email", "superseded by revision 2", "newer version"),
        ("sms", "sms is not set up: ALERTD_TWILIO_ACCOUNT_SID", "not set up"),
        ("sms", "the worker died while sending", "interrupted"),
        ("email", "gave up after 12 tries: 451 try later", "Given up after 12 tries. The mail server asks"),
    ],
)
def test_frequent_causes_are_told_in_plain_words(channel: str, reason: str, told: str) -> None:
    assert told in (explain(reason, channel, "en") or "")
    japanese = explain(reason, channel, "ja") or ""
    assert japanese
    assert not japanese.isascii()


def test_a_cause_that_is_not_known_is_not_made_up() -> None:
    assert explain("something new", "sms", "ja") is None
    assert explain(None, "sms", "ja") is None
    assert explain("410 Gone", "email", "en") != explain("410 Gone", "webpush", "en")
