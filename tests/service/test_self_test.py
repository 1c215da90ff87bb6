"""The daily drill: once, to those who opted in; what did not arrive is told to the admins by what works."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from alertd.core.delivery import Receipt, State, Transition
from alertd.core.errors import NotFound
from alertd.core.roles import Role
from alertd.core.usage import beyond_ceiling
from alertd.service import directory, self_test, watching
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, receipts, self_tests, settlements
from alertd.store.deliveries import NOT_ATTEMPTED
from alertd.store.rows import Row
from alertd.store.settlements import Settlement
from tests.installation import Bell, Clock, actor, settle
from tests.threads import at_once

AT = time(10, 0)
TEN = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)  # ten o'clock in Tokyo


@pytest.fixture
def town(rt: Runtime, clock: Clock) -> Runtime:
    """A tester with mail and telephone, an admin with mail, and somebody who takes no part."""
    clock.time = TEN
    settle(rt, "tester", phone="090-1111-2222", takes_self_test=True)
    settle(rt, "chief", role="admin")
    settle(rt, "taro")
    return rt


def sent_to(rt: Runtime, alert_id: str) -> set[tuple[str, str]]:
    with rt.store.read() as connection:
        rows = deliveries.of_people(connection, alert_id, ["tester", "chief", "taro"])
    return {(row["person_id"], row["channel"]) for row in rows}


def finish(rt: Runtime, channel: str, transition: Transition, outcome: str = "accepted") -> None:
    """Let every delivery of a channel that is due end like this."""
    with rt.store.write() as connection:
        claims = deliveries.claim(connection, channel, "w", 100, rt.now())
        settlements.settle(connection, [Settlement(claim, outcome, transition) for claim in claims], rt.now())


def last(rt: Runtime) -> Row:
    with rt.store.read() as connection:
        found = self_tests.last(connection)
    assert found is not None
    return found


def alert_row(rt: Runtime, alert_id: str) -> Row:
    with rt.store.read() as connection:
        row = alerts.get(connection, alert_id)
    assert row is not None
    return row


def notices(rt: Runtime, person: str) -> list[Mapping[str, Any]]:
    return [row for row in watching.read_inbox(rt, actor(person)) if row["kind"] == "notice"]


SENT = Transition(State.SENT, provider_id="m")


def test_it_goes_to_those_who_opted_in_over_every_channel_they_have(town: Runtime, bell: Bell) -> None:
    bell.rung.clear()
    alert_id = self_test.start_if_due(town, AT)
    assert alert_id is not None
    assert sent_to(town, alert_id) == {("tester", "sms"), ("tester", "email")}
    assert bell.rung == ["events", "work:email", "work:sms"]
    row = alert_row(town, alert_id)
    assert (row["kind"], row["drill"], row["severity"]) == ("self-test", True, "minor")


@pytest.mark.parametrize(
    ("wait", "goes"), [(-1, False), (0, True), (3_599, True), (3_600, False), (-3_600 * 10, False)]
)
def test_it_goes_within_an_hour_of_its_time_and_not_before(town: Runtime, clock: Clock, wait: int, goes: bool) -> None:
    clock.move(seconds=wait)
    assert (self_test.start_if_due(town, AT) is not None) is goes


def test_it_goes_once_a_day_however_many_clocks_there_are(town: Runtime, clock: Clock) -> None:
    started: list[str | None] = []
    at_once(lambda _: started.append(self_test.start_if_due(town, AT)), list(range(6)))
    assert sum(each is not None for each in started) == 1
    clock.move(seconds=60)
    assert self_test.start_if_due(town, AT) is None
    clock.move(days=1)
    assert self_test.start_if_due(town, AT) is not None


def test_off_is_off(town: Runtime) -> None:
    assert self_test.start_if_due(town, None) is None


def test_nobody_to_send_it_to_is_no_failure(town: Runtime, clock: Clock) -> None:
    directory.take_self_test(town, actor("tester"), False)
    assert not directory.own_settings(town, actor("tester"))["takes_self_test"]
    assert self_test.start_if_due(town, AT) is None
    clock.move(minutes=5)
    self_test.check_due(town)
    assert (last(town)["alert_id"], last(town)["failures"]) == (None, [])
    assert notices(town, "chief") == []


def test_what_arrived_is_a_success_and_nobody_is_troubled(town: Runtime, clock: Clock) -> None:
    self_test.start_if_due(town, AT)
    finish(town, "sms", SENT)
    finish(town, "email", SENT)
    clock.move(minutes=4, seconds=59)
    self_test.check_due(town)
    with town.store.read() as connection:
        assert self_tests.last(connection) is None, "its time is not up"
    clock.move(seconds=1)
    self_test.check_due(town)
    assert last(town)["failures"] == []
    with town.store.read() as connection:
        assert self_tests.last_success(connection) == clock()
    assert notices(town, "chief") == []


def test_what_did_not_arrive_is_told_to_the_admins_by_the_channel_that_worked(town: Runtime, clock: Clock) -> None:
    self_test.start_if_due(town, AT)
    finish(town, "email", SENT)
    finish(town, "sms", Transition(State.FAILED, "21211 not a number"), "gone")
    clock.move(minutes=5)
    checkers = [replace(town) for _ in range(4)]
    at_once(self_test.check_due, checkers)
    (failure,) = last(town)["failures"]
    assert (failure["channel"], failure["state"], failure["reason"]) == ("sms", "failed", "21211 not a number")
    (notice,) = notices(town, "chief")
    assert notice["title"].startswith("【システム】")
    assert not notice["drill"]
    assert "sms: failed" in notice["body"]
    assert sent_to(town, notice["id"]) == {("chief", "email")}
    with town.store.read() as connection:
        assert self_tests.last_success(connection) is None


def test_when_nothing_worked_every_channel_is_tried(town: Runtime, clock: Clock) -> None:
    settle(town, "chief", role="admin", phone="090-3333-4444")
    self_test.start_if_due(town, AT)
    clock.move(minutes=5)
    self_test.check_due(town)
    assert {failure["state"] for failure in last(town)["failures"]} == {"pending"}
    (notice,) = notices(town, "chief")
    assert sent_to(town, notice["id"]) == {("chief", "email"), ("chief", "sms")}


def test_an_admin_without_the_channel_that_worked_is_told_by_another(town: Runtime, clock: Clock) -> None:
    settle(town, "tester", email=None, phone="090-1111-2222")
    settle(town, "second", phone="090-9999-0000", takes_self_test=True)
    self_test.start_if_due(town, AT)
    finish(town, "sms", SENT)
    clock.move(minutes=5)
    self_test.check_due(town)
    (notice,) = notices(town, "chief")
    assert sent_to(town, notice["id"]) == {("chief", "email")}


def test_neither_the_test_nor_the_notice_is_seen_by_anybody_else(town: Runtime, clock: Clock) -> None:
    test = self_test.start_if_due(town, AT)
    assert test is not None
    clock.move(minutes=5)
    self_test.check_due(town)
    (notice,) = notices(town, "chief")
    viewer = actor("taro", Role.VIEWER)
    assert watching.read_alerts(town, viewer, before=None, limit=10) == []
    for alert_id in (test, notice["id"]):
        with pytest.raises(NotFound):
            watching.read_alert(town, viewer, alert_id)
    assert watching.read_inbox(town, actor("taro")) == []


def test_what_waits_for_the_end_of_quiet_hours_is_no_failure(town: Runtime, clock: Clock) -> None:
    settle(town, "tester", phone=None, quiet_hours=("09:00", "10:30"))
    assert self_test.start_if_due(town, AT) is not None
    clock.move(minutes=5)
    self_test.check_due(town)
    assert last(town)["failures"] == []
    with town.store.read() as connection:
        assert self_tests.last_success(connection) is None, "nor does it prove anything"
        assert not self_tests.went_out(connection, last(town)["alert_id"])


def test_one_that_went_to_nobody_proves_nothing(town: Runtime, clock: Clock) -> None:
    directory.take_self_test(town, actor("tester"), False)
    self_test.start_if_due(town, AT)
    clock.move(minutes=5)
    self_test.check_due(town)
    with town.store.read() as connection:
        assert self_tests.last(connection) is not None
        assert self_tests.last_success(connection) is None


def day_of_tests(rt: Runtime, clock: Clock, receipt: bool) -> None:
    """One self-test that both providers take; with a receipt for the SMS, or without."""
    self_test.start_if_due(rt, AT)
    name = f"sms of {clock()}"
    finish(rt, "sms", Transition(State.SENT, provider_id=name))
    finish(rt, "email", SENT)
    if receipt:
        with rt.store.write() as connection:
            receipts.keep(connection, "sms", Receipt(name, True), rt.now())
            receipts.apply(connection, rt.now())
    clock.move(minutes=5)
    self_test.check_due(rt)


def test_where_receipts_came_before_one_is_waited_for(town: Runtime, clock: Clock) -> None:
    day_of_tests(town, clock, receipt=True)
    assert (last(town)["day"], last(town)["failures"]) == ("2026-11-22", [])
    clock.time = TEN + timedelta(days=1)
    day_of_tests(town, clock, receipt=False)
    clock.move(minutes=9, seconds=59)
    self_test.check_due(town)
    assert last(town)["day"] == "2026-11-22", "it is not over yet"
    clock.move(seconds=1)
    self_test.check_due(town)
    (failure,) = last(town)["failures"]
    assert (last(town)["day"], failure["channel"], failure["state"]) == ("2026-11-23", "sms", "sent")
    assert "no receipt" in failure["reason"]
    (notice,) = notices(town, "chief")
    assert sent_to(town, notice["id"]) == {("chief", "email")}


def test_where_no_receipt_ever_came_none_is_waited_for(town: Runtime, clock: Clock) -> None:
    for day in range(2):
        clock.time = TEN + timedelta(days=day)
        day_of_tests(town, clock, receipt=False)
    assert (last(town)["day"], last(town)["failures"]) == ("2026-11-23", [])


def test_what_the_ceiling_of_costs_cancelled_is_no_failure(town: Runtime, clock: Clock) -> None:
    self_test.start_if_due(town, AT)
    finish(town, "email", SENT)
    finish(town, "sms", Transition(State.CANCELLED, beyond_ceiling(5), counted=False), NOT_ATTEMPTED)
    clock.move(minutes=5)
    self_test.check_due(town)
    assert last(town)["failures"] == []


def test_what_was_tried_and_put_off_is_one(town: Runtime, clock: Clock) -> None:
    self_test.start_if_due(town, AT)
    later = Transition(State.PENDING, "421 busy", due_at=clock() + timedelta(hours=8))
    finish(town, "email", later, "deferred")
    finish(town, "sms", SENT)
    clock.move(minutes=5)
    self_test.check_due(town)
    assert [failure["channel"] for failure in last(town)["failures"]] == ["email"]
