"""Plans by name, and what a plan will come to: the timetable that is shown before anything is sent."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.alert import LANGUAGES
from alertd.core.audience import Audience
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.escalation import (
    DEFAULT_PLAN,
    Plan,
    Step,
    To,
    default_plan,
    plan_faults,
    supervisors_of,
    timetable,
)
from alertd.core.ids import given_id_fault
from alertd.service import views
from alertd.service.directory import name_faults
from alertd.service.runtime import Actor, Runtime
from alertd.store import foresight, instance, people, steps, templates
from alertd.store.foresight import Some, Ways
from alertd.store.rows import Row

NAMES_MAX: Final = 500  # people who are told by name; the others are counted


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
    that go to them, and people for whose silence nobody would be told. NAMES_MAX of each by name.
    """

    without: Some
    supervisors_without: Some
    unsupervised: Some

    def as_json(self) -> dict[str, Any]:
        each = {
            "without": self.without,
            "supervisors_without": self.supervisors_without,
            "unsupervised": self.unsupervised,
        }
        named = {name: [_named(row) for row in some.first] for name, some in each.items()}
        return {**named, "counts": {name: some.count for name, some in each.items()}}


def _named(row: Row) -> dict[str, str]:
    return {"id": row["id"], "name": row["name"]}


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan comes to for an audience. `ways` counts its people by channel, over all steps that go to it."""

    ways: Mapping[str, int]
    reached: int  # by at least one of them
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
    audience: Audience,
    sent_at: datetime,
    parts: Mapping[str, int],
) -> Outlook:
    """What `plan` comes to for `audience` when it starts at `sent_at`. Channels that are not set up are no way.

    `parts` are the SMS parts of one copy, by language. The store counts: this takes no memory for a large audience.
    """
    goes_up = any(_is_up(step) for step in plan.steps)
    above, unsupervised = _supervision(connection, audience) if goes_up else (Audience(), _NOBODY)
    ours = _Reached(connection, rt, audience, plan, up=False)
    told = _Reached(connection, rt, above, plan, up=True)
    forecasts = []
    for run in timetable(plan):
        step, at = plan.steps[run.step], sent_at + run.after
        reached = told if _is_up(step) else ours
        segments = sum(parts[way.language] * way.subscriptions for way in reached.ways if _is_sms_of(step, way))
        forecasts.append(
            Forecast(
                at=at,
                step=run.step,
                repeat=run.repeat,
                channels=step.channels,
                to=step.to,
                people=reached.people(step.channels),
                segments=segments,
                last_out_at=at
                + _time_to_send(rt, [way for way in reached.ways if way.channel in step.channels], parts),
            )
        )
    warnings = Warnings(
        without=foresight.unreachable(connection, audience, ours.channels, NAMES_MAX),
        supervisors_without=foresight.unreachable(connection, above, told.channels, NAMES_MAX) if goes_up else _NOBODY,
        unsupervised=unsupervised,
    )
    by_channel: dict[str, int] = {}
    for way in ours.ways:
        by_channel[way.channel] = by_channel.get(way.channel, 0) + way.people
    return Outlook(by_channel, ours.people(ours.channels), forecasts, warnings)


_NOBODY: Final = Some(0, [])


class _Reached:
    """Whom the steps of a plan reach that go to `audience`; what was counted once is not counted again."""

    def __init__(self, connection: Connection, rt: Runtime, audience: Audience, plan: Plan, *, up: bool) -> None:
        steps_to_it = [step for step in plan.steps if _is_up(step) is up]
        self.channels = {channel for step in steps_to_it for channel in step.channels if channel not in rt.missing}
        self.ways = foresight.ways(connection, audience, self.channels) if self.channels else []
        self._connection, self._audience = connection, audience
        self._people: dict[frozenset[str], int] = {}

    def people(self, channels: Iterable[str]) -> int:
        """How many people have a way on any of these channels."""
        used = frozenset(channels) & {way.channel for way in self.ways}
        if used not in self._people:
            alone = len(used) == 1
            self._people[used] = (
                sum(way.people for way in self.ways if way.channel in used)
                if alone or not used
                else foresight.reachable(self._connection, self._audience, used)
            )
        return self._people[used]


def _supervision(connection: Connection, audience: Audience) -> tuple[Audience, Some]:
    """Everybody who may be told of somebody's silence, and those of whose silence nobody would be.

    Nobody is told of their own: so whoever supervises a group is looked at one by one, and all others by their groups.
    """
    parents, by_group = people.parents(connection), people.supervisors(connection)
    told: set[str] = set()
    for group in foresight.groups_of_others(connection, audience):
        told |= supervisors_of("", [group], parents, by_group)
    alone = []
    special = foresight.supervising(connection, audience)
    memberships = people.memberships(connection, [row["id"] for row in special])
    for row in special:
        theirs = supervisors_of(row["id"], memberships[row["id"]], parents, by_group)
        told |= theirs
        if not theirs:
            alone.append(row)
    covered = [group for group in parents if supervisors_of("", [group], parents, by_group)]
    others = foresight.others_outside(connection, audience, covered, NAMES_MAX)
    return Audience(people=tuple(sorted(told))), others.and_also(alone, NAMES_MAX)


def _is_up(step: Step) -> bool:
    return step.to == "supervisors"


def _is_sms_of(step: Step, way: Ways) -> bool:
    return way.channel == "sms" and "sms" in step.channels


def _time_to_send(rt: Runtime, ways: Sequence[Ways], parts: Mapping[str, int]) -> timedelta:
    """How long the slowest channel takes at the pace of its provider; nothing where none is known."""
    units: dict[str, int] = {}
    for way in ways:
        each = parts[way.language] if way.channel == "sms" else 1
        units[way.channel] = units.get(way.channel, 0) + way.subscriptions * each
    seconds = [count / pace for channel, count in units.items() if (pace := rt.budgets[channel].pace) is not None]
    return timedelta(seconds=max(seconds, default=0.0))


def list_plans(rt: Runtime) -> list[dict[str, Any]]:
    """Every plan by id, the built-in one among them."""
    with rt.store.read() as connection:
        rows = {row["id"]: {**_named(row), "plan": row["plan"]} for row in steps.list_plans(connection)}
    built_in = {"id": DEFAULT_PLAN, "name": DEFAULT_PLAN, "plan": default_plan(rt.channels).as_json()}
    return [*([] if DEFAULT_PLAN in rows else [built_in]), *rows.values()]


def is_kept(rt: Runtime, plan_id: str) -> bool:
    """Whether somebody wrote that plan: there is something to delete."""
    with rt.store.read() as connection:
        return steps.get_plan(connection, plan_id) is not None


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
    return {
        "id": plan_id,
        "name": name.strip(),
        "plan": plan.as_json(),
        "warnings": plan_warnings(rt, plan).as_json(),
    }, made


def delete_plan(rt: Runtime, actor: Actor, plan_id: str) -> None:
    """Forget a plan; alerts that went out by it keep theirs. Raises NotFound, and Conflict while a template uses it."""
    with rt.store.write() as connection:
        users = [row["name"] for row in templates.every(connection) if row["template"]["plan"] == plan_id]
        if users and plan_id != DEFAULT_PLAN:
            raise Conflict(f"the plan is used by the template {users[0]!r}: choose another plan there first")
        if not steps.remove_plan(connection, plan_id):
            raise NotFound(f"there is no plan {plan_id!r} that somebody wrote")
        instance.record(
            connection, at=rt.now(), actor=actor.person_id, action="plan.delete", object=plan_id, details={}
        )


def plan_warnings(rt: Runtime, plan: Plan) -> Warnings:
    """Whom `plan` would lead to in vain if everybody were meant."""
    with rt.store.read() as connection:
        everybody = Audience(everyone=True)
        return foresee(connection, rt, plan, everybody, rt.now(), dict.fromkeys(LANGUAGES, 1)).warnings
