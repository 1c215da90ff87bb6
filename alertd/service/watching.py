"""What the emergency manager watches: counts, people, and what is known of each delivery."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import Connection

from alertd.core.delivery import State
from alertd.core.errors import NotFound
from alertd.core.escalation import Plan
from alertd.core.roles import Role
from alertd.service import escalating, views
from alertd.service.acknowledging import acknowledgement_view
from alertd.service.runtime import Actor, Runtime
from alertd.store import acknowledgements, alerts, deliveries, people, rollouts, standing, tallies
from alertd.store.rows import Row
from alertd.store.standing import Whose
from alertd.store.tallies import Tally
from alertd.store.triggers import EVIDENCE

Filter = Literal["outstanding", "acknowledged", "unreachable", "awaited", "outdated", "supervisors"]

STATES: Final = tuple(State)
_APART: Final[tuple[Filter, ...]] = ("unreachable", "outdated", "supervisors")  # what no tally says
_PAGE: Final = 500  # people that are read at once where all are read


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


def read_open_alerts(rt: Runtime, limit: int = 10) -> list[dict[str, Any]]:
    """The alerts that are neither called off nor over, real ones before drills, newest first. For whoever may see every
    alert.
    """
    with rt.store.read() as connection:
        return [views.alert(row) for row in alerts.still_open(connection, rt.now(), limit)]


def read_course(rt: Runtime, alert_id: str) -> dict[str, Any]:
    """What an alert has said and what is still to come: its `revisions`, oldest first, and its `timetable`, each run
    with when it is due, when it was started, and how many deliveries it came to. Raises NotFound.
    """
    with rt.store.read() as connection:
        alert = alerts.get(connection, alert_id)
        if alert is None:
            raise NotFound(f"there is no alert {alert_id!r}")
        said = alerts.revisions(connection, alert_id)
        runs = escalating.runs_of(connection, alert)
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
        "timetable": [views.run(run, step) for run, step in runs],
    }


def read_inbox(rt: Runtime, actor: Actor, limit: int = 20) -> list[dict[str, Any]]:
    """The alerts that `actor` got, newest first, each with their own `acknowledgement` or None."""
    with rt.store.read() as connection:
        coming = rollouts.coming_to(connection, actor.person_id)
        rows = alerts.page(connection, before=None, limit=limit, reader=actor.person_id, coming=coming)
        answers = [_own_answer(connection, row["id"], actor) for row in rows]
    return [{**views.alert(row), "acknowledgement": mine} for row, mine in zip(rows, answers, strict=True)]


def read_own(rt: Runtime, actor: Actor, alert_id: str) -> dict[str, Any]:
    """One alert that `actor` got, as in their inbox. Raises NotFound."""
    with rt.store.read() as connection:
        row = alerts.get(connection, alert_id)
        if row is None or not rollouts.told_of(connection, alert_id, [actor.person_id]):
            raise NotFound(f"there is no alert {alert_id!r}")
        return {**views.alert(row), "acknowledgement": _own_answer(connection, alert_id, actor)}


def _own_answer(connection: Connection, alert_id: str, actor: Actor) -> dict[str, Any] | None:
    number = alerts.recipient_of(connection, alert_id, actor.person_id)
    kept = acknowledgements.of(connection, number) if number is not None else None
    return acknowledgement_view(kept) if kept else None


def summarise(rt: Runtime, alert_id: str) -> dict[str, Any]:
    """The counts of an alert. Raises NotFound.

    `outstanding` is recipients − acknowledged; `unreachable` are those of them to whom no way works or still may;
    `outdated` are the people, answered or not, who hold an earlier version and may not have this one.
    The states under each channel are a partition of its deliveries; `evidence` counts each rung by itself.
    """
    with rt.store.read() as connection:
        return summary_of(connection, rt, _get(connection, alert_id))


def summary_of(connection: Connection, rt: Runtime, row: Row) -> dict[str, Any]:
    """The counts of an alert (its row), as `summarise` has them."""
    counts = tallies.read(connection, row["id"])
    apart: dict[str, int] = {name: standing.count(connection, _whose(connection, rt, row, name)) for name in _APART}
    last = acknowledgements.last_received_at(connection, row["id"])
    groups = people.list_groups(connection)
    asked = row["asked_revision"]
    answers: Counter[str] = Counter()
    for tally, count in counts.items():
        if tally.kind == "answer" and int(tally.value) >= asked:
            answers[tally.key] += count
    recipients, acknowledged = row["recipients"], answers.total()
    ask = views.ask_from_json(row["ask"])
    return {
        "recipients": recipients,
        "acknowledged": acknowledged,
        "outstanding": recipients - acknowledged,
        **apart,
        "answers": {choice.id: answers[choice.id] for choice in ask.choices} if ask else {},
        "channels": _by_channel(rt, counts, "delivery", [state.value for state in STATES]),
        "evidence": {
            channel: {rung.removesuffix("_at"): count for rung, count in rungs.items()}
            for channel, rungs in _by_channel(rt, counts, "evidence", EVIDENCE).items()
        },
        "revision": row["revision"],
        "groups": _groups(groups, counts, asked),
        "opened_at": views.moment(row["sent_at"]),
        "last_ack_at": views.moment(last),
    }


def _get(connection: Connection, alert_id: str) -> Row:
    row = alerts.get(connection, alert_id)
    if row is None:
        raise NotFound(f"there is no alert {alert_id!r}")
    return row


def _by_channel(
    rt: Runtime, counts: Mapping[Tally, int], kind: str, values: Sequence[str]
) -> dict[str, dict[str, int]]:
    """The tallies of this kind by channel: those that are set up, and others that had deliveries."""
    channels = dict.fromkeys([*rt.channels, *(tally.key for tally in counts if tally.kind == "delivery")])
    return {channel: {value: counts.get(Tally(kind, channel, value), 0) for value in values} for channel in channels}


def _groups(groups: list[Row], counts: Mapping[Tally, int], asked: int) -> list[dict[str, Any]]:
    """Each group that has recipients, its sub-groups' people included and each person once."""
    recipients: Counter[str] = Counter()
    acknowledged: Counter[str] = Counter()
    for tally, count in counts.items():
        if tally.kind == "group":
            recipients[tally.key] += count
            acknowledged[tally.key] += count if int(tally.value) >= asked else 0
    return [
        {
            "id": group["id"],
            "name": group["name"],
            "parent": group["parent_id"],
            "recipients": recipients[group["id"]],
            "acknowledged": acknowledged[group["id"]],
        }
        for group in groups
        if recipients[group["id"]]
    ]


def _whose(connection: Connection, rt: Runtime, alert: Row, state: Filter | None) -> Whose:
    """The recipients of an alert who stand there; None: the whole audience."""
    match state:
        case "outstanding":
            return standing.outstanding(alert)
        case "acknowledged":
            return standing.acknowledged(alert)
        case "unreachable":
            return standing.unreachable(alert, _later(connection, rt, alert))
        case "awaited":
            return standing.awaited(alert, _later(connection, rt, alert))
        case "outdated":
            return standing.outdated(alert)
        case "supervisors":
            plan = Plan.from_json(alert["plan"])
            upward = [number for number, step in enumerate(plan.steps) if step.to == "supervisors"]
            return standing.supervisors(alert, upward)
        case None:
            return standing.audience(alert)


def _later(connection: Connection, rt: Runtime, alert: Row) -> set[str]:
    """The channels on which a later step is still to try the outstanding."""
    if alert["state"] != "active":
        return set()
    return {
        channel
        for run, step in escalating.runs_of(connection, alert)
        if run["started_at"] is None and step.to == "outstanding"
        for channel in step.channels
        if channel not in rt.missing
    }


def list_recipients(
    rt: Runtime, alert_id: str, *, state: Filter | None, after: str | None, limit: int, group: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """Recipients by person id, those after `after`, with every delivery and its evidence; and the next cursor. Of
    `group` and the groups below it, or of all.
    """
    with rt.store.read() as connection:
        alert = _get(connection, alert_id)
        whose = _whose(connection, rt, alert, state)
        whose = whose if group is None else standing.within(whose, group)
        ids = standing.page(connection, whose, after, limit + 1)
        items = _items(connection, rt, alert, ids[:limit])
    return items, ids[limit - 1] if len(ids) > limit else None


def list_several(
    rt: Runtime, alert_id: str, states: Sequence[Filter], *, limit: int, group: str | None = None
) -> dict[Filter, tuple[list[dict[str, Any]], str | None]]:
    """The first of each of these lists, as `list_recipients` has them, for hardly more than one of them costs."""
    with rt.store.read() as connection:
        alert = _get(connection, alert_id)
        pages: dict[Filter, list[str]] = {}
        for state in states:
            whose = _whose(connection, rt, alert, state)
            whose = whose if group is None else standing.within(whose, group)
            pages[state] = standing.page(connection, whose, None, limit + 1)
        shown = sorted({person_id for ids in pages.values() for person_id in ids[:limit]})
        items = dict(zip(shown, _items(connection, rt, alert, shown), strict=True))
    return {
        state: ([items[person_id] for person_id in ids[:limit]], ids[limit - 1] if len(ids) > limit else None)
        for state, ids in pages.items()
    }


def read_group(rt: Runtime, group_id: str) -> dict[str, Any]:
    """A group's `id` and `name`. Raises NotFound."""
    with rt.store.read() as connection:
        group = next((row for row in people.list_groups(connection) if row["id"] == group_id), None)
    if group is None:
        raise NotFound(f"there is no group {group_id!r}")
    return {"id": group["id"], "name": group["name"]}


def read_everybody(rt: Runtime, alert_id: str) -> Iterator[list[dict[str, Any]]]:
    """The whole audience and then the other supervisors who were told, by person id, as `list_recipients` has them,
    page by page in one transaction, which lasts until the last. Raises NotFound.
    """
    with rt.store.read() as connection:
        alert = _get(connection, alert_id)
        told = _whose(connection, rt, alert, "supervisors")
        for part in (standing.audience(alert), standing.apart(alert) if told else ()):
            after = None
            while ids := standing.page(connection, part, after, _PAGE):
                yield _items(connection, rt, alert, ids)
                after = ids[-1]


def _items(connection: Connection, rt: Runtime, alert: Row, shown: Sequence[str]) -> list[dict[str, Any]]:
    alert_id = alert["id"]
    answered = standing.answered(connection, alert, shown)
    audience = {person_id for person_id, revision in answered.items() if revision is not None}
    acknowledged = {person_id for person_id in audience if (answered[person_id] or 0) >= alert["asked_revision"]}
    lost, outdated = (
        standing.among(connection, _whose(connection, rt, alert, state), shown) for state in ("unreachable", "outdated")
    )
    persons = people.get_many(connection, shown)
    groups = people.memberships(connection, shown)
    kept = acknowledgements.of_people(connection, alert_id, shown)
    sent: dict[str, list[Row]] = {}
    for row in deliveries.of_people(connection, alert_id, shown):
        sent.setdefault(row["person_id"], []).append(row)
    retired: dict[str, list[Row]] = {}
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
            "state": "acknowledged" if person_id in acknowledged else "outstanding",
            "unreachable": person_id in lost,
            "outdated": person_id in outdated,
            "part": "audience" if person_id in audience else "supervisor",
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
