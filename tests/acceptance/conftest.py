"""The towns that acceptance tests run in: one machine with the embedded store, or several roles on PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.town import Town, running_town


@pytest.fixture(params=["sqlite", "postgres"])
async def town(request: pytest.FixtureRequest, data_dir: Path) -> AsyncIterator[Town]:
    """A running town without people, on each store."""
    if request.param == "sqlite":
        async with running_town(data_dir) as here:
            yield here
    else:
        database_url = request.getfixturevalue("postgres_url")
        redis_url = request.getfixturevalue("redis_url")
        async with running_town(data_dir, database_url=database_url, redis_url=redis_url) as here:
            yield here


@pytest.fixture
async def small_town(data_dir: Path) -> AsyncIterator[Town]:
    """A running town without people, on one machine with the embedded store."""
    async with running_town(data_dir) as here:
        yield here
