"""The registry: every channel, configured together, all faults at once."""

import pytest

from channels.base import SettingFaults, Unconfigured
from channels.email import Email
from channels.registry import CHANNELS, KINDS, configure
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
