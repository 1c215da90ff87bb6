"""/metrics: what a Prometheus server reads, and that nobody can be found in it."""

from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from alertd.core.delivery import State, Transition
from alertd.core.roles import Role
from alertd.service import heartbeat, sources
from alertd.store import circuits, deliveries, settlements
from alertd.store.engine import Store
from alertd.store.settlements import Settlement
from alertd.web import metrics
from tests.installation import Clock, actor
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
    assert names >= set(metrics.NAMES) - {metrics.OUTCOMES, metrics.CIRCUITS, metrics.SOURCE_AGE}
    assert found[metrics.DELIVERIES, (("channel", "email"), ("state", "pending"))] == people
    assert found[metrics.ACTIVE_ALERTS, ()] == 1
    assert found[metrics.OLDEST_DUE, (("channel", "email"),)] == 0
    assert found[metrics.SELF_TEST, ()] == 0
    sources.make_source(town.rt, actor("admin", Role.ADMIN), "river", "program")
    clock.move(seconds=90)
    later = await samples(town)
    assert later[metrics.OLDEST_DUE, (("channel", "email"),)] == 90
    assert later[metrics.SOURCE_AGE, (("source", "river"),)] == 90
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
            settlements.settle(connection, [settlement], rt.now())
    found = await samples(town)
    assert found[metrics.DELIVERIES, (("channel", "email"), ("state", "sent"))] == 1
    assert found[metrics.HELD, (("channel", "email"),)] == 1
    assert found[metrics.HELD, (("channel", "sms"),)] == 0
    assert found[metrics.PROCESSES, (("channel", "email"), ("role", "worker"))] == 1
    assert found[metrics.PROCESSES, (("channel", ""), ("role", "clock"))] == 0
    clock.move(hours=25)
    found = await samples(town)
    assert (metrics.DELIVERIES, (("channel", "email"), ("state", "sent"))) not in found


async def test_for_five_seconds_everybody_gets_the_same_numbers(town: Town, clock: Clock) -> None:
    await town.alert()
    assert (await samples(town))[metrics.ACTIVE_ALERTS, ()] == 1
    await town.alert()
    clock.move(seconds=4.9)
    assert (await samples(town))[metrics.ACTIVE_ALERTS, ()] == 1
    clock.move(seconds=0.1)
    assert (await samples(town))[metrics.ACTIVE_ALERTS, ()] == 2


async def test_every_role_that_should_run_is_there_if_with_0(open_site: Callable[..., Site]) -> None:
    site = open_site()
    async with Town(site) as town:
        object.__setattr__(site.rt, "roles", ("clock", "web", "poller", "incoming"))
        found = await samples(town)
    processes = {tuple(value for _, value in labels) for name, labels in found if name == metrics.PROCESSES}
    assert processes == {
        ("", "clock"),
        ("", "web"),
        ("", "poller"),
        ("", "incoming"),
        *((channel, "worker") for channel in CHANNELS),
    }


CHANNELS = ("webpush", "sms", "email")


async def test_mail_domains_are_not_told(town: Town, clock: Clock) -> None:
    row = {"provider": "primary", "state": "open", "reason": "no answer", "since": clock()}
    lanes = [("email", "taro.example.jp"), ("email", "hana.example.jp"), ("email", "*"), ("webpush", "push.example")]
    with town.rt.store.write() as connection:
        circuits.replace(connection, "w1", [{**row, "channel": channel, "lane": lane} for channel, lane in lanes])
    found = await samples(town)
    told = {(dict(labels)["channel"], dict(labels)["lane"]): value for (name, labels), value in found.items()
            if name == metrics.CIRCUITS}  # fmt: skip
    assert told == {("email", ""): 1, ("email", "*"): 1, ("webpush", "push.example"): 1}


async def test_connections_and_the_lag_behind_the_log(town: Town) -> None:
    async with town.stream("staff") as stream:
        await frame(stream, "hello")
        await town.alert()
        await frame(stream, "alert")
        found = await samples(town)
    assert found[metrics.CONNECTIONS, (("process", "1"),)] == 1
    assert found[metrics.EVENT_LAG, (("process", "1"),)] == 0


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
