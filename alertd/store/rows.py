"""What every query module needs: inserts that give way to a row already there, and long lists."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Select,
    String,
    Table,
    any_,
    cast,
    func,
    literal,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from alertd.store.columns import UtcDateTime

T = TypeVar("T")
Row = Mapping[str, Any]


def insert_new(connection: Connection, table: Table, row: Row) -> bool:
    """Insert a row unless one is there that it would clash with; True when it was made."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(table).values(**row).on_conflict_do_nothing().returning(literal(True))
    return connection.execute(new).first() is not None


def put_row(connection: Connection, table: Table, row_id: str, values: Row, defaults: Row) -> bool:
    """Change the row of that id, or make it with `defaults` beside `values`; True when it was made.

    Somebody else may make it at the same moment: then theirs is changed.
    """
    changed = update(table).where(table.c.id == row_id).values(**values)
    if connection.execute(changed).rowcount:
        return False
    if insert_new(connection, table, {**defaults, **values, "id": row_id}):
        return True
    connection.execute(changed)
    return False


def rows_by(connection: Connection, key: Column[T], values: Collection[T]) -> dict[T, Row]:
    """The rows whose `key`, unique in its table, is one of `values`, by it."""
    found: dict[T, Row] = {}
    for some in in_slices(list(values)):
        for row in connection.execute(select(key.table).where(among(connection, key, some))).mappings():
            found[row[key.name]] = dict(row)
    return found


def listed(connection: Connection, values: Collection[str]) -> Select[Any]:
    """`values` as a sub-query: one parameter, however many they are."""
    text = literal(json.dumps(list(values)), String)
    if connection.dialect.name == "postgresql":
        return select(func.json_array_elements_text(cast(text, JSON)).table_valued("value"))
    return select(func.json_each(text).table_valued("value"))


def given(connection: Connection, rows: Sequence[Row], columns: Sequence[Column[Any]]) -> FromClause:
    """`rows`, by the names of these columns and of their types, as a table to join with: one parameter in all."""
    text = literal(as_json(connection.dialect, rows, columns), String)
    return table_of(connection.dialect.name, text, columns)


def table_of(dialect: str, text: ColumnElement[str], columns: Sequence[Column[Any]]) -> FromClause:
    """The rows of such a parameter: for a statement that is put together once."""
    if dialect == "postgresql":
        there = func.json_to_recordset(cast(text, JSON)).table_valued(*(Column(c.name, c.type) for c in columns))
        return there.render_derived(name="given", with_types=True)
    each = func.json_each(text).table_valued("value")
    values = (func.json_extract(each.c.value, f"$.{column.name}") for column in columns)
    typed = (type_coerce(value, column.type) for value, column in zip(values, columns, strict=True))
    return select(*(value.label(column.name) for value, column in zip(typed, columns, strict=True))).subquery("given")


def as_json(dialect: Dialect, rows: Sequence[Row], columns: Sequence[Column[Any]]) -> str:
    """The parameter that `table_of` reads."""
    made = [{column.name: _plain(column, row[column.name], dialect) for column in columns} for row in rows]
    return json.dumps(made)


def at_once(connection: Connection, query: Select[Any]) -> list[Sequence[Any]]:
    """The rows of a query for numbers and words, as lists.

    On SQLite as one value: for each row that it steps to, the driver lets go of the interpreter and queues for it
    again, which beside a busy thread took ten times as long as all the rest.
    """
    if connection.dialect.name == "postgresql":
        return [list(row) for row in connection.execute(query)]
    rows = query.subquery()
    text = connection.execute(select(func.json_group_array(func.json_array(*rows.c)))).scalar_one()
    found: list[Sequence[Any]] = json.loads(text)
    return found


def _plain(column: Column[Any], value: Any, dialect: Dialect) -> Any:
    """A value as JSON can carry it to a column."""
    if isinstance(column.type, UtcDateTime):
        value = column.type.process_bind_param(value, dialect)
    return value.isoformat() if isinstance(value, datetime) else value


def among(connection: Connection, column: Column[T], values: Sequence[T]) -> ColumnElement[bool]:
    """Whether `column` is one of `values`; on PostgreSQL these are one parameter, however many they are.

    Of a long `IN` each value is a parameter of its own, which took a third of the processor time of a claim; and it is
    another statement for every number of them, to be parsed anew. (SQLite reads a list faster than it reads JSON.)
    """
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(values), postgresql.ARRAY(column.type)))
    return column.in_(values)


def in_slices(items: Sequence[T], size: int = 500) -> list[Sequence[T]]:
    """`items` in runs that stay below both engines' limits on parameters of one statement."""
    return [items[start : start + size] for start in range(0, len(items), size)]
