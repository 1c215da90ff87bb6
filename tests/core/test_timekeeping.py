"""One clock among several that is wrong is outvoted; nobody else notices."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.timekeeping import Beat, Timekeeper, doubts

START = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
CLOSE = 3.0  # heartbeats tell time to a beat's length


@dataclass
class Process:
    """A process whose wall clock may be wrong, and which sees the others' rows with every beat."""

    name: str
    beat_at: float  # where in each two seconds its heartbeat falls
    error: timedelta = timedelta()
    keeper: Timekeeper = field(default_factory=Timekeeper)
    count: int = 0


class World:
    """Processes that beat every two seconds into the same rows, in a time that only the test knows."""

    def __init__(self, *names: str) -> None:
        self.seconds = 0.0
        self.rows: dict[str, Beat] = {}
        self.processes = [Process(name, 2.0 * number / len(names)) for number, name in enumerate(names)]

    def __getitem__(self, name: str) -> Process:
        return next(process for process in self.processes if process.name == name)

    def wall(self, process: Process) -> datetime:
        return START + timedelta(seconds=self.seconds) + process.error

    def now(self, process: Process) -> datetime:
        return process.keeper.tell(self.wall(process), 1_000 + self.seconds)

    def off(self, name: str) -> float:
        """By how many seconds a process is wrong about the time."""
        return (self.now(self[name]) - START).total_seconds() - self.seconds

    def run(self, seconds: float) -> float:
        """Let time pass; the most that anybody was wrong meanwhile."""
        worst = 0.0
        for _ in range(round(seconds / 0.1)):
            self.seconds += 0.1
            for process in self.processes:
                if (self.seconds - process.beat_at) % 2.0 < 0.1:
                    process.count += 1
                    self.rows[process.name] = Beat(process.count, self.wall(process))
                    others = {name: beat for name, beat in self.rows.items() if name != process.name}
                    process.keeper.hear(others, self.wall(process), 1_000 + self.seconds)
                worst = max(worst, abs(self.off(process.name)))
        return worst


NAMES = ("web", "push", "sms", "mail", "clock")


@pytest.mark.parametrize("error", [HOUR, -HOUR, timedelta(days=-400), timedelta(seconds=45)])
@pytest.mark.parametrize("odd", NAMES)
def test_one_clock_that_jumps_while_running_changes_nobodys_time(odd: str, error: timedelta) -> None:
    world = World(*NAMES)
    world.run(20)
    world[odd].error = error
    assert world.run(60) < CLOSE
    world[odd].error = timedelta()  # and back
    assert world.run(60) < CLOSE
    assert world[odd].keeper.correction == timedelta()


@pytest.mark.parametrize("error", [HOUR, -HOUR])
def test_a_process_that_starts_with_a_wrong_clock_is_corrected_as_soon_as_the_others_have_beaten_twice(
    error: timedelta,
) -> None:
    world = World(*NAMES)
    world["clock"].error = error
    world.run(7)
    assert world.run(60) < CLOSE


def test_the_corrected_time_runs_evenly() -> None:
    world = World(*NAMES)
    world["sms"].error = HOUR
    world.run(10)
    correction = world["sms"].keeper.correction
    world.run(60)
    assert world["sms"].keeper.correction == correction


def test_a_jump_of_all_clocks_together_is_believed_within_two_beats() -> None:
    world = World(*NAMES)
    world.run(20)
    for process in world.processes:
        process.error = HOUR
    world.run(5)
    assert {round(world.off(name)) for name in NAMES} == {3600}
    assert {process.keeper.correction for process in world.processes} == {timedelta()}


def test_two_machines_of_equal_size_keep_the_time_they_had() -> None:
    world = World("a1", "a2", "a3", "b1", "b2", "b3")
    world.run(20)
    for name in ("b1", "b2", "b3"):
        world[name].error = HOUR
    assert world.run(60) < CLOSE, "nobody has a majority, so nothing new is believed"


def test_the_smaller_machine_is_outvoted() -> None:
    world = World("a1", "a2", "a3", "b1", "b2")
    world["b1"].error = world["b2"].error = -HOUR
    world.run(7)
    assert world.run(60) < CLOSE


def test_alone_the_clock_is_believed_at_the_start_and_no_jump_after_it() -> None:
    world = World("web")
    world["web"].error = HOUR
    world.run(10)
    assert world.off("web") == pytest.approx(3600)
    world["web"].error = timedelta()
    world.run(60)
    assert world.off("web") == pytest.approx(3600)


def test_one_peer_alone_decides_nothing() -> None:
    world = World("web", "clock")
    world.run(10)
    world["clock"].error = HOUR
    assert world.run(60) < CLOSE
    assert world["web"].keeper.correction == timedelta()


def test_the_rows_of_the_dead_are_not_heard() -> None:
    keeper = Timekeeper()
    dead = {name: Beat(7, START - HOUR) for name in NAMES}
    for second in range(0, 60, 2):
        keeper.hear(dead, START + timedelta(seconds=second), float(second))
    assert keeper.correction == timedelta()


def test_whoever_died_is_heard_for_ten_seconds_and_no_longer() -> None:
    keeper = Timekeeper()
    for count in (1, 2):
        keeper.hear({name: Beat(count, START + HOUR) for name in NAMES[:2]}, START, 0.0)
    assert keeper.correction == HOUR
    last = {name: Beat(2, START + HOUR) for name in NAMES[:2]} | {"late": Beat(1, START)}
    keeper.hear(last, START + timedelta(seconds=11), 11.0)
    later = {**last, "late": Beat(2, START + timedelta(seconds=12)), "later": Beat(1, START)}
    keeper.hear(later, START + timedelta(seconds=12), 12.0)
    later["later"] = Beat(2, START + timedelta(seconds=13))
    keeper.hear(later, START + timedelta(seconds=13), 13.0)
    assert keeper.correction == timedelta(), "two who live agree with the clock as it is"


def test_small_steps_are_followed() -> None:
    keeper = Timekeeper()
    keeper.tell(START, 0.0)
    assert keeper.tell(START + timedelta(seconds=6), 1.0) == START + timedelta(seconds=6)
    assert keeper.tell(START + timedelta(seconds=4), 2.0) == START + timedelta(seconds=4)
    assert keeper.tell(START + timedelta(seconds=14), 3.0) == START + timedelta(seconds=5)


def test_a_new_process_doubts_only_what_lies_far_off() -> None:
    assert not doubts({}, START)
    assert not doubts({"a": Beat(1, START - timedelta(seconds=20))}, START)
    assert doubts({"a": Beat(1, START), "b": Beat(1, START - HOUR)}, START)


@given(
    st.dictionaries(st.sampled_from(NAMES), st.integers(-100_000, 100_000), max_size=2),
    st.lists(st.tuples(st.sampled_from(NAMES[:2]), st.integers(-100_000, 100_000)), max_size=4),
)
def test_whatever_a_minority_does_the_others_keep_the_time(first: dict[str, int], later: list[tuple[str, int]]) -> None:
    world = World(*NAMES)
    for name, seconds in first.items():
        if name in NAMES[:2]:
            world[name].error = timedelta(seconds=seconds)
    for name, seconds in later:
        world.run(3)
        world[name].error = timedelta(seconds=seconds)
    world.run(6)
    for name in NAMES[2:]:
        assert world[name].keeper.correction == timedelta()
        assert world.off(name) == pytest.approx(0)
    for name in NAMES[:2]:
        assert abs(world.off(name)) <= 30 + CLOSE
