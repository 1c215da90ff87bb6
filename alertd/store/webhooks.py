"""Whom others' systems are told through, and what they still have to hear.

Whoever changes what a webhook is to be told holds its row (`lock`) before any other: so messages are numbered in
their order, and nobody waits crosswise.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, func, insert, select, update

from alertd.core.webhook import PING
from alertd.store.rows import Row, insert_new
from alertd.store.schema import instance, webhook_alerts, webhook_messages, webhooks

_DUE = webhook_messages.c.state == "due"


def add(connection: Connection, webhook_id: str, values: Row) -> bool:
    """Make a webhook; False when there is one of that id."""
    return insert_new(connection, webhooks, {**values, "id": webhook_id})


def every(connection: Connection) -> list[Row]:
    """Every webhook, by id, with how many messages are still to be told and how many were given up lately."""
    theirs = webhook_messages.c.webhook_id == webhooks.c.id
    waiting, given_up = (
        select(func.count())
        .where(theirs, webhook_messages.c.state == state, webhook_messages.c.type != PING)
        .scalar_subquery()
        for state in ("due", "failed")
    )
    query = select(webhooks, waiting.label("waiting"), given_up.label("given_up")).order_by(webhooks.c.id)
    return [row._asdict() for row in connection.execute(query)]


def lock(connection: Connection, webhook_id: str) -> Row | None:
    """A webhook that nobody else changes until this transaction ends."""
    row = connection.execute(select(webhooks).where(webhooks.c.id == webhook_id).with_for_update()).first()
    return row._asdict() if row else None


def change(connection: Connection, webhook_id: str, values: Row) -> None:
    connection.execute(update(webhooks).where(webhooks.c.id == webhook_id).values(**values))


def remove(connection: Connection, webhook_id: str) -> None:
    """Forget a webhook and all that it was to hear."""
    for table in (webhook_messages, webhook_alerts):
        connection.execute(delete(table).where(table.c.webhook_id == webhook_id))
    connection.execute(delete(webhooks).where(webhooks.c.id == webhook_id))


def behind(connection: Connection) -> list[str]:
    """The webhooks that events have come for."""
    query = select(webhooks.c.id).where(
        webhooks.c.disabled_at.is_(None), webhooks.c.cursor < select(instance.c.event_offset).scalar_subquery()
    )
    return list(connection.execute(query).scalars())


def add_message(connection: Connection, values: Row) -> None:
    """A message that is due when it is made."""
    connection.execute(insert(webhook_messages).values(**values, state="due", tries=0, due_at=values["created_at"]))


def hurry(connection: Connection, webhook_id: str, now: datetime) -> None:
    """Try whatever waits for its next attempt at once, without using one up."""
    rests = (webhook_messages.c.webhook_id == webhook_id) & (webhook_messages.c.due_at > now)
    failed = _DUE & (webhook_messages.c.tries > 0)
    connection.execute(
        update(webhook_messages).where(rests, failed).values(due_at=now, tries=webhook_messages.c.tries - 1)
    )


def drop_counts(connection: Connection, webhook_id: str, alert_id: str) -> None:
    """Take back counts that were not told yet: something weightier comes, and is not to wait behind them."""
    ours = (webhook_messages.c.webhook_id == webhook_id) & (webhook_messages.c.alert_id == alert_id)
    untold = delete(webhook_messages).where(ours, _DUE, webhook_messages.c.type == "alert.counts")
    if connection.execute(untold).rowcount:
        change_watched(connection, webhook_id, alert_id, {"counts": None})


def is_waiting(connection: Connection, webhook_id: str, alert_id: str) -> bool:
    """Whether a webhook is still to hear something of an alert."""
    ours = (webhook_messages.c.webhook_id == webhook_id) & (webhook_messages.c.alert_id == alert_id)
    return connection.execute(select(webhook_messages.c.id).where(ours, _DUE).limit(1)).first() is not None


def ready(connection: Connection, now: datetime) -> list[str]:
    """The webhooks that can be told something now and that nobody tells anything."""
    free = webhooks.c.leased_until.is_(None) | (webhooks.c.leased_until <= now)
    query = _heads(now).with_only_columns(webhooks.c.id).where(free).distinct()
    return list(connection.execute(query).scalars())


def head(connection: Connection, webhook_id: str, now: datetime) -> Row | None:
    """What a webhook is told next."""
    query = _heads(now).where(webhooks.c.id == webhook_id).order_by(webhook_messages.c.id).limit(1)
    row = connection.execute(query).first()
    return row._asdict() if row else None


def _heads(now: datetime) -> Select[Any]:
    """What is due and follows nothing of its alert that is still to be told; to whom is gone, attempts of the line."""
    earlier = webhook_messages.alias("earlier")
    follows = exists().where(
        earlier.c.webhook_id == webhook_messages.c.webhook_id,
        earlier.c.alert_id == webhook_messages.c.alert_id,
        earlier.c.state == "due",
        earlier.c.id < webhook_messages.c.id,
    )
    is_heard = webhooks.c.disabled_at.is_(None) | (webhook_messages.c.type == PING)
    return (
        select(webhook_messages)
        .join(webhooks, webhooks.c.id == webhook_messages.c.webhook_id)
        .where(_DUE, webhook_messages.c.due_at <= now, is_heard, ~follows)
    )


def end_message(connection: Connection, reference: str, values: Row) -> None:
    """What came of an attempt, unless the message was told or taken back meanwhile."""
    # Not by its number: SQLite gives that of a message that was taken back to the next one.
    connection.execute(update(webhook_messages).where(webhook_messages.c.reference == reference, _DUE).values(**values))


def give_up(connection: Connection, webhook_id: str) -> None:
    """Tell a webhook nothing more of what waits, and watch no alert for it."""
    waits = (webhook_messages.c.webhook_id == webhook_id) & _DUE
    connection.execute(update(webhook_messages).where(waits).values(state="failed"))
    connection.execute(delete(webhook_alerts).where(webhook_alerts.c.webhook_id == webhook_id))


def watch(connection: Connection, webhook_id: str, alert_id: str, state: str, look_at: datetime) -> None:
    """Look at an alert for a webhook from then on; what it was told by now is that the alert is in that state."""
    key = {"webhook_id": webhook_id, "alert_id": alert_id}
    if not insert_new(connection, webhook_alerts, {**key, "state": state, "look_at": look_at}):
        change_watched(connection, webhook_id, alert_id, {"state": state})


def watched(connection: Connection, webhook_id: str, alert_id: str) -> Row | None:
    query = select(webhook_alerts).where(
        webhook_alerts.c.webhook_id == webhook_id, webhook_alerts.c.alert_id == alert_id
    )
    row = connection.execute(query).first()
    return row._asdict() if row else None


def change_watched(connection: Connection, webhook_id: str, alert_id: str, values: Row) -> None:
    ours = (webhook_alerts.c.webhook_id == webhook_id) & (webhook_alerts.c.alert_id == alert_id)
    connection.execute(update(webhook_alerts).where(ours).values(**values))


def unwatch(connection: Connection, webhook_id: str, alert_id: str) -> None:
    ours = (webhook_alerts.c.webhook_id == webhook_id) & (webhook_alerts.c.alert_id == alert_id)
    connection.execute(delete(webhook_alerts).where(ours))


def due_looks(connection: Connection, now: datetime, limit: int) -> Sequence[tuple[str, str]]:
    """The webhook and the alert of each look that is due, the longest due first."""
    query = (
        select(webhook_alerts.c.webhook_id, webhook_alerts.c.alert_id)
        .where(webhook_alerts.c.look_at <= now)
        .order_by(webhook_alerts.c.look_at)
        .limit(limit)
    )
    return [(row.webhook_id, row.alert_id) for row in connection.execute(query)]
