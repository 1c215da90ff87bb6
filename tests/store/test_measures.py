"""What operators watch is read by indexes: history grows, and the numbers are asked for all day."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event

from alertd.core.delivery import State, Transition
from alertd.service.runtime import Runtime
from alertd.store import deliveries, measures, settlements
from alertd.store.settlements import Settlement
from tests.installation import Clock, alert, settle


def test_what_is_recent_or_under_way_is_counted_once(rt: Runtime, clock: Clock) -> None:
    settle(rt, "taro")
    for _ in range(3):
        alert(rt, expires_at=clock() + timedelta(days=3))
    with rt.store.write() as connection:
        one, _ = deliveries.claim(connection, "email", "w", 2, rt.now())
        sent = Transition(State.SENT, provider_id="m")
        settlements.settle(connection, [Settlement(one, "accepted", sent)], rt.now())
        counted = [measures.deliveries_by_state(connection, rt.now() + timedelta(hours=hours)) for hours in (0, 25)]
    under_way = {("email", "sending"): 1, ("email", "pending"): 1}
    assert counted == [{**under_way, ("email", "sent"): 1}, under_way]


@pytest.mark.parametrize(
    "read",
    [
        measures.deliveries_by_state,
        measures.oldest_due,
        measures.waiting,
        lambda connection, _now: measures.held(connection),
    ],
)
def test_no_query_reads_every_delivery(rt: Runtime, read: Callable[[Connection, Any], object]) -> None:
    if not rt.store.is_sqlite:
        return  # PostgreSQL reads small tables whole, whatever indexes there are
    asked: list[tuple[str, Any]] = []

    @event.listens_for(rt.store.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    with rt.store.read() as connection:
        read(connection, rt.now())
        plans = [
            row.detail
            for statement, parameters in list(asked)
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert asked
    assert [step for step in plans if step.startswith("SCAN deliveries")] == []
