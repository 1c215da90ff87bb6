"""What operators watch: counts and ages over the whole installation. Nothing here holds personal data."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Select, func, or_, select

from alertd.core.delivery import TERMINAL, State
from alertd.store.rows import Row
from alertd.store.schema import alerts, circuits, deliveries, instance, outcomes, people, subscriptions, usage

RECENT: Final = timedelta(hours=24)


def deliveries_by_state(connection: Connection, now: datetime) -> list[Row]:
    """By `channel` and `state` the `count` of deliveries of the last 24 hours' alerts, and of all that are not over."""
    query = (
        select(deliveries.c.channel, deliveries.c.state, func.count().label("count"))
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(or_(alerts.c.sent_at > now - RECENT, deliveries.c.state.not_in((*TERMINAL, State.SENT))))
        .group_by(deliveries.c.channel, deliveries.c.state)
    )
    return _rows(connection, query)


def oldest_due(connection: Connection, now: datetime) -> dict[str, datetime]:
    """By channel since when the oldest delivery is due that could go out now."""
    query = (
        select(deliveries.c.channel, func.min(deliveries.c.due_at).label("due_at"))
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(
            deliveries.c.state == State.PENDING,
            deliveries.c.due_at <= now,
            deliveries.c.revision == alerts.c.revision,
            alerts.c.state.in_(("active", "cancelled")),
            alerts.c.expires_at > now,
        )
        .group_by(deliveries.c.channel)
    )
    return {row["channel"]: row["due_at"] for row in _rows(connection, query)}


def held(connection: Connection) -> list[Row]:
    """By `channel` and `reason` the `count` of held deliveries."""
    query = (
        select(deliveries.c.channel, deliveries.c.reason, func.count().label("count"))
        .where(deliveries.c.state == State.HELD)
        .group_by(deliveries.c.channel, deliveries.c.reason)
        .order_by(deliveries.c.channel, deliveries.c.reason)
    )
    return _rows(connection, query)


def list_outcomes(connection: Connection) -> list[Row]:
    return _rows(connection, select(outcomes))


def list_circuits(connection: Connection) -> list[Row]:
    """What is not closed, in any worker."""
    return _rows(connection, select(circuits).order_by(circuits.c.channel, circuits.c.provider, circuits.c.lane))


def used(connection: Connection, channel: str, day: str) -> int:
    """What a channel has used up on that day (`2026-11-22`) of what costs money."""
    query = select(usage.c.units).where(usage.c.channel == channel, usage.c.day == day)
    return int(connection.execute(query).scalar_one_or_none() or 0)


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
