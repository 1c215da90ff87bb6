"""What a summary and the live page cost by the size of their alert's audience: they should cost the same for all."""

import time
import urllib.request
from statistics import median
from typing import Final

from tests.bench.figures import Curve, Figure, Run, at_most
from tests.bench.town import ENGINES, NAMES, Engine, Town

_CALLS: Final = 15


def measure(run: Run) -> list[Figure]:
    """The median times of `GET /alerts/{id}/summary` and of the live page, by audience."""
    sizes = run.size((1_000, 10_000, 100_000, 1_000_000), (1_000, 5_000))
    return [figure for engine in ENGINES for figure in _summaries(run, engine, sizes)]


def _summaries(run: Run, engine: Engine, sizes: tuple[int, ...]) -> list[Figure]:
    figures, points = [], []
    with Town.open(run.fresh(), engine) as town, town.web() as port:
        token, cookie, living = town.token(), town.cookie(), 0
        for size in sizes:
            town.populate(size - living, {"email": lambda number: {"email": f"p{number}@d{number % 20}.example.jp"}})
            living = size
            alert_id = town.post()
            town.wait_until_laid_down(alert_id)
            asked = (
                ("summary", f"/api/v1/alerts/{alert_id}/summary", {"Authorization": f"Bearer {token}"}),
                ("live page", f"/alerts/{alert_id}", {"Cookie": cookie}),
            )
            for name, path, headers in asked:
                request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
                taken = median(_ask(request) for _ in range(_CALLS)) * 1_000
                figures.append(Figure(f"{name}, {size:,} people, {NAMES[engine]}", taken, "ms", limit=at_most(20)))
                if name == "summary":
                    points.append((float(size), taken))
    run.draw(Curve("summary", "GET /alerts/{id}/summary", "people in the audience", "ms", {NAMES[engine]: points}))
    return figures


def _ask(request: urllib.request.Request) -> float:
    """Seconds until the answer is here."""
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        answer.read()
    return time.perf_counter() - began
