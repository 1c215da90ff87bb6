"""A real disk of a few megabytes that a test may fill."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_PIECE = 64 * 1024


class SmallDisk:
    """A mounted file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Write until nothing goes on it any more, not even a small file."""
        for piece in (_PIECE, 512):
            with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
                while True:
                    file.write(b"x" * piece)
        left = os.statvfs(self.path)
        assert left.f_bavail == 0, "the disk did not become full"

    def free(self) -> None:
        self._filler.unlink()


@contextlib.contextmanager
def mounted(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk of that size mounted at `path`. Fails the test where this user may not mount anything."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700,uid={os.getuid()}", "tmpfs", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(
            f"a small disk cannot be mounted (run as root, or under `unshare -Urm`): {done.stderr.strip()}",
            pytrace=False,
        )
    try:
        yield SmallDisk(path)
    finally:
        # Lazily: a process that is still ending must not keep the test from clearing up.
        subprocess.run(["umount", "--lazy", str(path)], check=True)
