"""Tokens, sessions, one-time links and sign-in codes. Only their hashes are kept."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, insert, or_, select, update

from alertd.store.rows import among, in_slices
from alertd.store.schema import credentials, people

Kind = Literal["token", "session", "link", "code"]


def add(connection: Connection, **values: Any) -> None:
    connection.execute(insert(credentials).values(**values))


class Found(NamedTuple):
    """A credential that is good, of a person who is."""

    kind: Kind
    hash: str
    id: str
    person_id: str
    role: str
    name: str
    language: str
    person_role: str


def find(connection: Connection, kind: Kind, digest: str, now: datetime) -> Found | None:
    """The credential of that hash, if it and its person are still good."""
    return find_many(connection, [(kind, digest)], now).get((kind, digest))


def find_many(
    connection: Connection, asked: Collection[tuple[Kind, str]], now: datetime
) -> dict[tuple[Kind, str], Found]:
    """Of the credentials of these kinds and hashes those that are still good, as their people are."""
    found: dict[tuple[Kind, str], Found] = {}
    for some in in_slices([digest for _, digest in asked]):
        query = (
            select(
                *(credentials.c[name] for name in ("kind", "hash", "id", "person_id", "role")),
                *(people.c[name] for name in ("name", "language", "role")),
            )
            .join(people, people.c.id == credentials.c.person_id)
            .where(
                among(connection, credentials.c.hash, some),
                credentials.c.revoked_at.is_(None),
                credentials.c.used_at.is_(None),
                or_(credentials.c.expires_at.is_(None), credentials.c.expires_at > now),
                people.c.active,
            )
        )
        found.update({(row[0], row[1]): Found._make(row) for row in connection.execute(query)})
    return found


def use_once(connection: Connection, credential_id: str, now: datetime) -> bool:
    """Spend a one-time credential; False when somebody was faster."""
    query = update(credentials).where(credentials.c.id == credential_id, credentials.c.used_at.is_(None))
    return connection.execute(query.values(used_at=now)).rowcount == 1


def is_used(connection: Connection, credential_id: str) -> bool:
    """Whether a one-time credential was spent."""
    used = select(credentials.c.used_at).where(credentials.c.id == credential_id)
    return connection.execute(used).scalar_one_or_none() is not None


def ends_at(connection: Connection, credential_id: str) -> datetime | None:
    """When a credential ends by itself, if ever."""
    return connection.execute(
        select(credentials.c.expires_at).where(credentials.c.id == credential_id)
    ).scalar_one_or_none()


def prolong(connection: Connection, credential_id: str, until: datetime) -> bool:
    """Let a credential that was not revoked end then; False when it was."""
    query = update(credentials).where(credentials.c.id == credential_id, credentials.c.revoked_at.is_(None))
    return connection.execute(query.values(expires_at=until)).rowcount == 1


class OpenLink(NamedTuple):
    """A one-time link that nobody has used yet."""

    id: str
    person_id: str
    name: str
    role: str
    created_at: datetime
    expires_at: datetime


def open_links(connection: Connection, now: datetime, person_id: str | None, limit: int) -> list[OpenLink]:
    """The links that could still be used, the newest first: a person's, or everybody's."""
    columns = (*(credentials.c[name] for name in ("id", "person_id")), people.c.name, people.c.role)
    query = (
        select(*columns, credentials.c.created_at, credentials.c.expires_at)
        .join(people, people.c.id == credentials.c.person_id)
        .where(
            credentials.c.kind == "link",
            credentials.c.revoked_at.is_(None),
            credentials.c.used_at.is_(None),
            credentials.c.expires_at > now,
            people.c.active,
        )
        .order_by(credentials.c.created_at.desc(), credentials.c.id.desc())
        .limit(limit)
    )
    if person_id is not None:
        query = query.where(credentials.c.person_id == person_id)
    return [OpenLink._make(row) for row in connection.execute(query)]


def list_tokens(connection: Connection, after: str | None, limit: int) -> list[dict[str, Any]]:
    """The tokens that were not ended, the newest first, those made before `after`: `id`, `person_id`, `name`, `role`,
    `active` (of the person) and `created_at`.
    """
    columns = (*(credentials.c[name] for name in ("id", "person_id", "role", "created_at")), people.c.name)
    query = (
        select(*columns, people.c.active)
        .join(people, people.c.id == credentials.c.person_id)
        .where(credentials.c.kind == "token", credentials.c.revoked_at.is_(None))
        .order_by(credentials.c.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(credentials.c.id < after)
    return [dict(row) for row in connection.execute(query).mappings()]


def revoke(connection: Connection, kind: Kind, credential_id: str, now: datetime) -> bool:
    """End a credential; False when there is none of that id, or it was ended before."""
    query = update(credentials).where(
        credentials.c.id == credential_id, credentials.c.kind == kind, credentials.c.revoked_at.is_(None)
    )
    return connection.execute(query.values(revoked_at=now)).rowcount == 1


def end_role(connection: Connection, person_id: str, now: datetime) -> None:
    """End what was given out under the role that a person had: streams that are open hear what it may, and whoever
    printed an invitation for somebody below them could sign in as somebody above them.
    """
    revoke_all(connection, person_id, now, "session", "link")


def revoke_all(connection: Connection, person_id: str, now: datetime, *kinds: Kind, but: str = "") -> None:
    """End all of a person's credentials of these kinds, except the one of id `but`."""
    theirs = (credentials.c.person_id == person_id) & credentials.c.kind.in_(kinds) & (credentials.c.id != but)
    connection.execute(update(credentials).where(theirs, credentials.c.revoked_at.is_(None)).values(revoked_at=now))


def ended(connection: Connection, credential_ids: Collection[str], now: datetime) -> set[str]:
    """Those of the credentials that are no longer good."""
    found: set[str] = set()
    for some in in_slices(list(credential_ids)):
        query = (
            select(credentials.c.id)
            .join(people, people.c.id == credentials.c.person_id)
            .where(
                credentials.c.id.in_(some),
                or_(credentials.c.revoked_at.is_not(None), credentials.c.expires_at <= now, people.c.active.is_(False)),
            )
        )
        found.update(connection.execute(query).scalars())
    return found
