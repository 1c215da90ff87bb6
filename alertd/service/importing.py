"""Importing people from a CSV file: read whole, shown as a difference, applied whole or not at all.

What was there before is kept: see `service.imports`, which also shows the difference first.
"""

import csv
import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.errors import Conflict, Invalid
from alertd.core.roles import Role
from alertd.service.directory import (
    PersonDraft,
    add_people,
    check_person,
    flat,
    keep_person,
    other_addresses,
)
from alertd.service.rollout import NextVersion, change_people
from alertd.service.runtime import Actor, Runtime
from alertd.store import imports, instance, people
from alertd.store.rows import Row

_REQUIRED: Final = ("id", "name")
_YES: Final = frozenset({"", "1", "true", "yes", "y", "on", "はい", "有効", "○"})
_NO: Final = frozenset({"0", "false", "no", "n", "off", "いいえ", "無効", "×"})
ROWS_MAX: Final = 200_000
_FIELDS: Final = ("name", "email", "phone", "language", "groups", "active")


class Outdated(Conflict):
    """The difference is not the one that was looked at: somebody has changed people meanwhile."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A person whom an import makes (`before` is None) or changes: what they are before and after, see `state`."""

    row: int
    id: str
    before: dict[str, Any] | None
    after: dict[str, Any]

    @property
    def fields(self) -> list[str]:
        """The names of what changes."""
        before = self.before
        return [name for name in self.after if before is not None and before[name] != self.after[name]]


@dataclass(frozen=True, slots=True)
class Handed:
    """A draft that was handed in: its id, and the digest of the differences that were looked at."""

    id: str
    digest: str


@dataclass(slots=True)
class Report:
    """What an import does, or would do. Rows count from 1, which is the header."""

    differences: list[Difference] = field(default_factory=list)
    unchanged: int = 0
    errors: list[tuple[int, str, str]] = field(default_factory=list)  # (row, field, message)
    applied: bool = False

    @property
    def made(self) -> list[str]:
        return [each.id for each in self.differences if each.before is None]

    @property
    def changed(self) -> dict[str, list[str]]:
        """By person id the names of the fields that change."""
        return {each.id: each.fields for each in self.differences if each.before is not None}

    @property
    def counts(self) -> dict[str, int]:
        made = len(self.made)
        return {"made": made, "changed": len(self.differences) - made, "unchanged": self.unchanged}

    @property
    def digest(self) -> str:
        """The same for the same differences."""
        told = [(each.id, each.before, each.after) for each in self.differences]
        return hashlib.sha256(json.dumps(told).encode("utf-8", "surrogatepass")).hexdigest()

    def as_json(self) -> dict[str, Any]:
        return {
            "applied": self.applied,
            "made": self.made,
            "changed": [{"id": person_id, "fields": fields} for person_id, fields in self.changed.items()],
            "unchanged": self.unchanged,
            "errors": [{"row": row, "field": name, "message": message} for row, name, message in self.errors],
        }


def columns(rt: Runtime) -> tuple[str, ...]:
    """The columns that a file may have."""
    return ("id", *_FIELDS, *other_addresses(rt))


def decode(raw: bytes) -> str:
    """CSV bytes as text: UTF-8 with or without BOM, else cp932 as Excel writes it in Japan. Raises Invalid."""
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Invalid([("file", "is neither UTF-8 nor cp932 (Shift_JIS): save it as CSV in one of these")])


def import_people(rt: Runtime, actor: Actor, text: str, *, dry_run: bool, handed: Handed | None = None) -> Report:
    """Take people in from CSV. With any error, or in a dry run, nothing is changed. People who are not in the file
    stay as they are. Raises Invalid when the file as a whole cannot be read, DiskFull, and of what was `handed` in
    before Outdated, or Conflict when it was taken in already.
    """
    if not dry_run:
        rt.require_room()
    report = Report()
    drafts, absent = _read(rt, text, report)
    with rt.store.read() as connection:
        known_groups = set(people.parents(connection))
        there = _flat(connection, rt, drafts)
    checked: list[tuple[int, PersonDraft, dict[str, Any]]] = []
    for row, draft in drafts:
        values, faults = check_person(rt, draft, known_groups)
        report.errors += [(row, name, message) for name, message in faults]
        checked.append((row, draft, values))
    report.errors.sort()
    given = [name for name in rt.records.values() if name not in absent]
    moved = [
        draft.id
        for _, draft, values in checked
        if draft.id in there and any(values[name] != there[draft.id][name] for name in given)
    ]

    def change(connection: Connection, version: NextVersion) -> Report:
        # From here on nobody else can write: a whole town must be taken in before an alert that waits would be refused.
        at_version = version() if not dry_run else 0
        before = _flat(connection, rt, drafts)
        groups_before = people.memberships(connection, list(before))
        for index, (row, draft, values) in enumerate(checked):
            if draft.id in before:
                # A column that the file does not have says nothing; only an empty cell takes something away.
                values |= {name: before[draft.id][name] for name in absent if name in before[draft.id]}
                if "groups" in absent:
                    draft = replace(draft, groups=tuple(groups_before[draft.id]))
                checked[index] = (row, draft, values)
            there_is = before.get(draft.id)
            difference = Difference(
                row,
                draft.id,
                state(rt, there_is, groups_before[draft.id]) if there_is else None,
                state(rt, values, draft.groups),
            )
            _compare(report, actor, difference, there_is)
        if dry_run or report.errors:
            return report
        changes, import_id = report.changed, _open(connection, rt, actor, report, handed)
        new = [(draft, values) for _, draft, values in checked if draft.id not in before]
        add_people(connection, rt, new, at_version)
        for _, draft, values in checked:
            if draft.id in changes:
                keep_person(connection, rt, draft.id, values, at_version)
        people.set_memberships(connection, {draft.id: draft.groups for _, draft, _ in checked if draft.id in changes})
        rows = [{"person_id": each.id, "before": each.before, "after": each.after} for each in report.differences]
        imports.add_rows(connection, import_id, rows)
        instance.record(
            connection,
            at=rt.now(),
            actor=actor.person_id,
            action="people.import",
            object="people",
            details=report.counts,
        )
        report.applied = True
        return report

    return change_people(rt, () if dry_run else moved, change, at_large=True)


def _flat(connection: Connection, rt: Runtime, drafts: Sequence[tuple[int, PersonDraft]]) -> dict[str, dict[str, Any]]:
    """Those of these people who are there already."""
    there = people.get_many(connection, [draft.id for _, draft in drafts])
    return {person_id: flat(rt, row) for person_id, row in there.items()}


def _read(rt: Runtime, text: str, report: Report) -> tuple[list[tuple[int, PersonDraft]], frozenset[str]]:
    """The rows as drafts, with their numbers, and the columns that the file does not have."""
    if "\0" in text:
        raise Invalid([("file", "holds NUL characters: it is not a CSV file")])
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise Invalid([("file", f"is not CSV: {error}")]) from error
    known = columns(rt)
    header = _header(rows[0] if rows else [], known)
    if len(rows) > ROWS_MAX:
        raise Invalid([("file", f"has more than {ROWS_MAX} rows")])
    drafts: list[tuple[int, PersonDraft]] = []
    first_row: dict[str, int] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            report.errors.append((number, "row", f"has {len(row)} cells where the header has {len(header)}"))
            continue
        cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
        draft = _draft(number, cells, {name: cells.get(name) for name in other_addresses(rt)}, report)
        if draft.id in first_row:
            report.errors.append((number, "id", f"{draft.id!r} stands in row {first_row[draft.id]} already"))
        first_row.setdefault(draft.id, number)
        drafts.append((number, draft))
    if not drafts and not report.errors:
        raise Invalid([("file", "has no rows below its header")])
    return drafts, frozenset(known).difference(header)


def _header(cells: Sequence[str], known: Sequence[str]) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    faults = [
        ("header", f"unknown column {name!r}; there are {', '.join(known)}") for name in header if name not in known
    ]
    faults += [("header", f"column {name!r} is missing") for name in _REQUIRED if name not in header]
    faults += [("header", f"column {name!r} stands twice") for name in known if header.count(name) > 1]
    if faults:
        raise Invalid(faults)
    return header


def _draft(number: int, cells: dict[str, str], addresses: dict[str, str | None], report: Report) -> PersonDraft:
    flag = unicodedata.normalize("NFKC", cells.get("active", "")).lower()
    if flag not in _YES and flag not in _NO:
        report.errors.append((number, "active", f"{cells['active']!r} is neither true nor false"))
    return PersonDraft(
        id=cells["id"],
        name=cells["name"],
        email=cells.get("email") or None,
        phone=cells.get("phone") or None,
        language=cells.get("language", "").lower() or "ja",
        groups=tuple(group for group in re.split(r"[;|、\s]+", cells.get("groups", "")) if group),
        active=flag not in _NO,
        addresses=addresses,
    )


def state(rt: Runtime, values: Mapping[str, Any], groups: Sequence[str]) -> dict[str, Any]:
    """What an import can change of a person, as it is kept and compared, by the columns' names."""
    addresses = {name: values.get(name) for name in other_addresses(rt)}
    own = {name: sorted(set(groups)) if name == "groups" else values[name] for name in _FIELDS}
    return {**own, **addresses}


def _compare(report: Report, actor: Actor, difference: Difference, before: Row | None) -> None:
    if before is not None and not difference.fields:
        report.unchanged += 1
        return
    report.differences.append(difference)
    if before is None:
        return
    if Role.parse(before["role"]) > actor.role:
        told = f"{difference.id!r} has a higher role than you: leave them as they are"
        report.errors.append((difference.row, "id", told))
    elif difference.id == actor.person_id and "active" in difference.fields and before["active"]:
        report.errors.append((difference.row, "active", "you cannot deactivate yourself"))


def _open(connection: Connection, rt: Runtime, actor: Actor, report: Report, handed: Handed | None) -> str:
    """The id under which is kept what was there before. Raises Outdated, Conflict."""
    now = rt.now()
    if handed is not None:
        if not imports.apply(connection, handed.id, report.counts, now):
            raise Conflict("this list was taken in already")
        if handed.digest != report.digest:
            raise Outdated("somebody has changed people meanwhile: look at the differences again")
        return handed.id
    kept = {"id": rt.new_id(), "file": "", "counts": report.counts, "created_at": now, "applied_at": now}
    imports.add(connection, actor_id=actor.person_id, **kept)
    return str(kept["id"])
