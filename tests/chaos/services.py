"""What alertd stands on goes away: Redis, PostgreSQL, the line to it, the disk."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, Literal

import redis
from redis.exceptions import OutOfMemoryError, RedisError

from tests.chaos.place import Place
from tests.chaos.scenario import BOTH, POSTGRESQL, SQLITE, Rounds, Scenario
from tests.chaos.servers import Restart
from tests.chaos.stage import Alert, Limits, Stage
from tests.providers.thread import When

_NO_MORE: Final = Limits(extra=0, back=30)
_ONE_MORE: Final = Limits(extra=1, back=30)
_GONE_SECONDS: Final = (8.0, 180.0)  # light, long
_SAME: Final = 100
_MEGABYTE: Final = 1_048_576

# What a connection sends when it does one thing and no other.
_SETTLES_PUSH: Final = (b"/message/",)
_CLAIMS: Final = (b"sending", b"primary")


def _redis(place: Place) -> "redis.Redis":
    return redis.Redis.from_url(place.bell_url, socket_timeout=2)


def _away(stage: Stage) -> float:
    return _GONE_SECONDS[0 if stage.light else 1]


async def _flush(stage: Stage) -> Limits:
    stage.place.slow(0.3)
    async with stage.issuing():
        for _ in range(20):
            await asyncio.sleep(stage.dice.uniform(0, 0.2))
            stage.prove("flushes", _redis(stage.place).flushall())
        stage.over()
    return _NO_MORE


@asynccontextmanager
async def _without_redis(place: Place) -> AsyncIterator[list[int]]:
    """Redis is gone while the block runs; what had to be killed for that."""
    killed: list[int] = []
    if place.own_redis is not None:
        place.own_redis.stop()
        try:
            yield [1]
        finally:
            place.own_redis.start()
        return

    async def keep_down() -> None:
        while True:
            for process in await asyncio.to_thread(place.running, "redis"):
                process.kill()
                killed.append(process.pid)
            await asyncio.sleep(0.1)

    keeping = asyncio.create_task(keep_down())
    try:
        await asyncio.sleep(0.3)
        yield killed
    finally:
        keeping.cancel()


async def _lose_redis(stage: Stage) -> Limits:
    async with _without_redis(stage.place) as killed:
        stage.prove("Redis killed", len(killed))
        await _issue_meanwhile(stage)
        stage.over()
    return _NO_MORE


async def _issue_meanwhile(stage: Stage) -> None:
    """Alerts go out and arrive while the fault lasts."""
    ends_at = time.monotonic() + _away(stage)
    started_at = time.monotonic()
    await stage.issue()
    await stage.finish_sending()
    stage.prove("seconds until all had it meanwhile", round(time.monotonic() - started_at, 2))
    await asyncio.sleep(max(0.0, ends_at - time.monotonic() - 1))
    await stage.issue()
    await asyncio.sleep(max(0.0, ends_at - time.monotonic()))


async def _fill_redis(stage: Stage) -> Limits:
    with _redis(stage.place) as client:
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
        try:
            client.set("chaos", "x")
        except OutOfMemoryError:
            stage.prove("writes refused", 1)
        else:
            stage.prove("writes refused", 0)
        await _issue_meanwhile(stage)
        client.config_set("maxmemory", before)
    stage.over()
    return _NO_MORE


async def _stop_redis(stage: Stage) -> Limits:
    """It takes connections and answers nothing."""
    with _redis(stage.place) as client:
        pid = int(client.info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        with _redis(stage.place) as client:
            try:
                client.ping()
            except RedisError:
                stage.prove("calls unanswered", 1)
        await _issue_meanwhile(stage)
    finally:
        os.kill(pid, signal.SIGCONT)
    stage.over()
    return _NO_MORE


async def _restart_postgres(how: Restart, stage: Stage) -> Limits:
    """Restart it while posts come in ten a second; each is answered with 201 or 503, and repeated until it is 201."""
    place = stage.place
    assert place.servers is not None
    postgres = place.servers.postgres
    place.slow(0.3)
    stopping = asyncio.Event()
    posts: list[asyncio.Task[Alert]] = []

    async def keep_posting() -> None:
        number = 0
        while not stopping.is_set():
            person = stage.dice.choice(stage.people)
            posts.append(asyncio.create_task(_post_once_and_again(stage, stage.draft([person]), number)))
            number += 1
            await asyncio.sleep(0.1)

    posting = asyncio.create_task(keep_posting())
    await stage.issue()
    await asyncio.sleep(stage.dice.uniform(0, 1))
    stage.note("requests under way when it was stopped", stage.under_way())
    await asyncio.to_thread(postgres.stop, how)
    await asyncio.sleep(0.5 if stage.light else stage.dice.uniform(0.2, 5))
    await asyncio.to_thread(postgres.start, postgres.port)
    stage.over()
    await asyncio.sleep(1)
    stopping.set()
    await posting
    await asyncio.gather(*posts)
    stage.prove("posts refused with 503", sum(alert.answers.count(503) for alert in stage.alerts))
    return _ONE_MORE


async def _post_once_and_again(stage: Stage, alert: Alert, web: int) -> Alert:
    await stage.try_post(alert, web)
    if 0 in alert.answers:
        alert.faults.append("a post was not answered at all")
    await stage.post(alert)
    return alert


async def _cut(what: Literal["post", "claim", "settlement"], when: When, stage: Stage) -> Limits:
    """Cut the line at a COMMIT: before it is passed on, or when it has worked and nobody knows."""
    place = stage.place
    assert place.servers is not None
    line = place.servers.line
    before = line.cuts
    # One claim takes all of one channel: when nobody knows of it, nothing is due that would make anybody look again.
    some = stage.some()
    alert = stage.draft([p for p in some if p.phone], channel="sms") if what == "claim" else stage.draft(some)
    if what == "post":
        line.cut_at_commit(alert.tag.encode(), when=when)
        status = await stage.try_post(alert)
        stage.note("answered 503" if status == 503 else "answered 201 all the same", 1)
        if status not in (201, 503):
            stage.faults.append(f"the cut post was answered {status}")
        for web in (0, 1, 0):
            await stage.try_post(alert, web)
    else:
        markers, times = (_CLAIMS, 1) if what == "claim" else (_SETTLES_PUSH, 2)
        line.cut_at_commit(*markers, when=when, times=times)
    await stage.post(alert)
    await stage.finish_sending()
    await asyncio.sleep(0.5)
    line.mend()
    stage.prove(f"connections cut {when} the COMMIT", line.cuts - before)
    stage.over()
    return _NO_MORE if what == "post" else _ONE_MORE


async def _sever(stage: Stage) -> Limits:
    """Cut every connection to PostgreSQL at once, several times, while messages go out."""
    place = stage.place
    assert place.servers is not None
    place.slow(0.3)
    async with stage.issuing():
        for _ in range(4):
            await asyncio.sleep(stage.dice.uniform(0, 0.8))
            stage.prove("connections cut", place.servers.line.sever())
        stage.over()
    return _ONE_MORE


async def _post_at_once(stage: Stage) -> Limits:
    alert = stage.draft(stage.some())
    statuses = await asyncio.gather(*(stage.try_post(alert, web) for web in range(_SAME)))
    stage.prove("posts under one key", len(statuses))
    stage.prove("of these answered 201", statuses.count(201))
    if statuses.count(201) != _SAME:
        stage.faults.append(f"not all were answered with 201: {sorted(set(statuses))}")
    await stage.post(alert)
    return Limits(extra=0)


async def _fill_disk(stage: Stage) -> Limits:
    """No byte is left on the data's disk while messages go out; then there is room again.

    Nobody takes the room that the ballast gives up: against that nothing helps.
    """
    place = stage.place
    place.slow(1.0)
    accepted = await stage.issue()
    filler = place.directory / "data" / "filler"
    stage.prove("requests under way when the disk was full", await stage.until_under_way())
    stage.prove("posts refused", 0)
    stage.prove("megabytes taken", round(await asyncio.to_thread(_take_all, filler) / _MEGABYTE, 1))
    try:
        refused = stage.draft(stage.some())
        ends_at = time.monotonic() + (6 if stage.light else 60)
        while time.monotonic() < ends_at:
            status = await stage.try_post(refused)
            if status != 201:
                stage.prove("posts refused", 1)
            await asyncio.sleep(0.5)
        await stage.finish_sending([accepted])
        missing = stage.missing(accepted)
        if missing:
            stage.faults.append(f"{len(missing)} accepted messages were not sent while the disk was full")
    finally:
        filler.unlink()
    stage.over()
    place.behave()
    await stage.post(refused)
    return _ONE_MORE


def _take_all(filler: Path) -> int:
    """Fill the disk to the last block; how many bytes the filler has now."""
    with filler.open("ab", buffering=0) as file:
        for size in (_MEGABYTE, 65_536, 4_096, 512, 1):
            block = b"x" * size
            try:
                while True:
                    file.write(block)
            except OSError:
                continue
    return filler.stat().st_size


SERVICES: Final = (
    Scenario("redis-flushed", _flush, BOTH, Rounds(1, 5, 10)),
    Scenario("redis-gone", _lose_redis, BOTH, Rounds(1, 2, 200)),
    Scenario("redis-full", _fill_redis, BOTH, Rounds(1, 2, 200)),
    Scenario("redis-stopped", _stop_redis, BOTH, Rounds(1, 2, 200)),
    Scenario("postgresql-fast", partial(_restart_postgres, "fast"), POSTGRESQL, Rounds(1, 10, 30)),
    Scenario("postgresql-immediate", partial(_restart_postgres, "immediate"), POSTGRESQL, Rounds(1, 10, 30)),
    Scenario("cut-post-before", partial(_cut, "post", "before"), POSTGRESQL, Rounds(1, 10, 8)),
    Scenario("cut-post-after", partial(_cut, "post", "after"), POSTGRESQL, Rounds(1, 10, 8)),
    Scenario("cut-claim-before", partial(_cut, "claim", "before"), POSTGRESQL, Rounds(1, 10, 8)),
    Scenario("cut-claim-after", partial(_cut, "claim", "after"), POSTGRESQL, Rounds(1, 10, 8)),
    Scenario("cut-settlement-before", partial(_cut, "settlement", "before"), POSTGRESQL, Rounds(1, 10, 8)),
    Scenario("cut-settlement-after", partial(_cut, "settlement", "after"), POSTGRESQL, Rounds(1, 10, 8)),
    Scenario("line-severed", _sever, POSTGRESQL, Rounds(1, 10, 10)),
    Scenario("disk-full", _fill_disk, SQLITE, Rounds(1, 3, 90), own_disk=True),
    Scenario("same-key", _post_at_once, BOTH, Rounds(1, 10, 6)),
)
