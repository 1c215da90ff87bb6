"""What is one for the whole installation: its name and epoch, its keys, its roles' heartbeats, its audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from alertd.core.stream import Position
from alertd.store.rows import insert_new
from alertd.store.schema import audit, boards, circuits, instance, keys, workers


@dataclass(frozen=True, slots=True)
class Instance:
    name: str
    epoch: str


@dataclass(frozen=True, slots=True)
class Key:
    """A key kept in the store; the newest that is not retired is the one in use."""

    id: str
    value: str
    retired: bool


def ensure(connection: Connection, *, name: str, epoch: str, now: datetime) -> Instance:
    """The installation's row, made with these values if there is none; the board `general` likewise."""
    first = {"id": 1, "name": name, "epoch": epoch, "event_offset": 0, "people_version": 0, "created_at": now}
    insert_new(connection, instance, first)
    insert_new(connection, boards, {"id": "general", "name": "全般 / General", "created_at": now})
    row = connection.execute(select(instance.c.name, instance.c.epoch)).one()
    return Instance(row.name, row.epoch)


def lock(connection: Connection) -> None:
    """Hold everybody else off who asks for the same until this transaction ends."""
    connection.execute(select(instance.c.id).with_for_update())


def probe(connection: Connection, host: str, now: datetime) -> None:
    """Write something, for whoever wants to know whether one can."""
    ours = (keys.c.purpose == "probe") & (keys.c.id == host[:64])
    if not connection.execute(update(keys).where(ours).values(created_at=now)).rowcount:
        add_key(connection, "probe", host[:64], "", now)


def change_epoch(connection: Connection, epoch: str) -> None:
    """Make every stream position known so far unknown: after a restored backup."""
    connection.execute(update(instance).values(epoch=epoch))


def public_url(connection: Connection) -> str | None:
    """Where people reach the web, as whoever serves it has said last."""
    found: str | None = connection.execute(select(instance.c.public_url)).scalar_one()
    return found


def set_public_url(connection: Connection, url: str) -> None:
    connection.execute(update(instance).values(public_url=url))


def head(connection: Connection) -> Position:
    """Where the event log stands."""
    row = connection.execute(select(instance.c.epoch, instance.c.event_offset)).one()
    return Position(row.epoch, row.event_offset)


def add_key(connection: Connection, purpose: str, key_id: str, value: str, now: datetime) -> None:
    """Keep a key unless one of that id is kept already."""
    insert_new(connection, keys, {"id": key_id, "purpose": purpose, "value": value, "created_at": now})


def use_key(connection: Connection, purpose: str, key_id: str, now: datetime) -> None:
    """Make `key_id` the one in use: all others of that purpose are retired, itself it is not."""
    ours = keys.c.purpose == purpose
    connection.execute(
        update(keys).where(ours, keys.c.id != key_id, keys.c.retired_at.is_(None)).values(retired_at=now)
    )
    connection.execute(update(keys).where(ours, keys.c.id == key_id).values(retired_at=None))


def list_keys(connection: Connection, purpose: str) -> list[Key]:
    """Every key of that purpose, the one in use first."""
    query = select(keys).where(keys.c.purpose == purpose).order_by(keys.c.retired_at.is_not(None), keys.c.created_at)
    return [Key(row.id, row.value, row.retired_at is not None) for row in connection.execute(query)]


def start_worker(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(workers).values(beat=0, **values))


def beat(connection: Connection, worker_id: str, now: datetime) -> bool:
    """Count a worker's heartbeat up; False when its row is gone (somebody took it for dead)."""
    counted = update(workers).where(workers.c.id == worker_id).values(beat=workers.c.beat + 1, seen_at=now)
    return connection.execute(counted).rowcount == 1


def end_worker(connection: Connection, worker_id: str) -> None:
    connection.execute(delete(circuits).where(circuits.c.worker_id == worker_id))
    connection.execute(delete(workers).where(workers.c.id == worker_id))


def list_workers(connection: Connection) -> list[Mapping[str, Any]]:
    return [row._asdict() for row in connection.execute(select(workers).order_by(workers.c.id))]


def record(
    connection: Connection, *, at: datetime, actor: str, action: str, object: str, details: Mapping[str, Any]
) -> None:
    """Append to the audit trail: who did what to what. Rows are never changed."""
    connection.execute(insert(audit).values(at=at, actor=actor, action=action, object=object, details=dict(details)))
