"""One round of a scenario: alerts go out, the fault is done, and everybody is counted."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.acceptance.town import Person, eventually
from tests.chaos.hands import Hands
from tests.chaos.ledger import Ledger, Repeats, Way, tag
from tests.chaos.place import Place

PATIENCE: Final = 150.0  # seconds after which a round is given up as not back
_LOOK_SECONDS: Final = 0.2
OPEN: Final = ("pending", "sending", "held")


@dataclass
class Alert:
    """One alert and who is to have it on which ways."""

    tag: str
    body: dict[str, Any]
    audience: list[Person]
    expected: dict[Way, Person]
    is_answered: bool = True  # whether people answer it
    id: str = ""
    begun_at: float = 0.0  # time.time() of its first POST
    answers: list[int] = field(default_factory=list)  # statuses of its POSTs; 0: no answer
    answered: set[str] = field(default_factory=set)  # ids that were answered: one, if all is right
    faults: list[str] = field(default_factory=list)


@dataclass
class Limits:
    """What a scenario allows."""

    extra: int = 0  # messages more than one, per address
    plain: int = 0  # repeats that people see (an SMS twice; another Topic; another Message-ID)
    back: float | None = None  # seconds from the end of the fault


@dataclass
class Result:
    """What a round came to."""

    lost: int
    lost_acks: int
    acks: int
    deliveries: int
    repeats: dict[str, Repeats]
    unexpected: int
    back_seconds: float
    proof: dict[str, float]
    notes: dict[str, float]
    faults: list[str]


class Stage:
    """What a scenario plays with. One per round; place, ledger and hands go through many."""

    def __init__(
        self, place: Place, ledger: Ledger, hands: Hands, number: int, dice: random.Random, light: bool
    ) -> None:
        self.place = place
        self.ledger = ledger
        self.hands = hands
        self.number = number
        self.dice = dice
        self.light = light
        self.alerts: list[Alert] = []
        self.proof: dict[str, float] = {}
        self.notes: dict[str, float] = {}
        self.faults: list[str] = []
        self.excused: set[Way] = set()
        """Where the provider refuses the message for good: nothing comes there, and that must be told as failed."""
        self.retired: set[Way] = set()
        """Of these the addresses that are used no more after that."""
        self._over_at = 0.0
        self._at_the_end: list[Callable[[], None]] = []
        self._under_way = place.under_way()

    @property
    def people(self) -> list[Person]:
        return list(self.place.people.values())

    def some(self, share: float = 0.8) -> list[Person]:
        """An audience drawn by the dice: those left out prove that nobody gets what is not theirs."""
        return sorted(self.dice.sample(self.people, round(len(self.people) * share)), key=lambda person: person.id)

    def prove(self, name: str, count: float) -> None:
        """Add to what shows that the fault hit."""
        self.proof[name] = self.proof.get(name, 0) + count

    def note(self, name: str, count: float) -> None:
        """The same for what need not be in every round, but in some round of the scenario."""
        self.notes[name] = self.notes.get(name, 0) + count

    def under_way(self) -> int:
        """Requests that providers have received in this round and not accepted yet."""
        return self.place.under_way() - self._under_way

    async def until_under_way(self) -> int:
        """As soon as something is under way: how much."""

        async def sending() -> bool:
            return self.under_way() > 0

        await eventually(sending, 30, "something is under way")
        return self.under_way()

    def over(self) -> None:
        """The fault has ended: from here on the seconds until all is back are counted."""
        self._over_at = time.monotonic()

    def on_count(self, action: Callable[[], None]) -> None:
        """Do this when all is back, before it is counted."""
        self._at_the_end.append(action)

    # Posting

    def draft(
        self, audience: Sequence[Person], *, channel: str | None = None, is_answered: bool = True, **more: Any
    ) -> Alert:
        """`channel`: it goes on this one alone."""
        name = tag(self.dice.randrange(10**8))
        expected: dict[Way, Person] = {}
        for person in audience:
            expected |= {("webpush", browser.id): person for browser in person.browsers}
            if person.phone:
                expected["sms", person.phone] = person
            if person.email:
                expected["email", person.email] = person
        if channel is not None:
            expected = {way: person for way, person in expected.items() if way[0] == channel}
            more["plan"] = {"steps": [{"after_seconds": 0, "channels": [channel], "to": "outstanding"}]}
        body = {
            "board": "general",
            "title": f"津波警報 {name}",
            "body": "本庁舎に集まってください。",
            "urgent": True,
            "drill": False,
            "severity": "extreme",
            "audience": {"people": [person.id for person in audience]},
            **more,
        }
        alert = Alert(name, body, list(audience), expected, is_answered)
        self.alerts.append(alert)
        return alert

    async def try_post(self, alert: Alert, web: int = 0) -> int:
        """One POST of it, always under the same key; its status (0: no answer)."""
        alert.begun_at = alert.begun_at or time.time()
        status, body, retry_after = await self.place.try_post(alert.body, alert.tag, web)
        alert.answers.append(status)
        if 200 <= status < 300:
            alert.answered.add(body["alert"]["id"])
        elif status == 503 and retry_after is None:
            alert.faults.append("503 without Retry-After")
        elif status not in (0, 503):
            alert.faults.append(f"POST /posts answered {status}: {body}")
        return status

    async def post(self, alert: Alert) -> Alert:
        """POST it until it is answered with 201, from whichever web process; people begin to answer."""
        deadline = time.monotonic() + PATIENCE
        web = self.dice.randrange(len(self.place.urls))
        while not 200 <= await self.try_post(alert, web) < 300:
            if time.monotonic() > deadline:
                raise AssertionError(f"{alert.tag} could not be posted within {PATIENCE} s: {alert.answers[-3:]}")
            web += 1
            await asyncio.sleep(0.2)
        self._posted(alert)
        return alert

    def _posted(self, alert: Alert) -> None:
        alert.id = min(alert.answered)
        if alert.is_answered:
            self.hands.answer(alert.tag, alert.id, alert.audience, self.dice)

    async def issue(self, audience: Sequence[Person] | None = None, **more: Any) -> Alert:
        return await self.post(self.draft(self.some() if audience is None else audience, **more))

    @asynccontextmanager
    async def issuing(self, audience: Sequence[Person] | None = None, **more: Any) -> AsyncIterator[Alert]:
        """The same while the block runs; it has been posted when the block has ended."""
        alert = self.draft(self.some() if audience is None else audience, **more)
        posting = asyncio.create_task(self.post(alert))
        try:
            yield alert
        finally:
            await posting

    # Counting

    async def finish(self, limits: Limits) -> Result:
        """Wait until everything is back, then count."""
        if not self._over_at:
            self.over()
        back = await self.until_back()
        elapsed = time.monotonic() - self._over_at
        for action in self._at_the_end:
            action()
        if back:
            self.faults.append(f"not back after {elapsed:.0f} s: {back}")
        return await self._count(limits, elapsed)

    async def until_back(self) -> str:
        """Wait until nothing of this round is open any more; what still is when patience ends, in words."""
        deadline = time.monotonic() + PATIENCE
        while True:
            back = await self._is_back()
            if not back or time.monotonic() > deadline:
                return back
            await asyncio.sleep(_LOOK_SECONDS)

    async def finish_sending(self, alerts: Sequence[Alert] | None = None, within: float = PATIENCE) -> None:
        """Wait until every message is there; whatever is missing then is counted by `finish`."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            self.ledger.read()
            if not any(self.missing(alert) for alert in alerts or self.alerts):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _is_back(self) -> str:
        """What is not back yet, in words."""
        self.ledger.read()
        for alert in self.alerts:
            missing = self.missing(alert)
            if missing:
                return f"{len(missing)} of {len(alert.expected)} messages of {alert.tag} are missing: {missing[:3]}"
        if not self.hands.are_at_rest:
            return "people still try to answer"
        for alert in self.alerts:
            silent = self._not_heard(alert)
            if silent:
                return f"{silent} have not heard {alert.tag} on the stream"
            summary = await self.place.ask(f"/alerts/{alert.id}/summary")
            counts = {channel: {s: n[s] for s in OPEN if n[s]} for channel, n in summary["channels"].items()}
            if any(counts.values()):
                return f"{alert.tag} has open deliveries: {counts}"
        return ""

    def missing(self, alert: Alert) -> list[Way]:
        """Where its message is to be and is not."""
        received = self.ledger.received.get(alert.tag, {})
        return [way for way in alert.expected if way not in received and way not in self.excused]

    def _not_heard(self, alert: Alert) -> list[str]:
        streams = self.hands.streams
        return [p.id for p in alert.audience if p.id in streams and not streams[p.id].heard[alert.body["title"]]]

    async def _count(self, limits: Limits, elapsed: float) -> Result:
        lost = lost_acks = acks = unexpected = deliveries = 0
        repeats: dict[str, Repeats] = {}
        faults = [*self.faults, *(f"{alert.tag}: {fault}" for alert in self.alerts for fault in alert.faults)]
        for alert in self.alerts:
            missing = self.missing(alert)
            silent = self._not_heard(alert)
            lost += len(missing) + len(silent)
            faults += [f"{alert.tag} never reached {channel} {address}" for channel, address in missing[:3]]
            received = self.ledger.received.get(alert.tag, {})
            strange = [way for way in received if way not in alert.expected]
            unexpected += len(strange)
            faults += [f"{alert.tag} came to {way}, which is nobody's in its audience" for way in strange[:3]]
            refused = [way for way in received if way in self.excused]
            faults += [f"{alert.tag} came to {way}, which was to be refused" for way in refused]
            deliveries += sum(len(each.identities) for each in received.values())
            for channel, each in self.ledger.repeats(alert.tag).items():
                repeats.setdefault(channel, Repeats())
                repeats[channel] += each
            promised = self.hands.promised[alert.tag]
            acks += len(promised)
            gone = promised - await self._acknowledged(alert)
            lost_acks += len(gone)
            faults += [f"{alert.tag}: the answers of {sorted(gone)} are lost"] if gone else []
            faults += await self._told(alert)
        unexpected += len(self.ledger.strangers)
        faults += [f"nobody's message: {words}" for words in self.ledger.strangers[:3]]
        self.ledger.strangers.clear()
        faults += self._beyond(limits, repeats, elapsed)
        faults += [f"gave up: {why}" for why in self.hands.troubles()]
        return Result(
            lost, lost_acks, acks, deliveries, repeats, unexpected, round(elapsed, 1), self.proof, self.notes, faults
        )

    def _beyond(self, limits: Limits, repeats: dict[str, Repeats], elapsed: float) -> list[str]:
        faults = [
            f"{channel}: up to {each.most} more to one address, {each.plain} of the repeats to be seen"
            for channel, each in repeats.items()
            if each.most > limits.extra or each.plain > limits.plain
        ]
        if limits.back is not None and elapsed > limits.back:
            faults.append(f"back after {elapsed:.1f} s, not within {limits.back:g} s")
        return faults + [f"the fault did not hit: {name} is 0" for name, count in self.proof.items() if not count]

    async def _acknowledged(self, alert: Alert) -> set[str]:
        rows = await self._recipients(alert, "&state=acknowledged")
        return {row["person"]["id"] for row in rows}

    async def _recipients(self, alert: Alert, query: str = "") -> list[dict[str, Any]]:
        return [row async for row in self._items(f"/alerts/{alert.id}/recipients?limit=200{query}")]

    async def _items(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """What a list has, page by page."""
        page = await self.place.ask(path)
        while True:
            for item in page["items"]:
                yield item
            if page["next"] is None:
                return
            page = await self.place.ask(f"{path}&cursor={page['next']}")

    async def _told(self, alert: Alert) -> list[str]:
        """What is claimed wrongly: an alert that is there twice, or success without a message."""
        faults = []
        if len(alert.answered) != 1:
            faults.append(f"{alert.tag}: {len(alert.answered)} alerts under one key")
        # However many others came since: a fault that lasts has room for hundreds.
        same = [each["id"] async for each in self._items("/alerts?limit=100") if alert.tag in each["title"]]
        if same != [alert.id]:
            faults.append(f"{alert.tag}: {len(same)} alerts in the list")
        summary = await self.place.ask(f"/alerts/{alert.id}/summary")
        reached = [channel for channel, _ in self.ledger.received.get(alert.tag, {})]
        for channel, states in summary["channels"].items():
            claimed = states["sent"] + states["delivered"]
            if claimed > reached.count(channel):
                faults.append(f"{alert.tag}: {claimed} by {channel} are said to be sent, {reached.count(channel)} are")
            failed = sum(way[0] == channel and way in self.excused for way in alert.expected)
            if states["failed"] != failed:
                faults.append(f"{alert.tag}: {states['failed']} by {channel} failed, {failed} should have")
        return faults
