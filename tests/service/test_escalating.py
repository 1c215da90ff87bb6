"""Carrying out plans: steps to whoever is outstanding or to their supervisors, repeats, quiet hours, the forecast."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from alertd.core.acknowledgement import Way, make_token
from alertd.core.audience import Audience
from alertd.core.delivery import State
from alertd.core.errors import Invalid
from alertd.core.escalation import Plan, Repeat, Step
from alertd.service import escalating, planning, posting, watching
from alertd.service.acknowledging import acknowledge_all, open_letter, wish_of
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, people, rollouts, schema, steps
from tests.installation import BOSS, START, TOKENS, Bell, Clock, actor, alert, draft, group, settle

MAIL, SMS = ("email",), ("sms",)
CALL_THEN_TEXT = Plan((Step(0, MAIL), Step(120, SMS), Step(600, ("email", "sms"), "supervisors")))


def rows(rt: Runtime, alert_id: str) -> list[Mapping[str, Any]]:
    with rt.store.read() as connection:
        return deliveries.of_people(connection, alert_id, rollouts.told_of(connection, alert_id))


def sent(rt: Runtime, alert_id: str, step: int, repeat: int = 0) -> set[tuple[str, str]]:
    """(person, channel) of a step's deliveries."""
    return {
        (row["person_id"], row["channel"])
        for row in rows(rt, alert_id)
        if (row["step"], row["repeat"]) == (step, repeat)
    }


def take_over(rt: Runtime) -> None:
    """Let a provider have taken everything that is due."""
    due = (schema.deliveries.c.state == State.PENDING) & (schema.deliveries.c.due_at <= rt.now())
    with rt.store.write() as connection:
        connection.execute(update(schema.deliveries).where(due).values(state=State.SENT, attempt=1))


def acknowledge(rt: Runtime, person: str, alert_id: str) -> None:
    (kept,) = acknowledge_all(rt, [wish_of(actor(person), alert_id, Way.API)])
    assert not isinstance(kept, Exception)


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    """Taro and Hanako of the water office under Kacho, Jiro of nobody's, all with mail and phone."""
    settle(rt, "kacho", phone="090-0000-0001")
    settle(rt, "taro", phone="090-0000-0002")
    settle(rt, "hanako", phone="090-0000-0003")
    settle(rt, "jiro", phone="090-0000-0004")
    group(rt, "water", supervisors=["kacho"])
    for person in ("taro", "hanako"):
        settle(rt, person, phone=f"090-0000-000{'2' if person == 'taro' else '3'}", groups=("water",))
    return rt


def urgent(rt: Runtime, plan: Plan = CALL_THEN_TEXT, **changes: Any) -> str:
    return alert(rt, plan=plan, audience=Audience(people=("taro", "hanako", "jiro")), **changes)


class TestSteps:
    def test_only_the_first_goes_out_at_once(self, town: Runtime, bell: Bell) -> None:
        number = urgent(town)
        assert sent(town, number, 0) == {(person, "email") for person in ("taro", "hanako", "jiro")}
        assert "work:sms" not in bell.rung
        assert escalating.start_due(town) == 0

    def test_the_next_goes_to_whoever_has_not_answered_by_then_once(
        self, town: Runtime, clock: Clock, bell: Bell
    ) -> None:
        number = urgent(town)
        take_over(town)
        acknowledge(town, "taro", number)
        clock.move(seconds=119)
        assert escalating.start_due(town) == 0
        clock.move(seconds=1)
        assert escalating.start_due(town) == 1
        assert sent(town, number, 1) == {("hanako", "sms"), ("jiro", "sms")}
        assert "work:sms" in bell.rung
        assert escalating.start_due(town) == 0

    def test_supervisors_of_the_silent_are_told_and_do_not_count(self, town: Runtime, clock: Clock) -> None:
        number = urgent(town)
        take_over(town)
        acknowledge(town, "jiro", number)
        clock.move(seconds=600)
        escalating.start_due(town)
        assert sent(town, number, 2) == {("kacho", "email"), ("kacho", "sms")}
        assert watching.summarise(town, number)["recipients"] == 3
        acknowledge(town, "kacho", number)
        summary = watching.summarise(town, number)
        assert (summary["acknowledged"], summary["outstanding"]) == (1, 2)
        with town.store.read() as connection:
            row = alerts.get(connection, number)
        assert row is not None
        assert [escalating.part_of(row, step) for step in range(3)] == ["audience", "audience", "supervisor"]

    @pytest.mark.parametrize(("people", "part"), [(("taro",), "supervisor"), (("taro", "kacho"), "audience")])
    def test_the_supervisors_who_were_told_are_listed_and_everybody_stands_in_the_table_once(
        self, town: Runtime, clock: Clock, people: tuple[str, ...], part: str
    ) -> None:
        number = alert(town, plan=CALL_THEN_TEXT, audience=Audience(people=people))
        take_over(town)
        clock.move(seconds=600)
        escalating.start_due(town)
        told, _ = watching.list_recipients(town, number, state="supervisors", after=None, limit=9)
        assert [(each["person"]["id"], each["part"]) for each in told] == [("kacho", part)]
        assert watching.summarise(town, number)["supervisors"] == 1
        everybody = [item["person"]["id"] for page in watching.read_everybody(town, number) for item in page]
        assert sorted(everybody) == ["kacho", "taro"]

    def test_nobody_s_answer_silences_anybody_else(self, town: Runtime, clock: Clock) -> None:
        number = urgent(town)
        take_over(town)
        acknowledge(town, "taro", number)
        acknowledge(town, "hanako", number)
        clock.move(seconds=120)
        escalating.start_due(town)
        assert sent(town, number, 1) == {("jiro", "sms")}

    def test_when_everybody_has_answered_a_step_comes_to_nothing(self, town: Runtime, clock: Clock) -> None:
        number = urgent(town)
        for person in ("taro", "hanako", "jiro"):
            acknowledge(town, person, number)
        clock.move(seconds=600)
        assert escalating.start_due(town) == 2
        assert len(rows(town, number)) == 3
        timetable = watching.read_course(town, number)["timetable"]
        assert [run["deliveries"] for run in timetable] == [3, 0, 0]

    def test_what_is_still_on_its_way_is_not_sent_a_second_time(self, town: Runtime, clock: Clock) -> None:
        number = urgent(town, Plan((Step(0, MAIL), Step(60, ("email", "sms")))))
        clock.move(seconds=60)
        escalating.start_due(town)
        assert {channel for _, channel in sent(town, number, 1)} == {"sms"}

    def test_an_alert_that_is_over_takes_no_further_step(self, town: Runtime, clock: Clock) -> None:
        urgent(town, expires_at=START + timedelta(minutes=11))
        clock.move(minutes=11)
        with town.store.write() as connection:
            alerts.expire(connection, town.now())
        assert escalating.start_due(town) == 0

    def test_somebody_whom_a_later_step_may_reach_is_not_unreachable_yet(self, town: Runtime, clock: Clock) -> None:
        settle(town, "jiro", email=None, phone="090-0000-0004")
        number = urgent(town)
        assert watching.summarise(town, number)["unreachable"] == 0
        clock.move(seconds=120)
        settle(town, "jiro", email=None, phone=None)
        assert watching.summarise(town, number)["unreachable"] == 1

    def test_a_supervisor_who_is_meant_too_is_told_of_the_silent_all_the_same(
        self, town: Runtime, clock: Clock
    ) -> None:
        number = alert(town, plan=CALL_THEN_TEXT, audience=Audience(people=("taro", "kacho")))
        clock.move(seconds=600)
        escalating.start_due(town)
        assert ("kacho", "email") in sent(town, number, 0)
        assert ("kacho", "email") in sent(town, number, 2)

    def test_whoever_has_left_gets_no_further_step_and_nobody_is_told_of_their_silence(
        self, town: Runtime, clock: Clock
    ) -> None:
        number = alert(town, plan=CALL_THEN_TEXT, audience=Audience(people=("taro",)))
        take_over(town)
        settle(town, "taro", phone="090-0000-0002", groups=("water",), active=False)
        clock.move(seconds=600)
        escalating.start_due(town)
        assert (sent(town, number, 1), sent(town, number, 2)) == (set(), set())

    def test_what_our_own_fault_holds_is_tried_by_the_next_step_and_not_beside_it(
        self, town: Runtime, clock: Clock
    ) -> None:
        number = urgent(town, Plan((Step(0, SMS), Step(60, SMS))))
        with town.store.write() as connection:
            connection.execute(update(schema.deliveries).values(state=State.HELD, attempt=1, holds=1))
        clock.move(seconds=60)
        escalating.start_due(town)
        assert {row["state"] for row in rows(town, number) if row["step"] == 0} == {"cancelled"}
        assert len(sent(town, number, 1)) == 3


class TestRepeats:
    plan = Plan((Step(0, MAIL, repeat=Repeat(300, 3)),))

    def test_each_goes_to_whoever_is_still_silent_and_they_end(self, town: Runtime, clock: Clock) -> None:
        number = urgent(town, self.plan)
        take_over(town)
        for repeat in (1, 2, 3):
            clock.move(seconds=300)
            assert escalating.start_due(town) == 1
            assert len(sent(town, number, 0, repeat)) == 3
            take_over(town)
        clock.move(days=1)
        assert escalating.start_due(town) == 0

    def test_after_a_standstill_one_message_says_it_all(self, town: Runtime, clock: Clock) -> None:
        number = urgent(town, self.plan)
        take_over(town)
        clock.move(seconds=901)
        assert escalating.start_due(town) == 3
        assert [len(sent(town, number, 0, repeat)) for repeat in (1, 2, 3)] == [0, 0, 3]

    def test_two_clocks_start_a_run_once(self, town: Runtime, clock: Clock) -> None:
        number = urgent(town, self.plan)
        clock.move(seconds=300)
        with town.store.write() as connection:
            assert steps.start(connection, number, 0, 1, town.now())
        with town.store.write() as connection:
            assert not steps.start(connection, number, 0, 1, town.now())


class TestQuietHours:
    def quiet(self, rt: Runtime, person: str) -> None:
        with rt.store.write() as connection:
            people.put(connection, person, {"name": person, "quiet_from": "12:00", "quiet_to": "13:00"}, rt.now(), 1)

    def due(self, rt: Runtime, number: str) -> dict[str, timedelta]:
        return {row["person_id"]: row["due_at"] - START for row in rows(rt, number)}

    def test_a_lesser_alert_waits_for_whoever_rests(self, town: Runtime, bell: Bell) -> None:
        self.quiet(town, "taro")  # it is 12:04 in Tokyo
        number = urgent(town, severity="moderate")
        due = self.due(town, number)
        assert due["jiro"] == timedelta()
        assert timedelta(minutes=55) < due["taro"] < timedelta(minutes=56)
        assert "work:email" in bell.rung

    def test_a_severe_one_does_not(self, town: Runtime) -> None:
        self.quiet(town, "taro")
        assert set(self.due(town, urgent(town, severity="severe")).values()) == {timedelta()}


class TestForecast:
    def test_it_tells_every_run_with_the_most_it_can_come_to(self, town: Runtime) -> None:
        plan = Plan((Step(0, MAIL), Step(120, SMS, repeat=Repeat(300, 1)), Step(600, SMS, "supervisors")))
        reach = posting.check(town, draft(plan=plan, audience=Audience(people=("taro", "hanako", "jiro"))))
        told = [
            (forecast.at - START, forecast.to, forecast.people, forecast.segments > 0)
            for forecast in reach.outlook.forecasts
        ]
        assert told == [
            (timedelta(), "outstanding", 3, False),
            (timedelta(seconds=120), "outstanding", 3, True),
            (timedelta(seconds=420), "outstanding", 3, True),
            (timedelta(seconds=600), "supervisors", 1, True),
        ]
        assert [row["id"] for row in reach.outlook.warnings.unsupervised.first] == ["jiro"]

    def test_whoever_has_no_way_in_any_step_is_named(self, town: Runtime) -> None:
        settle(town, "mute", email=None)
        settle(town, "kacho", email="kacho@example.jp")
        plan = Plan((Step(0, MAIL), Step(60, SMS, "supervisors")))
        warnings = posting.check(town, draft(plan=plan, audience=Audience(people=("taro", "mute")))).outlook.warnings
        assert [row["id"] for row in warnings.without.first] == ["mute"]
        assert [row["id"] for row in warnings.supervisors_without.first] == ["kacho"]

    def test_a_plan_that_is_saved_names_whom_it_leads_to_in_vain_and_is_used_by_name(self, town: Runtime) -> None:
        settle(town, "mute", email=None)
        saved, made = planning.put_plan(town, BOSS, "text-only", "SMSのみ", Plan((Step(0, SMS),)))
        assert made
        assert [each["id"] for each in saved["warnings"]["without"]] == ["mute"]
        number = alert(town, plan="text-only")
        assert {channel for _, channel in sent(town, number, 0)} == {"sms"}
        assert {plan["id"] for plan in planning.list_plans(town)} == {"default", "text-only"}

    def test_a_plan_that_cannot_be_carried_out_is_not_saved(self, town: Runtime) -> None:
        with pytest.raises(Invalid) as refusal:
            planning.put_plan(town, BOSS, "a b", " ", Plan((Step(5, ("fax",)),)))
        assert [field for field, _ in refusal.value.details] == [
            "name",
            "plan.steps.0.channels",
            "plan.steps.0.after_seconds",
            "id",
        ]

    def test_a_step_after_the_alert_s_end_is_refused_when_posting(self, town: Runtime) -> None:
        with pytest.raises(Invalid, match="after the alert is over"):
            urgent(town, expires_at=START + timedelta(minutes=10))


def test_a_supervisor_s_page_names_who_is_silent_and_nobody_else_s_does(town: Runtime, clock: Clock) -> None:
    number = urgent(town)
    take_over(town)
    acknowledge(town, "taro", number)

    def silent(person: str) -> list[str]:
        with town.store.read() as connection:
            recipient = alerts.recipient_of(connection, number, person)
        assert recipient is not None
        return list(open_letter(town, make_token(recipient, Way.EMAIL_LINK, TOKENS)).silent)

    assert silent("hanako") == []
    clock.move(seconds=600)
    escalating.start_due(town)
    assert silent("kacho") == ["hanako さん"]
    assert silent("hanako") == []


def test_a_supervisor_who_is_gone_is_not_told(town: Runtime, clock: Clock) -> None:
    number = urgent(town)
    take_over(town)
    settle(town, "kacho", phone="090-0000-0001", active=False)
    clock.move(seconds=600)
    escalating.start_due(town)
    assert sent(town, number, 2) == set()
