"""A role's heartbeat: a counter that moves while its process lives. Observers watch it move, not its time.

The time beside it is the machine's own, uncorrected: from these the processes find out whose clock is wrong.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from alertd.core.errors import StoreUnavailable
from alertd.core.timekeeping import Beat, doubts
from alertd.service.runtime import Runtime
from alertd.store import instance, measures, unsent

log = logging.getLogger(__name__)

BEAT_SECONDS: Final = 2.0
LEASE_SECONDS: Final = 10.0  # a counter that stood still for so long belongs to a dead process
_DOUBT_SECONDS: Final = 3.0  # time enough for every living process to count
_LOOK_SECONDS: Final = 0.25


def start(rt: Runtime, worker_id: str, role: str, channel: str | None = None) -> None:
    """List this process under `worker_id`. Where others tell another time, they are heard first: some 3 seconds."""
    _hear_first(rt)
    _list(rt, worker_id, role, channel)


def beat(rt: Runtime, worker_id: str, role: str, channel: str | None = None) -> None:
    """Count up, and hear the others; a process that was taken for dead while it slept is listed again."""
    with rt.store.write() as connection:
        listed = instance.beat(connection, worker_id, _wall(rt))
        rows = instance.list_workers(connection)
        database = measures.database_clock(connection)
    _hear(rt, (row for row in rows if row["id"] != worker_id), database)
    if not listed:
        _list(rt, worker_id, role, channel)


async def beat_on(rt: Runtime, worker_id: str, role: str) -> None:
    """Count up until cancelled; a store that is away is tried again with the next beat."""
    while True:
        try:
            await asyncio.to_thread(beat, rt, worker_id, role)
        except StoreUnavailable as error:
            log.warning("no heartbeat: %s", error)
        await asyncio.sleep(BEAT_SECONDS)


def end(rt: Runtime, worker_ids: list[str]) -> int:
    """Strike processes that are known to be gone, and give back what they held; returns how many deliveries."""
    with rt.store.write() as connection:
        given_back = unsent.lapse(connection, worker_ids, rt.now())
        for worker_id in worker_ids:
            instance.end_worker(connection, worker_id)
    return given_back


def _list(rt: Runtime, worker_id: str, role: str, channel: str | None) -> None:
    now = _wall(rt)
    values = {"id": worker_id, "role": role, "channel": channel, "host": _host(rt), "pid": os.getpid()}
    with rt.store.write() as connection:
        instance.start_worker(connection, {**values, "started_at": now, "seen_at": now})


def _hear_first(rt: Runtime) -> None:
    """Whoever starts has nothing to compare its clock with but rows, of which nobody knows yet whether they live."""
    if rt.clock is None:
        return
    waiting = threading.Event()
    for _ in range(round(_DOUBT_SECONDS / _LOOK_SECONDS)):
        with rt.store.read() as connection:
            rows = instance.list_workers(connection)
            database = measures.database_clock(connection)
        if not doubts(beats_of(rows), rt.clock.wall()):
            return
        rt.clock.hear(beats_of(rows), database)
        waiting.wait(_LOOK_SECONDS)


def _hear(rt: Runtime, rows: Iterable[Mapping[str, Any]], database: datetime | None) -> None:
    if rt.clock is not None:
        rt.clock.hear(beats_of(rows), database)


def _host(rt: Runtime) -> str:
    return rt.clock.host if rt.clock is not None else socket.gethostname()


def _wall(rt: Runtime) -> datetime:
    return rt.clock.wall() if rt.clock is not None else rt.now()


def beats_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Beat]:
    """The workers' rows as the timekeeper hears them."""
    return {row["id"]: Beat(row["beat"], row["seen_at"], row["host"]) for row in rows}
