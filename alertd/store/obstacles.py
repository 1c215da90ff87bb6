"""What keeps an alert's messages from going out, as its rows and the workers' circuits tell."""

from sqlalchemy import Connection, func, literal, select

from alertd.core.delivery import State
from alertd.store.rows import Row
from alertd.store.schema import circuits, deliveries


def held(connection: Connection, alert_id: str) -> list[Row]:
    """By `channel` and `reason` the `count` of an alert's deliveries that our own fault holds."""
    query = (
        select(deliveries.c.channel, deliveries.c.reason, func.count().label("count"))
        .where(deliveries.c.alert_id == alert_id, deliveries.c.state == literal(State.HELD, literal_execute=True))
        .group_by(deliveries.c.channel, deliveries.c.reason)
        .order_by(deliveries.c.channel, deliveries.c.reason)
    )
    return [row._asdict() for row in connection.execute(query)]


def circuits_before(connection: Connection, alert_id: str) -> list[Row]:
    """The circuits that are not closed where deliveries of an alert still wait, without whose worker's they are."""
    # Looked for from each circuit, of which there are few: of an `EXISTS` PostgreSQL makes a table of all that wait.
    one_that_waits = (
        select(deliveries.c.id)
        .where(
            deliveries.c.alert_id == alert_id,
            deliveries.c.state == State.PENDING,
            deliveries.c.channel == circuits.c.channel,
            deliveries.c.lane == circuits.c.lane,
        )
        .limit(1)
        .scalar_subquery()
    )
    columns = (circuits.c.channel, circuits.c.provider, circuits.c.lane)
    query = (
        select(*columns, func.min(circuits.c.reason).label("reason"), func.min(circuits.c.since).label("since"))
        .where(one_that_waits.is_not(None))
        .group_by(*columns)
        .order_by(*columns)
    )
    return [row._asdict() for row in connection.execute(query)]
