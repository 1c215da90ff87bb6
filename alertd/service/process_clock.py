"""This process's clock: the machine's, as far as the other processes agree with it."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from alertd.core.timekeeping import Beat, Timekeeper

log = logging.getLogger(__name__)


_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _wall() -> datetime:
    return datetime.now(UTC)


def steady() -> float:
    """Seconds that no setting of the wall clock changes and, on Linux, that go on while the machine sleeps."""
    return time.clock_gettime(_STEADY)


class ProcessClock:
    """Tells the time to every thread of one process; see `core.timekeeping` for whom it believes."""

    def __init__(
        self,
        wall: Callable[[], datetime] = _wall,
        monotonic: Callable[[], float] = steady,
        host: str | None = None,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self.host = host or socket.gethostname()
        self._keeper = Timekeeper(self.host)
        self._lock = threading.Lock()  # both clocks are read together, and in order

    def now(self) -> datetime:
        """The time, corrected."""
        with self._lock:
            before = self._keeper.correction
            told = self._keeper.tell(self._wall(), self._monotonic())
            after = self._keeper.correction
        _tell_change(before, after)
        return told

    def wall(self) -> datetime:
        """The machine's clock as it stands: what the other processes are told."""
        return self._wall()

    def hear(self, beats: Mapping[str, Beat], database: datetime | None = None) -> None:
        """Take in the heartbeats of the other processes, and the database server's clock, as they stand now."""
        with self._lock:
            before = self._keeper.correction
            self._keeper.hear(beats, self._wall(), self._monotonic(), database)
            after = self._keeper.correction
        _tell_change(before, after)

    def alive(self) -> frozenset[str]:
        """The ids of the other processes that were seen to live lately."""
        with self._lock:
            return self._keeper.alive(self._monotonic())


def _tell_change(before: timedelta, after: timedelta) -> None:
    if before == after:
        return
    if after:
        seconds = after.total_seconds()
        log.warning("this machine's clock is not believed: the time is corrected", extra={"by_seconds": seconds})
    else:
        log.info("this machine's clock is believed again")
