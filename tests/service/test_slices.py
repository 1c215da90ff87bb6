"""Later steps and revisions to very many: slice by slice, each person once, whatever happens in between."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import select, update

from alertd.core.acknowledgement import Way
from alertd.core.delivery import State
from alertd.core.escalation import Plan, Step
from alertd.service import escalating, posting, revising, rollout, watching
from alertd.service.acknowledging import acknowledge_all, wish_of
from alertd.service.revising import Revision, revise
from alertd.service.rollout import SLICE
from alertd.service.runtime import Runtime
from alertd.store import deliveries, following, schema, steps, unsent
from tests.installation import BOSS, Bell, Clock, actor, draft
from tests.service.test_revising import CANCEL, UPDATE
from tests.service.test_rollout import CROWD, crowd
from tests.threads import at_once

MAIL_THEN_TEXT = Plan((Step(0, ("email",)), Step(120, ("sms",))))
TEXTS = CROWD // 2  # every second person has a phone
FIRST, LAST = "p0000", f"p{CROWD - 2:04}"  # who has one


@pytest.fixture
def alert_id(rt: Runtime) -> str:
    """An alert to a crowd by mail, all of it laid down, and two minutes later by text."""
    crowd(rt)
    number: str = posting.post(rt, BOSS, draft(plan=MAIL_THEN_TEXT)).body["alert"]["id"]
    rollout.carry_on(rt)
    return number


def rows(rt: Runtime, alert_id: str, **wanted: Any) -> list[Mapping[str, Any]]:
    """Deliveries in which these columns are so."""
    query = select(schema.deliveries).where(schema.deliveries.c.alert_id == alert_id).filter_by(**wanted)
    with rt.store.read() as connection:
        return [row._asdict() for row in connection.execute(query)]


def take_over(rt: Runtime, alert_id: str) -> None:
    """Let the provider have taken all the mail."""
    mail = (schema.deliveries.c.alert_id == alert_id) & (schema.deliveries.c.channel == "email")
    with rt.store.write() as connection:
        connection.execute(update(schema.deliveries).where(mail).values(state=State.SENT, attempt=1))


def acknowledge(rt: Runtime, person: str, alert_id: str) -> None:
    (kept,) = acknowledge_all(rt, [wish_of(actor(person), alert_id, Way.API)])
    assert not isinstance(kept, Exception)


def one_slice(carry_on: Callable[[Runtime, Callable[[], bool]], None], rt: Runtime) -> None:
    """One more slice and no more, as somebody does who is then killed."""
    answers = iter([False, True])
    carry_on(rt, lambda: next(answers))


def is_left(rt: Runtime) -> tuple[int, int]:
    """How many revisions and runs are not laid down for everybody yet."""
    with rt.store.read() as connection:
        unfinished = select(schema.steps.c.step).where(schema.steps.c.after.is_not(None))
        return len(connection.execute(following.under_way()).all()), len(connection.execute(unfinished).all())


class TestSteps:
    def test_a_step_goes_to_some_at_a_time_and_each_once(
        self, rt: Runtime, clock: Clock, bell: Bell, alert_id: str
    ) -> None:
        clock.move(minutes=2)
        bell.rung.clear()
        assert escalating.start_due(rt) == 1
        assert len(rows(rt, alert_id, step=1)) == SLICE // 2
        assert escalating.start_due(rt) == 0
        acknowledge(rt, LAST, alert_id)
        at_once(lambda _: escalating.carry_on(rt), range(3))
        reached = rows(rt, alert_id, step=1)
        assert len(reached) == len({row["recipient_id"] for row in reached}) == TEXTS - 1
        run = watching.read_course(rt, alert_id)["timetable"][1]
        assert run["deliveries"] == TEXTS - 1
        assert is_left(rt) == (0, 0)
        assert bell.rung.count("work:sms") >= 3

    def test_a_step_of_an_alert_that_is_called_off_in_the_middle_goes_no_further(
        self, rt: Runtime, clock: Clock, alert_id: str
    ) -> None:
        clock.move(minutes=2)
        escalating.start_due(rt)
        revise(rt, BOSS, alert_id, CANCEL)
        revising.carry_on(rt)
        escalating.carry_on(rt)
        assert {row["state"] for row in rows(rt, alert_id, step=1)} == {State.CANCELLED}
        assert len(rows(rt, alert_id, step=1)) == SLICE // 2
        assert is_left(rt) == (0, 0)

    def test_what_is_left_of_a_step_waits_for_a_revision_and_then_says_that(
        self, rt: Runtime, clock: Clock, alert_id: str
    ) -> None:
        take_over(rt, alert_id)
        clock.move(minutes=2)
        escalating.start_due(rt)
        revise(rt, BOSS, alert_id, UPDATE)
        escalating.carry_on(rt)
        assert is_left(rt) == (1, 1)
        assert len(rows(rt, alert_id, step=1)) == SLICE // 2
        revising.carry_on(rt)
        escalating.carry_on(rt)
        assert is_left(rt) == (0, 0)
        assert Counter(row["revision"] for row in rows(rt, alert_id, step=1)) == {1: SLICE // 2, 2: TEXTS - SLICE // 2}
        texts = rows(rt, alert_id, channel="sms", revision=2)
        assert len(texts) == len({row["recipient_id"] for row in texts}) == TEXTS

    def test_whoever_is_asked_again_is_followed_up_from_the_start(
        self, rt: Runtime, clock: Clock, alert_id: str
    ) -> None:
        clock.move(minutes=2)
        escalating.start_due(rt)
        revise(rt, BOSS, alert_id, Revision("update", "もう一度", "お答えください。", ask_again=True))
        revising.carry_on(rt)
        escalating.carry_on(rt)
        assert is_left(rt) == (0, 0)
        take_over(rt, alert_id)
        clock.move(minutes=2)
        assert escalating.start_due(rt) == 1
        escalating.carry_on(rt)
        again = rows(rt, alert_id, channel="sms", revision=2)
        assert Counter(row["step"] for row in again)[1] >= TEXTS - SLICE // 2
        assert len({row["recipient_id"] for row in again}) == TEXTS


class TestRevisions:
    @pytest.mark.parametrize("dies_after", [0, 1])
    def test_it_goes_to_some_at_a_time_and_each_once(self, rt: Runtime, alert_id: str, dies_after: int) -> None:
        take_over(rt, alert_id)
        assert revise(rt, BOSS, alert_id, UPDATE)["deliveries"] == CROWD
        assert len(rows(rt, alert_id, revision=2)) == SLICE
        for _ in range(dies_after):
            one_slice(revising.carry_on, rt)
        at_once(lambda _: revising.carry_on(rt), range(3))
        laid = rows(rt, alert_id, revision=2)
        assert len(laid) == len({row["subscription_id"] for row in laid}) == CROWD
        assert is_left(rt) == (0, 0)

    def test_nothing_of_the_earlier_version_goes_out_meanwhile_and_nobody_is_forgotten(
        self, rt: Runtime, alert_id: str
    ) -> None:
        revise(rt, BOSS, alert_id, UPDATE)
        with rt.store.write() as connection:
            assert unsent.supersede_left(connection, rt.now()) == 0
            claims = deliveries.claim(connection, "email", "w", CROWD, rt.now())
        assert {claim.revision for claim in claims} == {2}
        assert len(claims) == SLICE
        revising.carry_on(rt)
        assert len(rows(rt, alert_id, revision=2)) == CROWD
        assert {row["state"] for row in rows(rt, alert_id, revision=1)} == {State.CANCELLED}

    def test_that_it_is_over_is_told_to_nobody_who_had_heard_nothing(self, rt: Runtime, alert_id: str) -> None:
        with rt.store.write() as connection:
            claims = deliveries.claim(connection, "email", "w", 100, rt.now())
        assert revise(rt, BOSS, alert_id, CANCEL)["deliveries"] == len(claims) == 100
        revising.carry_on(rt)
        assert {row["subscription_id"] for row in rows(rt, alert_id, revision=2)} == {
            row["subscription_id"] for row in rows(rt, alert_id, state=State.SENDING)
        }
        assert {row["state"] for row in rows(rt, alert_id, revision=1)} == {State.CANCELLED, State.SENDING}

    def test_one_more_before_all_is_laid_down_takes_its_place(self, rt: Runtime, alert_id: str) -> None:
        take_over(rt, alert_id)
        revise(rt, BOSS, alert_id, UPDATE)
        one_slice(revising.carry_on, rt)
        revise(rt, BOSS, alert_id, Revision("update", "三つめ", "本文"))
        revising.carry_on(rt)
        assert Counter(row["state"] for row in rows(rt, alert_id, revision=2)) == {State.CANCELLED: 2 * SLICE}
        laid = rows(rt, alert_id, revision=3)
        assert len(laid) == len({row["subscription_id"] for row in laid}) == CROWD
        assert {row["state"] for row in laid} == {State.PENDING}

    def test_a_step_that_falls_due_meanwhile_waits(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        take_over(rt, alert_id)
        revise(rt, BOSS, alert_id, UPDATE)
        clock.move(minutes=2)
        assert escalating.start_due(rt) == 0
        revising.carry_on(rt)
        assert escalating.start_due(rt) == 1
        with rt.store.read() as connection:
            assert [run["step"] for run in steps.unfinished(connection)] == [1]
