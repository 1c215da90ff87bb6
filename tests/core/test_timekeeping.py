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
    host: str = ""
    count: int = 0
    keeper: Timekeeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = Timekeeper(self.host)


class World:
    """Processes that beat every two seconds into the same rows, in a time that only the test knows. `host.name` is one
    on a machine of that name. `database` is by how much the database's clock is wrong, None where it has none.
    """

    def __init__(self, *names: str, database: timedelta | None = None) -> None:
        self.seconds = 0.0
        self.database = database
        self.rows: dict[str, Beat] = {}
        self.processes = [
            Process(name, 2.0 * number / len(names), host=name.rpartition(".")[0]) for number, name in enumerate(names)
        ]

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
                    self.rows[process.name] = Beat(process.count, self.wall(process), process.host)
                    others = {name: beat for name, beat in self.rows.items() if name != process.name}
                    true = START + timedelta(seconds=self.seconds)
                    database = true + self.database if self.database is not None else None
                    process.keeper.hear(others, self.wall(process), 1_000 + self.seconds, database)
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


def test_alone_the_clock_is_believed_at_the_start_and_a_jump_a_minute_after_it() -> None:
    world = World("web")
    world["web"].error = HOUR
    world.run(10)
    assert world.off("web") == pytest.approx(3600)
    world["web"].error = timedelta()
    world.run(59)
    assert world.off("web") == pytest.approx(3600)
    world.run(5)
    assert world.off("web") == pytest.approx(0)


def machine(world: World, host: str, error: timedelta) -> None:
    """Set the clock of a machine, which all its processes read."""
    for process in world.processes:
        if process.host == host:
            process.error = error


BAD_BIG = ("bad.1", "bad.2", "bad.3", "bad.4", "good.1", "good.2")


@pytest.mark.parametrize("error", [HOUR, -HOUR])
@pytest.mark.parametrize("starts_wrong", [True, False])
def test_a_machine_has_one_vote_however_many_processes_it_has(error: timedelta, starts_wrong: bool) -> None:
    world = World(*BAD_BIG, "fair.1")
    if not starts_wrong:
        world.run(20)
    machine(world, "bad", error)
    world.run(7 if starts_wrong else 0)
    assert world.run(60) < CLOSE


@pytest.mark.parametrize("error", [HOUR, -HOUR])
def test_between_two_machines_the_database_decides(error: timedelta) -> None:
    world = World(*BAD_BIG, database=timedelta())
    machine(world, "bad", error)
    world.run(7)
    assert world.run(60) < CLOSE


def test_a_database_that_is_wrong_misleads_nobody() -> None:
    assert World(*NAMES, database=HOUR).run(60) < CLOSE
    assert World(*BAD_BIG, database=HOUR).run(60) < CLOSE


def test_of_two_machines_neither_follows_the_other_and_whoever_is_put_right_is_believed_a_minute_later() -> None:
    world = World(*BAD_BIG)
    machine(world, "bad", HOUR)
    world.run(80)
    assert [round(world.off(name)) for name in BAD_BIG] == [3600] * 4 + [0] * 2
    machine(world, "bad", timedelta())
    world.run(50)
    assert [round(world.off(name)) for name in BAD_BIG] == [3600] * 4 + [0] * 2
    world.run(20)
    assert [round(world.off(name)) for name in BAD_BIG] == [0] * 6


def test_a_jump_that_another_machine_contradicts_is_never_believed() -> None:
    world = World(*BAD_BIG)
    world.run(20)
    machine(world, "bad", HOUR)
    assert world.run(200) < CLOSE


def test_what_was_voted_down_is_not_believed_when_the_voters_are_gone() -> None:
    keeper = Timekeeper()
    for count in (1, 2):
        keeper.hear({name: Beat(count, START + HOUR) for name in NAMES[:2]}, START, 0.0)
    for second in range(2, 120, 2):
        keeper.hear({}, START + timedelta(seconds=second), float(second))
    assert keeper.correction == HOUR


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
