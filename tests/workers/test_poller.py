"""The poller on both stores, with the Agency's feeds on the loopback: whose turn it is, and what is kept."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select

from alertd.core.roles import Role
from alertd.service import polling, sources
from alertd.service.runtime import Runtime
from alertd.service.sources import Watch
from alertd.store import schema
from channels.hosts import Hosts
from tests.acceptance.town import eventually
from tests.installation import BOSS, Clock, actor, settle
from tests.providers.jma import JmaServer
from tests.sources.telegrams import telegram
from workers.fetching import HttpFetch
from workers.poller import PollerProcess

ADMIN = actor("admin", Role.ADMIN)


@pytest.fixture
def jma() -> Iterator[JmaServer]:
    with JmaServer() as server:
        yield server


@pytest.fixture
async def fetch(jma: JmaServer) -> AsyncIterator[HttpFetch]:
    made = HttpFetch(Hosts.parse(jma.host, ()), "alertd/test")
    yield made
    await made.close()


def make(rt: Runtime, jma: JmaServer, name: str = "jma", **changes: Any) -> None:
    sources.make_source(rt, ADMIN, name, "jma", Watch({**jma.access, **changes}, 60))


async def look(rt: Runtime, fetch: HttpFetch) -> list[str | None]:
    """Ask whatever is due, once; what was wrong with each."""
    process = PollerProcess(rt, "p1", fetch, 1.0)
    faults = []
    for turn in await asyncio.to_thread(polling.take_turns, rt, 10):
        fault = await process.ask(turn)
        await asyncio.to_thread(polling.end_turn, rt, turn, fault)
        faults.append(fault)
    return faults


def publish(jma: JmaServer, time: Clock, number: int, **changes: Any) -> str:
    said = telegram(at=f"{number:02}", event=f"2026112202{number:02}00", **changes)
    return jma.publish("extra", "VPZZ50", said, at=time() + timedelta(seconds=number))


def observed(rt: Runtime) -> int:
    return len(sources.list_observations(rt, limit=100))


def row(rt: Runtime) -> dict[str, Any]:
    [found] = sources.list_sources(rt)
    return found


async def test_a_feed_is_asked_when_it_is_time_and_says_nothing_twice(
    rt: Runtime, jma: JmaServer, fetch: HttpFetch, time: Clock
) -> None:
    make(rt, jma, types=["VPZZ"])
    publish(jma, time, 1)
    assert await look(rt, fetch) == [None]
    assert observed(rt) == 1
    assert await look(rt, fetch) == []
    time.move(seconds=61)
    assert await look(rt, fetch) == [None]
    assert [status for path, status in jma.requests if path.endswith("extra.xml")] == [200, 304]
    assert observed(rt) == 1
    publish(jma, time, 2)
    polling.hint(rt, "jma")
    assert await look(rt, fetch) == [None]
    assert observed(rt) == 2
    assert not jma.shut_out


async def test_only_one_asks_until_its_lease_is_over(rt: Runtime, jma: JmaServer, time: Clock) -> None:
    make(rt, jma)
    [turn] = polling.take_turns(rt, 10)
    assert polling.take_turns(rt, 10) == []
    time.move(seconds=polling.LEASE.total_seconds() - 1)
    polling.prolong(rt, ["jma"])
    time.move(seconds=polling.LEASE.total_seconds() - 1)
    assert polling.take_turns(rt, 10) == []
    time.move(seconds=2)
    assert [each.source_id for each in polling.take_turns(rt, 10)] == [turn.source_id]


async def test_a_hint_while_it_is_asked_is_not_lost(rt: Runtime, jma: JmaServer, time: Clock) -> None:
    make(rt, jma)
    [turn] = polling.take_turns(rt, 10)
    time.move(seconds=1)
    polling.hint(rt, "jma")
    polling.end_turn(rt, turn, None)
    assert len(polling.take_turns(rt, 10)) == 1


async def test_a_message_that_was_cut_off_is_taken_and_not_fetched_again(
    rt: Runtime, jma: JmaServer, fetch: HttpFetch, time: Clock
) -> None:
    make(rt, jma, types=["VPZZ"])
    name = publish(jma, time, 1)
    url = f"{jma.url}/developer/xml/data/{name}"
    polling.keep(rt, "jma", url, (await fetch(url)).body)  # and then it was killed
    assert await look(rt, fetch) == [None]
    assert observed(rt) == 1
    assert not jma.shut_out
    with rt.store.read() as connection:
        [kept] = connection.execute(select(schema.fetched)).all()
    assert (kept.body, kept.taken_at is not None) == (None, True)


async def test_what_cannot_be_read_is_kept_with_its_reason_and_stops_nothing(
    rt: Runtime, jma: JmaServer, fetch: HttpFetch, time: Clock
) -> None:
    make(rt, jma, types=["VPZZ"])
    publish(jma, time, 1, status="本番")
    publish(jma, time, 2)
    assert await look(rt, fetch) == [None]
    assert observed(rt) == 1
    assert "Status must be 通常, 訓練 or 試験" in row(rt)["fault"]
    with rt.store.read() as connection:
        bodies = [each.body for each in connection.execute(select(schema.fetched).order_by(schema.fetched.c.reference))]
    assert sorted(body is None for body in bodies) == [False, True]


async def test_ten_thousand_messages_are_taken_bit_by_bit(
    rt: Runtime, jma: JmaServer, fetch: HttpFetch, time: Clock
) -> None:
    make(rt, jma, types=["VPZZ"])
    said = telegram()
    for _ in range(1_200):
        jma.publish("extra", "VPZZ50", said, at=time())
    [fault] = await look(rt, fetch)
    assert "700 messages are left" in str(fault)
    time.move(minutes=5)
    [fault] = await look(rt, fetch)
    assert "200 messages are left" in str(fault)
    time.move(minutes=5)
    assert await look(rt, fetch) == [None]
    assert len(jma.requests) < 1_220
    assert not jma.shut_out


async def test_offices_and_kinds_that_are_not_wanted_are_not_fetched(
    rt: Runtime, jma: JmaServer, fetch: HttpFetch, time: Clock
) -> None:
    make(rt, jma, offices=["380000"])
    wanted = [("VPWW54", "380000"), ("VPWW99", "380000"), ("VXSE53", "010000")]
    for kind, office in [*wanted, ("VPWW54", "440000"), ("VPFD51", "380000")]:
        jma.publish("extra", kind, telegram(), office=office, at=time())
    await look(rt, fetch)
    assert sum("/data/" in path for path, _ in jma.requests) == len(wanted)


async def test_a_feed_that_goes_back_in_time_is_told(
    rt: Runtime, jma: JmaServer, fetch: HttpFetch, time: Clock
) -> None:
    make(rt, jma, types=["VPZZ"])
    publish(jma, time, 1)
    await look(rt, fetch)
    jma.forget_short()
    time.move(seconds=61)
    jma.publish("extra", "VPZZ50", telegram(at="30"), at=time() - timedelta(hours=3))
    [fault] = await look(rt, fetch)
    assert "went back in time" in str(fault)


async def test_a_source_that_falls_silent_is_told_once_to_the_administrators(
    rt: Runtime, jma: JmaServer, fetch: HttpFetch, time: Clock
) -> None:
    settle(rt, "chief", phone="090-0000-0009", role="admin")
    make(rt, jma)
    jma.broken = web.Response(status=500)
    for _ in range(8):
        time.move(seconds=61)
        await look(rt, fetch)
        polling.tell_of_silence(rt)
    assert row(rt)["silent"]
    with rt.store.read() as connection:
        told = connection.execute(select(schema.alerts.c.title).where(schema.alerts.c.kind == "notice")).scalars().all()
    assert told == ["【システム】情報源「jma」が途絶えています / [SYSTEM] A source is silent"]
    jma.broken = None
    time.move(seconds=61)
    await look(rt, fetch)
    assert not row(rt)["silent"]


async def test_a_source_that_hangs_holds_up_no_other(rt: Runtime, jma: JmaServer, fetch: HttpFetch) -> None:
    """One of two never answers; the process runs as it does in a town."""
    closing = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closing.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    slow = HttpFetch(Hosts.parse(f"{jma.host},127.0.0.1:{port}", ()), "alertd/test")
    sources.make_source(rt, ADMIN, "a-hangs", "cap", Watch({"feed": f"http://127.0.0.1:{port}/feed"}))
    make(rt, jma)
    stopping = asyncio.Event()
    running = asyncio.create_task(PollerProcess(rt, "p1", slow, 0.05).run(stopping))
    await asyncio.to_thread(jma.wait_until, lambda: len(jma.requests) == 2)

    async def is_heard() -> bool:
        return {each["id"]: each["succeeded_at"] for each in sources.list_sources(rt)}["jma"] is not None

    await eventually(is_heard, 10, "the other source was heard")
    stopping.set()
    await running
    closing.set()
    server.close()
    await slow.close()
    # What was broken off is somebody else's at once.
    assert [turn.source_id for turn in polling.take_turns(rt, 10)] == ["a-hangs"]


async def test_how_a_source_is_asked_is_checked_and_its_secrets_are_kept(rt: Runtime) -> None:
    access = {"url": "https://mikan.cybozu.com/g", "login": "a", "password": "hush", "categories": ["5"]}
    sources.make_source(rt, ADMIN, "board", "garoon", Watch(access))
    assert "hush" not in json.dumps(row(rt))
    sources.change_watch(rt, BOSS, "board", Watch({k: v for k, v in access.items() if k != "password"}, 30))
    [turn] = polling.take_turns(rt, 10)
    assert turn.access.model_dump()["password"] == "hush"
    with contextlib.closing(rt.store), rt.store.read() as connection:
        audited = connection.execute(select(schema.audit.c.details).where(schema.audit.c.object == "board")).scalars()
        assert "hush" not in json.dumps(list(audited))
