"""On PostgreSQL whoever changes many deliveries locks them in the order of their ids: nobody waits crosswise."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Boolean, Connection, column, func, select, table, update

from alertd.core.delivery import State
from alertd.service.runtime import Runtime
from alertd.store import alerts, people, unsent
from alertd.store.schema import deliveries
from tests.installation import alert, settle
from tests.services import wait_until

Change = Callable[[Connection, Runtime], object]


def _everybody(connection: Connection) -> dict[str, str | None]:
    mine = people.subscriptions_of(connection, [f"p{number}" for number in range(4)])
    return {row["id"]: "gone" for row in mine}


CHANGES: dict[str, tuple[State, Change]] = {
    "retire": (State.PENDING, lambda connection, rt: unsent.retire(connection, _everybody(connection), rt.now())),
    "release": (State.HELD, lambda connection, rt: unsent.release(connection, ["email"], rt.now())),
    "lapse": (State.SENDING, lambda connection, rt: unsent.lapse(connection, ["w1"], rt.now())),
    "lapse_orphans": (State.SENDING, lambda connection, rt: unsent.lapse_orphans(connection, rt.now())),
    "expire": (State.PENDING, lambda connection, rt: alerts.expire(connection, rt.now() + timedelta(days=2))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_while_it_waits_for_the_first_row_it_holds_no_other(rt: Runtime, name: str) -> None:
    if rt.store.is_sqlite:
        pytest.skip("an embedded database has one writer at a time")
    state, change = CHANGES[name]
    for number in range(4):
        settle(rt, f"p{number}")
    alert(rt)
    with rt.store.write() as connection:
        connection.execute(update(deliveries).values(state=state, worker_id="w1"))
    with rt.store.write() as connection:
        first, *others = connection.execute(select(deliveries.c.id).order_by(deliveries.c.id)).scalars()
        # Its row stands behind the others' now, where whoever takes them as they stand finds it last.
        connection.execute(update(deliveries).where(deliveries.c.id == first).values(rank=99))

    def work() -> None:
        with rt.store.write() as connection:
            change(connection, rt)

    thread = threading.Thread(target=work)
    with rt.store.write() as holder:
        holder.execute(select(deliveries.c.id).where(deliveries.c.id == first).with_for_update())
        thread.start()
        with rt.store.read() as watcher:
            waiting = select(func.count()).select_from(table("pg_locks")).where(~column("granted", Boolean))
            wait_until(lambda: bool(watcher.execute(waiting).scalar_one()), 10)
            free = select(deliveries.c.id).where(deliveries.c.id.in_(others)).with_for_update(nowait=True)
            assert len(watcher.execute(free).all()) == len(others)
    thread.join(10)
    assert not thread.is_alive()
