"""/metrics: what a Prometheus server reads, and that nobody can be found in it."""

from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from alertd.core.delivery import State, Transition
from alertd.service import heartbeat
from alertd.store import deliveries
from alertd.store.deliveries import Settlement
from alertd.store.engine import Store
from alertd.web import metrics
from tests.installation import Clock
from tests.web.server import Site, Town, frame


async def samples(town: Town) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = await town.raw("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.raw.decode())
        for sample in family.samples
    }


async def test_every_number_is_there_and_nobody_is_in_it(any_town: Town, clock: Clock) -> None:
    town = any_town
    people = len(town.tokens)
    await town.alert()
    found = await samples(town)
    names = {name for name, _ in found}
    assert names >= set(metrics.NAMES) - {metrics.OUTCOMES, metrics.CIRCUITS}
    assert found[metrics.DELIVERIES, (("channel", "email"), ("state", "pending"))] == people
    assert found[metrics.ACTIVE_ALERTS, ()] == 1
    assert found[metrics.OLDEST_DUE, (("channel", "email"),)] == 0
    assert found[metrics.SELF_TEST, ()] == 0
    clock.move(seconds=90)
    assert (await samples(town))[metrics.OLDEST_DUE, (("channel", "email"),)] == 90
    text = (await town.raw("GET", "/metrics")).raw.decode()
    for person in town.tokens:
        assert f"{person}@" not in text
        assert f"{person} " not in text


async def test_what_is_sent_or_held_is_counted_as_such(town: Town, clock: Clock) -> None:
    rt = town.rt
    await town.alert()
    heartbeat.start(rt, "w1", "worker", "email")
    with rt.store.write() as connection:
        one, two, *_ = deliveries.claim(connection, "email", "w1", 10, rt.now())
    sent = Settlement(one, "accepted", Transition(State.SENT, provider_id="m"))
    held = Settlement(two, "misconfigured", Transition(State.HELD, "the relay wants a password", counted=False))
    for settlement in (sent, held):
        with rt.store.write() as connection:
            deliveries.settle(connection, [settlement], rt.now())
    found = await samples(town)
    assert found[metrics.DELIVERIES, (("channel", "email"), ("state", "sent"))] == 1
    assert found[metrics.HELD, (("channel", "email"),)] == 1
    assert found[metrics.HELD, (("channel", "sms"),)] == 0
    assert found[metrics.PROCESSES, (("channel", "email"), ("role", "worker"))] == 1
    assert found[metrics.PROCESSES, (("channel", ""), ("role", "clock"))] == 0
    clock.move(hours=25)
    found = await samples(town)
    assert (metrics.DELIVERIES, (("channel", "email"), ("state", "sent"))) not in found


async def test_connections_and_the_lag_behind_the_log(town: Town) -> None:
    async with town.stream("staff") as stream:
        await frame(stream, "hello")
        await town.alert()
        await frame(stream, "alert")
        found = await samples(town)
    assert found[metrics.CONNECTIONS, ()] == 1
    assert found[metrics.EVENT_LAG, ()] == 0


async def test_a_store_that_is_away_is_a_503(open_site: Callable[..., Site]) -> None:
    async with Town(open_site()) as town:
        take_away(town.rt.store)
        answer = await town.raw("GET", "/metrics")
    assert answer.status == 503
    assert answer.headers["retry-after"]


def take_away(store: Store) -> None:
    """Put something in the database's place that is none."""
    database = Path(str(store.engine.url.database))
    store.engine.dispose()
    database.unlink()
    database.mkdir()
