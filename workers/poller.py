"""The poller: asks the sources that do not tell by themselves, each on its own, in any number of processes."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from alertd.core.errors import DiskFull, StoreUnavailable
from alertd.core.observation import Observation
from alertd.service import heartbeat, polling, writing_back
from alertd.service.polling import Turn
from alertd.service.runtime import Runtime
from alertd.service.writing_back import Writing
from alertd.sources.base import Fetch, Mapped, Notifies, Reader, Unfetched, Unreadable, WritesBack

log = logging.getLogger(__name__)

_AT_ONCE: Final = 20  # sources
_PROLONG_SECONDS: Final = 5.0
_WRITE_SECONDS: Final = 2.0
_NOTIFY_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 300.0  # for one look, however much there is to catch up with


class Desk:
    """What one look hands in. See `alertd.sources.base.Desk`."""

    def __init__(self, rt: Runtime, turn: Turn) -> None:
        self._rt = rt
        self._source_id = turn.source_id
        self._cursor = turn.cursor
        self.mapping: Mapped | None = turn.mapping
        self.read: Reader = turn.read

    @property
    def now(self) -> datetime:
        return self._rt.now()

    @property
    def cursor(self) -> Mapping[str, Any]:
        return self._cursor

    async def take(self, found: Sequence[Observation], cursor: Mapping[str, Any] | None = None) -> None:
        await asyncio.to_thread(polling.take, self._rt, self._source_id, found, cursor)
        if cursor is not None:
            self._cursor = cursor

    async def missing(self, references: Sequence[str]) -> list[str]:
        return await asyncio.to_thread(polling.missing, self._rt, self._source_id, references)

    async def take_once(self, reference: str, url: str, fetch: Fetch, read: Reader) -> None:
        body = await asyncio.to_thread(polling.kept, self._rt, self._source_id, reference)
        if body is None:
            body = (await fetch(url)).body
            await asyncio.to_thread(polling.keep, self._rt, self._source_id, reference, body)
        await asyncio.to_thread(polling.read_kept, self._rt, self._source_id, reference, body, read)


class PollerProcess:
    """Polls until stopped. Whoever is killed leaves a source to the others once its lease is over."""

    def __init__(self, rt: Runtime, worker_id: str, fetch: Fetch, tick_seconds: float) -> None:
        self._rt = rt
        self._worker_id = worker_id
        self._fetch = fetch
        self._tick_seconds = tick_seconds
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._writings: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Look whenever a source is due, until `stopping`; what is under way then is broken off and begun anew."""
        await asyncio.to_thread(heartbeat.start, self._rt, self._worker_id, "poller")
        beside = [
            asyncio.create_task(heartbeat.beat_on(self._rt, self._worker_id, "poller")),
            asyncio.create_task(self._prolong_on()),
            asyncio.create_task(self._write_on()),
        ]
        try:
            while not stopping.is_set():
                await self._tick()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self._tick_seconds)
        finally:
            ending = [*beside, *self._looks.values(), *self._writings]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            await asyncio.to_thread(heartbeat.end, self._rt, [self._worker_id])

    async def _tick(self) -> None:
        try:
            turns = await asyncio.to_thread(polling.take_turns, self._rt, _AT_ONCE - len(self._looks))
        except StoreUnavailable as error:
            log.warning("the store is unavailable: %s", error)
            return
        for turn in turns:
            self._looks[turn.source_id] = asyncio.create_task(self._look(turn))

    async def _write_on(self) -> None:
        """Tell sources how their alerts stand, beside asking them."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            try:
                free = _AT_ONCE - len(self._writings)
                for writing in await asyncio.to_thread(writing_back.take_turns, self._rt, free):
                    task = asyncio.create_task(self.tell(writing))
                    self._writings.add(task)
                    task.add_done_callback(self._writings.discard)
            except StoreUnavailable as error:
                log.warning("the store is unavailable: %s", error)
            except Exception:
                log.exception("telling sources broke")

    async def tell(self, writing: Writing) -> None:
        """Tell one source how one alert stands, in the lists of its people and where its staff read. Nothing that goes
        wrong with one reaches the other, or another source.
        """
        extra = {"source": writing.source_id}
        faults, written = [], None
        try:
            try:
                await self._notify(writing)
            except Unfetched as error:
                faults.append(f"people could not be notified there: {error}")
            try:
                if writing.access.writes_back() and not writing.is_branch:
                    told = cast("WritesBack", writing.poller)
                    written = await told.write_back(writing.access, self._fetch, writing.outcome, writing.before)
            except Unfetched as error:
                faults.append(f"how the alert stands could not be written there: {error}")
            for fault in faults:
                log.warning("a source was not told: %s", fault, extra=extra)
            await asyncio.to_thread(writing_back.end, self._rt, writing, written, faults)
        except StoreUnavailable as error:
            log.warning("the store is unavailable: %s", error, extra=extra)
        except asyncio.CancelledError:
            # Another process need not wait for the lease.
            await asyncio.to_thread(writing_back.give_back, self._rt, writing)
            raise
        except Exception:
            log.exception("telling a source broke", extra=extra)

    async def _notify(self, writing: Writing) -> None:
        """Tell people in their lists, for some seconds; whoever is left has their turn at once. Raises Unfetched."""
        clock = asyncio.get_running_loop().time
        until = clock() + _NOTIFY_SECONDS
        while clock() < until:
            step = await asyncio.to_thread(writing_back.next_step, self._rt, writing)
            if step is None:
                return
            refusal = await cast("Notifies", writing.poller).notify(writing.access, self._fetch, step.notice)
            await asyncio.to_thread(writing_back.note, self._rt, writing, step, refusal)

    async def _look(self, turn: Turn) -> None:
        """Ask one source, and say how it went. Nothing that it does reaches the others."""
        try:
            fault = await self.ask(turn)
            await asyncio.to_thread(polling.end_turn, self._rt, turn, fault)
        except StoreUnavailable as error:
            log.warning("the store is unavailable: %s", error, extra={"source": turn.source_id})
        except asyncio.CancelledError:
            # Another process need not wait for the lease.
            await asyncio.to_thread(polling.give_back, self._rt, turn.source_id)
            raise
        finally:
            self._looks.pop(turn.source_id, None)

    async def ask(self, turn: Turn) -> str | None:
        """Look at one source; what was wrong, in words, or None when it answered. Raises StoreUnavailable."""
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await turn.poller.poll(turn.access, self._fetch, Desk(self._rt, turn))
        except (Unfetched, Unreadable, DiskFull) as error:
            log.warning("a source could not be read: %s", error, extra={"source": turn.source_id})
            return str(error)
        except TimeoutError:
            return f"not done within {_POLL_SECONDS:.0f} s; what is left follows"
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("a source broke its reader", extra={"source": turn.source_id})
            return f"{type(error).__name__}: this is a fault of ours, see the poller's log"
        return None

    async def _prolong_on(self) -> None:
        while True:
            await asyncio.sleep(_PROLONG_SECONDS)
            if not self._looks:
                continue
            try:
                await asyncio.to_thread(polling.prolong, self._rt, list(self._looks))
            except StoreUnavailable as error:
                log.warning("the store is unavailable: %s", error)
