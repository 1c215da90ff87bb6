"""What the channels' tests share: a context, messages, addresses."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from alertd.core.message import Button, Message
from channels.base import Address, Channel, Context
from channels.email import Email
from channels.push_crypto import generate_key
from channels.slack import Slack
from channels.sms import Sms
from channels.teams import Teams
from channels.webpush import WebPush
from tests.providers import BrowserSubscription, PushService

PHONE = "+819012345678"
MAIL = "taro@example.jp"
MEMBER = "U012AB3CD"
KEY = generate_key()
CONTEXT = Context(public_url="https://alert.example.jp", organisation="みどり市", region="JP", vapid_keys={KEY.id: KEY})
LINK = "https://alert.example.jp/a/tok-en_123"
MESSAGE = Message(
    alert_id="01JD0Z8QK3W5V7X9B1C3D5F7H9",
    revision=2,
    language="ja",
    severity="extreme",
    drill=True,
    title="【訓練】避難所を開設しました",
    text=f"みどり市\n第一小学校へ\n{LINK}",
    html=f"<p>第一小学校へ</p><a href='{LINK}'>開く</a>",
    buttons=(Button(None, "確認しました"),),
    sent_at=datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC),
    link=LINK,
    token="tok-en_123",
)
DELIVERY = "01JD0Z8QK3W5V7X9B1C3D5F7H9:2:0:17"


def message(**changes: Any) -> Message:
    return replace(MESSAGE, **changes)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def webpush(*hosts: str, context: Context = CONTEXT, **values: str) -> WebPush:
    return WebPush.configure({"PUSH_HOSTS": ",".join(hosts), **values}, context)


def sms(values: Mapping[str, str]) -> Sms:
    channel = Sms.configure(values, CONTEXT)
    assert isinstance(channel, Sms)
    return channel


def mail(url: str, sender: str = "alert@city.example.jp") -> Email:
    channel = Email.configure({"SMTP_URL": url, "MAIL_FROM": sender}, CONTEXT)
    assert isinstance(channel, Email)
    return channel


def slack_of(values: Mapping[str, str]) -> Slack:
    channel = Slack.configure(values, CONTEXT)
    assert isinstance(channel, Slack)
    return channel


def teams_of(values: Mapping[str, str]) -> Teams:
    channel = Teams.configure(values, CONTEXT)
    assert isinstance(channel, Teams)
    return channel


def push_address(channel: Channel, subscription: BrowserSubscription, key_id: str = KEY.id) -> Address:
    """As the service makes it from what the browser posted."""
    document = subscription.json()
    return channel.parse_address({"endpoint": document["endpoint"], **document["keys"], "key_id": key_id})


def subscribed(push: PushService) -> tuple[WebPush, Address, BrowserSubscription]:
    channel = webpush(push.host)
    subscription = push.subscribe(KEY.public_key)
    return channel, push_address(channel, subscription), subscription
