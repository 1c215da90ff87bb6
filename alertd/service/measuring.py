"""The numbers behind /metrics: read in one transaction, named by the web. None of them holds personal data."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from alertd.service.runtime import Runtime
from alertd.store import instance, measures, self_tests
from alertd.store.rows import Row

Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measures:
    """The installation in numbers. Ages are seconds."""

    deliveries: Mapping[Labels, int]  # by channel and state
    oldest_due: Mapping[str, float]  # by channel, 0 where nothing is due
    outcomes: Mapping[Labels, int]  # by channel, provider, outcome and code
    circuits: Mapping[Labels, int]  # by channel, provider, lane and state: how many workers say so
    processes: Mapping[Labels, int]  # by role and channel ("" for none)
    held: Mapping[str, int]  # by channel
    sms_parts: int
    self_test_success_at: datetime | None
    active_alerts: int
    head: int  # the last offset of the event log


def measure(rt: Runtime) -> Measures:
    """Raises StoreUnavailable."""
    now = rt.now()
    day = now.astimezone(rt.zone).date().isoformat()
    with rt.store.read() as connection:
        by_state: dict[Labels, int] = {
            (row["channel"], row["state"]): row["count"] for row in measures.deliveries_by_state(connection, now)
        }
        oldest = measures.oldest_due(connection, now)
        held = measures.held(connection)
        return Measures(
            deliveries=by_state,
            oldest_due={
                channel: max(0.0, (now - oldest[channel]).total_seconds()) if channel in oldest else 0.0
                for channel in rt.channels
            },
            outcomes={
                (row["channel"], row["provider"], row["outcome"], row["code"]): row["count"]
                for row in measures.list_outcomes(connection)
            },
            circuits=_counted(measures.list_circuits(connection), "channel", "provider", "lane", "state"),
            processes=_by_role(rt, instance.list_workers(connection)),
            held={channel: sum(row["count"] for row in held if row["channel"] == channel) for channel in rt.channels},
            sms_parts=measures.used(connection, "sms", day),
            self_test_success_at=self_tests.last_success(connection),
            active_alerts=measures.active_alerts(connection, now),
            head=measures.head_offset(connection),
        )


def _counted(rows: list[Row], *names: str) -> dict[Labels, int]:
    counts: dict[Labels, int] = {}
    for row in rows:
        key = tuple(str(row[name]) for name in names)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _living(rt: Runtime, rows: list[Row]) -> list[Row]:
    """The processes whose counters this one has seen to move lately, and this one itself."""
    alive = rt.clock.alive() if rt.clock is not None else frozenset()
    here = (socket.gethostname(), os.getpid())
    return [row for row in rows if row["id"] in alive or (row["host"], row["pid"]) == here]


def _by_role(rt: Runtime, rows: list[Row]) -> dict[Labels, int]:
    counts: dict[Labels, int] = {
        ("web", ""): 0,
        ("clock", ""): 0,
        **{("worker", channel): 0 for channel in rt.channels},
    }
    for row in _living(rt, rows):
        key = (row["role"], row["channel"] or "")
        counts[key] = counts.get(key, 0) + 1
    return counts
