"""What a day may cost: warned of in time, and binding for nothing but drills and tests."""

import logging
from typing import Final

from sqlalchemy import Connection

from alertd.service.runtime import Runtime
from alertd.store import counters

log = logging.getLogger(__name__)

_WARNED_AT: Final = (50, 80, 100)  # per cent


class Ceiling:
    """A channel's units (SMS parts) by day of the installation's zone, and how many there may be; None: any number."""

    def __init__(self, rt: Runtime, channel: str, most: int | None) -> None:
        self._rt = rt
        self._channel = channel
        self._most = most
        self._used = 0

    def look(self, connection: Connection) -> None:
        """Hear what everybody has used up by now."""
        if self._most is not None:
            self._used = counters.used(connection, self._channel, self._day())

    def refusal(self, drill: bool, units: int) -> str | None:
        """Why a message of so many units is not sent, or None; no real alert ever is refused.

        What other workers have under way is not seen: the ceiling may be passed by that much.
        """
        if self._most is None or not drill:
            return None
        if self._used + units > self._most:
            return f"not sent: drills and tests end at the day's ceiling of {self._most} parts"
        self._used += units
        return None

    def use(self, connection: Connection, units: int) -> list[int]:
        """Note what was accepted; the percentages that this has passed, for `tell` once that is committed."""
        self._used = counters.use(connection, self._channel, self._day(), units)
        if self._most is None:
            return []
        passed = [percent for percent in _WARNED_AT if self._used * 100 >= percent * self._most]
        is_news = bool(passed) and counters.warn(connection, self._channel, self._day(), passed[-1])
        return passed[-1:] if is_news else []

    def tell(self, passed: list[int]) -> None:
        for percent in passed:
            log.warning(
                "%d %% of the day's ceiling of %s parts is used up; real alerts go on",
                percent,
                self._most,
                extra={"channel": self._channel},
            )

    def _day(self) -> str:
        return self._rt.now().astimezone(self._rt.zone).date().isoformat()
