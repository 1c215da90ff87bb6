"""Playing observations through rules as they would be decided on, without anything being sent."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from alertd.core.observation import Observation, Standing
from alertd.core.rules import CAP_TIME, Action, Decision, Rule, Thread, decide, followed, match


class Rehearsal:
    """Takes observations in the order in which they came, starting from an empty board."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._threads: dict[tuple[str, str, Standing, bool], Thread] = {}
        # By the id of an observation and whether it is signed: what it was about.
        self._incidents: dict[tuple[str, bool], str] = {}
        self._alerts: dict[tuple[str, str], list[datetime]] = {}  # by source and rule

    def take(self, source: str, observation: Observation) -> Decision:
        """What would become of it, after all that was taken before."""
        signed = bool(observation.signed_by)
        named = [(each, signed) for each in observation.references]
        known = next((self._incidents[each] for each in named if each in self._incidents), None)
        found = observation if known is None else replace(observation, incident=known)
        self._incidents.setdefault((found.id, signed), found.incident)
        key = (source, found.incident, found.standing, signed)
        thread = self._threads.get(key, Thread())
        decision = decide(found, source, self._rules, thread, self._alerts_in_hour(source, found))
        self._threads[key] = followed(thread, found, decision)
        if decision.action is Action.ALERT and decision.rule is not None:
            self._alerts.setdefault((source, decision.rule.name), []).append(found.observed_at)
        return decision

    def _alerts_in_hour(self, source: str, observation: Observation) -> int:
        rule = match(observation, source, self._rules)
        sent = self._alerts.get((source, rule.name), []) if rule is not None else []
        return sum(observation.observed_at - CAP_TIME < at <= observation.observed_at for at in sent)
