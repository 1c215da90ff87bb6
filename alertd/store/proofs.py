"""What is known of each way to a person: when it was last proven to work, and what became of the newest message."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, null, or_, select

from alertd.core.acknowledgement import PROVES
from alertd.core.delivery import State
from alertd.store.rows import among, in_slices
from alertd.store.schema import IS_BY_LINK, IS_PROOF, acknowledgements, deliveries, subscriptions

# What never was on its way says nothing about the way, and what still is does not yet.
SETTLED: Final = (State.SENT, State.DELIVERED, State.FAILED, State.HELD, State.EXPIRED)
# Why a way was retired by people, not by a provider.
REPLACED: Final = "replaced by another address"
REMOVED: Final = "removed by its owner"
TAKEN_OVER: Final = "somebody else signed in on this device"
ON_PURPOSE: Final = (REPLACED, REMOVED, TAKEN_OVER)
LOST: Final = (State.FAILED, State.HELD, State.EXPIRED)

_ANSWERED_BY: Final = tuple(f"{channel} {way.word}" for way, channel in PROVES.items())


class Proof(NamedTuple):
    """The last time that a way was proven to work, and by what: delivered | displayed | opened | answered."""

    rung: str
    at: datetime


class Newest(NamedTuple):
    """What became of the newest message over a way."""

    state: str
    reason: str | None
    at: datetime


def is_live() -> ColumnElement[bool]:
    """Whether messages go to a subscription."""
    return subscriptions.c.retired_at.is_(None) & subscriptions.c.verified_at.is_not(None)


def is_proven() -> ColumnElement[bool]:
    """Whether a subscription was ever proven to work."""
    by_evidence = exists().where(deliveries.c.subscription_id == subscriptions.c.id, IS_PROOF)
    # By the person's answers, of which there are few, and not by the way's messages, of which there are ever more.
    went_there = exists().where(
        deliveries.c.recipient_id == acknowledgements.c.recipient_id,
        (deliveries.c.subscription_id + "") == subscriptions.c.id,
        deliveries.c.attempt > 0,
    )
    by_answer = exists().where(
        acknowledgements.c.person_id == subscriptions.c.person_id,
        IS_BY_LINK,
        _came_by(subscriptions.c.channel),
        went_there.correlate(acknowledgements, subscriptions),
    )
    return or_(by_evidence, by_answer.correlate(subscriptions))


def _came_by(channel: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether an answer came by that channel."""
    # As one word: of alternatives SQLite would rather read every delivery of these channels.
    return channel.concat(" ").concat(acknowledgements.c.last_way).in_(_ANSWERED_BY)


def is_failing() -> ColumnElement[bool]:
    """Whether the newest message over a subscription did not get through."""
    return func.coalesce(_newest(deliveries.c.state), "").in_(LOST)


def is_broken() -> ColumnElement[bool]:
    """Whether a subscription should work and does not: it fails, or a provider called it dead and none of the same
    channel took its place.
    """
    other = subscriptions.alias()
    replaced = exists().where(
        other.c.person_id == subscriptions.c.person_id,
        other.c.channel == subscriptions.c.channel,
        other.c.retired_at.is_(None),
    )
    dead = (
        subscriptions.c.retired_at.is_not(None)
        & func.coalesce(subscriptions.c.retired_reason, "").not_in(ON_PURPOSE)
        & ~replaced
    )
    return or_(dead, and_(is_live(), is_failing()))


def proofs(connection: Connection, subscription_ids: Collection[str]) -> dict[str, Proof]:
    """The last proof of each of these ways; one that was never proven is left out."""
    # Who opened the link in a push is not known by device.
    opened = case((deliveries.c.channel == "webpush", null()), else_=deliveries.c.opened_at)
    shown = {"delivered": deliveries.c.delivered_at, "displayed": deliveries.c.displayed_at, "opened": opened}
    columns = [func.max(column, type_=deliveries.c.opened_at.type).label(rung) for rung, column in shown.items()]
    by_evidence = select(deliveries.c.subscription_id, *columns).where(IS_PROOF).group_by(deliveries.c.subscription_id)
    last_answer = func.max(acknowledgements.c.last_received_at, type_=acknowledgements.c.last_received_at.type)
    by_answer = (
        select(deliveries.c.subscription_id, last_answer.label("answered"))
        .join(acknowledgements, acknowledgements.c.recipient_id == deliveries.c.recipient_id)
        .where(IS_BY_LINK, deliveries.c.attempt > 0, _came_by(deliveries.c.channel))
    )
    found: dict[str, Proof] = {}
    for some in in_slices(list(subscription_ids)):
        theirs = among(connection, deliveries.c.subscription_id, some)
        for query in (by_evidence, by_answer.group_by(deliveries.c.subscription_id)):
            for row in connection.execute(query.where(theirs)).mappings():
                rungs = [Proof(rung, at) for rung, at in row.items() if rung != "subscription_id" and at is not None]
                known = [found[row["subscription_id"]]] if row["subscription_id"] in found else []
                if rungs:
                    found[row["subscription_id"]] = max([*rungs, *known], key=lambda proof: proof.at)
    return found


def newest(connection: Connection, subscription_ids: Collection[str]) -> dict[str, Newest]:
    """What became of the newest message over each of these ways; one that had none is left out."""
    found: dict[str, Newest] = {}
    columns = (deliveries.c.subscription_id, deliveries.c.state, deliveries.c.reason, deliveries.c.queued_at)
    for some in in_slices(list(subscription_ids)):
        last = select(_newest(deliveries.c.id)).where(among(connection, subscriptions.c.id, some))
        for row in connection.execute(select(*columns).where(deliveries.c.id.in_(last))):
            found[row.subscription_id] = Newest(row.state, row.reason, row.queued_at)
    return found


def _newest(column: ColumnElement[object]) -> ColumnElement[object]:
    """A column of the newest settled delivery to a subscription."""
    query = select(column).where(deliveries.c.subscription_id == subscriptions.c.id, deliveries.c.state.in_(SETTLED))
    return query.order_by(deliveries.c.id.desc()).limit(1).correlate(subscriptions).scalar_subquery()
