"""Fixtures for the bounce listener: see `tests.installation`."""

from tests.installation import bell, clock, prepared_url, rt, sqlite_template, sqlite_url, store

__all__ = ["bell", "clock", "prepared_url", "rt", "sqlite_template", "sqlite_url", "store"]
