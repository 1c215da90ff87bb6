"""A role's heartbeat: a counter that moves while its process lives. Observers watch it move, not its time."""

import os
import socket
from typing import Final

from alertd.service.runtime import Runtime
from alertd.store import deliveries, instance

BEAT_SECONDS: Final = 2.0
LEASE_SECONDS: Final = 10.0  # a counter that stood still for so long belongs to a dead process


def start(rt: Runtime, worker_id: str, role: str, channel: str | None = None) -> None:
    """List this process under `worker_id`."""
    now = rt.now()
    values = {"id": worker_id, "role": role, "channel": channel, "host": socket.gethostname(), "pid": os.getpid()}
    with rt.store.write() as connection:
        instance.start_worker(connection, {**values, "started_at": now, "seen_at": now})


def beat(rt: Runtime, worker_id: str, role: str, channel: str | None = None) -> None:
    """Count up; a process that was taken for dead while it slept is listed again."""
    with rt.store.write() as connection:
        listed = instance.beat(connection, worker_id, rt.now())
    if not listed:
        start(rt, worker_id, role, channel)


def end(rt: Runtime, worker_ids: list[str]) -> int:
    """Strike processes that are known to be gone, and give back what they held; returns how many deliveries."""
    with rt.store.write() as connection:
        given_back = deliveries.lapse(connection, worker_ids, rt.now())
        for worker_id in worker_ids:
            instance.end_worker(connection, worker_id)
    return given_back
