"""How often somebody may ask: counted by credential, and only the bad ones by address."""

import time
from typing import Final

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from alertd.core.errors import TooMany

# A burst of a whole town's imports and of people who tap again and again stays below these.
REQUESTS: Final = RateLimitItemPerMinute(6_000)
BAD_CREDENTIALS: Final = RateLimitItemPerMinute(60)
SIGN_INS: Final = RateLimitItemPerMinute(10)
TESTS: Final = RateLimitItemPerMinute(3)


class Limits:
    """Counters of this process. A good credential is never locked out by somebody else's bad ones."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def spend(self, item: RateLimitItem, *who: str) -> None:
        """Count one more; raises TooMany when there were too many."""
        if not self._limiter.hit(item, *who):
            self._refuse(item, *who)

    def require_left(self, item: RateLimitItem, *who: str) -> None:
        """Raises TooMany when the limit is reached, without counting."""
        if not self._limiter.test(item, *who):
            self._refuse(item, *who)

    def _refuse(self, item: RateLimitItem, *who: str) -> None:
        wait = max(1, round(self._limiter.get_window_stats(item, *who).reset_time - time.time()))
        raise TooMany(f"too many requests: try again in {wait} seconds", retry_after=wait)
