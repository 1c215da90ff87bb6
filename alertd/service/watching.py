"""What the emergency manager watches: counts, people, and what is known of each delivery."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection

from alertd.core.audience import with_ancestors
from alertd.core.delivery import HOPEFUL, State
from alertd.core.errors import NotFound
from alertd.core.escalation import Plan
from alertd.core.roles import Role
from alertd.service import views
from alertd.service.acknowledging import acknowledgement_view
from alertd.service.runtime import Actor, Runtime
from alertd.store import acknowledgements, alerts, deliveries, people, rollouts, steps
from alertd.store.rows import Row, in_slices

Filter = Literal["outstanding", "acknowledged", "unreachable", "outdated", "supervisors"]

STATES: Final = tuple(State)


def read_alerts(rt: Runtime, actor: Actor, *, before: str | None, limit: int) -> list[dict[str, Any]]:
    """Alerts that `actor` may see, newest first."""
    reader = None if actor.may(Role.VIEWER) else actor.person_id
    with rt.store.read() as connection:
        coming = rollouts.coming_to(connection, reader) if reader else ()
        rows = alerts.page(connection, before=before, limit=limit, reader=reader, coming=coming)
    return [views.alert(row) for row in rows]


def read_alert(rt: Runtime, actor: Actor, alert_id: str) -> dict[str, Any]:
    """One alert. Raises NotFound, also for an alert that did not go to `actor`."""
    with rt.store.read() as connection:
        row = alerts.get(connection, alert_id)
        mine = row is not None and bool(rollouts.told_of(connection, alert_id, [actor.person_id]))
    if row is None or not (mine or (actor.may(Role.VIEWER) and row["kind"] == "alert")):
        raise NotFound(f"there is no alert {alert_id!r}")
    return views.alert(row)


def read_course(rt: Runtime, alert_id: str) -> dict[str, Any]:
    """What an alert has said and what is still to come: its `revisions`, oldest first, and its `timetable`, each run
    with when it is due, when it was started, and how many deliveries it came to. Raises NotFound.
    """
    with rt.store.read() as connection:
        alert = alerts.get(connection, alert_id)
        if alert is None:
            raise NotFound(f"there is no alert {alert_id!r}")
        said = alerts.revisions(connection, alert_id)
        runs = steps.of_alert(connection, alert_id)
    plan = Plan.from_json(alert["plan"])
    return {
        "revisions": [
            {
                "revision": row["revision"],
                "kind": row["kind"],
                "title": row["title"],
                "body": row["body"],
                "asks_again": row["asks_again"],
                "created_by": row["created_by"],
                "created_at": views.moment(row["created_at"]),
            }
            for row in said
        ],
        "timetable": [
            {
                "step": run["step"],
                "repeat": run["repeat"],
                "channels": list(plan.steps[run["step"]].channels),
                "to": plan.steps[run["step"]].to,
                "due_at": views.moment(run["due_at"]),
                "started_at": views.moment(run["started_at"]),
                "deliveries": run["deliveries"],
            }
            for run in runs
        ],
    }


def read_inbox(rt: Runtime, actor: Actor, limit: int = 20) -> list[dict[str, Any]]:
    """The alerts that `actor` got, newest first, each with their own `acknowledgement` or None."""
    with rt.store.read() as connection:
        coming = rollouts.coming_to(connection, actor.person_id)
        rows = alerts.page(connection, before=None, limit=limit, reader=actor.person_id, coming=coming)
        answers = {}
        for row in rows:
            number = alerts.recipient_of(connection, row["id"], actor.person_id)
            kept = acknowledgements.of(connection, number) if number is not None else None
            answers[row["id"]] = acknowledgement_view(kept) if kept else None
    return [{**views.alert(row), "acknowledgement": answers[row["id"]]} for row in rows]


def summarise(rt: Runtime, alert_id: str) -> dict[str, Any]:
    """The counts of an alert. Raises NotFound.

    `outstanding` is recipients − acknowledged; `unreachable` are those of them to whom no way works or still may;
    `outdated` are the people, answered or not, who hold an earlier version and may not have this one.
    The states under each channel are a partition of its deliveries; `evidence` counts each rung by itself.
    """
    with rt.store.read() as connection:
        row = alerts.get(connection, alert_id)
        if row is None:
            raise NotFound(f"there is no alert {alert_id!r}")
        recipients = alerts.numbers_of_part(connection, alert_id, "audience").keys()
        answered = alerts.acknowledged_people(connection, row)
        reachable = _reachable(connection, rt, row)
        outdated = alerts.outdated_people(connection, row)
        supervisors = _supervisors(connection, row)
        counts = alerts.channel_counts(connection, alert_id)
        last = alerts.last_acknowledged_at(connection, alert_id)
        groups, parents, members = (
            people.list_groups(connection),
            people.parents(connection),
            people.members(connection),
        )
    kinds = list(dict.fromkeys([*rt.channels, *(each["channel"] for each in counts)]))
    channels = {kind: {state.value: 0 for state in STATES} for kind in kinds}
    evidence = {kind: {rung.removesuffix("_at"): 0 for rung in alerts.EVIDENCE} for kind in kinds}
    for each in counts:
        channels[each["channel"]][each["state"]] = each["count"]
        for rung in alerts.EVIDENCE:
            evidence[each["channel"]][rung.removesuffix("_at")] += each[rung]
    return {
        "recipients": len(recipients),
        "acknowledged": len(answered),
        "outstanding": len(recipients) - len(answered),
        "unreachable": len(recipients - reachable - answered.keys()),
        "outdated": len(outdated),
        "supervisors": len(supervisors),
        "answers": _answers(row, answered),
        "channels": channels,
        "evidence": evidence,
        "revision": row["revision"],
        "groups": _groups(groups, parents, members, recipients, answered),
        "opened_at": views.moment(row["sent_at"]),
        "last_ack_at": views.moment(last),
    }


def _reachable(connection: Connection, rt: Runtime, alert: Row) -> set[str]:
    """The recipients to whom some way works, still may, or is still to be tried by a later step."""
    # Whoever was to be told of an alert that was called off first need not be told any more.
    called_off = (State.CANCELLED,) if alert["state"] == "cancelled" else ()
    hopeful = alerts.reachable_people(connection, alert["id"], {*HOPEFUL, *called_off})
    plan = Plan.from_json(alert["plan"])
    later = {
        channel
        for run in steps.of_alert(connection, alert["id"])
        if alert["state"] == "active" and run["started_at"] is None and plan.steps[run["step"]].to == "outstanding"
        for channel in plan.steps[run["step"]].channels
        if channel not in rt.missing
    }
    return hopeful | (alerts.people_with_way(connection, alert["id"], later) if later else set())


def _supervisors(connection: Connection, alert: Row) -> set[str]:
    """Whoever was told of others' silence, in the audience themselves or not."""
    upward = [number for number, step in enumerate(Plan.from_json(alert["plan"]).steps) if step.to == "supervisors"]
    if not upward:
        return set()
    apart = alerts.numbers_of_part(connection, alert["id"], "supervisor").keys()
    return apart | alerts.people_told_by(connection, alert["id"], upward)


def _answers(alert: Row, answered: Mapping[str, str | None]) -> dict[str, int]:
    ask = views.ask_from_json(alert["ask"])
    given = list(answered.values())
    return {choice.id: given.count(choice.id) for choice in ask.choices} if ask else {}


def _groups(
    groups: list[Row],
    parents: Mapping[str, str | None],
    members: Mapping[str, set[str]],
    recipients: Set[str],
    answered: Mapping[str, str | None],
) -> list[dict[str, Any]]:
    """Each group that has recipients, its sub-groups' people included and each person once."""
    inside: dict[str, set[str]] = {}
    for group_id, people_in_it in members.items():
        for ancestor in with_ancestors([group_id], parents):
            inside.setdefault(ancestor, set()).update(people_in_it & recipients)
    return [
        {
            "id": group["id"],
            "name": group["name"],
            "parent": group["parent_id"],
            "recipients": len(inside[group["id"]]),
            "acknowledged": len(inside[group["id"]] & answered.keys()),
        }
        for group in groups
        if inside.get(group["id"])
    ]


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where the recipients of one alert stand at one moment: sets of person ids."""

    audience: Set[str]
    supervisors: Set[str]
    answered: Set[str]
    unreachable: Set[str]
    outdated: Set[str]

    def chosen(self, state: Filter | None) -> Set[str]:
        match state:
            case "outstanding":
                return self.audience - self.answered
            case "acknowledged":
                return self.audience & self.answered
            case "unreachable":
                return self.unreachable
            case "outdated":
                return self.outdated
            case "supervisors":
                return self.supervisors
            case None:
                return self.audience


def _standing(connection: Connection, rt: Runtime, alert_id: str) -> _Standing:
    alert = alerts.get(connection, alert_id)
    if alert is None:
        raise NotFound(f"there is no alert {alert_id!r}")
    audience = alerts.numbers_of_part(connection, alert_id, "audience").keys()
    answered = alerts.acknowledged_people(connection, alert).keys()
    return _Standing(
        audience=audience,
        supervisors=_supervisors(connection, alert),
        answered=answered,
        unreachable=audience - _reachable(connection, rt, alert) - answered,
        outdated=alerts.outdated_people(connection, alert),
    )


def list_recipients(
    rt: Runtime, alert_id: str, *, state: Filter | None, after: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Recipients by person id, those after `after`, with every delivery and its evidence; and the next cursor."""
    with rt.store.read() as connection:
        standing = _standing(connection, rt, alert_id)
        ids = sorted(person_id for person_id in standing.chosen(state) if after is None or person_id > after)
        shown = ids[:limit]
        items = _items(connection, alert_id, standing, shown)
    return items, shown[-1] if len(ids) > limit else None


def read_everybody(rt: Runtime, alert_id: str) -> Iterator[list[dict[str, Any]]]:
    """The whole audience and then the other supervisors who were told, by person id, as `list_recipients` has them,
    page by page in one transaction, which lasts until the last. Raises NotFound.
    """
    with rt.store.read() as connection:
        standing = _standing(connection, rt, alert_id)
        for page in in_slices([*sorted(standing.audience), *sorted(standing.supervisors - standing.audience)]):
            yield _items(connection, alert_id, standing, page)


def _items(connection: Connection, alert_id: str, standing: _Standing, shown: Sequence[str]) -> list[dict[str, Any]]:
    persons = people.get_many(connection, shown)
    groups = people.memberships(connection, shown)
    kept = acknowledgements.of_people(connection, alert_id, shown)
    sent: dict[str, list[Row]] = {}
    for row in deliveries.of_people(connection, alert_id, shown):
        sent.setdefault(row["person_id"], []).append(row)
    retired: dict[str, list[Row]] = {}
    lost = {person_id for person_id in shown if person_id in standing.unreachable}
    for row in people.subscriptions_of(connection, sorted(lost)):
        if row["retired_at"] is not None:
            retired.setdefault(row["person_id"], []).append(row)
    return [
        {
            "person": {
                "id": person_id,
                "name": persons[person_id]["name"],
                "phone": persons[person_id]["phone"],
                "email": persons[person_id]["email"],
                "groups": groups[person_id],
            },
            "state": "acknowledged" if person_id in standing.answered else "outstanding",
            "unreachable": person_id in standing.unreachable,
            "outdated": person_id in standing.outdated,
            "part": "audience" if person_id in standing.audience else "supervisor",
            "cause": _cause(sent.get(person_id, []), retired.get(person_id, [])) if person_id in lost else None,
            "acknowledgement": acknowledgement_view(kept[person_id]) if person_id in kept else None,
            "deliveries": [_delivery(row) for row in sent.get(person_id, [])],
        }
        for person_id in shown
    ]


def _delivery(row: Row) -> dict[str, Any]:
    """A delivery with its evidence: each rung with its time and source, None where there is no proof of it.

    `fetched_at` is no rung: something fetched the link, which may have been a scanner.
    """
    rungs = {f"{rung}_at": views.moment(row[f"{rung}_at"]) for rung in ("queued", *_SOURCES)}
    sources = {
        rung: (row["provider"] or source) if rung == "accepted" else source
        for rung, source in _SOURCES.items()
        if row[f"{rung}_at"] is not None
    }
    return {
        "channel": row["channel"],
        "revision": row["revision"],
        "step": row["step"],
        "repeat": row["repeat"],
        "state": row["state"],
        "reason": row["reason"],
        "attempts": row["attempt"],
        "due_at": views.moment(row["due_at"]) if row["state"] == State.PENDING else None,
        "evidence": {**rungs, "fetched_at": views.moment(row["fetched_at"]), "sources": sources},
    }


# Who vouches for each rung; for the first it is the provider that took the message.
_SOURCES: Final = {"accepted": "provider", "delivered": "receipt", "displayed": "beacon", "opened": "page"}


def _cause(rows: list[Row], retired: list[Row]) -> str:
    """Why somebody cannot be reached, in one line."""
    if rows:
        return "; ".join(f"{row['channel']}: {row['reason'] or row['state']}" for row in rows)
    if retired:
        return "; ".join(f"{row['channel']}: no longer used: {row['retired_reason']}" for row in retired)
    return "no address of any kind"
