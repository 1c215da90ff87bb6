"""The teller: delivers to webhooks what they are to hear, one message at a time each, beside the poller."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from alertd.core.errors import StoreUnavailable
from alertd.service import telling
from alertd.service.runtime import Runtime
from alertd.service.telling import Turn
from alertd.sources.base import Unfetched

log = logging.getLogger(__name__)

Tell = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, str]]]
"""POSTs a body with headers to a URL: status and words. Raises Unfetched. Ends well within `telling.LEASE`."""

_MEDIA: Final = {"Content-Type": "application/json"}


class Teller:
    """Tells until stopped, in any number of processes.

    Whoever is killed leaves a webhook to the others once its lease is over.
    """

    def __init__(self, rt: Runtime, tell: Tell, tick_seconds: float) -> None:
        self._rt = rt
        self._tell = tell
        self._tick_seconds = tick_seconds
        self._talks: dict[str, asyncio.Task[None]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell whatever is new, until `stopping`; what is under way then is broken off and told anew."""
        try:
            while not stopping.is_set():
                await self._tick()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self._tick_seconds)
        finally:
            for task in self._talks.values():
                task.cancel()
            await asyncio.gather(*self._talks.values(), return_exceptions=True)

    async def _tick(self) -> None:
        try:
            ready = await asyncio.to_thread(telling.prepare, self._rt)
        except StoreUnavailable as error:
            log.warning("the store is unavailable: %s", error)
            return
        except Exception:
            log.exception("what webhooks are told could not be made")
            return
        for webhook_id in ready:
            if webhook_id not in self._talks:
                self._talks[webhook_id] = asyncio.create_task(self._talk(webhook_id))

    async def _talk(self, webhook_id: str) -> None:
        """Tell a webhook all that is due, one message after another."""
        try:
            while (turn := await asyncio.to_thread(telling.take_turn, self._rt, webhook_id)) is not None:
                await self._take(turn)
        except StoreUnavailable as error:
            log.warning("the store is unavailable: %s", error, extra={"webhook": webhook_id})
        except Exception:
            log.exception("a webhook could not be told", extra={"webhook": webhook_id})
        finally:
            self._talks.pop(webhook_id, None)

    async def _take(self, turn: Turn) -> None:
        try:
            status, words = await self._tell(turn.url, {**turn.headers, **_MEDIA}, turn.body)
            fault = None if 200 <= status < 300 else words
        except Unfetched as error:
            status, fault = None, str(error)
        except asyncio.CancelledError:
            # Another process need not wait for the lease.
            await asyncio.to_thread(telling.give_back, self._rt, turn)
            raise
        if fault is not None:
            log.warning("a webhook did not take what it was told: %s", fault, extra={"webhook": turn.webhook_id})
        await asyncio.to_thread(telling.end_turn, self._rt, turn, status, fault)
