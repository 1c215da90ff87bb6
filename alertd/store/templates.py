"""Templates that somebody wrote, or changed: the others come with the software."""

from datetime import datetime

from sqlalchemy import Connection, delete, select

from alertd.store.rows import Row, put_row
from alertd.store.schema import templates


def every(connection: Connection) -> list[Row]:
    """Every template that is kept, by id."""
    return [row._asdict() for row in connection.execute(select(templates).order_by(templates.c.id))]


def get(connection: Connection, template_id: str) -> Row | None:
    row = connection.execute(select(templates).where(templates.c.id == template_id)).first()
    return row._asdict() if row else None


def put(connection: Connection, template_id: str, values: Row, by: str, now: datetime) -> bool:
    """Make or change a template; True when it was made."""
    changed = {**values, "updated_by": by, "updated_at": now}
    return put_row(connection, templates, template_id, changed, {"created_at": now})


def remove(connection: Connection, template_id: str) -> bool:
    """Forget a template; False when none of that id is kept."""
    return connection.execute(delete(templates).where(templates.c.id == template_id)).rowcount == 1
