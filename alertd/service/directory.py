"""People, groups and boards: who there is, how they hang together, and how each can be reached."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.alert import LANGUAGES, has_control, is_blank
from alertd.core.audience import closes_loop
from alertd.core.errors import AddressError, Conflict, Forbidden, Invalid, NotFound
from alertd.core.escalation import QuietHours
from alertd.core.ids import given_id_fault
from alertd.core.roles import Role
from alertd.service.rollout import NextVersion, change_people
from alertd.service.runtime import Actor, Runtime
from alertd.store import credentials, foresight, instance, people, posts, unsent
from alertd.store.proofs import REPLACED
from alertd.store.rows import Row

NAME_MAX: Final = 200
_COLUMNS: Final = ("email", "phone")  # the addresses that have a column of their own


@dataclass(frozen=True, slots=True)
class PersonDraft:
    """A person as somebody wrote them down."""

    id: str
    name: str
    email: str | None = None
    phone: str | None = None
    language: str = "ja"
    groups: tuple[str, ...] = ()
    active: bool = True
    role: str | None = None  # None: leave it as it is
    takes_self_test: bool | None = None  # the same
    quiet_hours: tuple[str, str] | tuple[()] | None = None  # from and to, like 22:00; (): none; None: leave them
    # The record's other addresses, by their names. "": none. None, or left out: leave it as it is.
    addresses: Mapping[str, str | None] = field(default_factory=dict)


def person_view(rt: Runtime, row: Row, groups: Sequence[str]) -> dict[str, Any]:
    """A person as they are told of. `addresses` are there where there are such channels; a secret one is told as None,
    which leaves it as it is when it is handed in again."""
    names = ("id", "name", "email", "phone", "language", "active", "role", "takes_self_test")
    view = {**{name: row[name] for name in names}, "groups": list(groups), "quiet_hours": quiet_view(row)}
    other = {name: row["addresses"][name] for name in other_addresses(rt) if name in row["addresses"]}
    told = {name: None if name in rt.secrets else address for name, address in other.items()}
    return {**view, "addresses": told} if other_addresses(rt) else view


def other_addresses(rt: Runtime) -> tuple[str, ...]:
    """The names of the addresses that a person's record may hold beside phone and mail."""
    return tuple(name for name in rt.records.values() if name not in _COLUMNS)


def flat(rt: Runtime, row: Row) -> dict[str, Any]:
    """A person's row with each of the record's addresses, or None, under its name."""
    return {**row, **{name: row["addresses"].get(name) for name in other_addresses(rt)}}


def quiet_view(row: Row) -> dict[str, str] | None:
    return {"from": row["quiet_from"], "to": row["quiet_to"]} if row["quiet_from"] is not None else None


def list_people(rt: Runtime, *, after: str | None, limit: int) -> list[dict[str, Any]]:
    """People by id, those after `after`."""
    with rt.store.read() as connection:
        rows = people.page(connection, after=after, limit=limit)
        groups = people.memberships(connection, [row["id"] for row in rows])
    return [person_view(rt, row, groups[row["id"]]) for row in rows]


def put_person(
    rt: Runtime, actor: Actor, draft: PersonDraft, *, on_version: int | None = None
) -> tuple[dict[str, Any], bool]:
    """Make or replace a person; the person, and whether they were made.

    `on_version` is the version that is to be replaced, 0 that there is none yet; None: whatever is there. Raises
    Conflict when it is another one by now, Invalid, Forbidden, DiskFull.
    """
    rt.require_room()
    now = rt.now()

    def change(connection: Connection, version: NextVersion) -> tuple[dict[str, Any], bool]:
        values, faults = check_person(rt, draft, set(people.parents(connection)))
        if faults:
            raise Invalid(faults)
        before = people.get(connection, draft.id)
        if on_version not in (None, before["version"] if before else 0):
            raise Conflict(f"{draft.id!r} was changed meanwhile")
        _guard_role(actor, draft, before)
        if draft.id == actor.person_id and before is not None:
            _guard_oneself(before, draft.active, draft.role)
        made = keep_person(connection, rt, draft.id, values, version())
        people.set_memberships(connection, {draft.id: draft.groups})
        if before is not None and draft.role not in (None, before["role"]):
            credentials.end_role(connection, draft.id, now)
        instance.record(
            connection,
            at=now,
            actor=actor.person_id,
            action="person.make" if made else "person.change",
            object=draft.id,
            details={"groups": list(draft.groups), "active": draft.active},
        )
        row = people.get(connection, draft.id)
        assert row is not None
        groups = people.memberships(connection, [draft.id])[draft.id]
        return person_view(rt, row, groups), made

    return change_people(rt, [draft.id], change)


def set_active(rt: Runtime, actor: Actor, person_id: str, active: bool) -> None:
    """Let a person be reached and sign in, or no more. Raises NotFound, Forbidden, Invalid."""
    now = rt.now()

    def change(connection: Connection, version: NextVersion) -> None:
        before = people.get(connection, person_id)
        if before is None:
            raise NotFound(f"there is no person {person_id!r}")
        guard_rank(actor, before)
        if person_id == actor.person_id:
            _guard_oneself(before, active, None)
        if before["active"] == active:
            return
        people.put(connection, person_id, {"active": active}, now, version())
        details = {"active": active}
        instance.record(
            connection, at=now, actor=actor.person_id, action="person.change", object=person_id, details=details
        )

    change_people(rt, [person_id], change)


def take_self_test(rt: Runtime, actor: Actor, takes: bool) -> None:
    """Opt `actor` in to the daily self-test, or out of it."""
    _change_own(rt, actor, {"takes_self_test": takes})


def set_quiet_hours(rt: Runtime, actor: Actor, quiet: tuple[str, str] | tuple[()]) -> None:
    """When `actor` is not to be disturbed, as two local times like 22:00; (): never so. Raises Invalid."""
    values, faults = _quiet_values(quiet)
    if faults:
        raise Invalid(faults)
    _change_own(rt, actor, values)


def own_settings(rt: Runtime, actor: Actor) -> dict[str, Any]:
    """What `actor` has chosen: `quiet_hours` ({"from", "to"} or None) and `takes_self_test`."""
    with rt.store.read() as connection:
        person = people.get(connection, actor.person_id)
    if person is None:
        return {"quiet_hours": None, "takes_self_test": False}
    return {"quiet_hours": quiet_view(person), "takes_self_test": person["takes_self_test"]}


def _change_own(rt: Runtime, actor: Actor, values: Mapping[str, Any]) -> None:
    now, person_id = rt.now(), actor.person_id

    def change(connection: Connection, version: NextVersion) -> None:
        people.put(connection, person_id, values, now, version())
        instance.record(
            connection, at=now, actor=person_id, action="person.change", object=person_id, details=dict(values)
        )

    change_people(rt, [person_id], change)


def _quiet_values(quiet: tuple[str, str] | tuple[()]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The columns of these quiet hours, and what is wrong with them."""
    if not quiet:
        return {"quiet_from": None, "quiet_to": None}, []
    start, end = quiet
    try:
        QuietHours.parse(start, end)
    except ValueError as error:
        return {}, [("quiet_hours.from", str(error))]
    return {"quiet_from": start, "quiet_to": end}, []


def names_of(rt: Runtime, person_ids: Collection[str]) -> dict[str, str]:
    """What these people are called, by id; whoever is unknown is left out."""
    with rt.store.read() as connection:
        return {person_id: row["name"] for person_id, row in people.get_many(connection, person_ids).items()}


def _guard_role(actor: Actor, draft: PersonDraft, before: Row | None) -> None:
    """Nobody makes somebody mightier than themselves, nor changes who stands above them."""
    if draft.role is not None and draft.role != (before["role"] if before else "staff") and not actor.may(Role.ADMIN):
        raise Forbidden("only an admin can change a person's role")
    if before is not None:
        guard_rank(actor, before)


def guard_rank(actor: Actor, person: Row) -> None:
    """Raises Forbidden when that person stands above `actor`."""
    if Role.parse(person["role"]) > actor.role:
        raise Forbidden(f"{person['id']!r} has a higher role than you")


def _guard_oneself(before: Row, active: bool, role: str | None) -> None:
    """Nobody locks themselves out by mistake. Raises Invalid."""
    if before["active"] and not active:
        raise Invalid([("active", "you cannot deactivate yourself")])
    if role not in (None, before["role"]):
        raise Invalid([("role", "you cannot change your own role")])


def check_person(
    rt: Runtime, draft: PersonDraft, known_groups: set[str]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A draft's columns and its other addresses, normalised, and everything that is wrong with it."""
    faults: list[tuple[str, str]] = []
    values: dict[str, Any] = {"name": draft.name.strip(), "language": draft.language, "active": draft.active}
    id_fault = given_id_fault(draft.id)
    if id_fault:
        faults.append(("id", id_fault))
    faults += name_faults(draft.name)
    addresses, address_faults = _check_addresses(rt, draft)
    values |= addresses
    faults += address_faults
    if draft.language not in LANGUAGES:
        faults.append(("language", f"must be one of {', '.join(LANGUAGES)}"))
    if draft.takes_self_test is not None:
        values["takes_self_test"] = draft.takes_self_test
    if draft.quiet_hours is not None:
        quiet, quiet_faults = _quiet_values(draft.quiet_hours)
        values |= quiet
        faults += quiet_faults
    if draft.role is not None:
        try:
            values["role"] = Role.parse(draft.role).word
        except ValueError as error:
            faults.append(("role", str(error)))
    faults += [("groups", f"there is no group {group!r}") for group in draft.groups if group not in known_groups]
    return values, faults


def _check_addresses(rt: Runtime, draft: PersonDraft) -> tuple[dict[str, str | None], list[tuple[str, str]]]:
    """What becomes of the record's addresses, by their names; those that stay as they are left out."""
    other = {name: raw for name, raw in draft.addresses.items() if raw is not None}
    given = {"email": draft.email or "", "phone": draft.phone or "", **other}
    values: dict[str, str | None] = dict.fromkeys(_COLUMNS)
    faults = [(name, "there is no such address here") for name in other if name not in other_addresses(rt)]
    for channel, name in rt.records.items():
        if name not in given:
            continue
        values[name] = None
        if not given[name].strip():
            continue
        try:
            values[name] = rt.parse[channel]({name: given[name]})[name]
        except AddressError as error:
            faults.append((name, error.message))
    return values, faults


def name_faults(name: str) -> list[tuple[str, str]]:
    if is_blank(name):
        return [("name", "must not be blank")]
    if len(name) > NAME_MAX:
        return [("name", f"must be at most {NAME_MAX} characters")]
    return [("name", "must not hold control characters")] if has_control(name) or "\n" in name else []


def keep_person(connection: Connection, rt: Runtime, person_id: str, values: Mapping[str, Any], version: int) -> bool:
    """Write a checked person and the subscriptions that follow from their addresses; not their groups."""
    now = rt.now()
    before = people.get(connection, person_id)
    columns = _as_columns(rt, values, before["addresses"] if before else {})
    made = people.put(connection, person_id, columns, now, version)
    mine = people.subscriptions_of(connection, [person_id])
    for channel, name in rt.records.items():
        if name not in values:
            continue
        address = {name: values[name]} if values[name] else None
        _follow(connection, rt, person_id, channel, address, [row for row in mine if row["channel"] == channel], now)
    return made


def _as_columns(rt: Runtime, values: Mapping[str, Any], before: Mapping[str, str]) -> dict[str, Any]:
    """What `check_person` made, as it is written: the addresses that have no column of their own in one."""
    changed = {name: values[name] for name in other_addresses(rt) if name in values}
    kept = {name: address for name, address in {**before, **changed}.items() if address}
    return {**{name: value for name, value in values.items() if name not in changed}, "addresses": kept}


def add_people(
    connection: Connection, rt: Runtime, new: Sequence[tuple[PersonDraft, Mapping[str, Any]]], version: int
) -> None:
    """Write checked people who are not there yet, with their groups, in a few statements."""
    now = rt.now()
    people.add_all(connection, [{**_as_columns(rt, values, {}), "id": draft.id} for draft, values in new], now, version)
    people.add_memberships(connection, [(group, draft.id) for draft, _ in new for group in set(draft.groups)])
    people.add_subscriptions(
        connection,
        [
            subscription_values(rt, draft.id, channel, {name: values[name]}, None, now)
            for draft, values in new
            for channel, name in rt.records.items()
            if values.get(name)
        ],
    )


def _follow(
    connection: Connection,
    rt: Runtime,
    person_id: str,
    channel: str,
    address: Mapping[str, str] | None,
    existing: Sequence[Row],
    now: datetime,
) -> None:
    """Let a person's subscription to `channel` be exactly the one to `address`, and open deliveries go there too."""
    wanted = address_hash(address) if address else None
    others = [row for row in existing if row["address_hash"] != wanted]
    for row in others:
        if row["retired_at"] is None:
            people.retire_subscription(connection, row["id"], REPLACED, now)
        elif row["retired_reason"] != REPLACED:
            # A number that a provider called dead is forgotten as such once it is taken away: given anew, it counts.
            people.forget_retirement(connection, row["id"], REPLACED)
    same = next((row for row in existing if row["address_hash"] == wanted), None)
    dead = same is not None and same["retired_at"] is not None and same["retired_reason"] != REPLACED
    current = None
    if address is not None and not dead:
        values = subscription_values(rt, person_id, channel, address, None, now)
        live = same is not None and same["retired_at"] is None
        current = same["id"] if same is not None and live else people.add_subscription(connection, values)[0]
    unsent.readdress(connection, [row["id"] for row in others], current, now)


def subscription_values(
    rt: Runtime, person_id: str, channel: str, address: Mapping[str, str], label: str | None, now: datetime
) -> dict[str, Any]:
    """A subscription's row, verified as of `now`. A secret address is called by what it depends on."""
    if not rt.secrets.isdisjoint(address):
        label = rt.lanes[channel](address) or channel
    return {
        "id": rt.new_id(),
        "person_id": person_id,
        "channel": channel,
        "address": dict(address),
        "address_hash": address_hash(address),
        "lane": rt.lanes[channel](address),
        "label": label,
        "created_at": now,
        "verified_at": now,
    }


def address_hash(address: Mapping[str, str]) -> str:
    """The same for the same address: a push subscription is its endpoint, whatever its keys are."""
    identity = {"endpoint": address["endpoint"]} if "endpoint" in address else dict(address)
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def list_groups(rt: Runtime) -> list[dict[str, Any]]:
    """Every group with its parent, its supervisors and how many people are directly in it."""
    with rt.store.read() as connection:
        rows = people.list_groups(connection)
        supervisors = people.supervisors(connection)
        members = people.member_counts(connection)
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "parent": row["parent_id"],
            "supervisors": supervisors.get(row["id"], []),
            "members": members.get(row["id"], 0),
        }
        for row in rows
    ]


def list_group_sizes(rt: Runtime) -> list[dict[str, Any]]:
    """Every group (`id`, `name`, `parent`) with how many active `people` are in it or below it."""
    with rt.store.read() as connection:
        rows, sizes = people.list_groups(connection), foresight.group_sizes(connection)
    return [
        {"id": row["id"], "name": row["name"], "parent": row["parent_id"], "people": sizes.get(row["id"], 0)}
        for row in rows
    ]


def find_people(rt: Runtime, words: str, limit: int) -> list[dict[str, str]]:
    """Active people (`id`, `name`) whose name or id holds `words`; nobody for no words at all."""
    if not words.strip():
        return []
    with rt.store.read() as connection:
        return [{"id": row["id"], "name": row["name"]} for row in people.find(connection, words, limit)]


def put_group(
    rt: Runtime,
    actor: Actor,
    group_id: str,
    name: str,
    parent: str | None,
    supervisors: Sequence[str],
    check: Callable[[Connection], None] = lambda connection: None,
) -> tuple[dict[str, Any], bool]:
    """Make or replace a group; the group, and whether it was made. Raises Invalid, and what `check` raises, which sees
    what is to be replaced.
    """
    now = rt.now()

    def change(connection: Connection, version: NextVersion) -> bool:
        faults = name_faults(name)
        id_fault = given_id_fault(group_id)
        if id_fault:
            faults.append(("id", id_fault))
        parents = people.parents(connection)
        if parent is not None and parent not in parents and parent != group_id:
            faults.append(("parent", f"there is no group {parent!r}"))
        elif closes_loop(group_id, parent, parents):
            faults.append(("parent", f"{parent!r} is {group_id!r} itself or below it"))
        known = people.get_many(connection, supervisors)
        faults += [("supervisors", f"there is no person {person!r}") for person in supervisors if person not in known]
        if faults:
            raise Invalid(faults)
        version()
        check(connection)
        values = {"name": name.strip()} if group_id in parents else {"name": name.strip(), "parent_id": parent}
        made = people.put_group(connection, group_id, values, now)
        people.set_supervisors(connection, group_id, supervisors)
        if parents.get(group_id, parent) != parent:
            people.move_group(connection, group_id, parent)
        details = {"parent": parent, "supervisors": list(supervisors)}
        instance.record(connection, at=now, actor=actor.person_id, action="group.put", object=group_id, details=details)
        return made

    made = change_people(rt, (), change, at_large=True)
    return {"id": group_id, "name": name.strip(), "parent": parent, "supervisors": sorted(set(supervisors))}, made


def list_boards(rt: Runtime) -> list[dict[str, Any]]:
    with rt.store.read() as connection:
        return [{"id": row["id"], "name": row["name"]} for row in posts.list_boards(connection)]


def put_board(rt: Runtime, actor: Actor, board_id: str, name: str) -> tuple[dict[str, Any], bool]:
    """Make or rename a board; the board, and whether it was made. Raises Invalid."""
    now = rt.now()
    faults = name_faults(name)
    id_fault = given_id_fault(board_id)
    if id_fault:
        faults.append(("id", id_fault))
    if faults:
        raise Invalid(faults)
    with rt.store.write() as connection:
        made = posts.put_board(connection, board_id, name.strip(), now)
        instance.record(connection, at=now, actor=actor.person_id, action="board.put", object=board_id, details={})
    return {"id": board_id, "name": name.strip()}, made


def ensure_system_person(rt: Runtime, person_id: str) -> None:
    """Somebody who can be named as an author but is in nobody's audience: not active."""
    with rt.store.write() as connection:
        people.add_new(connection, person_id, {"name": person_id, "active": False}, rt.now())
