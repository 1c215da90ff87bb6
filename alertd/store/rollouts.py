"""Laying down an alert's recipients and first deliveries, some people at a time; who will be told meanwhile."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    case,
    exists,
    false,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)

from alertd.core.audience import Audience
from alertd.core.delivery import State
from alertd.store import tallies
from alertd.store.people import is_meant
from alertd.store.rows import Row, in_slices
from alertd.store.schema import alerts, deliveries, people, recipients, rollouts, subscriptions

Chosen = Callable[[ColumnElement[str]], ColumnElement[bool]]
"""Which people: the condition on a column of person ids."""


def between(after: str, upto: str | None) -> Chosen:
    """Those whose id comes after the one, up to the other; None: all that follow."""
    return lambda person_id: (person_id > after) & (person_id <= upto) if upto is not None else person_id > after


def these(person_ids: Sequence[str]) -> Chosen:
    """These, some hundreds at most."""
    return lambda person_id: person_id.in_(person_ids)


def begin(connection: Connection, alert_id: str, after: str) -> None:
    """Everybody up to `after` is laid down, the others are still to be."""
    connection.execute(insert(rollouts).values(alert_id=alert_id, after=after))


def under_way(connection: Connection) -> list[str]:
    """The alerts that are not wholly laid down yet, oldest first."""
    return list(connection.execute(select(rollouts.c.alert_id).order_by(rollouts.c.alert_id)).scalars())


def position(connection: Connection, alert_id: str) -> str | None:
    """The last person who was laid down in order; None when everybody is."""
    query = select(rollouts.c.after).where(rollouts.c.alert_id == alert_id)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def advance(connection: Connection, alert_id: str, upto: str | None) -> None:
    """Everybody up to that person is laid down now; None: everybody is."""
    this = rollouts.c.alert_id == alert_id
    if upto is None:
        connection.execute(rollouts.delete().where(this))
    else:
        connection.execute(update(rollouts).where(this).values(after=upto))


def edge(connection: Connection, alert: Row, after: str, size: int) -> str | None:
    """The last of the next `size` people of an alert's audience; None when no more than that are left."""
    query = select(people.c.id).where(*_audience(connection, alert), people.c.id > after).order_by(people.c.id).limit(2)
    found = connection.execute(query.offset(size - 1)).scalars().all()
    return str(found[0]) if len(found) == 2 else None


def _audience(connection: Connection, alert: Row) -> list[ColumnElement[bool]]:
    """Who was meant when the alert was issued: whoever was changed since has been laid down before that."""
    audience = Audience.from_json(alert["audience"])
    return [*is_meant(connection, audience), people.c.version <= alert["people_version"]]


@dataclass(frozen=True, slots=True)
class First:
    """What the first deliveries of an alert are like."""

    revision: int
    channels: Collection[str]
    state: State
    reason: str | None
    rank: int
    rank_alone: int  # of those to people who have no other way
    due_at: datetime
    due_when_quiet: Mapping[tuple[str, str], datetime]  # by quiet hours, as people have them
    queued_at: datetime


def lay_down(connection: Connection, alert: Row, chosen: Chosen, first: First) -> Counter[str]:
    """Make those of the chosen people whom an alert is for its recipients, with a delivery to every usable
    subscription on its first channels; how many deliveries, by channel. Call it with the alert locked: whoever is a
    recipient already has theirs.
    """
    present = connection.execute(
        select(recipients.c.person_id).where(recipients.c.alert_id == alert["id"], chosen(recipients.c.person_id))
    ).scalars()
    done = list(present)
    new = (
        select(literal(alert["id"]), people.c.id, literal("audience"), literal(0), false())
        .where(*_audience(connection, alert), chosen(people.c.id), people.c.id.not_in(done))
        .order_by(people.c.id)
    )
    connection.execute(insert(recipients).from_select(_RECIPIENT, new))
    names = [column.name for column in _DELIVERY]
    laid = insert(deliveries).from_select(names, _deliveries(alert, chosen, done, first))
    counts = Counter(connection.execute(laid.returning(deliveries.c.channel)).scalars())
    tallies.add_recipients(
        connection, alert["id"], chosen(recipients.c.person_id) & recipients.c.person_id.not_in(done)
    )
    return counts


_RECIPIENT = ("alert_id", "person_id", "part", "answered", "hopeless")


_DELIVERY = (
    deliveries.c.alert_id,
    deliveries.c.revision,
    deliveries.c.step,
    deliveries.c.repeat,
    deliveries.c.subscription_id,
    deliveries.c.recipient_id,
    deliveries.c.channel,
    deliveries.c.lane,
    deliveries.c.state,
    deliveries.c.reason,
    deliveries.c.attempt,
    deliveries.c.tries,
    deliveries.c.holds,
    deliveries.c.rank,
    deliveries.c.due_at,
    deliveries.c.queued_at,
)


def _deliveries(alert: Row, chosen: Chosen, done: Collection[str], first: First) -> Select[Any]:
    ways = (
        select(
            subscriptions,
            recipients.c.id.label("recipient_id"),
            func.count().over(partition_by=subscriptions.c.person_id).label("ways"),
        )
        .join(recipients, recipients.c.person_id == subscriptions.c.person_id)
        .where(
            recipients.c.alert_id == alert["id"],
            chosen(recipients.c.person_id),
            recipients.c.person_id.not_in(done),
            subscriptions.c.retired_at.is_(None),
            subscriptions.c.verified_at.is_not(None),
        )
        .subquery("ways")
    )
    values = {
        "alert_id": literal(alert["id"]),
        "revision": literal(first.revision),
        "step": literal(0),
        "repeat": literal(0),
        "subscription_id": ways.c.id,
        "recipient_id": ways.c.recipient_id,
        "channel": ways.c.channel,
        "lane": ways.c.lane,
        "state": literal(first.state.value),
        "reason": literal(first.reason, deliveries.c.reason.type),
        "attempt": literal(0),
        "tries": literal(0),
        "holds": literal(0),
        "rank": case((ways.c.ways == 1, first.rank_alone), else_=first.rank),
        "due_at": _due_at(first),
        "queued_at": literal(first.queued_at, deliveries.c.queued_at.type),
    }
    query = select(*(values[column.name] for column in _DELIVERY)).where(ways.c.channel.in_(list(first.channels)))
    if first.due_when_quiet:
        query = query.join_from(ways, people, people.c.id == ways.c.person_id)
    return query.order_by(ways.c.recipient_id, ways.c.id)


def _due_at(first: First) -> ColumnElement[Any]:
    kind = deliveries.c.due_at.type
    at_once = literal(first.due_at, kind)
    later = [
        ((people.c.quiet_from == start) & (people.c.quiet_to == end), literal(due_at, kind))
        for (start, end), due_at in first.due_when_quiet.items()
    ]
    return case(*later, else_=at_once) if later else at_once


def quiet_hours(connection: Connection, chosen: Chosen) -> list[tuple[str, str]]:
    """The different quiet hours, from and to, that chosen people have."""
    query = select(people.c.quiet_from, people.c.quiet_to).where(chosen(people.c.id), people.c.quiet_from.is_not(None))
    return [(row.quiet_from, row.quiet_to) for row in connection.execute(query.distinct())]


def told_of(connection: Connection, alert_id: str, among: Collection[str] | None = None) -> set[str]:
    """Who was or will be told of an alert, supervisors included; of everybody, or `among` some people."""
    whose = [select(recipients.c.person_id).where(recipients.c.alert_id == alert_id)]
    if position(connection, alert_id) is not None:
        alert = connection.execute(select(alerts).where(alerts.c.id == alert_id)).one()._asdict()
        # One who is laid down and then changed between two statements would be missed by both; and once all are,
        # the groups may change, and with them whom the expression means.
        still = exists().where(rollouts.c.alert_id == alert_id)
        whose.append(select(people.c.id).where(still, *_audience(connection, alert)))
    if among is None:
        return set(connection.execute(union_all(*whose)).scalars())
    found: set[str] = set()
    for some in in_slices(sorted(among)):
        these_of = [query.where(query.selected_columns[0].in_(some)) for query in whose]
        found.update(connection.execute(union_all(*these_of)).scalars())
    return found


def coming_to(connection: Connection, person_id: str) -> list[str]:
    """The alerts under way that are for this person, laid down for them already or not."""
    return [alert_id for alert_id in under_way(connection) if told_of(connection, alert_id, [person_id])]
