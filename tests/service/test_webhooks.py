"""Webhooks: what happened is told at least once and in order, whoever does not listen, and nothing slows a post."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from alertd.core.acknowledgement import Way
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.service import reaching, revising, telling, watching, webhooks
from alertd.service.acknowledging import Acknowledging, acknowledge_all
from alertd.service.revising import Revision
from alertd.service.runtime import Runtime
from alertd.service.telling import Turn
from alertd.store import alerts, leftovers, schema
from tests.installation import BOSS, Clock, actor, alert, settle
from tests.threads import at_once

URL = "https://chat.example.jp/hook"
SAYS = ("alert.created", "alert.revised")


@dataclass(frozen=True)
class Told:
    """A message that the other side was told."""

    id: str
    type: str
    data: Mapping[str, Any]


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    settle(rt, "taro")
    settle(rt, "hanako")
    webhooks.make_webhook(rt, BOSS, "chat", URL)
    return rt


def words(turn: Turn) -> Told:
    body = json.loads(turn.body)
    return Told(turn.headers["webhook-id"], body["type"], body["data"])


def turn_of(rt: Runtime, webhook_id: str = "chat") -> Turn | None:
    telling.prepare(rt)
    return telling.take_turn(rt, webhook_id)


def hear(rt: Runtime, webhook_id: str = "chat") -> list[Told]:
    """All that is to be told now, taken by the other side."""
    told = []
    while (turn := turn_of(rt, webhook_id)) is not None:
        told.append(words(turn))
        telling.end_turn(rt, turn, 204, None)
    return told


def fail(rt: Runtime, webhook_id: str = "chat", status: int = 503) -> Told | None:
    """The next message, which the other side does not take."""
    turn = turn_of(rt, webhook_id)
    if turn is None:
        return None
    telling.end_turn(rt, turn, status, f"https://chat.example.jp answered {status}")
    return words(turn)


def types(told: list[Told]) -> list[str]:
    return [each.type for each in told]


def revise(rt: Runtime, alert_id: str, kind: Any = "update", title: str = "続報") -> None:
    revising.revise(rt, BOSS, alert_id, Revision(kind, title, "本文"))


def answer(rt: Runtime, alert_id: str, person: str) -> None:
    [kept] = acknowledge_all(rt, [Acknowledging(Way.API, alert_id, person)])
    assert not isinstance(kept, Exception)


def shown(rt: Runtime, webhook_id: str = "chat") -> dict[str, Any]:
    return next(each for each in webhooks.list_webhooks(rt) if each["id"] == webhook_id)


def now(rt: Runtime) -> Clock:
    assert isinstance(rt.now, Clock)
    return rt.now


class TestWhatIsTold:
    def test_an_alert_its_revision_and_its_end(self, town: Runtime) -> None:
        alert_id = alert(town)
        revise(town, alert_id)
        revise(town, alert_id, "cancel", "誤報でした")
        told = hear(town)
        assert [(each.type, each.data["kind"], each.data["state"]) for each in told] == [
            ("alert.created", "alert", "active"),
            ("alert.revised", "update", "active"),
            ("alert.revised", "cancel", "cancelled"),
        ]
        assert [each.data["title"] for each in told] == ["避難所を開設しました", "【更新】続報", "【解除】誤報でした"]
        assert {each.data["id"] for each in told} == {alert_id}
        assert {each.data["url"] for each in told} == {f"https://alert.example.jp/alerts/{alert_id}"}
        assert len({each.id for each in told}) == 3
        assert hear(town) == []

    def test_a_drill_is_told_as_one(self, town: Runtime) -> None:
        alert(town, drill=True, title="安否訓練")
        [told] = hear(town)
        assert (told.data["drill"], told.data["title"]) == (True, "【訓練】安否訓練")
        now(town).move(seconds=10)
        [counts] = hear(town)
        assert (counts.type, counts.data["drill"]) == ("alert.counts", True)

    def test_what_was_before_and_what_goes_to_oneself_is_nobody_elses(self, town: Runtime) -> None:
        alert(town)
        webhooks.make_webhook(town, BOSS, "sign", URL)
        reaching.send_test(town, actor("taro"))
        assert hear(town, "sign") == []
        assert types(hear(town)) == ["alert.created"]

    def test_each_is_told_what_it_asked_for(self, town: Runtime) -> None:
        webhooks.make_webhook(town, BOSS, "sign", URL, ["alert.revised"])
        alert_id = alert(town)
        revise(town, alert_id)
        assert types(hear(town, "sign")) == ["alert.revised"]
        now(town).move(minutes=1)
        assert hear(town, "sign") == []
        assert types(hear(town)) == ["alert.created", "alert.revised"]
        now(town).move(seconds=10)
        assert types(hear(town)) == ["alert.counts"]
        assert hear(town, "sign") == []

    def test_that_the_time_of_an_alert_is_over(self, town: Runtime) -> None:
        alert_id = alert(town, expires_at=town.now() + timedelta(minutes=5))
        hear(town)
        now(town).move(minutes=6)
        with town.store.write() as connection:
            assert alerts.expire(connection, town.now()) == [alert_id]
        told = hear(town)
        assert types(told) == ["alert.revised"]
        assert (told[0].data["kind"], told[0].data["state"]) == ("expired", "expired")
        now(town).move(minutes=1)
        assert types(hear(town)) == ["alert.counts"]
        now(town).move(minutes=1)
        assert hear(town) == []

    def test_a_post_writes_nothing_for_webhooks(self, town: Runtime) -> None:
        alert(town)
        with town.store.read() as connection:
            assert connection.execute(select(func.count()).select_from(schema.webhook_messages)).scalar_one() == 0


class TestCounts:
    def test_they_are_those_of_the_summary_at_most_every_ten_seconds(self, town: Runtime) -> None:
        alert_id = alert(town)
        assert types(hear(town)) == ["alert.created"]
        now(town).move(seconds=9)
        answer(town, alert_id, "taro")
        assert hear(town) == []
        now(town).move(seconds=1)
        [told] = hear(town)
        summary = watching.summarise(town, alert_id)
        kept = ("recipients", "acknowledged", "outstanding", "unreachable", "answers")
        assert {name: told.data[name] for name in kept} == {name: summary[name] for name in kept}
        assert told.data["acknowledged"] == 1
        answer(town, alert_id, "hanako")
        assert hear(town) == []
        now(town).move(seconds=10)
        [last] = hear(town)
        assert (last.data["acknowledged"], last.data["outstanding"]) == (2, 0)

    def test_what_has_not_changed_is_not_told(self, town: Runtime) -> None:
        alert(town)
        hear(town)
        now(town).move(seconds=10)
        assert types(hear(town)) == ["alert.counts"]
        for _ in range(5):
            now(town).move(seconds=10)
            assert hear(town) == []

    def test_late_answers_are_told_for_a_day(self, town: Runtime) -> None:
        alert_id = alert(town)
        revise(town, alert_id, "cancel")
        hear(town)
        now(town).move(seconds=10)
        assert types(hear(town)) == ["alert.counts"]
        now(town).move(hours=20)
        answer(town, alert_id, "taro")
        assert types(hear(town)) == ["alert.counts"]
        now(town).move(hours=5)
        assert hear(town) == []
        answer(town, alert_id, "hanako")
        now(town).move(hours=5)
        assert hear(town) == []

    def test_whoever_does_not_listen_is_told_the_state_of_when_they_do(self, town: Runtime) -> None:
        alert_id = alert(town)
        hear(town)
        now(town).move(seconds=10)
        failed = fail(town)
        assert failed is not None
        answer(town, alert_id, "taro")
        now(town).move(hours=1)
        assert shown(town)["waiting"] == 1
        [again] = hear(town)
        assert again.id == failed.id
        now(town).move(seconds=10)
        [last] = hear(town)
        assert last.data["acknowledged"] == 1

    @pytest.mark.parametrize("fault", [None, "no"])
    def test_they_do_not_stand_in_the_way_of_what_is_said(self, town: Runtime, fault: str | None) -> None:
        alert_id = alert(town)
        hear(town)
        now(town).move(seconds=10)
        under_way = turn_of(town)
        assert under_way is not None
        revise(town, alert_id, "cancel")
        telling.prepare(town)
        telling.end_turn(town, under_way, 500 if fault else 204, fault)
        assert types(hear(town)) == ["alert.revised"]
        # Nobody knows whether they arrived, so they are told again.
        now(town).move(minutes=1)
        assert types(hear(town)) == ["alert.counts"]


class TestDelivery:
    def test_it_is_tried_again_under_the_same_name_and_signed_anew(self, town: Runtime) -> None:
        alert(town)
        first = turn_of(town)
        assert first is not None
        telling.end_turn(town, first, None, "https://chat.example.jp did not answer")
        assert turn_of(town) is None
        assert shown(town).items() >= {"failures": 1, "waiting": 1, "succeeded_at": None}.items()
        assert shown(town)["fault"] == "https://chat.example.jp did not answer"
        now(town).move(seconds=5)
        second = turn_of(town)
        assert second is not None
        assert second.body == first.body
        assert second.headers["webhook-id"] == first.headers["webhook-id"]
        stamps = [int(each.headers["webhook-timestamp"]) for each in (first, second)]
        assert stamps[1] - stamps[0] == 5
        assert second.headers["webhook-signature"] != first.headers["webhook-signature"]
        telling.end_turn(town, second, 200, None)
        assert shown(town).items() >= {"failures": 0, "waiting": 0}.items()
        assert shown(town)["succeeded_at"] is not None

    def test_what_is_said_of_one_alert_stays_in_order_and_another_does_not_wait(self, town: Runtime) -> None:
        webhooks.make_webhook(town, BOSS, "sign", URL, SAYS)
        one = alert(town)
        created = fail(town, "sign")
        revise(town, one)
        other = alert(town, title="別の件")
        # The new words hurry the old ones, which go first.
        assert [(each.type, each.data["id"]) for each in hear(town, "sign")] == [
            ("alert.created", one),
            ("alert.revised", one),
            ("alert.created", other),
        ]
        assert created is not None
        stuck = alert(town, title="受け取られない")
        assert fail(town, "sign") is not None
        revise(town, stuck)
        assert fail(town, "sign") is not None
        assert turn_of(town, "sign") is None

    def test_after_a_day_it_is_given_up_and_shown(self, town: Runtime) -> None:
        webhooks.make_webhook(town, BOSS, "sign", URL, SAYS)
        started = town.now()
        alert_id = alert(town, expires_at=started + timedelta(days=3))
        names = set()
        tries = 0
        while shown(town, "sign")["given_up"] == 0:
            told = fail(town, "sign")
            if told is None:
                now(town).move(minutes=5)
                continue
            names.add(told.id)
            tries += 1
        assert (len(names), tries) == (1, 8)
        assert timedelta(days=1) < town.now() - started < timedelta(hours=29)
        assert shown(town, "sign")["waiting"] == 0
        revise(town, alert_id, "cancel")
        assert types(hear(town, "sign")) == ["alert.revised"]

    def test_one_message_that_is_refused_is_given_up_all_the_same(self, town: Runtime) -> None:
        webhooks.make_webhook(town, BOSS, "sign", URL, SAYS)
        bad = alert(town, title="受け取られない")
        for _ in range(40):
            alert(town, title="よい")
            turn = turn_of(town, "sign")
            while turn is not None:
                refused = words(turn).data["id"] == bad
                telling.end_turn(town, turn, 400 if refused else 204, "400" if refused else None)
                turn = telling.take_turn(town, "sign")
            now(town).move(hours=1)
        for _ in range(60):
            fail(town, "sign")
            now(town).move(hours=1)
        assert shown(town, "sign")["given_up"] == 1

    def test_when_an_outage_ends_nothing_waits_for_its_next_attempt(self, town: Runtime) -> None:
        for title in ("一", "二", "三"):
            alert(town, title=title)
        for _ in range(3):
            assert fail(town) is not None
        now(town).move(seconds=5)
        for _ in range(3):
            assert fail(town) is not None
        now(town).move(minutes=4)
        assert turn_of(town) is None
        webhooks.ping(town, BOSS, "chat")
        told = hear(town)
        assert sorted(types(told)) == ["alert.created"] * 3 + ["webhook.ping"]

    def test_gone_is_gone_until_it_takes_something_again(self, town: Runtime) -> None:
        alert_id = alert(town)
        assert fail(town, status=410) is not None
        assert shown(town).items() >= {"waiting": 0, "given_up": 1}.items()
        assert shown(town)["disabled_at"] is not None
        revise(town, alert_id)
        now(town).move(days=2)
        assert turn_of(town) is None
        webhooks.ping(town, BOSS, "chat")
        assert types([told for told in [fail(town, status=410)] if told]) == ["webhook.ping"]
        assert shown(town)["disabled_at"] is not None
        webhooks.ping(town, BOSS, "chat")
        assert types(hear(town)) == ["webhook.ping"]
        assert shown(town)["disabled_at"] is None
        alert(town, title="新しい件")
        assert [told.data["title"] for told in hear(town)] == ["新しい件"]

    def test_a_ping_is_tried_once(self, town: Runtime) -> None:
        reference = webhooks.ping(town, BOSS, "chat")
        told = fail(town)
        assert told is not None
        assert (told.id, told.type, told.data) == (reference, "webhook.ping", {"webhook": "chat"})
        now(town).move(days=2)
        assert turn_of(town) is None
        assert shown(town).items() >= {"failures": 1, "given_up": 0, "waiting": 0}.items()

    def test_one_at_a_time_and_what_a_killed_process_told_is_told_again(self, town: Runtime) -> None:
        alert(town)
        alert(town, title="別の件")
        held = turn_of(town)
        assert held is not None
        assert telling.prepare(town) == []
        assert telling.take_turn(town, "chat") is None
        now(town).move(seconds=31)
        assert telling.prepare(town) == ["chat"]
        again = telling.take_turn(town, "chat")
        assert again is not None
        assert again.headers["webhook-id"] == held.headers["webhook-id"]
        # Whoever was only asleep takes nothing from the one who came after.
        telling.give_back(town, held)
        assert telling.take_turn(town, "chat") is None
        telling.give_back(town, again)
        assert telling.take_turn(town, "chat") is not None

    def test_several_processes_make_each_message_once(self, town: Runtime) -> None:
        for number in range(5):
            alert(town, title=f"{number}")
        at_once(telling.prepare, [town] * 4)
        assert [told.data["title"] for told in hear(town)] == ["0", "1", "2", "3", "4"]
        now(town).move(seconds=10)
        at_once(telling.prepare, [town] * 4)
        assert types(hear(town)) == ["alert.counts"] * 5

    def test_what_was_told_is_forgotten_after_a_month(self, town: Runtime) -> None:
        alert(town)
        hear(town)
        now(town).move(days=31)
        with town.store.write() as connection:
            leftovers.clear(connection, town.now())
            assert connection.execute(select(schema.webhook_messages)).all() == []


class TestKeeping:
    def test_another_secret_signs_beside_the_one_before_it_for_a_day(self, town: Runtime) -> None:
        made = webhooks.make_webhook(town, BOSS, "sign", URL, SAYS)
        renewed = webhooks.renew_secret(town, BOSS, "sign")
        assert renewed.secret != made.secret
        alert(town)
        turn = turn_of(town, "sign")
        assert turn is not None
        assert len(turn.headers["webhook-signature"].split()) == 2
        telling.give_back(town, turn)
        now(town).move(days=1)
        turn = turn_of(town, "sign")
        assert turn is not None
        assert len(turn.headers["webhook-signature"].split()) == 1

    def test_a_deleted_one_is_told_nothing_and_what_is_under_way_harms_nobody(self, town: Runtime) -> None:
        alert(town)
        turn = turn_of(town)
        assert turn is not None
        webhooks.delete_webhook(town, BOSS, "chat")
        telling.end_turn(town, turn, 204, None)
        assert webhooks.list_webhooks(town) == []
        assert turn_of(town) is None
        for call in (webhooks.delete_webhook, webhooks.renew_secret, webhooks.ping):
            with pytest.raises(NotFound):
                call(town, BOSS, "chat")

    def test_what_is_wrong_is_told_at_once(self, town: Runtime) -> None:
        with pytest.raises(Invalid) as refused:
            webhooks.make_webhook(town, BOSS, "a b", "https://chat.example.jp/" + "x" * 2_000, ["alert.sung"])
        assert [field for field, _ in refused.value.details] == ["id", "url", "types"]
        with pytest.raises(Conflict):
            webhooks.make_webhook(town, BOSS, "chat", URL)
        for number in range(19):
            webhooks.make_webhook(town, BOSS, f"w{number}", URL)
        with pytest.raises(Conflict, match="20 webhooks"):
            webhooks.make_webhook(town, BOSS, "more", URL)

    def test_no_secret_is_listed(self, town: Runtime) -> None:
        made = webhooks.make_webhook(town, BOSS, "sign", URL)
        assert made.secret not in json.dumps(webhooks.list_webhooks(town))
        assert shown(town, "sign")["types"] == ["alert.created", "alert.revised", "alert.counts"]
