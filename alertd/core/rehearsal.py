"""Playing observations through rules as they would be decided on, without anything being sent."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from alertd.core.alert import DEFAULT_LIFE, said_expiry
from alertd.core.audience import Audience
from alertd.core.joining import Join, Sent, Voice, candidates, holds, in_thread, is_held, joined, partners
from alertd.core.observation import Observation, Standing
from alertd.core.rules import (
    CAP_TIME,
    UNHEARD,
    Action,
    Decision,
    Reason,
    Rule,
    Thread,
    decide,
    followed,
    further,
    match,
    own_rules,
    widened,
)
from alertd.core.template import Template
from alertd.core.wording import Words, word

_BEGINS: Final = (Action.ALERT, Action.DRAFT, Action.BOARD)
_SEEN_MAX: Final = 50  # what is older than these is told by its version
_SWEPT_EVERY: Final = timedelta(days=1)
_ENDED_KEPT: Final = timedelta(days=7)
_EXPIRED_KEPT: Final = timedelta(days=90)


class Joining:
    """What observations are about, by the earlier ones that they refer to."""

    def __init__(self) -> None:
        # By source, the id of an observation, and whether it is signed.
        self._incidents: dict[tuple[str, str, bool], str] = {}

    def join(self, source: str, observation: Observation) -> Observation:
        signed = bool(observation.signed_by)
        known = (self._incidents.get((source, each, signed)) for each in observation.references)
        found = replace(observation, incident=next(filter(None, known), observation.incident))
        self._incidents.setdefault((source, found.id, signed), found.incident)
        return found


Incident = tuple[str, str, Standing, bool, str]
"""A source, its reference, the side on which it is, whether it is signed, and its branch: the rule, if another one
alerted more people.
"""


@dataclass(frozen=True, slots=True)
class Step:
    """What would become of one observation. `goes_at`: when what it begins, or joins before it went out, goes.
    `began`: the incident whose alert it is about. `also`: the same where other rules alert more people.
    """

    decision: Decision
    told: Action | None  # how people knew of its thread before
    is_pending: bool  # the alert that it follows could still be stopped, and had not gone out
    goes_at: datetime
    began: Incident | None
    joins: bool = False
    also: tuple["Step", ...] = ()


@dataclass(slots=True, eq=False)
class _Shared:
    """What people know of an event, whoever speaks of it."""

    id: str
    began: Incident
    cases: list["_Case"]
    told: Action | None = None
    sent: Sent | None = None
    goes_at: datetime | None = None  # the alert
    ends_at: datetime | None = None  # when that is over by itself

    def is_over(self, now: datetime) -> bool:
        """Whether it was an alert that has ended by itself."""
        return self.told is Action.ALERT and self.ends_at is not None and self.ends_at <= now

    def is_out(self, now: datetime) -> bool:
        """Whether people have an alert that goes on."""
        gone = self.goes_at is not None and self.goes_at <= now
        return self.told is Action.ALERT and gone and not self.is_over(now)


@dataclass(slots=True, eq=False)
class _Case:
    """An incident. Of `thread` it knows what its own source has said."""

    incident: Incident
    touched_at: datetime
    thread: Thread = field(default_factory=Thread)
    seen: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=_SEEN_MAX))
    shared: _Shared | None = None

    def voice(self, shared: _Shared, now: datetime) -> Voice | None:
        said = self.thread.observation
        if said is None or not holds(said, now):
            return None
        return Voice(shared.id, "/".join(map(str, self.incident)), self.incident[0], said)


class Rehearsal:
    """Takes observations in the order in which they came, starting from an empty board.

    What it remembers grows with the incidents that are not over, not with what is said of them.
    """

    def __init__(
        self, rules: Sequence[Rule], templates: Mapping[str, Template] | None = None, joins: Sequence[Join] = ()
    ) -> None:
        self._rules = rules
        self._templates = templates or {}
        self._joins = joins
        self._joining = Joining()
        self._cases: dict[Incident, _Case] = {}
        self._shared: list[_Shared] = []  # the latest last; what people are alerted of, and may be joined
        self._count = 0
        self._branches: dict[Incident, list[Incident]] = {}
        self._alerts: dict[tuple[str, str], deque[datetime]] = {}  # by source and rule, as many as it may in an hour
        self._swept_at: datetime | None = None

    def take(self, source: str, observation: Observation) -> Decision:
        """What would become of it, after all that was taken before, coming when it was observed."""
        return self.take_each(source, observation)[0]

    def take_each(self, source: str, observation: Observation) -> list[Decision]:
        """The same, and then what would become of it by other rules that alert others."""
        step = self.step(source, self._joining.join(source, observation), observation.observed_at)
        return [each.decision for each in (step, *step.also)]

    def step(self, source: str, observation: Observation, now: datetime) -> Step:
        """The same of one that comes `now` and names its incident itself, and what goes out then."""
        self._sweep(now)
        incident = (source, observation.incident, observation.standing, bool(observation.signed_by), "")
        case = self._cases.setdefault(incident, _Case(incident, now))
        told_by, branches = case.thread.rule, self._branches.setdefault(incident, [])
        cases = [self._cases[each] for each in branches if each in self._cases]
        shared = [each.shared for each in (case, *cases) if each.shared is not None]
        reached = [each.sent.audience for each in shared if each.sent is not None]
        alive = {each.incident[4] for each in cases if each.thread.observation is not None}
        going = [rule for rule in self._rules if rule.source == source and rule.name in alive]
        own = own_rules(self._rules, observation, going) if case.thread.observation is None else self._rules
        main = self._play(case, observation, own, now)
        if going and main.decision.reason is Reason.NO_RULE:
            main = replace(main, decision=replace(main.decision, reason=Reason.ELSEWHERE))
        if main.decision.reason in UNHEARD:
            return main
        found = list(further(observation, source, self._rules, main.decision.rule))
        wider = None if main.joins else self._wider(source, observation, told_by, main.decision, reached, now)
        names = [rule.name for rule in (*found, wider) if rule is not None and rule.do != "ignore"]
        told_by = case.thread.rule if case.thread.observation is not None else None
        for name in names:
            if name != told_by and (*incident[:4], name) not in branches:
                branches.append((*incident[:4], name))
        also = [self._play_branch(each, observation, now) for each in branches if each[4] != told_by]
        return replace(main, also=tuple(step for step in also if step is not None))

    def _play_branch(self, incident: Incident, observation: Observation, now: datetime) -> Step | None:
        case = self._cases.setdefault(incident, _Case(incident, now))
        rules = [rule for rule in self._rules if (rule.source, rule.name) == (incident[0], incident[4])]
        was_over = case.thread.observation is None
        step = self._play(case, observation, rules, now)
        return None if was_over and step.decision.action is Action.IGNORE else step

    def _wider(
        self,
        source: str,
        observation: Observation,
        told_by: str | None,
        decision: Decision,
        reached: Sequence[Audience],
        now: datetime,
    ) -> Rule | None:
        """The rule that alerts more people when it got worse."""
        recent = self._recent(source, match(observation, source, self._rules), now)
        found = widened(observation, source, self._rules, told_by, decision, recent)
        if found is None or found.rule is None:
            return None
        audience = self._words(found, found.rule).audience
        return None if audience is not None and any(each.covers(audience) for each in reached) else found.rule

    def _recent(self, source: str, rule: Rule | None, now: datetime) -> int:
        return sum(now - CAP_TIME < each <= now for each in self._sent_by(source, rule)) if rule is not None else 0

    def _play(self, case: _Case, observation: Observation, rules: Sequence[Rule], now: datetime) -> Step:
        source = case.incident[0]
        thread = self._as_of(case, observation, now)
        recent = self._recent(source, match(observation, source, rules), now)
        decision = decide(observation, source, rules, thread, recent)
        found = self._join(case, observation, thread, decision, now)
        if found is not None:
            case.shared, thread, decision = found
        told, shared = thread.told, case.shared
        is_pending = told is Action.ALERT and shared is not None and shared.goes_at is not None and shared.goes_at > now
        goes_at = shared.goes_at if is_pending and shared is not None and shared.goes_at is not None else now
        case.thread, case.touched_at = followed(thread, observation, decision, now), now
        case.seen.append((observation.id, observation.version))
        if decision.action in _BEGINS:
            case.shared = self._begin(case, decision, now)
            goes_at = case.shared.goes_at or now
        elif case.shared is not None:
            case.shared.told = case.thread.told
        begins = decision.action is Action.ALERT or (
            is_pending and decision.action is Action.UPDATE and not decision.waits
        )
        if begins and decision.rule is not None:
            # As the store counts them: what takes the place of an alert that still waits is one more.
            self._sent_by(source, decision.rule).append(now)
        began = case.shared.began if case.shared is not None else None
        return Step(decision, told, is_pending, goes_at, began, joins=found is not None)

    def _as_of(self, case: _Case, observation: Observation, now: datetime) -> Thread:
        """The thread as the store has it: an alert that is over by itself is known of no more."""
        this, shared = (observation.id, observation.version), case.shared
        thread = replace(case.thread, seen=frozenset({this}) if this in case.seen else frozenset())
        if shared is None:
            return thread
        if shared.told is None or shared.is_over(now):
            return replace(thread, told=None, others=(), held=False)
        voices = [each.voice(shared, now) for each in shared.cases if each is not case]
        others = [voice for voice in voices if voice is not None]
        return replace(
            thread,
            told=shared.told,
            others=tuple(voice.observation for voice in others),
            held=is_held(self._joins, case.incident[0], [voice.source for voice in others]),
        )

    def _join(
        self, case: _Case, observation: Observation, thread: Thread, decision: Decision, now: datetime
    ) -> tuple[_Shared, Thread, Decision] | None:
        """The alert of others that it joins, and what becomes of it there."""
        source, standing = case.incident[0], case.incident[2]
        rule = decision.rule
        if decision.action is not Action.ALERT or rule is None or not partners(self._joins, source):
            return None
        out = {each.id: each for each in self._shared if each.began[2] == standing and each.is_out(now)}
        found = [each.voice(shared, now) for shared in reversed(out.values()) for each in shared.cases]
        voices = [voice for voice in found if voice is not None]
        words = self._words(decision, rule)
        for candidate in candidates(self._joins, source, "/".join(map(str, case.incident)), observation, voices):
            shared = out[candidate.thread]
            becomes = joined(decision, words, shared.sent, candidate) if shared.sent is not None else None
            if becomes is not None:
                if case.shared is not None:
                    case.shared.cases.remove(case)
                shared.cases.append(case)
                return shared, in_thread(thread, candidate), becomes
        return None

    def _words(self, decision: Decision, rule: Rule) -> Words:
        assert decision.observation is not None
        # To whom and how gravely it is said is the same in every time zone.
        return word(decision.observation, rule, self._templates.get(rule.template or ""), UTC, by_template=True)

    def _begin(self, case: _Case, decision: Decision, now: datetime) -> _Shared:
        """What people know of it from now on: a thread of its own, unless it has one."""
        rule = decision.rule
        assert rule is not None
        assert decision.observation is not None
        shared = case.shared
        if shared is None or len(shared.cases) > 1:
            if shared is not None:
                shared.cases.remove(case)
            self._count += 1
            shared = _Shared(str(self._count), case.incident, [case])
        shared.told = decision.action
        if decision.action is Action.ALERT:
            shared.goes_at = now + timedelta(seconds=rule.stop_seconds)
            said = said_expiry(decision.observation.expires_at, shared.goes_at)
            shared.ends_at = said or shared.goes_at + self._life(rule)
            shared.sent = _sent(self._words(decision, rule))
            self._shared = [each for each in self._shared if each is not shared and not each.is_over(now)]
            self._shared.append(shared)
        return shared

    def _life(self, rule: Rule) -> timedelta:
        template = self._templates.get(rule.template or "")
        return timedelta(hours=template.life_hours) if template is not None else DEFAULT_LIFE

    def _sent_by(self, source: str, rule: Rule) -> deque[datetime]:
        return self._alerts.setdefault((source, rule.name), deque(maxlen=rule.most_per_hour))

    def _sweep(self, now: datetime) -> None:
        """Forget what was over long ago."""
        self._swept_at = self._swept_at or now
        if now - self._swept_at < _SWEPT_EVERY:
            return
        self._swept_at = now
        self._cases = {key: case for key, case in self._cases.items() if not _is_forgotten(case, now)}
        self._branches = {key: some for key, some in self._branches.items() if key in self._cases}
        for shared in self._shared:
            shared.cases = [case for case in shared.cases if case.incident in self._cases]


def _sent(words: Words) -> Sent | None:
    """What others may join; None: it waits for a person."""
    if words.lack or words.audience is None:
        return None
    return Sent(words.audience, words.plan, words.severity, words.ask)


def _is_forgotten(case: _Case, now: datetime) -> bool:
    if case.thread.observation is None:
        return now - case.touched_at > _ENDED_KEPT
    is_over = case.shared is None or case.shared.told is None or case.shared.is_over(now)
    return is_over and now - case.touched_at > _EXPIRED_KEPT
