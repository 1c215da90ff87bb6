"""The deliverer: claims, attempts once each, settles; over channels that talk to nobody."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Outcome, Refused, State
from alertd.service import posting, watching
from alertd.service.revising import Revision, revise
from alertd.service.runtime import Runtime
from alertd.store import deliveries, schema, unsent
from tests.installation import BOSS, BUDGETS, PUBLIC_URL, Bell, Clock, alert, settle
from tests.services import wait_until
from tests.workers.pigeons import Homing, Pigeon, rows, states
from workers.deliver import Deliverer


def claim(rt: Runtime, worker: str) -> None:
    """Let a worker take what is due, and never come back."""
    with rt.store.write() as connection:
        assert deliveries.claim(connection, "email", worker, 100, rt.now())


def give_back(rt: Runtime, worker: str) -> None:
    with rt.store.write() as connection:
        assert unsent.lapse(connection, [worker], rt.now())


async def test_everybody_gets_their_own_message_once(rt: Runtime) -> None:
    for person in ("taro", "hanako"):
        settle(rt, person)
    settle(rt, "anna", language="en")
    alert_id = alert(rt, drill=True)
    pigeon = Pigeon()
    deliverer = Deliverer(rt, {"primary": pigeon}, "w1")
    assert await deliverer.drain() == 3
    assert await deliverer.drain() == 0
    assert sorted(address for address, _, _ in pigeon.sent) == [
        "anna@example.jp", "hanako@example.jp", "taro@example.jp",
    ]  # fmt: skip
    links = {message.link for _, message, _ in pigeon.sent}
    assert len(links) == 3
    for address, message, key in pigeon.sent:
        assert message.link.startswith(f"{PUBLIC_URL}/a/")
        assert message.text.count(message.link) == 1
        assert message.title.startswith("[DRILL] " if address.startswith("anna") else "【訓練】")
        assert key.startswith(f"{alert_id}.1.0.0.")
    assert set(states(rt, alert_id).values()) == {"sent"}


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (Accepted("m1"), State.SENT, None),
        (Deferred("busy"), State.PENDING, "busy"),
        (Refused("too large"), State.FAILED, "too large"),
        (Gone("no such box"), State.FAILED, "no such box"),
        (Misconfigured("no credit"), State.HELD, "no credit"),
        (Deferred("later", timedelta(hours=24)), State.PENDING, "later"),
        (ZeroDivisionError("ours"), State.PENDING, "internal error: ZeroDivisionError"),
        (Refused("x" * 10_000), State.FAILED, "x" * 500),
        (Refused("a\0b"), State.FAILED, "a b"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_an_attempt_came_to_is_settled(
    rt: Runtime, bell: Bell, outcome: Outcome | Exception, state: State, reason: str | None
) -> None:
    settle(rt, "taro", email="taro@elsewhere.jp")  # another lane: what succeeds there releases nothing here
    settle(rt, "hanako")
    alert_id = alert(rt)
    bell.rung.clear()
    pigeon = Pigeon()
    pigeon.answers["taro"] = outcome
    await Deliverer(rt, {"primary": pigeon}, "w1").drain()
    row = rows(rt, alert_id)["taro"]
    assert (row["state"], row["reason"]) == (state, reason)
    assert states(rt, alert_id)["hanako"] == "sent", "one that goes wrong takes nobody else down"
    assert set(bell.rung) == {f"changed:{alert_id}"}


async def test_what_was_put_off_is_tried_again_when_it_is_due(rt: Runtime, clock: Clock) -> None:
    settle(rt, "taro")
    alert_id = alert(rt)
    pigeon = Pigeon()
    pigeon.answers["taro"] = Deferred("busy", timedelta(seconds=30))
    deliverer = Deliverer(rt, {"primary": pigeon}, "w1", monotonic=lambda: clock().timestamp())
    assert await deliverer.drain() == 1
    del pigeon.answers["taro"]
    clock.move(seconds=29)
    assert await deliverer.drain() == 0
    clock.move(seconds=1)
    assert await deliverer.drain() == 1
    assert states(rt, alert_id) == {"taro": "sent"}
    first, again = pigeon.sent
    assert first == again, "the same message under the same key"


async def test_no_more_fly_at_once_than_the_channel_bears_and_all_are_sent(rt: Runtime) -> None:
    for number in range(17):
        settle(rt, f"p{number}")
    alert_id = alert(rt)
    pigeon = Pigeon(concurrency=3)
    assert await Deliverer(rt, {"primary": pigeon}, "w1").drain() == 17
    assert pigeon.most_flying <= 3
    assert len({address for address, _, _ in pigeon.sent}) == 17
    assert set(states(rt, alert_id).values()) == {"sent"}


async def test_an_attempt_that_hangs_does_not_hold_up_the_others_truth(rt: Runtime) -> None:
    settle(rt, "taro")
    first = alert(rt)
    pigeon = Pigeon()
    pigeon.let.clear()
    draining = asyncio.create_task(Deliverer(rt, {"primary": pigeon}, "w1").drain())
    await asyncio.to_thread(wait_until, lambda: pigeon.flying > 0)
    assert states(rt, first) == {"taro": "sending"}, "written before the first byte leaves"
    hanging, pigeon.let = pigeon.let, asyncio.Event()
    pigeon.let.set()
    second = alert(rt)
    await asyncio.to_thread(wait_until, lambda: states(rt, second) == {"taro": "sent"})
    assert states(rt, first) == {"taro": "sending"}
    hanging.set()
    assert await draining == 2
    assert states(rt, first) == {"taro": "sent"}


async def test_one_that_is_told_to_stop_finishes_what_it_has_in_hand(rt: Runtime) -> None:
    for number in range(9):
        settle(rt, f"p{number}")
    alert_id = alert(rt)
    pigeon = Pigeon(concurrency=6)  # half of them for one lane
    deliverer = Deliverer(rt, {"primary": pigeon}, "w1")
    pigeon.landed = deliverer.stop
    assert await deliverer.drain() == 3
    assert sorted(states(rt, alert_id).values()) == ["pending"] * 6 + ["sent"] * 3


async def test_two_deliverers_share_the_work_and_send_nothing_twice(rt: Runtime) -> None:
    for number in range(30):
        settle(rt, f"p{number}")
    alert_id = alert(rt)
    pigeons = [Pigeon(), Pigeon()]
    drained = await asyncio.gather(
        *(Deliverer(rt, {"primary": pigeon}, f"w{n}").drain() for n, pigeon in enumerate(pigeons))
    )
    rest = await Deliverer(rt, {"primary": pigeons[0]}, "w2").drain()
    assert sum(drained) + rest == 30
    sent = [address for pigeon in pigeons for address, _, _ in pigeon.sent]
    assert len(sent) == len(set(sent)) == 30
    assert set(states(rt, alert_id).values()) == {"sent"}


class TestDark:
    async def test_what_a_dead_worker_held_is_sent_again(self, rt: Runtime) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        claim(rt, "dead")
        pigeon = Pigeon()
        assert await Deliverer(rt, {"primary": pigeon}, "w1").drain() == 0
        give_back(rt, "dead")
        assert await Deliverer(rt, {"primary": pigeon}, "w1").drain() == 1
        assert states(rt, alert_id) == {"taro": "sent"}

    @pytest.mark.parametrize(("found", "sent"), [(Accepted("m7"), 0), (None, 1), (Deferred("cannot ask"), 0)])
    async def test_a_provider_that_can_be_asked_is_asked_first(
        self, rt: Runtime, clock: Clock, found: Outcome | None, sent: int
    ) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        began = clock()
        claim(rt, "dead")
        clock.move(seconds=12)
        give_back(rt, "dead")
        homing = Homing(found)
        await Deliverer(rt, {"primary": homing}, "w1").drain()
        assert (homing.asked, len(homing.sent)) == ([began], sent)
        row = rows(rt, alert_id)["taro"]
        assert row["state"] == ("pending" if isinstance(found, Deferred) else "sent")
        assert row["provider_id"] == (found.provider_id if isinstance(found, Accepted) else "m1" if sent else None)

    @pytest.mark.parametrize(("found", "sent"), [(Accepted("m7"), 1), (None, 2)])
    async def test_what_the_provider_took_without_an_answer_is_found_and_not_sent_again(
        self, rt: Runtime, clock: Clock, found: Outcome | None, sent: int
    ) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        began = clock()
        homing = Homing(found)
        homing.answers["taro"] = Deferred("no answer in time", dark=True)
        await Deliverer(rt, {"primary": homing}, "w1").drain()
        assert (states(rt, alert_id), len(homing.sent)) == ({"taro": "pending"}, 1)
        del homing.answers["taro"]
        clock.move(minutes=1)
        await Deliverer(rt, {"primary": homing}, "w2").drain()
        assert (states(rt, alert_id), homing.asked, len(homing.sent)) == ({"taro": "sent"}, [began], sent)

    @pytest.mark.parametrize(
        ("outcome", "went"),
        [
            (Deferred("no answer in time", dark=True), True),
            (ZeroDivisionError("in the middle of it"), True),
            (Deferred("busy"), False),
        ],
        ids=["dark", "broken", "busy"],
    )
    async def test_whom_it_may_have_reached_in_the_dark_is_told_when_it_is_called_off(
        self, rt: Runtime, outcome: Outcome | Exception, went: bool
    ) -> None:
        settle(rt, "taro")
        settle(rt, "hanako")
        alert_id = alert(rt)
        pigeon = Pigeon()
        pigeon.answers["taro"] = outcome
        deliverer = Deliverer(rt, {"primary": pigeon}, "w1")
        await deliverer.drain()
        pigeon.answers.clear()
        pigeon.sent.clear()
        revise(rt, BOSS, alert_id, Revision("cancel", "解除しました", "もう安全です。"))
        await deliverer.drain()
        assert ("taro@example.jp" in {address for address, _, _ in pigeon.sent}) is went

    async def test_what_broke_before_it_was_sent_reached_nobody(self, rt: Runtime) -> None:
        class Broken(Homing):
            async def find(self, *address: Any, **options: Any) -> None:
                raise ZeroDivisionError

        settle(rt, "taro")
        alert_id = alert(rt)
        claim(rt, "dead")
        give_back(rt, "dead")
        broken = Broken(None)
        await Deliverer(rt, {"primary": broken}, "w1").drain()
        with rt.store.read() as connection:
            query = select(schema.attempts.c.ended_at.is_(None)).order_by(schema.attempts.c.attempt)
            assert list(connection.execute(query).scalars()) == [True, False]
        assert states(rt, alert_id) == {"taro": "pending"}

    async def test_it_is_not_asked_where_nothing_is_in_the_dark(self, rt: Runtime) -> None:
        settle(rt, "taro")
        alert(rt)
        homing = Homing(Accepted("m7"))
        await Deliverer(rt, {"primary": homing}, "w1").drain()
        assert (homing.asked, len(homing.sent)) == ([], 1)

    async def test_what_stands_under_its_own_name_from_before_is_tried_again(self, rt: Runtime) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        claim(rt, "w1")
        assert await Deliverer(rt, {"primary": Pigeon()}, "w1").drain() == 1
        assert states(rt, alert_id) == {"taro": "sent"}


async def test_an_address_that_is_gone_is_not_written_to_again(rt: Runtime) -> None:
    settle(rt, "taro")
    first = alert(rt)
    pigeon = Pigeon()
    pigeon.answers["taro"] = Gone("no such box")
    deliverer = Deliverer(rt, {"primary": pigeon}, "w1")
    await deliverer.drain()
    alert(rt)
    assert await deliverer.drain() == 0
    assert watching.summarise(rt, first)["unreachable"] == 1


async def test_what_our_own_fault_held_goes_out_once_it_is_released(rt: Runtime, bell: Bell) -> None:
    settle(rt, "taro")
    alert_id = alert(rt)
    pigeon = Pigeon()
    pigeon.answers["taro"] = Misconfigured("no credit")
    deliverer = Deliverer(rt, {"primary": pigeon}, "w1")
    await deliverer.drain()
    assert await deliverer.drain() == 0
    del pigeon.answers["taro"]
    bell.rung.clear()
    assert posting.release_held(rt, list(BUDGETS)) == 1
    assert "work:email" in bell.rung
    await deliverer.drain()
    assert states(rt, alert_id) == {"taro": "sent"}
