"""Updates and cancellations: to exactly those who got an earlier version, on the ways it went."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from alertd.core.acknowledgement import Way
from alertd.core.audience import Audience
from alertd.core.delivery import State
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.escalation import Plan, Step
from alertd.service import escalating, posting, views, watching
from alertd.service.acknowledging import acknowledge_all, wish_of
from alertd.service.revising import CANCEL_LIFE, Revision, revise
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, people, rollouts, schema, unsent
from tests.installation import ASK, BOSS, START, Bell, Clock, actor, alert, group, settle

UPDATE = Revision("update", "避難所は第二小学校です", "第一小学校は使えません。")
CANCEL = Revision("cancel", "解除しました", "もう安全です。")


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    """Taro has mail and phone, Hanako mail alone."""
    settle(rt, "taro", phone="090-0000-0001")
    settle(rt, "hanako")
    return rt


def rows(rt: Runtime, alert_id: str) -> list[Mapping[str, Any]]:
    with rt.store.read() as connection:
        return deliveries.of_people(connection, alert_id, rollouts.told_of(connection, alert_id))


def states(rt: Runtime, alert_id: str, revision: int) -> dict[tuple[str, str], str]:
    return {
        (row["person_id"], row["channel"]): row["state"] for row in rows(rt, alert_id) if row["revision"] == revision
    }


def become(rt: Runtime, alert_id: str, person: str, channel: str, state: State, revision: int = 1) -> None:
    """Let a delivery have come to that state."""
    (number,) = [
        row["id"]
        for row in rows(rt, alert_id)
        if (row["person_id"], row["channel"], row["revision"]) == (person, channel, revision)
    ]
    with rt.store.write() as connection:
        this = update(schema.deliveries).where(schema.deliveries.c.id == number)
        connection.execute(this.values(state=state, attempt=1))


def acknowledge(rt: Runtime, person: str, alert_id: str, answer: str | None = None) -> None:
    (kept,) = acknowledge_all(rt, [wish_of(actor(person), alert_id, Way.API, answer=answer)])
    assert not isinstance(kept, Exception)


class TestUpdate:
    def test_it_goes_where_the_alert_went_and_takes_the_place_of_what_had_not_gone_out(
        self, town: Runtime, bell: Bell
    ) -> None:
        number = alert(town)
        become(town, number, "taro", "email", State.SENT)
        become(town, number, "taro", "sms", State.FAILED)
        bell.rung.clear()
        answer = revise(town, BOSS, number, UPDATE)
        assert (answer["revision"], answer["revision_kind"], answer["deliveries"]) == (2, "update", 2)
        assert states(town, number, 1) == {
            ("taro", "email"): "sent",
            ("taro", "sms"): "failed",
            ("hanako", "email"): "cancelled",
        }
        assert states(town, number, 2) == {("taro", "email"): "pending", ("hanako", "email"): "pending"}
        assert {"events", "work:email", f"changed:{number}"} <= set(bell.rung)

    def test_whoever_got_it_in_the_dark_gets_the_update_too(self, town: Runtime) -> None:
        number = alert(town)
        become(town, number, "hanako", "email", State.PENDING)
        (dark,) = [row["id"] for row in rows(town, number) if row["person_id"] == "hanako"]
        with town.store.write() as connection:
            row = {"delivery_id": dark, "attempt": 1, "worker_id": "w", "started_at": START}
            connection.execute(insert(schema.attempts).values(row))
        revise(town, BOSS, number, CANCEL)
        assert ("hanako", "email") in states(town, number, 2)

    def test_answers_stay_unless_it_asks_again(self, town: Runtime) -> None:
        number = alert(town, ask=ASK)
        acknowledge(town, "taro", number, "safe")
        revise(town, BOSS, number, UPDATE)
        assert watching.summarise(town, number)["acknowledged"] == 1
        revise(town, BOSS, number, Revision("update", "もう一度答えてください", "", ask_again=True))
        summary = watching.summarise(town, number)
        assert (summary["acknowledged"], summary["answers"]) == (0, {"safe": 0, "hurt": 0})
        acknowledge(town, "taro", number)
        summary = watching.summarise(town, number)
        assert (summary["acknowledged"], summary["answers"]) == (1, {"safe": 0, "hurt": 0})

    def test_later_steps_say_what_the_alert_says_now(self, town: Runtime, clock: Clock) -> None:
        number = alert(town, plan=Plan((Step(0, ("email",)), Step(60, ("sms",)))))
        revise(town, BOSS, number, UPDATE)
        clock.move(seconds=60)
        assert escalating.start_due(town) == 1
        assert ("taro", "sms") in states(town, number, 2)

    def test_what_comes_back_after_its_attempt_is_not_sent_any_more(self, town: Runtime) -> None:
        number = alert(town)
        become(town, number, "hanako", "email", State.SENDING)
        revise(town, BOSS, number, UPDATE)
        become(town, number, "hanako", "email", State.PENDING)
        with town.store.write() as connection:
            assert unsent.supersede_left(connection, town.now()) == 1
        assert states(town, number, 1)["hanako", "email"] == "cancelled"
        assert states(town, number, 2)["hanako", "email"] == "pending"

    def test_supervisors_who_were_told_are_told(self, town: Runtime, clock: Clock) -> None:
        settle(town, "kacho")
        group(town, "water", supervisors=["kacho"])
        settle(town, "taro", phone="090-0000-0001", groups=("water",))
        plan = Plan((Step(0, ("email",)), Step(60, ("email",), "supervisors")))
        number = alert(town, plan=plan, audience=Audience(people=("taro",)))
        clock.move(seconds=60)
        escalating.start_due(town)
        become(town, number, "kacho", "email", State.SENT)
        revise(town, BOSS, number, UPDATE)
        assert ("kacho", "email") in states(town, number, 2)

    def test_whoever_still_holds_the_old_version_is_counted_until_the_new_one_is_taken_over(
        self, town: Runtime
    ) -> None:
        number = alert(town)
        become(town, number, "taro", "email", State.SENT)
        become(town, number, "hanako", "email", State.SENT)
        assert watching.summarise(town, number)["outdated"] == 0
        revise(town, BOSS, number, UPDATE)
        assert watching.summarise(town, number)["outdated"] == 2
        become(town, number, "taro", "email", State.SENT, revision=2)
        found, _ = watching.list_recipients(town, number, state="outdated", after=None, limit=9)
        assert [person["person"]["id"] for person in found] == ["hanako"]

    def test_messages_say_first_what_they_are(self, town: Runtime) -> None:
        number = alert(town, drill=True)
        for revision, japanese, english in (
            (UPDATE, "【訓練】【更新】避難所は第二小学校です", "[DRILL] [UPDATE] 避難所は第二小学校です"),
            (CANCEL, "【訓練】【解除】解除しました", "[DRILL] [CANCELLED] 解除しました"),
        ):
            revise(town, BOSS, number, revision)
            with town.store.read() as connection:
                row = alerts.get(connection, number)
            assert row is not None
            content = posting.content_of(town, row)
            for channel in town.channels:
                for language, title in (("ja", japanese), ("en", english)):
                    assert views.rendered(town, content, language, channel).title == title

    def test_whoever_has_another_address_now_is_told_there(self, town: Runtime) -> None:
        number = alert(town)
        become(town, number, "taro", "sms", State.SENT)
        settle(town, "taro", phone="090-9999-0001")
        revise(town, BOSS, number, CANCEL)
        (told,) = [row for row in rows(town, number) if row["revision"] == 2]
        with town.store.read() as connection:
            ways = {row["id"]: row for row in people.subscriptions_of(connection, ["taro"])}
        assert ways[told["subscription_id"]]["address"] == {"phone": "+819099990001"}

    def test_an_answer_to_the_earlier_version_is_none_to_the_new_question(self, town: Runtime, clock: Clock) -> None:
        number = alert(town)
        before = clock()
        clock.move(seconds=60)
        revise(town, BOSS, number, Revision("update", "もう一度", "", ask_again=True))
        clock.move(seconds=60)
        wishes = [
            wish_of(actor("taro"), number, Way.PUSH, revision=1),
            wish_of(actor("hanako"), number, Way.API, answered_at=before),
        ]
        assert len(acknowledge_all(town, wishes)) == 2
        assert watching.summarise(town, number)["acknowledged"] == 0
        acknowledge_all(town, [wish_of(actor("taro"), number, Way.PUSH, revision=2)])
        acknowledge_all(town, [wish_of(actor("taro"), number, Way.PUSH, revision=1, comment="前の通知から")])
        assert watching.summarise(town, number)["acknowledged"] == 1

    def test_silence_to_the_new_question_is_followed_up_like_the_first(self, town: Runtime, clock: Clock) -> None:
        number = alert(town, plan=Plan((Step(0, ("email",)), Step(60, ("sms",)))))
        clock.move(seconds=60)
        assert escalating.start_due(town) == 1
        become(town, number, "taro", "sms", State.SENT)
        revise(town, BOSS, number, Revision("update", "もう一度", "", ask_again=True))
        become(town, number, "taro", "sms", State.SENT, revision=2)
        clock.move(seconds=60)
        assert escalating.start_due(town) == 1
        later = [row for row in rows(town, number) if (row["revision"], row["step"]) == (2, 1)]
        assert [row["person_id"] for row in later] == ["taro"]

    def test_the_new_version_waits_while_the_old_one_is_under_way(self, town: Runtime) -> None:
        number = alert(town)
        with town.store.write() as connection:
            claimed = deliveries.claim(connection, "email", "w", 9, town.now())
        assert len(claimed) == 2
        revise(town, BOSS, number, CANCEL)
        with town.store.write() as connection:
            assert deliveries.claim(connection, "email", "w2", 9, town.now()) == []
        become(town, number, "taro", "email", State.SENT)
        with town.store.write() as connection:
            assert [claim.revision for claim in deliveries.claim(connection, "email", "w2", 9, town.now())] == [2]

    def test_somebody_else_s_revision_is_not_overwritten_unseen(self, town: Runtime) -> None:
        number = alert(town)
        revise(town, BOSS, number, UPDATE)
        with pytest.raises(Conflict, match="says something else"):
            revise(town, BOSS, number, replace(UPDATE, on_revision=1))


class TestCancel:
    def test_it_goes_only_where_the_alert_went(self, town: Runtime) -> None:
        number = alert(town)
        become(town, number, "taro", "sms", State.DELIVERED)
        answer = revise(town, BOSS, number, CANCEL)
        assert (answer["state"], answer["deliveries"]) == ("cancelled", 1)
        assert states(town, number, 1) == {
            ("taro", "email"): "cancelled",
            ("taro", "sms"): "delivered",
            ("hanako", "email"): "cancelled",
        }
        assert states(town, number, 2) == {("taro", "sms"): "pending"}

    def test_no_further_step_is_taken_and_answers_are_late(self, town: Runtime, clock: Clock) -> None:
        number = alert(town, plan=Plan((Step(0, ("email",)), Step(60, ("sms",)))))
        revise(town, BOSS, number, CANCEL)
        clock.move(seconds=60)
        assert escalating.start_due(town) == 0
        acknowledge(town, "taro", number)
        found, _ = watching.list_recipients(town, number, state="acknowledged", after=None, limit=9)
        assert found[0]["acknowledgement"]["late"]

    def test_there_is_time_to_say_so_however_late_it_comes(self, town: Runtime, clock: Clock) -> None:
        number = alert(town, expires_at=START + timedelta(minutes=10))
        become(town, number, "hanako", "email", State.SENT)
        clock.move(minutes=9)
        revise(town, BOSS, number, CANCEL)
        clock.move(minutes=2)
        with town.store.write() as connection:
            alerts.expire(connection, town.now())
        assert states(town, number, 2)["hanako", "email"] == "pending"
        clock.move(seconds=CANCEL_LIFE.total_seconds())
        with town.store.write() as connection:
            alerts.expire(connection, town.now())
        assert states(town, number, 2)["hanako", "email"] == "expired"

    def test_an_alert_is_called_off_once(self, town: Runtime) -> None:
        number = alert(town)
        revise(town, BOSS, number, CANCEL)
        for again in (CANCEL, UPDATE):
            with pytest.raises(Conflict, match="called off already"):
                revise(town, BOSS, number, again)

    def test_what_is_over_is_neither_updated_nor_called_off(self, town: Runtime, clock: Clock) -> None:
        number = alert(town, expires_at=START + timedelta(minutes=10))
        clock.move(minutes=10)
        with pytest.raises(Conflict, match="over already"):
            revise(town, BOSS, number, CANCEL)


@pytest.mark.parametrize(
    ("revision", "fields"),
    [
        (Revision("update", " ", ""), ["title"]),
        (Revision("update", "x" * 201, "x" * 20_001), ["title", "body"]),
        (Revision("update", "a\x00", "b\x01"), ["title", "body"]),
        (Revision("update", "【訓練】避難", ""), ["title"]),
        (Revision("cancel", "解除", "", ask_again=True), ["ask_again"]),
    ],
    ids=str,
)
def test_a_revision_that_cannot_be_is_refused_and_nothing_changes(
    town: Runtime, revision: Revision, fields: list[str]
) -> None:
    number = alert(town)
    with pytest.raises(Invalid) as refusal:
        revise(town, BOSS, number, revision)
    assert [field for field, _ in refusal.value.details] == fields
    assert len(watching.read_course(town, number)["revisions"]) == 1
    assert set(states(town, number, 1).values()) == {"pending"}


def test_there_is_nothing_to_revise_where_there_is_no_alert(town: Runtime) -> None:
    with pytest.raises(NotFound):
        revise(town, BOSS, "nothing", UPDATE)


def test_everything_an_alert_has_said_is_kept(town: Runtime) -> None:
    number = alert(town)
    revise(town, BOSS, number, UPDATE)
    revise(town, BOSS, number, CANCEL)
    said = watching.read_course(town, number)["revisions"]
    assert [(each["revision"], each["kind"], each["title"]) for each in said] == [
        (1, "alert", "避難所を開設しました"),
        (2, "update", UPDATE.title),
        (3, "cancel", CANCEL.title),
    ]
