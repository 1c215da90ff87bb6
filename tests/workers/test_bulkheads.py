"""A lane or a provider that fails keeps nobody else waiting: lanes, circuits, second providers, rates, ceilings."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alertd.core.audience import Audience
from alertd.core.delivery import Accepted, Deferred, Misconfigured, Refused
from alertd.core.flow import Flows
from alertd.core.message import Budget
from alertd.core.segments import count_segments
from alertd.service import heartbeat, posting, reaching, watching
from alertd.service.runtime import Runtime
from alertd.store import circuits, counters, deliveries, unsent
from channels.base import Context, VapidKey
from channels.hosts import Hosts
from channels.push_crypto import generate_key
from channels.webpush import WebPush
from tests.installation import PUBLIC_URL, Clock, actor, alert, settle
from tests.providers.push import BrowserSubscription, PushService, b64
from tests.services import wait_until
from tests.workers.pigeons import Homing, Pigeon, rows, states
from workers.circuit_board import CircuitBoard
from workers.deliver import Deliverer
from workers.lease import Lease

NOT_TO_THEM = Misconfigured("400 21608 unverified", of_recipient=True)


class Ticks:
    """Monotonic seconds that pass by being read, and by being moved."""

    def __init__(self, each: float = 0.0) -> None:
        self.at = 1_000.0
        self._each = each

    def __call__(self) -> float:
        self.at += self._each
        return self.at


class Text(Pigeon):
    """Takes letters over as if they were SMS: they cost parts."""

    def __init__(self, daily_parts: int | None = None) -> None:
        super().__init__()
        self.budget = Budget("short", 3, 4, daily_parts=daily_parts)
        self.kind = "sms"

    async def send(self, address: Any, message: Any, **options: Any) -> Any:
        return await super().send({"email": address["phone"]}, message, **options)


def towns(rt: Runtime, *lanes: str, each: int = 10) -> str:
    for lane in lanes:
        for number in range(each):
            settle(rt, f"{lane}{number}", email=f"{lane}{number}@{lane}.jp")
    return alert(rt)


class TestLanes:
    async def test_a_lane_that_hangs_holds_none_of_the_others_up(self, rt: Runtime) -> None:
        alert_id = towns(rt, "hang", "well", each=20)
        pigeon = Pigeon(concurrency=8)
        hanging = asyncio.Event()

        class Hanging(Pigeon):
            async def send(self, address: Any, message: Any, **options: Any) -> Any:
                if address["email"].endswith("@hang.jp"):
                    await hanging.wait()
                    return Deferred("no answer in time")
                return await pigeon.send(address, message, **options)

        deliverer = Deliverer(rt, {"primary": Hanging(concurrency=8)}, "w1")
        draining = asyncio.create_task(deliverer.drain())

        def well_is_sent() -> bool:
            found = rows(rt, alert_id).values()
            return all(row["state"] == "sent" for row in found if row["lane"] == "well.jp")

        await asyncio.to_thread(wait_until, well_is_sent)
        found = [row["state"] for row in rows(rt, alert_id).values() if row["lane"] == "hang.jp"]
        assert sorted(found) == ["pending"] * 16 + ["sending"] * 4, "half of the places, and no more"
        hanging.set()
        await draining

    async def test_a_lane_that_fails_is_left_alone_probed_and_used_again(self, rt: Runtime, clock: Clock) -> None:
        alert_id = towns(rt, "ill", each=10)
        ticks, pigeon = Ticks(), Pigeon()
        pigeon.answers = {f"ill{number}": Deferred("503 busy") for number in range(10)}
        deliverer = Deliverer(rt, {"primary": pigeon}, "w1", monotonic=ticks)
        await deliverer.drain()
        assert len(pigeon.sent) <= 4, "three failures, and what was under way beside them"
        (circuit,) = deliverer.circuits()
        assert (circuit["lane"], circuit["state"], circuit["reason"]) == ("ill.jp", "open", "503 busy")
        before = len(pigeon.sent)
        assert await deliverer.drain() == 0
        ticks.at += 1
        await deliverer.drain()
        assert len(pigeon.sent) == before + 1, "one probe"
        pigeon.answers.clear()
        ticks.at += 2
        clock.move(minutes=2)
        await deliverer.drain()
        assert set(states(rt, alert_id).values()) == {"sent"}
        assert deliverer.circuits() == []

    async def test_a_lane_that_asks_for_it_is_left_alone_without_a_circuit(self, rt: Runtime, clock: Clock) -> None:
        alert_id = towns(rt, "busy", each=6)
        ticks, pigeon = Ticks(), Pigeon(concurrency=2)
        pigeon.answers = {f"busy{number}": Deferred("429", timedelta(seconds=20)) for number in range(6)}
        deliverer = Deliverer(rt, {"primary": pigeon}, "w1", monotonic=ticks)
        await deliverer.drain()
        assert len(pigeon.sent) == 2, "the first may be about one device"
        assert deliverer.circuits() == []
        pigeon.answers.clear()
        ticks.at += 19
        clock.move(seconds=19)
        assert await deliverer.drain() == 0
        ticks.at += 1
        clock.move(seconds=1)
        await deliverer.drain()
        assert set(states(rt, alert_id).values()) == {"sent"}

    async def test_a_server_that_fails_and_asks_for_a_pause_fails_all_the_same(self, rt: Runtime) -> None:
        towns(rt, "ill", each=10)
        pigeon = Pigeon()
        pigeon.answers = {f"ill{number}": Deferred("503 busy", timedelta(seconds=5)) for number in range(10)}
        deliverer = Deliverer(rt, {"primary": pigeon}, "w1", monotonic=Ticks())
        await deliverer.drain()
        assert [(each["lane"], each["state"]) for each in deliverer.circuits()] == [("ill.jp", "open")]

    async def test_mailboxes_that_are_busy_do_not_close_their_lane(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=10)
        pigeon = Pigeon()
        busy = Deferred("450 4.2.1 busy", of_recipient=True)
        pigeon.answers = {f"a{number}": busy for number in range(9)}
        deliverer = Deliverer(rt, {"primary": pigeon}, "w1", monotonic=Ticks())
        await deliverer.drain()
        assert len(pigeon.sent) == 10
        assert deliverer.circuits() == []
        assert states(rt, alert_id)["a9"] == "sent"


class TestCircuitBoard:
    def row(self, lane: str, age: float, state: str = "open") -> dict[str, Any]:
        passed = timedelta(seconds=age)
        return {"channel": "email", "provider": "primary", "lane": lane, "state": state, "reason": "503", "age": passed}

    def shown(self, rt: Runtime) -> list[tuple[str, str]]:
        with rt.store.read() as connection:
            return [(row["lane"], row["state"]) for row in circuits.not_closed(connection)]

    def test_it_shows_what_is_not_closed_and_since_when(self, rt: Runtime, clock: Clock) -> None:
        board = CircuitBoard(rt, "w1")
        board.show([self.row("a.jp", 5), self.row("b.jp", 0, "half-open")])
        assert self.shown(rt) == [("a.jp", "open"), ("b.jp", "half-open")]
        with rt.store.read() as connection:
            assert circuits.not_closed(connection)[0]["since"] == rt.now() - timedelta(seconds=5)
        board.show([])
        assert self.shown(rt) == []

    def test_it_is_written_when_something_changes_and_not_as_it_ages(self, rt: Runtime, clock: Clock) -> None:
        board = CircuitBoard(rt, "w1")
        board.show([self.row("a.jp", 0)])
        with rt.store.write() as connection:
            circuits.replace(connection, "w1", [])
        board.show([self.row("a.jp", 5)])
        assert self.shown(rt) == []
        board.forget()
        board.show([self.row("a.jp", 5)])
        assert self.shown(rt) == [("a.jp", "open")]

    def test_a_worker_that_ends_takes_its_own_down(self, rt: Runtime) -> None:
        for worker in ("w1", "w2"):
            heartbeat.start(rt, worker, "worker", "email")
            CircuitBoard(rt, worker).show([self.row(f"{worker}.jp", 0)])
        heartbeat.end(rt, ["w1"])
        assert self.shown(rt) == [("w2.jp", "open")]


class TestTwoProviders:
    async def test_the_second_takes_over_at_once_what_is_our_fault_at_the_first(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", "b", each=5)
        first, second = Pigeon(concurrency=1), Pigeon()
        first.answers = {f"{lane}{number}": Misconfigured("535 password") for lane in "ab" for number in range(5)}
        deliverer = Deliverer(rt, {"primary": first, "secondary": second}, "w1")
        await deliverer.drain()
        await deliverer.drain()
        assert len(first.sent) == 1, "it is not asked again and again"
        assert len(second.sent) == 10
        found = rows(rt, alert_id).values()
        assert {(row["state"], row["provider"], row["tries"]) for row in found} == {("sent", "secondary", 1)}
        assert [(each["provider"], each["lane"]) for each in deliverer.circuits()] == [("primary", "*")]

    async def test_what_is_our_fault_at_both_is_held(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=1)
        pigeons = Pigeon(), Pigeon()
        for pigeon in pigeons:
            pigeon.answers["a0"] = Misconfigured("535 password")
        deliverer = Deliverer(rt, dict(zip(("primary", "secondary"), pigeons, strict=True)), "w1")
        await deliverer.drain()
        await deliverer.drain()
        assert states(rt, alert_id) == {"a0": "held"}

    @pytest.mark.parametrize("reason", ["429 Too Many Requests", "429 20429 too many", "400 14107 too fast"])
    async def test_the_second_takes_over_while_the_first_wants_a_pause(self, rt: Runtime, reason: str) -> None:
        alert_id = towns(rt, "a", each=8)
        first, second = Pigeon(concurrency=2), Pigeon()
        first.answers = {f"a{number}": Deferred(reason, timedelta(seconds=50)) for number in range(8)}
        deliverer = Deliverer(rt, {"primary": first, "secondary": second}, "w1", monotonic=Ticks())
        await deliverer.drain()
        assert (len(first.sent), len(second.sent)) == (2, 6)
        assert deliverer.circuits() == []
        assert sorted(states(rt, alert_id).values()) == ["pending"] * 2 + ["sent"] * 6

    async def test_the_second_takes_over_from_a_first_that_fails_and_asks_for_a_pause(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=8)
        first, second = Pigeon(concurrency=4), Pigeon()
        first.answers = {f"a{number}": Deferred("503 busy", timedelta(seconds=50)) for number in range(8)}
        deliverer = Deliverer(rt, {"primary": first, "secondary": second}, "w1", monotonic=Ticks())
        await deliverer.drain()
        assert sorted(states(rt, alert_id).values()) == ["pending"] * len(first.sent) + ["sent"] * len(second.sent)
        assert len(second.sent) >= 4

    async def test_whom_the_first_may_not_write_to_is_written_to_by_the_second_and_nobody_else(
        self, rt: Runtime
    ) -> None:
        alert_id = towns(rt, "a", each=6)
        first, second = Pigeon(), Pigeon()
        first.answers = {"a0": NOT_TO_THEM, "a1": NOT_TO_THEM}
        deliverer = Deliverer(rt, {"primary": first, "secondary": second}, "w1")
        await deliverer.drain()
        await deliverer.drain()
        assert len(first.sent) == 6
        assert sorted(address for address, _, _ in second.sent) == ["a0@a.jp", "a1@a.jp"]
        assert set(states(rt, alert_id).values()) == {"sent"}
        assert deliverer.circuits() == []

    @pytest.mark.parametrize("other", [Misconfigured("400 21408", of_recipient=True), Misconfigured("401 20003")])
    async def test_whom_neither_may_write_to_is_held_after_one_attempt_each(
        self, rt: Runtime, other: Misconfigured
    ) -> None:
        alert_id = towns(rt, "a", each=1)
        first, second = Pigeon(), Pigeon()
        first.answers["a0"], second.answers["a0"] = NOT_TO_THEM, other
        deliverer = Deliverer(rt, {"primary": first, "secondary": second}, "w1")
        for _ in range(3):
            await deliverer.drain()
        assert (len(first.sent), len(second.sent)) == (1, 1)
        assert states(rt, alert_id) == {"a0": "held"}
        del second.answers["a0"]
        posting.release_held(rt, ["email"])
        deliverer = Deliverer(rt, {"primary": first, "secondary": second}, "w2")
        await deliverer.drain()
        await deliverer.drain()
        assert states(rt, alert_id) == {"a0": "sent"}, "the second was mended, and is asked again"

    async def test_whom_the_only_one_may_not_write_to_is_held_however_many_others_get_theirs(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=2)
        pigeon = Pigeon()
        pigeon.answers["a0"] = NOT_TO_THEM
        deliverer = Deliverer(rt, {"primary": pigeon}, "w1")
        for _ in range(6):
            await deliverer.drain()
            alert(rt)
        assert states(rt, alert_id) == {"a0": "held", "a1": "sent"}
        assert rows(rt, alert_id)["a0"]["attempt"] == 3, "tried again when others got theirs, but not for ever"

    async def test_what_was_denied_to_everybody_goes_when_one_gets_through(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=3)
        pigeon = Pigeon()
        pigeon.answers = {f"a{number}": NOT_TO_THEM for number in range(3)}
        deliverer = Deliverer(rt, {"primary": pigeon}, "w1")
        await deliverer.drain()
        assert set(states(rt, alert_id).values()) == {"held"}
        pigeon.answers.clear()
        later = alert(rt)
        await deliverer.drain()
        await deliverer.drain()
        assert set(states(rt, alert_id).values()) == set(states(rt, later).values()) == {"sent"}

    async def test_those_who_wait_for_the_second_keep_nobody_behind_them_waiting(self, rt: Runtime) -> None:
        towns(rt, "a", each=3)
        first, second = Pigeon(concurrency=1), Pigeon()
        first.answers = {f"a{number}": NOT_TO_THEM for number in range(3)}
        second.answers = {f"a{number}": Deferred("429", timedelta(seconds=50)) for number in range(3)}
        alert_id = towns(rt, "b", each=3)
        deliverer = Deliverer(rt, {"primary": first, "secondary": second}, "w1", monotonic=Ticks())
        await deliverer.drain()
        found = states(rt, alert_id)
        assert {found[f"b{number}"] for number in range(3)} == {"sent"}

    async def test_the_second_takes_over_the_lane_on_which_the_first_refuses_connections(
        self, rt: Runtime, clock: Clock
    ) -> None:
        alert_id = towns(rt, "a", each=8)
        first, second = Pigeon(concurrency=4), Pigeon()
        first.answers = {f"a{number}": Deferred("ClientConnectorError: refused") for number in range(8)}
        deliverer = Deliverer(rt, {"primary": first, "secondary": second}, "w1", monotonic=Ticks())
        await deliverer.drain()
        clock.move(seconds=5)
        await deliverer.drain()
        assert 3 <= len(first.sent) <= 4
        assert set(states(rt, alert_id).values()) == {"sent"}

    @pytest.mark.parametrize("where", ["primary", "secondary"])
    async def test_an_end_in_the_dark_is_looked_up_at_the_provider_that_may_have_it(
        self, rt: Runtime, where: str
    ) -> None:
        alert_id = towns(rt, "a", each=1)
        leave_in_the_dark(rt, where)
        pigeons = {"primary": Homing(None), "secondary": Homing(None)}
        pigeons[where].found = Accepted("m7")
        await Deliverer(rt, pigeons, "w1").drain()
        assert {name for name, pigeon in pigeons.items() if pigeon.asked} == {where}
        assert not pigeons["primary"].sent
        assert not pigeons["secondary"].sent
        row = rows(rt, alert_id)["a0"]
        assert (row["state"], row["provider"], row["provider_id"]) == ("sent", where, "m7")

    async def test_every_provider_is_asked_that_may_have_it(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=1)
        leave_in_the_dark(rt, "primary")
        leave_in_the_dark(rt, "secondary")
        pigeons = {"primary": Homing(None), "secondary": Homing(Accepted("m7"))}
        await Deliverer(rt, pigeons, "w1").drain()
        assert {name: len(pigeon.asked) for name, pigeon in pigeons.items()} == {"primary": 1, "secondary": 1}
        row = rows(rt, alert_id)["a0"]
        assert (row["state"], row["provider"], row["provider_id"]) == ("sent", "secondary", "m7")

    async def test_one_that_was_not_taken_in_the_dark_is_sent_at_the_provider_of_now(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=1)
        leave_in_the_dark(rt, "secondary")
        pigeons = {"primary": Homing(None), "secondary": Homing(None)}
        await Deliverer(rt, pigeons, "w1").drain()
        assert (len(pigeons["secondary"].asked), len(pigeons["primary"].sent)) == (1, 1)
        assert rows(rt, alert_id)["a0"]["provider"] == "primary"

    async def test_a_provider_that_cannot_be_asked_and_is_left_alone_is_not_waited_for(
        self, rt: Runtime, clock: Clock
    ) -> None:
        alert_id = towns(rt, "a", each=2)
        leave_in_the_dark(rt, "primary", limit=1)
        first, second = Homing(Deferred("cannot ask")), Homing(None)
        first.answers = {"a0": Misconfigured("20003"), "a1": Misconfigured("20003")}
        deliverer = Deliverer(rt, {"primary": first, "secondary": second}, "w1", monotonic=Ticks())
        await deliverer.drain()
        clock.move(seconds=5)
        await deliverer.drain()
        assert len(first.asked) == 2
        assert set(states(rt, alert_id).values()) == {"sent"}
        assert {row["provider"] for row in rows(rt, alert_id).values()} == {"secondary"}

    async def test_a_provider_that_was_taken_away_is_not_asked(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=1)
        leave_in_the_dark(rt, "secondary")
        await Deliverer(rt, {"primary": Homing(None)}, "w1").drain()
        assert states(rt, alert_id) == {"a0": "sent"}


def leave_in_the_dark(rt: Runtime, provider: str, limit: int = 10) -> None:
    """Let a worker die in the middle of attempts at that provider."""
    flows = Flows(("primary", "secondary"), 100)
    if provider == "secondary":
        flows.refuse(flows.begin("primary", "", 0), "20003", 0)
    room = flows.room(limit, {"primary": 100, "secondary": 100}, 1)
    with rt.store.write() as connection:
        claims = deliveries.claim(connection, "email", "dead", limit, rt.now(), room)
        assert {claim.provider for claim in claims} == {provider}
        unsent.lapse(connection, ["dead"], rt.now())


class TestRates:
    @pytest.mark.parametrize("workers", [1, 2])
    async def test_no_more_goes_out_than_the_provider_takes(self, rt: Runtime, workers: int) -> None:
        alert_id = towns(rt, "a", each=35)
        ticks, pigeon = Ticks(each=0.02), Pigeon(concurrency=50, rate=10)
        sent_at: list[float] = []
        pigeon.landed = lambda: sent_at.append(ticks.at)
        deliverer = Deliverer(rt, {"primary": pigeon}, "w1", monotonic=ticks)
        deliverer.share(workers)
        await deliverer.drain()
        assert set(states(rt, alert_id).values()) == {"sent"}
        rate = 10 / workers
        for index, begin in enumerate(sent_at):
            for count, end in enumerate(sent_at[index:], 1):
                assert count <= rate * (end - begin + 0.2) + rate + 1, "it lands a little after it goes"


class TestCeiling:
    async def drain(self, rt: Runtime, most: int | None) -> Text:
        text = Text(most)
        await Deliverer(rt, {"primary": text}, "w1").drain()
        return text

    def town(self, rt: Runtime, people: int) -> None:
        for number in range(people):
            settle(rt, f"p{number}", email=None, phone=f"090-1234-567{number}")

    def used(self, rt: Runtime) -> int:
        with rt.store.read() as connection:
            return counters.used(connection, "sms", "2026-11-22")

    async def test_what_was_accepted_is_counted_in_parts(self, rt: Runtime) -> None:
        self.town(rt, 3)
        alert(rt)
        text = await self.drain(rt, None)
        parts = {count_segments(message.text) for _, message, _ in text.sent}
        assert self.used(rt) == 3 * parts.pop() > 3

    async def test_what_was_not_accepted_costs_nothing(self, rt: Runtime) -> None:
        self.town(rt, 1)
        alert(rt)
        text = Text()
        text.answers["+819012345670"] = Refused("30007 filtered")
        await Deliverer(rt, {"primary": text}, "w1").drain()
        assert self.used(rt) == 0

    async def test_drills_and_tests_end_at_the_ceiling_and_real_alerts_do_not(self, rt: Runtime) -> None:
        self.town(rt, 4)
        drill = alert(rt, drill=True)
        text = await self.drain(rt, 1)
        assert text.sent == []
        assert set(states(rt, drill).values()) == {"cancelled"}
        reasons = {row["reason"] for row in rows(rt, drill).values()}
        assert reasons == {"not sent: drills and tests end at the day's ceiling of 1 parts"}
        reaching.send_test(rt, actor("p0"))
        assert (await self.drain(rt, 1)).sent == []
        real = alert(rt)
        assert len((await self.drain(rt, 1)).sent) == 4
        assert set(states(rt, real).values()) == {"sent"}

    async def test_half_of_it_four_fifths_and_all_of_it_are_warned_of_once_each(
        self, rt: Runtime, clock: Clock, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.town(rt, 1)
        settle(rt, "chief", role="admin", phone="090-1111-2222")
        caplog.set_level(logging.WARNING)
        told = []
        for _ in range(12):
            alert(rt, audience=Audience(people=("p0",)))
            await self.drain(rt, 20)
            told.append([record.getMessage().split(" %")[0] for record in caplog.records])
            caplog.clear()
        assert [words[0] for words in told if words] == ["50", "80", "100"]
        assert max(map(len, told)) == 1
        heard = [row for row in watching.read_inbox(rt, actor("chief")) if row["kind"] == "notice"]
        assert sorted(row["title"].partition("上限の")[2].split(" %")[0] for row in heard) == ["100", "50", "80"]
        with rt.store.read() as connection:
            ways = [row["channel"] for told in heard for row in deliveries.of_people(connection, told["id"], ["chief"])]
        assert ways == ["email"] * 3
        clock.move(hours=24)
        assert self.used(rt) > 20, "of the day before"
        drill = alert(rt, drill=True, audience=Audience(people=("p0",)))
        await self.drain(rt, 20)
        assert states(rt, drill) == {"p0": "sent"}


class TestLease:
    async def test_what_others_may_hold_by_now_is_dropped_without_a_word(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=3)
        ticks, pigeon = Ticks(), Pigeon()
        lease = Lease(ticks.at)
        pigeon.let.clear()
        deliverer = Deliverer(rt, {"primary": pigeon}, "w1", lease=lease, monotonic=ticks)
        draining = asyncio.create_task(deliverer.drain())
        await asyncio.to_thread(wait_until, lambda: pigeon.flying >= 2)
        ticks.at += 9
        assert lease.was_lost(ticks.at)
        deliverer.drop()
        await draining
        assert "sent" not in states(rt, alert_id).values()
        assert "sending" in states(rt, alert_id).values()
        pigeon.let.set()
        assert await deliverer.drain() == 0, "the store has not been reached since"
        lease.renew(ticks.at)
        assert lease.was_lost(ticks.at)
        assert await deliverer.drain() == 3
        assert set(states(rt, alert_id).values()) == {"sent"}

    async def test_nothing_is_sent_that_others_may_hold_by_now(self, rt: Runtime) -> None:
        alert_id = towns(rt, "a", each=1)
        leave_in_the_dark(rt, "primary")
        ticks = Ticks()

        class Slow(Homing):
            async def find(self, *address: Any, **options: Any) -> None:
                ticks.at += 9

        slow = Slow(None)
        await Deliverer(rt, {"primary": slow}, "w1", lease=Lease(ticks.at), monotonic=ticks).drain()
        assert slow.sent == []
        row = rows(rt, alert_id)["a0"]
        assert (row["state"], row["tries"]) == ("pending", 1), "the try of the worker that died, and no other"


class TestRealPushServices:
    """Two push services, of which one hangs."""

    @pytest.fixture
    def services(self) -> Iterator[tuple[PushService, PushService]]:
        with PushService() as well, PushService() as ill:
            yield well, ill

    def subscribe(self, rt: Runtime, push: PushService, person: str, key: VapidKey) -> BrowserSubscription:
        subscription = push.subscribe(key.public_key)
        address = {
            "endpoint": subscription.endpoint,
            "p256dh": subscription.p256dh,
            "auth": b64(subscription.auth),
            "key_id": key.id,
        }
        settle(rt, person, email=None)
        reaching.subscribe(rt, actor(person), "webpush", address, None)
        return subscription

    async def test_the_one_that_hangs_is_left_alone_and_used_again_once_it_is_well(
        self, rt: Runtime, clock: Clock, services: tuple[PushService, PushService]
    ) -> None:
        well, ill = services
        clock.time = datetime.now(UTC)  # push services check the signature's time by their own clocks
        key = generate_key()
        for number in range(20):
            self.subscribe(rt, well, f"well{number}", key)
            self.subscribe(rt, ill, f"ill{number}", key)
        ill.hang(times=None)
        alert_id = alert(rt)
        channel = WebPush(
            Context(PUBLIC_URL, "みどり市", "JP", {key.id: key}),
            "mailto:admin@example.jp",
            Hosts.parse(f"{well.host},{ill.host}"),
            timeout=3.0,  # long enough for the one that is well, however busy this machine is
        )
        ticks, board = Ticks(), CircuitBoard(rt, "w1")
        deliverer = Deliverer(rt, {"primary": channel}, "w1", monotonic=ticks)
        await deliverer.drain()
        board.show(deliverer.circuits())
        with rt.store.read() as connection:
            (circuit,) = circuits.not_closed(connection)
        assert (circuit["lane"], circuit["state"]) == (ill.host, "open")
        found = states(rt, alert_id)
        assert {found[f"well{number}"] for number in range(20)} == {"sent"}
        assert "sent" not in {found[f"ill{number}"] for number in range(20)}
        ill.reset_plans()
        clock.move(minutes=2)
        ticks.at += 1
        await deliverer.drain()
        assert set(states(rt, alert_id).values()) == {"sent"}
        board.show(deliverer.circuits())
        with rt.store.read() as connection:
            assert circuits.not_closed(connection) == []
        assert sorted(len(push.messages) for push in services) == [20, 20]
        await channel.aclose()

    async def test_one_that_sends_us_elsewhere_fails_and_loses_nothing(
        self, rt: Runtime, clock: Clock, services: tuple[PushService, PushService]
    ) -> None:
        push, _ = services
        clock.time = datetime.now(UTC)
        key = generate_key()
        for number in range(5):
            self.subscribe(rt, push, f"p{number}", key)
        push.answer(302, times=None)
        alert_id = alert(rt)
        context = Context(PUBLIC_URL, "みどり市", "JP", {key.id: key})
        channel = WebPush(context, "mailto:admin@example.jp", Hosts.parse(push.host))
        ticks = Ticks()
        deliverer = Deliverer(rt, {"primary": channel}, "w1", monotonic=ticks)
        await deliverer.drain()
        assert set(states(rt, alert_id).values()) == {"pending"}
        assert [(each["lane"], each["state"]) for each in deliverer.circuits()] == [(push.host, "open")]
        push.reset_plans()
        clock.move(minutes=2)
        ticks.at += 1
        await deliverer.drain()
        assert set(states(rt, alert_id).values()) == {"sent"}
        await channel.aclose()
