"""Playing observations through rules as they would be decided on, without anything being sent."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from alertd.core.alert import DEFAULT_LIFE, said_expiry
from alertd.core.observation import Observation, Standing
from alertd.core.rules import CAP_TIME, Action, Decision, Rule, Thread, decide, followed, match
from alertd.core.template import Template

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


@dataclass(frozen=True, slots=True)
class Step:
    """What would become of one observation. `goes_at`: when what it begins, or joins before it went out, goes."""

    decision: Decision
    told: Action | None  # how people knew of its incident before
    is_pending: bool  # the alert that it follows could still be stopped, and had not gone out
    goes_at: datetime


@dataclass(slots=True)
class _Case:
    """An incident on one side, real or drill."""

    touched_at: datetime
    thread: Thread = field(default_factory=Thread)
    seen: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=_SEEN_MAX))
    goes_at: datetime | None = None  # its last alert
    ends_at: datetime | None = None  # when that is over by itself


class Rehearsal:
    """Takes observations in the order in which they came, starting from an empty board.

    What it remembers grows with the incidents that are not over, not with what is said of them.
    """

    def __init__(self, rules: Sequence[Rule], templates: Mapping[str, Template] | None = None) -> None:
        self._rules = rules
        self._templates = templates or {}
        self._joining = Joining()
        self._cases: dict[tuple[str, str, Standing, bool], _Case] = {}
        self._alerts: dict[tuple[str, str], deque[datetime]] = {}  # by source and rule, as many as it may in an hour
        self._swept_at: datetime | None = None

    def take(self, source: str, observation: Observation) -> Decision:
        """What would become of it, after all that was taken before, coming when it was observed."""
        return self.step(source, self._joining.join(source, observation), observation.observed_at).decision

    def step(self, source: str, observation: Observation, now: datetime) -> Step:
        """The same of one that comes `now` and names its incident itself, and what goes out then."""
        self._sweep(now)
        key = (source, observation.incident, observation.standing, bool(observation.signed_by))
        case = self._cases.setdefault(key, _Case(now))
        thread = _as_of(case, observation, now)
        rule = match(observation, source, self._rules)
        recent = sum(now - CAP_TIME < each <= now for each in self._sent_by(source, rule)) if rule is not None else 0
        decision = decide(observation, source, self._rules, thread, recent)
        is_pending = thread.told is Action.ALERT and case.goes_at is not None and case.goes_at > now
        case.thread, case.touched_at = followed(thread, observation, decision), now
        case.seen.append((observation.id, observation.version))
        goes_at = now
        if decision.action is Action.ALERT and decision.rule is not None:
            goes_at = case.goes_at = now + timedelta(seconds=decision.rule.stop_seconds)
            case.ends_at = said_expiry(observation.expires_at, goes_at) or goes_at + self._life(decision.rule)
        elif is_pending and case.goes_at is not None:
            goes_at = case.goes_at
        begins = decision.action is Action.ALERT or (is_pending and decision.action is Action.UPDATE)
        if begins and decision.rule is not None:
            # As the store counts them: what takes the place of an alert that still waits is one more.
            self._sent_by(source, decision.rule).append(now)
        return Step(decision, thread.told, is_pending, goes_at)

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


def _as_of(case: _Case, observation: Observation, now: datetime) -> Thread:
    """The thread as the store has it: an alert that is over by itself is known of no more."""
    is_over = case.thread.told is Action.ALERT and case.ends_at is not None and case.ends_at <= now
    this = (observation.id, observation.version)
    return replace(
        case.thread,
        told=None if is_over else case.thread.told,
        seen=frozenset({this}) if this in case.seen else frozenset(),
    )


def _is_forgotten(case: _Case, now: datetime) -> bool:
    if case.thread.observation is None:
        return now - case.touched_at > _ENDED_KEPT
    is_over = case.thread.told is None or (case.ends_at is not None and case.ends_at <= now)
    return is_over and now - case.touched_at > _EXPIRED_KEPT
