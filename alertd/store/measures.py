"""What operators watch: counts and ages over the whole installation. Nothing here holds personal data."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select, union_all

from alertd.core.delivery import State
from alertd.store.rows import Row
from alertd.store.schema import (
    alert_revisions,
    alerts,
    deliveries,
    instance,
    people,
    rollouts,
    steps,
    subscriptions,
)

RECENT: Final = timedelta(hours=24)
_UNDER_WAY: Final = (State.PENDING, State.SENDING, State.HELD)


def deliveries_by_state(connection: Connection, now: datetime) -> dict[tuple[str, ...], int]:
    """By channel and state the count of deliveries of the last 24 hours' alerts, and of all that are not over."""
    recent = deliveries.c.alert_id.in_(select(alerts.c.id).where(alerts.c.sent_at > now - RECENT))
    counts: dict[tuple[str, ...], int] = {}
    # Two queries, each by an index of its own: one for both would read every delivery there ever was.
    for chosen in (recent, deliveries.c.state.in_(_UNDER_WAY) & ~recent):
        query = select(deliveries.c.channel, deliveries.c.state, func.count().label("count")).where(chosen)
        for row in _rows(connection, query.group_by(deliveries.c.channel, deliveries.c.state)):
            key = (row["channel"], row["state"])
            counts[key] = counts.get(key, 0) + row["count"]
    return counts


def oldest_due(connection: Connection, now: datetime) -> dict[str, datetime]:
    """By channel since when the oldest delivery is due that could go out now."""
    query = (
        select(deliveries.c.channel, func.min(deliveries.c.due_at).label("due_at"))
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(deliveries.c.due_at <= now, *_waits(now))
        .group_by(deliveries.c.channel)
    )
    return {row["channel"]: row["due_at"] for row in _rows(connection, query)}


def waiting(connection: Connection, now: datetime) -> set[tuple[str, str]]:
    """The channels and lanes that have deliveries which are due, or were put off after an attempt."""
    query = (
        select(deliveries.c.channel, deliveries.c.lane)
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(or_(deliveries.c.due_at <= now, deliveries.c.attempt > 0), *_waits(now))
        .distinct()
    )
    return {(row["channel"], row["lane"]) for row in _rows(connection, query)}


def _waits(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        deliveries.c.state == State.PENDING,
        deliveries.c.revision == alerts.c.revision,
        alerts.c.state.in_(("active", "cancelled")),
        alerts.c.expires_at > now,
    )


def unprepared(connection: Connection, before: datetime) -> list[Row]:
    """What was posted, revised or begun `before` then and is not laid down for everybody: `title`, and `since` when."""
    posted = select(alerts.c.title, alerts.c.sent_at.label("since")).join(rollouts, rollouts.c.alert_id == alerts.c.id)
    revised = select(alert_revisions.c.title, alert_revisions.c.created_at).where(alert_revisions.c.after.is_not(None))
    begun = (
        select(alerts.c.title, steps.c.started_at)
        .join(steps, steps.c.alert_id == alerts.c.id)
        .where(steps.c.after.is_not(None))
    )
    either = union_all(posted, revised, begun).subquery()
    return _rows(connection, select(either).where(either.c.since < before).order_by(either.c.since))


def held(connection: Connection) -> list[Row]:
    """By `channel` and `reason` the `count` of held deliveries."""
    query = (
        select(deliveries.c.channel, deliveries.c.reason, func.count().label("count"))
        .where(deliveries.c.state == State.HELD)
        .group_by(deliveries.c.channel, deliveries.c.reason)
        .order_by(deliveries.c.channel, deliveries.c.reason)
    )
    return _rows(connection, query)


def active_alerts(connection: Connection, now: datetime) -> int:
    """How many alerts are under way, tests and the system's own left out."""
    query = select(func.count()).where(alerts.c.state == "active", alerts.c.expires_at > now, alerts.c.kind == "alert")
    return int(connection.execute(query).scalar_one())


def people_by_channel(connection: Connection) -> dict[str, int]:
    """How many active people have an address for each channel."""
    query = (
        select(subscriptions.c.channel, func.count(subscriptions.c.person_id.distinct()).label("count"))
        .join(people, people.c.id == subscriptions.c.person_id)
        .where(people.c.active, subscriptions.c.retired_at.is_(None), subscriptions.c.verified_at.is_not(None))
        .group_by(subscriptions.c.channel)
    )
    return {row["channel"]: row["count"] for row in _rows(connection, query)}


def head_offset(connection: Connection) -> int:
    """Where the event log ends."""
    return int(connection.execute(select(instance.c.event_offset)).scalar_one())


def database_clock(connection: Connection) -> datetime | None:
    """The database server's own clock; None where there is no server."""
    if connection.dialect.name != "postgresql":
        return None
    found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return found


def _rows(connection: Connection, query: Select[tuple[object, ...]]) -> list[Row]:
    return [row._asdict() for row in connection.execute(query)]
