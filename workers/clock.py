"""The clock: small duties, every second, in any number of processes. Whatever a bell should have told, it finds."""

import logging
import threading
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from alertd.core.errors import StoreUnavailable
from alertd.service import acting, escalating, heartbeat, polling, revising, rollout, self_test
from alertd.service.process_clock import steady
from alertd.service.rollout import Slice
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, instance, leftovers, receipts, tallies, unsent

log = logging.getLogger(__name__)

_RUNS_A_TICK: Final = 3  # a step to a whole town takes seconds, and the other duties wait for it
_ROLLOUT_SECONDS: Final = 0.2  # until the rest of a large audience begins to be laid down
_OTHERS_DEAD: Final = timedelta(minutes=10)  # web and clock rows hold no lease; they are only struck off the list


class LeaseWatch:
    """Tells which workers are dead: those whose counter stood still for a lease's length of our own monotonic time.

    Wall clocks do not matter. Time in which we could not look does not count: the whole store may have been away.
    """

    def __init__(self, lease: float, gap: float) -> None:
        self._lease = lease
        self._gap = gap
        self._moved: dict[str, tuple[int, float]] = {}
        self._looked: float | None = None

    def look(self, beats: dict[str, int], at: float) -> list[str]:
        """Take in the counters as they stand at monotonic time `at`; the ids whose lease has lapsed."""
        if self._looked is None or at - self._looked > self._gap:
            self._moved.clear()
        self._looked = at
        self._moved = {
            worker_id: self._moved[worker_id] if self._moved.get(worker_id, (None,))[0] == beat else (beat, at)
            for worker_id, beat in beats.items()
        }
        return [worker_id for worker_id, (_, moved) in self._moved.items() if at - moved >= self._lease]


class Clock:
    """Runs the duties until stopped. Each is one short transaction, harmless when several clocks do it at once.

    Its heartbeat has a thread of its own: a duty that takes long makes nobody take the clock for dead. So has laying
    down, which takes minutes for a million people.
    """

    def __init__(
        self, rt: Runtime, worker_id: str, tick_seconds: float, beat_seconds: float = heartbeat.BEAT_SECONDS
    ) -> None:
        self._rt = rt
        self._worker_id = worker_id
        self._tick_seconds = tick_seconds
        self._beat_seconds = beat_seconds
        self._cleared_on: date | None = None
        self._leases = LeaseWatch(heartbeat.LEASE_SECONDS, gap=max(3.0, 3 * tick_seconds))
        self._stopping = threading.Event()
        self._duties: tuple[Callable[[], None], ...] = (
            self._expire,
            self._observe,
            self._watch_sources,
            self._escalate,
            self._lapse,
            self._apply_receipts,
            self._compact,
            self._ring,
            self._keep_ballast,
            self._self_test,
            self._clear,
        )

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Tick until `stop`."""
        heartbeat.start(self._rt, self._worker_id, "clock")
        threads = [
            threading.Thread(target=self._beat_on, name="heartbeat", daemon=True),
            threading.Thread(target=self._roll_out, name="rollout", daemon=True),
        ]
        for thread in threads:
            thread.start()
        while not self._stopping.wait(self._tick_seconds):
            self.tick()
        for thread in threads:
            thread.join()
        heartbeat.end(self._rt, [self._worker_id])

    def _beat_on(self) -> None:
        while not self._stopping.wait(self._beat_seconds):
            _do(self.beat)

    def _roll_out(self) -> None:
        while not self._stopping.wait(_ROLLOUT_SECONDS):
            _do(lambda: rollout.take_turns(self._slices, self._stopping.is_set))

    def _slices(self) -> list[Slice]:
        """First of all alerts that people have not heard of, then what alerts say by now, then later steps."""
        return [*rollout.left(self._rt), *revising.left(self._rt), *escalating.left(self._rt)]

    def beat(self) -> None:
        """Count this clock's heartbeat up once. Raises StoreUnavailable."""
        heartbeat.beat(self._rt, self._worker_id, "clock")

    def tick(self) -> None:
        """Every duty once. One that fails is logged and leaves the others to do theirs."""
        for duty in self._duties:
            _do(duty)

    def _expire(self) -> None:
        with self._rt.store.write() as connection:
            closed = alerts.expire(connection, self._rt.now())
        for alert_id in closed:
            self._rt.bell.changed(alert_id)

    def _observe(self) -> None:
        acting.act_due(self._rt)

    def _watch_sources(self) -> None:
        polling.tell_of_silence(self._rt)

    def _escalate(self) -> None:
        with self._rt.store.write() as connection:
            unsent.supersede_left(connection, self._rt.now())
        escalating.start_due(self._rt, _RUNS_A_TICK)

    def _lapse(self) -> None:
        with self._rt.store.read() as connection:
            rows = instance.list_workers(connection)
        lapsed = self._leases.look({row["id"]: row["beat"] for row in rows}, steady())
        roles = {row["id"]: row["role"] for row in rows}
        dead = [worker_id for worker_id in lapsed if roles[worker_id] == "worker"]
        others = [row["id"] for row in rows if row["id"] in lapsed and row["seen_at"] < self._rt.now() - _OTHERS_DEAD]
        if dead:
            log.warning("workers died", extra={"workers": dead})
        if dead or others:
            heartbeat.end(self._rt, dead + others)
        with self._rt.store.write() as connection:
            unsent.lapse_orphans(connection, self._rt.now())

    def _apply_receipts(self) -> None:
        with self._rt.store.write() as connection:
            changed = receipts.apply(connection, self._rt.now())
        for alert_id in changed:
            self._rt.bell.changed(alert_id)

    def _compact(self) -> None:
        more = not self._rt.store.is_sqlite
        while more and not self._stopping.is_set():
            with self._rt.store.write() as connection:
                more = tallies.compact(connection)

    def _ring(self) -> None:
        with self._rt.store.read() as connection:
            due = deliveries.due_channels(connection, self._rt.now())
        self._rt.bell.work(due)

    def _keep_ballast(self) -> None:
        ballast = self._rt.store.ballast
        if ballast is not None:
            ballast.put_in_place()

    def _self_test(self) -> None:
        self_test.start_if_due(self._rt, self._rt.self_test)
        self_test.check_due(self._rt)

    def _clear(self) -> None:
        """Once a day, a batch a tick: what nobody will ask for any more."""
        now = self._rt.now()
        today = now.astimezone(self._rt.zone).date()
        if self._cleared_on == today:
            return
        with self._rt.store.write() as connection:
            if not leftovers.clear(connection, now):
                self._cleared_on = today


def _do(duty: Callable[[], None]) -> None:
    try:
        duty()
    except StoreUnavailable as error:
        log.warning("the store is unavailable: %s", error)
    except Exception:
        log.exception("a duty of the clock broke")
