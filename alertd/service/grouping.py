"""The tree of groups as a console shows and changes it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from alertd.core.audience import with_subgroups
from alertd.core.errors import Conflict, NotFound
from alertd.service.directory import put_group
from alertd.service.rollout import NextVersion, change_people
from alertd.service.runtime import Actor, Runtime
from alertd.store import instance, people


@dataclass(frozen=True, slots=True)
class Group:
    """What can be changed of a group."""

    name: str
    parent: str | None
    supervisors: tuple[str, ...] = ()  # people, by id


def list_tree(rt: Runtime) -> list[dict[str, Any]]:
    """Every group by id: `id`, `name`, `parent`, `supervisors` (ids), the number of active people who are its direct
    `members`, and the number of those `below`: in it or in a group below it, each counted once.
    """
    with rt.store.read() as connection:
        rows = people.list_groups(connection)
        supervisors, members = people.supervisors(connection), people.active_members(connection)
    parents = {row["id"]: row["parent_id"] for row in rows}
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "parent": row["parent_id"],
            "supervisors": supervisors.get(row["id"], []),
            "members": len(members.get(row["id"], ())),
            "below": len(set().union(*(members.get(each, ()) for each in with_subgroups([row["id"]], parents)))),
        }
        for row in rows
    ]


def read_group(rt: Runtime, group_id: str) -> dict[str, Any]:
    """One of `list_tree`. Raises NotFound."""
    found = next((group for group in list_tree(rt) if group["id"] == group_id), None)
    if found is None:
        raise NotFound(f"there is no group {group_id!r}")
    return found


def add_group(rt: Runtime, actor: Actor, group_id: str, group: Group) -> None:
    """Raises Invalid, and Conflict when there is one of that id."""
    _put(rt, actor, group_id, group, None)


def change_group(rt: Runtime, actor: Actor, group_id: str, group: Group, was: Group) -> None:
    """Change a group that `was` seen as this. Raises Invalid, and Conflict when it is another one by now, or gone."""
    _put(rt, actor, group_id, group, was)


def _put(rt: Runtime, actor: Actor, group_id: str, group: Group, was: Group | None) -> None:
    check = partial(_check, group_id, was)
    put_group(rt, actor, group_id, group.name, group.parent, group.supervisors, check)


def _check(group_id: str, was: Group | None, connection: Connection) -> None:
    if _now(connection, group_id) != was:
        raise Conflict(f"the group {group_id!r} was changed meanwhile")


def _now(connection: Connection, group_id: str) -> Group | None:
    row = next((row for row in people.list_groups(connection) if row["id"] == group_id), None)
    if row is None:
        return None
    return Group(row["name"], row["parent_id"], tuple(people.supervisors(connection).get(group_id, ())))


def delete_group(rt: Runtime, actor: Actor, group_id: str) -> None:
    """Delete a group that nobody is in and nothing hangs on. Raises NotFound, and Conflict, which says what does."""
    now = rt.now()

    def change(connection: Connection, version: NextVersion) -> None:
        parents = people.parents(connection)
        if group_id not in parents:
            raise NotFound(f"there is no group {group_id!r}")
        version()
        if group_id in parents.values():
            raise Conflict("there are groups below it: move or delete them first")
        members = people.member_counts(connection).get(group_id, 0)
        if members:
            raise Conflict(f"there are {members} people in it: take them out first")
        if people.has_posts(connection, group_id):
            raise Conflict("posts were addressed to it: it must stay, so that they still say to whom they went")
        people.delete_group(connection, group_id)
        instance.record(connection, at=now, actor=actor.person_id, action="group.delete", object=group_id, details={})

    change_people(rt, (), change, at_large=True)
