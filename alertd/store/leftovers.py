"""What is kept for a month and then asked for by nobody: receipts, replies, keys, what was fetched and told."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, select, tuple_

from alertd.store.schema import fetched, idempotency, receipts, replies, webhook_messages

KEPT: Final = timedelta(days=30)
BATCH: Final = 5_000  # rows of each kind: so many are deleted within moments


def clear(connection: Connection, now: datetime, batch: int = BATCH) -> bool:
    """Delete the oldest of what is over; whether there may be more of it."""
    before = now - KEPT
    # Receipts are numbered as they came: whatever is old stands at the front.
    front = select(receipts.c.id, receipts.c.received_at).order_by(receipts.c.id).limit(batch).subquery()
    old = delete(receipts).where(receipts.c.id.in_(select(front.c.id).where(front.c.received_at < before)))
    deleted = [connection.execute(old).rowcount]
    for table, at in (
        (idempotency, idempotency.c.created_at),
        (replies, replies.c.received_at),
        (fetched, fetched.c.fetched_at),
        (webhook_messages, webhook_messages.c.created_at),
    ):
        key = list(table.primary_key.columns)
        some = select(*key).where(at < before).limit(batch)
        deleted.append(connection.execute(delete(table).where(tuple_(*key).in_(some))).rowcount)
    return max(deleted) == batch
