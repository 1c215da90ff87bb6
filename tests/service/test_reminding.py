"""Reminding by hand: the same road as every step, once, and told who asked."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import select, update

from alertd.core.acknowledgement import Way
from alertd.core.delivery import State
from alertd.core.errors import Conflict, NotFound
from alertd.core.escalation import Plan, Step
from alertd.core.roles import Role
from alertd.service import escalating, reminding, reporting, revising, rollout, watching
from alertd.service.acknowledging import acknowledge_all, wish_of
from alertd.service.importing import import_people
from alertd.service.revising import Revision
from alertd.service.runtime import Runtime
from alertd.store import deliveries, rollouts, schema
from tests.installation import BOSS, Bell, Clock, actor, alert, settle
from tests.threads import at_once

HAND = actor("hand", Role.MANAGER)
MAIL = ("email",)


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    settle(rt, "taro", phone="090-0000-0001")
    settle(rt, "hanako", phone="090-0000-0002")
    return rt


def rows(rt: Runtime, alert_id: str) -> list[Mapping[str, Any]]:
    with rt.store.read() as connection:
        return deliveries.of_people(connection, alert_id, rollouts.told_of(connection, alert_id))


def sent(rt: Runtime, alert_id: str, step: int) -> set[tuple[str, str]]:
    return {(row["person_id"], row["channel"]) for row in rows(rt, alert_id) if row["step"] == step}


def take_over(rt: Runtime) -> None:
    with rt.store.write() as connection:
        connection.execute(update(schema.deliveries).values(state=State.SENT, attempt=1))


def acknowledge(rt: Runtime, person: str, alert_id: str) -> None:
    (kept,) = acknowledge_all(rt, [wish_of(actor(person), alert_id, Way.API)])
    assert not isinstance(kept, Exception)


def test_it_goes_to_the_outstanding_over_every_way(town: Runtime, clock: Clock) -> None:
    number = alert(town, plan=Plan((Step(0, MAIL),)))
    take_over(town)
    acknowledge(town, "hanako", number)
    clock.move(minutes=5)
    reminding.remind(town, HAND, number)
    assert sent(town, number, 1) == set(), "the clock carries it out, as every other step"
    assert escalating.start_due(town) == 1
    assert sent(town, number, 1) == {("taro", "email"), ("taro", "sms")}
    assert escalating.start_due(town) == 0


def test_the_timetable_the_report_and_the_audit_say_who_asked(town: Runtime, clock: Clock, bell: Bell) -> None:
    number = alert(town, plan=Plan((Step(0, MAIL),)))
    take_over(town)
    clock.move(minutes=5)
    reminding.remind(town, HAND, number)
    assert bell.rung[-1] == f"changed:{number}"
    escalating.start_due(town)
    run = watching.read_course(town, number)["timetable"][-1]
    assert (run["step"], run["asked_by"], run["to"], run["deliveries"]) == (1, "hand", "outstanding", 4)
    assert [each["by"] for each in reporting.read_report(town, number)["timeline"] if each["what"] == "step"] == [
        None,
        "hand",
    ]
    with town.store.read() as connection:
        told = connection.execute(select(schema.audit).where(schema.audit.c.action == "alert.remind")).one()
    assert (told.actor, told.object, told.details) == ("hand", number, {"step": 1, "revision": 1})


def test_what_is_still_under_way_is_not_sent_a_second_time(town: Runtime, clock: Clock) -> None:
    number = alert(town)
    clock.move(seconds=10)
    reminding.remind(town, HAND, number)
    escalating.start_due(town)
    assert sent(town, number, 1) == set()


def test_repeated_within_a_minute_it_is_refused(town: Runtime, clock: Clock) -> None:
    number = alert(town)
    take_over(town)
    reminding.remind(town, HAND, number)
    clock.move(seconds=59)
    with pytest.raises(Conflict, match="less than a minute ago"):
        reminding.remind(town, BOSS, number)
    clock.move(seconds=1)
    reminding.remind(town, BOSS, number)
    assert [run["asked_by"] for run in watching.read_course(town, number)["timetable"]] == [None, "hand", "boss"]


def test_of_many_at_the_same_moment_one_is_taken(town: Runtime) -> None:
    number = alert(town)

    def remind(who: str) -> bool:
        try:
            reminding.remind(town, actor(who, Role.MANAGER), number)
        except Conflict:
            return False
        return True

    assert sorted(at_once(remind, "abcd")) == [False, False, False, True]
    assert len(watching.read_course(town, number)["timetable"]) == 2


def test_nobody_is_reminded_of_what_is_over(town: Runtime, clock: Clock) -> None:
    cancelled, expired = alert(town), alert(town)
    revising.revise(town, BOSS, cancelled, Revision("cancel", "解除", ""))
    with pytest.raises(Conflict, match="called off"):
        reminding.remind(town, HAND, cancelled)
    clock.move(days=8)
    with pytest.raises(Conflict, match="over already"):
        reminding.remind(town, HAND, expired)
    with pytest.raises(NotFound):
        reminding.remind(town, HAND, "unheard-of")


def test_it_says_the_current_version_and_gives_way_to_a_newer_one(town: Runtime, clock: Clock) -> None:
    number = alert(town)
    take_over(town)
    clock.move(minutes=1)
    reminding.remind(town, HAND, number)
    clock.move(seconds=1)
    revising.revise(town, BOSS, number, Revision("update", "続報", "", ask_again=True))
    take_over(town)
    clock.move(seconds=1)
    escalating.start_due(town)
    assert sent(town, number, 1) == set(), "the update has told them already"
    clock.move(minutes=1)
    reminding.remind(town, HAND, number)
    escalating.start_due(town)
    assert {row["revision"] for row in rows(town, number) if row["step"] == 2} == {2}


def test_asking_again_repeats_the_plan_but_no_reminder(town: Runtime, clock: Clock) -> None:
    number = alert(town, plan=Plan((Step(0, MAIL), Step(600, MAIL))))
    take_over(town)
    clock.move(minutes=1)
    reminding.remind(town, HAND, number)
    escalating.start_due(town)
    take_over(town)
    clock.move(minutes=1)
    revising.revise(town, BOSS, number, Revision("update", "続報", "", ask_again=True))
    waiting = [run["step"] for run in watching.read_course(town, number)["timetable"] if run["started_at"] is None]
    assert waiting == [1]


def test_whoever_asks_while_a_large_alert_is_laid_down_is_heard_after_it(rt: Runtime, clock: Clock) -> None:
    lines = (f"p{number},人,p{number}@example.jp" for number in range(2_300))
    import_people(rt, BOSS, "id,name,email\n" + "\n".join(lines), dry_run=False)
    number = alert(rt)
    reminding.remind(rt, HAND, number)
    clock.move(seconds=1)
    assert escalating.start_due(rt) == 0
    rollout.carry_on(rt)
    take_over(rt)
    escalating.start_due(rt)
    escalating.carry_on(rt)
    assert len(sent(rt, number, 1)) == 2_300
    assert watching.summarise(rt, number)["channels"]["email"]["pending"] == 2_300


def test_a_worker_that_read_the_alert_before_knows_whom_it_is_for(town: Runtime) -> None:
    number = alert(town)
    with town.store.read() as connection:
        (before,) = connection.execute(select(schema.alerts).where(schema.alerts.c.id == number)).mappings()
    reminding.remind(town, HAND, number)
    assert escalating.part_of(dict(before), 1) == "audience"
    with town.store.read() as connection:
        assert len(escalating.runs_of(connection, dict(before))) == 1
