"""Bulkheads: how many attempts each lane of each provider may have under way, whether any at all, and how fast.

A lane is what an address depends on beside the provider (a push service's host, a mail domain). A lane that hangs or
fails is given fewer places, then none but a probe now and then, so that it keeps none of the others waiting. Every
time here is in monotonic seconds, handed in by the caller.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

PLACES_START: Final = 64  # of a lane that nothing is known of
PLACES_MOST: Final = 256
OPENS_AFTER: Final = 5  # failures in a row
OPENS_AFTER_UNPROVEN: Final = 3  # of a lane that has never answered well
OPEN_FIRST: Final = 1.0  # seconds until the first probe; doubles with every probe that fails
OPEN_LONGEST: Final = 30.0
PAUSES_AFTER: Final = 2  # wishes for a pause in a row: the first may be about one device only
PAUSE_LONGEST: Final = 60.0
REFUSED_SECONDS: Final = 60.0  # between probes of a provider that says that the fault is ours
PROVIDER_OPENS_AFTER: Final = 10  # failures in a row, on so many lanes at least:
PROVIDER_OPENS_LANES: Final = 3
IDLE_SECONDS: Final = 600.0  # a lane that nobody used for so long is forgotten
LANES_MOST: Final = 4_000  # that are remembered, whoever writes to how many mail domains

EVERY_LANE: Final = "*"
PRIMARY: Final = "primary"
SECONDARY: Final = "secondary"


class Stand(StrEnum):
    """How a circuit stands."""

    CLOSED = "closed"  # attempts are made
    OPEN = "open"  # none is made
    HALF_OPEN = "half-open"  # one may be made, and decides


@dataclass(frozen=True, slots=True)
class CircuitFact:
    """A circuit that is not closed, for people to see. `lane` EVERY_LANE: the whole provider."""

    provider: str
    lane: str
    stand: Stand
    reason: str
    since: float  # when it first opened


class Circuit:
    """Keeps attempts from where they fail.

    An attempt carries the number that `begin` gave it: what began before the circuit opened and fails afterwards is
    no news.
    """

    def __init__(self) -> None:
        self.reason = ""
        self.since = 0.0
        self._number = 0
        self._probe_at: float | None = None  # None: closed
        self._open_seconds = OPEN_FIRST
        self._probing = False

    def stand(self, now: float) -> Stand:
        if self._probe_at is None:
            return Stand.CLOSED
        return Stand.OPEN if now < self._probe_at else Stand.HALF_OPEN

    def may_probe(self, now: float) -> bool:
        """Whether it is half-open and its one attempt not under way yet."""
        return self.stand(now) is Stand.HALF_OPEN and not self._probing

    def begin(self, now: float) -> int:
        self._probing = self._probing or self.stand(now) is Stand.HALF_OPEN
        return self._number

    def is_current(self, number: int) -> bool:
        """Whether that attempt began after the circuit last opened."""
        return number == self._number

    def close(self) -> None:
        self._probe_at, self._open_seconds, self._probing = None, OPEN_FIRST, False

    def trip(self, reason: str, now: float, seconds: float | None = None) -> None:
        """Let nothing through for `seconds`; without that for twice as long as the last time."""
        if self._probe_at is None:
            self.since = now
        self.reason = reason
        self._probe_at = now + (self._open_seconds if seconds is None else seconds)
        self._open_seconds = min(2 * self._open_seconds, OPEN_LONGEST)
        self._number += 1
        self._probing = False

    def let_go(self, number: int) -> None:
        """That attempt ended without deciding anything: another may be the probe."""
        if self.is_current(number):
            self._probing = False


@dataclass(frozen=True, slots=True)
class Places:
    """How many attempts a lane may have under way at first, and at most."""

    start: int = PLACES_START
    most: int = PLACES_MOST


class Flow:
    """One lane of one provider. Each attempt is one `begin` and one of the four ends, with the number it was given."""

    def __init__(self, places: Places, now: float) -> None:
        self.circuit = Circuit()
        self.limit = places.start
        self.under_way = 0
        self.touched = now
        self._most = places.most
        self._failures = 0
        self._wishes = 0
        self._proven = False
        self._paused_until = now

    def is_paused(self, now: float) -> bool:
        return now < self._paused_until

    def room(self, now: float) -> int:
        """How many attempts may begin now."""
        if self.is_paused(now):
            return 0
        if self.circuit.stand(now) is Stand.CLOSED:
            return max(0, self.limit - self.under_way)
        return 1 if self.circuit.may_probe(now) else 0

    def begin(self, now: float) -> int:
        self.touched = now
        self.under_way += 1
        return self.circuit.begin(now)

    def succeed(self, now: float) -> None:
        """It answered, whatever it said of that one message."""
        self._end(now)
        self.limit = min(self.limit + 1, self._most)
        self._failures = self._wishes = 0
        self._proven = True
        self.circuit.close()

    def fail(self, number: int, reason: str, now: float) -> None:
        """It did not do its part: no answer, a broken one, 5xx."""
        self._end(now)
        if not self.circuit.is_current(number):
            return
        self.limit = max(1, self.limit // 2)
        self._failures += 1
        bears = OPENS_AFTER if self._proven else OPENS_AFTER_UNPROVEN
        if self._failures >= bears or self.circuit.stand(now) is not Stand.CLOSED:
            self.circuit.trip(reason, now)

    def pause(self, number: int, until: float, now: float) -> None:
        """It wants to be left alone until then: no failure, but nothing begins before that or PAUSE_LONGEST."""
        self.let_go(number, now)
        self._wishes += 1
        if self._wishes < PAUSES_AFTER:
            return
        if not self.is_paused(now):
            self.limit = max(1, self.limit // 2)
        self._paused_until = max(self._paused_until, min(until, now + PAUSE_LONGEST))

    def let_go(self, number: int, now: float) -> None:
        """It ended without a word about the lane."""
        self._end(now)
        self.circuit.let_go(number)

    def _end(self, now: float) -> None:
        self.touched = now
        self.under_way -= 1


class _Provider:
    """What is known of a provider as a whole."""

    def __init__(self) -> None:
        self.circuit = Circuit()
        self.refuses = False
        self.failures = 0
        self.failing: set[str] = set()  # some of the lanes that failed since the last success

    def recover(self) -> None:
        self.circuit.close()
        self.refuses, self.failures = False, 0
        self.failing.clear()


@dataclass(slots=True)
class _Door:
    """A provider's places for one lane. `keeps`: who finds none waits for it, instead of going on to the next."""

    provider: str
    places: float
    keeps: bool


class Room:
    """How many attempts may begin now, by lane; used up by `take`."""

    def __init__(
        self, limit: int, providers: dict[str, float], lanes: dict[str, list[_Door]], other_lane: Sequence[_Door]
    ) -> None:
        self.limit = limit
        self._turned_away = False
        self._providers = providers
        self._lanes = lanes
        self._other_lane = other_lane

    @classmethod
    def for_any(cls, limit: int) -> Self:
        """Room for so many at the primary provider, whatever their lane."""
        return cls(limit, {PRIMARY: float(limit)}, {}, [_Door(PRIMARY, float(limit), keeps=True)])

    def take(self, lane: str, refusals: Mapping[str, int] = MappingProxyType({})) -> str | None:
        """The provider at which one more attempt on `lane` may begin, None when there is no place for it.

        `refusals`: how often each has refused this one's recipient; only those that did so least come into question.
        """
        least = min(refusals.get(name, 0) for name in self._providers)
        doors = (door for door in self._doors(lane) if refusals.get(door.provider, 0) == least)
        door = self._door(doors) if self.limit > 0 else None
        if door is None:
            self._turned_away = True
            return None
        self.limit -= 1
        self._providers[door.provider] -= 1
        door.places -= 1
        return door.provider

    @property
    def is_short(self) -> bool:
        """Whether there may be somebody who found no place."""
        return self._turned_away or self.lanes() != (True, [])

    def lanes(self) -> tuple[bool, list[str]]:
        """(True, lanes that are full) when every other lane has room; else (False, the only lanes that have)."""
        others = self._door(self._other_lane) is not None
        return others, sorted(lane for lane, doors in self._lanes.items() if (self._door(doors) is None) is others)

    def _doors(self, lane: str) -> list[_Door]:
        if lane not in self._lanes:
            self._lanes[lane] = [_Door(door.provider, door.places, door.keeps) for door in self._other_lane]
        return self._lanes[lane]

    def _door(self, doors: Iterable[_Door]) -> _Door | None:
        for door in doors:
            if door.places >= 1 and self._providers[door.provider] >= 1:
                return door
            if door.keeps:
                return None
        return None


@dataclass(frozen=True, slots=True)
class Passage:
    """One attempt under way."""

    provider: str
    lane: str
    _lane_number: int
    _provider_number: int


class Flows:
    """Every lane of a channel's providers, named in the order in which they are used.

    The next provider takes over where the one before it is paused or has a circuit that is not closed: on one lane, or
    on all of them when it says that the fault is ours (`refuse`) or fails on many lanes in a row.
    """

    def __init__(self, providers: Sequence[str], concurrency: int) -> None:
        self._providers = {name: _Provider() for name in providers}
        # A lane by which everything goes may have every place; of several none may take the others' half.
        self._sole = Places(min(PLACES_START, concurrency), min(PLACES_MOST, concurrency))
        self._one_of_many = Places(
            min(PLACES_START, max(1, concurrency // 2)), min(PLACES_MOST, max(1, concurrency // 2))
        )
        self._flows: dict[tuple[str, str], Flow] = {}  # the one touched longest ago first
        self._swept = 0.0

    def __len__(self) -> int:
        """The number of lanes that are remembered."""
        return len(self._flows)

    def room(self, limit: int, most: Mapping[str, float], now: float) -> Room:
        """What may begin now: `limit` attempts in all, at each provider as many as `most` says."""
        providers = {
            name: most[name] if provider.circuit.stand(now) is Stand.CLOSED else float(provider.circuit.may_probe(now))
            for name, provider in self._providers.items()
        }
        known = {lane for _, lane in self._flows}
        lanes = {lane: self._doors(lane, now) for lane in known | {""}}
        return Room(limit, providers, lanes, self._doors(None, now))

    def begin(self, provider: str, lane: str, now: float) -> Passage:
        key = (provider, lane)
        flow = self._flows.pop(key, None) or Flow(self._places(lane), now)
        self._flows[key] = flow
        passage = Passage(provider, lane, flow.begin(now), self._providers[provider].circuit.begin(now))
        self._forget_idle(now)
        return passage

    def succeed(self, passage: Passage, now: float) -> None:
        """It answered, whatever it said of that one message."""
        self._flow(passage).succeed(now)
        self._providers[passage.provider].recover()

    def fail(self, passage: Passage, reason: str, now: float) -> None:
        """It did not do its part: no answer, a broken one, 5xx."""
        self._flow(passage).fail(passage._lane_number, reason, now)
        provider = self._providers[passage.provider]
        if not provider.circuit.is_current(passage._provider_number):
            return
        if provider.circuit.stand(now) is not Stand.CLOSED:
            provider.circuit.trip(reason, now, REFUSED_SECONDS if provider.refuses else None)
            return
        provider.failures += 1
        if len(provider.failing) < PROVIDER_OPENS_LANES:
            provider.failing.add(passage.lane)
        ill = provider.failures >= PROVIDER_OPENS_AFTER and len(provider.failing) >= PROVIDER_OPENS_LANES
        # Without another to take over it would only make well lanes wait for the probes of ill ones.
        if ill and self._is_any_other_closed(passage.provider, now):
            provider.circuit.trip(reason, now)

    def pause(self, passage: Passage, until: float, now: float) -> None:
        """The lane wants to be left alone until then: see `Flow.pause`."""
        self._flow(passage).pause(passage._lane_number, until, now)
        self._providers[passage.provider].circuit.let_go(passage._provider_number)

    def let_go(self, passage: Passage, now: float) -> None:
        """It ended without a word about lane or provider."""
        self._flow(passage).let_go(passage._lane_number, now)
        self._providers[passage.provider].circuit.let_go(passage._provider_number)

    def refuse(self, passage: Passage, reason: str, now: float) -> bool:
        """The provider says that the fault is ours. Whether another takes over, which has not said so itself."""
        self._flow(passage).let_go(passage._lane_number, now)
        provider = self._providers[passage.provider]
        if len(self._providers) == 1:
            return False
        if provider.circuit.is_current(passage._provider_number):
            provider.refuses = True
            provider.circuit.trip(reason, now, REFUSED_SECONDS)
        return any(not other.refuses for other in self._providers.values())

    def not_closed(self, now: float) -> list[CircuitFact]:
        """The circuits that keep attempts back, in order."""
        facts = [
            CircuitFact(name, EVERY_LANE, provider.circuit.stand(now), provider.circuit.reason, provider.circuit.since)
            for name, provider in self._providers.items()
        ]
        facts += [
            CircuitFact(name, lane, flow.circuit.stand(now), flow.circuit.reason, flow.circuit.since)
            for (name, lane), flow in self._flows.items()
        ]
        found = (fact for fact in facts if fact.stand is not Stand.CLOSED)
        return sorted(found, key=lambda fact: (fact.provider, fact.lane))

    def _flow(self, passage: Passage) -> Flow:
        key = (passage.provider, passage.lane)
        flow = self._flows[key] = self._flows.pop(key)
        return flow

    def _places(self, lane: str | None) -> Places:
        return self._sole if lane == "" else self._one_of_many

    def _doors(self, lane: str | None, now: float) -> list[_Door]:
        """A lane's providers, in the order in which they are used; None: of a lane that is not known yet."""
        doors = []
        for name, provider in self._providers.items():
            stand = provider.circuit.stand(now)
            if stand is Stand.OPEN:
                continue
            flow = self._flows.get((name, lane)) if lane is not None else None
            if flow is None:
                doors.append(_Door(name, self._places(lane).start, keeps=stand is Stand.CLOSED))
            else:
                is_closed = stand is Stand.CLOSED and flow.circuit.stand(now) is Stand.CLOSED
                doors.append(_Door(name, flow.room(now), keeps=is_closed and not flow.is_paused(now)))
        return doors

    def _is_any_other_closed(self, name: str, now: float) -> bool:
        others = (provider for other, provider in self._providers.items() if other != name)
        return any(other.circuit.stand(now) is Stand.CLOSED for other in others)

    def _forget_idle(self, now: float) -> None:
        if len(self._flows) <= LANES_MOST and now - self._swept < IDLE_SECONDS / 10:
            return
        self._swept = now
        surplus = len(self._flows) - LANES_MOST
        idle: list[tuple[str, str]] = []
        for key, flow in self._flows.items():
            if flow.touched > now - IDLE_SECONDS and len(idle) >= surplus:
                break
            if flow.under_way == 0:
                idle.append(key)
        for key in idle:
            del self._flows[key]


class Throttle:
    """A token bucket: `rate` units a second, at most one second's worth at once. A message costs some units."""

    def __init__(self, rate: float, now: float) -> None:
        self._whole_rate = rate
        self._rate = rate
        self._units = rate
        self._at = now

    def share(self, workers: int, now: float) -> None:
        """Keep to the part of the rate that is left to each of so many."""
        self._fill(now)
        self._rate = self._whole_rate / max(1, workers)
        self._units = min(self._units, self._rate)

    def free(self, now: float) -> float:
        """The units that may be taken now; below 0 while more was taken than there was."""
        self._fill(now)
        return self._units

    def take(self, cost: float, now: float) -> None:
        """Take what a message costs, even if it is more than there is: those that come later wait for it."""
        self._fill(now)
        self._units -= cost

    def fits(self, cost: float, now: float) -> int:
        """How many messages that cost so much may be sent now."""
        return max(0, int((self.free(now) + 1e-9) / self._least(cost)))

    def ready_at(self, cost: float, now: float) -> float:
        """When a message that costs so much may be sent: `now` or later."""
        return now + max(0.0, self._least(cost) - self.free(now)) / self._rate

    def _least(self, cost: float) -> float:
        # One that costs more than a second's worth goes when the bucket is full, and leaves a debt.
        return min(cost, self._rate)

    def _fill(self, now: float) -> None:
        self._units = min(self._units + max(0.0, now - self._at) * self._rate, self._rate)
        self._at = max(self._at, now)
