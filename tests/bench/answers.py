"""Acknowledgements over HTTP, durable before they are answered, against a bare endpoint with the same group commit."""

from typing import Final

from sqlalchemy import select

from alertd.core.acknowledgement import Way, make_token
from alertd.store.schema import recipients
from tests.bench.figures import Figure, Run, at_least, at_most
from tests.bench.loader import Load, load
from tests.bench.town import ENGINES, NAMES, Engine, Town

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
    return figures


def _answers(run: Run, engine: Engine) -> tuple[Load, Load, Load]:
    """Ours as fast as it goes, ours at half that rate, the bare endpoint as fast as it goes."""
    count = run.size(20_000, 1_000)
    with Town.open(run.fresh(), engine) as town:
        town.populate(2 * count, {})
        town.post()
        paths = _links(town)
        with town.web() as port:
            full = load(port, paths[:count], connections=_CONNECTIONS)
            half = load(port, paths[count:], connections=_CONNECTIONS, rate=full.rate / 2)
        with town.bare() as port:
            bare = load(port, paths[:count], connections=_CONNECTIONS)
    for each in (full, half, bare):
        if each.refusals:
            raise RuntimeError(f"refused: {each.refusals[0]}")
    return full, half, bare


def _links(town: Town) -> list[str]:
    """What everybody's push button posts to."""
    with town.rt.store.read() as connection:
        numbers = connection.execute(select(recipients.c.id).order_by(recipients.c.id)).scalars().all()
    return [f"/a/{make_token(number, Way.PUSH, town.rt.tokens)}" for number in numbers]
