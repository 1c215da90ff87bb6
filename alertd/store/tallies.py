"""How many there are of what, by alert, kept as it changes: a summary costs the same whatever the audience.

A tally is (alert, kind, key, value) and how many there are:

- `delivery`, channel, state; `evidence`, channel, rung: deliveries;
- `answer`, choice or "", revision: people of the audience by their last answer and the revision that it is to;
- `group`, group, revision: the same for each group, its sub-groups' people included and each person once; revision 0:
  whoever has not answered.

Deliveries and answers are counted by triggers (`store.triggers`), groups by those who change what they are made of.
On PostgreSQL transactions append what they change and wait for nobody; `compact` adds it up. What is read is always
both, in one snapshot.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Select,
    String,
    Update,
    any_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from alertd.core.delivery import HOPEFUL, State
from alertd.store.rows import in_slices
from alertd.store.schema import (
    acknowledgements,
    deliveries,
    doubts,
    group_members,
    groups,
    recipients,
    tallies,
    tally_changes,
)

_MEMBERSHIPS: Final = 0x67726F757073  # "groups": an advisory lock's number
_COMPACTING: Final = 0x74616C6C79  # "tally": another's
_CHANGES_MOST: Final = 20_000  # that are added up in one transaction
_DOUBTS_MOST: Final = 5_000

Changes = Select[str, str, str, str, int]
_COLUMNS: Final = ("alert_id", "kind", "key", "value", "count")


class Tally(NamedTuple):
    """What is counted; `key` and `value` as the module says."""

    kind: str
    key: str
    value: str


def read(connection: Connection, alert_id: str) -> dict[Tally, int]:
    """An alert's tallies that are not 0, as of one moment."""
    parts = (
        select(table.c.kind, table.c.key, table.c.value, table.c.count).where(table.c.alert_id == alert_id)
        for table in (tallies, tally_changes)
    )
    both = union_all(*parts).subquery()
    what = (both.c.kind, both.c.key, both.c.value)
    query = select(*what, func.sum(both.c.count)).group_by(*what).order_by(*what)
    return {Tally(*row[:3]): int(row[3]) for row in connection.execute(query) if row[3]}


def add_recipients(connection: Connection, alert_id: str, whose: ColumnElement[bool]) -> None:
    """Count recipients of the audience who have just been made, `whose` being true of their rows alone, and see who of
    them has no way at all.

    To be called once for each of them, in the transaction that made them, after their first deliveries are laid down.
    They are made with `answered` 0 and not `hopeless`. Nobody's groups change from here to the commit, so whoever
    locks the installation's row too does that before.
    """
    mine = (recipients.c.alert_id == alert_id) & recipients.c.answered.is_not(None) & whose
    bounds = select(func.min(recipients.c.id), func.max(recipients.c.id)).where(mine)
    lowest, highest = connection.execute(bounds).one()
    reached = select(deliveries.c.recipient_id).where(deliveries.c.recipient_id.between(lowest, highest))
    mute = update(recipients).where(mine, recipients.c.id.not_in(reached.where(deliveries.c.state.in_(HOPEFUL))))
    connection.execute(mute.values(hopeless=True))
    _hold_groups(connection, shared=True)
    _count_groups(connection, mine, 1)


def has_none_in(states: Collection[State]) -> ColumnElement[bool]:
    """Whether a row of `recipients` has no delivery in one of these states."""
    # Counted for each row, by the index of recipients alone: NOT EXISTS may be planned as a walk through all
    # deliveries, and the index of the states holds most of them.
    state = deliveries.c.state + ""
    query = select(func.count()).where(deliveries.c.recipient_id == recipients.c.id, state.in_(states))
    return query.scalar_subquery() == 0


def take_answers(connection: Connection, recipient_ids: Collection[int]) -> None:
    """Let these recipients stand for the revision that their last answer is to now. To be called in the transaction
    that kept their answers.
    """
    _hold_groups(connection, shared=True)
    dialect = connection.dialect.name
    counted, taken = _taking_answers(dialect)
    for some in in_slices(sorted(recipient_ids)):
        connection.execute(counted, {"these": some})
        connection.execute(taken, {"these": some})


@cache  # every answer comes by here, and to put these together takes longer than to execute them
def _taking_answers(dialect: str) -> tuple[Insert, Update]:
    changed = (
        (recipients.c.id == acknowledgements.c.recipient_id)
        & (recipients.c.answered != acknowledgements.c.last_revision)
        & _is_one_of_these(dialect)
    )
    mine = select(recipients.c.alert_id, recipients.c.person_id, recipients.c.answered, literal(-1).label("sign"))
    now = select(recipients.c.alert_id, recipients.c.person_id, acknowledgements.c.last_revision, literal(1))
    both = mine.join(acknowledgements, changed).union_all(now.join(acknowledgements, changed))
    taken = update(recipients).where(changed).values(answered=acknowledgements.c.last_revision)
    return _adding(dialect, _by_group(both.cte("mine"))), taken


def _is_one_of_these(dialect: str) -> ColumnElement[bool]:
    if dialect == "postgresql":
        return recipients.c.id == any_(bindparam("these", type_=postgresql.ARRAY(BigInteger)))
    return recipients.c.id.in_(bindparam("these", expanding=True))


@contextmanager
def regrouping(connection: Connection, person_ids: Collection[str] | Select[Any]) -> Iterator[None]:
    """Count these people's groups anew, in every alert that was for them: the block changes what they are in.

    Until the commit no answer can be kept: to be called as late as can be, and after the installation's row is locked.
    """
    theirs = recipients.c.person_id.in_(person_ids)
    _hold_groups(connection, shared=False)
    _count_groups(connection, theirs, -1)
    yield
    _count_groups(connection, theirs, 1)


def _hold_groups(connection: Connection, *, shared: bool) -> None:
    """Whoever counts by groups sees those that a concurrent change of groups leaves, or is seen by it."""
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        connection.execute(select(lock(_MEMBERSHIPS)))


def _count_groups(connection: Connection, whom: ColumnElement[bool], sign: int) -> None:
    """Add (`sign` 1) or subtract (-1) what these recipients make of their groups' tallies."""
    columns = (recipients.c.alert_id, recipients.c.person_id, recipients.c.answered, literal(sign).label("sign"))
    mine = select(*columns).where(whom, recipients.c.answered.is_not(None)).cte("mine")
    connection.execute(_adding(connection.dialect.name, _by_group(mine)))


def _by_group(mine: CTE) -> Changes:
    """What recipients (`alert_id`, `person_id`, `answered`, `sign`) make of their groups' tallies."""
    direct = select(group_members.c.group_id, group_members.c.group_id.label("above")).distinct()
    up = direct.where(group_members.c.person_id.in_(select(mine.c.person_id))).cte("up", recursive=True)
    parent = select(up.c.group_id, groups.c.parent_id).join(groups, groups.c.id == up.c.above)
    up = up.union(parent.where(groups.c.parent_id.is_not(None)))
    direct_group = group_members.c.group_id + ""  # found by person: by group, SQLite would try each person in each
    revision = cast(mine.c.answered, String)
    count = func.count(mine.c.person_id.distinct()) * mine.c.sign
    return (
        select(mine.c.alert_id, literal("group"), up.c.above, revision, count)
        .join(group_members, group_members.c.person_id == mine.c.person_id)
        .join(up, up.c.group_id == direct_group)
        .group_by(mine.c.alert_id, up.c.above, revision, mine.c.sign)
    )


def _adding(dialect: str, changes: Changes) -> Insert:
    """The statement that adds them to the tallies."""
    if dialect == "postgresql":
        return insert(tally_changes).from_select(_COLUMNS, changes)
    new = sqlite.insert(tallies).from_select(_COLUMNS, changes.where(true()))
    risen = {"count": tallies.c.count + new.excluded.count}
    return new.on_conflict_do_update(index_elements=_COLUMNS[:-1], set_=risen)


def compact(connection: Connection) -> bool:
    """Add up what transactions have appended, and settle doubts; whether there is more of it. However many call it at
    once, one does it.
    """
    if connection.dialect.name != "postgresql":
        return False
    if not connection.execute(select(func.pg_try_advisory_xact_lock(_COMPACTING))).scalar_one():
        return False
    settled = _settle_doubts(connection)
    return _add_up(connection) == _CHANGES_MOST or settled == _DOUBTS_MOST


def _add_up(connection: Connection) -> int:
    oldest = select(tally_changes.c.id).order_by(tally_changes.c.id).limit(_CHANGES_MOST)
    gone = delete(tally_changes).where(tally_changes.c.id.in_(oldest)).returning(tally_changes).cte("gone")
    what = tuple(gone.c[name] for name in _COLUMNS[:-1])
    new = postgresql.insert(tallies).from_select(_COLUMNS, select(*what, func.sum(gone.c.count)).group_by(*what))
    added = new.on_conflict_do_update(
        index_elements=_COLUMNS[:-1], set_={"count": tallies.c.count + new.excluded.count}
    )
    counted = select(func.count()).select_from(select(tally_changes.c.id).limit(_CHANGES_MOST).subquery())
    before = int(connection.execute(counted).scalar_one())
    if before:
        connection.execute(added)
    return before


def _settle_doubts(connection: Connection) -> int:
    now = has_none_in(HOPEFUL).label("now")
    query = (
        select(doubts.c.id, recipients.c.id.label("recipient_id"), recipients.c.hopeless, now)
        .join(recipients, recipients.c.id == doubts.c.recipient_id)
        .order_by(doubts.c.id)
        .limit(_DOUBTS_MOST)
    )
    # Of one snapshot: whoever loses their last hope after it stands in a row that is not among these.
    rows = connection.execute(query).all()
    busy: set[int] = set()
    for hopeless in (False, True):
        wrong = sorted({row.recipient_id for row in rows if row.now is hopeless is not row.hopeless})
        for some in in_slices(wrong):
            # Whoever answers at this moment is left for the next time: nobody waits crosswise.
            free = (
                select(recipients.c.id)
                .where(recipients.c.id.in_(some))
                .with_for_update(skip_locked=True, key_share=True)
            )
            ids = list(connection.execute(free).scalars())
            connection.execute(update(recipients).where(recipients.c.id.in_(ids)).values(hopeless=hopeless))
            busy.update(set(some).difference(ids))
    for some in in_slices([row.id for row in rows if row.recipient_id not in busy]):
        connection.execute(delete(doubts).where(doubts.c.id.in_(some)))
    return len(rows) - len(busy)
