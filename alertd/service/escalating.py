"""Carrying out a plan: who a step goes to, its deliveries, and starting what is due."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.alert import Part
from alertd.core.delivery import State, rank
from alertd.core.escalation import Plan, QuietHours, To, due_at, supervisors_of
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, people, steps, unsent
from alertd.store.people import UsableWay
from alertd.store.rows import Row

_UNDER_WAY: Final = (State.PENDING, State.SENDING)


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
    """Start runs of living alerts' plans whose time has come, `limit` at most; how many. Any number of clocks may."""
    now = rt.now()
    with rt.store.read() as connection:
        waiting = steps.due(connection, now, limit)
    started = 0
    for run in waiting:
        with rt.store.write() as connection:
            channels = _start(connection, rt, run, now)
        if channels is None:
            continue
        started += 1
        rt.bell.work(channels)
        rt.bell.changed(run["alert_id"])
    return started


def _start(connection: Connection, rt: Runtime, run: Row, now: datetime) -> set[str] | None:
    """Carry a run out, if it is nobody else's: the channels that have work now, None when it was taken already."""
    alert = alerts.lock(connection, run["alert_id"])
    if alert is None or alert["state"] != "active" or alert["expires_at"] <= now:
        return None
    if not steps.start(connection, run["alert_id"], run["step"], run["repeat"], now):
        return None
    if steps.is_overtaken(connection, run, now):
        steps.finish(connection, run["alert_id"], run["step"], run["repeat"], 0)
        return set()
    step = Plan.from_json(alert["plan"]).steps[run["step"]]
    silent = outstanding(connection, alert)
    if step.to == "supervisors":
        persons, numbers = _supervisors(connection, alert, list(silent))
    else:
        persons, numbers = list(people.get_many(connection, silent).values()), silent
    found = _not_under_way(connection, alert, step.to, targets(connection, step.channels, persons))
    # What our own fault holds is tried again by the later step, and not a second time beside it.
    unsent.replace_held(connection, run["alert_id"], [target.subscription_id for target in found])
    channels = lay_down(connection, rt, alert, found, numbers, step=run["step"], repeat=run["repeat"])
    steps.finish(connection, run["alert_id"], run["step"], run["repeat"], len(found))
    return channels


def outstanding(connection: Connection, alert: Row) -> dict[str, int]:
    """Who of the audience has not acknowledged and is still there, each with their recipient number."""
    answered = alerts.acknowledged_people(connection, alert)
    numbers = alerts.numbers_of_part(connection, alert["id"], "audience")
    silent = [person_id for person_id in numbers if person_id not in answered]
    active = people.active_of(connection, silent)
    return {person_id: numbers[person_id] for person_id in silent if person_id in active}


def _supervisors(connection: Connection, alert: Row, silent: Sequence[str]) -> tuple[list[Row], dict[str, int]]:
    """The active supervisors of the silent, made recipients where they are none yet, and their numbers."""
    found = people.get_many(connection, find_supervisors(connection, silent))
    active = sorted(person_id for person_id, row in found.items() if row["active"])
    numbers = alerts.recipient_numbers(connection, alert["id"], active)
    new = [person_id for person_id in active if person_id not in numbers]
    if new:
        numbers |= alerts.add_recipients(connection, alert["id"], new, part="supervisor")
    return [found[person_id] for person_id in active], numbers


def find_supervisors(connection: Connection, person_ids: Sequence[str]) -> set[str]:
    """Everybody who is told when these people stay silent."""
    return set().union(*supervision(connection, person_ids).values())


def supervision(connection: Connection, person_ids: Sequence[str]) -> dict[str, set[str]]:
    """For each of these people the supervisors who are told of their silence."""
    parents, by_group = people.parents(connection), people.supervisors(connection)
    return {
        person_id: supervisors_of(person_id, groups, parents, by_group)
        for person_id, groups in people.memberships(connection, person_ids).items()
    }


def _not_under_way(connection: Connection, alert: Row, to: To, found: Sequence[Target]) -> list[Target]:
    """Without those to whom this very revision is still on its way: a second copy would say nothing new.

    (To a supervisor it would: their copy speaks of others.)
    """
    alike = [number for number, step in enumerate(Plan.from_json(alert["plan"]).steps) if step.to == to]
    busy = alerts.subscriptions_with(connection, alert["id"], alert["revision"], _UNDER_WAY, alike)
    return [target for target in found if target.subscription_id not in busy]


def part_of(alert: Row, step: int) -> Part:
    """Whom the deliveries of a step are for. A later revision goes to everybody alike, under step 0."""
    return "supervisor" if Plan.from_json(alert["plan"]).steps[step].to == "supervisors" else "audience"
