"""The bell as processes ring it: one thread, so that nobody who rings ever waits for Redis."""

import logging
import threading
from collections.abc import Iterable
from typing import Final

from redis.exceptions import RedisError

from alertd import bus, queue

log = logging.getLogger(__name__)

_WORK: Final = "work:"


class RedisBell:
    """Rings over Redis from a thread of its own. What cannot be rung is dropped: the clock and the hubs look anyway."""

    def __init__(self, url: str, instance: str) -> None:
        self._client = queue.connect(url)
        self._instance = instance
        self._words: dict[str, None] = {}  # in order, each once
        self._filled = threading.Condition()
        self._closing = False
        self._quiet = False  # whether the last try failed: a long break is logged once
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)
        self._thread.start()

    def events(self) -> None:
        self._add(bus.EVENTS)

    def work(self, channels: Iterable[str]) -> None:
        for channel in channels:
            self._add(_WORK + channel)

    def changed(self, alert_id: str) -> None:
        self._add(bus.CHANGED + alert_id)

    def close(self, timeout: float = 3.0) -> None:
        """Ring what still waits, then stop; `timeout` seconds at most."""
        with self._filled:
            self._closing = True
            self._filled.notify()
        self._thread.join(timeout)
        self._client.close()

    def _add(self, word: str) -> None:
        with self._filled:
            self._words[word] = None
            self._filled.notify()

    def _run(self) -> None:
        while True:
            with self._filled:
                self._filled.wait_for(lambda: self._words or self._closing)
                words, self._words = list(self._words), {}
                if not words and self._closing:
                    return
            for word in words:
                self._ring(word)

    def _ring(self, word: str) -> None:
        try:
            if word.startswith(_WORK):
                queue.ring(self._client, self._instance, word.removeprefix(_WORK))
            else:
                bus.publish(self._client, self._instance, word)
            self._quiet = False
        except (RedisError, OSError) as error:
            if not self._quiet:
                log.warning("Redis does not answer (%s): the clock rings later", type(error).__name__)
            self._quiet = True
