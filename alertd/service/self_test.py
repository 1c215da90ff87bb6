"""The daily drill to people who have opted in: goes the whole way, is looked at, and told of when it did not arrive."""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.audience import Audience
from alertd.core.delivery import State
from alertd.core.escalation import Plan, Step, default_plan
from alertd.service import posting, views
from alertd.service.runtime import Runtime
from alertd.store import alerts, instance, people, self_tests
from alertd.store.rows import Row

log = logging.getLogger(__name__)

KIND: Final = "self-test"
NOTICE: Final = "notice"
AUTHOR: Final = "system"
CHECK_AFTER: Final = timedelta(minutes=5)
CATCH_UP: Final = timedelta(hours=1)  # a test that is later than this waits for the next day
_TEST_LIFE: Final = timedelta(hours=1)
_NOTICE_LIFE: Final = timedelta(hours=24)
_ARRIVED: Final = (State.SENT, State.DELIVERED)

_TEST_TITLE: Final = "自動テスト / Self-test"
_TEST_BODY: Final = (
    "通知が届くことを確かめる毎日の自動テストです。操作は必要ありません。\n"
    "The daily check that messages arrive. There is nothing to do."
)
_NOTICE_TITLE: Final = "【システム】自動テスト不達 / [SYSTEM] Self-test failed"


def start_if_due(rt: Runtime, at: time | None) -> str | None:
    """Send today's test when it is time and nobody else has; its alert's id. `at` is local, None: never."""
    now = rt.now()
    local = now.astimezone(rt.zone)
    if at is None:
        return None
    due = datetime.combine(local.date(), at, tzinfo=rt.zone)
    day = local.date().isoformat()
    if not due <= local < due + CATCH_UP:
        return None
    with rt.store.read() as connection:
        if self_tests.has_begun(connection, day):
            return None
    with rt.store.write() as connection:
        if not self_tests.begin(connection, day, now + CHECK_AFTER):
            return None
        persons = self_tests.takers(connection)
        if not persons:
            return None
        values = {**_values(rt, persons, now), "kind": KIND, "severity": "minor", "drill": True}
        values |= {"title": _TEST_TITLE, "body": _TEST_BODY, "expires_at": now + _TEST_LIFE}
        alert_id, channels = _issue(connection, rt, values, default_plan(rt.channels), persons)
        self_tests.set_alert(connection, day, alert_id)
    rt.bell.events()
    rt.bell.work(channels)
    return alert_id


def check_due(rt: Runtime) -> None:
    """Look at tests whose time is up; tell the admins what did not arrive, by the channels that worked."""
    now = rt.now()
    with rt.store.read() as connection:
        waiting = self_tests.unchecked(connection, now)
    for test in waiting:
        _check(rt, test, now)


def _check(rt: Runtime, test: Row, now: datetime) -> None:
    channels: set[str] = set()
    with rt.store.write() as connection:
        rows = self_tests.results(connection, test["alert_id"]) if test["alert_id"] else []
        failures = [
            {"channel": row["channel"], "state": row["state"], "reason": row["reason"], "count": row["count"]}
            for row in rows
            if row["state"] not in _ARRIVED and not _waits(row, now)
        ]
        if not self_tests.keep_result(connection, test["day"], failures, now):
            return
        if failures:
            worked = {row["channel"] for row in rows if row["state"] in _ARRIVED}
            channels = _tell_admins(connection, rt, test["day"], failures, worked, now)
    if failures:
        log.error("the self-test did not arrive", extra={"day": test["day"], "failures": failures})
        rt.bell.events()
        rt.bell.work(channels)


def _waits(row: Row, now: datetime) -> bool:
    """Whether a delivery is not even due yet: its person's quiet hours are not over."""
    return bool(row["state"] == State.PENDING and row["attempt"] == 0 and row["due_at"] > now)


def _tell_admins(
    connection: Connection,
    rt: Runtime,
    day: str,
    failures: Sequence[Mapping[str, Any]],
    worked: Collection[str],
    now: datetime,
) -> set[str]:
    """Alert the admins; the channels that have work now."""
    details = {"failures": list(failures)}
    instance.record(connection, at=now, actor=AUTHOR, action="self-test.fail", object=day, details=details)
    persons = self_tests.admins(connection)
    if not persons:
        return set()
    values = {**_values(rt, persons, now), "kind": NOTICE, "severity": "severe", "drill": False}
    values |= {"title": _NOTICE_TITLE, "body": _words(rt, day, failures), "expires_at": now + _NOTICE_LIFE}
    channels = tuple(channel for channel in rt.channels if channel in worked) or rt.channels
    if not _reached(connection, persons, channels):
        channels = rt.channels
    return _issue(connection, rt, values, Plan((Step(0, channels),)), persons)[1]


def _reached(connection: Connection, persons: Sequence[Row], channels: Collection[str]) -> bool:
    rows = people.subscriptions_of(connection, [person["id"] for person in persons])
    return any(
        row["channel"] in channels and row["retired_at"] is None and row["verified_at"] is not None for row in rows
    )


def _words(rt: Runtime, day: str, failures: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"- {each['channel']}: {each['state']} ×{each['count']}" + (f" ({each['reason']})" if each["reason"] else "")
        for each in failures
    ]
    return "\n".join(
        (
            f"{day}の自動テストが次の経路で届きませんでした。点検してください: {rt.public_url}/doctor",
            f"The self-test of {day} did not arrive as below; alerts may not either. Check {rt.public_url}/doctor",
            *lines,
        )
    )


def _values(rt: Runtime, persons: Sequence[Row], now: datetime) -> dict[str, Any]:
    return {
        "id": rt.new_id(),
        "post_id": None,
        "ask": None,
        "audience": Audience(people=tuple(person["id"] for person in persons)).as_json(),
        "issued_by": AUTHOR,
        "sent_at": now,
    }


def _issue(
    connection: Connection, rt: Runtime, values: Mapping[str, Any], plan: Plan, persons: Sequence[Row]
) -> tuple[str, set[str]]:
    """Issue an alert of the system's own; its id, and the channels that have work now."""
    people.add_new(connection, AUTHOR, {"name": AUTHOR, "active": False}, values["sent_at"])
    alert, channels = posting.issue(connection, rt, values, plan, persons)
    alerts.append_event(connection, alert["id"], views.facts(alert), values["sent_at"])
    return alert["id"], channels
