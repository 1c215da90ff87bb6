"""Fixtures for the hub: a web process as under web, and lines to a hub without one."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.hub.process import Line
from tests.installation import bell, clock, prepared_url, rt, sqlite_template, sqlite_url, store
from tests.web.conftest import open_site, standing_sites, standing_sqlite, standing_town, town

__all__ = [
    "bell",
    "clock",
    "open_site",
    "prepared_url",
    "rt",
    "sqlite_template",
    "sqlite_url",
    "standing_sites",
    "standing_sqlite",
    "standing_town",
    "store",
    "town",
]  # fmt: skip


@pytest.fixture(autouse=True)
async def lines_are_hung_up() -> AsyncIterator[None]:
    yield
    opened, Line.opened = Line.opened, []
    for line in opened:
        line.hang_up()
    for line in opened:
        await asyncio.wait_for(line.lost.wait(), 20)
