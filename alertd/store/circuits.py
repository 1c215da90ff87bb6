"""The circuits that keep workers' attempts back, as the workers last told of them."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from alertd.store.rows import Row
from alertd.store.schema import circuits


def replace(connection: Connection, worker_id: str, rows: Sequence[Row]) -> None:
    """Let these be the circuits of that worker that are not closed: every column but `worker_id`."""
    connection.execute(delete(circuits).where(circuits.c.worker_id == worker_id))
    if rows:
        connection.execute(insert(circuits), [{**row, "worker_id": worker_id} for row in rows])


def not_closed(connection: Connection) -> list[Row]:
    """Every worker's, in order."""
    query = select(circuits).order_by(circuits.c.channel, circuits.c.provider, circuits.c.lane, circuits.c.worker_id)
    return [row._asdict() for row in connection.execute(query)]
