"""What webhooks are told: made into messages from the event log and from counts, and delivered at least once.

Posting knows nothing of it. Each webhook has its own place in the event log; the messages that events become are
committed with the place that it has then come to, so that none is left out and none is made twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core import webhook
from alertd.core.observation import clean
from alertd.service import views, watching
from alertd.service.runtime import Runtime
from alertd.store import alerts, instance, webhooks
from alertd.store.alerts import Event
from alertd.store.rows import Row

LEASE: Final = timedelta(seconds=30)  # longer than any attempt; what a killed process was telling waits for so long
FAULT_MAX: Final = 500
_EVENTS: Final = 100  # that become messages in one transaction
_LOOKS: Final = 100
_COUNTS_EVERY: Final = timedelta(seconds=10)
# Answers come late as well: who has gone to bed answers in the morning.
_LATE_EVERY: Final = timedelta(minutes=1)
_LATE: Final = timedelta(days=1)
_GONE: Final = 410
# So many failures one after another are the other side's own, and end with it; a single message may be what it refuses.
_OUTAGE: Final = 3


@dataclass(frozen=True, slots=True)
class Turn:
    """A message that is this process's to tell."""

    webhook_id: str
    reference: str
    type: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    tries: int
    leased_until: datetime


def prepare(rt: Runtime) -> list[str]:
    """Make messages of whatever is new; the webhooks that can be told something now."""
    with rt.store.read() as connection:
        behind = webhooks.behind(connection)
        looks = webhooks.due_looks(connection, rt.now(), _LOOKS)
    for webhook_id in behind:
        with rt.store.write() as connection:
            _follow(connection, rt, webhook_id)
    for alert_id in dict.fromkeys(alert_id for _, alert_id in looks):
        _look(rt, alert_id, [webhook_id for webhook_id, looked_at in looks if looked_at == alert_id])
    with rt.store.read() as connection:
        return webhooks.ready(connection, rt.now())


def _follow(connection: Connection, rt: Runtime, webhook_id: str) -> None:
    """Make messages of the next events that a webhook has not come to."""
    row = webhooks.lock(connection, webhook_id)
    if row is None or row["disabled_at"] is not None:
        return
    events = alerts.events_after(connection, row["cursor"], _EVENTS)
    for event in events:
        if event.facts["kind"] == "alert":
            _tell_event(connection, rt, row, event)
    if events:
        webhooks.change(connection, webhook_id, {"cursor": events[-1].offset})


def _tell_event(connection: Connection, rt: Runtime, row: Row, event: Event) -> None:
    kind = "alert.created" if event.facts["revision_kind"] == "alert" else "alert.revised"
    data = webhook.said(event.facts, _url(rt, event.alert_id))
    _tell(connection, rt, row, event.alert_id, kind, event.at, data)
    if set(row["types"]) != {"alert.created"}:
        look_at = rt.now() + _COUNTS_EVERY
        webhooks.watch(connection, row["id"], event.alert_id, event.facts["state"], look_at)


def _tell(
    connection: Connection, rt: Runtime, row: Row, alert_id: str, kind: str, at: datetime, data: Mapping[str, Any]
) -> None:
    """A message for a webhook (its row, held) that wants it. What an alert says hurries whatever waits before it."""
    if kind not in row["types"]:
        return
    if kind != "alert.counts":
        webhooks.drop_counts(connection, row["id"], alert_id)
        webhooks.hurry(connection, row["id"], rt.now())
    add_message(connection, rt, row["id"], alert_id, kind, webhook.body(kind, at, data))


def add_message(
    connection: Connection, rt: Runtime, webhook_id: str, alert_id: str | None, kind: str, body: str
) -> str:
    """Let a webhook (its row is held) hear that; what the message is called."""
    reference = f"msg_{rt.new_id()}"
    values = {"reference": reference, "webhook_id": webhook_id, "alert_id": alert_id, "type": kind, "body": body}
    webhooks.add_message(connection, {**values, "created_at": rt.now()})
    return reference


def _look(rt: Runtime, alert_id: str, webhook_ids: Sequence[str]) -> None:
    """Tell these webhooks what has become of an alert: that its time is over, and its counts when they have changed."""
    now = rt.now()
    with rt.store.read() as connection:
        alert = alerts.get(connection, alert_id)
        if alert is None:
            return
        summary = watching.summary_of(connection, rt, alert)
        upto = instance.head(connection).offset
    counts = {name: summary[name] for name in webhook.COUNTS}
    for webhook_id in webhook_ids:
        with rt.store.write() as connection:
            row = webhooks.lock(connection, webhook_id)
            watched = webhooks.watched(connection, webhook_id, alert_id)
            # What the alert has said until then comes first.
            if row is None or row["cursor"] < upto:
                continue
            if watched is not None and watched["look_at"] <= now:
                _tell_look(connection, rt, row, watched, alert, counts, now)


def _tell_look(
    connection: Connection, rt: Runtime, row: Row, watched: Row, alert: Row, counts: Row, now: datetime
) -> None:
    webhook_id, alert_id, facts = row["id"], alert["id"], views.facts(alert)
    values: dict[str, Any] = {}
    if alert["state"] == "expired" and watched["state"] != "expired":
        data = webhook.expired(facts, _url(rt, alert_id))
        _tell(connection, rt, row, alert_id, "alert.revised", alert["closed_at"], data)
        values["state"] = "expired"
    # One at a time: while somebody does not listen, they are told the state of when they do again, and not all before.
    is_waiting = webhooks.is_waiting(connection, webhook_id, alert_id)
    has_news = "alert.counts" in row["types"] and counts != watched["counts"]
    if has_news and not is_waiting:
        _tell(connection, rt, row, alert_id, "alert.counts", now, webhook.counted(facts, counts))
        values["counts"] = counts
    closed_at = alert["closed_at"]
    if closed_at is not None and closed_at + _LATE <= now and not (values or has_news or is_waiting):
        webhooks.unwatch(connection, webhook_id, alert_id)
        return
    every = _COUNTS_EVERY if closed_at is None else _LATE_EVERY
    webhooks.change_watched(connection, webhook_id, alert_id, {**values, "look_at": now + every})


def _url(rt: Runtime, alert_id: str) -> str:
    return f"{rt.public_url}/alerts/{alert_id}"


def take_turn(rt: Runtime, webhook_id: str) -> Turn | None:
    """The next message for a webhook; None when there is none, or somebody else tells it one."""
    now = rt.now()
    with rt.store.write() as connection:
        row = webhooks.lock(connection, webhook_id)
        if row is None or (row["leased_until"] is not None and row["leased_until"] > now):
            return None
        message = webhooks.head(connection, webhook_id, now)
        if message is None:
            return None
        leased_until = now + LEASE
        webhooks.change(connection, webhook_id, {"leased_until": leased_until})
    secrets = [row["secret"]]
    if row["earlier_until"] is not None and row["earlier_until"] > now:
        secrets.append(row["earlier_secret"])
    return Turn(
        webhook_id=webhook_id,
        reference=message["reference"],
        type=message["type"],
        url=row["url"],
        headers=webhook.headers(message["reference"], now, message["body"], secrets),
        body=message["body"].encode(),
        tries=message["tries"],
        leased_until=leased_until,
    )


def end_turn(rt: Runtime, turn: Turn, status: int | None, fault: str | None) -> None:
    """Keep what came of a turn: the status of the answer, if there was one, and what was wrong, if anything was."""
    now = rt.now()
    with rt.store.write() as connection:
        row = webhooks.lock(connection, turn.webhook_id)
        if row is None:
            return
        if fault is None:
            values = _succeeded(connection, row, turn, now)
        else:
            values = _failed(connection, row, turn, now, is_gone=status == _GONE)
            values |= {"failed_at": now, "failures": row["failures"] + 1, "fault": clean(fault, FAULT_MAX)}
        if row["leased_until"] == turn.leased_until:
            values["leased_until"] = None
        webhooks.change(connection, turn.webhook_id, values)


def _succeeded(connection: Connection, row: Row, turn: Turn, now: datetime) -> dict[str, Any]:
    webhooks.end_message(connection, turn.reference, {"state": "done"})
    if turn.type == webhook.PING or row["failures"] >= _OUTAGE:
        webhooks.hurry(connection, turn.webhook_id, now)
    values: dict[str, Any] = {"succeeded_at": now, "failures": 0}
    if row["disabled_at"] is not None:
        # It is there again, and hears what happens from now on.
        values |= {"disabled_at": None, "cursor": instance.head(connection).offset}
    return values


def _failed(connection: Connection, row: Row, turn: Turn, now: datetime, *, is_gone: bool) -> dict[str, Any]:
    tries = turn.tries + 1
    pause = webhook.pause_after(tries) if turn.type != webhook.PING else None
    again = {"state": "failed"} if pause is None else {"due_at": now + pause}
    webhooks.end_message(connection, turn.reference, {**again, "tries": tries})
    if not is_gone:
        return {}
    webhooks.give_up(connection, turn.webhook_id)
    return {"disabled_at": row["disabled_at"] or now}


def give_back(rt: Runtime, turn: Turn) -> None:
    """Leave a message whose telling was broken off to whoever comes next, at once."""
    with rt.store.write() as connection:
        row = webhooks.lock(connection, turn.webhook_id)
        if row is not None and row["leased_until"] == turn.leased_until:
            webhooks.change(connection, turn.webhook_id, {"leased_until": None})
