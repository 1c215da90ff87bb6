"""Acknowledgements, durable before they are confirmed, over HTTP and over the live stream.

Against a bare endpoint with the same group commit, against the same endpoint with a commit for each on a slower disk,
and against nginx that keeps nothing.
"""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import select

from alertd.core.acknowledgement import Way, make_token
from alertd.store.schema import recipients
from tests.bench.fanout import make_tokens
from tests.bench.figures import Figure, Run, Skipped, at_least, at_most, in_turn
from tests.bench.loader import Load, load
from tests.bench.references import answering_204
from tests.bench.stream_loader import load_stream
from tests.bench.town import ENGINES, NAMES, Engine, Town
from tests.services import compile_c

_CONNECTIONS: Final = 128


def measure(run: Run) -> list[Figure]:
    """The rate of one web process on each engine, and the slowest percent at half of it."""
    figures, rates = [], {}
    for engine in ENGINES:
        full, half, bare = _answers(run, engine)
        name, rates[engine] = NAMES[engine], full.rate
        figures += [
            Figure(f"durable acknowledgements over HTTP, {name}", full.rate, "/s", "bare Starlette", bare.rate,
                   at_least(0.8, "ratio"), f"p99 {full.p99 * 1_000:.0f} ms"),
            Figure(f"slowest percent of them at half that rate, {name}", half.p99 * 1_000, "ms", limit=at_most(50)),
        ]  # fmt: skip
    figures.append(
        Figure("durable acknowledgements, PostgreSQL against SQLite", rates["postgresql"], "/s", "SQLite",
               rates["sqlite"], at_least(0.6, "ratio"))
    )  # fmt: skip
    for part in (
        partial(_against_nginx, run, rates["sqlite"]),
        partial(_over_stream, run),
        partial(_on_a_slow_disk, run),
    ):
        try:
            figures.append(part())
        except Skipped as reason:
            run.notes.append(f"not measured: {reason}")
    return figures


def _answers(run: Run, engine: Engine) -> tuple[Load, Load, Load]:
    """Ours as fast as it goes, ours at half that rate, the bare endpoint as fast as it goes."""
    count = run.size(20_000, 1_000)
    with Town.open(run.fresh(), engine) as town:
        town.populate(2 * count, {})
        paths = _links(town, [town.post()])
        with town.web() as port:
            full = load(port, paths[:count], connections=_CONNECTIONS)
            half = load(port, paths[count:], connections=_CONNECTIONS, rate=full.rate / 2)
        with town.bare() as port:
            bare = load(port, paths[:count], connections=_CONNECTIONS)
    return full, half, bare


def _over_stream(run: Run) -> Figure:
    """Live connections and HTTP in turn, as many at once: everybody acknowledges one alert after the other."""
    rounds, alerts = run.size(5, 2), run.size(40, 10)
    with Town.open(run.fresh(), "sqlite") as town:
        town.populate(_CONNECTIONS, {})
        tokens = make_tokens(town, _CONNECTIONS, _CONNECTIONS).read_text().splitlines()
        issued = iter([town.post() for _ in range(2 * rounds * alerts)])
        with town.web() as port:
            stream, http = in_turn(
                rounds,
                lambda: load_stream(port, tokens, list(islice(issued, alerts))).rate,
                lambda: load(port, _links(town, list(islice(issued, alerts))), connections=_CONNECTIONS).rate,
            )
    return Figure("durable acknowledgements over the live stream, SQLite", stream, "/s", "over HTTP", http,
                  at_least(1.5, "ratio"), f"{_CONNECTIONS} at once")  # fmt: skip


def _on_a_slow_disk(run: Run) -> Figure:
    """Ours, and the bare endpoint with a commit for each answer, where an fsync takes 5 ms more."""
    count, few = run.size(20_000, 2_000), run.size(1_000, 200)
    slow = compile_c(Path(__file__).with_name("slowdisk.c"), run.directory, "-shared", "-fPIC")
    with Town.open(run.fresh(), "sqlite", {"LD_PRELOAD": str(slow)}) as town:
        town.populate(count, {})
        paths = _links(town, [town.post()])
        with town.web() as port:
            ours = load(port, paths, connections=_CONNECTIONS).rate
        with town.bare(most=1) as port:
            each = load(port, paths[:few], connections=_CONNECTIONS).rate
    return Figure("durable acknowledgements over HTTP, an fsync takes 5 ms more, SQLite", ours, "/s",
                  "a commit for each", each, at_least(20, "ratio"))  # fmt: skip


def _against_nginx(run: Run, rate: float) -> Figure:
    """What there is to reach for: nginx that keeps nothing, asked by the same loader."""
    paths = [f"/a/{number}" for number in range(run.size(20_000, 2_000))]
    with answering_204(run.fresh()) as port:
        ceiling = load(port, paths, connections=_CONNECTIONS).rate
    return Figure("durable acknowledgements over HTTP against nginx answering 204, SQLite (to reach for)", rate, "/s",
                  "nginx", ceiling, note="the loader asks no faster")  # fmt: skip


def _links(town: Town, alerts: Sequence[str]) -> list[str]:
    """What everybody's push button posts to, for these alerts."""
    of_them = select(recipients.c.id).where(recipients.c.alert_id.in_(alerts)).order_by(recipients.c.id)
    with town.rt.store.read() as connection:
        numbers = connection.execute(of_them).scalars().all()
    return [f"/a/{make_token(number, Way.PUSH, town.rt.tokens)}" for number in numbers]
