"""The hub by itself: who hears what, in which order, and what happens to connections; the rest is tested under web."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from itertools import count

import pytest

from alertd.core.audience import Audience
from alertd.core.roles import Role
from alertd.core.stream import Close
from alertd.hub import Hub
from alertd.hub.hub import in_turns
from alertd.service import access, watching
from alertd.service.revising import Revision, revise
from alertd.service.runtime import Runtime
from alertd.store import alerts, instance, people
from tests.hub.process import Line, attached, process
from tests.hub.raw import PING, PONG, frame
from tests.installation import BOSS, alert, settle, token


@pytest.fixture
async def hub(rt: Runtime) -> AsyncIterator[Hub]:
    """A hub that runs."""
    async with process(Hub(rt.store, partial(watching.summarise, rt), rt.now, sweep_seconds=0.02)) as running:
        yield running


def append(rt: Runtime, alert_id: str) -> int:
    """Log the first event once more; its offset."""
    with rt.store.write() as writing:
        facts = alerts.events_after(writing, 0, 1)[0].facts
        return alerts.append_event(writing, alert_id, facts, rt.now())


def crowd(rt: Runtime, size: int) -> None:
    """So many people, who have no address and nothing to do."""
    rows = [{"id": f"c{number}", "name": "x"} for number in range(size)]
    with rt.store.write() as writing:
        people.add_all(writing, rows, rt.now(), people.bump_version(writing))


class TestPublishing:
    async def test_everybody_who_is_there_hears_an_alert_even_when_no_bell_rings(self, rt: Runtime, hub: Hub) -> None:
        settle(rt, "taro")
        settle(rt, "hanako")
        lines = [await attached(hub, person) for person in ("taro", "taro", "hanako")]
        for line in lines:
            await line.heard()
        alert(rt)  # the bell of `rt` is not this hub's
        assert [await line.offset() for line in lines] == [1, 1, 1]
        assert (hub.size, hub.offset) == (3, 1)
        for line in lines:
            line.hang_up()
            await line.lost.wait()
        assert hub.size == 0

    async def test_of_a_large_audience_those_hear_it_who_are_there(self, rt: Runtime, hub: Hub) -> None:
        crowd(rt, 1_100)
        settle(rt, "other")
        everybody = tuple(f"c{number}" for number in range(1_100))
        mine, theirs = await attached(hub, "c7"), await attached(hub, "other")
        for line in (mine, theirs):
            await line.heard()
        first = alert(rt, audience=Audience(people=everybody))
        hub.ring()
        assert await mine.offset() == 1
        second = alert(rt)
        hub.ring()
        for line in (mine, theirs):
            message = await line.heard()
            assert isinstance(message, dict)
            assert message["alert"]["id"] == second != first

    async def test_who_waits_for_their_slice_hears_it_at_once_and_after_a_break(self, rt: Runtime, hub: Hub) -> None:
        crowd(rt, 2_100)
        settle(rt, "zoe")
        line, other = await attached(hub, "zoe"), await attached(hub, "boss")
        for each in (line, other):
            await each.heard()
        number = alert(rt, audience=Audience(people=(*(f"c{each}" for each in range(2_100)), "zoe")))
        hub.ring()
        assert await line.offset() == 1
        with rt.store.read() as reading:
            assert alerts.recipient_of(reading, number, "zoe") is None
        again = await attached(hub, "zoe", after=0)
        await again.heard()
        assert await again.offset() == 1
        revise(rt, BOSS, number, Revision("update", "避難所は第二小学校です", ""))
        hub.ring()
        assert [await line.offset(), await again.offset()] == [2, 2]

    async def test_nobody_who_comes_while_audiences_are_read_and_alerts_are_told_misses_one_or_hears_it_twice(
        self, rt: Runtime, hub: Hub
    ) -> None:
        # More recipients than are read whole, so that those who come meanwhile are strangers.
        crowd(rt, 1_100)
        total, comers = 30, 60
        alert_id = alert(rt)
        standing = [await attached(hub, f"c{number}", after=0) for number in range(100)]

        def write() -> None:
            for _ in range(total - 1):
                append(rt, alert_id)
                loop.call_soon_threadsafe(hub.ring)

        async def come(number: int) -> list[int]:
            line = await attached(hub, f"c{1_000 + number}", after=0)
            return await heard_to(line, total)

        async def heard_to(line: Line, last: int) -> list[int]:
            seen = [await line.offset()]
            while seen[-1] < last:
                seen.append(await line.offset())
            return seen

        loop = asyncio.get_running_loop()
        writing = asyncio.create_task(asyncio.to_thread(write))
        coming = []
        for number in count():
            coming.append(asyncio.create_task(come(number % comers)))
            await asyncio.sleep(0.005)
            if writing.done():
                break
        await writing
        results = await asyncio.gather(*coming, *(heard_to(line, total) for line in standing))
        assert all(seen == list(range(total + 1)) for seen in results)

    async def test_a_long_list_is_gone_through_in_turns_with_everything_else(self) -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        seen = []
        async for each in in_turns(range(64)):
            time.sleep(0.001)  # noqa: ASYNC251 - what a write costs
            seen.append(each)
        beside.cancel()
        assert seen == list(range(64))
        assert turns >= 3


class TestResuming:
    async def test_those_who_come_at_any_moment_miss_nothing(self, rt: Runtime, hub: Hub) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        total = 40

        def write() -> None:
            for _ in range(total - 1):
                append(rt, alert_id)
                loop.call_soon_threadsafe(hub.ring)

        loop = asyncio.get_running_loop()

        async def come() -> list[int]:
            line = await attached(hub, after=0)
            seen = [await line.offset()]
            while seen[-1] < total:
                seen.append(await line.offset())
            line.hang_up()
            return seen

        writing = asyncio.create_task(asyncio.to_thread(write))
        results = []
        while not writing.done():
            results.append(await come())
        results.append(await come())
        await writing
        assert all(seen == list(range(total + 1)) for seen in results)

    async def test_a_process_that_has_just_begun_knows_what_was_said_before(self, rt: Runtime) -> None:
        settle(rt, "taro")
        settle(rt, "hanako")
        alert_id = alert(rt, audience=Audience(people=("taro",)))
        last = [append(rt, alert_id) for _ in range(5)][-1]
        async with process(Hub(rt.store, partial(watching.summarise, rt), rt.now)) as hub:
            mine, theirs = await attached(hub, "taro", after=2), await attached(hub, "hanako", after=2)
            viewer = await attached(hub, "hanako", after=4, hears_all=True)
            assert [await mine.offset() for _ in range(5)] == [2, 3, 4, 5, last]
            assert await theirs.offset() == 2
            assert [await viewer.offset() for _ in range(3)] == [4, 5, last]
            new = alert(rt)
            hub.ring()
            for line in (mine, theirs, viewer):
                message = await line.heard()
                assert isinstance(message, dict)
                assert message["alert"]["id"] == new

    async def test_whoever_became_a_recipient_later_is_told_what_was_said(self, rt: Runtime, hub: Hub) -> None:
        settle(rt, "taro")
        settle(rt, "chief")
        alert_id = alert(rt, audience=Audience(people=("taro",)))
        hub.ring()
        assert await (first := await attached(hub, "taro", after=0)).offset() == 0
        assert await first.offset() == 1
        with rt.store.write() as writing:
            alerts.add_supervisors(writing, alert_id, ["chief"])
        chief = await attached(hub, "chief", after=0)
        assert [await chief.offset() for _ in range(2)] == [0, 1]

    async def test_a_past_that_is_longer_than_the_window_comes_from_the_store_and_then_from_the_window(
        self, rt: Runtime
    ) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        with rt.store.write() as writing:
            facts = alerts.events_after(writing, 0, 1)[0].facts
            for _ in range(699):
                alerts.append_event(writing, alert_id, facts, rt.now())
        async with process(Hub(rt.store, partial(watching.summarise, rt), rt.now)) as hub:
            line = await Line(hub=hub).open()
            attaching = asyncio.create_task(hub.attach(line.server, 0, None))
            assert [await line.offset() for _ in range(701)] == list(range(701))
            await attaching

    async def test_a_store_that_is_restored_meanwhile_resets_whoever_comes(self, rt: Runtime) -> None:
        settle(rt, "taro")
        alert(rt)
        with rt.store.write() as writing:
            instance.change_epoch(writing, "another")
        async with process(Hub(rt.store, partial(watching.summarise, rt), rt.now)) as hub:
            line = await Line(hub=hub).open()
            await hub.attach(line.server, 1, "the one before")
            hello, reset = await line.heard(), await line.heard()
            assert (hello, reset) == ({"type": "hello", "epoch": "another", "offset": 1}, {"type": "reset"})


class TestKeeping:
    async def test_a_credential_that_ends_ends_its_connections_alone(self, rt: Runtime, hub: Hub) -> None:
        lost, kept = token(rt, "taro", Role.STAFF), token(rt, "taro", Role.STAFF)
        lines = [await attached(hub, "taro", credential=credential.id) for credential in (lost, kept)]
        for line in lines:
            await line.heard()
        access.revoke_token(rt, BOSS, lost.id)
        assert await lines[0].heard() is Close.SIGN_IN_AGAIN
        assert lines[1].server.is_open

    async def test_everybody_is_sent_away_when_the_process_ends_and_whoever_stays_is_cut(self, hub: Hub) -> None:
        line = await attached(hub)
        await line.heard()
        hub.close_all()
        assert await line.heard() is Close.RESTARTING
        hub.close_all()
        assert await line.receive() is None
        await line.lost.wait()
        assert hub.size == 0

    async def test_a_line_without_pongs_is_cut_and_one_with_them_stays(self, rt: Runtime) -> None:
        async with process(Hub(rt.store, partial(watching.summarise, rt), rt.now, pong_seconds=1.0)) as hub:
            silent, alive = await attached(hub), await attached(hub)
            pings = 0
            while not silent.lost.is_set() or pings < 4:
                received = await alive.receive()
                assert received is not None, "the one that answers is not cut"
                if received[0] == PING:
                    pings += 1
                    alive.writer.write(frame(PONG, received[1]))

    async def test_a_line_that_is_gone_before_it_is_greeted_is_not_kept(self, hub: Hub) -> None:
        line = await Line(hub=hub).open()
        line.hang_up()
        await line.lost.wait()
        await hub.attach(line.server, None, None)
        assert hub.size == 0
