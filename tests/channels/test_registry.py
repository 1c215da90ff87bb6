"""The registry: every channel, configured together, all faults at once."""

import pytest

from alertd.core.acknowledgement import link_channel, link_way
from channels.base import SettingFaults, Unconfigured
from channels.email import Email
from channels.registry import (
    CHANNELS,
    EXTRAS,
    KINDS,
    ON_RECORD,
    all_settings,
    configure,
    configure_second,
    second_settings,
)
from channels.slack import Slack
from channels.sms import Sms
from channels.teams import Teams
from channels.webpush import WebPush
from tests.channels.helpers import CONTEXT
from tests.providers.slack import TOKEN
from tests.providers.twilio import ACCOUNT_SID, AUTH_TOKEN, NUMBER


def test_the_channels() -> None:
    assert list(CHANNELS) == [WebPush, Sms, Email, Slack, Teams]
    assert KINDS == ("webpush", "sms", "email", "slack", "teams")
    assert {kind: (field.name, field.secret) for kind, field in ON_RECORD.items()} == {
        **{"sms": ("phone", False), "email": ("email", False)},
        **{"slack": ("slack", False), "teams": ("teams", True)},
    }


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_says_which_channel_carried_its_link(kind: str) -> None:
    assert link_channel(link_way(kind)) == kind


def test_settings_have_one_owner_each() -> None:
    names = [setting.name for channel in CHANNELS for setting in channel.settings]
    assert len(names) == len(set(names))
    secret = {setting.name for channel in CHANNELS for setting in channel.settings if setting.secret}
    assert secret == {"TWILIO_AUTH_TOKEN", "SMTP_URL", "SLACK_TOKEN"}


def test_without_settings_only_push_is_set_up_and_extras_are_not_there() -> None:
    channels = configure({}, CONTEXT)
    assert {kind: type(channel) for kind, channel in channels.items()} == {
        **{"webpush": WebPush, "sms": Unconfigured, "email": Unconfigured}
    }
    assert EXTRAS == ("slack", "teams")


def test_an_extra_that_people_are_reached_by_is_told_to_be_lacking() -> None:
    channels = configure({"TEAMS": "off"}, CONTEXT, used=["teams"])
    assert tuple(channels) == ("webpush", "sms", "email", "teams")
    assert isinstance(channels["teams"], Unconfigured)
    assert channels["teams"].missing == "ALERTD_TEAMS is not on"
    url = "https://prod-12.japaneast.logic.azure.com/workflows/x"
    assert channels["teams"].parse_address({"teams": url}) == {"teams": url}


def test_all_set_up() -> None:
    values = {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_FROM": NUMBER,
        "SMTP_URL": "smtp://mail.example.jp",
        "MAIL_FROM": "alert@example.jp",
        "SLACK_TOKEN": TOKEN,
        "TEAMS": "on",
    }
    channels = configure(values, CONTEXT)
    assert [(kind, channel.kind, type(channel)) for kind, channel in channels.items()] == [
        ("webpush", "webpush", WebPush),
        ("sms", "sms", Sms),
        ("email", "email", Email),
        ("slack", "slack", Slack),
        ("teams", "teams", Teams),
    ]


def test_every_channel_s_faults_at_once() -> None:
    values = {"VAPID_SUBJECT": "x", "TWILIO_FROM": NUMBER, "MAIL_FROM": "x", "SLACK_TOKEN": "x", "TEAMS": "yes"}
    with pytest.raises(SettingFaults) as caught:
        configure(values, CONTEXT)
    assert [name for name, _ in caught.value.faults] == [
        "VAPID_SUBJECT",
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "SMTP_URL",
        "MAIL_FROM",
        "SLACK_TOKEN",
        "TEAMS",
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
        *("TWILIO_AUTH_TOKEN", "SMTP_URL", "SECOND_TWILIO_AUTH_TOKEN", "SECOND_SMTP_URL", "SLACK_TOKEN"),
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
