"""The hub by itself: order, buffers, and what happens to connections; the sockets are tested under web."""

import asyncio

from alertd.core.alert import Language
from alertd.core.roles import Role
from alertd.core.stream import Close
from alertd.hub import Connection, Hub
from alertd.hub.hub import BUFFER_MAX
from alertd.service import access
from alertd.service.runtime import Runtime
from alertd.store import alerts
from tests.hub.process import heard, offset
from tests.installation import BOSS, alert, settle, token

FRAME = "x" * 1_000


def connection(
    person: str = "taro", credential: str = "c", language: Language = "ja", *, hears_all: bool = False
) -> Connection:
    return Connection(person, credential, language, hears_all=hears_all)


def live(person: str = "taro") -> Connection:
    made = connection(person)
    made.go_live()
    return made


class TestConnection:
    async def test_frames_come_in_order_and_none_twice(self) -> None:
        line = live()
        for number in (1, 2, 2, 1, 4, 3, 5):
            line.tell(number, f'{{"offset": {number}}}')
        assert [await offset(line) for _ in range(4)] == [1, 2, 4, 5]

    async def test_what_happens_during_the_replay_follows_it_and_is_not_told_twice(self) -> None:
        line = connection()
        line.tell(3, '{"offset": 3}')
        line.tell(4, '{"offset": 4}')
        for number in (1, 2, 3):
            await line.send_in_turn(f'{{"offset": {number}}}')
            line.offset = number
        line.go_live()
        line.tell(5, '{"offset": 5}')
        assert [await offset(line) for _ in range(5)] == [1, 2, 3, 4, 5]

    async def test_one_that_reads_too_slowly_is_told_to_come_back_and_nothing_else(self) -> None:
        line = live()
        while not line.closed.is_set():
            line.send(FRAME)
        assert await heard(line) is Close.TOO_SLOW
        assert line.frames.empty()
        line.send(FRAME)
        assert line.frames.empty()

    async def test_one_that_reads_is_never_too_slow(self) -> None:
        line = live()
        for number in range(3 * BUFFER_MAX // len(FRAME)):
            line.tell(number + 1, f'{{"offset": {number + 1}, "x": "{FRAME}"}}')
            assert await offset(line) == number + 1
        assert not line.closed.is_set()

    async def test_a_replay_waits_for_its_reader_and_gives_up_when_the_line_is_closed(self) -> None:
        line = connection()
        sent = 0

        async def replay() -> None:
            nonlocal sent
            while not line.closed.is_set():
                await line.send_in_turn(f'"{FRAME}"')
                sent += 1

        replaying = asyncio.create_task(replay())
        await asyncio.sleep(0)  # it runs until it has to wait
        assert 0 < sent * len(FRAME) < BUFFER_MAX
        assert not replaying.done()
        assert not line.closed.is_set()
        line.close(Close.SIGN_IN_AGAIN)
        await asyncio.wait_for(replaying, 20)

    async def test_a_backlog_that_grows_beyond_the_buffer_ends_the_line(self) -> None:
        line = connection()
        for number in range(2 * BUFFER_MAX // len(FRAME)):
            line.tell(number, FRAME)
        assert await heard(line) is Close.TOO_SLOW

    async def test_an_orderly_end_lets_what_waits_be_written(self) -> None:
        line = live()
        line.send('"last words"')
        line.close(Close.RESTARTING)
        assert await line.frames.get() == '"last words"'
        assert await heard(line) is Close.RESTARTING


class TestHub:
    async def test_everybody_who_is_there_hears_an_alert_even_when_no_bell_rings(self, rt: Runtime, hub: Hub) -> None:
        settle(rt, "taro")
        settle(rt, "hanako")
        lines = [connection("taro"), connection("taro"), connection("hanako")]
        for line in lines:
            await hub.attach(line, None, None)
            await heard(line)
        alert(rt)  # the bell of `rt` is not this hub's
        assert [await offset(line) for line in lines] == [1, 1, 1]
        assert hub.size == 3
        for line in lines:
            hub.detach(line)
        assert hub.size == 0

    async def test_a_credential_that_ends_ends_its_connections_alone(self, rt: Runtime, hub: Hub) -> None:
        lost, kept = token(rt, "taro", Role.STAFF), token(rt, "taro", Role.STAFF)
        lines = [connection("taro", credential.id) for credential in (lost, kept)]
        for line in lines:
            await hub.attach(line, None, None)
            await heard(line)
        access.revoke_token(rt, BOSS, lost.id)
        assert await heard(lines[0]) is Close.SIGN_IN_AGAIN
        assert not lines[1].closed.is_set()

    async def test_everybody_is_sent_away_when_the_process_ends(self, rt: Runtime, hub: Hub) -> None:
        line = connection()
        await hub.attach(line, None, None)
        await heard(line)
        hub.close_all()
        assert await heard(line) is Close.RESTARTING

    async def test_those_who_come_at_any_moment_miss_nothing(self, rt: Runtime, hub: Hub) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        total = 40

        def write() -> None:
            for _ in range(total - 1):
                with rt.store.write() as writing:
                    facts = alerts.events_after(writing, 0, 1)[0].facts
                    alerts.append_event(writing, alert_id, facts, rt.now())
                hub_loop.call_soon_threadsafe(hub.ring)

        hub_loop = asyncio.get_running_loop()

        async def come(after: int) -> list[int]:
            line = connection()
            await hub.attach(line, after, None)
            first = await offset(line)
            seen = [first]
            while seen[-1] < total:
                seen.append(await offset(line))
            hub.detach(line)
            return seen

        writing = asyncio.create_task(asyncio.to_thread(write))
        results = []
        while not writing.done():
            results.append(await come(0))
        results.append(await come(0))
        await writing
        assert all(seen == list(range(total + 1)) for seen in results)
