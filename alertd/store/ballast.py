"""A file that keeps disk space for alerts already accepted: given up when the disk is full, put back when it is not."""

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from alertd.core.errors import DiskFull

log = logging.getLogger(__name__)

SIZE: Final = 64 * 1024 * 1024  # bytes
NAME: Final = "ballast"
_PIECE: Final = 1024 * 1024


class Ballast:
    """The ballast file beside an SQLite database. Any number of processes share it; none of them needs the others."""

    def __init__(self, path: Path, size: int = SIZE) -> None:
        self.path = path
        self.size = size

    @property
    def is_in_place(self) -> bool:
        """Whether the file is there in full: it gets its name only when all of it is on the disk."""
        # Its blocks are not counted here: some file systems count them seconds late.
        try:
            return os.stat(self.path).st_size >= self.size
        except OSError:
            return False

    @property
    def free(self) -> int:
        """Bytes that are free on the disk beside it."""
        found = os.statvfs(self.path.parent)
        return found.f_bavail * found.f_frsize

    def require_room(self) -> None:
        """Raises DiskFull unless the file is in place and half of its size is free beside it."""
        if not self.is_in_place or self.free < self.size // 2:
            raise DiskFull("the disk is full: new posts are refused until space is freed; alerts already sent go on")

    def put_in_place(self) -> bool:
        """Make the file where there is none and twice its size is free; whether it is there now."""
        if self.is_in_place:
            return True
        if self.free < 2 * self.size:
            return False
        making = self.path.with_name(f"{self.path.name}.new")
        try:
            with making.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever comes second leaves it to the first
                _allocate(file.fileno(), self.size)
                os.replace(making, self.path)
        except (BlockingIOError, FileNotFoundError):
            return self.is_in_place
        except OSError as error:
            log.warning("the ballast cannot be put in place: %s", error.strerror)
            with contextlib.suppress(FileNotFoundError):
                making.unlink()
            return False
        log.info("the ballast is in place")
        return True

    def give_up(self) -> None:
        """Free its space at once."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
            log.warning("the disk is full: the ballast is given up, new posts are refused until space is freed")

    def is_needed(self, error: BaseException | None) -> bool:
        """Whether the database failed with `error` because the disk is full."""
        code = error.sqlite_errorcode & 0xFF if isinstance(error, sqlite3.Error) and _has_code(error) else None
        return code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and self.free < self.size // 2)


def beside(database_url: str) -> Ballast | None:
    """The ballast of an SQLite database; None for any other."""
    parsed = make_url(database_url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Ballast(Path(parsed.database).with_name(NAME))


def _has_code(error: sqlite3.Error) -> bool:
    return hasattr(error, "sqlite_errorcode")  # errors of the module itself have none


def _allocate(fd: int, size: int) -> None:
    """Make the file `size` bytes long, all of them on the disk. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
            os.fsync(fd)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
    os.ftruncate(fd, 0)
    for _ in range(-(-size // _PIECE)):
        os.write(fd, os.urandom(_PIECE))  # random: what can be compressed takes no space on some disks
    os.fsync(fd)
