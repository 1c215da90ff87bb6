"""Looking people up: by words and by what they lack, page by page."""

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import ColumnElement, Connection, case, exists, func, null, or_, select

from alertd.store import proofs
from alertd.store.rows import Row
from alertd.store.schema import group_members, people, subscriptions

Lack = Literal["address", "proof", "hope", "part", "certainty"]
"""What people lack:

- address: nothing can be sent to them
- hope: nor does anything that can be sent get through, as far as the newest messages tell
- part: one of their ways no longer works, another may
- proof: nothing was ever proven to arrive
- certainty: the same, but nothing is known against any of their ways either
"""
_SPACES: Final = (" ", "\u3000")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whom to find: all that is given must be true of them."""

    text: tuple[str, ...] = ()  # any of these stands in the name (spaces aside), the id or the mail address
    digits: str = ""  # stand in the phone number
    groups: frozenset[str] | None = None  # is in one of them
    active: bool | None = None
    lacks: Lack | None = None


def find(connection: Connection, wanted: Wanted, *, after: str | None, limit: int) -> list[Row]:
    """People by id, those after `after`."""
    query = select(people).where(*_conditions(wanted)).order_by(people.c.id).limit(limit)
    if after is not None:
        query = query.where(people.c.id > after)
    return [row._asdict() for row in connection.execute(query)]


def count(connection: Connection, wanted: Wanted) -> int:
    return int(connection.execute(select(func.count()).select_from(people).where(*_conditions(wanted))).scalar_one())


def count_standings(connection: Connection, wanted: Wanted) -> dict[str | None, int]:
    """How many people there are by what they lack, in one look at each; None: nothing of these."""
    stand = _standing().label("standing")
    query = select(stand, func.count()).select_from(people).where(*_conditions(wanted)).group_by(stand)
    return {row[0]: row[1] for row in connection.execute(query)}


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.text or wanted.digits:
        conditions.append(or_(*_matches(wanted)))
    if wanted.groups is not None:
        members = select(group_members.c.person_id).where(group_members.c.group_id.in_(wanted.groups))
        conditions.append(people.c.id.in_(members))
    if wanted.active is not None:
        conditions.append(people.c.active.is_(wanted.active))
    if wanted.lacks is not None:
        conditions += _lacking(wanted.lacks)
    return conditions


def _lacking(lack: Lack) -> list[ColumnElement[bool]]:
    match lack:
        case "address":
            return [~_has(proofs.is_live())]
        case "proof":
            return [~_is_proven()]
        case "hope":
            return [~_is_working()]
        case "part":
            return [_is_working(), _is_broken()]
        case "certainty":
            return [_is_working(), ~_is_broken(), ~_is_proven()]


def _standing() -> ColumnElement[str | None]:
    """Which of hope, part and certainty somebody lacks, as `_lacking` has them: whoever lacks one is asked no more."""
    return case((~_is_working(), "hope"), (_is_broken(), "part"), (~_is_proven(), "certainty"), else_=null())


def _is_working() -> ColumnElement[bool]:
    return _has(proofs.is_live(), ~proofs.is_failing())


def _is_broken() -> ColumnElement[bool]:
    return _has(proofs.is_broken())


def _is_proven() -> ColumnElement[bool]:
    return _has(proofs.is_live(), proofs.is_proven())


def _has(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether one of a person's subscriptions is so."""
    return exists().where(subscriptions.c.person_id == people.c.id, *conditions).correlate(people)


def _matches(wanted: Wanted) -> list[ColumnElement[bool]]:
    name: ColumnElement[str] = people.c.name
    for space in _SPACES:
        name = func.replace(name, space, "")
    texts = (func.lower(name), people.c.id, func.lower(people.c.id), func.lower(people.c.email))
    found = [column.contains(text, autoescape=True) for text in wanted.text for column in texts]
    if wanted.digits:
        found.append(people.c.phone.contains(wanted.digits, autoescape=True))
    return found
