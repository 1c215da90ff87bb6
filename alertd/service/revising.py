"""Saying something else, or that it is over: a new revision goes where the earlier ones went."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.alert import RevisionKind, claims_drill, text_faults
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.escalation import Plan, timetable
from alertd.service import escalating, views
from alertd.service.escalating import Target
from alertd.service.posting import claim_key, fingerprint_of
from alertd.service.rollout import SLICE, Slice, take_turns
from alertd.service.runtime import Actor, Runtime
from alertd.store import alerts, following, instance, people, posts, standing, steps, unsent
from alertd.store.following import Following
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
    not gone out yet, while what a cancelled alert had still to send is sent to nobody. Of very many people all but the
    first are left to `carry_on`; nothing of an earlier version goes out meanwhile. Raises NotFound, Invalid, and
    Conflict when the alert is over. `key` is the caller's Idempotency-Key, as in `posting.post`.
    """
    now = rt.now()
    with rt.store.read() as connection:
        # Of a million people this takes seconds, for which nobody else needs to wait.
        comes_to = following.count(connection, alert_id, rt.channels, waiting=revision.kind != "cancel")
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
        following.begin(connection, alert_id, number, "")
        channels = _lay_down_next(connection, rt, revised, "")
        instance.record(
            connection,
            at=now,
            actor=actor.person_id,
            action=f"alert.{revision.kind}",
            object=alert_id,
            details={"revision": number, "deliveries": comes_to.deliveries, "ask_again": revision.ask_again},
        )
        answer = {**views.alert(revised), "deliveries": comes_to.deliveries}
        if key is not None:
            posts.keep_response(connection, actor.person_id, key, answer)
        alerts.append_event(connection, alert_id, views.facts(revised), now)
    rt.bell.events()
    rt.bell.work(channels)
    rt.bell.changed(alert_id)
    return answer


def carry_on(rt: Runtime, stopped: Callable[[], bool] = lambda: False) -> None:
    """Lay down what is left of revisions. As `rollout.take_turns`."""
    take_turns(lambda: left(rt), stopped)


def left(rt: Runtime) -> list[Slice]:
    """The next slice of each revision that is not laid down for everybody yet."""
    with rt.store.read() as connection:
        waiting = connection.execute(following.under_way()).scalars().all()
    return [partial(_carry_on, rt, alert_id) for alert_id in waiting]


def _carry_on(rt: Runtime, alert_id: str) -> None:
    """Lay down the next slice of an alert's current revision."""
    with rt.store.write() as connection:
        alert = alerts.lock(connection, alert_id)
        after = following.position(connection, alert) if alert is not None else None
        if alert is None or after is None:
            return
        channels = _lay_down_next(connection, rt, alert, after)
    rt.bell.work(channels)
    rt.bell.changed(alert_id)


def foresee(rt: Runtime, alert_id: str, kind: RevisionKind) -> Following:
    """Whom a revision of that kind would go to now. Raises NotFound."""
    with rt.store.read() as connection:
        alert = alerts.get(connection, alert_id)
        if alert is None or alert["kind"] != "alert":
            raise NotFound(f"there is no alert {alert_id!r}")
        return following.count(connection, alert_id, rt.channels, waiting=kind != "cancel")


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


def _lay_down_next(connection: Connection, rt: Runtime, alert: Row, after: str) -> set[str]:
    """Lay down the current revision for the next people after that one; the channels that have work now."""
    numbers = following.page(connection, alert["id"], after, SLICE)
    persons, recipients = list(numbers), list(numbers.values())
    # First of all: whatever a worker has claimed before this has gone, whatever it has not never will.
    waiting = unsent.supersede(connection, alert["id"], alert["revision"], recipients)
    went = following.went_to(connection, alert, recipients)
    found = _targets(connection, rt, numbers, went if alert["revision_kind"] == "cancel" else went | waiting)
    reached = standing.answered(connection, alert, persons)
    answered = {person_id for person_id, revision in reached.items() if (revision or 0) >= alert["asked_revision"]}
    channels = escalating.lay_down(connection, rt, alert, found, numbers, answered=answered)
    is_last = len(numbers) < SLICE
    following.advance(connection, alert["id"], alert["revision"], None if is_last else persons[-1])
    return channels


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
