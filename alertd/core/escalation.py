"""Plans: which channels an alert goes out on, when, and to whom."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

To = Literal["outstanding", "supervisors"]

AFTER_MAX: Final = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Step:
    after_seconds: int
    channels: tuple[str, ...]
    to: To = "outstanding"


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]

    def as_json(self) -> dict[str, object]:
        return {
            "steps": [
                {"after_seconds": step.after_seconds, "channels": list(step.channels), "to": step.to}
                for step in self.steps
            ]
        }


DEFAULT_PLAN: Final = "default"


def default_plan(channels: Collection[str]) -> Plan:
    """Every channel at once."""
    return Plan((Step(0, tuple(channels)),))


def plan_faults(plan: Plan, channels: Collection[str]) -> list[tuple[str, str]]:
    """What is wrong with a plan, as (field, message); empty when it can be carried out."""
    if not plan.steps:
        return [("plan.steps", "must have at least one step")]
    faults = []
    for index, step in enumerate(plan.steps):
        field = f"plan.steps.{index}"
        if not step.channels:
            faults.append((f"{field}.channels", f"must name at least one of {', '.join(channels)}"))
        faults += [
            (f"{field}.channels", f"unknown channel {channel!r}; there are {', '.join(channels)}")
            for channel in step.channels
            if channel not in channels
        ]
        if step.after_seconds > 0 or index > 0:
            faults.append((f"{field}.after_seconds", "timed steps are not carried out yet: give one step at 0 seconds"))
        elif step.to != "outstanding":
            faults.append((f"{field}.to", "the first step goes to the audience itself: outstanding"))
    return faults
