"""web-push-testing (npm) opens what the web push channel sends."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from alertd.core.delivery import Accepted, Gone, Refused
from channels.base import Address
from channels.push_crypto import generate_key
from channels.webpush import WebPush
from tests.channels.helpers import CONTEXT, DELIVERY, KEY, MESSAGE, in_an_hour, message, webpush
from tests.judges.conftest import Judge

pytestmark = pytest.mark.judges


class Browser:
    """The judge's own interface: it plays the browser, too."""

    def __init__(self, port: str, session: aiohttp.ClientSession) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.session = session

    async def call(self, path: str, body: dict[str, str]) -> Any:
        async with self.session.post(f"{self.url}{path}", json=body) as response:
            text = await response.text()
            return json.loads(text)["data"] if text.startswith("{") else text

    async def messages(self, subscription: dict[str, Any]) -> list[dict[str, Any]]:
        found = await self.call("/get-notifications", {"clientHash": subscription["clientHash"]})
        return [json.loads(text) for text in found["messages"]]


@pytest.fixture(scope="session")
def port(start_judge: Judge) -> str:
    return start_judge("webpush.cjs", ready=r"^(\d+)$")


@pytest_asyncio.fixture
async def browser(port: str) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession() as session:
        yield Browser(port, session)


@pytest_asyncio.fixture
async def channel(port: str) -> AsyncIterator[WebPush]:
    opened = webpush(f"127.0.0.1:{port}")
    yield opened
    await opened.aclose()


def address_of(channel: WebPush, subscription: dict[str, Any], key_id: str = KEY.id) -> Address:
    return channel.parse_address({"endpoint": subscription["endpoint"], **subscription["keys"], "key_id": key_id})


async def test_it_opens_what_is_sent(browser: Browser, channel: WebPush) -> None:
    subscription = await browser.call("/subscribe", {"userVisibleOnly": "true", "applicationServerKey": KEY.public_key})
    address = address_of(channel, subscription)
    long = message(title="警報", text="本文" * 1_000)
    for each in (MESSAGE, long):
        outcome = await channel.send(address, each, key=DELIVERY, expires_at=in_an_hour())
        assert outcome == Accepted()
    titles = [found["notification"]["title"] for found in await browser.messages(subscription)]
    assert titles == [MESSAGE.title, "警報"]


async def test_it_sees_a_key_that_the_subscription_was_not_made_under(browser: Browser, port: str) -> None:
    other = generate_key()
    channel = WebPush.configure(
        {"PUSH_HOSTS": f"127.0.0.1:{port}"},
        type(CONTEXT)(CONTEXT.public_url, CONTEXT.organisation, CONTEXT.region, {other.id: other}),
    )
    subscription = await browser.call("/subscribe", {"applicationServerKey": KEY.public_key})
    outcome = await channel.send(
        address_of(channel, subscription, other.id), MESSAGE, key=DELIVERY, expires_at=in_an_hour()
    )
    await channel.aclose()
    assert isinstance(outcome, Refused)
    assert await browser.messages(subscription) == []


async def test_it_sees_a_message_for_somebody_else(browser: Browser, channel: WebPush) -> None:
    mine, theirs = [await browser.call("/subscribe", {"applicationServerKey": KEY.public_key}) for _ in range(2)]
    mixed = {**address_of(channel, mine), "p256dh": theirs["keys"]["p256dh"]}
    assert isinstance(await channel.send(mixed, MESSAGE, key=DELIVERY, expires_at=in_an_hour()), Refused)
    assert await browser.messages(mine) == []


async def test_an_expired_subscription_is_gone(browser: Browser, channel: WebPush) -> None:
    subscription = await browser.call("/subscribe", {"applicationServerKey": KEY.public_key})
    await browser.call(f"/expire-subscription/{subscription['clientHash']}", {})
    outcome = await channel.send(address_of(channel, subscription), MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Gone)
