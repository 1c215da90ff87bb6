"""How often somebody may ask: counted by credential, and only the bad ones by address."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from alertd.core.errors import TooMany

_WINDOW_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` in a minute that begins with the first of them."""

    name: str
    amount: int


# A burst of a whole town's imports and of people who tap again and again stays below these.
REQUESTS: Final = Limit("requests", 6_000)
BAD_CREDENTIALS: Final = Limit("bad credentials", 60)
SIGN_INS: Final = Limit("sign-ins", 10)
CODES: Final = Limit("wrong sign-in codes", 10)
# Whoever has many addresses still has too few guesses at ten digits that live for minutes. A town mistypes less.
ALL_CODES: Final = Limit("wrong sign-in codes of all", 200)
TESTS: Final = Limit("tests", 3)
# Each may take a process for many seconds.
REPLAYS: Final = Limit("replays", 10)


class Limits:
    """Counters of this process, for its event loop. A good credential is never locked out by somebody else's bad ones.

    `clock` gives seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, ...], tuple[float, int]] = {}  # when it ends, and how many there were
        self._sweep_at = clock() + _WINDOW_SECONDS

    def spend(self, limit: Limit, *who: str) -> None:
        """Count one more; raises TooMany when there were too many."""
        now = self._clock()
        if now >= self._sweep_at:
            # Here, in one go, and not in a thread: one beside thousands of requests a second would slow all of them.
            self._windows = {key: window for key, window in self._windows.items() if window[0] > now}
            self._sweep_at = now + _WINDOW_SECONDS
        end, count = self._window(limit, who, now)
        self._windows[limit.name, *who] = (end, count + 1)
        if count >= limit.amount:
            self._refuse(end - now)

    def require_left(self, limit: Limit, *who: str) -> None:
        """Raises TooMany when the limit is reached, without counting."""
        now = self._clock()
        end, count = self._window(limit, who, now)
        if count >= limit.amount:
            self._refuse(end - now)

    def _window(self, limit: Limit, who: tuple[str, ...], now: float) -> tuple[float, int]:
        end, count = self._windows.get((limit.name, *who), (0.0, 0))
        return (end, count) if end > now else (now + _WINDOW_SECONDS, 0)

    def _refuse(self, seconds: float) -> None:
        wait = max(1, math.ceil(seconds))
        raise TooMany(f"too many requests: try again in {wait} seconds", retry_after=wait)
