"""Transactions, alike on both engines."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text

from alertd.core.errors import Invalid, StoreUnavailable
from alertd.store import instance, people
from alertd.store.engine import Store
from alertd.store.schema import audit
from tests.installation import START


def names(store: Store) -> set[str]:
    with store.read() as connection:
        return {row["id"] for row in people.page(connection, after=None, limit=100)}


def put(store: Store, person_id: str) -> None:
    with store.write() as connection:
        people.put(connection, person_id, {"name": person_id}, START, people.bump_version(connection))


def test_a_write_that_breaks_leaves_nothing_behind(store: Store) -> None:
    put(store, "taro")

    def break_off() -> None:
        with store.write() as connection:
            people.put(connection, "hanako", {"name": "花子"}, START, 1)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        break_off()
    assert names(store) == {"taro"}


@pytest.mark.parametrize(
    "at",
    [
        START,
        datetime(2026, 11, 22, 12, 4, 5, 1, tzinfo=timezone(timedelta(hours=9))),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(9000, 1, 1, tzinfo=UTC),
    ],
)
def test_a_time_comes_back_to_the_microsecond_and_in_utc(store: Store, at: datetime) -> None:
    with store.write() as connection:
        instance.record(connection, at=at, actor="boss", action="look", object="clock", details={})
    with store.read() as connection:
        kept = connection.execute(audit.select()).one().at
    assert kept == at
    assert kept.tzinfo is UTC


def test_a_time_without_a_zone_is_not_kept(store: Store) -> None:
    with pytest.raises(Exception, match="a time without a zone cannot be stored"), store.write() as connection:
        instance.record(connection, at=START.replace(tzinfo=None), actor="", action="", object="", details={})


def test_foreign_keys_hold(store: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"), store.write() as connection:
        people.set_memberships(connection, {"nobody": ["nowhere"]})


def test_text_that_a_database_cannot_hold_is_the_asker_s_fault_or_finds_nothing(store: Store) -> None:
    for foreign in ("\0", "a\0b", "\ud800"):
        try:
            with store.read() as connection:
                assert people.get(connection, foreign) is None
        except Invalid as fault:
            assert fault.details  # noqa: PT017 - one engine finds nothing, the other refuses to look
    put(store, "taro")
    assert names(store) == {"taro"}


def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("this is no database, but long enough to look like a file that might be one" * 99)
    for url in (f"postgresql+psycopg://nobody@/none?host={tmp_path}", f"sqlite:///{tmp_path}"):
        store = Store(url)
        with pytest.raises(StoreUnavailable), store.read():
            pass
        store.close()


def test_a_store_that_another_process_keeps_busy_is_unavailable_and_not_hung(prepared_url: str) -> None:
    one, other = Store(prepared_url), Store(prepared_url)

    def impatient() -> None:
        with other.write() as connection:
            if not other.is_sqlite:
                connection.execute(text("SET LOCAL lock_timeout = 100"))
            people.bump_version(connection)

    with one.write() as connection:
        people.bump_version(connection)
        with pytest.raises(StoreUnavailable):
            impatient()
    put(other, "taro")
    assert names(one) == {"taro"}
    one.close()
    other.close()


def test_a_connection_that_is_in_use_when_the_store_closes_is_closed_when_it_comes_back(prepared_url: str) -> None:
    store = Store(prepared_url)
    with store.read() as connection:
        driver = connection.connection.dbapi_connection
        store.close()
        connection.execute(text("SELECT 1"))
    assert driver is not None
    with pytest.raises(Exception, match=r"(?i)closed"):
        driver.cursor().execute("SELECT 1")
