"""The harness itself: figures and their limits, numbers, pictures, and that references and loader do as they say."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import pytest
from websockets.sync.client import connect

from tests.acceptance.town import free_port
from tests.bench import references
from tests.bench.figures import Curve, Figure, Limit, Run, at_least, at_most, in_turn, number, table
from tests.bench.loader import load
from tests.bench.plots import svg
from tests.services import compile_c

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("limit", "reference", "holds"),
    [
        (at_least(100), None, True),
        (at_least(101), None, False),
        (at_most(100), None, True),
        (at_most(99), None, False),
        (at_least(10, "ratio"), 10.0, True),
        (at_least(10, "ratio"), 10.1, False),
        (at_most(1.3, "ratio"), 80.0, True),
        (at_most(1.2, "ratio"), 80.0, False),
        (at_most(1.2, "ratio"), None, None),
        (None, 80.0, None),
    ],
)
def test_a_figure_is_held_against_its_limit(limit: Limit | None, reference: float | None, holds: bool | None) -> None:
    figure = Figure("what", 100.0, "/s", "reference", reference, limit)
    assert figure.holds is holds
    assert (json.loads(json.dumps(figure.json()))["limit"] or {}).get("holds") is holds


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.304, "0.3"), (1.0, "1"), (12.34, "12.3"), (20.0, "20"), (100.4, "100"), (20_000.0, "20,000")],
)
def test_numbers_have_about_three_figures(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_table_shows_figure_reference_and_limit() -> None:
    figures = [
        Figure("push", 1_800.0, "/s", "naive", 120.0, at_least(10, "ratio"), "SQLite"),
        Figure("first", 20, "ms"),
    ]
    assert table(figures).splitlines()[2:] == [
        "| push (SQLite) | 1,800/s | naive: 120/s | 15 × | ≥ 10 × | yes |",
        "| first | 20 ms |  |  |  |  |",
    ]


def test_measurements_are_taken_in_turn() -> None:
    taken: list[str] = []
    values = iter([1.0, 10.0, 3.0, 30.0, 2.0, 20.0])

    def one(name: str) -> float:
        taken.append(name)
        return next(values)

    assert in_turn(3, lambda: one("a"), lambda: one("b")) == [2.0, 20.0]
    assert taken == ["a", "b"] * 3


def test_series_of_one_curve_are_drawn_together(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for name, points in (("SQLite", [(1.0, 2.0)]), ("PostgreSQL", [(1.0, 3.0)])):
        run.draw(Curve("cost", "Cost", "people", "ms", {name: points}))
    assert run.curves["cost"].series == {"SQLite": [(1.0, 2.0)], "PostgreSQL": [(1.0, 3.0)]}


def test_a_picture_has_a_line_for_each_series_and_stays_on_its_paper() -> None:
    series = {"a & b": [(0.0, 0.0), (1_000.0, 5.0), (100_000.0, 730.0)], "other": [(5.0, 0.001)]}
    picture = svg(Curve("cost", "Cost <by size>", "people", "ms", series))
    root = ElementTree.fromstring(picture)  # noqa: S314 - of our own making
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"Cost <by size>", "people", "ms", "a & b", "other"} <= set(texts)
    assert len([path for path in root.iter(f"{SVG}path") if path.get("class") == "line"]) == len(series)
    width, height = (float(side) for side in root.attrib["viewBox"].split()[2:])
    circles = [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in root.iter(f"{SVG}circle")]
    assert len(circles) == 4
    assert all(0 <= x <= width and 0 <= y <= height for x, y in circles)


@pytest.mark.parametrize("make", [references.websockets, references.starlette])
def test_what_is_published_at_a_reference_reaches_everybody(make: Callable[[], references.Broadcaster]) -> None:
    other, port = make(), free_port()
    with ExitStack() as stack:
        stack.enter_context(references.serving(other.command(port), port))
        lines = [stack.enter_context(connect(f"ws://127.0.0.1:{port}/bench", proxy=None)) for _ in range(3)]
        other.publish(port, '{"bench": "避難"}'.encode())
        assert [line.recv(10) for line in lines] == ['{"bench": "避難"}'] * 3


def test_a_disk_is_made_slower(tmp_path: Path) -> None:
    slow = compile_c(Path(__file__).with_name("slowdisk.c"), tmp_path, "-shared", "-fPIC")
    program = "import os, sys, time; began = time.monotonic(); os.fsync(1); os.fdatasync(1); "
    with (tmp_path / "file").open("w") as file:
        told = subprocess.run(
            [sys.executable, "-c", program + "print(time.monotonic() - began, file=sys.stderr)"],
            env={**os.environ, "LD_PRELOAD": str(slow)}, stdout=file, stderr=subprocess.PIPE, check=True,
        )  # fmt: skip
    assert float(told.stderr) >= 0.010


def test_an_answer_without_a_body_is_one() -> None:
    """204 tells no length (RFC 9110 section 8.6)."""

    class NoContent(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), NoContent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            assert load(server.server_port, ["/"] * 20, connections=4).answered == 20
        finally:
            server.shutdown()
