"""Boards and posts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, insert, or_, select, update

from alertd.store.rows import Row, insert_new, put_row
from alertd.store.schema import alerts, boards, idempotency, people, post_groups, post_people, posts, recipients


def list_boards(connection: Connection) -> list[Row]:
    return [row._asdict() for row in connection.execute(select(boards).order_by(boards.c.id))]


def put_board(connection: Connection, board_id: str, name: str, now: datetime) -> bool:
    """Make or rename a board; True when it was made."""
    return put_row(connection, boards, board_id, {"name": name}, {"created_at": now})


def has_board(connection: Connection, board_id: str) -> bool:
    return connection.execute(select(boards.c.id).where(boards.c.id == board_id)).first() is not None


def add(connection: Connection, values: Mapping[str, Any], groups: Collection[str], persons: Collection[str]) -> None:
    """A post and whom it is for."""
    connection.execute(insert(posts).values(**values))
    if groups:
        connection.execute(insert(post_groups), [{"post_id": values["id"], "group_id": group} for group in groups])
    if persons:
        connection.execute(insert(post_people), [{"post_id": values["id"], "person_id": person} for person in persons])


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who may read what is for them."""

    person_id: str
    groups: Collection[str]  # theirs, with those above
    coming: Collection[str]  # the alerts for them that are being laid down


def page(connection: Connection, *, before: str | None, limit: int, reader: Reader | None) -> list[Row]:
    """Posts with their alert's id, newest first, older than `before`; only what `reader` may read, None for all."""
    query = _visible(reader).order_by(posts.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(posts.c.id < before)
    return [row._asdict() for row in connection.execute(query)]


def get(connection: Connection, post_id: str, *, reader: Reader | None) -> Row | None:
    row = connection.execute(_visible(reader).where(posts.c.id == post_id)).first()
    return row._asdict() if row else None


def _visible(reader: Reader | None) -> Any:
    query = (
        select(posts, alerts.c.id.label("alert_id"), alerts.c.drill, people.c.name.label("author_name"))
        .join(people, people.c.id == posts.c.author_id)
        .outerjoin(alerts, alerts.c.post_id == posts.c.id)
    )
    if reader is None:
        return query
    mine = (post_people.c.post_id == posts.c.id) & (post_people.c.person_id == reader.person_id)
    ours = (post_groups.c.post_id == posts.c.id) & post_groups.c.group_id.in_(list(reader.groups))
    told = (recipients.c.alert_id == alerts.c.id) & (recipients.c.person_id == reader.person_id)
    # An alert went to the people there were when it was sent; later members of a group did not get it.
    addressed = alerts.c.id.is_(None) & or_(posts.c.everyone, exists().where(mine), exists().where(ours))
    is_told = or_(exists().where(told), alerts.c.id.in_(list(reader.coming)))
    return query.where(or_(posts.c.author_id == reader.person_id, addressed, is_told))


def claim_key(connection: Connection, person_id: str, key: str, request_hash: str, now: datetime) -> Row | None:
    """Take an Idempotency-Key for this transaction; the row of an earlier request with it, or None when it is new."""
    row = {"person_id": person_id, "key": key, "request_hash": request_hash, "created_at": now}
    if insert_new(connection, idempotency, row):
        return None
    query = select(idempotency).where(idempotency.c.person_id == person_id, idempotency.c.key == key)
    return connection.execute(query).one()._asdict()


def known_keys(connection: Connection, person_id: str, keys: Collection[str]) -> set[str]:
    """Those of somebody's Idempotency-Keys under which something was posted."""
    query = select(idempotency.c.key).where(idempotency.c.person_id == person_id, idempotency.c.key.in_(list(keys)))
    return set(connection.execute(query).scalars())


def keep_response(connection: Connection, person_id: str, key: str, response: Mapping[str, Any]) -> None:
    query = update(idempotency).where(idempotency.c.person_id == person_id, idempotency.c.key == key)
    connection.execute(query.values(response=dict(response)))
