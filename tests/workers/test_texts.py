"""What deliveries say: of the revision that they are of, to each their own."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import event

from alertd.core.alert import SUPERVISOR_MARK
from alertd.core.audience import Audience
from alertd.core.escalation import Plan, Step
from alertd.service import escalating, revising
from alertd.service.revising import Revision
from alertd.service.runtime import Runtime
from alertd.store import deliveries
from alertd.store.deliveries import Claim
from tests.installation import BOSS, Clock, alert, group, settle
from workers.texts import Outdated, Texts


def claim(rt: Runtime) -> list[Claim]:
    with rt.store.write() as connection:
        return deliveries.claim(connection, "email", "w1", 10, rt.now())


async def test_everybody_s_copy_has_its_own_link_and_beacon(rt: Runtime) -> None:
    for person in ("taro", "hanako"):
        settle(rt, person)
    alert_id = alert(rt)
    texts = Texts(rt, "email")
    found = [await texts.of(each) for each in claim(rt)]
    assert {row["id"] for row, _ in found} == {alert_id}
    assert len({message.link for _, message in found}) == len({message.beacon for _, message in found}) == 2


async def test_an_alert_is_read_once_for_all_who_ask_at_the_same_time(rt: Runtime) -> None:
    for number in range(5):
        settle(rt, f"person{number}")
    alert(rt)
    claims = claim(rt)
    reads: list[str] = []

    @event.listens_for(rt.store.engine, "before_cursor_execute")
    def _count(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        reads.append(statement)

    texts = Texts(rt, "email")
    found = await asyncio.gather(*(texts.of(each) for each in claims))
    assert len({message.link for _, message in found}) == 5
    assert len([each for each in reads if "FROM alerts" in each]) == 1


async def test_an_alert_that_says_something_else_by_now_is_not_sent_as_it_was(rt: Runtime) -> None:
    settle(rt, "taro")
    alert_id = alert(rt)
    (early,) = claim(rt)
    revising.revise(rt, BOSS, alert_id, Revision("update", "新しい題", "本文"))
    with pytest.raises(Outdated):
        await Texts(rt, "email").of(early)
    with rt.store.write() as connection:
        assert deliveries.unclaim(connection, [early], rt.now())
    (current,) = claim(rt)
    _, message = await Texts(rt, "email").of(current)
    assert "新しい題" in message.title


async def test_a_supervisor_is_told_why(rt: Runtime, clock: Clock) -> None:
    settle(rt, "boss1")
    group(rt, "fire", supervisors=["boss1"])
    settle(rt, "taro", groups=("fire",))
    plan = Plan((Step(0, ("email",), "outstanding"), Step(60, ("email",), "supervisors")))
    alert(rt, plan=plan, audience=Audience(people=("taro",)))
    (to_taro,) = claim(rt)
    clock.move(seconds=60)
    assert escalating.start_due(rt) == 1
    (to_boss,) = claim(rt)
    texts = Texts(rt, "email")
    titles = [(await texts.of(each))[1].title for each in (to_taro, to_boss)]
    mark = SUPERVISOR_MARK["ja"]
    assert [mark in title for title in titles] == [False, True]
