"""What a day may cost: warned of in time, and binding for nothing but drills and tests."""

import logging

from sqlalchemy import Connection

from alertd.core.errors import StoreUnavailable
from alertd.core.usage import beyond_ceiling, passed_step
from alertd.service import notices
from alertd.service.runtime import Runtime
from alertd.store import counters

log = logging.getLogger(__name__)


class Ceiling:
    """A channel's units (SMS parts) by day of the installation's zone, and how many there may be; None: any number."""

    def __init__(self, rt: Runtime, channel: str, most: int | None) -> None:
        self._rt = rt
        self._channel = channel
        self._most = most
        self._used = 0
        self._accepted: tuple[str, int] | None = None  # day, units
        self._told: tuple[str, int] | None = None  # day, step

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
            return beyond_ceiling(self._most)
        self._used += units
        return None

    def use(self, connection: Connection, units: int) -> None:
        """Note what was accepted. Call `tell` once that is committed."""
        day = self._day()
        self._used = counters.use(connection, self._channel, day, units)
        self._accepted = (day, self._used)

    def tell(self) -> None:
        """Tell the log and the admins when another step of the ceiling has been reached: once each day, whoever sees
        it first. What cannot be told now is told after the next message.
        """
        day, used = self._accepted or ("", 0)
        step = passed_step(used, self._most)
        if step is None or (day, step) == self._told:
            return
        try:
            with self._rt.store.write() as connection:
                is_news = counters.warn(connection, self._channel, day, step)
                channels = self._tell_admins(connection, step, used) if is_news else set()
        except StoreUnavailable as error:
            log.warning("the ceiling cannot be told of: %s", error)
            return
        except Exception:
            log.exception("the ceiling cannot be told of")  # what was accepted is settled, and must not be so twice
            return
        self._told = (day, step)
        if is_news:
            words = "%d %% of the day's ceiling of %s parts is used up; real alerts go on"
            log.warning(words, step, self._most, extra={"channel": self._channel})
            self._rt.bell.events()
            self._rt.bell.work(channels)

    def _tell_admins(self, connection: Connection, step: int, used: int) -> set[str]:
        """Over everything but the channel that costs."""
        others = [channel for channel in self._rt.channels if channel != self._channel]
        body = (
            f"本日の{self._channel}の上限{self._most}通分のうち{step} %を使いました（{used}通分）。"
            "本番の通知は止まりません。訓練とテストは上限で止まります。\n"
            f"{step} % of today's ceiling of {self._most} {self._channel} parts is used up ({used}). "
            "Real alerts go on; drills and tests end at the ceiling."
        )
        title = f"【システム】{self._channel} 上限の{step} % / [SYSTEM] {step} % of the {self._channel} ceiling"
        return notices.tell_admins(connection, self._rt, title, body, others, self._rt.now(), severity="moderate")

    def _day(self) -> str:
        return self._rt.now().astimezone(self._rt.zone).date().isoformat()
