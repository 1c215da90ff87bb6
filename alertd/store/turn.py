"""Whose turn it is to write an embedded database: one writer after another, whichever process it is in."""

import fcntl
import threading
import time
import weakref
from typing import IO, Final

from alertd.core.errors import StoreUnavailable

_THREAD_SECONDS: Final = 5.0  # how long a writer waits for others of its process, then its caller is to come again
_PROCESS_SECONDS: Final = 2.0  # how long for other processes, then SQLite's own lock decides
_LOOK_SECONDS: Final = 0.0005  # a fraction of what a commit takes


class Turn:
    """The right to write, held by one thread of all processes on this machine.

    SQLite's own lock goes to whoever looks at the right moment: a process that writes without a pause keeps the others
    out for seconds. Here only whoever is next looks for the right, and whoever gives it up has to become next first.
    Between processes it is a courtesy: one that was stopped in the middle holds the others up, and keeps nobody out.
    The kernel gives up the locks of a process that dies.
    """

    def __init__(self, database: str) -> None:
        self._thread = threading.Lock()
        self._next, self._right = (self._open(f"{database}.{name}") for name in ("next", "turn"))

    def _open(self, path: str) -> IO[bytes]:
        file = open(path, "ab")  # noqa: SIM115 - a store that was closed may still be written by a thread under way
        weakref.finalize(self, file.close)
        return file

    def __enter__(self) -> None:
        """Wait for the right. Raises StoreUnavailable."""
        if not self._thread.acquire(timeout=_THREAD_SECONDS):
            raise StoreUnavailable("too many wait to write")
        ends_at = time.monotonic() + _PROCESS_SECONDS
        _lock(self._next, ends_at)
        _lock(self._right, ends_at)
        fcntl.flock(self._next, fcntl.LOCK_UN)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._right, fcntl.LOCK_UN)
        self._thread.release()


def _lock(file: IO[bytes], ends_at: float) -> None:
    """Return when it is locked, or when it is too late."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends_at:
                return
            time.sleep(_LOOK_SECONDS)
        else:
            return
