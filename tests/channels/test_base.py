"""What every channel has in common: lanes, rates."""

from collections.abc import Callable

import pytest

from channels.base import Channel, Checkable, parse_rate
from channels.email import Email
from channels.registry import configure
from channels.sms import Sms
from channels.webpush import WebPush
from tests.channels.helpers import CONTEXT, mail, sms, webpush
from tests.providers import TwilioServer

RELAY = "smtp://127.0.0.1:1?tls=none"


@pytest.mark.parametrize(
    ("make", "address", "lane"),
    [
        (webpush, {"endpoint": "https://FCM.googleapis.com/fcm/send/x"}, "fcm.googleapis.com"),
        (webpush, {"endpoint": "https://updates.push.services.mozilla.com/x"}, "updates.push.services.mozilla.com"),
        (lambda: webpush("127.0.0.1:9000"), {"endpoint": "http://127.0.0.1:9000/wpush/x"}, "127.0.0.1"),
        (lambda: mail(RELAY), {"email": "taro@example.jp"}, "example.jp"),
        (lambda: mail(RELAY), {"email": "a@b@city.example"}, "city.example"),
        (lambda: sms(TwilioServer().settings()), {"phone": "+819012345678"}, ""),
        (lambda: configure({}, CONTEXT)["email"], {"email": "taro@example.jp"}, ""),
    ],
    ids=["push", "another push service", "a local one", "mail", "two at-signs", "sms", "not set up"],
)
def test_an_address_lies_in_the_lane_that_it_depends_on(
    make: Callable[[], Channel], address: dict[str, str], lane: str
) -> None:
    assert make().lane(address) == lane


def test_the_lane_of_a_parsed_address_is_small_and_the_same_however_it_is_written() -> None:
    channel = mail(RELAY)
    lanes = {
        channel.lane(channel.parse_address({"email": f"taro@{domain}"})) for domain in ("Example.JP", "example.jp")
    }
    assert lanes == {"example.jp"}


def test_every_channel_that_is_set_up_can_be_checked() -> None:
    for channel in (webpush(), mail(RELAY), sms(TwilioServer().settings())):
        assert isinstance(channel, Checkable)
    assert not isinstance(configure({}, CONTEXT)["sms"], Checkable)


@pytest.mark.parametrize(("text", "rate"), [("1", 1.0), ("0.5", 0.5), ("10000", 10_000.0), ("007", 7.0)])
def test_rates(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "0.0", "-1", "1e3", "nan", "inf", "10001", "1,5", " 1", "１", "1/s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        parse_rate(text)


def test_the_budgets_hold_the_rates() -> None:
    twilio = TwilioServer().settings()
    account = {name: value for name, value in twilio.items() if name != "TWILIO_API_URL"}
    letters = {"SMTP_URL": RELAY, "MAIL_FROM": "a@example.jp"}
    assert (Sms.configure(account, CONTEXT).budget.rate, Sms.configure(account, CONTEXT).budget.pace) == (None, 10)
    assert Sms.configure({**account, "SMS_PARTS_PER_SECOND": "0.5"}, CONTEXT).budget.rate == 0.5
    assert Email.configure(letters, CONTEXT).budget.rate is None
    assert Email.configure({**letters, "MAIL_PER_SECOND": "20"}, CONTEXT).budget.rate == 20
    assert WebPush.configure({}, CONTEXT).budget.rate is None
    assert WebPush.configure({"PUSH_PER_SECOND": "500"}, CONTEXT).budget.rate == 500
