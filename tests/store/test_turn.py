"""Writers of several processes on one embedded database: nobody is kept out by one that never rests."""

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from alertd.store.engine import Store
from alertd.store.turn import Turn

_GREEDY = """
import sys
import time
from sqlalchemy import text
from alertd.store.engine import Store

store = Store(sys.argv[1])
print("ready", flush=True)
while True:
    with store.write() as connection:
        connection.execute(text("UPDATE counted SET value = value + 1"))
        time.sleep(0.01)
"""
_HOLDING = """
import sys
import time
from alertd.store.turn import Turn

with Turn(sys.argv[1]):
    print("ready", flush=True)
    time.sleep(600)
"""


@contextmanager
def process(program: str, argument: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-c", program, argument], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout
        assert started.stdout.readline() == "ready\n"
        try:
            yield started
        finally:
            started.kill()


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/counted.db")
    with store.write() as connection:
        connection.execute(text("CREATE TABLE counted (value INTEGER)"))
        connection.execute(text("INSERT INTO counted VALUES (0)"))
    yield store
    store.close()


def test_a_process_that_writes_without_a_pause_lets_others_write_in_between(counted: Store) -> None:
    url = str(counted.engine.url)
    most = 0
    with process(_GREEDY, url), process(_GREEDY, url), process(_GREEDY, url):
        before = None
        for _ in range(100):
            with counted.write() as connection:
                value = connection.execute(text("SELECT value FROM counted")).scalar_one()
            if before is not None:
                most = max(most, value - before)
            before = value
    # Of three others each may be a few times faster. Without turns it is some hundred times, if they let anybody in.
    assert most <= 40


def test_the_turn_of_a_process_that_was_killed_is_over(tmp_path: Path) -> None:
    database = str(tmp_path / "counted.db")
    with process(_HOLDING, database) as holding:
        holding.kill()
        holding.wait()
        began = time.monotonic()
        with Turn(database):
            assert time.monotonic() - began < 2, "its turn was waited for to the end"


def test_who_is_interrupted_while_waiting_leaves_the_right_to_others(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise InterruptedError

    database = str(tmp_path / "counted.db")
    turn = Turn(database)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with process(_HOLDING, database):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(InterruptedError), turn:
                pass
    finally:
        signal.signal(signal.SIGALRM, before)
    with turn, Turn(database):
        pass


@contextmanager
def somebody_else() -> Iterator[None]:
    """Whoever may read what we make, and no more."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def test_files_that_somebody_else_has_made_serve_as_well(data_dir: Path) -> None:
    database = str(data_dir / "counted.db")
    with Turn(database):
        data_dir.chmod(0o755)
        for name in ("next", "turn"):
            Path(f"{database}.{name}").chmod(0o444)
    with somebody_else():
        turn = Turn(database)
    with turn, Path(f"{database}.turn").open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_without_its_files_writers_go_without_turns(data_dir: Path) -> None:
    database = str(data_dir / "counted.db")
    with Turn(database):
        data_dir.chmod(0o755)
        for name in ("next", "turn"):
            Path(f"{database}.{name}").chmod(0)
    with somebody_else():
        turn = Turn(database)
    for _ in range(2):
        with turn:
            pass


def test_a_process_that_is_stopped_in_its_turn_keeps_nobody_out(counted: Store) -> None:
    database = counted.engine.url.database
    assert database
    with process(_HOLDING, database) as holding:
        holding.send_signal(signal.SIGSTOP)
        with counted.write() as connection:
            connection.execute(text("UPDATE counted SET value = 1"))
    with counted.read() as connection:
        assert connection.execute(text("SELECT value FROM counted")).scalar_one() == 1
