"""What rules would have made of a time that is past: how often, at which hours, to whom, and what of it people could
have done without.

What people did (a yes to a draft, a call-off by hand) is not played: it was done about other alerts.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any, Final

from alertd.core.alert import SEVERITIES, Bilingual
from alertd.core.audience import Audience
from alertd.core.joining import Join
from alertd.core.observation import Observation, Standing
from alertd.core.rehearsal import Incident, Rehearsal, Step
from alertd.core.rules import Action, Reason, Rule, holders
from alertd.core.template import Template
from alertd.core.wording import Words, word

TWICE_WITHIN: Final = timedelta(hours=6)
SHORT_LIVED: Final = timedelta(minutes=10)
NIGHT_FROM, NIGHT_TO = 22, 6  # local hours
WORDED_MAX: Final = 2_000  # alerts and drafts whose text is kept and listed

Reach = Callable[[Audience], frozenset[str]]
"""The people of an audience, by id."""


class Twice(StrEnum):
    """Why an alert is one too many."""

    INCIDENT = "same-incident"
    HAZARD = "same-hazard"


class Needless(StrEnum):
    """Why people could have done without an alert."""

    NO_WORSE = "no-worse"
    SHORT_LIVED = "short-lived"


TWICE_WORDS: Final[Mapping[Twice, Bilingual]] = {
    Twice.INCIDENT: Bilingual(
        "a second alert about the same incident within 6 hours", "6時間以内に、同じ事象について2回目の警報"
    ),
    Twice.HAZARD: Bilingual(
        "within 6 hours, some people had an alert about the same hazard in the same area",
        "6時間以内に、同じ種別・重なる地域の警報を受け取った人がいる",
    ),
}
NEEDLESS_WORDS: Final[Mapping[Needless, Bilingual]] = {
    Needless.NO_WORSE: Bilingual(
        "no worse than what all of its people had been alerted about within 6 hours",
        "宛先の全員が、6時間以内に同等以上の警報を受け取っている",
    ),
    Needless.SHORT_LIVED: Bilingual("over again within 10 minutes", "10分以内に解除された"),
}


@dataclass(slots=True)
class Event:
    """An alert or a draft. `at`: when it goes out, or waits. `is_sent`: nothing said that it is over before it went."""

    at: datetime
    received_at: datetime
    source: str
    rule: str
    action: Action
    reason: Reason
    standing: Standing
    incident: str
    title: str
    hazard: str
    people: int
    lack: str  # why it waits for a person although a rule would have sent it
    words: Words | None
    is_sent: bool = True
    twice: Twice | None = None
    twice_with: "Event | None" = None
    needless: list[Needless] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Alerted:
    """What people have been told, as long as the next alert may be about the same."""

    event: Event
    observation: Observation
    people: frozenset[str]
    ranks: Mapping[str, int]  # by area


class Replay:
    """Takes observations in the order in which they came. What came before `starts_at` is played, not counted."""

    def __init__(
        self,
        rules: Sequence[Rule],
        reach: Reach,
        zone: tzinfo,
        templates: Mapping[str, Template],
        starts_at: datetime | None = None,
        joins: Sequence[Join] = (),
    ) -> None:
        self.observations = 0
        self.tally: Counter[str] = Counter()  # updates, stand-downs, board posts, and what became of drafts
        self.ignored: Counter[Reason] = Counter()
        self.events: list[Event] = []
        self._rehearsal = Rehearsal(rules, templates, joins)
        self._zone = zone
        self._templates = templates
        self._reach = reach
        self._starts_at = starts_at
        self._recent: deque[_Alerted] = deque()
        self._last: dict[Incident | None, Event] = {}  # the last alert that each incident began

    def take(self, source: str, observation: Observation, at: datetime) -> None:
        """Play one. `at`: when it came."""
        step = self._rehearsal.step(source, observation, at)
        counts = self._starts_at is None or at >= self._starts_at
        self.observations += int(counts)
        for each in (step, *step.also):
            self._count(each, source, observation, at, counts)

    def _count(self, step: Step, source: str, observation: Observation, at: datetime, counts: bool) -> None:
        decision, last = step.decision, self._last.get(step.began) if step.began is not None else None
        match decision.action:
            case Action.ALERT | Action.DRAFT:
                self._begin(step, source, observation, at, counts)
            case Action.IGNORE:
                self.ignored[decision.reason] += counts
            case _ if decision.waits or (step.told is Action.ALERT and last is not None and last.lack):
                self.tally["changed-draft"] += counts
            case Action.STAND_DOWN if step.told is Action.ALERT and last is not None:
                self._end(last, step, at, counts)
            case _:
                self.tally[_follow_up(step)] += counts

    def _begin(self, step: Step, source: str, observation: Observation, at: datetime, counts: bool) -> None:
        rule, found = step.decision.rule, step.decision.observation or observation
        assert rule is not None
        words = word(found, rule, self._templates.get(rule.template or ""), self._zone, by_template=True)
        people = self._reach(words.audience or Audience(everyone=True))
        event = Event(
            at=step.goes_at,
            received_at=at,
            source=source,
            rule=rule.name,
            action=Action.DRAFT if words.lack else step.decision.action,
            reason=step.decision.reason,
            standing=found.standing,
            incident=found.incident,
            title=words.title,
            hazard=found.hazard,
            people=len(people),
            lack=words.lack,
            words=words if len(self.events) < WORDED_MAX else None,
        )
        if counts:
            self.events.append(event)
        if step.decision.action is Action.ALERT:
            self._last[step.began] = event
        if event.action is Action.ALERT:
            ranks = {area.code: area.rank for area in found.areas if area.rank or not found.rank}
            self._compare(_Alerted(event, found, people, ranks))

    def _compare(self, alerted: _Alerted) -> None:
        """With what people were told in the hours before."""
        event = alerted.event
        while self._recent and self._recent[0].event.at < event.received_at - TWICE_WITHIN:
            self._recent.popleft()
        for before in self._recent:
            why = _why_twice(before, alerted) if before.event.is_sent else None
            if why is None:
                continue
            if event.twice is None or why is Twice.INCIDENT:
                event.twice, event.twice_with = why, before.event
            if _is_no_worse(before, alerted) and Needless.NO_WORSE not in event.needless:
                event.needless.append(Needless.NO_WORSE)
        self._recent.append(alerted)

    def _end(self, event: Event, step: Step, at: datetime, counts: bool) -> None:
        if step.is_pending:
            event.is_sent = False
            return
        self.tally[Action.STAND_DOWN] += counts
        if at - event.at <= SHORT_LIVED:
            event.needless.append(Needless.SHORT_LIVED)


def _follow_up(step: Step) -> str:
    """What an update or an end comes to: people who were not alerted hear nothing over their phones."""
    if step.told is Action.ALERT and not step.is_pending:
        return step.decision.action
    return Action.BOARD if step.told in (Action.BOARD, None) else "changed-draft"


def _why_twice(before: _Alerted, now: _Alerted) -> Twice | None:
    one, other = before.event, now.event
    if one.standing != other.standing or abs(other.at - one.at) > TWICE_WITHIN:
        return None
    if (one.source, one.incident) == (other.source, other.incident):
        return Twice.INCIDENT
    if not one.hazard or one.hazard != other.hazard or before.people.isdisjoint(now.people):
        return None
    return Twice.HAZARD if _overlap(before.ranks, now.ranks) or _overlap(now.ranks, before.ranks) else None


def _overlap(ranks: Mapping[str, int], others: Mapping[str, int]) -> bool:
    """Whether any of these areas is among the others, or lies in one of them."""
    return any(not holders(code).isdisjoint(others) for code in ranks)


def _is_no_worse(before: _Alerted, now: _Alerted) -> bool:
    """Whether everybody it goes to was told at least as much, of each of its areas."""
    if not now.people <= before.people:
        return False
    one, other = before.observation, now.observation
    if one.scale != other.scale or SEVERITIES.index(other.severity) < SEVERITIES.index(one.severity):
        return False
    known = before.ranks
    return all(any(known.get(holder, -1) >= rank for holder in holders(code)) for code, rank in now.ranks.items())


@dataclass(slots=True)
class Tally:
    """How many alerts of some sort: of a day, of a rule. `capped`: drafts for want of room under the hour's cap."""

    alerts: int = 0
    drills: int = 0  # of the alerts
    nights: int = 0
    twice: int = 0
    needless: int = 0
    drafts: int = 0
    capped: int = 0  # of the drafts
    messages: int = 0  # people, each counted for each alert
    unreached: int = 0  # alerts that are for nobody

    def add(self, event: Event, zone: tzinfo) -> None:
        if event.action is Action.DRAFT:
            self.drafts += 1
            self.capped += event.reason is Reason.TOO_MANY
        elif event.is_sent:
            self.alerts += 1
            self.drills += event.standing == "drill"
            self.nights += is_night(event.at, zone)
            self.twice += event.twice is not None
            self.needless += bool(event.needless)
            self.messages += event.people
            self.unreached += event.people == 0

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def is_night(at: datetime, zone: tzinfo) -> bool:
    """Whether people sleep, in their own time."""
    hour = at.astimezone(zone).hour
    return hour >= NIGHT_FROM or hour < NIGHT_TO
