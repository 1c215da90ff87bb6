"""Root of workers, clock and poller: `python -m workers worker --channel sms`, `python -m workers clock`."""

import _thread
import argparse
import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from alertd import __version__, lifeline, log
from alertd.compose import Parts, compose, read_settings
from alertd.core.flow import PRIMARY, SECONDARY
from alertd.service import heartbeat
from workers.clock import Clock
from workers.fetching import HttpFetch
from workers.poller import PollerProcess
from workers.teller import Teller
from workers.worker import WorkerProcess

_POLLER_THREADS: Final = 64  # more than there are places that are asked or told at once


def main() -> int:
    arguments = _parse()
    log.configure(f"worker:{arguments.channel}" if arguments.role == "worker" else arguments.role)
    if arguments.lifeline is not None:
        lifeline.hold(arguments.lifeline)
    parts = compose(read_settings(os.environ), arguments.public_url)
    try:
        if arguments.role == "worker":
            _work(parts, arguments)
        elif arguments.role == "clock":
            _tick(parts, arguments.id)
        else:
            asyncio.run(_poll(parts, arguments.id))
    finally:
        parts.close()
    return 0


def _work(parts: Parts, arguments: argparse.Namespace) -> None:
    if arguments.replaces:
        heartbeat.end(parts.rt, [arguments.replaces])  # its process is known to be gone: no need to wait for its lease
    providers = {PRIMARY: parts.channels[arguments.channel]}
    if arguments.channel in parts.seconds:
        providers[SECONDARY] = parts.seconds[arguments.channel]
    WorkerProcess(
        parts.rt,
        providers,
        arguments.id,
        parts.redis_url,
        parts.installation.instance.name,
        parts.settings.tick_seconds,
    ).run()


def _tick(parts: Parts, worker_id: str) -> None:
    clock = Clock(parts.rt, worker_id, parts.settings.tick_seconds)
    for each in (signal.SIGTERM, signal.SIGINT):
        # In a thread of its own: a handler runs in the middle of whatever the main thread does, and may be
        # interrupted by the next signal (a parent's death is told twice). `stop` could then wait for a lock that
        # is held below it.
        signal.signal(each, lambda *_: _thread.start_new_thread(clock.stop, ()))
    clock.run()


async def _poll(parts: Parts, worker_id: str) -> None:
    stopping = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stopping.set)
    # A name that is not found occupies a thread for as long as the system looks, and the store needs threads as well.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_POLLER_THREADS))
    agent = f"alertd/{__version__}"
    fetch = HttpFetch(parts.source_hosts, agent)
    # One message at a time for each webhook: those that do not answer keep no connection from the others.
    http = HttpFetch(parts.webhook_hosts, agent, per_host=0)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(PollerProcess(parts.rt, worker_id, fetch, parts.settings.tick_seconds).run(stopping))
            group.create_task(Teller(parts.rt, http.tell, parts.settings.tick_seconds).run(stopping))
    finally:
        await fetch.close()
        await http.close()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers", description="started by alertd, never by hand")
    parser.add_argument("role", choices=("worker", "clock", "poller"))
    parser.add_argument("--channel")
    parser.add_argument("--id", required=True)
    parser.add_argument("--replaces")
    parser.add_argument("--lifeline", type=int)
    parser.add_argument("--public-url")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
