"""The registry: every channel, configured together, all faults at once."""

import pytest

from channels.base import SettingFaults, Unconfigured
from channels.email import Email
from channels.registry import CHANNELS, KINDS, all_settings, configure, configure_second, second_settings
from channels.sms import Sms
from channels.webpush import WebPush
from tests.channels.helpers import CONTEXT
from tests.providers.twilio import ACCOUNT_SID, AUTH_TOKEN, NUMBER


def test_the_channels() -> None:
    assert list(CHANNELS) == [WebPush, Sms, Email]
    assert KINDS == ("webpush", "sms", "email")


def test_settings_have_one_owner_each() -> None:
    names = [setting.name for channel in CHANNELS for setting in channel.settings]
    assert len(names) == len(set(names))
    secret = {setting.name for channel in CHANNELS for setting in channel.settings if setting.secret}
    assert secret == {"TWILIO_AUTH_TOKEN", "SMTP_URL"}


def test_without_settings_only_push_is_set_up() -> None:
    channels = configure({}, CONTEXT)
    assert tuple(channels) == KINDS
    assert [type(channel) for channel in channels.values()] == [WebPush, Unconfigured, Unconfigured]


def test_all_set_up() -> None:
    values = {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_FROM": NUMBER,
        "SMTP_URL": "smtp://mail.example.jp",
        "MAIL_FROM": "alert@example.jp",
    }
    channels = configure(values, CONTEXT)
    assert [(kind, channel.kind, type(channel)) for kind, channel in channels.items()] == [
        ("webpush", "webpush", WebPush),
        ("sms", "sms", Sms),
        ("email", "email", Email),
    ]


def test_every_channel_s_faults_at_once() -> None:
    values = {"VAPID_SUBJECT": "x", "TWILIO_FROM": NUMBER, "MAIL_FROM": "x"}
    with pytest.raises(SettingFaults) as caught:
        configure(values, CONTEXT)
    assert [name for name, _ in caught.value.faults] == [
        "VAPID_SUBJECT",
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "SMTP_URL",
        "MAIL_FROM",
    ]


# Second providers

FIRST = {
    "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "TWILIO_FROM": NUMBER,
    "SMTP_URL": "smtp://mail.example.jp",
    "MAIL_FROM": "alert@example.jp",
}
SECOND = {
    "SECOND_TWILIO_ACCOUNT_SID": f"AC{'1' * 32}",
    "SECOND_TWILIO_AUTH_TOKEN": "another",
    "SECOND_TWILIO_FROM": NUMBER,
    "SECOND_SMTP_URL": "smtp://other.example.jp",
}


def second_faults(values: dict[str, str]) -> list[str]:
    with pytest.raises(SettingFaults) as caught:
        configure_second(values, CONTEXT)
    return [name for name, _ in caught.value.faults]


def test_the_settings_of_second_providers_are_those_of_the_first_but_for_what_is_shared() -> None:
    assert second_settings(WebPush) == ()
    assert [setting.name for setting in second_settings(Email)] == ["SECOND_SMTP_URL", "SECOND_MAIL_PER_SECOND"]
    names = [setting.name for setting in second_settings(Sms)]
    assert "SECOND_TWILIO_AUTH_TOKEN" in names
    assert not {"SECOND_SMS_PARTS", "SECOND_SMS_DAILY_PARTS"}.intersection(names)
    names = [setting.name for setting in all_settings()]
    assert len(names) == len(set(names))
    assert {setting.name for setting in all_settings() if setting.secret} == {
        *("TWILIO_AUTH_TOKEN", "SMTP_URL", "SECOND_TWILIO_AUTH_TOKEN", "SECOND_SMTP_URL"),
    }


def test_without_their_settings_there_are_no_second_providers() -> None:
    assert configure_second({}, CONTEXT) == configure_second(FIRST, CONTEXT) == {}


def test_second_providers_are_set_up_apart_and_share_how_the_channel_speaks() -> None:
    speech = {"SMS_PARTS": "5", "SMS_DAILY_PARTS": "700", "MAIL_BOUNCES": "bounces@example.jp"}
    rates = {"SECOND_SMS_PARTS_PER_SECOND": "3", "MAIL_PER_SECOND": "9"}
    seconds = configure_second({**FIRST, **SECOND, **speech, **rates}, CONTEXT)
    assert list(seconds) == ["sms", "email"]
    text, letter = seconds["sms"], seconds["email"]
    assert isinstance(text, Sms)
    assert isinstance(letter, Email)
    assert (text.budget.size, text.budget.daily_parts, text.budget.rate) == (5, 700, 3)
    assert letter.budget.rate is None
    name = "a" * 26
    assert letter.name_of_bounce(f"bounces+{name}@example.jp") == f"<{name}@example.jp>"


def test_one_channel_alone_may_have_a_second_provider() -> None:
    assert list(configure_second({**FIRST, "SECOND_SMTP_URL": SECOND["SECOND_SMTP_URL"]}, CONTEXT)) == ["email"]


def test_the_faults_of_second_providers_come_all_at_once_under_their_names() -> None:
    wrong = {"SECOND_TWILIO_ACCOUNT_SID": "x", "SECOND_SMTP_URL": "http://x", "SECOND_MAIL_PER_SECOND": "0"}
    assert second_faults({**FIRST, **wrong}) == [
        *("SECOND_TWILIO_ACCOUNT_SID", "SECOND_TWILIO_AUTH_TOKEN", "SECOND_TWILIO_FROM"),
        *("SECOND_MAIL_PER_SECOND", "SECOND_SMTP_URL"),
    ]


def test_a_shared_fault_keeps_its_name() -> None:
    assert second_faults({**FIRST, **SECOND, "MAIL_FROM": "nobody"}) == ["MAIL_FROM"]


def test_a_second_provider_that_is_set_up_in_part_or_without_a_first_is_a_fault() -> None:
    assert second_faults({**FIRST, "SECOND_TWILIO_API_URL": "https://x.example"}) == ["SECOND_TWILIO_API_URL"]
    assert second_faults({**FIRST, "SECOND_MAIL_PER_SECOND": "1"}) == ["SECOND_SMTP_URL"]
    texts = {name: value for name, value in SECOND.items() if "TWILIO" in name}
    assert second_faults(texts) == ["SECOND_TWILIO_ACCOUNT_SID"]
