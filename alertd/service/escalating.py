"""Carrying out a plan: who a step goes to, its deliveries, and starting what is due."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from alertd.core.alert import Part
from alertd.core.delivery import State, rank
from alertd.core.escalation import Plan, QuietHours, Step, To, due_at, supervisors_of
from alertd.service.rollout import SLICE, Slice, take_turns
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, following, people, standing, steps, unsent
from alertd.store.people import UsableWay
from alertd.store.rows import Row


@dataclass(frozen=True, slots=True)
class Target:
    """One subscription that a message goes to."""

    person_id: str
    language: str
    subscription_id: str
    channel: str
    lane: str
    alone: bool  # its person has no other way
    quiet: QuietHours | None


def targets(connection: Connection, channels: Collection[str], persons: Sequence[Row]) -> list[Target]:
    """Every usable subscription of these people (`id`, `language`, `quiet_from`, `quiet_to`) to these channels."""
    by_id = {person["id"]: person for person in persons}
    usable: dict[str, list[UsableWay]] = {}
    for way in people.usable_ways(connection, list(by_id)):
        usable.setdefault(way.person_id, []).append(way)
    return [
        Target(
            person_id,
            by_id[person_id]["language"],
            way.id,
            way.channel,
            way.lane,
            alone=len(ways) == 1,
            quiet=_quiet(by_id[person_id]),
        )
        for person_id, ways in usable.items()
        for way in ways
        if way.channel in channels
    ]


def _quiet(person: Row) -> QuietHours | None:
    if person["quiet_from"] is None:
        return None
    return QuietHours.parse(person["quiet_from"], person["quiet_to"])


def lay_down(
    connection: Connection,
    rt: Runtime,
    alert: Row,
    found: Sequence[Target],
    numbers: Mapping[str, int],
    *,
    step: int = 0,
    repeat: int = 0,
    answered: Collection[str] = (),
) -> set[str]:
    """Write a delivery of `alert`'s current revision to each target; the channels that have work now.

    `numbers` are the recipient numbers of their people, `answered` those of them who go last.
    """
    now = rt.now()
    rows: list[dict[str, Any]] = [
        {
            "alert_id": alert["id"],
            "revision": alert["revision"],
            "step": step,
            "repeat": repeat,
            "subscription_id": target.subscription_id,
            "recipient_id": numbers[target.person_id],
            "channel": target.channel,
            "lane": target.lane,
            "state": State.PENDING,
            "attempt": 0,
            "tries": 0,
            "holds": 0,
            "rank": rank(
                kind=alert["kind"],
                drill=alert["drill"],
                alone=target.alone,
                acknowledged=target.person_id in answered,
            ),
            "due_at": due_at(now, alert["severity"], target.quiet, rt.zone, alert["expires_at"]),
            "queued_at": now,
        }
        for target in found
    ]
    deliveries.add(connection, rows)
    return {row["channel"] for row in rows if row["due_at"] <= now}


def start_due(rt: Runtime, limit: int = 20) -> int:
    """Start runs of living alerts' plans whose time has come, `limit` at most; how many. Any number of clocks may.

    What goes to very many is begun here, and left to `carry_on`.
    """
    now = rt.now()
    with rt.store.read() as connection:
        waiting = steps.due(connection, now, limit)
    return sum(_start(rt, run, now) for run in waiting)


def carry_on(rt: Runtime, stopped: Callable[[], bool] = lambda: False) -> None:
    """Lay down what is left of runs that have been started. As `rollout.take_turns`."""
    take_turns(lambda: left(rt), stopped)


def left(rt: Runtime) -> list[Slice]:
    """The next slice of each run that was started and is not laid down for everybody yet."""
    with rt.store.read() as connection:
        return [partial(_carry_on, rt, run) for run in steps.unfinished(connection)]


def _start(rt: Runtime, run: Row, now: datetime) -> bool:
    """Carry a run out, as far as one slice goes, if it is nobody else's; whether it was not."""
    with rt.store.read() as connection:
        alert = alerts.get(connection, run["alert_id"])
        step = Plan.from_json(alert["plan"]).steps[run["step"]] if alert else None
        above = find_supervisors(connection, alert) if alert and step and step.to == "supervisors" else set()
    with rt.store.write() as connection:
        alert = alerts.lock(connection, run["alert_id"])
        if alert is None or step is None or _is_over(alert, now):
            return False
        if not steps.start(connection, run["alert_id"], run["step"], run["repeat"], now):
            return False
        if steps.is_overtaken(connection, run, now) or _is_said_anew(alert, step, run):
            channels = _tell(connection, rt, alert, run, {})
        elif step.to == "supervisors":
            channels = _tell(connection, rt, alert, run, _as_recipients(connection, alert, above))
        else:
            channels = _tell_next(connection, rt, alert, run, "")
    rt.bell.work(channels)
    rt.bell.changed(run["alert_id"])
    return True


def _carry_on(rt: Runtime, run: Row) -> None:
    """Lay down the next slice of a run."""
    with rt.store.write() as connection:
        alert = alerts.lock(connection, run["alert_id"])
        after = steps.position(connection, run)
        if alert is None or after is None or following.position(connection, alert) is not None:
            return
        if _is_over(alert, rt.now()):
            steps.advance(connection, run, None)
            return
        channels = _tell_next(connection, rt, alert, run, after)
    rt.bell.work(channels)
    rt.bell.changed(run["alert_id"])


def _is_said_anew(alert: Row, step: Step, run: Row) -> bool:
    """Whether somebody asked to remind people of what the alert said before."""
    return step.asked_by is not None and bool(run["due_at"] < alert["revised_at"])


def _is_over(alert: Row, now: datetime) -> bool:
    return alert["state"] != "active" or bool(alert["expires_at"] <= now)


def _tell_next(connection: Connection, rt: Runtime, alert: Row, run: Row, after: str) -> set[str]:
    """Lay down a run for the next of the outstanding after that person; the channels that have work."""
    silent = standing.page(connection, standing.outstanding(alert), after, SLICE)
    active = people.active_of(connection, silent)
    numbers = alerts.recipient_numbers(connection, alert["id"], [each for each in silent if each in active])
    channels = _tell(connection, rt, alert, run, numbers)
    steps.advance(connection, run, silent[-1] if len(silent) == SLICE else None)
    return channels


def _tell(connection: Connection, rt: Runtime, alert: Row, run: Row, numbers: Mapping[str, int]) -> set[str]:
    """Lay down a run for these people; the channels that have work now."""
    step = Plan.from_json(alert["plan"]).steps[run["step"]]
    persons = list(people.get_many(connection, list(numbers)).values())
    found = _not_under_way(connection, alert, step.to, targets(connection, step.channels, persons), numbers)
    # What our own fault holds is tried again by the later step, and not a second time beside it.
    unsent.replace_held(connection, run["alert_id"], [target.subscription_id for target in found])
    channels = lay_down(connection, rt, alert, found, numbers, step=run["step"], repeat=run["repeat"])
    steps.count(connection, run["alert_id"], run["step"], run["repeat"], len(found))
    return channels


def _as_recipients(connection: Connection, alert: Row, person_ids: Collection[str]) -> dict[str, int]:
    """Those of these supervisors who are active, made recipients where they are none yet, with their numbers."""
    active = sorted(people.active_of(connection, person_ids))
    numbers = alerts.recipient_numbers(connection, alert["id"], active)
    alerts.add_supervisors(connection, alert["id"], [person_id for person_id in active if person_id not in numbers])
    return alerts.recipient_numbers(connection, alert["id"], active)


def find_supervisors(connection: Connection, alert: Row) -> set[str]:
    """Everybody who is told that people of an alert's audience stay silent."""
    found: set[str] = set()
    after = ""
    while silent := standing.page(connection, standing.outstanding(alert), after, SLICE):
        active = people.active_of(connection, silent)
        found = found.union(*supervision(connection, active).values())
        after = silent[-1]
    return found


def silent_under(connection: Connection, alert: Row, person_id: str) -> set[str]:
    """Of whose silence that supervisor is told."""
    theirs = sorted(people.members_below(connection, person_id))
    silent = standing.among(connection, standing.outstanding(alert), theirs)
    above = supervision(connection, people.active_of(connection, silent))
    return {silent_person for silent_person, told in above.items() if person_id in told}


def supervision(connection: Connection, person_ids: Collection[str]) -> dict[str, set[str]]:
    """For each of these people the supervisors who are told of their silence."""
    parents, by_group = people.parents(connection), people.supervisors(connection)
    return {
        person_id: supervisors_of(person_id, groups, parents, by_group)
        for person_id, groups in people.memberships(connection, person_ids).items()
    }


def _not_under_way(
    connection: Connection, alert: Row, to: To, found: Sequence[Target], numbers: Mapping[str, int]
) -> list[Target]:
    """Without those to whom this very revision is still on its way: a second copy would say nothing new.

    (To a supervisor it would: their copy speaks of others.)
    """
    alike = [number for number, step in enumerate(Plan.from_json(alert["plan"]).steps) if step.to == to]
    busy = alerts.busy(connection, alert, alike, list(numbers.values()))
    return [target for target in found if target.subscription_id not in busy]


def part_of(alert: Row, step: int) -> Part:
    """Whom the deliveries of a step are for. A later revision goes to everybody alike, under step 0."""
    planned = Plan.from_json(alert["plan"]).steps
    # One that was asked for since the alert was read is a reminder, and these go to the audience.
    return "supervisor" if step < len(planned) and planned[step].to == "supervisors" else "audience"


def runs_of(connection: Connection, alert: Row) -> list[tuple[Row, Step]]:
    """An alert's timetable in the order of time, each run with its step."""
    planned = Plan.from_json(alert["plan"]).steps
    runs = steps.of_alert(connection, alert["id"])
    # What was asked for since the alert was read is told the next time.
    return [(run, planned[run["step"]]) for run in runs if run["step"] < len(planned)]
