"""Tests of the deliverer and the clock, each on SQLite and on PostgreSQL."""
