"""Plans: on which channels an alert goes out, when, to whom, and how often again.

A plan's timetable is known before the alert is sent, and laid down whole when it is: see `timetable`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Any, Final, Literal

from alertd.core.alert import Severity

To = Literal["outstanding", "supervisors"]

AFTER_MAX: Final = 7 * 24 * 3600
EVERY_MIN: Final = 60
TIMES_MAX: Final = 50
STEPS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Repeat:
    """A step again, `times` times, every so many seconds after its first run: a repeat always has an end."""

    every_seconds: int
    times: int


@dataclass(frozen=True, slots=True)
class Step:
    """`to`: whoever of the audience has not acknowledged by then, or the supervisors of those.

    `asked_by`: who asked for it by hand while the alert was under way; such a step is in no timetable.
    """

    after_seconds: int
    channels: tuple[str, ...]
    to: To = "outstanding"
    repeat: Repeat | None = None
    asked_by: str | None = None

    def as_json(self) -> dict[str, object]:
        written: dict[str, object] = {
            "after_seconds": self.after_seconds,
            "channels": list(self.channels),
            "to": self.to,
        }
        if self.repeat is not None:
            written["repeat"] = {"every_seconds": self.repeat.every_seconds, "times": self.repeat.times}
        if self.asked_by is not None:
            written["asked_by"] = self.asked_by
        return written


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]

    def as_json(self) -> dict[str, object]:
        return {"steps": [step.as_json() for step in self.steps]}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Plan":
        """The plan that `as_json` wrote down."""
        return cls(
            tuple(
                Step(
                    step["after_seconds"],
                    tuple(step["channels"]),
                    step["to"],
                    Repeat(**step["repeat"]) if step.get("repeat") else None,
                    step.get("asked_by"),
                )
                for step in raw["steps"]
            )
        )


DEFAULT_PLAN: Final = "default"


def default_plan(channels: Collection[str]) -> Plan:
    """Every channel at once."""
    return Plan((Step(0, tuple(channels)),))


@dataclass(frozen=True, slots=True)
class Run:
    """One line of a timetable: step number `step` for the `repeat`-th time again (0: the first)."""

    step: int
    repeat: int
    after: timedelta


def timetable(plan: Plan) -> list[Run]:
    """Every run of every step that was planned, in the order of time."""
    return sorted(_runs(plan), key=lambda run: (run.after, run.step, run.repeat))


def _runs(plan: Plan) -> Iterator[Run]:
    for number, step in enumerate(plan.steps):
        if step.asked_by is not None:
            continue
        yield Run(number, 0, timedelta(seconds=step.after_seconds))
        if step.repeat is not None:
            for repeat in range(1, step.repeat.times + 1):
                after = step.after_seconds + repeat * step.repeat.every_seconds
                yield Run(number, repeat, timedelta(seconds=after))


def plan_faults(plan: Plan, channels: Collection[str], life: timedelta | None = None) -> list[tuple[str, str]]:
    """What is wrong with a plan, as (field, message); empty when it can be carried out within an alert's `life`."""
    if not plan.steps:
        return [("plan.steps", "must have at least one step")]
    if len(plan.steps) > STEPS_MAX:
        return [("plan.steps", f"must have at most {STEPS_MAX} steps")]
    faults = []
    for index, step in enumerate(plan.steps):
        faults += [(f"plan.steps.{index}.{field}", message) for field, message in _step_faults(step, channels)]
        if index > 0 and step.after_seconds < plan.steps[index - 1].after_seconds:
            faults.append((f"plan.steps.{index}.after_seconds", "must not come before the step above it"))
    if plan.steps[0].after_seconds != 0:
        faults.append(("plan.steps.0.after_seconds", "must be 0: the first step goes out at once"))
    if plan.steps[0].to != "outstanding":
        faults.append(("plan.steps.0.to", "must be outstanding: the first step goes to the audience itself"))
    if life is not None:
        late = {run.step for run in _runs(plan) if run.after >= life}
        faults += [(f"plan.steps.{step}.after_seconds", "comes after the alert is over") for step in sorted(late)]
    return faults


def _step_faults(step: Step, channels: Collection[str]) -> Iterator[tuple[str, str]]:
    if not step.channels:
        yield "channels", f"must name at least one of {', '.join(channels)}"
    for channel in step.channels:
        if channel not in channels:
            yield "channels", f"unknown channel {channel!r}; there are {', '.join(channels)}"
    if not 0 <= step.after_seconds <= AFTER_MAX:
        yield "after_seconds", f"must be 0 to {AFTER_MAX}"
    if step.repeat is not None and step.repeat.every_seconds < EVERY_MIN:
        yield "repeat.every_seconds", f"must be at least {EVERY_MIN}"
    if step.repeat is not None and not 1 <= step.repeat.times <= TIMES_MAX:
        yield "repeat.times", f"must be 1 to {TIMES_MAX}"


Supervision = Mapping[str, Collection[str]]
"""The supervisors of each group that has any, by group id."""


def supervisors_of(
    person_id: str, groups: Collection[str], parents: Mapping[str, str | None], supervision: Supervision
) -> set[str]:
    """Who is told when `person_id` stays silent: for each of their groups the supervisors of the nearest group upwards
    that has any beside themselves.
    """
    found: set[str] = set()
    for group in groups:
        at: str | None = group
        while at is not None:
            others = set(supervision.get(at, ())) - {person_id}
            if others:
                found |= others
                break
            at = parents.get(at)
    return found


@dataclass(frozen=True, slots=True)
class QuietHours:
    """When a person is not to be disturbed, in local time; over midnight when `start` is after `end`."""

    start: time
    end: time

    @classmethod
    def parse(cls, start: str, end: str) -> "QuietHours":
        """From two times like 22:00. ValueError says what would be right."""
        first, last = _parse_time(start), _parse_time(end)
        if first == last:
            raise ValueError("must begin and end at different times")
        return cls(first, last)

    def end_after(self, at: datetime, zone: tzinfo) -> datetime | None:
        """When the quiet hours end that `at` lies in (in the time zone of `at`); None when it lies in none."""
        local = at.astimezone(zone)
        clock = local.time()
        over_midnight = self.start > self.end
        inside = (clock >= self.start or clock < self.end) if over_midnight else self.start <= clock < self.end
        if not inside:
            return None
        end = local.replace(hour=self.end.hour, minute=self.end.minute, second=0, microsecond=0)
        if end <= local:
            end += timedelta(days=1)
        return end.astimezone(at.tzinfo)


def _parse_time(text: str) -> time:
    hour, colon, minute = text.partition(":")
    if not (colon and len(hour) == len(minute) == 2 and (hour + minute).isascii() and (hour + minute).isdigit()):
        raise ValueError("must be a time like 22:00")
    try:
        return time(int(hour), int(minute))
    except ValueError:
        raise ValueError("must be a time like 22:00") from None


# A severity that nobody chose may be the worst one.
_WAKES: Final[frozenset[Severity]] = frozenset({"extreme", "severe", "unknown"})


def due_at(now: datetime, severity: Severity, quiet: QuietHours | None, zone: tzinfo, expires_at: datetime) -> datetime:
    """When a message that is ready `now` goes to somebody with these quiet hours.

    Severe alerts override them; so does one that would be over before they end: late is better than never.
    """
    if quiet is None or severity in _WAKES:
        return now
    end = quiet.end_after(now, zone)
    return end if end is not None and end < expires_at else now
