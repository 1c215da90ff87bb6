"""Many small writes that share commits."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from alertd.core.errors import StoreUnavailable
from alertd.service.group_commit import GroupCommit


class Writer:
    """Writes numbers, when it is let; refuses negative ones, and breaks as a whole on one that is poisoned."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.let = threading.Event()
        self.let.set()
        self.away = False

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        assert self.let.wait(20)
        self.groups.append(list(numbers))
        if self.away:
            raise StoreUnavailable("away")
        if 666 in numbers:
            raise RuntimeError("poisoned")
        return [ValueError(number) if number < 0 else number * 2 for number in numbers]


async def many(commit: GroupCommit[int, int], numbers: Sequence[int]) -> list[int | BaseException]:
    return await asyncio.gather(*map(commit.submit, numbers), return_exceptions=True)


async def test_each_gets_its_own_result() -> None:
    assert await many(GroupCommit(Writer()), range(50)) == [number * 2 for number in range(50)]


async def test_what_waits_while_one_group_is_written_is_the_next_group() -> None:
    writer = Writer()
    writer.let.clear()
    commit: GroupCommit[int, int] = GroupCommit(writer, most=4)
    waiting = asyncio.create_task(many(commit, range(10)))
    await asyncio.sleep(0)
    writer.let.set()
    await waiting
    assert [number for group in writer.groups for number in group] == list(range(10))
    assert all(len(group) <= 4 for group in writer.groups)
    assert len(writer.groups) <= 4


async def test_a_refusal_is_its_own_caller_s_alone() -> None:
    results = await many(GroupCommit(Writer()), [1, -2, 3])
    assert (results[0], type(results[1]), results[2]) == (2, ValueError, 6)


async def test_a_poisoned_one_does_not_take_its_group_down() -> None:
    writer = Writer()
    results = await many(GroupCommit(writer), [1, 666, 3])
    assert (results[0], type(results[1]), results[2]) == (2, RuntimeError, 6)


async def test_a_writer_that_forgets_somebody_leaves_nobody_waiting() -> None:
    results = await many(GroupCommit(lambda numbers: list(numbers)[1:]), [1, 2, 3])
    assert [type(result) for result in results] == [RuntimeError] * 3


async def test_a_writer_that_is_ended_leaves_nobody_waiting() -> None:
    def ended(_numbers: Sequence[int]) -> list[int | Exception]:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(GroupCommit(ended).submit(1), 20)


async def test_while_the_store_is_away_everybody_is_told_after_one_try() -> None:
    writer = Writer()
    writer.away = True
    writer.let.clear()
    commit: GroupCommit[int, int] = GroupCommit(writer)
    waiting = asyncio.create_task(many(commit, range(100)))
    await asyncio.sleep(0)
    writer.let.set()
    assert {type(result) for result in await waiting} == {StoreUnavailable}
    assert len(writer.groups) <= 2
    writer.away = False
    assert await commit.submit(1) == 2


async def test_a_caller_who_goes_away_takes_nothing_back_and_holds_nobody_up() -> None:
    writer = Writer()
    writer.let.clear()
    commit: GroupCommit[int, int] = GroupCommit(writer)
    gone = [asyncio.create_task(commit.submit(number)) for number in (1, -1)]
    stays = asyncio.create_task(commit.submit(2))
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone[0]
    writer.let.set()
    assert await stays == 4
    assert sorted(number for group in writer.groups for number in group) == [-1, 1, 2]


async def test_draining_waits_for_all_there_is() -> None:
    writer = Writer()
    commit: GroupCommit[int, int] = GroupCommit(writer, most=1)
    tasks = [asyncio.create_task(commit.submit(number)) for number in range(5)]
    await asyncio.sleep(0)
    await commit.drain()
    assert len(writer.groups) == 5
    assert [await task for task in tasks] == [0, 2, 4, 6, 8]
    await commit.drain()
