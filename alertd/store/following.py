"""Where an alert's versions went, some recipients at a time: there its next version goes, too."""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, case, exists, func, or_, select, update

from alertd.core.delivery import State
from alertd.store.rows import Row, among, in_slices
from alertd.store.schema import alert_revisions, attempts, deliveries, recipients, subscriptions

_WENT: Final = (State.SENDING, State.SENT, State.DELIVERED)
_WAITING: Final = (State.PENDING, State.HELD)


def begin(connection: Connection, alert_id: str, revision: int, after: str) -> None:
    """That revision is laid down for everybody up to `after`, for the others it is still to be. What was left of an
    earlier one is not laid down any more.
    """
    ours = alert_revisions.c.alert_id == alert_id
    connection.execute(update(alert_revisions).where(ours, alert_revisions.c.after.is_not(None)).values(after=None))
    advance(connection, alert_id, revision, after)


def advance(connection: Connection, alert_id: str, revision: int, after: str | None) -> None:
    """Everybody up to that person is done; None: everybody is."""
    this = (alert_revisions.c.alert_id == alert_id) & (alert_revisions.c.revision == revision)
    connection.execute(update(alert_revisions).where(this).values(after=after))


def position(connection: Connection, alert: Row) -> str | None:
    """The last person for whom the alert's current revision is laid down; None when it is for everybody."""
    query = select(alert_revisions.c.after).where(
        alert_revisions.c.alert_id == alert["id"], alert_revisions.c.revision == alert["revision"]
    )
    found: str | None = connection.execute(query).scalar_one()
    return found


def under_way() -> Select[str]:
    """The alerts whose current revision is not laid down for everybody yet."""
    return select(alert_revisions.c.alert_id).where(alert_revisions.c.after.is_not(None))


def page(connection: Connection, alert_id: str, after: str, size: int) -> dict[str, int]:
    """The next `size` people who were told of an alert, after that person, with their recipient numbers, in order."""
    query = (
        select(recipients.c.person_id, recipients.c.id)
        .where(recipients.c.alert_id == alert_id, recipients.c.person_id > after)
        .order_by(recipients.c.person_id)
        .limit(size)
    )
    return {row.person_id: row.id for row in connection.execute(query)}


def went_to(connection: Connection, alert: Row, numbers: Sequence[int]) -> set[str]:
    """The subscriptions of these recipients to which an earlier version than the current one went."""
    found: set[str] = set()
    earlier = (deliveries.c.alert_id == alert["id"]) & (deliveries.c.revision < alert["revision"])
    for some in in_slices(numbers):
        theirs = select(deliveries.c.subscription_id).where(
            among(connection, deliveries.c.recipient_id, some), earlier, _went(_WENT)
        )
        found.update(connection.execute(theirs).scalars())
    return found


def _went(states: Collection[State]) -> ColumnElement[bool]:
    """A delivery went where the provider took it, where somebody has seen it, and where nobody can rule it out: under
    way, or ended in the dark.
    """
    dark = exists().where(
        attempts.c.delivery_id == deliveries.c.id, attempts.c.ended_at.is_(None), deliveries.c.attempt > 0
    )
    seen = deliveries.c.displayed_at.is_not(None) | deliveries.c.opened_at.is_not(None)
    return or_(deliveries.c.state.in_(states), dark, seen)


class Following(NamedTuple):
    """Whom a version goes to: so many people, at so many addresses."""

    people: int
    deliveries: int


def count(connection: Connection, alert_id: str, channels: Collection[str], *, waiting: bool) -> Following:
    """Whom a next version would go to, as `revising` lays it down. `waiting`: also to where an alert has not gone yet
    but is still to go.
    """
    states = (*_WENT, *_WAITING) if waiting else _WENT
    ways = select(deliveries.c.subscription_id.label("id")).where(deliveries.c.alert_id == alert_id, _went(states))
    wanted = ways.distinct().cte("wanted")
    is_used = subscriptions.c.retired_at.is_(None) & subscriptions.c.verified_at.is_not(None)
    person, channel = subscriptions.c.person_id, subscriptions.c.channel
    left = func.max(case((is_used, 1), else_=0)).label("left")  # of what it went to on that channel
    pairs = select(person, channel, left).join(wanted, wanted.c.id == subscriptions.c.id).group_by(person, channel)
    pair = pairs.subquery("pair")
    query = (
        select(func.count(person.distinct()), func.count())
        .select_from(subscriptions)
        .join(pair, (pair.c.person_id == person) & (pair.c.channel == channel))
        .outerjoin(wanted, wanted.c.id == subscriptions.c.id)
        .where(is_used, channel.in_(list(channels)), or_(pair.c.left == 0, wanted.c.id.is_not(None)))
    )
    return Following(*connection.execute(query).one())
