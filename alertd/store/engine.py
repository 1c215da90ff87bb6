"""Connections and transactions, alike on SQLite and PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError, TimeoutError

from alertd.core.errors import Invalid, StoreUnavailable
from alertd.store.ballast import Ballast
from alertd.store.turn import Turn

_BUSY_SECONDS: Final = 3  # how long a caller waits for the database before it is told to come again
_POOL_SIZE: Final = 10


class Store:
    """A database. `write` and `read` are its only transactions; safe to use from several threads.

    On SQLite the writers of all processes take turns.
    `ballast` is given up as soon as a write finds the disk full.
    """

    def __init__(self, url: str, ballast: Ballast | None = None) -> None:
        self.ballast = ballast
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        options: dict[str, Any] = {
            "pool_size": _POOL_SIZE,
            "max_overflow": _POOL_SIZE,
            "pool_timeout": _BUSY_SECONDS,
            "hide_parameters": True,
        }
        if self.is_sqlite:
            assert parsed.database is not None
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            options["connect_args"] = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
        else:
            options["pool_pre_ping"] = True
            # A plan that is kept from when a table was small reads it whole when an alert has filled it; so does a plan
            # that is made right after an import, before the statistics are: 5,000 × 100,000 rows, for minutes. What is
            # read whole for want of an index counts as dear then, which must not have it compiled first, for 100 ms.
            planning = "-c plan_cache_mode=force_custom_plan -c enable_seqscan=off -c jit=off"
            settings = f"-c statement_timeout=30000 -c lock_timeout=10000 {planning}"
            options["connect_args"] = {"connect_timeout": _BUSY_SECONDS, "options": f"{settings} -c timezone=UTC"}
        self.engine: Engine = create_engine(parsed, **options)
        self._writing = Turn(parsed.database) if self.is_sqlite and parsed.database else nullcontext()
        self._closed = False
        event.listen(self.engine, "checkin", self._checked_in)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that may write: committed when the block ends, undone when it raises.

        Raises StoreUnavailable when the database is busy or gone, Invalid for text that it cannot hold.
        """
        with self._writing, _translated(self.ballast), self.engine.connect() as connection:
            writing = connection.execution_options(writes=True)
            with writing.begin():
                yield writing

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads, with one consistent view on SQLite. Raises StoreUnavailable."""
        with _translated(self.ballast), self.engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Closes every connection: the idle ones now, those that a thread still uses as soon as it is done."""
        self._closed = True
        self.engine.dispose()

    def _checked_in(self, connection: Any, _record: object) -> None:
        # A pool that was disposed of leaves what comes back later to the garbage collector.
        if self._closed and connection is not None:
            connection.close()


def is_made(url: str) -> bool:
    """Whether opening a store there would find one; an SQLite file that is not there would be made."""
    parsed = make_url(url)
    return parsed.get_backend_name() != "sqlite" or Path(parsed.database or "").exists()


@contextmanager
def _translated(ballast: Ballast | None) -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, TimeoutError) as error:
        if ballast is not None and ballast.is_needed(error.__cause__):
            ballast.give_up()
        raise StoreUnavailable(type(error).__name__ + ": " + str(error.__cause__ or error).splitlines()[0]) from error
    except (DataError, UnicodeEncodeError) as error:
        # PostgreSQL holds no NUL, neither engine holds half a surrogate pair: whoever sent that is told so.
        raise Invalid([("request", "holds a character or a number that cannot be kept")]) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable("the connection to the database was lost") from error
        raise


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # in WAL mode NORMAL may lose the last commits with the power
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns into a writer fails when another wrote meanwhile; an immediate one waits.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
