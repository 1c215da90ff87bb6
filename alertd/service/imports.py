"""Taking people in from a file with care: handed in, looked at, applied once, and undone where that does no harm."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.roles import Role
from alertd.service.directory import flat, keep_person
from alertd.service.importing import Handed, Outdated, Report, decode, import_people, state
from alertd.service.rollout import NextVersion, change_people
from alertd.service.runtime import Actor, Runtime
from alertd.store import imports, instance, people
from alertd.store.rows import Row

DRAFT_LIFE: Final = timedelta(days=1)
FILE_MAX: Final = 200
_LISTED: Final = 20

CHANGED: Final = "changed"  # why somebody is left as they are: they are no longer what the import has made of them
HIGHER: Final = "higher"  # they have a higher role than whoever undoes it
ONESELF: Final = "oneself"  # it would deactivate whoever undoes it


@dataclass(frozen=True, slots=True)
class Undoing:
    """What undoing an import comes to, or came to. By person: what they go back to (None: made, so deactivated), and
    why the others are left as they are.
    """

    back: dict[str, dict[str, Any] | None]
    left: dict[str, str]


def hand_in(rt: Runtime, actor: Actor, file: str, raw: bytes) -> str:
    """Keep a file with the differences that it would make, for a day; its id. Raises Invalid when it is no list of
    people, and DiskFull.
    """
    rt.require_room()
    text = decode(raw)
    report = import_people(rt, actor, text, dry_run=True)
    now, import_id = rt.now(), rt.new_id()
    with rt.store.write() as connection:
        imports.drop_drafts(connection, now - DRAFT_LIFE)
        kept = {"id": import_id, "actor_id": actor.person_id, "file": file[:FILE_MAX], "text": text, "created_at": now}
        imports.add(connection, **kept, preview=_preview(report), counts=report.counts)
    return import_id


def _preview(report: Report) -> dict[str, Any]:
    kinds: dict[str, list[dict[str, Any]]] = {"made": [], "deactivated": [], "changed": []}
    for each in report.differences:
        gone = each.before is not None and each.before["active"] and not each.after["active"]
        kind = "made" if each.before is None else "deactivated" if gone else "changed"
        shown = {"row": each.row, "id": each.id, "before": each.before, "after": each.after, "fields": each.fields}
        kinds[kind].append(shown)
    return {**kinds, "errors": [list(error) for error in report.errors], "digest": report.digest}


def read_import(rt: Runtime, import_id: str) -> dict[str, Any]:
    """One import. Of a draft `preview`: the differences `made`, `changed` and `deactivated` (each with `row`, `id`,
    `before`, `after` and the names of the `fields` that change), and `errors` (row, field, message). Raises NotFound.
    """
    with rt.store.read() as connection:
        return dict(_get(connection, import_id))


def list_imports(rt: Runtime) -> list[dict[str, Any]]:
    """The last ones that were taken in, newest first."""
    with rt.store.read() as connection:
        return [dict(row) for row in imports.newest(connection, _LISTED)]


def apply(rt: Runtime, actor: Actor, import_id: str, digest: str) -> bool:
    """Take in what was handed in, if its differences are still those of `digest`, which were looked at; otherwise they
    are worked out anew, for another look. Whether it is taken in; a second time changes nothing. Raises NotFound,
    Invalid, DiskFull.
    """
    draft = read_import(rt, import_id)
    if draft["applied_at"] is not None:
        return True
    try:
        report = import_people(rt, actor, draft["text"], dry_run=False, handed=Handed(import_id, digest))
    except Outdated:
        report = import_people(rt, actor, draft["text"], dry_run=True)
    except Conflict:
        return True
    if not report.applied:
        with rt.store.write() as connection:
            imports.preview(connection, import_id, {"preview": _preview(report), "counts": report.counts})
    return report.applied


def foresee_undo(rt: Runtime, actor: Actor, import_id: str) -> Undoing:
    """What undoing an import would come to. Raises NotFound."""
    with rt.store.read() as connection:
        _applied(connection, import_id)
        return _foresee(connection, rt, actor, import_id)


def undo(rt: Runtime, actor: Actor, import_id: str) -> Undoing:
    """Put back what an import has changed, but for people who were changed since. Whoever it made is deactivated. What
    it came to; a second time changes nothing. Raises NotFound, Conflict when it was undone already.
    """
    now = rt.now()
    with rt.store.read() as connection:
        _applied(connection, import_id)
        whom = sorted(_foresee(connection, rt, actor, import_id).back)

    def change(connection: Connection, version: NextVersion) -> Undoing:
        at_version = version()
        undoing = _foresee(connection, rt, actor, import_id)
        left = [{"id": person_id, "why": why} for person_id, why in undoing.left.items()]
        if not imports.undo(connection, import_id, left, now):
            raise Conflict("this was undone already")
        known = set(people.parents(connection))
        groups = {}
        for person_id, before in undoing.back.items():
            if before is None:
                people.put(connection, person_id, {"active": False}, now, at_version)
                continue
            values = {name: value for name, value in before.items() if name != "groups"}
            keep_person(connection, rt, person_id, values, at_version)
            groups[person_id] = [group for group in before["groups"] if group in known]
        people.set_memberships(connection, groups)
        details = {"back": len(undoing.back), "left": len(undoing.left)}
        instance.record(
            connection, at=now, actor=actor.person_id, action="people.undo", object=import_id, details=details
        )
        return undoing

    return change_people(rt, whom, change, at_large=True)


def _foresee(connection: Connection, rt: Runtime, actor: Actor, import_id: str) -> Undoing:
    rows = imports.rows_of(connection, import_id)
    there = people.get_many(connection, [row["person_id"] for row in rows])
    groups = people.memberships(connection, list(there))
    undoing = Undoing({}, {})
    for row in rows:
        person = there[row["person_id"]]
        why = _hindrance(actor, row, person, state(rt, flat(rt, person), groups[row["person_id"]]))
        if why is None:
            undoing.back[row["person_id"]] = row["before"]
        else:
            undoing.left[row["person_id"]] = why
    return undoing


def _hindrance(actor: Actor, row: Row, person: Row, now: Mapping[str, Any]) -> str | None:
    """Why somebody must be left as they are; None: nothing speaks against putting them back."""
    # What there was no column for at that time was not changed by it.
    if any(now.get(name) != value for name, value in row["after"].items()):
        return CHANGED
    if Role.parse(person["role"]) > actor.role:
        return HIGHER
    stays_active = row["before"] is not None and row["before"]["active"]
    return ONESELF if person["id"] == actor.person_id and person["active"] and not stays_active else None


def _get(connection: Connection, import_id: str) -> Row:
    row = imports.get(connection, import_id)
    if row is None:
        raise NotFound(f"there is no import {import_id!r}")
    return row


def _applied(connection: Connection, import_id: str) -> datetime:
    at: datetime | None = _get(connection, import_id)["applied_at"]
    if at is None:
        raise Invalid([("import", "was not taken in")])
    return at
