"""Fixtures for the API, the live stream and the hooks: an installation behind a real socket."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from alertd.store.engine import Store
from tests.installation import Clock, clock, prepare_store, prepared_url, sqlite_template, sqlite_url, store
from tests.services import Postgres
from tests.web.server import Site, Town

__all__ = ["clock", "prepared_url", "sqlite_template", "sqlite_url", "store"]


@pytest.fixture
def open_site(sqlite_url: str, clock: Clock) -> Iterator[Callable[..., Site]]:
    """`open_site(**options)`: another web process on this test's SQLite store."""
    with ExitStack() as stack:

        def run(**options: Any) -> Site:
            opened = Store(sqlite_url)
            stack.callback(opened.close)
            return stack.enter_context(Site(opened, clock, **options))

        yield run


@pytest.fixture
async def town(open_site: Callable[..., Site]) -> AsyncIterator[Town]:
    """A web process on SQLite with one person of each role."""
    async with Town(open_site()) as here:
        yield here


@pytest.fixture(scope="module")
def standing_sites() -> Iterator[Callable[[str], Town]]:
    """`standing_sites(url)`: the module's one web process on that prepared store, with its people."""
    with ExitStack() as stack:
        towns: dict[str, Town] = {}

        def stand(url: str) -> Town:
            if url not in towns:
                opened = Store(url)
                stack.callback(opened.close)
                towns[url] = Town(stack.enter_context(Site(opened, Clock())))
            return towns[url]

        yield stand


@pytest.fixture(scope="module")
def standing_sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path_factory.mktemp('standing'))}"


@pytest.fixture(scope="module")
def standing_postgres(postgres: Postgres) -> str:
    return postgres.url(postgres.create(postgres.template("prepared", prepare_store)))


@pytest.fixture
async def standing_town(standing_sites: Callable[[str], Town], standing_sqlite: str) -> AsyncIterator[Town]:
    """A web process on SQLite that the module's tests share: for what is refused, or can be done beside others."""
    async with standing_sites(standing_sqlite) as here:
        yield here


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
async def any_standing_town(
    request: pytest.FixtureRequest, standing_sites: Callable[[str], Town]
) -> AsyncIterator[Town]:
    """The same on each engine."""
    url: str = request.getfixturevalue("standing_sqlite" if request.param == "sqlite" else "standing_postgres")
    async with standing_sites(url) as here:
        yield here


@pytest.fixture
async def any_town(store: Store, clock: Clock) -> AsyncIterator[Town]:
    """The same on each engine."""
    with Site(store, clock) as site:
        async with Town(site) as here:
            yield here
