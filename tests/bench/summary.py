"""What a summary costs by the size of its alert's audience: it should cost the same for all."""

import time
import urllib.request
from statistics import median
from typing import Final

from tests.bench.figures import Curve, Figure, Run, at_most
from tests.bench.town import ENGINES, NAMES, Engine, Town

_CALLS: Final = 15


def measure(run: Run) -> list[Figure]:
    """The median time of `GET /alerts/{id}/summary`, by audience."""
    sizes = run.size((1_000, 10_000, 100_000), (1_000, 5_000))
    return [figure for engine in ENGINES for figure in _summaries(run, engine, sizes)]


def _summaries(run: Run, engine: Engine, sizes: tuple[int, ...]) -> list[Figure]:
    figures, points = [], []
    with Town.open(run.fresh(), engine) as town, town.web() as port:
        token, living = town.token(), 0
        for size in sizes:
            town.populate(size - living, {"email": lambda number: {"email": f"p{number}@d{number % 20}.example.jp"}})
            living = size
            alert_id = town.post()
            town.wait_until_laid_down(alert_id)
            taken = median(_ask(port, token, alert_id) for _ in range(_CALLS)) * 1_000
            points.append((float(size), taken))
            figures.append(Figure(f"summary, {size:,} people, {NAMES[engine]}", taken, "ms", limit=at_most(20)))
    run.draw(Curve("summary", "GET /alerts/{id}/summary", "people in the audience", "ms", {NAMES[engine]: points}))
    return figures


def _ask(port: int, token: str, alert_id: str) -> float:
    """Seconds until the answer is here."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/alerts/{alert_id}/summary", headers={"Authorization": f"Bearer {token}"}
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        answer.read()
    return time.perf_counter() - began
