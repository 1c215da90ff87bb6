"""How the answers to an alert came in over time, counted on indexes, whatever the audience.

Somebody has answered from when their first answer came that is to what the alert asks now. That is when their last one
came, unless they changed their mind: the index of the last answers is counted, and the few who did are put right.
(Whoever changed it after the alert had asked again counts from their last answer: those between are not kept.)
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from typing import Final

from sqlalchemy import Column, Connection, func, select

from alertd.store.columns import UtcDateTime
from alertd.store.rows import Row, given
from alertd.store.schema import acknowledgements, recipients

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PARTS: Final = 200  # into which a stretch of time is divided to look for a moment
_BOUNDS: Final = (Column("after", UtcDateTime), Column("upto", UtcDateTime))


def answered_by(connection: Connection, alert: Row, moments: Sequence[datetime]) -> list[int]:
    """How many of the audience had answered at each of these moments, which rise."""
    if not moments:
        return []
    counts = _last_answers(connection, alert, moments)
    for first, last in _changed(connection, alert):
        _move(counts, moments, first, 1)
        _move(counts, moments, last, -1)
    for at in _of_others(connection, alert):
        _move(counts, moments, at, -1)
    return list(accumulate(counts))


def moment_of(connection: Connection, alert: Row, number: int, newest: datetime) -> datetime | None:
    """When the `number`-th of the audience answered, given that no answer is newer than `newest`; None while fewer
    have.
    """
    low, high = _BEGINNING, newest
    if number < 1 or answered_by(connection, alert, [high])[0] < number:
        return None
    low = max(low, alert["sent_at"] - timedelta(seconds=1))
    while high - low > timedelta(microseconds=1):
        step = max((high - low) / _PARTS, timedelta(microseconds=1))
        marks = [low + step * part for part in range(1, _PARTS) if low + step * part < high] + [high]
        there = bisect_left(answered_by(connection, alert, marks), number)
        low, high = (marks[there - 1] if there else low), marks[there]
    return high


def _last_answers(connection: Connection, alert: Row, moments: Sequence[datetime]) -> list[int]:
    """How many last answers that count came up to each of `moments`, after the one before it."""
    bounds = [{"after": after, "upto": upto} for after, upto in pairwise((_BEGINNING, *moments))]
    stretch = given(connection, bounds, _BOUNDS)
    its = acknowledgements.c.alert_id == alert["id"]
    if alert["asked_revision"] > 1:
        its &= acknowledgements.c.last_revision >= alert["asked_revision"]
    at = acknowledgements.c.last_received_at
    # One count for each stretch, each a piece of the index, rather than all rows put into groups.
    count = select(func.count()).where(its, at > stretch.c.after, at <= stretch.c.upto).scalar_subquery()
    return [int(row[1]) for row in connection.execute(select(stretch.c.upto, count).order_by(stretch.c.upto))]


def _changed(connection: Connection, alert: Row) -> list[tuple[datetime, datetime]]:
    """When those who changed what they had answered first answered, and last."""
    kept = acknowledgements.c
    query = select(kept.first_received_at, kept.last_received_at).where(
        kept.alert_id == alert["id"],
        kept.first_received_at != kept.last_received_at,
        kept.first_revision >= alert["asked_revision"],
    )
    return [(row[0], row[1]) for row in connection.execute(query)]


def _of_others(connection: Connection, alert: Row) -> list[datetime]:
    """When people answered who are not in the audience: supervisors, for whose answer nobody waits."""
    kept, asked = acknowledgements.c, alert["asked_revision"]
    query = (
        select(kept.first_revision, kept.first_received_at, kept.last_received_at)
        .join(recipients, recipients.c.id == kept.recipient_id)
        .where(recipients.c.alert_id == alert["id"], recipients.c.answered.is_(None), kept.last_revision >= asked)
    )
    return [
        row.first_received_at if row.first_revision >= asked else row.last_received_at
        for row in connection.execute(query)
    ]


def _move(counts: list[int], moments: Sequence[datetime], at: datetime, by: int) -> None:
    place = bisect_left(moments, at)
    if place < len(moments):
        counts[place] += by
