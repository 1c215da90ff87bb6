"""Processes that die, hang, or live in another hour."""

import asyncio
import contextlib
import os
import signal
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, Literal

import psutil
import sqlalchemy

from tests.acceptance.town import eventually, free_port
from tests.chaos.ledger import Way
from tests.chaos.place import Place, Role, SkewedProcess
from tests.chaos.scenario import BOTH, Rounds, Scenario
from tests.chaos.stage import Alert, Limits, Stage
from tests.providers.thread import LoopThread, When

_AGAIN: Final = Limits(extra=1, back=20)
_NONE: Final = Limits(extra=0, back=30)
_SLOW_SECONDS: Final = 0.4
_BEYOND_THE_LEASE: Final = 12.0


async def _in_the_middle(stage: Stage) -> None:
    """Until a moment that the dice choose: while something is under way, or, in long runs, at any other too."""
    if stage.light or stage.dice.random() < 0.8:
        await stage.until_under_way()
        await asyncio.sleep(stage.dice.uniform(0, 1.0))
    else:
        await asyncio.sleep(stage.dice.uniform(0, 4.0))


async def _kill(role: Role, stage: Stage) -> Limits:
    await stage.place.until_running(role)
    stage.place.slow(_SLOW_SECONDS)
    async with stage.issuing():
        await _in_the_middle(stage)
        stage.note("requests under way when it was killed", stage.under_way())
        stage.prove("processes killed", len(stage.place.kill(role, stage.dice)))
        stage.over()
    return _AGAIN if role == "worker" else Limits(extra=0, back=20)


async def _kill_between(stage: Stage) -> Limits:
    """Kill the workers of a channel when its provider has taken a message and we have not written that down."""
    place, dice = stage.place, stage.dice
    channel = dice.choice(("webpush", "sms", "email"))
    when: When = dice.choice(("before", "after"))
    providers: dict[str, LoopThread] = {"webpush": dice.choice(place.pushes), "sms": place.twilio, "email": place.smtp}
    workers = [child.pid for child in place.running("worker") if _argument(child, "--channel") == channel]
    struck = asyncio.Event()
    loop = asyncio.get_running_loop()

    def strike() -> None:
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        loop.call_soon_threadsafe(struck.set)

    alert = stage.draft(stage.some())
    there = sum(_is_at(place, providers[channel], channel, way) for way in alert.expected)
    providers[channel].on_taken(strike, nth=dice.randint(1, min(5, there)), when=when)
    await stage.post(alert)
    async with asyncio.timeout(30):
        await struck.wait()
    stage.over()
    stage.prove(f"killed {when} the answer of {channel}", len(workers))
    return _AGAIN


def _is_at(place: Place, provider: LoopThread, channel: str, way: Way) -> bool:
    """Whether a message goes to this provider."""
    if way[0] != "webpush" or channel != "webpush":
        return way[0] == channel
    return any(
        place.push_of(browser) is provider
        for person in place.people.values()
        for browser in person.browsers
        if browser.id == way[1]
    )


async def _kill_all(stage: Stage) -> Limits:
    stage.place.slow(_SLOW_SECONDS)
    async with stage.issuing():
        await _in_the_middle(stage)
        stage.note("requests under way when all were killed", stage.under_way())
        stage.prove("processes killed", len(stage.place.kill_everything()))
        await asyncio.sleep(stage.dice.uniform(0, 2))
        stage.place.start_again()
        stage.over()
    return Limits(extra=1, back=60)


async def _stop_worker(stage: Stage) -> Limits:
    """SIGSTOP every worker of one channel in one set beyond its lease, with requests in its hands, then SIGCONT."""
    stage.place.slow(_SLOW_SECONDS)
    async with stage.issuing():
        await _in_the_middle(stage)
        stage.note("requests under way when it was stopped", stage.under_way())
        pids = stage.place.kill("worker", stage.dice, signal.SIGSTOP)
        stage.prove("processes stopped", len(pids))
        try:
            await asyncio.sleep(_BEYOND_THE_LEASE)
            stage.prove("still stopped after its lease", psutil.Process(pids[0]).status() == psutil.STATUS_STOPPED)
        finally:
            os.kill(pids[0], signal.SIGCONT)
        stage.over()
    return _AGAIN


Skewed = Literal["web", "worker", "clock"]


async def _skew(role: Skewed, stage: Stage) -> Limits:
    """One more process of this role, whose wall clock jumps by an hour while it works."""
    place = stage.place
    hours = stage.dice.choice((-1.0, 1.0))
    port = free_port()
    arguments = (role, "--port", str(port)) if role == "web" else (role,)
    expiry = (datetime.now(UTC) + timedelta(minutes=40)).isoformat()
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(place.with_another_clock(*arguments))
        roles = 1 if role != "worker" else 3
        await _until_running(stage, other, role, roles)
        if role == "web":
            stack.callback(place.urls.remove, f"http://127.0.0.1:{port}")
            place.urls.append(f"http://127.0.0.1:{port}")
        stage.prove("faked processes", other.is_faked)
        place.slow(0.1)
        await stage.issue(expires_at=expiry)
        other.shift(hours)
        await asyncio.sleep(3)
        alert = stage.draft(stage.some(), expires_at=expiry)
        if role == "web":
            stage.prove("posted through it", await _post_through(stage, alert, len(place.urls) - 1))
        await stage.post(alert)
        if role == "clock":
            await asyncio.sleep(5)  # several of its ticks
        stage.over()
        if role == "worker":
            stage.prove("attempts by it", await _until_it_has_worked(stage, other, expiry))
        other.shift(0)
    return _NONE


async def _post_through(stage: Stage, alert: Alert, web: int) -> bool:
    """Whether this web process takes it: one that is busy is asked again."""
    for _ in range(5):
        if await stage.try_post(alert, web) == 201:
            return True
        await asyncio.sleep(1)
    return False


async def _until_running(stage: Stage, other: SkewedProcess, role: Skewed, count: int) -> None:
    name = "alertd.app" if role == "web" else f"workers {role}"

    async def listed() -> bool:
        if len(other.process.children(name)) < count:
            return False
        if role == "web":
            return True
        health = await stage.place.get(f"{stage.place.url}/health/ready")
        at_least = len(stage.place.running("worker" if role == "worker" else "clock"))
        return health[1].count(f'"role":"{role}"') >= at_least

    await eventually(listed, 60, f"another {role} runs")


async def _until_it_has_worked(stage: Stage, other: SkewedProcess, expiry: str) -> int:
    """Issue alerts until one of them was in its hands: which worker takes one is left to chance."""
    before = await asyncio.to_thread(_attempts_by, stage, other)
    for _ in range(20):
        await stage.issue(expires_at=expiry)
        await stage.finish_sending(within=20)
        if count := await asyncio.to_thread(_attempts_by, stage, other) - before:
            return count
    return 0


def _argument(process: psutil.Process, name: str) -> str:
    words = process.cmdline()
    return words[words.index(name) + 1]


def _attempts_by(stage: Stage, other: SkewedProcess) -> int:
    """How many attempts its workers made, as the store has them."""
    ids = [_argument(child, "--id") for child in other.process.children("workers worker")]
    engine = sqlalchemy.create_engine(stage.place.store_url)
    query = sqlalchemy.text("SELECT count(*) FROM attempts WHERE worker_id IN :ids")
    with engine.connect() as connection:
        found = connection.execute(query.bindparams(sqlalchemy.bindparam("ids", ids, expanding=True))).scalar_one()
    engine.dispose()
    return int(found)


KILLS: Final = (
    Scenario("kill-web", partial(_kill, "web"), BOTH, Rounds(2, 50, 12)),
    Scenario("kill-worker", partial(_kill, "worker"), BOTH, Rounds(2, 50, 6)),
    Scenario("kill-clock", partial(_kill, "clock"), BOTH, Rounds(1, 50, 5)),
    Scenario("kill-redis", partial(_kill, "redis"), BOTH, Rounds(1, 50, 4)),
    Scenario("kill-between", _kill_between, BOTH, Rounds(3, 50, 6)),
    Scenario("kill-all", _kill_all, BOTH, Rounds(1, 10, 40)),
    Scenario("worker-stopped", _stop_worker, BOTH, Rounds(1, 5, 30)),
    Scenario("clock-wrong-web", partial(_skew, "web"), BOTH, Rounds(1, 4, 50)),
    Scenario("clock-wrong-worker", partial(_skew, "worker"), BOTH, Rounds(1, 4, 50)),
    Scenario("clock-wrong-clock", partial(_skew, "clock"), BOTH, Rounds(1, 4, 50)),
)
