"""Triggers that keep the tallies: whatever moves a delivery or an answer is counted in the same transaction.

PostgreSQL counts by statement and appends what changes, so that no two transactions wait for a common row; the clock
adds it up (`store.tallies`). SQLite, with one writer at a time, counts by row and at once.
"""

# ruff: noqa: S608 - every part of these statements is a constant

from collections.abc import Iterator
from typing import Final

from alertd.core.delivery import HOPEFUL

EVIDENCE: Final = ("accepted_at", "delivered_at", "displayed_at", "opened_at")

_HOPEFUL: Final = ", ".join(f"'{state}'" for state in sorted(HOPEFUL))
_COLUMNS: Final = "alert_id, kind, key, value, count"


def statements(dialect: str) -> Iterator[str]:
    """The DDL for `dialect`, to be executed once, after the tables are made."""
    yield from _for_postgresql() if dialect == "postgresql" else _for_sqlite()


def _for_postgresql() -> Iterator[str]:
    yield from _by_statement("deliveries", "INSERT", f"{_delivery_changes(('added', 1))}; {_DOUBT_ADDED};")
    both = (("before", -1), ("after", 1))
    yield from _by_statement("deliveries", "UPDATE", f"{_delivery_changes(*both)}; {_DOUBT_CHANGED};")
    yield from _by_statement("acknowledgements", "INSERT", f"{_answer_changes(('added', 1))};")
    yield from _by_statement("acknowledgements", "UPDATE", f"{_answer_changes(*both)};")


def _by_statement(table: str, event: str, body: str) -> Iterator[str]:
    name = f"tally_{table}_{event.lower()}"
    rows = "NEW TABLE AS added" if event == "INSERT" else "OLD TABLE AS before NEW TABLE AS after"
    # A plan is kept for a session: made while a table was small, it must not read the table whole once it is large.
    yield (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off"
        f" AS $$ BEGIN {body} RETURN NULL; END $$"
    )
    yield (
        f"CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING {rows}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
    )


def _sides(columns: str, *sides: tuple[str, int]) -> str:
    return " UNION ALL ".join(f"SELECT {columns}, {sign} AS sign FROM {rows}" for rows, sign in sides)


def _delivery_changes(*sides: tuple[str, int]) -> str:
    rungs = ", ".join(f"sum(sign) FILTER (WHERE {rung} IS NOT NULL) AS {rung}" for rung in EVIDENCE)
    values = ", ".join(f"('evidence', '{rung}', c.{rung})" for rung in EVIDENCE)
    return f"""
        INSERT INTO tally_changes ({_COLUMNS})
        SELECT c.alert_id, v.kind, c.channel, v.value, sum(v.count)
        FROM (
            SELECT alert_id, channel, state, sum(sign) AS count, {rungs}
            FROM ({_sides(f"alert_id, channel, state, {', '.join(EVIDENCE)}", *sides)}) s
            GROUP BY alert_id, channel, state
        ) c CROSS JOIN LATERAL (VALUES ('delivery', c.state, c.count), {values}) v(kind, value, count)
        GROUP BY c.alert_id, v.kind, c.channel, v.value
        HAVING sum(v.count) <> 0"""


def _answer_changes(*sides: tuple[str, int]) -> str:
    return f"""
        INSERT INTO tally_changes ({_COLUMNS})
        SELECT alert_id, 'answer', coalesce(last_answer, ''), last_revision::text, sum(sign)
        FROM ({_sides("alert_id, recipient_id, last_answer, last_revision", *sides)}) s
        WHERE (SELECT answered FROM recipients WHERE id = recipient_id) IS NOT NULL
        GROUP BY alert_id, last_answer, last_revision
        HAVING sum(sign) <> 0"""


# What an alert lays down first goes to people of whom nobody has said yet that they are without hope.
_DOUBT_ADDED: Final = """
    INSERT INTO doubts (alert_id, recipient_id)
    SELECT DISTINCT alert_id, recipient_id FROM added
    WHERE (step > 0 OR revision > 1) AND (SELECT hopeless FROM recipients WHERE id = recipient_id)"""
_DOUBT_CHANGED: Final = f"""
    INSERT INTO doubts (alert_id, recipient_id)
    SELECT alert_id, recipient_id FROM ({_sides("alert_id, recipient_id, state", ("before", -1), ("after", 1))}) s
    WHERE state IN ({_HOPEFUL})
    GROUP BY alert_id, recipient_id
    HAVING sum(sign) <> 0"""


def _for_sqlite() -> Iterator[str]:
    state = ("'delivery'", "channel", "state")
    yield _by_row("deliveries", "INSERT", "state", "", _count("NEW", 1, *state))
    moved = _count("OLD", -1, *state) + _count("NEW", 1, *state)
    yield _by_row("deliveries", "UPDATE OF state", "state", "WHEN OLD.state <> NEW.state", moved)
    for rung in EVIDENCE:
        proof = ("'evidence'", "channel", f"'{rung}'")
        yield _by_row("deliveries", "INSERT", rung, f"WHEN NEW.{rung} IS NOT NULL", _count("NEW", 1, *proof))
        gained = f"WHEN OLD.{rung} IS NULL AND NEW.{rung} IS NOT NULL"
        yield _by_row("deliveries", f"UPDATE OF {rung}", rung, gained, _count("NEW", 1, *proof))
        lost = f"WHEN OLD.{rung} IS NOT NULL AND NEW.{rung} IS NULL"
        yield _by_row("deliveries", f"UPDATE OF {rung}", f"no_{rung}", lost, _count("NEW", -1, *proof))
    yield from _hope_by_row()
    waited_for = "(SELECT answered FROM recipients WHERE id = NEW.recipient_id) IS NOT NULL"
    answer = ("'answer'", "coalesce({row}.last_answer, '')", "CAST({row}.last_revision AS TEXT)")
    yield _by_row("acknowledgements", "INSERT", "answer", f"WHEN {waited_for}", _count("NEW", 1, *answer))
    changed = _count("OLD", -1, *answer) + _count("NEW", 1, *answer)
    yield _by_row("acknowledgements", "UPDATE OF last_answer, last_revision", "answer", f"WHEN {waited_for}", changed)


def _hope_by_row() -> Iterator[str]:
    was, remains = (f"{row}.state IN ({_HOPEFUL})" for row in ("OLD", "NEW"))
    mine = "id = NEW.recipient_id"
    found = "UPDATE recipients SET hopeless = 0 WHERE id = NEW.recipient_id AND hopeless;"
    lost = f"""UPDATE recipients SET hopeless = 1 WHERE {mine} AND NOT hopeless AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE recipient_id = NEW.recipient_id AND state IN ({_HOPEFUL}));"""
    yield _by_row("deliveries", "INSERT", "hope", f"WHEN {remains}", found)
    yield _by_row("deliveries", "UPDATE OF state", "hope", f"WHEN {remains} AND NOT {was}", found)
    yield _by_row("deliveries", "UPDATE OF state", "no_hope", f"WHEN {was} AND NOT {remains}", lost)


def _by_row(table: str, event: str, name: str, when: str, body: str) -> str:
    unique = f"tally_{table}_{event.split()[0].lower()}_{name}"
    return f"CREATE TRIGGER {unique} AFTER {event} ON {table} {when} BEGIN {body} END"


def _count(row: str, by: int, kind: str, key: str, value: str) -> str:
    """Add `by` for the row; `key` and `value` are columns, or expressions."""
    key, value = (
        each.format(row=row) if "{row}" in each else each if each.startswith("'") else f"{row}.{each}"
        for each in (key, value)
    )
    return (
        f"INSERT INTO tallies ({_COLUMNS}) VALUES ({row}.alert_id, {kind}, {key}, {value}, {by})"
        f" ON CONFLICT (alert_id, kind, key, value) DO UPDATE SET count = count + excluded.count;"
    )
