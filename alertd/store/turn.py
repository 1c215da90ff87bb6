"""Whose turn it is to write an embedded database: one writer after another, whichever process it is in."""

import fcntl
import logging
import os
import threading
import time
import weakref
from contextlib import suppress
from typing import IO, Final

from alertd.core.errors import StoreUnavailable

log = logging.getLogger(__name__)

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

    def _open(self, path: str) -> IO[bytes] | None:
        try:
            # To read is enough for a lock: a command that somebody ran as root may have made it first.
            file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT, 0o666), "rb")
        except OSError as error:
            log.warning("writers take no turns: %s", error)
            return None
        weakref.finalize(self, file.close)  # not sooner: a store that was closed may still be written by a thread
        return file

    def __enter__(self) -> None:
        """Wait for the right. Raises StoreUnavailable."""
        if not self._thread.acquire(timeout=_THREAD_SECONDS):
            raise StoreUnavailable("too many wait to write")
        try:
            ends_at = time.monotonic() + _PROCESS_SECONDS
            _lock(self._next, ends_at)
            _lock(self._right, ends_at)
            _unlock(self._next)
        except BaseException:  # what a signal's handler raises while we wait
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for file in (self._next, self._right):
            _unlock(file)
        self._thread.release()


def _lock(file: IO[bytes] | None, ends_at: float) -> None:
    """Return when it is locked, or when it is too late, or when this cannot be locked at all."""
    while file is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > ends_at:
                return
            time.sleep(_LOOK_SECONDS)
        except OSError:  # a file system without such locks
            return
        else:
            return


def _unlock(file: IO[bytes] | None) -> None:
    if file is not None:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
