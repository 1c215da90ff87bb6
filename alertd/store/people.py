"""People, groups, and the subscriptions by which people are reached."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from alertd.core.audience import Audience, Parents, with_subgroups
from alertd.store import tallies
from alertd.store.proofs import ON_PURPOSE, TAKEN_OVER, is_live
from alertd.store.rows import Row, among, in_slices, insert_new, listed, put_row, rows_by
from alertd.store.schema import (
    group_members,
    group_supervisors,
    groups,
    instance,
    people,
    post_groups,
    subscriptions,
)

_DEFAULTS: Final = {"role": "staff", "language": "ja", "active": True, "takes_self_test": False, "addresses": {}}


def bump_version(connection: Connection) -> int:
    """The next people-version: people and groups as of now."""
    query = update(instance).values(people_version=instance.c.people_version + 1).returning(instance.c.people_version)
    return int(connection.execute(query).scalar_one())


def hold_version(connection: Connection) -> int:
    """The people-version, which nobody raises until this transaction ends."""
    return int(connection.execute(select(instance.c.people_version).with_for_update()).scalar_one())


def get(connection: Connection, person_id: str) -> Row | None:
    row = connection.execute(select(people).where(people.c.id == person_id)).first()
    return row._asdict() if row else None


def with_roles(connection: Connection, roles: Collection[str]) -> list[Row]:
    """The active people who have one of these roles, by id."""
    query = select(people).where(people.c.active, people.c.role.in_(roles)).order_by(people.c.id)
    return [row._asdict() for row in connection.execute(query)]


def get_many(connection: Connection, person_ids: Collection[str]) -> dict[str, Row]:
    return rows_by(connection, people.c.id, person_ids)


def active_of(connection: Connection, person_ids: Collection[str]) -> set[str]:
    """Those of these people who are active."""
    found: set[str] = set()
    for some in in_slices(list(person_ids)):
        found.update(
            connection.execute(
                select(people.c.id).where(people.c.active, among(connection, people.c.id, some))
            ).scalars()
        )
    return found


def supervises(connection: Connection, person_id: str) -> bool:
    """Whether somebody is the supervisor of any group."""
    query = select(group_supervisors.c.group_id).where(group_supervisors.c.person_id == person_id).limit(1)
    return connection.execute(query).first() is not None


def page(connection: Connection, *, after: str | None, limit: int) -> list[Row]:
    """People by id, those after `after`."""
    query = select(people).order_by(people.c.id).limit(limit)
    if after is not None:
        query = query.where(people.c.id > after)
    return [row._asdict() for row in connection.execute(query)]


def put(connection: Connection, person_id: str, values: Mapping[str, Any], now: datetime, at_version: int) -> bool:
    """Make or change a person; True when it was made."""
    changed = {**values, "updated_at": now, "version": at_version}
    return put_row(connection, people, person_id, changed, {**_DEFAULTS, "created_at": now})


def add_new(connection: Connection, person_id: str, values: Mapping[str, Any], now: datetime) -> bool:
    """Make a person unless there is one of that id, who stays as they are; True when it was made."""
    if get(connection, person_id) is not None:
        return False
    made = {**_DEFAULTS, **values, "id": person_id, "created_at": now, "updated_at": now}
    return insert_new(connection, people, {**made, "version": bump_version(connection)})


def add_all(connection: Connection, rows: Sequence[Mapping[str, Any]], now: datetime, at_version: int) -> None:
    """Make people who are not there yet."""
    made = {**_DEFAULTS, "created_at": now, "updated_at": now, "version": at_version}
    if rows:
        connection.execute(insert(people), [{**made, **row} for row in rows])


def set_password(connection: Connection, person_id: str, password_hash: str) -> bool:
    query = update(people).where(people.c.id == person_id).values(password_hash=password_hash)
    return connection.execute(query).rowcount == 1


def memberships(connection: Connection, person_ids: Collection[str]) -> dict[str, list[str]]:
    """The groups that each person is directly in, by id."""
    found: dict[str, list[str]] = {person_id: [] for person_id in person_ids}
    for some in in_slices(list(person_ids)):
        theirs = among(connection, group_members.c.person_id, some)
        query = select(group_members).where(theirs).order_by(group_members.c.group_id)
        for row in connection.execute(query):
            found[row.person_id].append(row.group_id)
    return found


def set_memberships(connection: Connection, wanted: Mapping[str, Iterable[str]]) -> None:
    """Let each of these people be directly in exactly these groups. As late as can be: see `tallies.regrouping`."""
    after = {person_id: sorted(set(group_ids)) for person_id, group_ids in wanted.items()}
    before = memberships(connection, after)
    for some in in_slices(sorted(person_id for person_id in after if after[person_id] != sorted(before[person_id]))):
        rows = [{"group_id": group_id, "person_id": person_id} for person_id in some for group_id in after[person_id]]
        with tallies.regrouping(connection, some):
            connection.execute(delete(group_members).where(group_members.c.person_id.in_(some)))
            if rows:
                connection.execute(insert(group_members), rows)


def add_memberships(connection: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Put people who were in no group before into groups, as (group, person)."""
    if pairs:
        connection.execute(insert(group_members), [{"group_id": group, "person_id": person} for group, person in pairs])


def list_groups(connection: Connection) -> list[Row]:
    return [row._asdict() for row in connection.execute(select(groups).order_by(groups.c.id))]


def parents(connection: Connection) -> Parents:
    return {row.id: row.parent_id for row in connection.execute(select(groups.c.id, groups.c.parent_id))}


def supervisors(connection: Connection) -> dict[str, list[str]]:
    """Each group's supervisors, by group id."""
    found: dict[str, list[str]] = {}
    for row in connection.execute(select(group_supervisors).order_by(group_supervisors.c.person_id)):
        found.setdefault(row.group_id, []).append(row.person_id)
    return found


def members_below(connection: Connection, supervisor_id: str) -> set[str]:
    """Who is in a group that somebody supervises, or in one below it."""
    own = select(group_supervisors.c.group_id.label("id")).where(group_supervisors.c.person_id == supervisor_id)
    below = own.cte("below", recursive=True)
    below = below.union(select(groups.c.id).join(below, groups.c.parent_id == below.c.id))
    query = select(group_members.c.person_id).where(group_members.c.group_id.in_(select(below.c.id)))
    return set(connection.execute(query).scalars())


def member_counts(connection: Connection) -> dict[str, int]:
    """How many people are directly in each group, by group id; a group without any is left out."""
    query = select(group_members.c.group_id, func.count().label("people")).group_by(group_members.c.group_id)
    return {row.group_id: row.people for row in connection.execute(query)}


def active_members(connection: Connection) -> dict[str, set[str]]:
    """The active people who are directly in each group, by group id."""
    found: dict[str, set[str]] = {}
    query = select(group_members).join(people, people.c.id == group_members.c.person_id).where(people.c.active)
    for row in connection.execute(query):
        found.setdefault(row.group_id, set()).add(row.person_id)
    return found


def has_posts(connection: Connection, group_id: str) -> bool:
    """Whether any post was for a group by name."""
    query = select(post_groups.c.post_id).where(post_groups.c.group_id == group_id).limit(1)
    return connection.execute(query).first() is not None


def delete_group(connection: Connection, group_id: str) -> None:
    """Forget a group that holds nobody and nothing, with its supervisors."""
    connection.execute(delete(group_supervisors).where(group_supervisors.c.group_id == group_id))
    connection.execute(delete(groups).where(groups.c.id == group_id))


def put_group(connection: Connection, group_id: str, values: Mapping[str, Any], now: datetime) -> bool:
    """Make or change a group; True when it was made."""
    return put_row(connection, groups, group_id, values, {"created_at": now})


def move_group(connection: Connection, group_id: str, parent_id: str | None) -> None:
    """Put a group under another one, or at the top. As late as can be: see `tallies.regrouping`."""
    inside = with_subgroups([group_id], parents(connection))
    people_in_it = select(group_members.c.person_id).where(group_members.c.group_id.in_(inside))
    with tallies.regrouping(connection, people_in_it):
        connection.execute(update(groups).where(groups.c.id == group_id).values(parent_id=parent_id))


def set_supervisors(connection: Connection, group_id: str, person_ids: Iterable[str]) -> None:
    connection.execute(delete(group_supervisors).where(group_supervisors.c.group_id == group_id))
    rows = [{"group_id": group_id, "person_id": person_id} for person_id in sorted(set(person_ids))]
    if rows:
        connection.execute(insert(group_supervisors), rows)


def find(connection: Connection, words: str, limit: int) -> list[Row]:
    """Active people (`id`, `name`) whose name or id holds `words`, whatever the case and the spaces; by name."""
    bare = "".join(words.split())
    name = func.replace(func.replace(people.c.name, " ", ""), "\u3000", "")
    fits = or_(name.icontains(bare, autoescape=True), people.c.id.icontains(bare, autoescape=True))
    query = select(people.c.id, people.c.name).where(people.c.active, fits).order_by(people.c.name, people.c.id)
    return [row._asdict() for row in connection.execute(query.limit(limit))]


def resolve(connection: Connection, audience: Audience) -> list[Row]:
    """The active people of an audience (id, name, language, quiet hours), each once, by id."""
    columns = (people.c.id, people.c.name, people.c.language, people.c.quiet_from, people.c.quiet_to)
    query = select(*columns).where(*is_meant(connection, audience)).order_by(people.c.id)
    return [row._asdict() for row in connection.execute(query)]


def count(connection: Connection, audience: Audience) -> int:
    """How many active people an audience has."""
    return int(connection.execute(select(func.count()).where(*is_meant(connection, audience))).scalar_one())


def has_any(connection: Connection, audience: Audience) -> bool:
    """Whether an audience has an active person."""
    return connection.execute(select(people.c.id).where(*is_meant(connection, audience)).limit(1)).first() is not None


def is_meant(connection: Connection, audience: Audience) -> list[ColumnElement[bool]]:
    """What is true of the rows of active people in an audience."""
    if audience.everyone:
        return [people.c.active]
    named = listed(connection, audience.people)
    if not audience.groups:
        return [people.c.active, people.c.id.in_(named)]
    wanted = with_subgroups(audience.groups, parents(connection))
    members = select(group_members.c.person_id).where(group_members.c.group_id.in_(wanted))
    return [people.c.active, people.c.id.in_(members.union_all(named) if audience.people else members)]


def is_channel_used(connection: Connection, channel: str) -> bool:
    """Whether messages go to anybody over a channel."""
    query = select(subscriptions.c.id).where(subscriptions.c.channel == channel, is_live()).limit(1)
    return connection.execute(query).first() is not None


def subscriptions_of(connection: Connection, person_ids: Collection[str]) -> list[Row]:
    """Every subscription of these people, retired ones too, oldest first."""
    found: list[Row] = []
    for some in in_slices(list(person_ids)):
        query = select(subscriptions).where(subscriptions.c.person_id.in_(some)).order_by(subscriptions.c.id)
        found += [row._asdict() for row in connection.execute(query)]
    return found


@dataclass(frozen=True, slots=True)
class UsableWay:
    """A subscription that messages go to: verified, and not retired."""

    id: str
    person_id: str
    channel: str
    lane: str


def usable_ways(connection: Connection, person_ids: Collection[str]) -> list[UsableWay]:
    """The ways to these people, oldest first. Without the addresses, which are read when a message goes out."""
    found: list[UsableWay] = []
    columns = (subscriptions.c.id, subscriptions.c.person_id, subscriptions.c.channel, subscriptions.c.lane)
    query = (
        select(*columns)
        .where(subscriptions.c.retired_at.is_(None), subscriptions.c.verified_at.is_not(None))
        .order_by(subscriptions.c.id)
    )
    for some in in_slices(list(person_ids)):
        theirs = among(connection, subscriptions.c.person_id, some)
        found += [UsableWay(*row) for row in connection.execute(query.where(theirs))]
    return found


def add_subscriptions(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Subscriptions of people who had none before."""
    if rows:
        connection.execute(insert(subscriptions), list(rows))


def is_given_up(connection: Connection, channel: str, address_hash: str) -> bool:
    """Whether an address is retired for a reason of its own: its provider will never again take a message for it."""
    query = select(subscriptions.c.id).where(
        subscriptions.c.channel == channel,
        subscriptions.c.address_hash == address_hash,
        subscriptions.c.retired_at.is_not(None),
        subscriptions.c.retired_reason.not_in(ON_PURPOSE),
    )
    return connection.execute(query.limit(1)).first() is not None


def add_subscription(connection: Connection, values: Mapping[str, Any]) -> tuple[str, bool]:
    """(id, made) of the person's subscription to that address; one that was retired comes back to life."""
    if insert_new(connection, subscriptions, values):
        return str(values["id"]), True
    same = (
        (subscriptions.c.person_id == values["person_id"])
        & (subscriptions.c.channel == values["channel"])
        & (subscriptions.c.address_hash == values["address_hash"])
    )
    revived = {key: values[key] for key in ("address", "label", "verified_at")}
    query = update(subscriptions).where(same).values(**revived, retired_at=None, retired_reason=None)
    return str(connection.execute(query.returning(subscriptions.c.id)).scalar_one()), False


def retire_subscription(connection: Connection, subscription_id: str, reason: str, now: datetime) -> bool:
    """Use that address no more; False when it was retired before."""
    query = update(subscriptions).where(subscriptions.c.id == subscription_id, subscriptions.c.retired_at.is_(None))
    return connection.execute(query.values(retired_at=now, retired_reason=reason)).rowcount == 1


def forget_retirement(connection: Connection, subscription_id: str, reason: str) -> None:
    """Let `reason` be why that subscription is retired, whatever it was before."""
    query = update(subscriptions).where(subscriptions.c.id == subscription_id)
    connection.execute(query.values(retired_reason=reason))


def retire_elsewhere(
    connection: Connection, channel: str, address_hash: str, person_id: str, now: datetime
) -> list[str]:
    """A browser belongs to whoever subscribed it last: end other people's subscriptions to the same address; which."""
    query = update(subscriptions).where(
        subscriptions.c.channel == channel,
        subscriptions.c.address_hash == address_hash,
        subscriptions.c.person_id != person_id,
        subscriptions.c.retired_at.is_(None),
    )
    ended = query.values(retired_at=now, retired_reason=TAKEN_OVER)
    return list(connection.execute(ended.returning(subscriptions.c.id)).scalars())
