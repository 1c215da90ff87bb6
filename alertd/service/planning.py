"""Plans by name, and what a plan will come to: the timetable that is shown before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from alertd.core.alert import LANGUAGES
from alertd.core.audience import Audience
from alertd.core.errors import Invalid
from alertd.core.escalation import DEFAULT_PLAN, Plan, Step, To, default_plan, plan_faults, timetable
from alertd.core.ids import given_id_fault
from alertd.service import escalating, views
from alertd.service.directory import name_faults
from alertd.service.escalating import Target
from alertd.service.runtime import Actor, Runtime
from alertd.store import instance, people, steps
from alertd.store.rows import Row


@dataclass(frozen=True, slots=True)
class Forecast:
    """One line of a timetable. Numbers are the most it can come to: whoever answers before is left out."""

    at: datetime
    step: int
    repeat: int
    channels: Sequence[str]
    to: To
    people: int
    segments: int  # SMS parts
    last_out_at: datetime  # when the slowest of its channels has handed its last message over

    def as_json(self) -> dict[str, Any]:
        return {
            "at": views.moment(self.at),
            "step": self.step,
            "repeat": self.repeat,
            "channels": list(self.channels),
            "to": self.to,
            "people": self.people,
            "segments": self.segments,
            "last_out_at": views.moment(self.last_out_at),
        }


@dataclass(frozen=True, slots=True)
class Warnings:
    """Whom a plan leads to in vain: people without a way in any of its steps, supervisors without one in the steps
    that go to them, and people for whose silence nobody would be told.
    """

    without: Sequence[Row]
    supervisors_without: Sequence[Row]
    unsupervised: Sequence[Row]

    def as_json(self) -> dict[str, Any]:
        return {
            "without": [_named(row) for row in self.without],
            "supervisors_without": [_named(row) for row in self.supervisors_without],
            "unsupervised": [_named(row) for row in self.unsupervised],
        }


def _named(row: Row) -> dict[str, str]:
    return {"id": row["id"], "name": row["name"]}


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan comes to for an audience."""

    targets: Sequence[Target]  # of all steps to the audience, each subscription once
    forecasts: Sequence[Forecast]
    warnings: Warnings


def resolve(connection: Connection, rt: Runtime, wanted: str | Plan) -> Plan | None:
    """The plan of that name, or the one that is given; None when there is none of that name."""
    if isinstance(wanted, Plan):
        return wanted
    row = steps.get_plan(connection, wanted)
    if row is not None:
        return Plan.from_json(row["plan"])
    return default_plan(rt.channels) if wanted == DEFAULT_PLAN else None


def foresee(
    connection: Connection,
    rt: Runtime,
    plan: Plan,
    recipients: Sequence[Row],
    sent_at: datetime,
    parts: Mapping[str, int],
) -> Outlook:
    """What `plan` comes to for `recipients` when it starts at `sent_at`. Channels that are not set up are no way.

    `parts` are the SMS parts of one copy, by language.
    """
    supervision = escalating.supervision(connection, [row["id"] for row in recipients])
    above = list(people.get_many(connection, set().union(*supervision.values())).values())
    supervisors = [row for row in above if row["active"]]
    by_step = [
        _working(rt, escalating.targets(connection, step.channels, supervisors if _is_up(step) else recipients))
        for step in plan.steps
    ]
    forecasts = []
    for run in timetable(plan):
        step, found, at = plan.steps[run.step], by_step[run.step], sent_at + run.after
        segments = sum(parts[target.language] for target in found if target.channel == "sms")
        forecasts.append(
            Forecast(
                at=at,
                step=run.step,
                repeat=run.repeat,
                channels=step.channels,
                to=step.to,
                people=len({target.person_id for target in found}),
                segments=segments,
                last_out_at=at + _time_to_send(rt, found, segments),
            )
        )
    ours = {
        target.subscription_id: target
        for step, found in zip(plan.steps, by_step, strict=True)
        if not _is_up(step)
        for target in found
    }
    told = [target for step, found in zip(plan.steps, by_step, strict=True) if _is_up(step) for target in found]
    goes_up = any(_is_up(step) for step in plan.steps)
    warnings = Warnings(
        without=_missing(recipients, list(ours.values())),
        supervisors_without=_missing(supervisors, told) if goes_up else [],
        unsupervised=[row for row in recipients if not supervision[row["id"]]] if goes_up else [],
    )
    return Outlook(list(ours.values()), forecasts, warnings)


def _is_up(step: Step) -> bool:
    return step.to == "supervisors"


def _working(rt: Runtime, found: Sequence[Target]) -> list[Target]:
    return [target for target in found if target.channel not in rt.missing]


def _missing(persons: Sequence[Row], found: Sequence[Target]) -> list[Row]:
    reached = {target.person_id for target in found}
    return [row for row in persons if row["id"] not in reached]


def _time_to_send(rt: Runtime, found: Sequence[Target], segments: int) -> timedelta:
    """How long the slowest channel takes at the pace of its provider; nothing where none is known."""
    longest = 0.0
    for channel in {target.channel for target in found}:
        pace = rt.budgets[channel].pace
        if pace is not None:
            units = segments if channel == "sms" else sum(target.channel == channel for target in found)
            longest = max(longest, units / pace)
    return timedelta(seconds=longest)


def list_plans(rt: Runtime) -> list[dict[str, Any]]:
    """Every plan by id, the built-in one among them."""
    with rt.store.read() as connection:
        rows = {row["id"]: {**_named(row), "plan": row["plan"]} for row in steps.list_plans(connection)}
    built_in = {"id": DEFAULT_PLAN, "name": DEFAULT_PLAN, "plan": default_plan(rt.channels).as_json()}
    return [*([] if DEFAULT_PLAN in rows else [built_in]), *rows.values()]


def put_plan(rt: Runtime, actor: Actor, plan_id: str, name: str, plan: Plan) -> tuple[dict[str, Any], bool]:
    """Make or replace a plan; the plan with whom it would lead to in vain if everybody were meant, and whether it was
    made. Raises Invalid.
    """
    now = rt.now()
    faults = name_faults(name) + plan_faults(plan, rt.channels)
    id_fault = given_id_fault(plan_id)
    if id_fault:
        faults.append(("id", id_fault))
    if faults:
        raise Invalid(faults)
    with rt.store.write() as connection:
        made = steps.put_plan(connection, plan_id, name.strip(), plan.as_json(), actor.person_id, now)
        instance.record(
            connection, at=now, actor=actor.person_id, action="plan.put", object=plan_id, details=plan.as_json()
        )
    return {"id": plan_id, "name": name.strip(), "plan": plan.as_json(), "warnings": plan_warnings(rt, plan)}, made


def plan_warnings(rt: Runtime, plan: Plan) -> dict[str, Any]:
    """Whom `plan` would lead to in vain, by name, if everybody were meant."""
    with rt.store.read() as connection:
        everybody = people.resolve(connection, Audience(everyone=True))
        outlook = foresee(connection, rt, plan, everybody, rt.now(), dict.fromkeys(LANGUAGES, 1))
    return outlook.warnings.as_json()
