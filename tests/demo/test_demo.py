"""The demo itself, with a small town."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_CHECKOUT = Path(__file__).parents[2]


@contextmanager
def _demo(home: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    demo = subprocess.Popen(
        [sys.executable, "-m", "tests.demo", "--people", "30", "--lang", "en", *options],
        cwd=_CHECKOUT,
        # By this, which children inherit, everything that the demo has started is known.
        env={**os.environ, "TMPDIR": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    try:
        yield demo
    finally:
        demo.terminate()
        demo.communicate()


def _left_running(home: Path) -> list[str]:
    """Programs that were started with this TMPDIR and still run."""
    mark, found = f"TMPDIR={home}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (place / "environ").read_bytes().split(b"\0"):
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or somebody else's
    return found


def test_once_reaches_everyone_and_leaves_nothing_running(data_dir: Path) -> None:
    with _demo(data_dir, "--once", "--speed", "20") as demo:
        printed, _ = demo.communicate(timeout=150)
    assert demo.returncode == 0, printed
    assert "Everyone who can be reached was reached" in printed
    assert _left_running(data_dir) == []
    assert list(data_dir.iterdir()) == []


def test_it_ends_in_order_when_interrupted(data_dir: Path) -> None:
    with _demo(data_dir) as demo:
        assert demo.stdout
        printed = [next(line for line in demo.stdout if line.startswith("Moving"))]
        demo.send_signal(signal.SIGINT)
        printed += demo.stdout
    assert (demo.returncode, printed[-1]) == (0, "Ending ...\n"), printed
    assert _left_running(data_dir) == []
    assert list(data_dir.iterdir()) == []
