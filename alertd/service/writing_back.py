"""Telling sources how the alerts stand that were made of what they said: written there, for whoever reads there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from alertd.core.observation import clean
from alertd.service import watching
from alertd.service.runtime import Runtime
from alertd.sources.base import Access, Outcome, WritesBack
from alertd.sources.registry import POLLERS
from alertd.store import alerts, sources
from alertd.store.rows import Row

_LEASE: Final = timedelta(seconds=60)  # longer than the other side may take
_EVERY: Final = timedelta(seconds=10)
_AFTER_FAULT: Final = timedelta(seconds=60)
_FAULT_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Writing:
    """One incident whose source is this process's to tell. `leased_until` says whose turn it is."""

    incident_id: str
    source_id: str
    poller: WritesBack
    access: Access
    outcome: Outcome
    before: Mapping[str, Any] | None
    leased_until: datetime


def take_turns(rt: Runtime, limit: int) -> list[Writing]:
    """Whatever is to be written now, `limit` at most; nobody else writes it while the lease holds.

    Whoever is killed after writing and before saying so has it written once more.
    """
    now = rt.now()
    with rt.store.read() as connection:
        due = sources.due_writings(connection, now, limit)
    found = [_take(rt, row, now) for row in due]
    return [each for each in found if each is not None]


def _take(rt: Runtime, row: Row, now: datetime) -> Writing | None:
    until = now + _LEASE
    with rt.store.write() as connection:
        if not sources.lease_writing(connection, row, until):
            return None
        access = _access_of(row)
        alert = alerts.get(connection, row["alert_id"]) if row["alert_id"] else None
        if access is None or alert is None:
            sources.end_writing(connection, row["id"], until, {"write_at": None})
            return None
        counts = watching.summary_of(connection, rt, alert)
    return Writing(
        incident_id=row["id"],
        source_id=row["source_id"],
        poller=cast("WritesBack", POLLERS[row["kind"]]),
        access=access,
        outcome=_outcome(rt, row["reference"], alert, counts, now),
        before=row["written"],
        leased_until=until,
    )


def _access_of(row: Row) -> Access | None:
    """How the source is reached, if it is one that is told, and wants to be."""
    poller = POLLERS.get(row["kind"])
    if poller is None or row["access"] is None or not hasattr(poller, "write_back"):
        return None
    access = poller.access.model_validate(row["access"], strict=False)
    return access if access.writes_back() else None


def _outcome(rt: Runtime, reference: str, alert: Row, counts: Mapping[str, Any], now: datetime) -> Outcome:
    return Outcome(
        incident=reference,
        alert_id=alert["id"],
        url=f"{rt.public_url}/alerts/{alert['id']}",
        title=alert["title"],
        is_drill=alert["drill"],
        is_over=alert["state"] != "active" or alert["expires_at"] <= now,
        revision=alert["revision"],
        recipients=counts["recipients"],
        acknowledged=counts["acknowledged"],
        unreachable=counts["unreachable"],
        age=now - alert["sent_at"],
        now=now,
    )


def end(rt: Runtime, writing: Writing, written: Mapping[str, Any] | None) -> None:
    """It was written, or it was not time to: look again in a while, and no more once it said that all is over."""
    values: dict[str, Any] = {"write_at": None if writing.outcome.is_over else rt.now() + _EVERY}
    if written is not None:
        values["written"] = dict(written)
    with rt.store.write() as connection:
        sources.end_writing(connection, writing.incident_id, writing.leased_until, values)


def fail(rt: Runtime, writing: Writing, fault: str) -> None:
    """The other side did not take it: it is shown with the source, and tried again in a while."""
    now = rt.now()
    told = clean(f"how the alert stands could not be written there: {fault}", _FAULT_MAX)
    with rt.store.write() as connection:
        sources.end_writing(connection, writing.incident_id, writing.leased_until, {"write_at": now + _AFTER_FAULT})
        sources.change(connection, writing.source_id, {"failed_at": now, "fault": told})
