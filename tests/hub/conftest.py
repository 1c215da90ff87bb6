"""Fixtures for the hub: see `tests.installation`."""

from collections.abc import AsyncIterator
from functools import partial

import pytest

from alertd.hub import Hub
from alertd.service import watching
from alertd.service.runtime import Runtime
from tests.hub.process import process
from tests.installation import bell, clock, prepared_url, rt, sqlite_template, sqlite_url, store

__all__ = ["bell", "clock", "prepared_url", "rt", "sqlite_template", "sqlite_url", "store"]


@pytest.fixture
async def hub(rt: Runtime) -> AsyncIterator[Hub]:
    """A hub that runs."""
    async with process(Hub(rt.store, partial(watching.summarise, rt), rt.now, sweep_seconds=0.02)) as running:
        yield running
