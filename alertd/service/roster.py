"""Looking people up: the list of everybody, with what is known of the ways to each, and one person in full."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final, get_args

from sqlalchemy import Connection

from alertd.core.audience import with_subgroups
from alertd.core.errors import NotFound
from alertd.service.directory import person_view
from alertd.service.runtime import Runtime
from alertd.service.ways import list_ways
from alertd.store import people, roster
from alertd.store.roster import Lack, Wanted

TEXT_MAX: Final = 200  # characters of a search: no name is longer

LACKS: Final[dict[str, Lack]] = {each: each for each in get_args(Lack)}  # what a search can ask for

_NUMBER: Final = re.compile(r"\+?[\d()\-.\s]*\d[\d()\-.\s]*")


@dataclass(frozen=True, slots=True)
class Search:
    """Whom to look for; what is left out does not matter."""

    text: str = ""  # part of a name, an id, a mail address or a phone number, however it is written
    group: str | None = None  # with the groups below it
    active: bool | None = None
    lacks: Lack | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One page of people, and the id after which the next page begins."""

    people: list[dict[str, Any]]
    following: str | None


def find_people(rt: Runtime, search: Search, *, after: str | None, limit: int) -> Found:
    """People by id with their `groups` and `ways`, those after `after`."""
    with rt.store.read() as connection:
        rows = roster.find(connection, _wanted(connection, search), after=after, limit=limit + 1)
        shown = rows[:limit]
        ids = [row["id"] for row in shown]
        member_of, ways = people.memberships(connection, ids), list_ways(connection, ids)
    found = [{**person_view(rt, row, member_of[row["id"]]), "ways": ways[row["id"]]} for row in shown]
    return Found(found, ids[-1] if len(rows) > limit else None)


def count_people(rt: Runtime, search: Search) -> int:
    """How many people a search finds in all."""
    with rt.store.read() as connection:
        return roster.count(connection, _wanted(connection, search))


def count_standings(rt: Runtime, search: Search) -> dict[str | None, int]:
    """How many of them lack hope, part or certainty; None: nothing of these."""
    with rt.store.read() as connection:
        return roster.count_standings(connection, _wanted(connection, search))


def _wanted(connection: Connection, search: Search) -> Wanted:
    groups = None
    if search.group is not None:
        groups = frozenset(with_subgroups([search.group], people.parents(connection)))
    return Wanted(_texts(search.text), _digits(search.text), groups, search.active, search.lacks)


def read_person(rt: Runtime, person_id: str) -> dict[str, Any]:
    """A person with their `groups`, `ways`, `version` and `updated_at`. Raises NotFound."""
    with rt.store.read() as connection:
        row = people.get(connection, person_id)
        if row is None:
            raise NotFound(f"there is no person {person_id!r}")
        view = person_view(rt, row, people.memberships(connection, [person_id])[person_id])
        ways = list_ways(connection, [person_id])[person_id]
    return {**view, "ways": ways, "version": row["version"], "updated_at": row["updated_at"]}


def _plain(text: str) -> str:
    """A search as it is looked up: without spaces, controls and marks that nobody sees, and not too long."""
    seen = (char for char in text if unicodedata.category(char) not in {"Cc", "Cf", "Cs"} and not char.isspace())
    return "".join(seen)[:TEXT_MAX]


def _texts(text: str) -> tuple[str, ...]:
    """What names are kept as may be full-width or half-width: both are looked for."""
    written = _plain(text)
    spelled = (written, written.lower(), unicodedata.normalize("NFKC", written).lower())
    return tuple(dict.fromkeys(each for each in spelled if each))


def _digits(text: str) -> str:
    """The digits of what may be part of a phone number, without the 0 that stands for the country."""
    number = unicodedata.normalize("NFKC", text).strip().replace("−", "-").replace("ー", "-").replace("‐", "-")
    if len(number) > TEXT_MAX or not _NUMBER.fullmatch(number):
        return ""
    return re.sub(r"\D", "", number).removeprefix("0")
