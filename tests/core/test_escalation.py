"""Plans: which can be carried out, their timetable, who is told of somebody's silence, and quiet hours."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alertd.core.escalation import (
    Plan,
    QuietHours,
    Repeat,
    Run,
    Step,
    default_plan,
    due_at,
    plan_faults,
    supervisors_of,
    timetable,
)

CHANNELS = ("webpush", "sms", "email")
SMS = ("sms",)
TOKYO = ZoneInfo("Asia/Tokyo")


def seconds(number: int) -> timedelta:
    return timedelta(seconds=number)


def test_the_default_plan_is_every_channel_at_once_to_everybody() -> None:
    plan = default_plan(CHANNELS)
    assert plan.as_json() == {"steps": [{"after_seconds": 0, "channels": list(CHANNELS), "to": "outstanding"}]}
    assert plan_faults(plan, CHANNELS) == []


@pytest.mark.parametrize(
    ("steps", "fields"),
    [
        ([], ["plan.steps"]),
        ([Step(0, SMS)] * 21, ["plan.steps"]),
        ([Step(0, ())], ["plan.steps.0.channels"]),
        ([Step(0, ("pigeon", "sms", "fax"))], ["plan.steps.0.channels", "plan.steps.0.channels"]),
        ([Step(1, SMS)], ["plan.steps.0.after_seconds"]),
        ([Step(0, SMS, "supervisors")], ["plan.steps.0.to"]),
        ([Step(0, SMS), Step(60, SMS), Step(59, SMS)], ["plan.steps.2.after_seconds"]),
        ([Step(0, SMS, repeat=Repeat(59, 0))], ["plan.steps.0.repeat.every_seconds", "plan.steps.0.repeat.times"]),
        ([Step(0, SMS, repeat=Repeat(60, 51))], ["plan.steps.0.repeat.times"]),
        ([Step(0, ()), Step(120, ("pigeon",), "supervisors")], ["plan.steps.0.channels", "plan.steps.1.channels"]),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_with_every_reason(steps: list[Step], fields: list[str]) -> None:
    assert [field for field, _ in plan_faults(Plan(tuple(steps)), CHANNELS)] == fields


def test_a_step_or_a_repeat_after_the_alert_s_end_is_refused() -> None:
    plan = Plan((Step(0, SMS, repeat=Repeat(600, 6)), Step(1_800, SMS)))
    assert plan_faults(plan, CHANNELS, seconds(3_601)) == []
    assert [field for field, _ in plan_faults(plan, CHANNELS, seconds(3_600))] == ["plan.steps.0.after_seconds"]
    assert len(plan_faults(plan, CHANNELS, seconds(1_800))) == 2


def test_an_unknown_channel_is_told_which_there_are() -> None:
    ((_, message),) = plan_faults(Plan((Step(0, ("pigeon",)),)), CHANNELS)
    assert "'pigeon'" in message
    assert "webpush, sms, email" in message


def test_a_timetable_holds_every_step_and_every_repeat_in_the_order_of_time() -> None:
    plan = Plan((Step(0, SMS, repeat=Repeat(300, 2)), Step(120, SMS), Step(600, SMS, "supervisors")))
    assert timetable(plan) == [
        Run(0, 0, seconds(0)),
        Run(1, 0, seconds(120)),
        Run(0, 1, seconds(300)),
        Run(0, 2, seconds(600)),
        Run(2, 0, seconds(600)),
    ]


def test_a_plan_that_is_written_down_is_read_back() -> None:
    plan = Plan((Step(0, SMS, repeat=Repeat(300, 2)), Step(600, ("email", "sms"), "supervisors")))
    assert Plan.from_json(plan.as_json()) == plan


PARENTS = {"town": None, "water": "town", "pumps": "water", "roads": "town"}


@pytest.mark.parametrize(
    ("person", "groups", "supervision", "told"),
    [
        ("taro", ["pumps"], {"pumps": ["kacho"], "town": ["mayor"]}, {"kacho"}),
        ("taro", ["pumps"], {"town": ["mayor"]}, {"mayor"}),
        ("kacho", ["pumps"], {"pumps": ["kacho"], "water": ["bucho"]}, {"bucho"}),
        ("taro", ["pumps", "roads"], {"pumps": ["a", "b"], "roads": ["c"]}, {"a", "b", "c"}),
        ("mayor", ["town"], {"town": ["mayor"]}, set()),
        ("taro", [], {"town": ["mayor"]}, set()),
    ],
)
def test_the_nearest_supervisors_upwards_are_told_and_nobody_of_their_own_silence(
    person: str, groups: list[str], supervision: dict[str, list[str]], told: set[str]
) -> None:
    assert supervisors_of(person, groups, PARENTS, supervision) == told


def at(clock: str) -> datetime:
    """A moment of 2026-11-22 in Tokyo."""
    return datetime.fromisoformat(f"2026-11-22T{clock}+09:00").astimezone(UTC)


NIGHT = QuietHours.parse("22:00", "07:00")
NOON = QuietHours.parse("12:00", "13:00")


@pytest.mark.parametrize(
    ("quiet", "clock", "end"),
    [
        (NIGHT, "21:59:59", None),
        (NIGHT, "22:00", at("07:00") + timedelta(days=1)),
        (NIGHT, "23:59", at("07:00") + timedelta(days=1)),
        (NIGHT, "00:00", at("07:00")),
        (NIGHT, "06:59:59", at("07:00")),
        (NIGHT, "07:00", None),
        (NOON, "12:30", at("13:00")),
        (NOON, "13:00", None),
        (NOON, "03:00", None),
    ],
)
def test_quiet_hours_are_local_and_may_span_midnight(quiet: QuietHours, clock: str, end: datetime | None) -> None:
    assert quiet.end_after(at(clock), TOKYO) == end


CLOCKS = st.builds(time, st.integers(0, 23), st.integers(0, 59))


@given(CLOCKS, CLOCKS, st.integers(0, 366 * 24 * 3_600))
def test_whatever_the_quiet_hours_their_end_lies_ahead_within_a_day(start: time, end: time, passed: int) -> None:
    assume(start != end)
    now = at("00:00") + seconds(passed)
    over = QuietHours(start, end).end_after(now, TOKYO)
    assert over is None or timedelta() < over - now <= timedelta(days=1)


@pytest.mark.parametrize(("start", "end"), [("22:00", "22:00"), ("25:00", "07:00"), ("7:00", "08:00"), ("", "07:00")])
def test_quiet_hours_that_are_none_are_refused(start: str, end: str) -> None:
    with pytest.raises(ValueError, match="must"):
        QuietHours.parse(start, end)


class TestDueAt:
    night = at("03:00")
    expires = at("23:00")

    @pytest.mark.parametrize("severity", ["extreme", "severe", "unknown"])
    def test_a_severe_alert_wakes_people(self, severity: str) -> None:
        assert due_at(self.night, severity, NIGHT, TOKYO, self.expires) == self.night  # type: ignore[arg-type]

    @pytest.mark.parametrize("severity", ["moderate", "minor"])
    def test_a_lesser_one_waits_until_they_are_over(self, severity: str) -> None:
        assert due_at(self.night, severity, NIGHT, TOKYO, self.expires) == at("07:00")  # type: ignore[arg-type]

    def test_but_not_when_it_would_be_over_by_then(self) -> None:
        assert due_at(self.night, "minor", NIGHT, TOKYO, at("07:00")) == self.night

    def test_and_not_for_somebody_without(self) -> None:
        assert due_at(self.night, "minor", None, TOKYO, self.expires) == self.night
