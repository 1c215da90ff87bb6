"""Tests of the use cases, each on SQLite and on PostgreSQL."""
