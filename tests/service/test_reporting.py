"""The report of an alert: what happened when, and how it compares."""

from datetime import timedelta
from typing import Any

import pytest

from alertd.core.acknowledgement import Way
from alertd.core.errors import NotFound
from alertd.core.escalation import Plan, Step
from alertd.core.roles import Role
from alertd.service import escalating, revising
from alertd.service.acknowledging import acknowledge_all, wish_of
from alertd.service.reporting import read_curve, read_report
from alertd.service.revising import Revision
from alertd.service.runtime import Runtime
from alertd.service.views import moment
from alertd.store import alerts
from tests.installation import BOSS, START, Clock, actor, alert, settle

PEOPLE = ("a", "b", "c", "d")


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    for person in PEOPLE:
        settle(rt, person, phone=f"090-0000-000{PEOPLE.index(person)}")
    return rt


def answer(rt: Runtime, alert_id: str, person: str, by: str | None = None, way: Way = Way.PAGE) -> None:
    who = actor(by, Role.MANAGER) if by else actor(person)
    (kept,) = acknowledge_all(rt, [wish_of(who, alert_id, way, person=person)])
    assert not isinstance(kept, Exception)


def timeline(rt: Runtime, alert_id: str) -> list[tuple[str, str | None]]:
    return [(each["what"], each["by"]) for each in read_report(rt, alert_id)["timeline"]]


def test_the_timeline_says_what_was_done_when_and_by_whom(town: Runtime, clock: Clock) -> None:
    number = alert(town, plan=Plan((Step(0, ("email",)), Step(120, ("sms",)))))
    clock.move(minutes=1)
    answer(town, number, "a")
    clock.move(minutes=1)
    escalating.start_due(town)
    clock.move(minutes=1)
    answer(town, number, "b")
    clock.move(minutes=1)
    answer(town, number, "c")
    clock.move(minutes=1)
    revising.revise(town, BOSS, number, Revision("cancel", "解除", ""))
    told = read_report(town, number)
    assert [(each["at"], each["what"], each["by"]) for each in told["timeline"]] == [
        (moment(START), "alert", "boss"),
        (moment(START), "step", None),
        (moment(START + timedelta(minutes=1)), "first answer", None),
        (moment(START + timedelta(minutes=2)), "step", None),
        (moment(START + timedelta(minutes=3)), "half answer", None),
        (moment(START + timedelta(minutes=4)), "last answer", None),
        (moment(START + timedelta(minutes=5)), "cancel", "boss"),
    ]
    assert [each["deliveries"] for each in told["timeline"] if each["what"] == "step"] == [4, 3]
    assert told["names"] == {"boss": "boss"}


def test_an_alert_that_nobody_answered_has_no_milestones(town: Runtime, clock: Clock) -> None:
    number = alert(town)
    clock.move(days=8)
    with town.store.write() as connection:
        alerts.expire(connection, clock())
    assert timeline(town, number) == [("alert", "boss"), ("step", None), ("over", None)]
    assert read_report(town, number)["marks"] == {"first": None, "half": None, "last": None}


def test_one_answer_is_told_once(town: Runtime, clock: Clock) -> None:
    number = alert(town)
    clock.move(minutes=1)
    answer(town, number, "a")
    assert timeline(town, number) == [("alert", "boss"), ("step", None), ("first answer", None)]


def test_answers_given_for_somebody_else_stand_apart(town: Runtime, clock: Clock) -> None:
    number = alert(town)
    clock.move(minutes=1)
    answer(town, number, "a", way=Way.PUSH)
    answer(town, number, "b", by="c")
    answer(town, number, "d", by="c")
    answer(town, number, "c")
    told = read_report(town, number)
    assert told["ways"] == {"page": 1, "proxy": 2, "push": 1}
    assert [(each["person"], each["by"]) for each in told["proxies"]] == [("b", "c"), ("d", "c")]
    assert sum(told["ways"].values()) == told["summary"]["acknowledged"]


def test_checkpoints_that_have_not_gone_by_are_not_known(town: Runtime, clock: Clock) -> None:
    number = alert(town)
    clock.move(minutes=6)
    answer(town, number, "a")
    clock.move(minutes=5)
    counts = {each["minutes"]: each["acknowledged"] for each in read_report(town, number)["checkpoints"]}
    assert counts == {5: 0, 10: 1, 30: None, 60: None}


def test_it_is_compared_with_the_last_drill_before_it(town: Runtime, clock: Clock) -> None:
    assert read_report(town, alert(town))["drill"] is None
    clock.move(minutes=1)
    earlier = alert(town, drill=True, title="前の訓練")
    answer(town, earlier, "a")
    clock.move(minutes=1)
    later = alert(town, drill=True, title="訓練")
    clock.move(minutes=2)
    for person in ("a", "b"):
        answer(town, later, person)
    clock.move(days=1)
    real = alert(town)
    clock.move(minutes=1)
    alert(town, drill=True, title="後の訓練")
    drill: dict[str, Any] = read_report(town, real)["drill"]
    assert drill["alert"]["id"] == later
    assert drill["summary"]["acknowledged"] == 2
    assert [each["acknowledged"] for each in drill["checkpoints"]] == [2, 2, 2, 2]
    assert read_report(town, later)["drill"]["alert"]["id"] == earlier


def test_the_curve_rises_to_what_the_summary_says_and_ends_now(town: Runtime, clock: Clock) -> None:
    number = alert(town)
    clock.move(minutes=3)
    answer(town, number, "a")
    curve = read_curve(town, number)
    assert curve["points"][0] == {"at": moment(START), "acknowledged": 0}
    assert curve["points"][-1] == {"at": moment(clock()), "acknowledged": 1}
    assert (curve["from"], curve["to"]) == (moment(START), moment(START + timedelta(minutes=10)))
    assert curve["sends"] == [moment(START)]
    clock.move(days=2)
    assert read_curve(town, number)["to"] == curve["to"], "nothing came since"


def test_there_is_no_report_of_what_there_is_not(rt: Runtime) -> None:
    with pytest.raises(NotFound):
        read_report(rt, "unheard-of")
