"""The scheduled drills: one row a day, which is also the lock for whoever starts and whoever checks it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, exists, func, select, update

from alertd.core.delivery import State
from alertd.store.rows import Row, insert_new
from alertd.store.schema import deliveries, people, self_tests, subscriptions

TAKEN: Final = (State.SENT, State.DELIVERED)  # by the provider, at least


def begin(connection: Connection, day: str, due_at: datetime) -> bool:
    """Take the day's test into this transaction; False when somebody has it already."""
    return insert_new(connection, self_tests, {"day": day, "due_at": due_at})


def has_begun(connection: Connection, day: str) -> bool:
    return connection.execute(select(self_tests.c.day).where(self_tests.c.day == day)).first() is not None


def set_alert(connection: Connection, day: str, alert_id: str) -> None:
    connection.execute(update(self_tests).where(self_tests.c.day == day).values(alert_id=alert_id))


def unchecked(connection: Connection, now: datetime) -> list[Row]:
    """The tests that are to have arrived by now and were not looked at yet."""
    query = select(self_tests).where(self_tests.c.checked_at.is_(None), self_tests.c.due_at <= now)
    return [row._asdict() for row in connection.execute(query.order_by(self_tests.c.day))]


def keep_result(connection: Connection, day: str, failures: Sequence[Row], now: datetime) -> bool:
    """Write down what did not get through; False when somebody else did."""
    mine = (self_tests.c.day == day) & self_tests.c.checked_at.is_(None)
    done = connection.execute(update(self_tests).where(mine).values(checked_at=now, failures=list(failures)))
    return done.rowcount == 1


def last(connection: Connection) -> Row | None:
    """The newest test that was looked at."""
    query = select(self_tests).where(self_tests.c.checked_at.is_not(None)).order_by(self_tests.c.day.desc()).limit(1)
    row = connection.execute(query).first()
    return row._asdict() if row else None


def last_success(connection: Connection) -> datetime | None:
    """When the newest test was looked at that went out to somebody and of which nothing had failed."""
    taken = exists().where(deliveries.c.alert_id == self_tests.c.alert_id, deliveries.c.state.in_(TAKEN))
    query = select(self_tests.c.checked_at, self_tests.c.failures).where(self_tests.c.checked_at.is_not(None), taken)
    for row in connection.execute(query.order_by(self_tests.c.day.desc())):
        if not row.failures:
            found: datetime = row.checked_at
            return found
    return None


def went_out(connection: Connection, alert_id: str | None) -> bool:
    """Whether any of a test's messages was taken by its provider; None is a test that went to nobody."""
    query = select(deliveries.c.id).where(deliveries.c.alert_id == alert_id, deliveries.c.state.in_(TAKEN)).limit(1)
    return alert_id is not None and connection.execute(query).first() is not None


def channels_with_receipts(connection: Connection, before: str, tests: int) -> set[str]:
    """The channels whose provider reported an arrival in one of so many tests before that day."""
    earlier = (
        select(self_tests.c.alert_id)
        .where(self_tests.c.day < before, self_tests.c.alert_id.is_not(None))
        .order_by(self_tests.c.day.desc())
        .limit(tests)
    )
    query = select(deliveries.c.channel).where(
        deliveries.c.alert_id.in_(earlier), deliveries.c.delivered_at.is_not(None)
    )
    return set(connection.execute(query.distinct()).scalars())


def takers(connection: Connection) -> list[Row]:
    """The active people who have opted in and can be reached in some way."""
    reachable = exists().where(
        subscriptions.c.person_id == people.c.id,
        subscriptions.c.retired_at.is_(None),
        subscriptions.c.verified_at.is_not(None),
    )
    query = select(people).where(people.c.active, people.c.takes_self_test, reachable).order_by(people.c.id)
    return [row._asdict() for row in connection.execute(query)]


def results(connection: Connection, alert_id: str) -> list[Row]:
    """What became of a test's deliveries: by `channel`, `state`, `reason`, `attempt` and `due_at` the `count`, and how
    many of them the provider has `receipts` for.
    """
    columns = (
        deliveries.c.channel,
        deliveries.c.state,
        deliveries.c.reason,
        deliveries.c.attempt,
        deliveries.c.due_at,
    )
    query = (
        select(*columns, func.count().label("count"), func.count(deliveries.c.delivered_at).label("receipts"))
        .where(deliveries.c.alert_id == alert_id)
        .group_by(*columns)
    )
    return [row._asdict() for row in connection.execute(query.order_by(deliveries.c.channel))]
