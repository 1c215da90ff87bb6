"""Saying something else, or that it is over: a new revision goes where the earlier ones went."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.alert import RevisionKind, claims_drill, text_faults
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.escalation import Plan, timetable
from alertd.service import escalating, views
from alertd.service.escalating import Target
from alertd.service.posting import claim_key, fingerprint_of
from alertd.service.runtime import Actor, Runtime
from alertd.store import alerts, instance, people, posts, steps, unsent
from alertd.store.rows import Row

CANCEL_LIFE: Final = timedelta(hours=1)  # at least so long is tried to tell people that it is over


@dataclass(frozen=True, slots=True)
class Revision:
    """What somebody wants an alert to say from now on. `ask_again`: earlier answers no longer count."""

    kind: RevisionKind
    title: str
    body: str
    ask_again: bool = False
    on_revision: int | None = None  # what stood when it was written; refused when that has changed since


def revise(rt: Runtime, actor: Actor, alert_id: str, revision: Revision, key: str | None = None) -> Mapping[str, Any]:
    """Update an alert or call it off; the alert as it is then, with how many `deliveries` that comes to.

    It goes to exactly those who got an earlier version, on the ways it went; an update also takes the place of what had
    not gone out yet, while what a cancelled alert had still to send is sent to nobody. Raises NotFound, Invalid, and
    Conflict when the alert is over. `key` is the caller's Idempotency-Key, as in `posting.post`.
    """
    now = rt.now()
    with rt.store.write() as connection:
        if key is not None:
            request = {"alert": alert_id, **asdict(revision)}
            earlier = claim_key(connection, actor, key, fingerprint_of(request), now)
            if earlier is not None:
                return earlier
        alert = alerts.lock(connection, alert_id)
        if alert is None or alert["kind"] != "alert":
            raise NotFound(f"there is no alert {alert_id!r}")
        if revision.on_revision not in (None, alert["revision"]):
            raise Conflict("this alert says something else by now: look at it, then decide again")
        _check(alert, revision, over=alert["state"] != "active" or alert["expires_at"] <= now)
        number = alert["revision"] + 1
        # First of all: whatever a worker has claimed before this has gone, whatever it has not never will.
        waiting = unsent.supersede(connection, alert_id, number, now)
        went = _went(connection, alert)
        values: dict[str, Any] = {
            "revision": number,
            "revision_kind": revision.kind,
            "title": revision.title.strip(),
            "body": revision.body,
            "revised_at": now,
        }
        if revision.kind == "cancel":
            values |= {
                "state": "cancelled",
                "closed_at": now,
                "expires_at": max(alert["expires_at"], now + CANCEL_LIFE),
            }
        elif revision.ask_again:
            values["asked_revision"] = number
        alerts.revise(connection, alert_id, values, asks_again=revision.ask_again, by=actor.person_id, at=now)
        revised = {**alert, **values}
        if revision.ask_again:
            steps.restart(connection, alert_id, timetable(Plan.from_json(alert["plan"])), now, alert["expires_at"])
        wanted = went if revision.kind == "cancel" else went | waiting
        sent, channels = _send(connection, rt, revised, wanted)
        instance.record(
            connection,
            at=now,
            actor=actor.person_id,
            action=f"alert.{revision.kind}",
            object=alert_id,
            details={"revision": number, "deliveries": sent, "ask_again": revision.ask_again},
        )
        answer = {**views.alert(revised), "deliveries": sent}
        if key is not None:
            posts.keep_response(connection, actor.person_id, key, answer)
        alerts.append_event(connection, alert_id, views.facts(revised), now)
    rt.bell.events()
    rt.bell.work(channels)
    rt.bell.changed(alert_id)
    return answer


@dataclass(frozen=True, slots=True)
class Following:
    """Whom a revision would go to: so many people, at so many addresses."""

    people: int
    deliveries: int


def foresee(rt: Runtime, alert_id: str, kind: RevisionKind) -> Following:
    """Whom a revision of that kind would go to now. Raises NotFound."""
    with rt.store.read() as connection:
        alert = alerts.get(connection, alert_id)
        if alert is None or alert["kind"] != "alert":
            raise NotFound(f"there is no alert {alert_id!r}")
        went = _went(connection, alert)
        _, waiting = alerts.went_to(connection, alert_id, alert["revision"])
        wanted = went if kind == "cancel" else went | waiting
        found = _targets(connection, rt, alerts.numbers_of(connection, alert_id), wanted)
    return Following(len({target.person_id for target in found}), len(found))


def _check(alert: Row, revision: Revision, *, over: bool) -> None:
    if over:
        word = "called off" if alert["state"] == "cancelled" else "over"
        raise Conflict(f"this alert is {word} already: post a new one")
    faults = text_faults(revision.title, revision.body)
    if not alert["drill"] and claims_drill(revision.title):
        faults.append(("title", "says that it is a drill, but the alert is real: a real alert must not say so"))
    if revision.kind == "cancel" and revision.ask_again:
        faults.append(("ask_again", "whoever is told that it is over is asked nothing: leave it out"))
    if faults:
        raise Invalid(faults)


def _went(connection: Connection, alert: Row) -> set[str]:
    """The subscriptions that any version went to."""
    went: set[str] = set()
    for revision in range(1, alert["revision"] + 1):
        went |= alerts.went_to(connection, alert["id"], revision)[0]
    return went


def _send(
    connection: Connection, rt: Runtime, alert: Mapping[str, Any], subscription_ids: set[str]
) -> tuple[int, set[str]]:
    """Lay down the current revision's deliveries where it is wanted."""
    numbers = alerts.numbers_of(connection, alert["id"])
    found = _targets(connection, rt, numbers, subscription_ids)
    answered = alerts.acknowledged_people(connection, alert)
    return len(found), escalating.lay_down(connection, rt, alert, found, numbers, answered=answered)


def _targets(
    connection: Connection, rt: Runtime, numbers: Mapping[str, int], subscription_ids: set[str]
) -> list[Target]:
    """These subscriptions as far as they are still used; where a channel of a person has none of them left, those that
    they have there now (a new number, a browser that subscribed again).
    """
    persons = list(people.get_many(connection, list(numbers)).values())
    rows = people.subscriptions_of(connection, list(numbers))
    wanted = {(row["person_id"], row["channel"]) for row in rows if row["id"] in subscription_ids}
    usable = escalating.targets(connection, rt.channels, persons)
    kept = {(target.person_id, target.channel) for target in usable if target.subscription_id in subscription_ids}
    return [
        target
        for target in usable
        if target.subscription_id in subscription_ids or (target.person_id, target.channel) in wanted - kept
    ]
