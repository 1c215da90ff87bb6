"""Workers side by side: what a second one adds, where there is a processor for it."""

import psutil

from tests.bench import push
from tests.bench.figures import Curve, Figure, Run, at_least
from tests.bench.sink import Sink
from tests.bench.town import ENGINES, NAMES, Engine, Town


def measure(run: Run) -> list[Figure]:
    """Web pushes a second by the number of workers."""
    figures = []
    with Sink.open(run.directory) as sink:
        for engine in ENGINES:
            rates = _rates(run, engine, sink)
            figures += [
                Figure(f"web push, {count} workers, {NAMES[engine]}", rates[count], "/s", "one worker", rates[1],
                       at_least(1.0, "ratio"), f"{psutil.cpu_count()} processors, the push service beside them")
                for count in rates if count > 1
            ]  # fmt: skip
    return figures


def _rates(run: Run, engine: Engine, sink: Sink) -> dict[int, float]:
    rates: dict[int, float] = {}
    with Town.open(run.fresh(), engine, push.settings(sink)) as town:
        key_id = town.parts.vapid.id
        town.populate(run.size(10_000, 500), {"webpush": lambda number: push.address(sink, key_id, number)})
        for count in run.size((1, 2, 3, 4), (1, 2)):
            with town.workers("webpush", count) as workers:
                rates[count] = town.deliver(workers).rate
    points = [(float(count), rate) for count, rate in rates.items()]
    run.draw(Curve("workers", "Web push by the number of workers", "workers", "per second", {NAMES[engine]: points}))
    return rates
