"""What becomes of deliveries that nobody is sending: given back, readdressed, released, put off, superseded."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Update, and_, or_, select, true, update

from alertd.core.delivery import RANK_ACKNOWLEDGED, RANKS_OF_A_KIND, State
from alertd.store import following
from alertd.store.rows import Row, among, in_slices
from alertd.store.schema import alerts, deliveries, subscriptions, workers

ADDRESS_GONE: Final = "the address was taken away"
_COMES_BACK_WITHIN: Final = timedelta(hours=1)  # after an alert was called off: no attempt lasts so long


def lapse(connection: Connection, worker_ids: Collection[str], now: datetime) -> int:
    """Give back what dead workers held: due again at once. Returns how many."""
    held = (deliveries.c.state == State.SENDING) & deliveries.c.worker_id.in_(worker_ids)
    lapsed = changing(held).values(
        state=State.PENDING, worker_id=None, due_at=now, reason="the worker died while sending"
    )
    return connection.execute(lapsed).rowcount


def _given_back(now: datetime) -> Row:
    return {"state": State.PENDING, "worker_id": None, "due_at": now, "reason": "the worker died while sending"}


def lapse_orphans(connection: Connection, now: datetime) -> int:
    """Give back what workers hold that are not even listed any more."""
    listed = select(workers.c.id)
    whose = or_(deliveries.c.worker_id.is_(None), deliveries.c.worker_id.not_in(listed))
    held = (deliveries.c.state == State.SENDING) & whose
    return connection.execute(changing(held).values(**_given_back(now))).rowcount


def readdress(
    connection: Connection, from_subscriptions: Collection[str], to_subscription: str | None, now: datetime
) -> None:
    """Let what nobody has sent yet go to another subscription of the same person; without one, cancel it."""
    if not from_subscriptions:
        return
    unsent = deliveries.c.state.in_((State.PENDING, State.HELD)) & deliveries.c.subscription_id.in_(from_subscriptions)
    if to_subscription is None:
        connection.execute(changing(unsent).values(state=State.CANCELLED, reason=ADDRESS_GONE))
        return
    rows = connection.execute(select(deliveries).where(unsent).order_by(deliveries.c.id).with_for_update()).all()
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
            connection.execute(this.values(state=State.CANCELLED, reason=ADDRESS_GONE))
        else:
            lane = select(subscriptions.c.lane).where(subscriptions.c.id == to_subscription).scalar_subquery()
            due_at = row.due_at if row.state == State.PENDING else now  # somebody's quiet hours stay theirs
            connection.execute(
                this.values(subscription_id=to_subscription, lane=lane, state=State.PENDING, due_at=due_at)
            )


def retire(connection: Connection, reasons: Mapping[str, str | None], now: datetime) -> None:
    """Use these subscriptions' addresses no more, each for its reason, whatever still waits for them."""
    for subscription_id, reason in sorted(reasons.items()):
        still_used = (subscriptions.c.id == subscription_id) & subscriptions.c.retired_at.is_(None)
        connection.execute(update(subscriptions).where(still_used).values(retired_at=now, retired_reason=reason))
    readdress(connection, reasons.keys(), None, now)


def lock_unsent(connection: Connection, person_ids: Sequence[str]) -> None:
    """Hold what has not gone out to these people yet until this transaction ends.

    Whoever takes the installation's row and deliveries takes the deliveries first: otherwise two such would wait for
    each other.
    """
    for some in in_slices(person_ids):
        theirs = select(subscriptions.c.id).where(subscriptions.c.person_id.in_(some))
        unsent = deliveries.c.state.in_((State.PENDING, State.HELD)) & deliveries.c.subscription_id.in_(theirs)
        connection.execute(_in_order(select(deliveries.c.id).where(unsent)))


def release(connection: Connection, channels: Collection[str], now: datetime) -> int:
    """Try again what our own fault had held. Returns how many."""
    held = (deliveries.c.state == State.HELD) & deliveries.c.channel.in_(channels)
    return connection.execute(changing(held).values(state=State.PENDING, due_at=now)).rowcount


def demote(connection: Connection, recipient_ids: Collection[int]) -> None:
    """Let those who have not acknowledged go before these recipients, who have."""
    within = deliveries.c.rank % RANKS_OF_A_KIND
    for some in in_slices(list(recipient_ids)):
        # Whatever somebody else holds is on its way already, and nothing to wait for.
        waiting = select(deliveries.c.id).where(
            among(connection, deliveries.c.recipient_id, some),
            deliveries.c.state == State.PENDING,
            within < RANK_ACKNOWLEDGED,
        )
        ids = list(connection.execute(waiting.with_for_update(skip_locked=True)).scalars())
        behind = update(deliveries).where(deliveries.c.id.in_(ids))
        if ids:
            connection.execute(behind.values(rank=deliveries.c.rank - within + RANK_ACKNOWLEDGED))


def supersede(connection: Connection, alert_id: str, revision: int, numbers: Sequence[int]) -> set[str]:
    """Cancel what of an alert's versions before `revision` has not gone out yet to these recipients; the subscriptions
    it was for.
    """
    found: set[str] = set()
    for some in in_slices(numbers):
        found |= _supersede(connection, alert_id, revision, among(connection, deliveries.c.recipient_id, some))
    return found


def _supersede(connection: Connection, alert_id: str, revision: int, which: ColumnElement[bool]) -> set[str]:
    unsent = and_(
        deliveries.c.alert_id == alert_id,
        deliveries.c.revision < revision,
        deliveries.c.state.in_((State.PENDING, State.HELD)),
        which,
    )
    cancelled = (
        changing(unsent)
        .values(state=State.CANCELLED, reason=f"superseded by revision {revision}")
        .returning(deliveries.c.subscription_id)
    )
    return set(connection.execute(cancelled).scalars())


def supersede_left(connection: Connection, now: datetime) -> int:
    """Cancel what came back after its attempt but is not the current version any more. Returns how many."""
    revised = select(alerts.c.id, alerts.c.revision).where(
        alerts.c.revision > 1,
        alerts.c.id.not_in(following.under_way()),  # what goes to them there is still to be seen from what waits
        alerts.c.expires_at > now,
        or_(alerts.c.state == "active", alerts.c.closed_at > now - _COMES_BACK_WITHIN),
    )
    rows = connection.execute(revised).all()
    return sum(len(_supersede(connection, row.id, row.revision, true())) for row in rows)


def replace_held(connection: Connection, alert_id: str, subscription_ids: Collection[str]) -> None:
    """Cancel what is held of an alert to these subscriptions: a later step tries them again."""
    for some in in_slices(list(subscription_ids)):
        held = and_(
            deliveries.c.alert_id == alert_id,
            deliveries.c.state == State.HELD,
            deliveries.c.subscription_id.in_(some),
        )
        connection.execute(changing(held).values(state=State.CANCELLED, reason="a later step takes its place"))


def changing(which: ColumnElement[bool]) -> Update:
    """The update of these deliveries, its values still to be given. Whoever changes many does it by this: in any other
    order two who want the same rows would each hold what the other waits for.
    """
    return update(deliveries).where(deliveries.c.id.in_(_in_order(select(deliveries.c.id).where(which))))


def _in_order(ids: Select[Any]) -> Select[Any]:
    """Locks them in the order in which settling does."""
    return ids.order_by(deliveries.c.id).with_for_update()
