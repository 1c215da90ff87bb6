"""The rungs of evidence that phones and browsers report: fetched, displayed, opened. Each is kept once, the first."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from alertd.core.delivery import State, after_display
from alertd.store.schema import deliveries


def displayed(connection: Connection, delivery_id: int, now: datetime) -> str | None:
    """A phone shows this delivery's message: it has arrived, whatever became of the attempt. Its alert, when new."""
    query = select(deliveries).where(deliveries.c.id == delivery_id).with_for_update()
    row = connection.execute(query).first()
    if row is None or row.displayed_at is not None:
        return None
    state = after_display(State(row.state), row.attempt)
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id)
        .values(displayed_at=now, state=state, worker_id=row.worker_id if state == row.state else None)
    )
    return str(row.alert_id)


def fetched(connection: Connection, recipient_id: int, channel: str, now: datetime) -> bool:
    """Something fetched the link that went to this recipient over `channel`; False when that is no news."""
    return _first(connection, recipient_id, channel, "fetched_at", now)


def opened(connection: Connection, recipient_id: int, channel: str, now: datetime) -> bool:
    """A person looked at the page behind that link; False when that is no news."""
    return _first(connection, recipient_id, channel, "opened_at", now)


def _first(connection: Connection, recipient_id: int, channel: str, rung: str, now: datetime) -> bool:
    """The link is the same in every delivery of one channel to one recipient: it stands for those that went out, or may
    have, and of which it is not known that they did not arrive.
    """
    lost = (State.FAILED, State.EXPIRED, State.CANCELLED, State.HELD)
    query = update(deliveries).where(
        deliveries.c.recipient_id == recipient_id,
        deliveries.c.channel == channel,
        deliveries.c.attempt > 0,
        deliveries.c.state.not_in(lost) | deliveries.c.accepted_at.is_not(None),
        deliveries.c[rung].is_(None),
    )
    return connection.execute(query.values({rung: now})).rowcount > 0
