"""Channels that talk to nobody."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from alertd.core.delivery import Accepted, Outcome
from alertd.core.message import Budget, Message
from alertd.service.runtime import Runtime
from alertd.store import deliveries, rollouts
from channels.base import Address


class Pigeon:
    """Takes every mail over, unless it is told what to answer; remembers what it was given."""

    kind = "email"

    def __init__(self, concurrency: int = 4, rate: float | None = None) -> None:
        self.budget = Budget("letter", 0, concurrency, rate=rate)
        self.sent: list[tuple[str, Message, str]] = []
        self.answers: dict[str, Outcome | Exception] = {}  # by address
        self.let = asyncio.Event()
        self.let.set()
        self.flying = 0
        self.most_flying = 0
        self.landed: Callable[[], None] = lambda: None

    def parse_address(self, raw: Mapping[str, str]) -> Address:
        return raw

    def lane(self, address: Address) -> str:
        return address["email"].rpartition("@")[2]

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        self.sent.append((address["email"], message, key))
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        await self.let.wait()
        self.flying -= 1
        self.landed()
        answer = self.answers.get(address["email"].partition("@")[0], Accepted(f"m{len(self.sent)}"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        return None


class Homing(Pigeon):
    """Can be asked whether a message has arrived after all."""

    def __init__(self, found: Outcome | None) -> None:
        super().__init__()
        self.found = found
        self.asked: list[datetime] = []
        self.others: set[str] = set()

    async def find(
        self, address: Address, message: Message, *, since: datetime, others: Collection[str] = ()
    ) -> Outcome | None:
        self.asked.append(since)
        self.others |= set(others)
        return self.found


def rows(rt: Runtime, alert_id: str) -> dict[str, Mapping[str, Any]]:
    with rt.store.read() as connection:
        found = deliveries.of_people(connection, alert_id, rollouts.told_of(connection, alert_id))
    return {row["person_id"]: row for row in found}


def states(rt: Runtime, alert_id: str) -> dict[str, str]:
    return {person: row["state"] for person, row in rows(rt, alert_id).items()}
