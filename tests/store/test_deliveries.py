"""Deliveries: claimed by one worker at a time, settled by whoever holds them, given back by whoever died."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from alertd.core.delivery import (
    Accepted,
    Deferred,
    Gone,
    Misconfigured,
    Outcome,
    Receipt,
    Refused,
    State,
    after_attempt,
)
from alertd.service import heartbeat
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, people
from alertd.store.deliveries import Claim, Settlement
from tests.installation import START, Bell, Clock, alert, settle
from tests.threads import at_once


def claim(rt: Runtime, worker: str = "w1", limit: int = 100, channel: str = "email") -> list[Claim]:
    with rt.store.write() as connection:
        return deliveries.claim(connection, channel, worker, limit, rt.now())


def settlement(rt: Runtime, claimed: Claim, outcome: Outcome) -> Settlement:
    transition = after_attempt(
        outcome,
        attempt=claimed.tries,
        severity="severe",
        now=rt.now(),
        expires_at=START + timedelta(hours=24),
        jitter=0.0,
    )
    return Settlement(claimed, type(outcome).__name__.lower(), transition)


def settled(rt: Runtime, claimed: Claim, outcome: Outcome) -> bool:
    """Settle one; whether it was still theirs to write."""
    with rt.store.write() as connection:
        return bool(deliveries.settle(connection, [settlement(rt, claimed, outcome)], rt.now()))


def rows(rt: Runtime, alert_id: str) -> dict[str, Mapping[str, Any]]:
    """Each recipient's only delivery."""
    with rt.store.read() as connection:
        found = deliveries.of_people(connection, alert_id, alerts.recipient_ids(connection, alert_id))
    return {row["person_id"]: row for row in found}


def state(rt: Runtime, alert_id: str, person: str = "taro") -> State:
    return State(rows(rt, alert_id)[person]["state"])


def receive(rt: Runtime, *receipts: Receipt) -> set[str]:
    with rt.store.write() as connection:
        for receipt in receipts:
            deliveries.keep_receipt(connection, "email", receipt, rt.now())
        return deliveries.apply_receipts(connection, rt.now())


@pytest.fixture
def alert_id(rt: Runtime) -> str:
    """An alert to `taro` by mail."""
    settle(rt, "taro")
    return alert(rt)


class TestClaim:
    def test_a_claim_has_everything_that_an_attempt_needs(self, rt: Runtime, alert_id: str) -> None:
        (claimed,) = claim(rt)
        assert (claimed.alert_id, claimed.address, claimed.language) == (alert_id, {"email": "taro@example.jp"}, "ja")
        assert (claimed.attempt, claimed.tries, claimed.dark_since) == (1, 1, None)
        assert claimed.key == f"{alert_id}.1.0.0.{claimed.subscription_id}"

    def test_what_is_claimed_is_on_its_way_and_nobody_else_s(self, rt: Runtime, alert_id: str) -> None:
        claim(rt)
        assert state(rt, alert_id) is State.SENDING
        assert claim(rt, "w2") == []

    def test_only_what_is_due_on_that_channel_is_claimed(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        assert claim(rt, channel="sms") == []
        (first,) = claim(rt)
        assert settled(rt, first, Deferred("busy", timedelta(seconds=10)))
        clock.move(seconds=9.999)
        assert claim(rt) == []
        clock.move(seconds=0.001)
        (again,) = claim(rt)
        assert (again.attempt, again.key) == (2, first.key)

    def test_whoever_has_no_other_way_goes_first(self, rt: Runtime) -> None:
        settle(rt, "anna", phone="090-1111-2222")
        settle(rt, "zoe")
        alert(rt)
        assert [each.address["email"] for each in claim(rt)] == ["zoe@example.jp", "anna@example.jp"]

    def test_nothing_of_an_alert_that_is_over_is_claimed(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        clock.move(hours=24)
        assert claim(rt) == []

    def test_no_more_than_asked_for(self, rt: Runtime) -> None:
        for number in range(5):
            settle(rt, f"p{number}")
        alert(rt)
        assert [len(claim(rt, limit=2)) for _ in range(4)] == [2, 2, 1, 0]

    def test_workers_that_claim_at_once_share_out_everything_and_nothing_twice(self, rt: Runtime) -> None:
        for number in range(60):
            settle(rt, f"p{number}")
        alert(rt)

        def work(worker: int) -> list[int]:
            mine: list[int] = []
            while True:
                got = claim(rt, f"w{worker}", limit=7)
                mine += [each.delivery_id for each in got]
                if not got:
                    return mine

        taken = [number for mine in at_once(work, range(6)) for number in mine]
        # On PostgreSQL a worker passes over what another just looks at, and the last one may leave a rest behind.
        taken += [each.delivery_id for each in claim(rt)]
        assert len(taken) == len(set(taken)) == 60


class TestSettle:
    @pytest.mark.parametrize(
        ("outcome", "result"),
        [
            (Accepted("m1"), State.SENT),
            (Deferred("busy"), State.PENDING),
            (Refused("too large"), State.FAILED),
            (Gone("no such box"), State.FAILED),
            (Misconfigured("no credit"), State.HELD),
        ],
    )
    def test_an_outcome_is_written_with_its_reason(
        self, rt: Runtime, alert_id: str, outcome: Outcome, result: State
    ) -> None:
        (claimed,) = claim(rt)
        assert settled(rt, claimed, outcome)
        row = rows(rt, alert_id)["taro"]
        assert row["state"] == result
        assert row["reason"] == getattr(outcome, "reason", None)
        assert (row["accepted_at"] is not None) is (result is State.SENT)
        assert row["worker_id"] is None

    def test_only_once(self, rt: Runtime, alert_id: str) -> None:
        (claimed,) = claim(rt)
        assert settled(rt, claimed, Accepted("m1"))
        assert not settled(rt, claimed, Refused("late"))
        assert state(rt, alert_id) is State.SENT

    def test_a_worker_that_wakes_late_overwrites_nothing(self, rt: Runtime, alert_id: str) -> None:
        (early,) = claim(rt, "w1")
        with rt.store.write() as connection:
            assert deliveries.lapse(connection, ["w1"], rt.now()) == 1
        assert not settled(rt, early, Refused("late"))
        (again,) = claim(rt, "w2")
        assert not settled(rt, early, Refused("late"))
        assert state(rt, alert_id) is State.SENDING
        assert settled(rt, again, Accepted("m2"))
        assert rows(rt, alert_id)["taro"]["provider_id"] == "m2"

    def test_an_attempt_that_our_own_fault_stopped_does_not_count(self, rt: Runtime, alert_id: str) -> None:
        for _ in range(3):
            (claimed,) = claim(rt)
            assert claimed.tries == 1
            settled(rt, claimed, Misconfigured("no credit"))
            with rt.store.write() as connection:
                assert deliveries.release(connection, ["email"], rt.now()) == 1
        assert claim(rt)[0].attempt == 4

    def test_an_address_that_is_gone_is_retired_with_its_reason_and_used_no_more(
        self, rt: Runtime, alert_id: str
    ) -> None:
        settled(rt, claim(rt)[0], Gone("no such box"))
        with rt.store.read() as connection:
            (subscription,) = people.subscriptions_of(connection, ["taro"])
        assert (subscription["retired_at"], subscription["retired_reason"]) == (rt.now(), "no such box")
        alert(rt)
        assert claim(rt) == []

    def test_one_that_was_taken_over_does_not_take_its_group_down(self, rt: Runtime) -> None:
        for person in ("anna", "ben", "cho"):
            settle(rt, person)
        alert_id = alert(rt)
        claimed = claim(rt)
        with rt.store.write() as connection:
            deliveries.settle(connection, [settlement(rt, claimed[1], Refused("x"))], rt.now())
            group = [settlement(rt, each, Accepted(f"m{each.delivery_id}")) for each in reversed(claimed)]
            written = deliveries.settle(connection, group, rt.now())
        assert [each.claim.delivery_id for each in written] == [claimed[0].delivery_id, claimed[2].delivery_id]
        assert sorted(row["state"] for row in rows(rt, alert_id).values()) == ["failed", "sent", "sent"]

    def test_workers_that_settle_at_once_write_each_of_theirs(self, rt: Runtime) -> None:
        for number in range(40):
            settle(rt, f"p{number}")
        alert_id = alert(rt)
        groups = [claim(rt, f"w{number}", limit=10) for number in range(4)]

        def write(group: list[Claim]) -> int:
            with rt.store.write() as connection:
                return len(deliveries.settle(connection, [settlement(rt, each, Gone("x")) for each in group], rt.now()))

        assert at_once(write, groups) == [10, 10, 10, 10]
        assert {row["state"] for row in rows(rt, alert_id).values()} == {"failed"}


class TestGivingBack:
    def test_what_a_dead_worker_held_is_due_again_at_once(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        (first,) = claim(rt, "dead")
        clock.move(seconds=12)
        with rt.store.write() as connection:
            assert deliveries.lapse(connection, ["somebody else"], rt.now()) == 0
            assert deliveries.lapse(connection, ["dead", "deader"], rt.now()) == 1
        (again,) = claim(rt, "w2")
        assert again.attempt == 2
        assert again.dark_since == START, "nobody knows how the first attempt ended"
        assert first.dark_since is None

    def test_an_attempt_whose_outcome_is_known_is_not_in_the_dark(self, rt: Runtime, clock: Clock) -> None:
        settle(rt, "taro")
        alert(rt)
        settled(rt, claim(rt)[0], Deferred("busy"))
        clock.move(minutes=1)
        assert claim(rt)[0].dark_since is None

    def test_what_is_held_by_nobody_who_is_listed_is_given_back(self, rt: Runtime, alert_id: str) -> None:
        heartbeat.start(rt, "alive", "worker", "email")
        claim(rt, "alive")
        with rt.store.write() as connection:
            assert deliveries.lapse_orphans(connection, rt.now()) == 0
        heartbeat.end(rt, [])
        settle(rt, "hanako")
        second = alert(rt)
        claim(rt, "never listed")
        with rt.store.write() as connection:
            assert deliveries.lapse_orphans(connection, rt.now()) == 2
        assert (state(rt, alert_id), state(rt, second)) == (State.SENDING, State.PENDING)

    def test_a_worker_that_ends_gives_back_what_it_holds(self, rt: Runtime, alert_id: str) -> None:
        heartbeat.start(rt, "w1", "worker", "email")
        claim(rt, "w1")
        assert heartbeat.end(rt, ["w1"]) == 1
        assert state(rt, alert_id) is State.PENDING

    def test_what_is_held_waits_for_a_release_of_its_own_channel(self, rt: Runtime, alert_id: str) -> None:
        settled(rt, claim(rt)[0], Misconfigured("no credit"))
        assert claim(rt) == []
        with rt.store.write() as connection:
            assert deliveries.release(connection, ["sms", "webpush"], rt.now()) == 0
            assert deliveries.release(connection, ["email"], rt.now()) == 1
        assert len(claim(rt)) == 1

    def test_due_channels_are_those_with_something_to_do(self, rt: Runtime, alert_id: str) -> None:
        def due() -> list[str]:
            with rt.store.read() as connection:
                return deliveries.due_channels(connection, rt.now())

        assert due() == ["email"]
        claim(rt)
        assert due() == []


class TestExpiry:
    def expire(self, rt: Runtime) -> list[str]:
        with rt.store.write() as connection:
            return alerts.expire(connection, rt.now())

    def test_an_alert_whose_life_is_over_is_closed_once_and_what_waits_expires(self, rt: Runtime, clock: Clock) -> None:
        for person in ("pending", "held", "sending", "sent"):
            settle(rt, person)
        alert_id = alert(rt)
        by_person = {each.address["email"].partition("@")[0]: each for each in claim(rt)}
        settled(rt, by_person["pending"], Deferred("busy"))
        settled(rt, by_person["held"], Misconfigured("no credit"))
        settled(rt, by_person["sent"], Accepted("m1"))
        clock.move(hours=24, microseconds=-1)
        assert self.expire(rt) == []
        clock.move(microseconds=1)
        assert self.expire(rt) == [alert_id]
        assert self.expire(rt) == []
        found = {person: row["state"] for person, row in rows(rt, alert_id).items()}
        assert found == {"pending": "expired", "held": "expired", "sending": "sending", "sent": "sent"}
        with rt.store.read() as connection:
            row = alerts.get(connection, alert_id)
        assert row is not None
        assert (row["state"], row["closed_at"]) == ("expired", rt.now())

    def test_what_a_dead_worker_gives_back_after_the_end_expires_too(
        self, rt: Runtime, clock: Clock, alert_id: str
    ) -> None:
        claim(rt, "dead")
        clock.move(hours=25)
        self.expire(rt)
        with rt.store.write() as connection:
            deliveries.lapse(connection, ["dead"], rt.now())
        self.expire(rt)
        assert state(rt, alert_id) is State.EXPIRED


class TestReceipts:
    def test_good_news_after_the_settling_moves_it_on(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        settled(rt, claim(rt)[0], Accepted("m1"))
        clock.move(seconds=5)
        assert receive(rt, Receipt("m1", True)) == {alert_id}
        row = rows(rt, alert_id)["taro"]
        assert (row["state"], row["delivered_at"]) == ("delivered", rt.now())

    def test_news_that_come_before_the_settling_wait_for_it(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        (claimed,) = claim(rt)
        early = rt.now()
        assert receive(rt, Receipt("m1", True)) == set()
        assert state(rt, alert_id) is State.SENDING
        clock.move(seconds=1)
        settled(rt, claimed, Accepted("m1"))
        assert receive(rt) == {alert_id}
        assert rows(rt, alert_id)["taro"]["delivered_at"] == early

    def test_the_same_news_twice_change_nothing_more(self, rt: Runtime, alert_id: str) -> None:
        settled(rt, claim(rt)[0], Accepted("m1"))
        assert receive(rt, Receipt("m1", True), Receipt("m1", True)) == {alert_id}
        assert receive(rt, Receipt("m1", True)) == set()

    def test_news_out_of_order_never_take_anything_back(self, rt: Runtime, alert_id: str) -> None:
        settled(rt, claim(rt)[0], Accepted("m1"))
        receive(rt, Receipt("m1", True), Receipt("m1", None), Receipt("m1", False, "30003"))
        row = rows(rt, alert_id)["taro"]
        assert (row["state"], row["reason"]) == ("delivered", None)

    def test_bad_news_say_why_and_retire_an_address_that_is_dead(self, rt: Runtime, alert_id: str) -> None:
        settled(rt, claim(rt)[0], Accepted("m1"))
        assert receive(rt, Receipt("m1", False, "30005: unknown", retire=True)) == {alert_id}
        row = rows(rt, alert_id)["taro"]
        assert (row["state"], row["reason"]) == ("failed", "30005: unknown")
        with rt.store.read() as connection:
            (subscription,) = people.subscriptions_of(connection, ["taro"])
        assert subscription["retired_reason"] == "30005: unknown"

    def test_news_of_another_channel_with_the_same_name_are_not_ours(self, rt: Runtime, alert_id: str) -> None:
        settled(rt, claim(rt)[0], Accepted("m1"))
        with rt.store.write() as connection:
            deliveries.keep_receipt(connection, "sms", Receipt("m1", False), rt.now())
            assert deliveries.apply_receipts(connection, rt.now()) == set()
        assert state(rt, alert_id) is State.SENT

    def test_several_clocks_that_apply_them_at_once_do_it_once(self, rt: Runtime, bell: Bell) -> None:
        for number in range(20):
            settle(rt, f"p{number}")
        alert_id = alert(rt)
        for number, claimed in enumerate(claim(rt)):
            settled(rt, claimed, Accepted(f"m{number}"))

        def news(_clock: int) -> None:
            with rt.store.write() as connection:
                for number in range(20):
                    deliveries.keep_receipt(connection, "email", Receipt(f"m{number}", True), rt.now())
            with rt.store.write() as connection:
                deliveries.apply_receipts(connection, rt.now())

        at_once(news, range(4))
        assert {row["state"] for row in rows(rt, alert_id).values()} == {"delivered"}
