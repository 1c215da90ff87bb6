"""What only ever rises: outcomes by what they were, and what was used up of what costs money."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite

from alertd.store.rows import Row
from alertd.store.schema import outcomes, usage


class OutcomeKind(NamedTuple):
    """What outcomes are counted by. `code`: see `core.delivery.outcome_code`."""

    channel: str
    provider: str
    outcome: str
    code: str


def count_outcomes(connection: Connection, counts: Mapping[OutcomeKind, int]) -> None:
    """Add to the counts of outcomes. In one order everywhere: two workers that do the same must not wait crosswise."""
    for kind, count in sorted(counts.items()):
        _raise(connection, outcomes, kind._asdict(), "count", count)


def list_outcomes(connection: Connection) -> list[Row]:
    """Every count: `channel`, `provider`, `outcome`, `code`, `count`."""
    return [row._asdict() for row in connection.execute(select(outcomes))]


def use(connection: Connection, channel: str, day: str, units: int) -> int:
    """Note that so many units were used on that day (of the installation's zone); how many that makes."""
    _raise(connection, usage, {"channel": channel, "day": day}, "units", units, {"warned": 0})
    return used(connection, channel, day)


def used(connection: Connection, channel: str, day: str) -> int:
    """What a channel has used up on that day (`2026-11-22`) of what costs money."""
    query = select(usage.c.units).where(usage.c.channel == channel, usage.c.day == day)
    return connection.execute(query).scalar_one_or_none() or 0


def warn(connection: Connection, channel: str, day: str, percent: int) -> bool:
    """Note that somebody was warned of that percentage of the day's ceiling; False when it was done before."""
    query = update(usage).where(usage.c.channel == channel, usage.c.day == day, usage.c.warned < percent)
    return connection.execute(query.values(warned=percent)).rowcount == 1


def _raise(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    column: str,
    by: int,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Raise `column` of the row with that primary key, which is made if there is none."""
    values = {**key, **(defaults or {}), column: by}
    risen = {column: table.c[column] + by}
    if connection.dialect.name == "postgresql":
        connection.execute(
            postgresql.insert(table).values(values).on_conflict_do_update(index_elements=list(key), set_=risen)
        )
    else:
        connection.execute(
            sqlite.insert(table).values(values).on_conflict_do_update(index_elements=list(key), set_=risen)
        )
