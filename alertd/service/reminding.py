"""Sending an alert once more to whoever has not answered, because somebody asked for it by hand."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.errors import Conflict, NotFound
from alertd.core.escalation import TIMES_MAX, Step
from alertd.service import escalating, views
from alertd.service.posting import claim_key, fingerprint_of
from alertd.service.runtime import Actor, Runtime
from alertd.store import alerts, instance, posts, steps
from alertd.store.rows import Row

PAUSE: Final = timedelta(minutes=1)  # between two reminders, whoever asks for them


def remind(rt: Runtime, actor: Actor, alert_id: str, key: str | None = None) -> Mapping[str, Any]:
    """Lay down one more step, due at once: over every channel, to those who have not acknowledged by then. Its first
    run, as `watching.read_course` has it.

    It is carried out as the others are, by any clock, once the alert has been laid down for everybody as it stands.
    Raises NotFound, and Conflict when the alert is over, was called off, or people were reminded within `PAUSE`. `key`
    is the caller's Idempotency-Key, as in `posting.post`.
    """
    now = rt.now()
    with rt.store.write() as connection:
        if key is not None:
            request = fingerprint_of({"remind": alert_id})
            earlier = claim_key(connection, actor, key, request, now)
            if earlier is not None:
                return earlier
        alert = alerts.lock(connection, alert_id)
        if alert is None or alert["kind"] != "alert":
            raise NotFound(f"there is no alert {alert_id!r}")
        _check(connection, alert, now)
        after = int((now - alert["sent_at"]).total_seconds())
        step = Step(after, rt.channels, asked_by=actor.person_id)
        number = steps.add_by_hand(connection, alert, step.as_json(), now)
        instance.record(
            connection,
            at=now,
            actor=actor.person_id,
            action="alert.remind",
            object=alert_id,
            details={"step": number, "revision": alert["revision"]},
        )
        run = {"step": number, "repeat": 0, "due_at": now, "started_at": None, "deliveries": None}
        answer = views.run(run, step)
        if key is not None:
            posts.keep_response(connection, actor.person_id, key, answer)
    rt.bell.changed(alert_id)
    return answer


def _check(connection: Connection, alert: Row, now: datetime) -> None:
    if alert["state"] == "cancelled":
        raise Conflict("this alert is called off already: nobody is reminded of it")
    if alert["state"] != "active" or alert["expires_at"] <= now:
        raise Conflict("this alert is over already: nobody is reminded of it")
    asked = [run["due_at"] for run, step in escalating.runs_of(connection, alert) if step.asked_by is not None]
    if asked and now - max(asked) < PAUSE:
        raise Conflict("people were reminded less than a minute ago: nothing is sent twice")
    if len(asked) >= TIMES_MAX:
        raise Conflict(f"people were reminded {TIMES_MAX} times already: call those who are left")
