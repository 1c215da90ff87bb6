"""Deliveries: laid down, claimed under a lease, settled against the attempt that was claimed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from alertd.core.delivery import Receipt, State, Transition, after_receipt
from alertd.store.rows import Row, in_slices
from alertd.store.schema import alerts, attempts, deliveries, people, receipts, recipients, subscriptions, workers

_WORDS_MAX: Final = 500  # characters that the columns for a provider's words hold


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery in a worker's hands: everything that one attempt needs but the alert's text."""

    delivery_id: int
    attempt: int
    tries: int
    alert_id: str
    revision: int
    step: int
    repeat: int
    subscription_id: str
    recipient_id: int
    address: Mapping[str, str]
    language: str
    dark_since: datetime | None  # when the first attempt began of which nobody knows how it ended

    @property
    def key(self) -> str:
        """The delivery's name, the same at every attempt."""
        return f"{self.alert_id}.{self.revision}.{self.step}.{self.repeat}.{self.subscription_id}"


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Lay down deliveries, all of them due at once."""
    for some in in_slices(rows):
        connection.execute(insert(deliveries), [dict(row) for row in some])


def claim(connection: Connection, channel: str, worker_id: str, limit: int, now: datetime) -> list[Claim]:
    """Take up to `limit` due deliveries of living alerts: attempt number and lease are committed with this
    transaction, before the first byte leaves.
    """
    due = (
        select(deliveries.c.id)
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(
            deliveries.c.channel == channel,
            deliveries.c.state == State.PENDING,
            deliveries.c.due_at <= now,
            alerts.c.state == "active",
            alerts.c.expires_at > now,
        )
        .order_by(deliveries.c.rank, deliveries.c.due_at, deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=deliveries)
        .cte("due")  # evaluated once: as a plain subquery PostgreSQL may run it again and lock more than `limit`
    )
    taken = (
        update(deliveries)
        .where(deliveries.c.id.in_(select(due.c.id)))
        .values(
            state=State.SENDING,
            worker_id=worker_id,
            attempt=deliveries.c.attempt + 1,
            tries=deliveries.c.tries + 1,
        )
        .returning(deliveries.c.id)
    )
    ids = list(connection.execute(taken).scalars())
    if not ids:
        return []
    claims = _claims(connection, ids)
    started = [
        {"delivery_id": claim.delivery_id, "attempt": claim.attempt, "worker_id": worker_id, "started_at": now}
        for claim in claims
    ]
    connection.execute(insert(attempts), started)
    return claims


def _dark(connection: Connection, ids: Sequence[int]) -> dict[int, datetime]:
    """Of these deliveries those with an earlier attempt that has no outcome, and when the first such began."""
    query = (
        select(attempts.c.delivery_id, func.min(attempts.c.started_at).label("since"))
        .where(attempts.c.delivery_id.in_(ids), attempts.c.ended_at.is_(None))
        .group_by(attempts.c.delivery_id)
    )
    return {row.delivery_id: row.since for row in connection.execute(query)}


def _claims(connection: Connection, ids: Sequence[int]) -> list[Claim]:
    dark = _dark(connection, ids)
    query = (
        select(deliveries, subscriptions.c.address, people.c.language)
        .join(subscriptions, subscriptions.c.id == deliveries.c.subscription_id)
        .join(people, people.c.id == subscriptions.c.person_id)
        .where(deliveries.c.id.in_(ids))
        .order_by(deliveries.c.rank, deliveries.c.due_at, deliveries.c.id)
    )
    return [
        Claim(
            delivery_id=row.id,
            attempt=row.attempt,
            tries=row.tries,
            alert_id=row.alert_id,
            revision=row.revision,
            step=row.step,
            repeat=row.repeat,
            subscription_id=row.subscription_id,
            recipient_id=row.recipient_id,
            address=row.address,
            language=row.language,
            dark_since=dark.get(row.id),
        )
        for row in connection.execute(query)
    ]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an attempt came to, ready to be written."""

    claim: Claim
    outcome: str  # the outcome's name, for the attempt's row
    transition: Transition


def settle(connection: Connection, settlements: Sequence[Settlement], now: datetime) -> list[Settlement]:
    """Write outcomes; those that were still theirs to write. An attempt whose lease was taken over changes nothing."""
    written = []
    for settlement in sorted(settlements, key=lambda settlement: settlement.claim.delivery_id):
        claim, after = settlement.claim, settlement.transition
        reason = _kept(after.reason)
        values: dict[str, Any] = {"state": after.state, "reason": reason, "worker_id": None}
        if after.due_at is not None:
            values["due_at"] = after.due_at
        if after.state is State.SENT:
            values |= {"accepted_at": now, "provider_id": _kept(after.provider_id)}
        if not after.counted:
            values["tries"] = deliveries.c.tries - 1
        held = and_(
            deliveries.c.id == claim.delivery_id,
            deliveries.c.attempt == claim.attempt,
            deliveries.c.state == State.SENDING,
        )
        if not connection.execute(update(deliveries).where(held).values(**values)).rowcount:
            continue
        written.append(settlement)
        this_attempt = and_(attempts.c.delivery_id == claim.delivery_id, attempts.c.attempt == claim.attempt)
        connection.execute(
            update(attempts).where(this_attempt).values(ended_at=now, outcome=settlement.outcome, reason=reason)
        )
        if after.retire:
            _retire(connection, claim.subscription_id, reason, now)
    return written


def _kept(words: str | None) -> str | None:
    """A provider's words as they can be kept: what the store refused would be attempted again and again."""
    if words is None:
        return None
    return str(words).replace("\0", " ").encode("utf-8", "replace").decode()[:_WORDS_MAX]


def lapse(connection: Connection, worker_ids: Collection[str], now: datetime) -> int:
    """Give back what dead workers held: due again at once. Returns how many."""
    query = update(deliveries).where(deliveries.c.state == State.SENDING, deliveries.c.worker_id.in_(worker_ids))
    lapsed = query.values(state=State.PENDING, worker_id=None, due_at=now, reason="the worker died while sending")
    return connection.execute(lapsed).rowcount


def lapse_orphans(connection: Connection, now: datetime) -> int:
    """Give back what workers hold that are not even listed any more."""
    listed = select(workers.c.id)
    query = update(deliveries).where(
        deliveries.c.state == State.SENDING,
        or_(deliveries.c.worker_id.is_(None), deliveries.c.worker_id.not_in(listed)),
    )
    lapsed = query.values(state=State.PENDING, worker_id=None, due_at=now, reason="the worker died while sending")
    return connection.execute(lapsed).rowcount


def readdress(
    connection: Connection, from_subscriptions: Collection[str], to_subscription: str | None, now: datetime
) -> None:
    """Let what nobody has sent yet go to another subscription of the same person; without one, cancel it."""
    if not from_subscriptions:
        return
    unsent = deliveries.c.state.in_((State.PENDING, State.HELD)) & deliveries.c.subscription_id.in_(from_subscriptions)
    query = update(deliveries).where(unsent)
    if to_subscription is None:
        connection.execute(query.values(state=State.CANCELLED, reason="the address was taken away"))
        return
    rows = connection.execute(select(deliveries).where(unsent).order_by(deliveries.c.id)).all()
    for row in rows:
        taken = select(deliveries.c.id).where(
            deliveries.c.alert_id == row.alert_id,
            deliveries.c.revision == row.revision,
            deliveries.c.step == row.step,
            deliveries.c.repeat == row.repeat,
            deliveries.c.subscription_id == to_subscription,
        )
        this = update(deliveries).where(deliveries.c.id == row.id)
        if connection.execute(taken).first() is not None:
            connection.execute(this.values(state=State.CANCELLED, reason="the address was taken away"))
        else:
            lane = select(subscriptions.c.lane).where(subscriptions.c.id == to_subscription).scalar_subquery()
            connection.execute(this.values(subscription_id=to_subscription, lane=lane, state=State.PENDING, due_at=now))


def release(connection: Connection, channels: Collection[str], now: datetime) -> int:
    """Try again what our own fault had held. Returns how many."""
    query = update(deliveries).where(deliveries.c.state == State.HELD, deliveries.c.channel.in_(channels))
    return connection.execute(query.values(state=State.PENDING, due_at=now)).rowcount


def due_channels(connection: Connection, now: datetime) -> list[str]:
    """The channels that have deliveries due."""
    query = select(deliveries.c.channel).where(deliveries.c.state == State.PENDING, deliveries.c.due_at <= now)
    return list(connection.execute(query.distinct()).scalars())


def keep_receipt(connection: Connection, channel: str, receipt: Receipt, now: datetime) -> None:
    """Keep a provider's late news. It may be here before the attempt it speaks of is settled: see `apply_receipts`."""
    values = {"channel": channel, "provider_id": _kept(receipt.provider_id), "delivered": receipt.delivered}
    connection.execute(
        insert(receipts).values(**values, reason=_kept(receipt.reason), retire=receipt.retire, received_at=now)
    )


def apply_receipts(connection: Connection, now: datetime) -> set[str]:
    """Let kept receipts move the deliveries they speak of; the ids of the alerts that changed."""
    query = (
        select(receipts, deliveries.c.id.label("delivery_id"), deliveries.c.state, deliveries.c.alert_id)
        .add_columns(deliveries.c.subscription_id)
        .join(
            deliveries,
            (deliveries.c.channel == receipts.c.channel) & (deliveries.c.provider_id == receipts.c.provider_id),
        )
        .where(receipts.c.applied_at.is_(None))
        .order_by(deliveries.c.id, receipts.c.id)  # locks in the order in which settling takes them
        .with_for_update(of=deliveries)
        .limit(500)
    )
    changed = set()
    for row in connection.execute(query).all():
        receipt = Receipt(row.provider_id, row.delivered, row.reason, row.retire)
        moved = _move(connection, row.delivery_id, receipt, row.received_at)
        if moved:
            changed.add(str(row.alert_id))
        if moved and receipt.retire:
            _retire(connection, row.subscription_id, receipt.reason, now)
        connection.execute(update(receipts).where(receipts.c.id == row.id).values(applied_at=now))
    return changed


def _move(connection: Connection, delivery_id: int, receipt: Receipt, received_at: datetime) -> bool:
    before = State(connection.execute(select(deliveries.c.state).where(deliveries.c.id == delivery_id)).scalar_one())
    after = after_receipt(before, receipt)
    if after is before:
        return False
    news = {"delivered_at": received_at} if after is State.DELIVERED else {"reason": receipt.reason}
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(state=after, **news))
    return True


def _retire(connection: Connection, subscription_id: str, reason: str | None, now: datetime) -> None:
    still_used = (subscriptions.c.id == subscription_id) & subscriptions.c.retired_at.is_(None)
    connection.execute(update(subscriptions).where(still_used).values(retired_at=now, retired_reason=reason))


def of_people(connection: Connection, alert_id: str, person_ids: Collection[str]) -> list[Row]:
    """The deliveries of an alert to these people, with `person_id`."""
    found: list[Row] = []
    for some in in_slices(list(person_ids)):
        query = (
            select(deliveries, recipients.c.person_id)
            .join(recipients, recipients.c.id == deliveries.c.recipient_id)
            .where(deliveries.c.alert_id == alert_id, recipients.c.person_id.in_(some))
            .order_by(deliveries.c.id)
        )
        found += [row._asdict() for row in connection.execute(query)]
    return found
