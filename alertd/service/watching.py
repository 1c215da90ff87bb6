"""What the emergency manager watches: counts, people, and what is known of each delivery."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from alertd.core.audience import with_ancestors
from alertd.core.delivery import HOPEFUL, State
from alertd.core.errors import NotFound
from alertd.core.roles import Role
from alertd.service import views
from alertd.service.acknowledging import acknowledgement_view
from alertd.service.runtime import Actor, Runtime
from alertd.store import acknowledgements, alerts, deliveries, people
from alertd.store.rows import Row

Filter = Literal["outstanding", "acknowledged", "unreachable"]

STATES: Final = tuple(State)


def read_alerts(rt: Runtime, actor: Actor, *, before: str | None, limit: int) -> list[dict[str, Any]]:
    """Alerts that `actor` may see, newest first."""
    reader = None if actor.may(Role.VIEWER) else actor.person_id
    with rt.store.read() as connection:
        return [views.alert(row) for row in alerts.page(connection, before=before, limit=limit, reader=reader)]


def read_alert(rt: Runtime, actor: Actor, alert_id: str) -> dict[str, Any]:
    """One alert. Raises NotFound, also for an alert that did not go to `actor`."""
    with rt.store.read() as connection:
        row = alerts.get(connection, alert_id)
        mine = row is not None and alerts.recipient_of(connection, alert_id, actor.person_id) is not None
    if row is None or not (mine or (actor.may(Role.VIEWER) and row["kind"] == "alert")):
        raise NotFound(f"there is no alert {alert_id!r}")
    return views.alert(row)


def read_inbox(rt: Runtime, actor: Actor, limit: int = 20) -> list[dict[str, Any]]:
    """The alerts that `actor` got, newest first, each with their own `acknowledgement` or None."""
    with rt.store.read() as connection:
        rows = alerts.page(connection, before=None, limit=limit, reader=actor.person_id)
        answers = {}
        for row in rows:
            number = alerts.recipient_of(connection, row["id"], actor.person_id)
            kept = acknowledgements.of(connection, number) if number is not None else None
            answers[row["id"]] = acknowledgement_view(kept) if kept else None
    return [{**views.alert(row), "acknowledgement": answers[row["id"]]} for row in rows]


def summarise(rt: Runtime, alert_id: str) -> dict[str, Any]:
    """The counts of an alert. Raises NotFound.

    `outstanding` is recipients − acknowledged; `unreachable` are those of them to whom no way works or still may.
    The states under each channel are a partition of its deliveries; `evidence` counts each rung by itself.
    """
    with rt.store.read() as connection:
        row = alerts.get(connection, alert_id)
        if row is None:
            raise NotFound(f"there is no alert {alert_id!r}")
        recipients = alerts.recipient_ids(connection, alert_id)
        answered = alerts.acknowledged_people(connection, alert_id)
        reachable = alerts.reachable_people(connection, alert_id, HOPEFUL)
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
        "answers": _answers(row, answered),
        "channels": channels,
        "evidence": evidence,
        "groups": _groups(groups, parents, members, recipients, answered),
        "opened_at": views.moment(row["sent_at"]),
        "last_ack_at": views.moment(last),
    }


def _answers(alert: Row, answered: Mapping[str, str | None]) -> dict[str, int]:
    ask = views.ask_from_json(alert["ask"])
    given = list(answered.values())
    return {choice.id: given.count(choice.id) for choice in ask.choices} if ask else {}


def _groups(
    groups: list[Row],
    parents: Mapping[str, str | None],
    members: Mapping[str, set[str]],
    recipients: frozenset[str],
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


def list_recipients(
    rt: Runtime, alert_id: str, *, state: Filter | None, after: str | None, limit: int
) -> tuple[list[dict[str, Any]], str | None]:
    """Recipients by person id, those after `after`, with every delivery and its evidence; and the next cursor."""
    with rt.store.read() as connection:
        if alerts.get(connection, alert_id) is None:
            raise NotFound(f"there is no alert {alert_id!r}")
        wanted = alerts.recipient_ids(connection, alert_id)
        answered = alerts.acknowledged_people(connection, alert_id)
        unreachable = wanted - alerts.reachable_people(connection, alert_id, HOPEFUL) - answered.keys()
        chosen = {
            "outstanding": wanted - answered.keys(),
            "acknowledged": wanted & answered.keys(),
            "unreachable": unreachable,
            None: wanted,
        }[state]
        ids = sorted(person_id for person_id in chosen if after is None or person_id > after)
        shown = ids[:limit]
        persons = people.get_many(connection, shown)
        groups = people.memberships(connection, shown)
        kept = acknowledgements.of_people(connection, alert_id, shown)
        sent: dict[str, list[Row]] = {}
        for row in deliveries.of_people(connection, alert_id, shown):
            sent.setdefault(row["person_id"], []).append(row)
        retired: dict[str, list[Row]] = {}
        for row in people.subscriptions_of(connection, [person_id for person_id in shown if person_id in unreachable]):
            if row["retired_at"] is not None:
                retired.setdefault(row["person_id"], []).append(row)
    items = [
        {
            "person": {
                "id": person_id,
                "name": persons[person_id]["name"],
                "phone": persons[person_id]["phone"],
                "email": persons[person_id]["email"],
                "groups": groups[person_id],
            },
            "state": "acknowledged" if person_id in answered else "outstanding",
            "unreachable": person_id in unreachable,
            "cause": _cause(sent.get(person_id, []), retired.get(person_id, [])) if person_id in unreachable else None,
            "acknowledgement": acknowledgement_view(kept[person_id]) if person_id in kept else None,
            "deliveries": [_delivery(row) for row in sent.get(person_id, [])],
        }
        for person_id in shown
    ]
    return items, shown[-1] if len(ids) > limit else None


def _delivery(row: Row) -> dict[str, Any]:
    """A delivery with its evidence: each rung with its time, None where there is no proof of it."""
    return {
        "channel": row["channel"],
        "state": row["state"],
        "reason": row["reason"],
        "attempts": row["attempt"],
        "evidence": {
            "queued_at": views.moment(row["queued_at"]),
            "accepted_at": views.moment(row["accepted_at"]),
            "delivered_at": views.moment(row["delivered_at"]),
            "displayed_at": views.moment(row["displayed_at"]),
            "opened_at": views.moment(row["opened_at"]),
        },
    }


def _cause(rows: list[Row], retired: list[Row]) -> str:
    """Why somebody cannot be reached, in one line."""
    if rows:
        return "; ".join(f"{row['channel']}: {row['reason'] or row['state']}" for row in rows)
    if retired:
        return "; ".join(f"{row['channel']}: no longer used: {row['retired_reason']}" for row in retired)
    return "no address of any kind"
