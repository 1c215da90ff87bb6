"""Alerts of the system's own: issued by nobody, in no list of alerts, seen by those they go to."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.alert import Severity
from alertd.core.audience import Audience
from alertd.core.escalation import Plan, Step
from alertd.core.roles import Role
from alertd.service import posting, views
from alertd.service.runtime import Runtime
from alertd.store import alerts, people
from alertd.store.rows import Row

KIND: Final = "notice"
AUTHOR: Final = "system"
_LIFE: Final = timedelta(hours=24)


def tell_admins(
    connection: Connection,
    rt: Runtime,
    title: str,
    body: str,
    by: Collection[str],
    now: datetime,
    *,
    severity: Severity = "severe",
) -> set[str]:
    """Alert the active admins by these channels; by every one, where no admin can be reached by these.

    Returns the channels that have work now: ring for them, and for the events, once this is committed.
    """
    persons = people.with_roles(connection, [Role.ADMIN.word])
    channels = tuple(channel for channel in rt.channels if channel in by)
    if not _reached(connection, persons, channels):
        channels = rt.channels
    return _tell(connection, rt, persons, title, body, channels, severity, now)


def tell_managers(connection: Connection, rt: Runtime, title: str, body: str, now: datetime) -> set[str]:
    """Alert everybody who may send alerts, by every channel. Returns what `tell_admins` does."""
    persons = people.with_roles(connection, [Role.MANAGER.word, Role.ADMIN.word])
    return _tell(connection, rt, persons, title, body, rt.channels, "severe", now)


def _tell(
    connection: Connection,
    rt: Runtime,
    persons: Sequence[Row],
    title: str,
    body: str,
    channels: tuple[str, ...],
    severity: Severity,
    now: datetime,
) -> set[str]:
    if not persons:
        return set()
    values = {"kind": KIND, "severity": severity, "drill": False, "title": title, "body": body}
    return issue(connection, rt, {**values, "expires_at": now + _LIFE}, Plan((Step(0, channels),)), persons, now)[1]


def _reached(connection: Connection, persons: Sequence[Row], channels: Collection[str]) -> bool:
    rows = people.subscriptions_of(connection, [person["id"] for person in persons])
    return any(
        row["channel"] in channels and row["retired_at"] is None and row["verified_at"] is not None for row in rows
    )


def issue(
    connection: Connection, rt: Runtime, values: Mapping[str, Any], plan: Plan, persons: Sequence[Row], now: datetime
) -> tuple[str, set[str]]:
    """Issue an alert of the system's own to these people; its id, and the channels that have work now.

    `values` are its `kind`, `severity`, `drill`, `title`, `body` and `expires_at`.
    """
    people.add_new(connection, AUTHOR, {"name": AUTHOR, "active": False}, now)
    whole = {
        **values,
        "id": rt.new_id(),
        "post_id": None,
        "ask": None,
        "audience": Audience(people=tuple(person["id"] for person in persons)).as_json(),
        "issued_by": AUTHOR,
        "sent_at": now,
    }
    alert, channels = posting.issue(connection, rt, whole, plan)
    alerts.append_event(connection, alert["id"], views.facts(alert), now)
    return alert["id"], channels
