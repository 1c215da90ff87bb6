"""Fixtures for the workers: see `tests.installation`."""

import pytest

from tests.installation import Clock, bell, clock, prepared_url, rt, sqlite_template, sqlite_url, store

__all__ = ["bell", "clock", "prepared_url", "rt", "sqlite_template", "sqlite_url", "store"]


@pytest.fixture
def time(clock: Clock) -> Clock:
    """The installation's time, where `Clock` is the process."""
    return clock
