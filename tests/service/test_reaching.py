"""How people are reached: the subscriptions that follow from their records, and those of their browsers."""

from collections.abc import Mapping
from typing import Any

import pytest

from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.service import reaching
from alertd.service.reaching import SUBSCRIPTIONS_MAX
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, people, rollouts, unsent
from tests.installation import Bell, actor, alert, settle

ENDPOINT = "https://push.example/1"


def browser(endpoint: str = ENDPOINT, **keys: str) -> dict[str, str]:
    return {"endpoint": endpoint, "p256dh": "p", "auth": "a", "key_id": "v", **keys}


def subscribe(rt: Runtime, person: str, address: Mapping[str, str] | None = None) -> tuple[str, bool]:
    return reaching.subscribe(rt, actor(person), "webpush", address or browser(), "電話")


def live(rt: Runtime, person: str) -> list[tuple[str, str]]:
    """(channel, address) of every way that is in use."""
    with rt.store.read() as connection:
        rows = people.subscriptions_of(connection, [person])
    shown = [(row["channel"], row["address"].get("endpoint") or next(iter(row["address"].values()))) for row in rows
             if row["retired_at"] is None]  # fmt: skip
    return sorted(shown)


class TestRecords:
    def test_phone_and_mail_of_the_record_are_ways_that_need_no_confirmation(self, rt: Runtime) -> None:
        settle(rt, "taro", phone="090-1234-5678")
        assert live(rt, "taro") == [("email", "taro@example.jp"), ("sms", "+819012345678")]

    @pytest.mark.parametrize("raw", ["090-1234-5678", "０９０−１２３４−５６７８", "+81 90 1234 5678", "(090)12345678"])
    def test_a_number_is_kept_in_one_form_however_it_is_written(self, rt: Runtime, raw: str) -> None:
        settle(rt, "taro", phone=raw, email=" Taro.Yamada+x@Example.JP ")
        assert live(rt, "taro") == [("email", "Taro.Yamada+x@example.jp"), ("sms", "+819012345678")]

    @pytest.mark.parametrize(
        "changes",
        [{"phone": "12"}, {"phone": "電話"}, {"phone": "090-1234-5678 ext 9"}, {"phone": "090\n1234"}, {"email": "x"},
         {"email": "a@b@c"}, {"email": "a b@example.jp"}, {"email": "a@example.jp\nBcc: b@example.jp"},
         {"email": "太郎@example.jp"}, {"email": "a@-example.jp"}, {"email": "a" * 65 + "@example.jp"},
         {"email": "a@" + "b" * 60 + ".jp" * 80}],
        ids=str,
    )  # fmt: skip
    def test_what_is_no_address_is_refused(self, rt: Runtime, changes: dict[str, Any]) -> None:
        with pytest.raises(Invalid) as refusal:
            settle(rt, "taro", **changes)
        assert [field for field, _ in refusal.value.details] == list(changes)

    def test_another_address_takes_the_place_of_the_old_one_and_it_can_come_back(self, rt: Runtime) -> None:
        for phone in ("090-1111-1111", "090-2222-2222", "090-1111-1111"):
            settle(rt, "taro", phone=phone, email=None)
            assert live(rt, "taro") == [("sms", "+81" + phone.replace("-", "")[1:])]
        settle(rt, "taro", email=None)
        assert live(rt, "taro") == []

    def test_one_that_is_dead_stays_dead_until_it_is_another(self, rt: Runtime) -> None:
        settle(rt, "taro")
        with rt.store.write() as connection:
            (row,) = people.subscriptions_of(connection, ["taro"])
            people.retire_subscription(connection, row["id"], "no such box", rt.now())
        settle(rt, "taro", name="改名")
        assert live(rt, "taro") == []
        settle(rt, "taro", email="new@example.jp")
        assert live(rt, "taro") == [("email", "new@example.jp")]


class TestBrowsers:
    def test_the_same_endpoint_twice_is_one_with_the_newest_keys(self, rt: Runtime) -> None:
        settle(rt, "taro", email=None)
        first, made = subscribe(rt, "taro")
        assert made
        assert subscribe(rt, "taro", browser(auth="new")) == (first, False)
        with rt.store.read() as connection:
            (row,) = people.subscriptions_of(connection, ["taro"])
        assert row["address"]["auth"] == "new"

    def test_one_that_was_removed_can_come_back(self, rt: Runtime) -> None:
        settle(rt, "taro", email=None)
        first, _ = subscribe(rt, "taro")
        reaching.unsubscribe(rt, actor("taro"), first)
        assert live(rt, "taro") == []
        assert subscribe(rt, "taro") == (first, False)
        assert live(rt, "taro") == [("webpush", ENDPOINT)]

    @pytest.mark.parametrize("person", ["taro", "hanako"])
    def test_one_that_its_push_service_has_given_up_is_dead_for_everybody(self, rt: Runtime, person: str) -> None:
        for each in ("taro", "hanako"):
            settle(rt, each, email=None)
        first, _ = subscribe(rt, "taro")
        with rt.store.write() as connection:
            unsent.retire(connection, {first: "410 Gone"}, rt.now())
        with pytest.raises(Conflict, match="subscribe anew"):
            subscribe(rt, person)
        assert live(rt, person) == []
        assert subscribe(rt, person, browser("https://push.example/new"))[1]

    def test_a_browser_belongs_to_whoever_subscribed_it_last(self, rt: Runtime) -> None:
        for person in ("taro", "hanako"):
            settle(rt, person, email=None)
            subscribe(rt, person)
        assert (live(rt, "taro"), live(rt, "hanako")) == ([], [("webpush", ENDPOINT)])

    def test_nobody_removes_what_is_not_their_own_browser(self, rt: Runtime) -> None:
        settle(rt, "taro")
        settle(rt, "hanako")
        mine, _ = subscribe(rt, "taro")
        mail = next(way["id"] for way in reaching.list_ways(rt, actor("taro")) if way["channel"] == "email")
        for person, subscription in (("hanako", mine), ("taro", mail), ("taro", "unknown")):
            with pytest.raises(NotFound):
                reaching.unsubscribe(rt, actor(person), subscription)
        assert len(live(rt, "taro")) == 2

    def test_there_is_an_end_to_how_many_somebody_has(self, rt: Runtime) -> None:
        settle(rt, "taro")
        for number in range(SUBSCRIPTIONS_MAX):
            subscribe(rt, "taro", browser(f"https://push.example/{number}"))
        with pytest.raises(Invalid, match="remove one first"):
            subscribe(rt, "taro", browser("https://push.example/more"))
        assert not subscribe(rt, "taro", browser("https://push.example/0"))[1]


class TestTests:
    def test_a_test_goes_out_over_every_way_to_oneself_alone_marked_as_a_drill(self, rt: Runtime, bell: Bell) -> None:
        settle(rt, "taro", phone="090-1234-5678")
        settle(rt, "hanako")
        subscribe(rt, "taro")
        sent = reaching.send_test(rt, actor("taro"))
        assert (sent["kind"], sent["drill"], sent["recipients"]) == ("test", True, 1)
        with rt.store.read() as connection:
            assert rollouts.told_of(connection, sent["id"]) == {"taro"}
        ways = reaching.read_test(rt, actor("taro"), sent["id"])
        assert sorted((way["channel"], way["state"]) for way in ways) == [
            ("email", "pending"),
            ("sms", "pending"),
            ("webpush", "pending"),
        ]
        assert bell.rung == ["events", "work:email", "work:sms", "work:webpush"]
        with pytest.raises(NotFound):
            reaching.read_test(rt, actor("hanako"), sent["id"])

    def test_whoever_has_no_way_is_told_so_and_nothing_is_kept(self, rt: Runtime, bell: Bell) -> None:
        settle(rt, "taro", email=None)
        with pytest.raises(Invalid, match="no way to reach you"):
            reaching.send_test(rt, actor("taro"))
        with rt.store.read() as connection:
            assert alerts.events_after(connection, 0, 10) == []
        assert bell.rung == []


def test_what_waits_for_a_browser_that_is_somebody_else_s_now_does_not_go_there(rt: Runtime) -> None:
    settle(rt, "taro", email=None)
    settle(rt, "hanako", email=None)
    subscribe(rt, "taro")
    number = alert(rt)
    subscribe(rt, "hanako")
    with rt.store.write() as connection:
        assert deliveries.claim(connection, "webpush", "w", 9, rt.now()) == []
        (row,) = deliveries.of_people(connection, number, ["taro"])
    assert (row["state"], row["reason"]) == ("cancelled", "the address was taken away")


def test_what_waits_for_a_browser_that_its_owner_removed_does_not_go_there(rt: Runtime) -> None:
    settle(rt, "taro")
    way, _ = subscribe(rt, "taro")
    alert(rt)
    reaching.unsubscribe(rt, actor("taro"), way)
    with rt.store.write() as connection:
        assert deliveries.claim(connection, "webpush", "w", 9, rt.now()) == []
