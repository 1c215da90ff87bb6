"""What time it is, when a clock among several may be wrong: the wall clock, corrected by the majority.

Every process tells the others its wall clock as it is, uncorrected, so that no correction is ever built on another:
whoever is wrong is outvoted by everybody in the same way, and one bad clock drags nobody. The processes of one machine
read one clock: where there are several machines, each of them has one vote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

JUMP_SECONDS: Final = 5.0  # a wall clock that steps further than this between two looks is not simply believed
ODD_SECONDS: Final = 30.0  # clocks that are no further apart agree
_STEADY_SECONDS: Final = 5.0  # a correction is left alone while it is no further off: heartbeats tell time roughly
_FRESH_SECONDS: Final = 10.0  # a counter that moved within this is a living process's
_VOTERS: Final = 3  # without so many nothing is decided
_PATIENCE_SECONDS: Final = 60.0  # then fewer believe a clock that jumped, if none of them says that it is wrong


@dataclass(frozen=True, slots=True)
class Beat:
    """Another process's heartbeat: its counter, its own wall clock, uncorrected, when it last counted, its machine."""

    count: int
    wall: datetime
    host: str = ""


@dataclass(frozen=True, slots=True)
class _Peer:
    beat: Beat
    at: float | None  # our monotonic time when the counter was seen to move; None: it never was


class Timekeeper:
    """The time of one process on machine `host`. `wall` and `monotonic` (seconds) are always read together by whoever
    asks; `monotonic` goes on while the machine sleeps.
    """

    def __init__(self, host: str = "") -> None:
        self._host = host
        self._correction = timedelta()
        self._jumped_at: float | None = None  # our monotonic time; None: what is not believed was voted down
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
                self._jumped_at = monotonic
        self._last = (wall, monotonic)
        return wall + self._correction

    def hear(
        self, beats: Mapping[str, Beat], wall: datetime, monotonic: float, database: datetime | None = None
    ) -> None:
        """Take in the other processes' heartbeats as they stand now, and let the majority decide what time it is.

        Only counters that were seen to move are heard. Where those are of one machine each process has a vote, else
        each machine one: the middle of its processes'. `database` is the clock of a database server, one vote more.
        Nothing changes while there is no majority. With fewer than three votes this process's own clock that jumped is
        believed a minute later, unless another vote says that it is wrong.
        """
        self.tell(wall, monotonic)
        self._peers = {name: self._noted(name, beat, monotonic) for name, beat in beats.items()}
        votes = self._votes(wall, monotonic)
        if database is not None:
            votes.append((database - wall).total_seconds())
        if len(votes) < _VOTERS:
            self._be_patient(votes, monotonic)
        else:
            self._decide(votes)

    def _votes(self, wall: datetime, monotonic: float) -> list[float]:
        """By how many seconds each voter is ahead of this process's own clock, that one counted."""
        by_host: dict[str, list[float]] = {self._host: [0.0]}
        for peer in self._peers.values():
            if peer.at is not None and _is_fresh(peer, monotonic):
                ahead = (peer.beat.wall - wall).total_seconds() + monotonic - peer.at
                by_host.setdefault(peer.beat.host, []).append(ahead)
        if len(by_host) == 1:
            return by_host[self._host]
        return [sum(_middle(offsets)) / 2 for offsets in by_host.values()]

    def _be_patient(self, votes: Sequence[float], monotonic: float) -> None:
        if self._jumped_at is None:
            return
        if any(abs(vote) > ODD_SECONDS for vote in votes):
            self._jumped_at = monotonic
        elif monotonic - self._jumped_at >= _PATIENCE_SECONDS:
            self._correct(timedelta())

    def _decide(self, votes: Sequence[float]) -> None:
        low, high = _middle(votes)
        if high - low > ODD_SECONDS:
            return
        wanted = (low + high) / 2
        if abs(wanted) <= ODD_SECONDS:
            self._correct(timedelta())
        elif abs(wanted - self._correction.total_seconds()) > _STEADY_SECONDS:
            self._correct(timedelta(seconds=wanted))

    def _correct(self, by: timedelta) -> None:
        self._correction, self._jumped_at = by, None

    def alive(self, monotonic: float) -> frozenset[str]:
        """The other processes whose counters moved lately."""
        return frozenset(name for name, peer in self._peers.items() if _is_fresh(peer, monotonic))

    def _noted(self, name: str, beat: Beat, monotonic: float) -> _Peer:
        known = self._peers.get(name)
        if known is None:
            return _Peer(beat, None)
        return known if known.beat.count == beat.count else _Peer(beat, monotonic)


def _middle(votes: Sequence[float]) -> tuple[float, float]:
    """The vote in the middle, twice, or the two between which the middle lies."""
    ordered = sorted(votes)
    return ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]


def _is_fresh(peer: _Peer, monotonic: float) -> bool:
    return peer.at is not None and monotonic - peer.at <= _FRESH_SECONDS


def doubts(beats: Mapping[str, Beat], wall: datetime) -> bool:
    """Whether a process that has just started should hear whether these are alive before it trusts its clock."""
    return any(abs((beat.wall - wall).total_seconds()) > ODD_SECONDS for beat in beats.values())
