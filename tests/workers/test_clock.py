"""The clock's duties, tick by tick, and by what it tells that a worker is dead."""

import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select

from alertd.core.delivery import Receipt, State, Transition
from alertd.core.errors import StoreUnavailable
from alertd.core.escalation import Plan, Step
from alertd.service import heartbeat
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, instance, receipts, schema, settlements, steps
from alertd.store.deliveries import Claim
from alertd.store.settlements import Settlement
from tests.installation import Bell, alert, settle
from tests.installation import Clock as Time
from tests.threads import at_once
from workers.clock import Clock, LeaseWatch


def claim(rt: Runtime, worker: str) -> Claim:
    with rt.store.write() as connection:
        (claimed,) = deliveries.claim(connection, "email", worker, 1, rt.now())
    return claimed


def state(rt: Runtime, alert_id: str) -> str:
    with rt.store.read() as connection:
        (row,) = deliveries.of_people(connection, alert_id, ["taro"])
    return str(row["state"])


def listed(rt: Runtime) -> set[str]:
    with rt.store.read() as connection:
        return {row["id"] for row in instance.list_workers(connection)}


class TestLeaseWatch:
    def watch(self) -> LeaseWatch:
        return LeaseWatch(lease=10, gap=3)

    def test_a_counter_that_stands_still_for_a_lease_is_a_dead_worker_s(self) -> None:
        watch = self.watch()
        assert [watch.look({"w": 5}, at) for at in range(0, 10, 2)] == [[]] * 5
        assert watch.look({"w": 5}, 10) == ["w"]
        assert watch.look({"w": 5}, 11) == ["w"], "until somebody strikes it"

    def test_one_that_moves_lives_whichever_way_it_moves(self) -> None:
        watch = self.watch()
        assert [watch.look({"w": at // 4}, at) for at in range(0, 40, 2)] == [[]] * 20
        assert [watch.look({"w": -at}, at) for at in range(40, 60, 2)] == [[]] * 10

    def test_each_has_its_own_time(self) -> None:
        watch = self.watch()
        for at in range(0, 10, 2):
            assert watch.look({"still": 1, "moving": at} | ({"late": 1} if at >= 4 else {}), at) == []
        assert watch.look({"still": 1, "moving": 10, "late": 1}, 10) == ["still"]
        assert watch.look({"moving": 12, "late": 1}, 12) == []
        assert watch.look({"moving": 14, "late": 1}, 14) == ["late"]

    def test_time_in_which_nobody_could_look_does_not_count(self) -> None:
        watch = self.watch()
        assert watch.look({"w": 1}, 0) == []
        assert watch.look({"w": 1}, 2) == []
        assert watch.look({"w": 1}, 60) == [], "the store, or this machine, was away"
        assert [watch.look({"w": 1}, at) for at in (63, 66, 69)] == [[]] * 3
        assert watch.look({"w": 1}, 70) == ["w"]

    def test_one_that_is_listed_again_begins_anew(self) -> None:
        watch = self.watch()
        for at in range(0, 8, 2):
            watch.look({"w": 1}, at)
        watch.look({}, 8)
        assert watch.look({"w": 1}, 10) == []
        assert watch.look({"w": 1}, 12) == []


class TestTick:
    def test_it_rings_for_whatever_is_due_and_for_nothing_else(self, rt: Runtime, time: Time, bell: Bell) -> None:
        settle(rt, "taro", phone="090-1234-5678")
        alert(rt)
        clock = Clock(rt, "c1", 1.0)
        bell.rung.clear()
        clock.tick()
        assert bell.rung == ["work:email", "work:sms"]
        claimed = claim(rt, "c1")
        later = Transition(State.PENDING, "busy", due_at=rt.now() + timedelta(seconds=10))
        with rt.store.write() as connection:
            settlements.settle(connection, [Settlement(claimed, "deferred", later)], rt.now())
        bell.rung.clear()
        clock.tick()
        assert bell.rung == ["work:sms"]
        time.move(seconds=10)
        bell.rung.clear()
        clock.tick()
        assert bell.rung == ["work:email", "work:sms"]

    def test_it_closes_what_is_over_and_says_so_once(self, rt: Runtime, time: Time, bell: Bell) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        clock = Clock(rt, "c1", 1.0)
        time.move(hours=24)
        bell.rung.clear()
        clock.tick()
        clock.tick()
        assert bell.rung == [f"changed:{alert_id}"]
        assert state(rt, alert_id) == "expired"

    def test_it_gives_back_what_nobody_who_is_listed_holds(self, rt: Runtime, bell: Bell) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        heartbeat.start(rt, "alive", "worker", "email")
        claim(rt, "alive")
        clock = Clock(rt, "c1", 1.0)
        clock.tick()
        assert state(rt, alert_id) == "sending"
        with rt.store.write() as connection:
            instance.end_worker(connection, "alive")
        bell.rung.clear()
        clock.tick()
        assert state(rt, alert_id) == "pending"
        assert bell.rung == ["work:email"]

    def test_it_applies_news_that_came_too_early(self, rt: Runtime, bell: Bell) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        claimed = claim(rt, "c1")
        with rt.store.write() as connection:
            receipts.keep(connection, "email", Receipt("m1", True), rt.now())
            sent = Transition(State.SENT, provider_id="m1")
            settlements.settle(connection, [Settlement(claimed, "accepted", sent)], rt.now())
        bell.rung.clear()
        Clock(rt, "c1", 1.0).tick()
        assert bell.rung == [f"changed:{alert_id}"]
        assert state(rt, alert_id) == "delivered"

    def test_it_lists_itself_and_counts_up(self, rt: Runtime) -> None:
        clock = Clock(rt, "c1", 1.0)
        for _ in range(3):
            clock.beat()
        with rt.store.read() as connection:
            (row,) = instance.list_workers(connection)
        assert (row["id"], row["role"], row["beat"]) == ("c1", "clock", 2)

    def test_a_duty_that_fails_leaves_the_others_to_do_theirs(self, rt: Runtime, time: Time, bell: Bell) -> None:
        settle(rt, "taro")
        alert(rt)
        calls = 0

        def now() -> datetime:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise StoreUnavailable("away")
            if calls == 2:
                raise ZeroDivisionError
            return time()

        bell.rung.clear()
        Clock(replace(rt, now=now), "c1", 1.0).tick()
        assert "work:email" in bell.rung

    def test_it_beats_whatever_a_duty_takes(self, rt: Runtime, time: Time) -> None:
        settle(rt, "taro")
        alert(rt)
        stuck, beaten, free = threading.Event(), threading.Semaphore(0), threading.Event()

        class Stuck(Bell):
            def work(self, channels: Iterable[str]) -> None:
                stuck.set()
                free.wait(60)

        def now() -> datetime:
            if threading.current_thread().name == "heartbeat":
                beaten.release()
                if not stuck.is_set():
                    raise ZeroDivisionError  # nor does one that fails end the others
            return time()

        clock = Clock(replace(rt, now=now, bell=Stuck()), "c1", 0.01, beat_seconds=0.01)
        running = threading.Thread(target=clock.run)
        running.start()
        assert stuck.wait(30)
        for _ in range(5):
            assert beaten.acquire(timeout=30)
        clock.stop()
        free.set()
        running.join(30)
        assert not running.is_alive()
        assert listed(rt) == set()

    def test_it_starts_a_few_steps_at_a_time(self, rt: Runtime, time: Time) -> None:
        settle(rt, "taro")
        plan = Plan((Step(0, ("email",)), Step(60, ("email",))))
        alert_ids = [alert(rt, plan=plan) for _ in range(7)]
        time.move(seconds=60)
        clock = Clock(rt, "c1", 1.0)

        def started() -> int:
            with rt.store.read() as connection:
                runs = [run for alert_id in alert_ids for run in steps.of_alert(connection, alert_id)]
            return sum(run["step"] == 1 and run["started_at"] is not None for run in runs)

        counts = []
        for _ in range(3):
            clock.tick()
            counts.append(started())
        assert counts == [3, 6, 7]

    def test_once_a_day_it_clears_away_what_is_over(self, rt: Runtime, time: Time) -> None:
        clock = Clock(rt, "c1", 1.0)

        def keep(name: str) -> None:
            with rt.store.write() as connection:
                receipts.keep(connection, "email", Receipt(name, True), rt.now())

        def kept() -> set[str]:
            with rt.store.read() as connection:
                return set(connection.execute(select(schema.receipts.c.provider_id)).scalars())

        keep("old")
        clock.tick()
        time.move(days=20)
        keep("young")
        time.move(days=11)
        clock.tick()
        assert kept() == {"young"}

    def test_several_clocks_that_tick_at_once_do_each_thing_once(self, rt: Runtime, time: Time, bell: Bell) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        time.move(hours=24)
        bell.rung.clear()
        clocks = [Clock(rt, f"c{number}", 1.0) for number in range(4)]
        at_once(Clock.tick, clocks)
        at_once(Clock.tick, clocks)
        assert bell.rung == [f"changed:{alert_id}"]
        with rt.store.read() as connection:
            found = alerts.get(connection, alert_id)
        assert found is not None
        assert found["state"] == "expired"
