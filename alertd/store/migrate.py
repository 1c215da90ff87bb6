"""Brings a database to this version's schema."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from alertd.store.engine import Store

_SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x616C657274  # "alert": the advisory lock's number


class NewerStore(Exception):
    """The database was written by a newer alertd."""


def migrate(store: Store) -> str:
    """Bring `store` to this version and return it. Raises NewerStore. Safe to call from many processes at once."""
    config = _config()
    with _one_at_a_time(store), store.write() as connection:
        if not store.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _refuse_newer(connection, config)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return _current(connection) or ""


Standing = Literal["current", "older", "newer"]


def standing(connection: Connection) -> Standing:
    """How the database stands to this version. Changes nothing."""
    current, scripts = _current(connection), ScriptDirectory.from_config(_config())
    if current == scripts.get_current_head():
        return "current"
    known = {script.revision for script in scripts.walk_revisions()}
    return "older" if current is None or current in known else "newer"


def is_migrated(connection: Connection) -> bool:
    """Whether the database stands at exactly this version."""
    return _current(connection) == ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_newer(connection: Connection, config: Config) -> None:
    current = _current(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise NewerStore(
            f"the database is at version {current}, which this alertd does not know: "
            "it was written by a newer one; install that one, or restore the backup made before the upgrade"
        )


@contextmanager
def _one_at_a_time(store: Store) -> Iterator[None]:
    database = store.engine.url.database
    if not store.is_sqlite or not database:
        yield
        return
    with open(f"{database}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
