"""The numbers behind /metrics: read in one transaction, named by the web. None of them holds personal data."""

import os
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from alertd.core.flow import EVERY_LANE
from alertd.service.runtime import Runtime
from alertd.store import circuits, counters, instance, measures, self_tests, sources
from alertd.store.rows import Row

Labels = tuple[str, ...]
_FRESH: Final = timedelta(seconds=5)
_MAIL: Final = "email"


@dataclass(frozen=True, slots=True)
class Measures:
    """The installation in numbers. Ages are seconds."""

    deliveries: Mapping[Labels, int]  # by channel and state
    oldest_due: Mapping[str, float]  # by channel, 0 where nothing is due
    outcomes: Mapping[Labels, int]  # by channel, provider, outcome and code
    circuits: Mapping[Labels, int]  # by channel, provider, lane ("" for every mail domain) and state: workers
    processes: Mapping[Labels, int]  # by role and channel ("" for none)
    held: Mapping[str, int]  # by channel
    sms_parts: int
    self_test_success_at: datetime | None
    active_alerts: int
    source_ages: Mapping[str, float]  # by source: since it was last heard, or made
    head: int  # the last offset of the event log


class Measured:
    """What one process has measured last: for five seconds everybody who asks gets that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[datetime, Measures] | None = None

    def of(self, rt: Runtime) -> Measures:
        """Raises StoreUnavailable."""
        with self._lock:
            now = rt.now()
            if self._kept is None or abs(now - self._kept[0]) >= _FRESH:
                self._kept = (now, measure(rt))
            return self._kept[1]


def measure(rt: Runtime) -> Measures:
    """The numbers as they stand. Raises StoreUnavailable."""
    now = rt.now()
    day = now.astimezone(rt.zone).date().isoformat()
    with rt.store.read() as connection:
        oldest = measures.oldest_due(connection, now)
        held = measures.held(connection)
        return Measures(
            deliveries=measures.deliveries_by_state(connection, now),
            oldest_due={
                channel: max(0.0, (now - oldest[channel]).total_seconds()) if channel in oldest else 0.0
                for channel in rt.channels
            },
            outcomes={
                (row["channel"], row["provider"], row["outcome"], row["code"]): row["count"]
                for row in counters.list_outcomes(connection)
            },
            circuits=_avoiding(circuits.not_closed(connection)),
            processes=_by_role(rt, instance.list_workers(connection)),
            held={channel: sum(row["count"] for row in held if row["channel"] == channel) for channel in rt.channels},
            sms_parts=counters.used(connection, "sms", day),
            self_test_success_at=self_tests.last_success(connection),
            active_alerts=measures.active_alerts(connection, now),
            source_ages={
                row["id"]: max(0.0, (now - sources.heard_at(row)).total_seconds()) for row in sources.every(connection)
            },
            head=measures.head_offset(connection),
        )


def _avoiding(rows: Sequence[Row]) -> dict[Labels, int]:
    """Mail domains are left out: there is no end of them, and a small one is nearly somebody's name."""
    workers: dict[Labels, set[str]] = {}
    for row in rows:
        lane = "" if row["channel"] == _MAIL and row["lane"] != EVERY_LANE else row["lane"]
        workers.setdefault((row["channel"], row["provider"], lane, row["state"]), set()).add(row["worker_id"])
    return {labels: len(ids) for labels, ids in workers.items()}


def _living(rt: Runtime, rows: Sequence[Row]) -> list[Row]:
    """The processes whose counters this one has seen to move lately, and this one itself."""
    alive = rt.clock.alive() if rt.clock is not None else frozenset()
    here = (socket.gethostname(), os.getpid())
    return [row for row in rows if row["id"] in alive or (row["host"], row["pid"]) == here]


def _by_role(rt: Runtime, rows: Sequence[Row]) -> dict[Labels, int]:
    """Every role that should run stands there, if with 0."""
    counts: dict[Labels, int] = {
        **{(role, ""): 0 for role in rt.roles},
        **{("worker", channel): 0 for channel in rt.channels},
    }
    for row in _living(rt, rows):
        key = (row["role"], row["channel"] or "")
        counts[key] = counts.get(key, 0) + 1
    return counts
