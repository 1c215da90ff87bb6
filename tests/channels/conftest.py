from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from channels.base import Channel
from tests.providers import PushService, SlackServer, SmtpServer, TeamsServer, TwilioServer


@pytest.fixture
def push() -> Iterator[PushService]:
    with PushService() as service:
        yield service


@pytest.fixture
def twilio() -> Iterator[TwilioServer]:
    with TwilioServer() as server:
        yield server


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server


@pytest.fixture
def teams() -> Iterator[TeamsServer]:
    with TeamsServer() as server:
        yield server


@pytest.fixture(params=[True, False], ids=["pipelining", "step by step"])
def relay(request: pytest.FixtureRequest) -> Iterator[SmtpServer]:
    """A relay of either sort: what becomes of a letter must not depend on it."""
    with SmtpServer(pipelining=request.param) as server:
        yield server


@pytest_asyncio.fixture
async def closing() -> AsyncIterator[Callable[[Channel], None]]:
    """Channels handed to it are closed after the test."""
    channels: list[Channel] = []
    yield channels.append
    for channel in channels:
        await channel.aclose()
