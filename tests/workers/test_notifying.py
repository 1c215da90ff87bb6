"""An alert in people's lists in Garoon, on both stores: everybody once, whoever is unknown there, away or killed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select, update

from alertd.core.roles import Role
from alertd.service import acting, observing, sources, watching, writing_back
from alertd.service.importing import import_people
from alertd.service.revising import Revision, revise
from alertd.service.runtime import Runtime
from alertd.service.sources import Watch
from alertd.store import schema
from channels.hosts import Hosts
from tests.acceptance.town import eventually
from tests.core.test_rules import seen
from tests.installation import BOSS, PUBLIC_URL, Clock, actor
from tests.providers.garoon import CODE, GaroonServer
from workers.fetching import HttpFetch
from workers.poller import PollerProcess

ADMIN = actor("admin", Role.ADMIN)
RULES = '[[rule]]\nname = "urgent"\nsource = "board"\ndo = "alert"\naudience = { everyone = true }\ndrills = "drill"\n'
MANY = 450  # more than are told at once


@pytest.fixture
def garoon() -> Iterator[GaroonServer]:
    with GaroonServer() as server:
        yield server


@pytest.fixture
async def fetch(garoon: GaroonServer) -> AsyncIterator[HttpFetch]:
    made = HttpFetch(Hosts.parse(garoon.host, ()), "alertd/test")
    yield made
    await made.close()


def inhabit(rt: Runtime, count: int) -> list[str]:
    people = [f"p{number:04}" for number in range(count)]
    rows = [f"{each},{each},{each}@mikan.example" for each in people]
    assert import_people(rt, ADMIN, "\n".join(["id,name,email", *rows]), dry_run=False).applied
    return people


def begin(rt: Runtime, garoon: GaroonServer, title: str = "【緊急】参集", rules: str = RULES, **access: Any) -> str:
    """A topic that became an alert; the alert's id."""
    asked = {**garoon.access("rest"), "comment": False, **access}
    sources.make_source(rt, ADMIN, "board", "garoon", Watch(asked))
    sources.save_book(rt, BOSS, rules)
    topic = garoon.post(title)
    standing = "drill" if "訓練" in title else "actual"
    said = seen(incident=f"garoon:{topic}", title=title, body="本庁舎に参集", standing=standing)
    observing.take(rt, "board", [said])
    acting.act_due(rt)
    [alert] = watching.read_alerts(rt, BOSS, before=None, limit=9)
    return str(alert["id"])


async def tell(rt: Runtime, fetch: HttpFetch) -> bool:
    """Whatever is due, once, as the poller does; whether anything was."""
    writings = await asyncio.to_thread(writing_back.take_turns, rt, 10)
    process = PollerProcess(rt, "p1", fetch, 1.0)
    for each in writings:
        await process.tell(each)
    return bool(writings)


def fault(rt: Runtime) -> str:
    return str(sources.list_sources(rt)[0]["fault"])


def again(rt: Runtime, alert_id: str, kind: Any, title: str) -> None:
    revise(rt, BOSS, alert_id, Revision(kind, title, "本庁舎に参集"))


def posts(garoon: GaroonServer) -> list[int]:
    """How it answered what was to be put into lists."""
    return [status for path, status in garoon.asked if path.endswith("/notification/items")]


async def test_everybody_has_it_once_then_its_update_and_its_end(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch, time: Clock
) -> None:
    people = inhabit(rt, MANY)
    garoon.know(*people)
    alert = begin(rt, garoon)
    await tell(rt, fetch)
    assert garoon.titles(alert) == dict.fromkeys(people, "【緊急】参集")
    assert posts(garoon) == [200, 200, 200]
    item = garoon.lists["p0000"][alert]
    assert (item.operation, item.url, item.body) == ("add", f"{PUBLIC_URL}/me/alerts/{alert}", "本庁舎に参集")
    time.move(seconds=11)
    assert await tell(rt, fetch)
    assert len(posts(garoon)) == 3, "what it says already it is not told again"
    again(rt, alert, "update", "【緊急】参集先は消防署")
    time.move(seconds=11)
    await tell(rt, fetch)
    assert garoon.titles(alert) == dict.fromkeys(people, "【更新】【緊急】参集先は消防署")
    again(rt, alert, "cancel", "参集は終わりました")
    time.move(seconds=11)
    await tell(rt, fetch)
    assert garoon.titles(alert) == dict.fromkeys(people, "【解除】参集は終わりました（終了）")
    assert Counter(item.operation for _, _, item in garoon.noticed) == {"add": MANY, "modify": 2 * MANY}
    time.move(hours=1)
    assert not await tell(rt, fetch), "of what is over nothing more is told"


async def test_a_drill_says_so_and_is_over_when_it_expires(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch, time: Clock
) -> None:
    garoon.know(*inhabit(rt, 2))
    alert = begin(rt, garoon, "【訓練】【緊急】参集" + "、" * 120)
    await tell(rt, fetch)
    assert garoon.titles(alert)["p0001"].startswith("【訓練】【緊急】参集、")
    assert len(garoon.titles(alert)["p0001"]) == 100
    time.move(days=2)
    await tell(rt, fetch)
    title = garoon.titles(alert)["p0001"]
    assert title.startswith("【訓練】【緊急】参集、")
    assert title.endswith("…（終了）")
    assert len(title) == 100


async def test_whoever_garoon_does_not_know_is_shown_and_keeps_it_from_nobody(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch
) -> None:
    people = inhabit(rt, 300)
    unknown = {people[0], *people[60:75], people[-1]}
    garoon.know(*(each for each in people if each not in unknown))
    alert = begin(rt, garoon)
    while len(garoon.titles(alert)) < len(people) - len(unknown):
        assert await tell(rt, fetch)
    assert set(garoon.titles(alert)) == set(people) - unknown
    assert len(garoon.noticed) == len(people) - len(unknown), "nobody twice"
    told = "17 people were not notified there, the last of them p0299: Garoon refuses the notification: GRN_CMMN_00105"
    assert fault(rt).startswith(told)


async def test_a_code_that_nobody_has_registered_is_a_fault_and_no_person_s(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch, time: Clock
) -> None:
    time.time = datetime.now(UTC)  # Garoon takes no comment that is dated otherwise
    people = inhabit(rt, 5)
    garoon.know(*people)
    garoon.codes.clear()
    alert = begin(rt, garoon, comment=True)
    await tell(rt, fetch)
    assert garoon.titles(alert) == {}
    assert fault(rt).startswith(
        "people could not be notified there: Garoon refuses the notification: GRN_REST_API_00202"
    )
    [topic] = garoon.topics.values()
    assert len(topic.comments) == 1, "the one has nothing to do with the other"
    garoon.codes.add(CODE)
    assert not await tell(rt, fetch), "not before a while is over"
    time.move(seconds=61)
    await tell(rt, fetch)
    assert garoon.titles(alert) == dict.fromkeys(people, "【緊急】参集")
    assert Counter(item.operation for _, _, item in garoon.noticed) == {"add": 5}
    assert len(topic.comments) == 1


async def test_a_smaller_limit_than_ours_only_costs_more_requests(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch
) -> None:
    people = inhabit(rt, MANY)
    garoon.know(*people)
    garoon.destinations_max = 30
    alert = begin(rt, garoon)
    while len(garoon.titles(alert)) < MANY:
        assert await tell(rt, fetch)
    assert len(garoon.noticed) == MANY
    assert "notif" not in fault(rt)


async def test_a_garoon_that_is_away_is_told_when_it_is_back(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch, time: Clock
) -> None:
    people = inhabit(rt, 3)
    garoon.know(*people)
    alert = begin(rt, garoon)
    for broken in (web.Response(status=503), web.Response(text="<html>", status=200), web.Response(status=401)):
        garoon.broken = broken
        await tell(rt, fetch)
        time.move(seconds=61)
    assert "people could not be notified there" in fault(rt)
    garoon.broken = None
    await tell(rt, fetch)
    assert set(garoon.titles(alert)) == set(people)


async def test_who_is_killed_leaves_the_rest_and_a_revision_meanwhile_is_what_they_read(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch, time: Clock
) -> None:
    people = inhabit(rt, MANY)
    garoon.know(*people)
    alert = begin(rt, garoon)

    # Two steps were taken there; that the second was, nobody here has heard.
    [writing] = writing_back.take_turns(rt, 10)
    poller: Any = writing.poller
    for number in range(2):
        step = writing_back.next_step(rt, writing)
        assert step is not None
        assert await poller.notify(writing.access, fetch, step.notice) is None
        if number == 0:
            writing_back.note(rt, writing, step, None)
    assert writing_back.take_turns(rt, 10) == []
    again(rt, alert, "update", "参集先は消防署")
    time.move(seconds=91)
    await tell(rt, fetch)
    assert garoon.titles(alert) == dict.fromkeys(people, "【更新】参集先は消防署")
    operations = {login: item.operation for login, _, item in garoon.noticed}
    assert [operations[each] for each in people] == ["modify"] * 200 + ["add"] * 250
    assert max(Counter(login for login, _, _ in garoon.noticed).values()) == 2


async def test_two_topics_of_one_alert_are_one_item(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch, time: Clock
) -> None:
    people = inhabit(rt, 3)
    garoon.know(*people)
    alert = begin(rt, garoon)
    observing.take(rt, "board", [seen(id="2", incident="garoon:99", title="【緊急】もう一つ")])
    acting.act_due(rt)
    # As rules may have it: the second has joined the first.
    with rt.store.write() as connection:
        ours = select(schema.incidents.c.thread_id).where(schema.incidents.c.reference != "garoon:99").scalar_subquery()
        connection.execute(update(schema.incidents).values(thread_id=ours))
    await tell(rt, fetch)
    again(rt, alert, "cancel", "参集は終わりました")
    for _ in range(3):
        time.move(seconds=11)
        await tell(rt, fetch)
    assert Counter((login, key, item.operation) for login, key, item in garoon.noticed) == {
        (login, alert, operation): 1 for login in people for operation in ("add", "modify")
    }


async def test_a_garoon_that_hangs_keeps_no_other_source_waiting(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch
) -> None:
    garoon.know(*inhabit(rt, 2))
    closing = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closing.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    mute = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    slow = HttpFetch(Hosts.parse(f"{garoon.host},{mute}", ()), "alertd/test")
    stopping = asyncio.Event()
    hanging = {**garoon.access("rest"), "url": f"http://{mute}/g", "comment": False}
    sources.make_source(rt, ADMIN, "mute", "garoon", Watch(hanging))
    first = begin(rt, garoon, rules=RULES + RULES.replace("board", "mute").replace("urgent", "too"))
    observing.take(rt, "mute", [seen(incident="garoon:7", title="【緊急】返事のない先の掲示")])
    acting.act_due(rt)
    running = asyncio.create_task(PollerProcess(rt, "p1", slow, 0.05).run(stopping))

    async def are_told() -> bool:
        return set(garoon.titles(first)) == {"p0000", "p0001"}

    await eventually(are_told, 15, "the others are told while one hangs")
    stopping.set()
    await running
    # What was broken off is somebody else's at once.
    assert "mute" in [each.source_id for each in writing_back.take_turns(rt, 10)]
    closing.set()
    server.close()
    await slow.close()


async def test_people_may_be_known_there_by_their_mail_and_no_secret_goes_there(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch
) -> None:
    people = inhabit(rt, 2)
    garoon.know(*(f"{each}@mikan.example" for each in people))
    garoon.leads_to = [f"{PUBLIC_URL}/*"]
    alert = begin(rt, garoon, notify_login="email")
    await tell(rt, fetch)
    assert set(garoon.titles(alert)) == {"p0000@mikan.example", "p0001@mikan.example"}
    assert {item.url for _, _, item in garoon.noticed} == {f"{PUBLIC_URL}/me/alerts/{alert}"}


async def test_without_a_code_nobody_is_notified(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch, time: Clock
) -> None:
    time.time = datetime.now(UTC)
    garoon.know(*inhabit(rt, 2))
    begin(rt, garoon, notify_code="", comment=True)
    await tell(rt, fetch)
    assert posts(garoon) == []
    [topic] = garoon.topics.values()
    assert len(topic.comments) == 1


async def test_what_garoon_never_takes_is_tried_for_a_day_after_the_end(
    rt: Runtime, garoon: GaroonServer, fetch: HttpFetch, time: Clock
) -> None:
    inhabit(rt, 1)
    alert = begin(rt, garoon, comment=True, notify_code="")
    again(rt, alert, "cancel", "参集は終わりました")
    garoon.broken = web.Response(status=503)
    assert await tell(rt, fetch)
    assert "could not be written there" in fault(rt)
    time.move(hours=23)
    assert await tell(rt, fetch)
    time.move(hours=2)
    assert await tell(rt, fetch)
    time.move(days=3)
    assert not await tell(rt, fetch)
