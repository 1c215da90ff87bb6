"""What providers report later of what they took over. It may come early, twice, and out of order."""

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from alertd.core.delivery import Receipt, State, after_receipt
from alertd.store.deliveries import kept
from alertd.store.schema import deliveries, receipts
from alertd.store.unsent import retire


def keep(connection: Connection, channel: str, receipt: Receipt, now: datetime) -> None:
    """Keep a provider's late news. It may be here before the attempt it speaks of is settled: see `apply`.

    That something is on its way says nothing, and is not kept.
    """
    if receipt.delivered is None:
        return
    values = {"channel": channel, "provider_id": kept(receipt.provider_id), "delivered": receipt.delivered}
    connection.execute(
        insert(receipts).values(**values, reason=kept(receipt.reason), retire=receipt.retire, received_at=now)
    )


def is_known(connection: Connection, channel: str, provider_id: str) -> bool:
    """Whether there is a delivery that receipts of that name speak of."""
    query = select(deliveries.c.id).where(
        deliveries.c.provider_id == kept(provider_id), deliveries.c.channel == channel
    )
    return connection.execute(query.limit(1)).first() is not None


def apply(connection: Connection, now: datetime) -> set[str]:
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
    changed: set[str] = set()
    gone: dict[str, str | None] = {}
    for row in connection.execute(query).all():
        receipt = Receipt(row.provider_id, row.delivered, row.reason, row.retire)
        moved = _move(connection, row.delivery_id, receipt, row.received_at)
        if moved:
            changed.add(str(row.alert_id))
        if moved and receipt.retire:
            gone[row.subscription_id] = receipt.reason
        connection.execute(update(receipts).where(receipts.c.id == row.id).values(applied_at=now))
    retire(connection, gone, now)
    return changed


def _move(connection: Connection, delivery_id: int, receipt: Receipt, received_at: datetime) -> bool:
    before = State(connection.execute(select(deliveries.c.state).where(deliveries.c.id == delivery_id)).scalar_one())
    after = after_receipt(before, receipt)
    if after is before:
        return False
    news = {"delivered_at": received_at} if after is State.DELIVERED else {"reason": receipt.reason}
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(state=after, **news))
    return True
