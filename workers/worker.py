"""A worker process: RQ takes tickets in the main thread, one permanent event loop in another delivers."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Any, Final, TypeVar

import redis
from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer

from alertd import queue
from alertd.core.errors import StoreUnavailable
from alertd.service import heartbeat
from alertd.service.process_clock import steady
from alertd.service.runtime import Runtime
from alertd.store import deliveries, instance
from channels.base import Channel
from workers import jobs
from workers.circuit_board import CircuitBoard
from workers.deliver import Deliverer
from workers.lease import Lease

log = logging.getLogger(__name__)
T = TypeVar("T")

_REDIS_RETRY_SECONDS: Final = 1.0
_WITHOUT_TICKET_SECONDS: Final = 2.0
_WATCH_SECONDS: Final = 0.5  # how often the lease is looked at


class _Loop:
    """An event loop in a thread of its own: RQ runs each async job in a fresh one, which ends kept connections."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="deliveries", daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class TicketTaker(SimpleWorker):
    """RQ's worker in this process, which says when it was asked to stop."""

    max_connection_wait_time = 2.0
    asked_to_stop: Callable[[], None]
    stopping: threading.Event

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]
        # Whoever asked before these handlers stood asked ours, and RQ would never hear of it.
        self._stop_requested = self._stop_requested or self.stopping.is_set()

    def run_maintenance_tasks(self) -> None:
        """Nothing: tickets that were lost or broken are written anew, and by a wrong clock RQ would break good ones."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.asked_to_stop()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Nothing: a batch in hand is finished however often one asks; SIGKILL is there for those who insist."""


class WorkerProcess:
    """Delivers one channel until it is asked to stop; then finishes what it has in hand.

    `providers` are the channel at each of its providers, by their names, in the order in which they are used.
    """

    def __init__(
        self,
        rt: Runtime,
        providers: Mapping[str, Channel],
        worker_id: str,
        redis_url: str,
        instance: str,
        tick_seconds: float,
    ) -> None:
        self._rt = rt
        self._providers = providers
        self._kind = next(iter(providers.values())).kind
        self._worker_id = worker_id
        self._redis_url = redis_url
        self._instance = instance
        self._tick_seconds = tick_seconds
        self._drained_at = time.monotonic()
        self._stopping = threading.Event()
        self._loop = _Loop()
        # The loop's own threads look names up, and all of them may hang at once.
        self._pulse = ThreadPoolExecutor(1, "pulse")
        self._lease = Lease(steady())
        self._deliverer = Deliverer(rt, providers, worker_id, lease=self._lease)
        self._board = CircuitBoard(rt, worker_id)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        self._listen_for_signals()
        heartbeat.start(self._rt, self._worker_id, "worker", self._kind)
        jobs.serve_tickets(self._take)
        looking = self._loop.submit(self._look_without_ticket())
        living = [self._loop.submit(work()) for work in (self._beat, self._watch)]
        for future in (looking, *living):
            future.add_done_callback(_end_if_broken)
        try:
            self._take_tickets()
        finally:
            self._stop()
            looking.cancel()
            try:
                # Whoever stops beating while attempts are under way lets others send the same.
                self._loop.submit(self._finish()).result()
            finally:
                for future in living:
                    future.cancel()
                self._pulse.shutdown()
            heartbeat.end(self._rt, [self._worker_id])
            self._loop.close()

    def _stop(self) -> None:
        self._stopping.set()
        self._loop.loop.call_soon_threadsafe(self._deliverer.stop)

    def _take(self, channel: str) -> int:
        """Work a ticket off. What is left when its time is up gets a new one."""
        if channel != self._kind:
            raise ValueError(f"this worker serves {self._kind}, not {channel}")
        started = time.monotonic()
        attempts = self._loop.submit(self._drain()).result()
        if time.monotonic() - started >= self._tick_seconds:
            self._rt.bell.work([channel])
        return attempts

    async def _drain(self) -> int:
        self._drained_at = time.monotonic()
        try:
            return await self._deliverer.drain()
        except StoreUnavailable as error:
            log.warning("the store is unavailable: %s", error)
            return 0

    def _take_tickets(self) -> None:
        """RQ's loop, begun again whenever Redis breaks it."""
        while not self._stopping.is_set():
            client = redis.Redis.from_url(self._redis_url)
            try:
                taker = TicketTaker(
                    [queue.open_queue(client, self._instance, self._kind)],
                    connection=client,
                    serializer=JSONSerializer,
                    exception_handlers=[_log_failure],
                )
                taker.asked_to_stop = self._stop
                taker.stopping = self._stopping
                taker.work(logging_level="WARNING")
            except StopRequested:
                log.info("asked to stop before the first ticket")
            except (RedisError, OSError) as error:
                log.warning("no tickets: Redis does not answer (%s)", type(error).__name__)
            finally:
                client.close()
                self._listen_for_signals()  # RQ has put its own handlers in their place
            self._stopping.wait(_REDIS_RETRY_SECONDS)

    def _listen_for_signals(self) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: self._asked())

    def _asked(self) -> None:
        # A parent's death is told twice: the second signal must not find the first in the middle of a lock.
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        self._stop()

    async def _beat(self) -> None:
        while True:
            at = steady()
            try:
                await self._in_pulse(heartbeat.beat, self._rt, self._worker_id, "worker", self._kind)
                self._lease.renew(at)
                self._deliverer.share(await self._in_pulse(self._count_workers))
                await self._in_pulse(self._board.show, self._deliverer.circuits())
            except StoreUnavailable as error:
                log.warning("no heartbeat: %s", error)
            await asyncio.sleep(heartbeat.BEAT_SECONDS)

    def _in_pulse(self, work: Callable[..., T], *values: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._pulse, work, *values)

    async def _watch(self) -> None:
        """Drop what is in hand as soon as others may hold it: this process was stopped, or cut off from the store."""
        while True:
            if self._lease.was_lost(steady()):
                log.warning("the lease has lapsed: attempts under way are broken off")
                self._board.forget()
                self._deliverer.drop()
            await asyncio.sleep(_WATCH_SECONDS)

    def _count_workers(self) -> int:
        """How many workers share this channel's providers."""
        with self._rt.store.read() as connection:
            rows = instance.list_workers(connection)
        return sum(row["role"] == "worker" and row["channel"] == self._kind for row in rows)

    async def _look_without_ticket(self) -> None:
        """Look for due work when no ticket has come for a while, whatever keeps Redis or the clock from writing one."""
        while True:
            await asyncio.sleep(self._tick_seconds)
            if time.monotonic() - self._drained_at < _WITHOUT_TICKET_SECONDS:
                continue
            try:
                due = await asyncio.to_thread(self._is_due)
            except StoreUnavailable as error:
                log.warning("the store is unavailable: %s", error)
            else:
                if due or self._deliverer.may_hold_more:
                    await self._drain()

    def _is_due(self) -> bool:
        with self._rt.store.read() as connection:
            return self._kind in deliveries.due_channels(connection, self._rt.now())

    async def _finish(self) -> None:
        await self._drain()  # claims nothing any more: waits for the one under way
        for channel in self._providers.values():
            await channel.aclose()


def _end_if_broken(future: Future[Any]) -> None:
    """A worker without its heartbeat must not look alive: the process ends, and the supervisor starts another."""
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("a duty of the worker broke: this process ends", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)


def _log_failure(job: Job, *error: Any) -> bool:
    log.error("a ticket broke", exc_info=error, extra={"ticket": job.id})
    return False
