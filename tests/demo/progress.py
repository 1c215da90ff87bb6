"""What the demo itself has set up and seen: the only thing that it believes."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.demo.town import Person, Town, Way

CHANNELS: Final = ("websocket", "webpush", "sms", "email")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A copy of the alert that reached a phone, a browser, a mailbox or a socket of ours."""

    address: str
    at: float  # time.time()
    fault: str | None  # what is wrong with the copy


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that alertd has confirmed to whoever gave it."""

    person: Person
    way: Way
    choice: str | None
    at: float


@dataclass(slots=True)
class Progress:
    """How far the show is. Whoever changes something here calls `tell`."""

    town: Town
    expected: dict[str, Counter[str]] = field(default_factory=lambda: {channel: Counter() for channel in CHANNELS})
    """Per channel: how many copies each working address is to get."""
    arrivals: dict[str, list[Arrival]] = field(default_factory=lambda: {channel: [] for channel in CHANNELS})
    answers: dict[str, Answer] = field(default_factory=dict)  # by person
    troubles: list[str] = field(default_factory=list)  # what went wrong for somebody in the town
    alert: dict[str, Any] = field(default_factory=dict)
    posted_at: float = 0.0  # time.time() just before the post; 0: not yet
    confirmed_at: float = 0.0  # when the post was answered
    summary: dict[str, Any] = field(default_factory=dict)  # as alertd counts
    unreachable: list[dict[str, Any]] = field(default_factory=list)  # as alertd lists those to whom no way works
    is_over: bool = False  # what comes now belongs to something that the visitor does
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self) -> None:
        """Wake whoever waits for something here."""
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    async def wait_for(self, true: Callable[[], bool]) -> None:
        """Until `true()`, which is asked again after each `tell`."""
        while not true():
            await self._changed.wait()

    def arrive(self, channel: str, address: str, at: float, fault: str | None) -> None:
        if not self.is_over:
            self.arrivals[channel].append(Arrival(address, at, fault))
            self.tell()

    def answered(self, person: Person, way: Way, choice: str | None) -> None:
        if not self.is_over:
            self.answers[person.id] = Answer(person, way, choice, self.now())
            self.tell()

    def arrived(self, channel: str) -> int:
        """How many of the expected copies are there; one that came twice counts once."""
        counts = Counter(arrival.address for arrival in self.arrivals[channel])
        return (counts & self.expected[channel]).total()

    @property
    def is_complete(self) -> bool:
        """Everything that should arrive has, and alertd's counts have caught up with the answers."""
        counts = self.summary["channels"].values()
        is_out = all(count["pending"] + count["sending"] == 0 for count in counts)
        has_arrived = all(self.arrived(channel) == self.expected[channel].total() for channel in CHANNELS)
        return is_out and has_arrived and self.summary["acknowledged"] == len(self.answers)

    def reached(self, channel: str) -> str:
        return f"{self.arrived(channel)}/{self.expected[channel].total()}"

    def first_and_last(self, channel: str) -> tuple[float, float] | None:
        """Seconds from the post to the first and to the last copy that arrived."""
        times = [arrival.at - self.posted_at for arrival in self.arrivals[channel]]
        return (min(times), max(times)) if times else None

    def now(self) -> float:
        return time.time()

    @property
    def elapsed(self) -> float:
        return self.now() - self.posted_at if self.posted_at else 0.0
