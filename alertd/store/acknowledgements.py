"""Answers: the first and the last of each recipient, each with the way it came."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import ColumnElement, Connection, Insert, String, bindparam, func, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from alertd.store import tallies
from alertd.store.rows import Row, among, as_json, at_once, in_slices, insert_new, rows_by, table_of
from alertd.store.schema import acknowledgements, recipients, replies


@dataclass(frozen=True, slots=True)
class Answer:
    """One acknowledgement as it was given. `by` is the person who gave it: another one when it is a proxy's."""

    recipient_id: int
    alert_id: str
    person_id: str
    revision: int
    answer: str | None
    comment: str | None
    way: str
    by: str
    late: bool
    answered_at: datetime
    received_at: datetime

    def columns(self, which: str) -> dict[str, object]:
        names = ("answer", "comment", "way", "by", "revision", "late", "answered_at", "received_at")
        return {f"{which}_{name}": getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a group of answers."""

    rows: Mapping[int, Row]  # as they stand now, by recipient
    firsts: Sequence[bool]  # of each answer, whether it was its recipient's first


def keep_all(connection: Connection, answers: Sequence[Answer], asked: Mapping[str, int]) -> Kept:
    """Keep answers, sorted by recipient: as the first if there is none, else as the last.

    A bare acknowledgement takes nothing back that was answered before, unless that was before the alert asked again, in
    the revision that `asked` has for it; and an answer given earlier than the one we have (a phone that was offline)
    does not replace it as the last. In that order, and all that are new before any that is not, so that two processes
    that keep the same answers never wait for each other crosswise.
    """
    earliest: dict[int, Answer] = {}
    for answer in answers:
        earliest.setdefault(answer.recipient_id, answer)
    rows = {recipient_id: _row(answer) for recipient_id, answer in earliest.items()}
    made = _insert_new(connection, rows)
    firsts = [answer.recipient_id in made and earliest[answer.recipient_id] is answer for answer in answers]
    again = [answer for answer, first in zip(answers, firsts, strict=True) if not first]
    for answer in again:
        _keep_as_last(connection, answer, asked[answer.alert_id])
    tallies.take_answers(connection, rows.keys())
    return Kept({**rows, **of_many(connection, [answer.recipient_id for answer in again])}, firsts)


def _insert_new(connection: Connection, rows: Mapping[int, Row]) -> set[int]:
    """Insert the rows of those recipients who have none yet; who these were."""
    if not rows:
        return set()
    dialect = connection.dialect
    parameters = {"rows": as_json(dialect, list(rows.values()), _GIVEN)}
    if dialect.name == "postgresql":
        return set(connection.execute(_inserting(dialect.name), parameters).scalars())
    # There is one writer at a time: who has none now has none until we are done.
    ids = acknowledgements.c.recipient_id
    there = {
        number
        for some in in_slices(list(rows))
        for (number,) in at_once(connection, select(ids).where(among(connection, ids, some)))
    }
    connection.execute(_inserting(dialect.name), parameters)
    return rows.keys() - there


# What the first answer is is the last one, too.
_GIVEN: Final = tuple(column for column in acknowledgements.c if not column.name.startswith("last_"))


@cache  # a statement of so many columns takes longer to put together than to execute
def _inserting(dialect: str) -> Insert:
    its = table_of(dialect, bindparam("rows", type_=String), _GIVEN).c
    names = [column.name for column in acknowledgements.c]
    chosen = select(*(its[name.replace("last_", "first_")] for name in names))
    if dialect == "postgresql":
        new = postgresql.insert(acknowledgements).from_select(names, chosen)
        return new.on_conflict_do_nothing().returning(acknowledgements.c.recipient_id)
    # After a SELECT, `ON CONFLICT` needs a WHERE before it: otherwise SQLite takes it for a join's ON.
    return sqlite.insert(acknowledgements).from_select(names, chosen.where(true())).on_conflict_do_nothing()


def _row(answer: Answer) -> dict[str, object]:
    return {
        "recipient_id": answer.recipient_id,
        "alert_id": answer.alert_id,
        "person_id": answer.person_id,
        **answer.columns("first"),
        **answer.columns("last"),
    }


def _keep_as_last(connection: Connection, answer: Answer, asked_revision: int) -> None:
    outlived = (acknowledgements.c.recipient_id == answer.recipient_id) & (
        acknowledgements.c.last_revision < asked_revision
    )
    again = update(acknowledgements).where(outlived).values(**answer.columns("last"))
    if connection.execute(again).rowcount or (answer.answer is None and answer.comment is None):
        return
    query = update(acknowledgements).where(
        acknowledgements.c.recipient_id == answer.recipient_id,
        acknowledgements.c.last_answered_at <= answer.answered_at,
        acknowledgements.c.last_revision <= answer.revision,
    )
    values = answer.columns("last")
    if answer.answer is None:
        del values["last_answer"]
    connection.execute(query.values(**values))


def answered_reply(connection: Connection, channel: str, message_id: str) -> str | None:
    """What was written back to that message, if it came before."""
    query = select(replies.c.answer).where(replies.c.channel == channel, replies.c.message_id == message_id)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def keep_reply(connection: Connection, channel: str, message_id: str, answer: str, now: datetime) -> None:
    """Remember a message and what was written back."""
    row = {"channel": channel, "message_id": message_id, "answer": answer, "received_at": now}
    insert_new(connection, replies, row)


def of(connection: Connection, recipient_id: int) -> Row | None:
    return of_many(connection, [recipient_id]).get(recipient_id)


def of_many(connection: Connection, recipient_ids: Sequence[int]) -> dict[int, Row]:
    """What these recipients answered, by recipient number."""
    return rows_by(connection, acknowledgements.c.recipient_id, recipient_ids)


def last_received_at(connection: Connection, alert_id: str) -> datetime | None:
    """When the newest answer to an alert came."""
    query = select(func.max(acknowledgements.c.last_received_at)).where(acknowledgements.c.alert_id == alert_id)
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def by_way(connection: Connection, alert: Row) -> dict[str, int]:
    """How many of the audience answered what `alert` (its row) asks now, by the way their last answer came."""
    query = select(acknowledgements.c.last_way, func.count()).where(*_counted(alert))
    joined = query.join(recipients, recipients.c.id == acknowledgements.c.recipient_id)
    rows = connection.execute(joined.group_by(acknowledgements.c.last_way).order_by(acknowledgements.c.last_way))
    return {way: int(count) for way, count in rows}


def by_proxy(connection: Connection, alert: Row, limit: int) -> list[Row]:
    """The first `limit` of these answers that somebody gave for somebody else: `person_id`, `last_by`, `last_answer`,
    `last_comment`, `last_received_at`, in the order of time.
    """
    its = acknowledgements.c
    query = (
        select(its.person_id, its.last_by, its.last_answer, its.last_comment, its.last_received_at)
        .join(recipients, recipients.c.id == its.recipient_id)
        .where(*_counted(alert), its.last_way == "proxy")
        .order_by(its.last_received_at, its.recipient_id)
        .limit(limit)
    )
    return [row._asdict() for row in connection.execute(query)]


def _counted(alert: Row) -> tuple[ColumnElement[bool], ...]:
    return (
        acknowledgements.c.alert_id == alert["id"],
        acknowledgements.c.last_revision >= alert["asked_revision"],
        recipients.c.answered.is_not(None),
    )


def of_people(connection: Connection, alert_id: str, person_ids: Collection[str]) -> dict[str, Row]:
    """What these people answered to an alert, by person id."""
    found: dict[str, Row] = {}
    for some in in_slices(list(person_ids)):
        query = (
            select(acknowledgements)
            .join(recipients, recipients.c.id == acknowledgements.c.recipient_id)
            .where(recipients.c.alert_id == alert_id, recipients.c.person_id.in_(some))
        )
        found.update({row.person_id: row._asdict() for row in connection.execute(query)})
    return found
