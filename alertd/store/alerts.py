"""Alerts, their recipients, and the event log that the live stream replays."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, insert, or_, select, update

from alertd.core.audience import Audience
from alertd.core.delivery import State
from alertd.store.people import is_meant
from alertd.store.rows import Row, among, at_once, in_slices, rows_by
from alertd.store.schema import (
    acknowledgements,
    alert_revisions,
    alerts,
    deliveries,
    events,
    instance,
    people,
    recipients,
    subscriptions,
)
from alertd.store.unsent import changing


def add(connection: Connection, values: Mapping[str, Any]) -> None:
    """A new alert and its first revision."""
    connection.execute(insert(alerts).values(**values))
    _add_revision(connection, values["id"], values, asks_again=True, by=values["issued_by"], at=values["sent_at"])


def _add_revision(
    connection: Connection, alert_id: str, values: Mapping[str, Any], *, asks_again: bool, by: str, at: datetime
) -> None:
    connection.execute(
        insert(alert_revisions).values(
            alert_id=alert_id,
            revision=values["revision"],
            kind=values["revision_kind"],
            title=values["title"],
            body=values["body"],
            asks_again=asks_again,
            created_by=by,
            created_at=at,
        )
    )


def revise(
    connection: Connection, alert_id: str, values: Mapping[str, Any], *, asks_again: bool, by: str, at: datetime
) -> None:
    """Let an alert say something else from now on; `values` are its changed columns, the new `revision` among them."""
    connection.execute(update(alerts).where(alerts.c.id == alert_id).values(**values))
    _add_revision(connection, alert_id, values, asks_again=asks_again, by=by, at=at)


def revisions(connection: Connection, alert_id: str) -> list[Row]:
    """Everything an alert has said, oldest first."""
    query = select(alert_revisions).where(alert_revisions.c.alert_id == alert_id).order_by(alert_revisions.c.revision)
    return [row._asdict() for row in connection.execute(query)]


def lock(connection: Connection, alert_id: str) -> Row | None:
    """An alert that nobody else changes until this transaction ends."""
    # Not so hard a lock that rows which refer to the alert would have to wait for it.
    query = select(alerts).where(alerts.c.id == alert_id).with_for_update(key_share=True)
    row = connection.execute(query).first()
    return row._asdict() if row else None


def add_supervisors(connection: Connection, alert_id: str, person_ids: Sequence[str]) -> None:
    """Make people recipients who are not in the audience."""
    fixed = {"alert_id": alert_id, "part": "supervisor", "answered": None, "hopeless": False}
    if person_ids:
        connection.execute(insert(recipients), [{**fixed, "person_id": person_id} for person_id in person_ids])


def get(connection: Connection, alert_id: str) -> Row | None:
    row = connection.execute(select(alerts).where(alerts.c.id == alert_id)).first()
    return row._asdict() if row else None


def get_many(connection: Connection, alert_ids: Collection[str]) -> dict[str, Row]:
    """Those of these alerts that there are, by id."""
    return rows_by(connection, alerts.c.id, alert_ids)


def page(
    connection: Connection, *, before: str | None, limit: int, reader: str | None, coming: Collection[str] = ()
) -> list[Row]:
    """Alerts, newest first, older than `before`; those that `reader` got, None for all (tests to oneself excepted).

    `coming` are those that are being laid down and for them.
    """
    query = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(alerts.c.id < before)
    if reader is None:
        query = query.where(alerts.c.kind == "alert")
    else:
        told = exists().where(recipients.c.alert_id == alerts.c.id, recipients.c.person_id == reader)
        query = query.where(or_(told, alerts.c.id.in_(coming)) if coming else told)
    return [row._asdict() for row in connection.execute(query)]


def last_drill(connection: Connection, before: str) -> Row | None:
    """The newest drill that was posted before that alert."""
    query = select(alerts).where(alerts.c.kind == "alert", alerts.c.drill.is_(True), alerts.c.id < before)
    row = connection.execute(query.order_by(alerts.c.id.desc()).limit(1)).first()
    return row._asdict() if row else None


def still_open(connection: Connection, now: datetime, limit: int) -> list[Row]:
    """The alerts that are neither called off nor over: real ones before drills, newest first."""
    living = (alerts.c.kind == "alert", alerts.c.state == "active", alerts.c.expires_at > now)
    query = select(alerts).where(*living).order_by(alerts.c.drill, alerts.c.id.desc()).limit(limit)
    return [row._asdict() for row in connection.execute(query)]


def recipient_of(connection: Connection, alert_id: str, person_id: str) -> int | None:
    query = select(recipients.c.id).where(recipients.c.alert_id == alert_id, recipients.c.person_id == person_id)
    return connection.execute(query).scalar_one_or_none()


def recipient(connection: Connection, number: int) -> Row | None:
    """The person and alert behind a recipient number."""
    return recipients_of(connection, [number]).get(number)


def recipients_of(connection: Connection, numbers: Sequence[int]) -> dict[int, Row]:
    """The person and alert behind each of these recipient numbers that there is."""
    found: dict[int, Row] = {}
    for some in in_slices(list(numbers)):
        query = select(recipients.c.id, recipients.c.alert_id, recipients.c.person_id)
        for number, alert_id, person_id in at_once(connection, query.where(among(connection, recipients.c.id, some))):
            found[number] = {"alert_id": alert_id, "person_id": person_id}
    return found


def recipient_numbers(connection: Connection, alert_id: str, person_ids: Sequence[str]) -> dict[str, int]:
    """Of these people those who were told of an alert, each with their recipient number."""
    found: dict[str, int] = {}
    for some in in_slices(person_ids):
        query = select(recipients.c.person_id, recipients.c.id)
        theirs = (recipients.c.alert_id == alert_id) & among(connection, recipients.c.person_id, some)
        found.update((person_id, number) for person_id, number in at_once(connection, query.where(theirs)))
    return found


def misses(connection: Connection, alert: Row, audience: Audience) -> bool:
    """Whether somebody in an audience has come to it since an alert was sent, and does not have that."""
    has_it = exists().where(
        recipients.c.alert_id == alert["id"],
        recipients.c.person_id == people.c.id,
        recipients.c.part == "audience",
    )
    missed = select(people.c.id).where(
        *is_meant(connection, audience), people.c.version > alert["people_version"], ~has_it
    )
    return connection.execute(missed.limit(1)).first() is not None


def audience_of(
    connection: Connection, alert_id: str, field: str, after: str, upto: str | None, size: int
) -> dict[str, str]:
    """The next `size` people whom an alert was sent to and who can still sign in, after one and up to the other (None:
    all that follow), in order: each with that field of theirs, if they have it.
    """
    value = people.c[field]
    query = (
        select(people.c.id, value)
        .join(recipients, recipients.c.person_id == people.c.id)
        .where(recipients.c.alert_id == alert_id, recipients.c.person_id > after, recipients.c.part == "audience")
        .where(people.c.active, value.is_not(None))
        .order_by(recipients.c.person_id)
        .limit(size)
    )
    if upto is not None:
        query = query.where(recipients.c.person_id <= upto)
    return {row.id: row[1] for row in connection.execute(query)}


def active_at_address(connection: Connection, channel: str, address_hash: str, now: datetime) -> list[Row]:
    """The open alerts that went to exactly this address, newest first: alert columns with `recipient_id`, `person_id`,
    and `answered_at`, None where the recipient has not answered yet.
    """
    query = (
        select(
            alerts,
            recipients.c.id.label("recipient_id"),
            recipients.c.person_id,
            acknowledgements.c.first_received_at.label("answered_at"),
        )
        .join(recipients, recipients.c.alert_id == alerts.c.id)
        .join(deliveries, deliveries.c.recipient_id == recipients.c.id)
        .join(subscriptions, subscriptions.c.id == deliveries.c.subscription_id)
        .outerjoin(acknowledgements, acknowledgements.c.recipient_id == recipients.c.id)
        .where(
            subscriptions.c.channel == channel,
            subscriptions.c.address_hash == address_hash,
            alerts.c.state == "active",
            alerts.c.expires_at > now,
        )
        .order_by(alerts.c.id.desc())
    )
    return list({row.recipient_id: row._asdict() for row in connection.execute(query)}.values())


def expire(connection: Connection, now: datetime) -> list[str]:
    """Close the alerts whose life is over, and expire what no attempt will be made for any more; their ids."""
    over = update(alerts).where(alerts.c.state == "active", alerts.c.expires_at <= now)
    closed = list(connection.execute(over.values(state="expired", closed_at=now).returning(alerts.c.id)).scalars())
    dead = select(alerts.c.id).where(alerts.c.state != "active", alerts.c.expires_at <= now)
    unsent = deliveries.c.state.in_((State.PENDING, State.HELD)) & deliveries.c.alert_id.in_(dead)
    connection.execute(changing(unsent).values(state=State.EXPIRED))
    return closed


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log: what the stream said of an alert at that moment."""

    offset: int
    alert_id: str
    facts: Mapping[str, Any]
    at: datetime


def append_event(connection: Connection, alert_id: str, facts: Mapping[str, Any], now: datetime) -> int:
    """Log an event and return its offset. Call it last in its transaction: the row it takes the offset from stays
    locked until the commit, which is why no reader ever sees an offset before a smaller one.
    """
    taken = update(instance).values(event_offset=instance.c.event_offset + 1).returning(instance.c.event_offset)
    offset = int(connection.execute(taken).scalar_one())
    connection.execute(insert(events).values(offset=offset, alert_id=alert_id, facts=dict(facts), created_at=now))
    return offset


def events_after(connection: Connection, offset: int, limit: int) -> list[Event]:
    """The next events after `offset`, in order."""
    query = select(events).where(events.c.offset > offset).order_by(events.c.offset).limit(limit)
    return [Event(row.offset, row.alert_id, row.facts, row.created_at) for row in connection.execute(query)]


def events_for(
    connection: Connection,
    offset: int,
    upto: int,
    person_id: str,
    limit: int,
    *,
    every_alert: bool,
    coming: Collection[str],
) -> list[Event]:
    """The next events after `offset`, up to `upto`, that this person may hear: of the alerts they got, of those that
    are `coming` to them, or of every one (other people's tests to themselves excepted).
    """
    told = exists().where(recipients.c.alert_id == events.c.alert_id, recipients.c.person_id == person_id)
    mine = or_(told, events.c.alert_id.in_(coming)) if coming else told
    query = select(events).where(events.c.offset > offset, events.c.offset <= upto).order_by(events.c.offset)
    if every_alert:
        query = query.join(alerts, alerts.c.id == events.c.alert_id).where(or_(alerts.c.kind == "alert", mine))
    else:
        query = query.where(mine)
    return [
        Event(row.offset, row.alert_id, row.facts, row.created_at) for row in connection.execute(query.limit(limit))
    ]


def busy(connection: Connection, alert: Row, among_steps: Collection[int], numbers: Sequence[int]) -> set[str]:
    """The subscriptions of these recipients to which the current revision, by one of these steps, is on its way."""
    found: set[str] = set()
    for some in in_slices(numbers):
        query = select(deliveries.c.subscription_id).where(
            among(connection, deliveries.c.recipient_id, some),
            deliveries.c.alert_id == alert["id"],
            deliveries.c.revision == alert["revision"],
            deliveries.c.step.in_(list(among_steps)),
            deliveries.c.state.in_((State.PENDING, State.SENDING)),
        )
        found.update(connection.execute(query).scalars())
    return found
