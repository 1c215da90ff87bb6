"""Bringing a database to this version: once, whoever else does so at the same moment."""

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from alertd.store.engine import Store
from alertd.store.migrate import NewerStore, is_migrated, migrate
from alertd.store.schema import metadata
from tests.installation import prepare_store
from tests.threads import at_once

MIGRATE = "import sys; from tests.installation import prepare_store; prepare_store(sys.argv[1])"


def test_the_migrations_make_exactly_the_schema_that_the_queries_use(database_url: str) -> None:
    store = Store(database_url)
    migrate(store)
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
    store.close()


def test_an_empty_database_is_not_migrated_and_a_second_time_changes_nothing(database_url: str) -> None:
    store = Store(database_url)
    with store.read() as connection:
        assert not is_migrated(connection)
    version = migrate(store)
    with store.read() as connection:
        assert is_migrated(connection)
    assert migrate(store) == version
    store.close()


def test_a_database_of_a_newer_alertd_is_refused_and_left_alone(database_url: str) -> None:
    store = Store(database_url)
    migrate(store)
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerStore, match="9999"):
        migrate(store)
    with store.read() as connection:
        assert not is_migrated(connection)
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    store.close()


def test_many_threads_at_once_migrate_once(database_url: str) -> None:
    def one(_number: int) -> str:
        store = Store(database_url)
        try:
            return migrate(store)
        finally:
            store.close()

    assert len(set(at_once(one, range(8)))) == 1


def test_several_processes_at_once_make_one_installation(database_url: str) -> None:
    starting = [subprocess.Popen([sys.executable, "-c", MIGRATE, database_url]) for _ in range(3)]
    assert [process.wait(60) for process in starting] == [0, 0, 0]
    store = Store(database_url)
    with store.read() as connection:
        counts = [
            connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608
            for table in ("instance", "boards", "keys")
        ]
    assert counts == [1, 1, 2]
    store.close()
    prepare_store(database_url)
