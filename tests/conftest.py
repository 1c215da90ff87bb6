"""What every test may ask for: real servers, each test with its own part of them, and a directory.

A test that asks for a server that is not installed fails; it is never skipped.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services import Postgres, Redis, Unavailable, short_directory

HERE = Path(__file__).parent
SLOW = (HERE / "acceptance", HERE / "browser")
SERVICES = {"redis_server", "postgres"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SERVICES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.services)
        if any(item.path.is_relative_to(directory) for directory in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    """A Redis of this test's own, running; the test may `stop` and `start` it."""
    try:
        server = Redis()
    except Unavailable as missing:
        pytest.fail(str(missing), pytrace=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    return redis_server.url


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The test run's PostgreSQL. Tests ask for `postgres_url` or `template_database` instead."""
    try:
        server = Postgres()
    except Unavailable as missing:
        pytest.fail(str(missing), pytrace=False)
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """An empty database of this test's own."""
    database = postgres.create()
    yield postgres.url(database)
    postgres.drop(database)


@pytest.fixture
def template_database(postgres: Postgres) -> Iterator[Callable[[str, Callable[[str], None]], str]]:
    """`template_database(name, prepare)`: the URL of a database of this test's own, like what `prepare` made once.

    `prepare` gets the URL of an empty database, the first time in a test run that `name` comes up, and has to leave
    no connection to it open.
    """
    made: list[str] = []

    def copy(name: str, prepare: Callable[[str], None]) -> str:
        made.append(postgres.create(postgres.template(name, prepare)))
        return postgres.url(made[-1])

    yield copy
    for database in made:
        postgres.drop(database)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def database_url(request: pytest.FixtureRequest, data_dir: Path) -> str:
    """An empty database of this test's own: the test runs twice, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{data_dir}/alertd.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty directory, whose path is short enough for Unix sockets in it."""
    directory = short_directory()
    directory.mkdir(mode=0o700)
    yield directory
    shutil.rmtree(directory)
