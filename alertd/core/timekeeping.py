"""What time it is, when a clock among several may be wrong: the wall clock, corrected by the majority.

Every process tells the others its wall clock as it is, uncorrected, so that no correction is ever built on another:
whoever is wrong is outvoted by everybody in the same way, and one bad clock drags nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

JUMP_SECONDS: Final = 5.0  # a wall clock that steps further than this between two looks is not simply believed
ODD_SECONDS: Final = 30.0  # clocks that are no further apart agree
_STEADY_SECONDS: Final = 5.0  # a correction is left alone while it is no further off: heartbeats tell time roughly
_FRESH_SECONDS: Final = 10.0  # a counter that moved within this is a living process's
_QUORUM: Final = 2  # peers without whom nothing is decided


@dataclass(frozen=True, slots=True)
class Beat:
    """Another process's heartbeat: its counter, and its own wall clock, uncorrected, when it last counted."""

    count: int
    wall: datetime


@dataclass(frozen=True, slots=True)
class _Peer:
    beat: Beat
    at: float | None  # our monotonic time when the counter was seen to move; None: it never was


class Timekeeper:
    """One process's time. `wall` and `monotonic` (seconds) are always read together by whoever asks."""

    def __init__(self) -> None:
        self._correction = timedelta()
        self._last: tuple[datetime, float] | None = None
        self._peers: dict[str, _Peer] = {}

    @property
    def correction(self) -> timedelta:
        """What is added to the wall clock; zero while it is believed."""
        return self._correction

    def tell(self, wall: datetime, monotonic: float) -> datetime:
        """The time. A wall clock that jumps is not believed yet: time goes on as if it had not."""
        if self._last is not None:
            jump = (wall - self._last[0]) - timedelta(seconds=monotonic - self._last[1])
            if abs(jump.total_seconds()) > JUMP_SECONDS:
                correction = self._correction - jump
                # A clock that has jumped back to where it was is believed again.
                self._correction = correction if abs(correction.total_seconds()) > _STEADY_SECONDS else timedelta()
        self._last = (wall, monotonic)
        return wall + self._correction

    def hear(self, beats: Mapping[str, Beat], wall: datetime, monotonic: float) -> None:
        """Take in the other processes' heartbeats as they stand now, and let the majority decide what time it is.

        Only counters that were seen to move are heard. Nothing changes while fewer than two are heard, or while
        neither side has a majority, this process's own clock counted.
        """
        self.tell(wall, monotonic)
        self._peers = {name: self._noted(name, beat, monotonic) for name, beat in beats.items()}
        offsets = sorted(
            (peer.beat.wall - wall).total_seconds() + monotonic - peer.at
            for peer in self._peers.values()
            if peer.at is not None and _is_fresh(peer, monotonic)
        )
        if len(offsets) < _QUORUM:
            return
        offsets = sorted([0.0, *offsets])
        low, high = offsets[(len(offsets) - 1) // 2], offsets[len(offsets) // 2]
        if high - low > ODD_SECONDS:
            return
        wanted = (low + high) / 2
        if abs(wanted) <= ODD_SECONDS:
            self._correction = timedelta()
        elif abs(wanted - self._correction.total_seconds()) > _STEADY_SECONDS:
            self._correction = timedelta(seconds=wanted)

    def alive(self, monotonic: float) -> frozenset[str]:
        """The other processes whose counters moved lately."""
        return frozenset(name for name, peer in self._peers.items() if _is_fresh(peer, monotonic))

    def _noted(self, name: str, beat: Beat, monotonic: float) -> _Peer:
        known = self._peers.get(name)
        if known is None:
            return _Peer(beat, None)
        return known if known.beat.count == beat.count else _Peer(beat, monotonic)


def _is_fresh(peer: _Peer, monotonic: float) -> bool:
    return peer.at is not None and monotonic - peer.at <= _FRESH_SECONDS


def doubts(beats: Mapping[str, Beat], wall: datetime) -> bool:
    """Whether a process that has just started should hear whether these are alive before it trusts its clock."""
    return any(abs((beat.wall - wall).total_seconds()) > ODD_SECONDS for beat in beats.values())
