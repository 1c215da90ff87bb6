"""Lists of people that were handed in: drafts, and what was there before those that were taken in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from alertd.store.rows import Row
from alertd.store.schema import import_rows, imports


def add(connection: Connection, **values: Any) -> None:
    connection.execute(insert(imports).values(**values))


def get(connection: Connection, import_id: str) -> Row | None:
    row = connection.execute(select(imports).where(imports.c.id == import_id)).first()
    return row._asdict() if row else None


def newest(connection: Connection, limit: int) -> list[Row]:
    """The last ones that were taken in, newest first, without what they changed."""
    columns = [imports.c[name] for name in ("id", "actor_id", "file", "counts", "applied_at", "undone_at")]
    query = select(*columns).where(imports.c.applied_at.is_not(None)).order_by(imports.c.applied_at.desc())
    return [row._asdict() for row in connection.execute(query.limit(limit))]


def drop_drafts(connection: Connection, before: datetime) -> None:
    """Forget what was handed in before then and never taken in."""
    connection.execute(delete(imports).where(imports.c.applied_at.is_(None), imports.c.created_at < before))


def preview(connection: Connection, import_id: str, values: Mapping[str, Any]) -> None:
    """Let a draft say something else; what somebody has taken in meanwhile stays as it was taken in."""
    draft = (imports.c.id == import_id) & imports.c.applied_at.is_(None)
    connection.execute(update(imports).where(draft).values(**values))


def apply(connection: Connection, import_id: str, counts: Mapping[str, int], now: datetime) -> bool:
    """Let a draft be taken in; False when it was already. Its text is no longer needed."""
    query = update(imports).where(imports.c.id == import_id, imports.c.applied_at.is_(None))
    return connection.execute(query.values(applied_at=now, counts=counts, text=None, preview=None)).rowcount == 1


def undo(connection: Connection, import_id: str, kept: Sequence[Mapping[str, str]], now: datetime) -> bool:
    """Let one that was taken in be undone, but for those who are `kept` as they are; False when it was already."""
    query = update(imports).where(
        imports.c.id == import_id, imports.c.applied_at.is_not(None), imports.c.undone_at.is_(None)
    )
    return connection.execute(query.values(undone_at=now, kept=list(kept))).rowcount == 1


def add_rows(connection: Connection, import_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep of whom an import changed (`person_id`) what was there `before` (None: nobody) and `after`."""
    if rows:
        connection.execute(insert(import_rows), [{**row, "import_id": import_id} for row in rows])


def rows_of(connection: Connection, import_id: str) -> list[Row]:
    """Whom an import has changed, by id."""
    query = select(import_rows).where(import_rows.c.import_id == import_id).order_by(import_rows.c.person_id)
    return [row._asdict() for row in connection.execute(query)]
