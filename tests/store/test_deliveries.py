"""Deliveries: claimed by one worker at a time, settled by whoever holds them, given back by whoever died."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from alertd.core.delivery import (
    RANK_ACKNOWLEDGED,
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
from alertd.core.flow import PRIMARY, Flows, Room
from alertd.service import heartbeat, reaching, revising
from alertd.service.revising import Revision
from alertd.service.runtime import Runtime
from alertd.store import alerts, counters, deliveries, evidence, people, receipts, rollouts, schema, settlements, unsent
from alertd.store.deliveries import Claim
from alertd.store.settlements import Settlement
from tests.installation import BOSS, START, Bell, Clock, actor, alert, settle
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
    dark = isinstance(outcome, Deferred) and outcome.dark
    return Settlement(claimed, type(outcome).__name__.lower(), transition, dark=dark)


def settled(rt: Runtime, claimed: Claim, outcome: Outcome) -> bool:
    """Settle one; whether it was still theirs to write."""
    with rt.store.write() as connection:
        return bool(settlements.settle(connection, [settlement(rt, claimed, outcome)], rt.now()))


def rows(rt: Runtime, alert_id: str) -> dict[str, Mapping[str, Any]]:
    """Each recipient's only delivery."""
    with rt.store.read() as connection:
        found = deliveries.of_people(connection, alert_id, rollouts.told_of(connection, alert_id))
    return {row["person_id"]: row for row in found}


def state(rt: Runtime, alert_id: str, person: str = "taro") -> State:
    return State(rows(rt, alert_id)[person]["state"])


def receive(rt: Runtime, *news: Receipt) -> set[str]:
    with rt.store.write() as connection:
        for receipt in news:
            receipts.keep(connection, "email", receipt, rt.now())
        return receipts.apply(connection, rt.now())


@pytest.fixture
def alert_id(rt: Runtime) -> str:
    """An alert to `taro` by mail."""
    settle(rt, "taro")
    return alert(rt)


class TestClaim:
    def test_a_claim_has_everything_that_an_attempt_needs(self, rt: Runtime, alert_id: str) -> None:
        (claimed,) = claim(rt)
        assert (claimed.alert_id, claimed.address, claimed.language) == (alert_id, {"email": "taro@example.jp"}, "ja")
        assert (claimed.attempt, claimed.tries, claimed.dark) == (1, 1, {})
        assert claimed.key == f"{alert_id}.1.0.0.{claimed.subscription_id}"

    def test_what_was_laid_down_while_its_address_was_taken_away_goes_nowhere(self, rt: Runtime) -> None:
        settle(rt, "taro")
        settle(rt, "hanako")
        number = alert(rt)
        with rt.store.write() as connection:
            # As on PostgreSQL, when whoever lays down and whoever takes away do not see each other.
            his = schema.subscriptions.c.person_id == "taro"
            connection.execute(schema.subscriptions.update().where(his).values(retired_at=rt.now()))
        (claimed,) = claim(rt)
        row = rows(rt, number)["taro"]
        assert (row["state"], row["reason"], row["attempt"]) == (State.CANCELLED, unsent.ADDRESS_GONE, 0)
        assert claimed.delivery_id == rows(rt, number)["hanako"]["id"]
        with rt.store.read() as connection:
            begun = connection.execute(select(schema.attempts.c.delivery_id)).scalars().all()
        assert begun == [claimed.delivery_id]
        assert claim(rt) == []

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


def update(rt: Runtime, alert_id: str, kind: Any = "update") -> None:
    revising.revise(rt, BOSS, alert_id, Revision(kind, "新しい題", "本文"))


class TestOrder:
    def test_a_real_alert_goes_before_a_drill_before_a_test(self, rt: Runtime) -> None:
        settle(rt, "taro")
        reaching.send_test(rt, actor("taro"))
        drill = alert(rt, drill=True)
        real = alert(rt)
        found = [(each.alert_id, each.drill) for each in claim(rt)]
        assert found[:2] == [(real, False), (drill, True)]
        assert len(found) == 3

    def test_whoever_has_acknowledged_goes_last_of_their_kind(self, rt: Runtime) -> None:
        for person in ("anna", "ben", "cho"):
            settle(rt, person)
        alert_id = alert(rt)
        number = rows(rt, alert_id)["anna"]["recipient_id"]
        with rt.store.write() as connection:
            unsent.demote(connection, [number])
            unsent.demote(connection, [number])
        assert rows(rt, alert_id)["anna"]["rank"] == RANK_ACKNOWLEDGED
        assert claim(rt)[2].recipient_id == number

    def test_what_is_on_its_way_is_not_demoted(self, rt: Runtime, alert_id: str) -> None:
        claim(rt)
        with rt.store.write() as connection:
            unsent.demote(connection, [rows(rt, alert_id)["taro"]["recipient_id"]])
        assert rows(rt, alert_id)["taro"]["rank"] == 0


class TestLanes:
    def town(self, rt: Runtime, *lanes: str, each: int = 10) -> str:
        for lane in lanes:
            for number in range(each):
                settle(rt, f"{lane}{number}", email=f"p{number}@{lane}.jp")
        return alert(rt)

    def take(self, rt: Runtime, room: Room, limit: int = 100) -> list[Claim]:
        with rt.store.write() as connection:
            return deliveries.claim(connection, "email", "w1", limit, rt.now(), room)

    def lanes(self, claims: list[Claim]) -> dict[str, int]:
        found = [each.lane for each in claims]
        return {lane: found.count(lane) for lane in found}

    def flows(self, *ill: str) -> Flows:
        flows = Flows((PRIMARY,), 8)  # four places a lane
        for lane in ill:
            for _ in range(3):
                flows.fail(flows.begin(PRIMARY, lane, 0), "503", 0)
        return flows

    def test_a_lane_that_is_full_does_not_starve_those_behind_it(self, rt: Runtime) -> None:
        self.town(rt, "a", "b", "c")
        room = self.flows().room(20, {PRIMARY: 20}, 0)
        assert self.lanes(self.take(rt, room)) == {"a.jp": 4, "b.jp": 4, "c.jp": 4}
        assert room.is_short

    def test_a_lane_with_an_open_circuit_is_passed_over(self, rt: Runtime) -> None:
        alert_id = self.town(rt, "a", "b", each=3)
        assert self.lanes(self.take(rt, self.flows("a.jp").room(100, {PRIMARY: 100}, 0.5))) == {"b.jp": 3}
        assert {row["state"] for row in rows(rt, alert_id).values() if row["lane"] == "a.jp"} == {"pending"}
        assert self.lanes(self.take(rt, self.flows("a.jp").room(100, {PRIMARY: 100}, 1))) == {"a.jp": 1}

    def test_where_only_some_lanes_have_room_only_those_are_looked_at(self, rt: Runtime) -> None:
        self.town(rt, "a", "b", each=3)
        flows = Flows((PRIMARY, "secondary"), 8)
        flows.refuse(flows.begin(PRIMARY, "a.jp", 0), "535", 0)
        flows.begin("secondary", "b.jp", 0)
        room = flows.room(100, {PRIMARY: 100, "secondary": 1}, 1)
        claims = self.take(rt, room)
        assert [each.provider for each in claims] == ["secondary"]

    def test_the_attempt_says_at_which_provider_before_it_is_made(self, rt: Runtime) -> None:
        self.town(rt, "a", each=1)
        flows = Flows((PRIMARY, "secondary"), 8)
        flows.refuse(flows.begin(PRIMARY, "a.jp", 0), "535", 0)
        (first,) = self.take(rt, flows.room(1, {PRIMARY: 1, "secondary": 1}, 1))
        assert first.provider == "secondary"
        with rt.store.write() as connection:
            unsent.lapse(connection, ["w1"], rt.now())
        (again,) = claim(rt)
        assert (again.provider, again.dark) == (PRIMARY, {"secondary": START})


class TestDark:
    def test_every_provider_is_known_that_may_have_taken_it(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        began: dict[str, datetime] = {}
        for provider in ("primary", "secondary", "primary"):
            began.setdefault(provider, clock())
            flows = Flows(("primary", "secondary"), 100)
            if provider == "secondary":
                flows.refuse(flows.begin("primary", "", 0), "20003", 0)
            with rt.store.write() as connection:
                room = flows.room(10, {"primary": 10, "secondary": 10}, 1)
                (taken,) = deliveries.claim(connection, "email", "w1", 10, clock(), room)
                assert taken.provider == provider
                unsent.lapse(connection, ["w1"], clock())
            clock.move(minutes=1)
        (again,) = claim(rt)
        assert again.dark == began

    def test_what_other_deliveries_to_the_same_person_hold_is_known(self, rt: Runtime, alert_id: str) -> None:
        (first,) = claim(rt)
        settled(rt, first, Accepted("m1"))
        with rt.store.write() as connection:
            row = rows(rt, alert_id)["taro"]
            repeated = {key: row[key] for key in row if key not in ("id", "person_id")}
            fresh = {"repeat": 1, "state": "pending", "attempt": 0, "tries": 0, "provider_id": None}
            deliveries.add(connection, [repeated | fresh])
        (second,) = claim(rt)
        assert second.others == frozenset(), "nothing is in the dark"
        settled(rt, second, Deferred("no answer", dark=True))
        with rt.store.write() as connection:
            (again,) = deliveries.claim(connection, "email", "w1", 10, rt.now() + timedelta(hours=1))
        assert again.others == {"m1"}


class TestRevisions:
    def test_only_the_current_revision_is_claimed(self, rt: Runtime, alert_id: str) -> None:
        settled(rt, claim(rt)[0], Deferred("busy"))
        update(rt, alert_id)
        (claimed,) = claim(rt)
        assert (claimed.revision, claimed.attempt) == (2, 1)

    def test_that_an_alert_is_off_is_still_told(self, rt: Runtime, alert_id: str) -> None:
        settled(rt, claim(rt)[0], Accepted("m1"))
        update(rt, alert_id, "cancel")
        (claimed,) = claim(rt)
        assert claimed.revision == 2

    @pytest.mark.parametrize("outcome", [Deferred("busy"), Misconfigured("no credit")])
    def test_what_comes_back_for_an_older_revision_is_cancelled(
        self, rt: Runtime, alert_id: str, outcome: Outcome
    ) -> None:
        (early,) = claim(rt)
        update(rt, alert_id)
        assert settled(rt, early, outcome)
        with rt.store.write() as connection:
            assert unsent.supersede_left(connection, rt.now()) == 1
            assert unsent.supersede_left(connection, rt.now()) == 0
        with rt.store.read() as connection:
            found = deliveries.of_people(connection, alert_id, ["taro"])
        assert [(row["revision"], row["state"], row["reason"]) for row in found] == [
            (1, "cancelled", "superseded by revision 2"), (2, "pending", None),
        ]  # fmt: skip

    def test_a_channel_with_nothing_but_older_revisions_has_nothing_due(self, rt: Runtime, alert_id: str) -> None:
        (early,) = claim(rt)
        update(rt, alert_id)
        settled(rt, early, Deferred("busy"))
        (current,) = claim(rt)
        settled(rt, current, Accepted("m1"))
        with rt.store.read() as connection:
            assert deliveries.due_channels(connection, rt.now() + timedelta(minutes=5)) == []


class TestUnclaim:
    def unclaim(self, rt: Runtime, *claims: Claim) -> int:
        with rt.store.write() as connection:
            return deliveries.unclaim(connection, claims, rt.now())

    def test_it_is_as_if_it_had_never_been_claimed(self, rt: Runtime, alert_id: str) -> None:
        (first,) = claim(rt)
        assert self.unclaim(rt, first) == 1
        row = rows(rt, alert_id)["taro"]
        assert (row["state"], row["tries"], row["worker_id"]) == ("pending", 0, None)
        (again,) = claim(rt)
        assert (again.attempt, again.tries, again.dark) == (2, 1, {})

    def test_only_while_it_is_still_theirs(self, rt: Runtime, alert_id: str) -> None:
        (first,) = claim(rt, "w1")
        with rt.store.write() as connection:
            unsent.lapse(connection, ["w1"], rt.now())
        assert self.unclaim(rt, first) == 0
        (again,) = claim(rt, "w2")
        assert self.unclaim(rt, first) == 0
        assert state(rt, alert_id) is State.SENDING
        assert again.dark


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
            assert unsent.lapse(connection, ["w1"], rt.now()) == 1
        (again,) = claim(rt, "w2")
        assert not settled(rt, early, Refused("late"))
        assert state(rt, alert_id) is State.SENDING
        assert settled(rt, again, Accepted("m2"))
        assert rows(rt, alert_id)["taro"]["provider_id"] == "m2"

    @pytest.mark.parametrize(("outcome", "result"), [(Accepted("m1"), State.SENT), (Gone("no such box"), State.FAILED)])
    def test_a_worker_that_wakes_late_still_tells_what_nobody_has_claimed_since(
        self, rt: Runtime, alert_id: str, outcome: Outcome, result: State
    ) -> None:
        (early,) = claim(rt, "w1")
        with rt.store.write() as connection:
            assert unsent.lapse(connection, ["w1"], rt.now()) == 1
        assert settled(rt, early, outcome)
        assert state(rt, alert_id) is result
        assert claim(rt, "w2") == [], "nobody is written to twice"

    def test_one_that_was_settled_or_given_back_is_not_told_again(self, rt: Runtime, alert_id: str) -> None:
        (first,) = claim(rt)
        assert settled(rt, first, Deferred("busy", dark=True))
        assert not settled(rt, first, Accepted("m1"))
        assert state(rt, alert_id) is State.PENDING

    def test_an_attempt_that_our_own_fault_stopped_does_not_count(self, rt: Runtime, alert_id: str) -> None:
        for _ in range(3):
            (claimed,) = claim(rt)
            assert claimed.tries == 1
            settled(rt, claimed, Misconfigured("no credit"))
            with rt.store.write() as connection:
                assert unsent.release(connection, ["email"], rt.now()) == 1
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
            settlements.settle(connection, [settlement(rt, claimed[1], Refused("x"))], rt.now())
            group = [settlement(rt, each, Accepted(f"m{each.delivery_id}")) for each in reversed(claimed)]
            written = settlements.settle(connection, group, rt.now())
        assert [each.claim.delivery_id for each in written] == [claimed[0].delivery_id, claimed[2].delivery_id]
        assert sorted(row["state"] for row in rows(rt, alert_id).values()) == ["failed", "sent", "sent"]

    def test_workers_that_settle_at_once_write_each_of_theirs(self, rt: Runtime) -> None:
        for number in range(40):
            settle(rt, f"p{number}")
        alert_id = alert(rt)
        groups = [claim(rt, f"w{number}", limit=10) for number in range(4)]

        def write(group: list[Claim]) -> int:
            with rt.store.write() as connection:
                return len(
                    settlements.settle(connection, [settlement(rt, each, Gone("x")) for each in group], rt.now())
                )

        assert at_once(write, groups) == [10, 10, 10, 10]
        assert {row["state"] for row in rows(rt, alert_id).values()} == {"failed"}


class TestWhatASettlementLeavesBehind:
    def counts(self, rt: Runtime) -> dict[tuple[str, ...], int]:
        with rt.store.read() as connection:
            return {
                (row["provider"], row["outcome"], row["code"]): row["count"]
                for row in counters.list_outcomes(connection)
            }

    def test_outcomes_are_counted_by_provider_and_code(self, rt: Runtime) -> None:
        for number in range(5):
            settle(rt, f"p{number}")
        alert(rt)
        claims = claim(rt)
        with rt.store.write() as connection:
            done = [settlement(rt, each, Deferred("503 busy")) for each in claims[:2]]
            done += [settlement(rt, claims[2], Accepted("m1"))]
            settlements.settle(connection, done, rt.now())
        settled(rt, claims[3], Deferred("503 busy"))
        with rt.store.write() as connection:
            found = replace(settlement(rt, claims[4], Accepted("m2")), provider="secondary")
            settlements.settle(connection, [found], rt.now())
        assert self.counts(rt) == {
            ("primary", "deferred", "503"): 3,
            ("primary", "accepted", ""): 1,
            ("secondary", "accepted", ""): 1,
        }

    def test_one_that_was_not_theirs_is_not_counted(self, rt: Runtime, alert_id: str) -> None:
        (claimed,) = claim(rt)
        settled(rt, claimed, Accepted("m1"))
        settled(rt, claimed, Accepted("m1"))
        assert self.counts(rt) == {("primary", "accepted", ""): 1}

    def test_workers_that_count_at_once_lose_nothing(self, rt: Runtime) -> None:
        for number in range(40):
            settle(rt, f"p{number}")
        alert(rt)
        groups = [claim(rt, f"w{number}", limit=10) for number in range(4)]
        at_once(lambda group: [settled(rt, each, Refused("400 x")) for each in group], groups)
        assert self.counts(rt) == {("primary", "refused", "400"): 40}

    def test_the_provider_that_took_it_is_remembered(self, rt: Runtime, alert_id: str) -> None:
        settled(rt, claim(rt)[0], Accepted("m1"))
        assert rows(rt, alert_id)["taro"]["provider"] == "primary"

    def test_an_end_that_only_the_provider_knows_stays_in_the_dark(self, rt: Runtime, clock: Clock) -> None:
        settle(rt, "taro")
        alert(rt)
        settled(rt, claim(rt)[0], Deferred("no answer in time", dark=True))
        clock.move(minutes=1)
        (again,) = claim(rt)
        assert again.dark == {"primary": START}

    def test_a_phone_that_shows_it_before_the_provider_has_answered_takes_nothing_away(
        self, rt: Runtime, alert_id: str
    ) -> None:
        (claimed,) = claim(rt)
        with rt.store.write() as connection:
            evidence.displayed(connection, claimed.delivery_id, rt.now())
        assert settled(rt, claimed, Accepted("m1"))
        row = rows(rt, alert_id)["taro"]
        assert (row["state"], row["provider_id"], row["accepted_at"]) == ("delivered", "m1", rt.now())
        assert not settled(rt, claimed, Accepted("m1"))

    def test_a_phone_that_shows_it_settles_an_attempt_that_ends_badly(self, rt: Runtime, alert_id: str) -> None:
        (claimed,) = claim(rt)
        with rt.store.write() as connection:
            evidence.displayed(connection, claimed.delivery_id, rt.now())
        assert settled(rt, claimed, Deferred("no answer"))
        row = rows(rt, alert_id)["taro"]
        assert (row["state"], row["reason"], row["accepted_at"]) == ("delivered", None, None)


class TestHeld:
    def test_a_sibling_s_success_on_the_same_lane_releases_what_was_held(self, rt: Runtime) -> None:
        settle(rt, "anna", email="anna@a.jp")
        settle(rt, "ben", email="ben@b.jp")
        settle(rt, "cho", email="cho@a.jp")
        alert_id = alert(rt)
        claims = {each.address["email"][0]: each for each in claim(rt)}
        settled(rt, claims["a"], Misconfigured("535"))
        settled(rt, claims["b"], Misconfigured("535"))
        settled(rt, claims["c"], Accepted("m1"))
        found = rows(rt, alert_id)
        assert (found["anna"]["state"], found["anna"]["due_at"]) == ("pending", rt.now())
        assert found["ben"]["state"] == "held"

    def test_one_that_is_held_again_and_again_waits_for_an_operator(self, rt: Runtime) -> None:
        for person in ("taro", *(f"p{number}" for number in range(4))):
            settle(rt, person)
        alert_id = alert(rt)
        others = []
        for claimed in claim(rt):
            if claimed.address["email"].startswith("taro"):
                settled(rt, claimed, Misconfigured("403"))
            else:
                others.append(claimed)
        story = []
        for other in others:
            settled(rt, other, Accepted("m1"))
            story.append(str(state(rt, alert_id)))
            for claimed in claim(rt):
                assert claimed.tries == 1
                settled(rt, claimed, Misconfigured("403"))
        assert story == ["pending", "pending", "held", "held"]


class TestGivingBack:
    def test_what_a_dead_worker_held_is_due_again_at_once(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        (first,) = claim(rt, "dead")
        clock.move(seconds=12)
        with rt.store.write() as connection:
            assert unsent.lapse(connection, ["somebody else"], rt.now()) == 0
            assert unsent.lapse(connection, ["dead", "deader"], rt.now()) == 1
        (again,) = claim(rt, "w2")
        assert again.attempt == 2
        assert again.dark == {"primary": START}, "nobody knows how the first attempt ended"
        assert first.dark == {}

    def test_an_attempt_whose_outcome_is_known_is_not_in_the_dark(self, rt: Runtime, clock: Clock) -> None:
        settle(rt, "taro")
        alert(rt)
        settled(rt, claim(rt)[0], Deferred("busy"))
        clock.move(minutes=1)
        assert claim(rt)[0].dark == {}

    def test_what_is_held_by_nobody_who_is_listed_is_given_back(self, rt: Runtime, alert_id: str) -> None:
        heartbeat.start(rt, "alive", "worker", "email")
        claim(rt, "alive")
        with rt.store.write() as connection:
            assert unsent.lapse_orphans(connection, rt.now()) == 0
        heartbeat.end(rt, [])
        settle(rt, "hanako")
        second = alert(rt)
        claim(rt, "never listed")
        with rt.store.write() as connection:
            assert unsent.lapse_orphans(connection, rt.now()) == 2
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
            assert unsent.release(connection, ["sms", "webpush"], rt.now()) == 0
            assert unsent.release(connection, ["email"], rt.now()) == 1
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
            unsent.lapse(connection, ["dead"], rt.now())
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
            receipts.keep(connection, "sms", Receipt("m1", False), rt.now())
            assert receipts.apply(connection, rt.now()) == set()
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
                    receipts.keep(connection, "email", Receipt(f"m{number}", True), rt.now())
            with rt.store.write() as connection:
                receipts.apply(connection, rt.now())

        at_once(news, range(4))
        assert {row["state"] for row in rows(rt, alert_id).values()} == {"delivered"}
