"""From the providers' threads into the event loop: what arrives on the town's phones, browsers and mailboxes."""

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

from tests.providers.thread import LoopThread

T = TypeVar("T")


class Arrivals(Generic[T]):
    """`with Arrivals(provider, read) as arrivals:` — `await arrivals.get()` is the next that the provider takes over.

    `read` gives everything that it has taken over so far, oldest first.
    """

    def __init__(self, provider: LoopThread, read: Callable[[], list[T]]) -> None:
        self._provider = provider
        self._read = read
        self._queue: asyncio.Queue[T] = asyncio.Queue()
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name=f"arrivals of {type(provider).__name__}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._provider.changed:
            self._ended = True
            self._provider.changed.notify_all()
        self._thread.join()

    async def get(self) -> T:
        return await self._queue.get()

    def _run(self) -> None:
        seen = 0

        def is_time() -> bool:
            return self._ended or len(self._read()) > seen

        while True:
            with self._provider.changed:
                self._provider.changed.wait_for(is_time)
                if self._ended:
                    return
                fresh = self._read()[seen:]
            seen += len(fresh)
            for each in fresh:
                self._loop.call_soon_threadsafe(self._queue.put_nowait, each)
