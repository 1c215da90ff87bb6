"""How an audience can be reached, in numbers: counted by the store, however many people it has."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, distinct, exists, func, select

from alertd.core.audience import Audience
from alertd.store.people import is_meant
from alertd.store.rows import Row, listed
from alertd.store.schema import group_members, group_supervisors, groups, people, subscriptions


@dataclass(frozen=True, slots=True)
class Ways:
    """How many subscriptions to a channel the readers of a language have, and how many people those are."""

    channel: str
    language: str
    subscriptions: int
    people: int


@dataclass(frozen=True, slots=True)
class Some:
    """So many people, and the first of them (`id`, `name`) by id."""

    count: int
    first: list[Row]

    def and_also(self, others: Iterable[Row], most: int) -> "Some":
        """With `others`, none of whom is among them."""
        added = list(others)
        return Some(self.count + len(added), sorted([*self.first, *added], key=lambda row: str(row["id"]))[:most])


def _usable() -> list[ColumnElement[bool]]:
    return [subscriptions.c.retired_at.is_(None), subscriptions.c.verified_at.is_not(None)]


def languages(connection: Connection, audience: Audience) -> dict[str, int]:
    """How many active people of an audience read each language."""
    query = select(people.c.language, func.count()).where(*is_meant(connection, audience)).group_by(people.c.language)
    return {row[0]: row[1] for row in connection.execute(query)}


def ways(connection: Connection, audience: Audience, channels: Collection[str]) -> list[Ways]:
    """The usable subscriptions of an audience to these channels."""
    counted = (func.count(), func.count(distinct(subscriptions.c.person_id)))
    query = (
        select(subscriptions.c.channel, people.c.language, *counted)
        .join(people, people.c.id == subscriptions.c.person_id)
        .where(*is_meant(connection, audience), *_usable(), subscriptions.c.channel.in_(list(channels)))
        .group_by(subscriptions.c.channel, people.c.language)
    )
    return [Ways(*row) for row in connection.execute(query)]


def reachable(connection: Connection, audience: Audience, channels: Collection[str]) -> int:
    """How many people of an audience have a usable subscription to any of these channels."""
    query = select(func.count()).where(*is_meant(connection, audience), _has_way(channels))
    return int(connection.execute(query).scalar_one())


def unreachable(connection: Connection, audience: Audience, channels: Collection[str], most: int) -> Some:
    """The people of an audience who have no usable subscription to any of these channels, `most` of them by name."""
    return _some(connection, [*is_meant(connection, audience), ~_has_way(channels)], most)


def _has_way(channels: Collection[str]) -> ColumnElement[bool]:
    theirs = subscriptions.c.person_id == people.c.id
    return exists().where(theirs, *_usable(), subscriptions.c.channel.in_(list(channels)))


def _some(connection: Connection, conditions: list[ColumnElement[bool]], most: int) -> Some:
    count = int(connection.execute(select(func.count()).select_from(people).where(*conditions)).scalar_one())
    query = select(people.c.id, people.c.name).where(*conditions).order_by(people.c.id).limit(most)
    return Some(count, [row._asdict() for row in connection.execute(query)] if count else [])


def group_sizes(connection: Connection) -> dict[str, int]:
    """How many active people are in each group or below it, each counted once; groups without any are left out."""
    below = select(groups.c.id.label("top"), groups.c.id).cte("below", recursive=True)
    below = below.union_all(select(below.c.top, groups.c.id).join(below, groups.c.parent_id == below.c.id))
    query = (
        select(below.c.top, func.count(distinct(people.c.id)))
        .join(group_members, group_members.c.group_id == below.c.id)
        .join(people, people.c.id == group_members.c.person_id)
        .where(people.c.active)
        .group_by(below.c.top)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def supervising(connection: Connection, audience: Audience) -> list[Row]:
    """Those of an audience (`id`, `name`) who are the supervisors of any group."""
    query = select(people.c.id, people.c.name).where(*is_meant(connection, audience), _supervises())
    return [row._asdict() for row in connection.execute(query.order_by(people.c.id))]


def groups_of_others(connection: Connection, audience: Audience) -> set[str]:
    """The groups that people of an audience are directly in who supervise none."""
    query = (
        select(group_members.c.group_id)
        .distinct()
        .join(people, people.c.id == group_members.c.person_id)
        .where(*is_meant(connection, audience), ~_supervises())
    )
    return set(connection.execute(query).scalars())


def others_outside(connection: Connection, audience: Audience, groups: Collection[str], most: int) -> Some:
    """The people of an audience who supervise no group and are directly in none of these; `most` by name."""
    inside = select(group_members.c.person_id).where(group_members.c.group_id.in_(listed(connection, sorted(groups))))
    return _some(connection, [*is_meant(connection, audience), ~_supervises(), people.c.id.not_in(inside)], most)


def _supervises() -> ColumnElement[bool]:
    return people.c.id.in_(select(group_supervisors.c.person_id))
