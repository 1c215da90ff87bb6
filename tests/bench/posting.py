"""Issuing: how soon a post to a large audience is answered, and how fast its deliveries are laid down."""

import json
import time
import urllib.request
from statistics import median
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from tests.bench.figures import Curve, Figure, Run, at_least, at_most
from tests.bench.town import NAMES, Engine, Town

_POSTS: Final = 3
_LARGEST: Final = 1_000_000
_LIMITS: Final = {100_000: 300.0, _LARGEST: 1_000.0}  # milliseconds, by audience


def measure(run: Run) -> list[Figure]:
    """The time from POST to 201 by audience, and rows a second against COPY of the same rows."""
    sizes = run.size((1_000, 10_000, 100_000), (1_000, 5_000))
    million = run.size((_LARGEST,), ())
    return [*_issue(run, "sqlite", sizes), *_issue(run, "postgresql", (*sizes, *million))]


def _issue(run: Run, engine: Engine, sizes: tuple[int, ...]) -> list[Figure]:
    name, figures, points = NAMES[engine], [], []
    with Town.open(run.fresh(), engine) as town, town.web() as port:
        token, living = town.token(), 0
        rate = 0.0
        for size in sizes:
            town.populate(size - living, {"email": lambda number: {"email": f"p{number}@d{number % 20}.example.jp"}})
            living = size
            answered, laid_down = zip(
                *(_post(town, port, token) for _ in range(1 if size == _LARGEST else _POSTS)), strict=True
            )
            points.append((float(size), median(answered) * 1_000))
            wanted = at_most(_LIMITS[size]) if engine == "postgresql" and size in _LIMITS else None
            figures.append(
                Figure(f"POST to 201, {size:,} people, {name}", median(answered) * 1_000, "ms", limit=wanted)
            )
            rate = size / median(laid_down)
        if engine == "postgresql":
            figures.append(
                Figure(f"deliveries laid down, {living:,} people, {name}", rate, "/s", "COPY of the same rows",
                       _copy(town.database_url, living), at_least(1 / 3, "ratio"))
            )  # fmt: skip
        else:
            figures.append(Figure(f"deliveries laid down, {living:,} people, {name}", rate, "/s"))
    run.draw(Curve("posting", "POST to 201", "people in the audience", "ms", {name: points}))
    return figures


def _post(town: Town, port: int, token: str) -> tuple[float, float]:
    """Seconds until the answer, and until everything was laid down."""
    body = {
        "board": "general",
        "title": "避難所を開設しました",
        "body": "第一小学校へ避難してください。",
        "urgent": True,
        "drill": False,
        "audience": {"everyone": True},
    }
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/posts",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
        answered = time.perf_counter() - began
        alert_id = json.load(answer)["alert"]["id"]
    town.wait_until_laid_down(alert_id)
    return answered, time.perf_counter() - began


def _copy(database_url: str, count: int) -> float:
    """Rows a second that PostgreSQL takes by COPY into a table like `deliveries`, with its indexes."""
    url = make_url(database_url)
    with psycopg.connect(host=url.host, port=url.port or 5432, user=url.username, dbname=url.database) as connection:
        connection.execute("CREATE TABLE copied (LIKE deliveries INCLUDING ALL)")
        with connection.cursor().copy(
            sql.SQL("COPY (SELECT * FROM deliveries LIMIT {}) TO STDOUT").format(count)
        ) as out:
            rows = b"".join(bytes(part) for part in out)
        connection.commit()
        began = time.perf_counter()
        with connection.cursor().copy("COPY copied FROM STDIN") as into:
            into.write(rows)
        connection.commit()
        return count / (time.perf_counter() - began)
