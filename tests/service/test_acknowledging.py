"""Answers: first and last kept with their ways, and what the manager sees of them."""

from typing import Any

import pytest

from alertd.core.acknowledgement import Way, make_token
from alertd.core.audience import Audience
from alertd.core.delivery import Receipt, State, Transition
from alertd.core.errors import Forbidden, Invalid, NotFound
from alertd.core.roles import Role
from alertd.service import reaching, watching
from alertd.service.acknowledging import Acknowledged, Acknowledging, acknowledge_all, open_letter, wish_of
from alertd.service.runtime import Runtime
from alertd.service.views import moment
from alertd.store import alerts, deliveries, settlements
from alertd.store.settlements import Settlement
from tests.installation import ASK, START, TOKENS, Bell, Clock, actor, alert, group, settle
from tests.threads import at_once


def answer(rt: Runtime, alert_id: str, person: str = "taro", way: Way = Way.API, **given: Any) -> Acknowledged:
    (result,) = acknowledge_all(rt, [Acknowledging(way, alert_id, person, **given)])
    if isinstance(result, Exception):
        raise result
    return result


def number(rt: Runtime, alert_id: str, person: str = "taro") -> int:
    with rt.store.read() as connection:
        found = alerts.recipient_of(connection, alert_id, person)
    assert found is not None
    return found


@pytest.fixture
def alert_id(rt: Runtime) -> str:
    """An alert with a question to `taro` and `hanako`."""
    settle(rt, "taro")
    settle(rt, "hanako")
    return alert(rt, ask=ASK)


class TestKeeping:
    def test_the_first_and_the_last_answer_are_kept_with_the_ways_they_came(
        self, rt: Runtime, clock: Clock, alert_id: str
    ) -> None:
        one = answer(rt, alert_id, way=Way.PUSH)
        assert one.first
        clock.move(minutes=1)
        answer(rt, alert_id, way=Way.SMS_LINK, answer="hurt")
        clock.move(minutes=1)
        last = answer(rt, alert_id, way=Way.WEBSOCKET, answer="safe", comment="歩ける")
        assert not last.first
        assert last.body.items() >= {
            "alert": alert_id, "person": "taro", "answer": "safe", "comment": "歩ける", "way": "websocket",
            "answered_at": moment(clock()), "by": None, "late": False, "revision": 1,
        }.items()  # fmt: skip
        assert last.body["first"].items() >= {"answer": None, "way": "push", "answered_at": moment(START)}.items()

    def test_a_bare_acknowledgement_takes_no_answer_back(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        kept = answer(rt, alert_id, answer="hurt", comment="助けて")
        clock.move(minutes=1)
        assert answer(rt, alert_id).body == kept.body
        clock.move(minutes=1)
        later = answer(rt, alert_id, comment="足です").body
        assert (later["answer"], later["comment"]) == ("hurt", "足です")

    def test_an_answer_of_a_phone_that_was_offline_does_not_replace_a_newer_one(
        self, rt: Runtime, clock: Clock, alert_id: str
    ) -> None:
        clock.move(minutes=10)
        answer(rt, alert_id, answer="safe")
        early = answer(rt, alert_id, answer="hurt", answered_at=START)
        assert early.body["answer"] == "safe"

    def test_after_the_end_it_is_kept_and_marked_late(self, rt: Runtime, clock: Clock, alert_id: str) -> None:
        clock.move(hours=24)
        assert answer(rt, alert_id).body["late"], "its life is over, whether or not a clock has closed it"
        with rt.store.write() as connection:
            alerts.expire(connection, rt.now())
        assert answer(rt, alert_id, "hanako").body["late"]
        assert watching.summarise(rt, alert_id)["acknowledged"] == 2

    @pytest.mark.parametrize(
        ("given", "field"),
        [({"answer": "perhaps"}, "answer"), ({"answer": ""}, "answer"), ({"comment": "x" * 2_001}, "comment"),
         ({"comment": "\0"}, "comment")],
        ids=str,
    )  # fmt: skip
    def test_what_is_no_answer_is_refused(self, rt: Runtime, alert_id: str, given: dict[str, Any], field: str) -> None:
        with pytest.raises(Invalid) as refusal:
            answer(rt, alert_id, **given)
        assert [name for name, _ in refusal.value.details] == [field]
        assert watching.summarise(rt, alert_id)["acknowledged"] == 0

    def test_an_alert_without_a_question_has_no_answer(self, rt: Runtime) -> None:
        settle(rt, "taro")
        with pytest.raises(Invalid, match="asks no question"):
            answer(rt, alert(rt), answer="safe")

    def test_an_alert_to_others_is_none(self, rt: Runtime, alert_id: str) -> None:
        settle(rt, "late")
        for alert_or_none, person in ((alert_id, "late"), (alert_id, "nobody"), ("unknown", "taro")):
            with pytest.raises(NotFound):
                answer(rt, alert_or_none, person)


class TestProxy:
    def test_only_a_manager_answers_for_somebody_else_and_it_is_marked(self, rt: Runtime, alert_id: str) -> None:
        settle(rt, "chief")
        for role in (Role.STAFF, Role.VIEWER):
            with pytest.raises(Forbidden):
                wish_of(actor("chief", role), alert_id, Way.API, person="taro")
        wish = wish_of(actor("chief", Role.MANAGER), alert_id, Way.API, person="taro", answer="safe")
        (kept,) = acknowledge_all(rt, [wish])
        assert isinstance(kept, Acknowledged)
        assert kept.body.items() >= {"person": "taro", "by": "chief", "way": "proxy", "answer": "safe"}.items()

    def test_for_somebody_who_did_not_get_it_there_is_nothing_to_answer(self, rt: Runtime, alert_id: str) -> None:
        wish = wish_of(actor("chief", Role.MANAGER), alert_id, Way.API, person="nobody")
        (refused,) = acknowledge_all(rt, [wish])
        assert isinstance(refused, Invalid)
        assert [field for field, _ in refused.details] == ["person"]


class TestGroups:
    def test_one_that_is_refused_takes_nobody_down_and_each_is_answered_in_its_place(
        self, rt: Runtime, bell: Bell, alert_id: str
    ) -> None:
        bell.rung.clear()
        results = acknowledge_all(
            rt,
            [
                Acknowledging(Way.API, alert_id, "taro", answer="perhaps"),
                Acknowledging(Way.API, alert_id, "hanako", answer="hurt"),
                Acknowledging(Way.API, alert_id, "nobody"),
                Acknowledging(Way.API, recipient=999_999),
                Acknowledging(Way.API, alert_id, "taro", answer="safe"),
            ],
        )
        assert [type(result).__name__ for result in results] == [
            "Invalid", "Acknowledged", "NotFound", "NotFound", "Acknowledged",
        ]  # fmt: skip
        assert watching.summarise(rt, alert_id)["answers"] == {"safe": 1, "hurt": 1}
        assert bell.rung == [f"changed:{alert_id}"]

    def test_whoever_changes_their_mind_within_one_group_has_both_kept(self, rt: Runtime, alert_id: str) -> None:
        wishes = [Acknowledging(Way.PUSH, alert_id, "taro", answer=choice) for choice in ("safe", "hurt")]
        first, last = acknowledge_all(rt, wishes)
        assert isinstance(first, Acknowledged)
        assert isinstance(last, Acknowledged)
        assert (first.first, last.first) == (True, False)
        assert (last.body["answer"], last.body["first"]["answer"]) == ("hurt", "safe")
        assert watching.summarise(rt, alert_id)["answers"] == {"safe": 0, "hurt": 1}

    def test_many_who_answer_at_once_are_counted_once_each(self, rt: Runtime, alert_id: str) -> None:
        results = at_once(
            lambda turn: answer(rt, alert_id, ("taro", "hanako")[turn % 2], answer=("safe", "hurt")[turn % 2]),
            range(20),
        )
        assert [result.first for result in results].count(True) == 2
        summary = watching.summarise(rt, alert_id)
        assert (summary["acknowledged"], summary["answers"]) == (2, {"safe": 1, "hurt": 1})


class TestLetter:
    def test_a_link_opens_its_own_alert_and_opening_it_answers_nothing(self, rt: Runtime, alert_id: str) -> None:
        token = make_token(number(rt, alert_id), Way.EMAIL_LINK, TOKENS)
        letter = open_letter(rt, token)
        assert (letter.person_id, letter.way, letter.alert["id"]) == ("taro", Way.EMAIL_LINK, alert_id)
        assert open_letter(rt, token).acknowledgement is None
        acknowledge_all(rt, [Acknowledging(letter.way, recipient=letter.recipient, answer="safe")])
        kept = open_letter(rt, token).acknowledgement
        assert kept is not None
        assert (kept["answer"], kept["way"]) == ("safe", "email-link")

    @pytest.mark.parametrize("token", ["", "x" * 32, make_token(999_999, Way.PAGE, TOKENS)])
    def test_any_other_opens_nothing(self, rt: Runtime, alert_id: str, token: str) -> None:
        with pytest.raises(NotFound):
            open_letter(rt, token)


class TestSummary:
    def settle_one(self, rt: Runtime, person: str, state: State) -> None:
        """Let the delivery to `person` come to `state`."""
        with rt.store.write() as connection:
            for claim in deliveries.claim(connection, "email", "w", 100, rt.now()):
                mine = claim.address["email"].startswith(person)
                after = (
                    Transition(state, "because", provider_id="m1")
                    if mine
                    else Transition(State.PENDING, due_at=rt.now())
                )
                settlements.settle(connection, [Settlement(claim, "x", after)], rt.now())

    @pytest.mark.parametrize(
        ("state", "unreachable"),
        [(State.SENT, 0), (State.PENDING, 0), (State.FAILED, 1), (State.HELD, 1), (State.EXPIRED, 1)],
    )
    def test_unreachable_is_to_whom_no_way_works_or_still_may(
        self, rt: Runtime, state: State, unreachable: int, alert_id: str
    ) -> None:
        self.settle_one(rt, "taro", state)
        summary = watching.summarise(rt, alert_id)
        assert (summary["outstanding"], summary["unreachable"]) == (2, unreachable)
        answer(rt, alert_id, "taro")
        summary = watching.summarise(rt, alert_id)
        assert (summary["outstanding"], summary["unreachable"]) == (1, 0), "whoever answered was reached"

    def test_one_way_that_works_is_enough_and_none_at_all_is_told(self, rt: Runtime) -> None:
        settle(rt, "taro", phone="090-1234-5678")
        settle(rt, "mute", email=None)
        alert_id = alert(rt)
        self.settle_one(rt, "taro", State.FAILED)
        items, _ = watching.list_recipients(rt, alert_id, state="unreachable", after=None, limit=9)
        assert [(item["person"]["id"], item["cause"]) for item in items] == [("mute", "no address of any kind")]

    def test_why_somebody_cannot_be_reached_is_told_for_each_way(self, rt: Runtime, alert_id: str) -> None:
        self.settle_one(rt, "taro", State.FAILED)
        items, _ = watching.list_recipients(rt, alert_id, state="unreachable", after=None, limit=9)
        assert [(item["person"]["id"], item["cause"]) for item in items] == [("taro", "email: because")]

    def test_the_numbers_add_up(self, rt: Runtime, clock: Clock) -> None:
        group(rt, "city")
        group(rt, "fire", "city")
        group(rt, "empty", "city")
        for person, groups in (("a", ("fire",)), ("b", ("fire", "city")), ("c", ("city",)), ("d", ())):
            settle(rt, person, groups=groups, phone="090-1234-5678")
        alert_id = alert(rt, ask=ASK)
        clock.move(minutes=3)
        answer(rt, alert_id, "a", answer="safe")
        answer(rt, alert_id, "d", answer="safe")
        clock.move(minutes=3)
        answer(rt, alert_id, "d", answer="hurt")
        summary = watching.summarise(rt, alert_id)
        assert {name: summary[name] for name in ("recipients", "acknowledged", "outstanding", "unreachable")} == {
            "recipients": 4, "acknowledged": 2, "outstanding": 2, "unreachable": 0,
        }  # fmt: skip
        assert summary["answers"] == {"safe": 1, "hurt": 1}
        assert [(each["id"], each["recipients"], each["acknowledged"]) for each in summary["groups"]] == [
            ("city", 3, 1),
            ("fire", 2, 1),
        ]
        assert sum(summary["channels"]["sms"].values()) == sum(summary["channels"]["email"].values()) == 4
        assert (summary["opened_at"], summary["last_ack_at"]) == (moment(START), moment(clock()))

    def test_an_alert_that_is_none_has_no_numbers(self, rt: Runtime) -> None:
        with pytest.raises(NotFound):
            watching.summarise(rt, "unknown")
        with pytest.raises(NotFound):
            watching.list_recipients(rt, "unknown", state=None, after=None, limit=1)

    def test_what_somebody_got_is_in_their_inbox_with_their_answer(
        self, rt: Runtime, clock: Clock, alert_id: str
    ) -> None:
        clock.move(seconds=1)
        second = alert(rt, audience=Audience(people=("taro",)))
        answer(rt, alert_id, "taro", answer="safe")
        inbox = watching.read_inbox(rt, actor("taro"))
        assert [each["id"] for each in inbox] == [second, alert_id]
        assert [each["acknowledgement"] and each["acknowledgement"]["answer"] for each in inbox] == [None, "safe"]
        assert [each["id"] for each in watching.read_inbox(rt, actor("hanako"))] == [alert_id]


class TestReceipts:
    def test_news_ring_for_the_alert_that_they_changed(self, rt: Runtime, bell: Bell, alert_id: str) -> None:
        TestSummary().settle_one(rt, "taro", State.SENT)
        bell.rung.clear()
        reaching.receive_receipts(rt, "email", [Receipt("m1", True)])
        assert bell.rung == [f"changed:{alert_id}"]
        reaching.receive_receipts(rt, "email", [Receipt("m1", True), Receipt("unknown", False)])
        assert len(bell.rung) == 1


def test_a_phone_s_wrong_clock_is_set_right(rt: Runtime, clock: Clock, alert_id: str) -> None:
    clock.move(minutes=5)
    assert answer(rt, alert_id, answered_at=START).body["answered_at"] == moment(START)
    late = answer(rt, alert_id, "hanako", answered_at=START.replace(year=9999)).body
    assert late["answered_at"] == moment(clock())


def test_a_clock_that_was_set_right_while_the_answer_waited_does_not_make_it_the_oldest(
    rt: Runtime, clock: Clock, alert_id: str
) -> None:
    clock.move(minutes=5)
    answer(rt, alert_id, answer="safe")
    clock.move(minutes=5)
    changed = answer(rt, alert_id, answer="hurt", answered_at=START.replace(year=2009)).body
    assert (changed["answer"], changed["answered_at"]) == ("hurt", moment(clock()))
