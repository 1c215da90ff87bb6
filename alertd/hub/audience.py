"""Who of those who are connected an alert is for, found without looking at everybody."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection as Transaction

from alertd.store import alerts, rollouts

_FEW: Final = 1_000  # recipients that are read whole whoever is connected: one short query


@dataclass(frozen=True, slots=True)
class Audience:
    """The recipients of an alert: all of them, or those among the people who were `asked` about."""

    recipients: frozenset[str]
    asked: frozenset[str] | None  # None: these are all

    def among(self, people: Collection[str]) -> list[str]:
        """Those of `people` who are recipients; the smaller side is walked through."""
        if len(self.recipients) < len(people):
            return [person for person in self.recipients if person in people]
        return [person for person in people if person in self.recipients]

    def unasked(self, people: Collection[str]) -> list[str]:
        """Those of `people` of whom nothing is known."""
        return [] if self.asked is None else [person for person in people if person not in self.asked]


def read_audience(reading: Transaction, alert_id: str, connected: frozenset[str]) -> Audience:
    """The recipients, read from whichever side is smaller: the alert's or the people who are connected."""
    alert = alerts.get(reading, alert_id)
    assert alert is not None
    if alert["recipients"] <= max(len(connected), _FEW):
        return Audience(frozenset(rollouts.told_of(reading, alert_id)), None)
    return Audience(frozenset(rollouts.told_of(reading, alert_id, connected)), connected)


def read_recipients(reading: Transaction, questions: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """By alert those of the people asked about who are its recipients."""
    return {alert_id: frozenset(rollouts.told_of(reading, alert_id, people)) for alert_id, people in questions.items()}
