"""How answers came in over time, against a count by hand."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from alertd.core.acknowledgement import Way
from alertd.core.audience import Audience
from alertd.core.escalation import Plan, Step
from alertd.service import escalating, revising
from alertd.service.acknowledging import acknowledge_all, wish_of
from alertd.service.revising import Revision
from alertd.service.runtime import Runtime
from alertd.store import alerts, curves
from tests.installation import ASK, BOSS, START, Clock, actor, alert, group, settle

PEOPLE = ("a", "b", "c", "d")


@pytest.fixture
def alert_id(rt: Runtime) -> str:
    for person in PEOPLE:
        settle(rt, person)
    return alert(rt, ask=ASK)


def answer(rt: Runtime, alert_id: str, person: str, choice: str | None = None) -> None:
    (kept,) = acknowledge_all(rt, [wish_of(actor(person), alert_id, Way.API, answer=choice)])
    assert not isinstance(kept, Exception)


def row(rt: Runtime, alert_id: str) -> Mapping[str, Any]:
    with rt.store.read() as connection:
        found = alerts.get(connection, alert_id)
    assert found is not None
    return found


def counts(rt: Runtime, alert_id: str, *minutes: float) -> list[int]:
    moments = [START + timedelta(minutes=each) for each in minutes]
    with rt.store.read() as connection:
        return curves.answered_by(connection, row(rt, alert_id), moments)


def moment(rt: Runtime, alert_id: str, number: int) -> datetime | None:
    with rt.store.read() as connection:
        return curves.moment_of(connection, row(rt, alert_id), number, rt.now())


def test_everybody_counts_from_when_their_answer_came(rt: Runtime, clock: Clock, alert_id: str) -> None:
    for person in ("a", "b", "c"):
        clock.move(minutes=1)
        answer(rt, alert_id, person, "safe")
    assert counts(rt, alert_id, 0, 0.99, 1, 2, 2.5, 3, 60) == [0, 0, 1, 2, 2, 3, 3]
    assert counts(rt, alert_id) == []


def test_whoever_changes_their_mind_counts_from_the_first_answer(rt: Runtime, clock: Clock, alert_id: str) -> None:
    clock.move(minutes=1)
    answer(rt, alert_id, "a", "safe")
    clock.move(minutes=9)
    answer(rt, alert_id, "a", "hurt")
    assert counts(rt, alert_id, 0.5, 1, 9, 10) == [0, 1, 1, 1]


def test_answers_before_the_alert_asked_again_do_not_count(rt: Runtime, clock: Clock, alert_id: str) -> None:
    clock.move(minutes=1)
    answer(rt, alert_id, "a", "safe")
    clock.move(minutes=1)
    revising.revise(rt, BOSS, alert_id, Revision("update", "続報", "", ask_again=True))
    clock.move(minutes=1)
    answer(rt, alert_id, "b", "safe")
    clock.move(minutes=1)
    answer(rt, alert_id, "a", "hurt")
    assert counts(rt, alert_id, 1, 2, 3, 4) == [0, 0, 1, 2]


def test_supervisors_are_no_part_of_it(rt: Runtime, clock: Clock) -> None:
    settle(rt, "chief")
    group(rt, "water", supervisors=["chief"])
    settle(rt, "taro", groups=("water",))
    plan = Plan((Step(0, ("email",)), Step(60, ("email",), "supervisors")))
    number = alert(rt, plan=plan, audience=Audience(groups=("water",)))
    clock.move(minutes=1)
    escalating.start_due(rt)
    answer(rt, number, "chief")
    clock.move(minutes=1)
    answer(rt, number, "taro")
    assert counts(rt, number, 1, 2) == [0, 1]
    assert moment(rt, number, 1) == clock()


def test_the_moment_of_the_nth_answer_is_exact(rt: Runtime, clock: Clock, alert_id: str) -> None:
    came = []
    for person, wait in zip(PEOPLE, (61.000_001, 0, 3_600, 86_400), strict=True):
        clock.move(seconds=wait)
        answer(rt, alert_id, person)
        came.append(clock())
    clock.move(days=3)
    assert [moment(rt, alert_id, number) for number in (1, 2, 3, 4)] == came
    assert moment(rt, alert_id, 0) is None
    assert moment(rt, alert_id, 5) is None
