"""Whether this process may still speak for the deliveries that it has claimed."""

from typing import Final

from alertd.service import heartbeat

SECONDS: Final = heartbeat.LEASE_SECONDS - 2.0  # a worker gives up before others may take over


class Lease:
    """A worker's lease as it sees it itself, in the seconds of `steady`: renewed by heartbeats that reached the store.

    A process that was stopped, or cut off from the store, for longer than that finds out here, before it sends
    anything that somebody else may be sending.
    """

    def __init__(self, at: float, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._renewed = at
        self._looked = at
        self._lost = False

    def renew(self, at: float) -> None:
        """A heartbeat that left at `at` has reached the store."""
        self._lost = self._lost or not self._is_near(at)
        self._renewed = at

    def is_fresh(self, at: float) -> bool:
        """Whether nobody can have taken over yet what was claimed before."""
        return not self._lost and self._is_near(at)

    def was_lost(self, at: float) -> bool:
        """Whether it has lapsed since the last look, however fresh it is by now: look several times in its length."""
        lost = self._lost or not self._is_near(at)
        self._lost, self._looked = False, at
        return lost

    def _is_near(self, at: float) -> bool:
        return at - self._renewed <= self._seconds and at - self._looked <= self._seconds
