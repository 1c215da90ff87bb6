"""The servers that other tests lean on."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import create_engine, make_url, text

from tests.services import Redis, Unavailable, find_binary, wait_until

Prepare = Callable[[str], None]


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


def test_a_redis_comes_back_empty_at_the_same_place(redis_server: Redis) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("key", "value")
        redis_server.stop()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        redis_server.start()
        assert client.get("key") is None


@pytest.mark.parametrize("again", [False, True])
def test_each_test_has_an_empty_database(database_url: str, again: bool) -> None:
    rows(database_url, "CREATE TABLE mine (id INTEGER)")
    assert rows(database_url, "SELECT * FROM mine") == []


@pytest.mark.parametrize("again", [False, True])
def test_a_template_is_made_once_and_copied(template_database: Callable[[str, Prepare], str], again: bool) -> None:
    def prepare(url: str) -> None:
        assert not again
        rows(url, "CREATE TABLE made (id INTEGER)")

    first, second = template_database("made once", prepare), template_database("made once", prepare)
    rows(first, "INSERT INTO made VALUES (1)")
    assert rows(second, "SELECT * FROM made") == []


def test_a_database_goes_with_whoever_is_connected(postgres_url: str) -> None:
    url = make_url(postgres_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)


def test_a_killed_run_leaves_no_server_behind() -> None:
    script = (
        "import os, tests.services as s; r = s.Redis(); r.start(); print(r.url, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    directory = Path(killed.stdout.strip().removeprefix("unix://")).parent
    assert directory.name.startswith("alertd-")
    wait_until(lambda: not directory.exists())


def test_what_is_missing_says_how_to_get_it() -> None:
    with pytest.raises(Unavailable, match="no-such-server is not installed: run `make test`"):
        find_binary("no-such-server")
