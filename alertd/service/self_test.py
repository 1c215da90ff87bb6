"""The daily drill to people who have opted in: goes the whole way, is looked at, and told of when it got stuck."""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.delivery import State
from alertd.core.escalation import default_plan
from alertd.core.usage import is_beyond_ceiling
from alertd.service import notices
from alertd.service.runtime import Runtime
from alertd.store import instance, self_tests
from alertd.store.rows import Row

log = logging.getLogger(__name__)

KIND: Final = "self-test"
CHECK_AFTER: Final = timedelta(minutes=5)
CATCH_UP: Final = timedelta(hours=1)  # a test that is later than this waits for the next day
_TEST_LIFE: Final = timedelta(hours=1)
_RECEIPT_WAIT: Final = timedelta(minutes=10)  # after the check, for the receipts that a provider usually sends
_TESTS_WITH_RECEIPTS: Final = 7  # so many earlier tests tell which providers do
_NO_RECEIPT: Final = "accepted, but there is no receipt, as there was before"

_TEST_TITLE: Final = "自動テスト / Self-test"
_TEST_BODY: Final = (
    "通知が届くことを確かめる毎日の自動テストです。操作は必要ありません。\n"
    "The daily check that messages arrive. There is nothing to do."
)
_NOTICE_TITLE: Final = "【システム】自動テスト異常 / [SYSTEM] Self-test failed"


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
        values = {"kind": KIND, "severity": "minor", "drill": True, "title": _TEST_TITLE, "body": _TEST_BODY}
        values |= {"expires_at": now + _TEST_LIFE}
        alert_id, channels = notices.issue(connection, rt, values, default_plan(rt.channels), persons, now)
        self_tests.set_alert(connection, day, alert_id)
    rt.bell.events()
    rt.bell.work(channels)
    return alert_id


def check_due(rt: Runtime) -> None:
    """Look at tests whose time is up; tell the admins what did not get through, by the channels that worked."""
    now = rt.now()
    with rt.store.read() as connection:
        waiting = self_tests.unchecked(connection, now)
    for test in waiting:
        _check(rt, test, now)


def _check(rt: Runtime, test: Row, now: datetime) -> None:
    channels: set[str] = set()
    with rt.store.write() as connection:
        rows = self_tests.results(connection, test["alert_id"]) if test["alert_id"] else []
        unproven = _unproven(connection, test["day"], rows)
        if unproven and now < test["due_at"] + _RECEIPT_WAIT:
            return  # looked at again with the next tick
        failures = [_failure(row) for row in rows if _failed(row, now)]
        failures += [_failure(row, _NO_RECEIPT) for row in rows if row["channel"] in unproven and _is_taken(row)]
        if not self_tests.keep_result(connection, test["day"], failures, now):
            return
        if failures:
            worked = {row["channel"] for row in rows if _is_taken(row)} - unproven
            channels = _tell_admins(connection, rt, test["day"], failures, worked, now)
    if failures:
        log.error("the self-test did not get through", extra={"day": test["day"], "failures": failures})
        rt.bell.events()
        rt.bell.work(channels)


def _is_taken(row: Row) -> bool:
    return row["state"] in self_tests.TAKEN


def _failed(row: Row, now: datetime) -> bool:
    """Whether a delivery is with no provider, though nothing forbids it: no quiet hours, no ceiling of costs."""
    waits = row["state"] == State.PENDING and row["attempt"] == 0 and row["due_at"] > now
    saved = row["state"] == State.CANCELLED and is_beyond_ceiling(row["reason"])
    return not (_is_taken(row) or waits or saved)


def _failure(row: Row, reason: str | None = None) -> dict[str, Any]:
    kept = {name: row[name] for name in ("channel", "state", "reason", "count")}
    return {**kept, "reason": reason or row["reason"]}


def _unproven(connection: Connection, day: str, rows: Sequence[Row]) -> set[str]:
    """The channels of which not one message has a receipt, although their providers have sent receipts lately."""
    taken = {row["channel"] for row in rows if _is_taken(row)}
    proven = {row["channel"] for row in rows if row["receipts"]}
    if not taken - proven:
        return set()
    return (taken - proven) & self_tests.channels_with_receipts(connection, day, _TESTS_WITH_RECEIPTS)


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
    instance.record(connection, at=now, actor=notices.AUTHOR, action="self-test.fail", object=day, details=details)
    return notices.tell_admins(connection, rt, _NOTICE_TITLE, _words(rt, day, failures), worked, now)


def _words(rt: Runtime, day: str, failures: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"- {each['channel']}: {each['state']} ×{each['count']}" + (f" ({each['reason']})" if each["reason"] else "")
        for each in failures
    ]
    return "\n".join(
        (
            f"{day}の自動テストが次の経路で通りませんでした。点検してください: {rt.public_url}/doctor",
            f"The self-test of {day} did not get through as below; alerts may not either. Check {rt.public_url}/doctor",
            *lines,
        )
    )
