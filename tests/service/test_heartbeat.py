"""Heartbeats carry each machine's own clock, and from them the processes find out whose is wrong."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from alertd.core.errors import Invalid
from alertd.service import heartbeat
from alertd.service.process_clock import ProcessClock
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, instance
from tests.installation import Clock, alert, post, settle

HOUR = timedelta(hours=1)


@dataclass
class Process:
    """A process on a machine whose wall clock may be wrong; its monotonic clock is right."""

    id: str
    rt: Runtime
    time: Clock
    error: timedelta = field(default_factory=timedelta)

    def __post_init__(self) -> None:
        start = self.time()
        clock = ProcessClock(lambda: self.time() + self.error, lambda: (self.time() - start).total_seconds())
        self.rt = replace(self.rt, now=clock.now, clock=clock)

    def beat(self) -> None:
        heartbeat.beat(self.rt, self.id, "worker", "email")

    def off(self) -> float:
        return (self.rt.now() - self.time()).total_seconds()


@pytest.fixture
def processes(rt: Runtime, clock: Clock) -> list[Process]:
    """Five processes on one store that have been running for a while."""
    made = [Process(f"w{number}", rt, clock) for number in range(5)]
    for process in made:
        heartbeat.start(process.rt, process.id, "worker", "email")
    run(made, clock, 10)
    return made


def run(processes: list[Process], clock: Clock, seconds: int) -> None:
    for _ in range(seconds // 2):
        clock.move(seconds=2)
        for process in processes:
            process.beat()


@pytest.mark.parametrize("error", [HOUR, -HOUR])
def test_a_process_whose_clock_jumps_does_nothing_early_and_nothing_late(
    processes: list[Process], rt: Runtime, clock: Clock, error: timedelta
) -> None:
    odd, *others = processes
    settle(rt, "taro")
    alert_id = alert(rt, expires_at=clock() + timedelta(minutes=30))
    odd.error = error
    for _ in range(2):
        with odd.rt.store.write() as connection:
            assert alerts.expire(connection, odd.rt.now()) == []
        run(processes, clock, 10)
        assert abs(odd.off()) < 3
        assert [process.off() for process in others] == [0] * 4
    with odd.rt.store.write() as connection:
        (claim,) = deliveries.claim(connection, "email", "w0", 10, odd.rt.now())
    assert claim.alert_id == alert_id
    clock.move(minutes=40)
    run(processes, clock, 10)
    with odd.rt.store.write() as connection:
        assert alerts.expire(connection, odd.rt.now()) == [alert_id]


def test_an_expiry_in_the_past_is_told_by_the_corrected_time(processes: list[Process], clock: Clock) -> None:
    odd = processes[0]
    settle(odd.rt, "taro")
    odd.error = HOUR
    assert post(odd.rt, expires_at=clock() + timedelta(minutes=30)).body["alert"]
    odd.error = -HOUR
    with pytest.raises(Invalid):
        post(odd.rt, expires_at=clock() - timedelta(minutes=30))


def test_what_others_are_told_is_the_clock_as_it_is(processes: list[Process], rt: Runtime, clock: Clock) -> None:
    processes[0].error = HOUR
    run(processes, clock, 10)
    with rt.store.read() as connection:
        seen: dict[str, datetime] = {row["id"]: row["seen_at"] for row in instance.list_workers(connection)}
    assert seen == {"w0": clock() + HOUR, **{f"w{number}": clock() for number in range(1, 5)}}


def test_all_clocks_that_jump_together_are_believed(processes: list[Process], clock: Clock) -> None:
    for process in processes:
        process.error = HOUR
    run(processes, clock, 6)
    assert [process.off() for process in processes] == [3600] * 5


def test_who_lives_is_known(processes: list[Process], clock: Clock) -> None:
    first = processes[0].rt.clock
    assert first is not None
    assert first.alive() == {"w1", "w2", "w3", "w4"}
    run(processes[:3], clock, 14)
    assert first.alive() == {"w1", "w2"}
