"""Prism (npm) holds what the SMS channel sends against Twilio's own description of its API."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from alertd.core.delivery import Accepted
from channels.sms import Sms
from tests.channels.helpers import DELIVERY, MESSAGE, PHONE, in_an_hour, sms
from tests.judges.conftest import FOLDER, Judge
from tests.providers import TwilioServer
from tests.providers.twilio import ACCOUNT_SID, AUTH_TOKEN, NUMBER, SERVICE_SID, check_form

pytestmark = pytest.mark.judges
DESCRIPTION = "node_modules/@twilio/cli-core/src/services/twilio-api/twilio_api_v2010.json"
PATH = "/2010-04-01/Accounts/{AccountSid}/Messages.json"
VALUES = {"TWILIO_ACCOUNT_SID": ACCOUNT_SID, "TWILIO_AUTH_TOKEN": AUTH_TOKEN}


@pytest.fixture(scope="session")
def url(start_judge: Judge) -> str:
    # Not --errors: it also judges the answers, and the description's own example of a list breaks its rules.
    options = ["--host", "127.0.0.1", "--port", "0", "--multiprocess", "false"]
    return start_judge("prism.cjs", "mock", DESCRIPTION, *options, ready=r"listening on (http://[\w.:]+)")


@pytest_asyncio.fixture(params=[{"TWILIO_FROM": NUMBER}, {"TWILIO_MESSAGING_SERVICE_SID": SERVICE_SID}])
async def channel(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Sms]:
    opened = sms({**VALUES, **request.param, "TWILIO_API_URL": url})
    yield opened
    await opened.aclose()


async def test_what_is_sent_is_accepted(channel: Sms) -> None:
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Accepted), outcome
    assert (outcome.provider_id or "")[:2] in ("SM", "MM")


async def test_what_is_looked_up_is_accepted(channel: Sms) -> None:
    assert await channel.find({"phone": PHONE}, MESSAGE, since=datetime.now(UTC)) is None


@pytest.mark.parametrize(
    ("changes", "authenticated", "status"),
    [
        ({}, True, 201),
        ({}, False, 401),
        ({"To": None}, True, 422),
        ({"MessagingServiceSid": "MG123"}, True, 422),
        ({"StatusCallback": "not a url"}, True, 422),
        ({"ValidityPeriod": "soon"}, True, 422),
    ],
)
async def test_what_is_wrong_is_rejected(
    url: str, changes: dict[str, str | None], authenticated: bool, status: int
) -> None:
    form: dict[str, str | None] = {"To": PHONE, "From": NUMBER, "Body": "x", "StatusCallback": "https://x.example/"}
    sent = {name: value for name, value in (form | changes).items() if value is not None}
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT_SID, AUTH_TOKEN)} if authenticated else {}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url + PATH.format(AccountSid=ACCOUNT_SID), data=sent, headers=headers) as response,
    ):
        assert response.status == status, await response.text()


async def test_every_field_that_is_sent_is_described() -> None:
    # Prism lets unknown fields pass, so that a misspelt one would not be seen above.
    document: dict[str, Any] = json.loads((FOLDER / DESCRIPTION).read_text())
    body = document["paths"][PATH]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    with TwilioServer() as twilio:
        for sender in (NUMBER, SERVICE_SID):
            opened = sms(twilio.settings(sender=sender))
            await opened.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
            await opened.aclose()
        for taken in twilio.messages:
            assert taken.form.keys() <= body["properties"].keys()
            check_form(taken.form)
