"""A town that comes back: everybody is connected, their web processes end, all return at once with their position.

The web processes are two, under `alertd web` as in life. What is measured begins with the signal and ends when the last
phone is greeted again and has heard of the alert that was issued meanwhile.
"""

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import psutil

from alertd.store import instance
from tests.acceptance.town import free_port
from tests.bench.crowd import Crowd, Tools, most_descriptors
from tests.bench.fanout import STREAM, cpu, make_tokens
from tests.bench.figures import Figure, Run, at_most
from tests.bench.town import Town
from tests.services import wait_until

_WEBS: Final = 2
_LONG_SECONDS: Final = 60.0


def measure(run: Run) -> list[Figure]:
    """One of two killed, both killed, both told to end, each with everybody connected."""
    tools = Tools.build(run.directory)
    size = min(run.size(19_000, 2_000), most_descriptors() - 600)
    figures: list[Figure] = []
    with Town.open(run.fresh(), "sqlite", {"ALERTD_WEB_PROCESSES": str(_WEBS)}) as town:
        town.populate(size, {})
        tokens = make_tokens(town, size, size)
        for name, number, count in (
            ("one web process of two killed", signal.SIGKILL, 1),
            ("both killed", signal.SIGKILL, 2),
            ("both told to end", signal.SIGTERM, 2),
        ):
            with _serving(town) as (supervisor, port), Crowd(tools, port, tokens) as crowd:
                crowd.connect(size, STREAM)
                figures += _storm(town, crowd, supervisor, f"{size:,} connected, {name}", number, count)
    return figures


def _storm(
    town: Town, crowd: Crowd, supervisor: psutil.Process, name: str, number: signal.Signals, count: int
) -> list[Figure]:
    crowd.time(town.post)
    with town.rt.store.read() as connection:
        epoch = instance.head(connection).epoch
    crowd.ask(f"storm 1 {STREAM}?epoch={epoch}")
    before = _webs(supervisor)
    spent = {web.pid: cpu(web) for web in before[count:]}
    began = time.monotonic_ns()
    for web in before[:count]:
        web.send_signal(number)
    town.post()
    came = crowd.answer()
    if came["missing"] or came["doubled"]:
        raise RuntimeError(f"{came['missing']} missed something, {came['doubled']} heard something twice")
    took = (came["last"] - began) / 1e9
    after = _webs(supervisor)
    cost = sum(cpu(web) - spent.get(web.pid, 0) for web in after) / came["came"]
    return [
        Figure(f"{name}: until all have resumed", took, "s", limit=at_most(10), note=_refusals(came)),
        Figure(f"{name}: server CPU for each that came back", cost * 1e6, "µs", note="starting anew included"),
        Figure(f"{name}: most memory of a web process", max(map(_most_memory, after)) / 2**20, "MiB"),
    ]


def _refusals(came: Any) -> str:
    return f"{came['came']:,} came back, {came['refused']:,} had to try again"


@contextlib.contextmanager
def _serving(town: Town) -> Iterator[tuple[psutil.Process, int]]:
    """The supervisor of the web processes, all of them ready, and their port."""
    port = free_port()
    with town.process("alertd", "web", "--port", str(port)) as supervisor:
        wait_until(lambda: _living(town, supervisor) == _WEBS, _LONG_SECONDS)
        yield supervisor, port


def _living(town: Town, supervisor: psutil.Process) -> int:
    """How many of the web processes have counted their heartbeat."""
    pids = {each.pid for each in _webs(supervisor)}
    with town.rt.store.read() as connection:
        rows = instance.list_workers(connection)
    return sum(row["pid"] in pids and row["beat"] > 0 for row in rows)


def _webs(supervisor: psutil.Process) -> Sequence[psutil.Process]:
    return [child for child in supervisor.children() if "alertd.app" in child.cmdline()]


def _most_memory(process: psutil.Process) -> int:
    """Bytes that a process has had at most."""
    with open(f"/proc/{process.pid}/status") as status:
        peak = next(line for line in status if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024
