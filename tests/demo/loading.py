"""Moving the town in: departments, people, tokens and browsers over the API, troubles into the providers."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from tests.demo.progress import Progress
from tests.demo.server import Api
from tests.demo.town import GROUPS, Person, Town
from tests.providers import BrowserSubscription, PushService, SmtpServer, TwilioServer

_AT_ONCE: Final = 16
_STEPWISE: Final = {
    "name": "段階的に(プッシュとメール → SMS → 上司)",
    "plan": {
        "steps": [
            {"after_seconds": 0, "channels": ["webpush", "email"]},
            {"after_seconds": 120, "channels": ["sms"], "repeat": {"every_seconds": 300, "times": 3}},
            {"after_seconds": 600, "channels": ["webpush", "sms"], "to": "supervisors"},
        ]
    },
}


@dataclass(frozen=True, slots=True)
class Providers:
    push: PushService
    twilio: TwilioServer
    relay: SmtpServer


@dataclass(frozen=True, slots=True)
class Keys:
    """What people hold in their hands: tokens by person, and whose browser is behind which subscription."""

    tokens: dict[str, str] = field(default_factory=dict)
    browsers: dict[str, Person] = field(default_factory=dict)


async def move_in(api: Api, progress: Progress, providers: Providers) -> Keys:
    """Load the town and note what is to reach whom. Raises Trouble."""
    town, keys = progress.town, Keys()
    for group in GROUPS:
        await api.put(f"/groups/{group.id}", {"name": group.name, "parent": group.parent})
    await api.post_csv("/people/import", town.csv())
    for group in GROUPS:
        if head := town.head_of(group):
            supervised = {"name": group.name, "parent": group.parent, "supervisors": [head.id]}
            await api.put(f"/groups/{group.id}", supervised)
    await api.put("/plans/stepwise", _STEPWISE)
    await _promote(api, town.manager)
    public_key = (await api.get("/push/key"))["public_key"]
    turn = asyncio.Semaphore(_AT_ONCE)
    async with asyncio.TaskGroup() as group_of_tasks:
        for person in town.people:
            if person.is_connected or person.browsers or person is town.manager:
                group_of_tasks.create_task(_equip(api, town, person, keys, providers.push, public_key, turn))
    _expect(progress, keys)
    _arrange_troubles(town, providers)
    return keys


async def _promote(api: Api, manager: Person) -> None:
    """The manager signs in to the console, so the role must be the person's own, not only a token's."""
    body = {"name": manager.name, "email": manager.email, "phone": manager.phone, "groups": [manager.group]}
    await api.put(f"/people/{manager.id}", {**body, "role": "manager"})


async def _equip(
    api: Api, town: Town, person: Person, keys: Keys, push: PushService, public_key: str, turn: asyncio.Semaphore
) -> None:
    """A token for a person, and their browsers subscribed with it."""
    async with turn:
        role = "manager" if person is town.manager else "staff"
        own = api.with_token((await api.post("/tokens", {"person": person.id, "role": role}))["token"])
        keys.tokens[person.id] = own.token
        for _ in range(person.browsers):
            browser: BrowserSubscription = push.subscribe(public_key)
            await own.post("/me/subscriptions", browser.json())
            keys.browsers[browser.id] = person
            if person.browsers_are == "refused":
                push.kill(browser)


def _expect(progress: Progress, keys: Keys) -> None:
    expected = progress.expected
    expected["webpush"].update(name for name, person in keys.browsers.items() if person.browsers_are == "works")
    for person in progress.town.people:
        if person.is_connected:
            expected["websocket"][person.id] += 1
        if person.phone and person.phone_is != "refused":
            expected["sms"][person.phone] += 1
        if person.email and person.mailbox_is != "refused":
            expected["email"][person.email] += 1


def _arrange_troubles(town: Town, providers: Providers) -> None:
    for person in town.people:
        if person.phone and person.phone_is == "refused":
            providers.twilio.fail(21211, message="The 'To' number is not valid.", number=person.phone, times=None)
        if person.email and person.mailbox_is == "refused":
            providers.relay.answer("rcpt", "550 5.1.1 User unknown", recipient=person.email, times=None)
