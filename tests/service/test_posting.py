"""Posting: what is refused, who gets it, and that it happens once and whole."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from alertd.core.alert import Ask, Choice
from alertd.core.audience import Audience
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.escalation import Plan, Step
from alertd.core.roles import Role
from alertd.service import importing, posting, rollout
from alertd.service.posting import Draft
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries, rollouts
from tests.installation import ASK, BOSS, START, Bell, Clock, actor, alert, draft, group, post, settle
from tests.threads import at_once


def faults(rt: Runtime, **changes: Any) -> list[str]:
    with pytest.raises(Invalid) as refusal:
        post(rt, **changes)
    return [field for field, _ in refusal.value.details]


def recipients(rt: Runtime, alert_id: str) -> set[str]:
    with rt.store.read() as connection:
        return set(rollouts.told_of(connection, alert_id))


def rows(rt: Runtime, alert_id: str) -> list[Mapping[str, Any]]:
    with rt.store.read() as connection:
        return list(deliveries.of_people(connection, alert_id, rollouts.told_of(connection, alert_id)))


def count_posts(rt: Runtime) -> int:
    return len(posting.read_board(rt, BOSS, before=None, limit=100))


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "fields"),
        [
            ({"drill": None}, ["drill"]),
            ({"title": " 　"}, ["title"]),
            ({"title": "x" * 201}, ["title"]),
            ({"title": "a\x00"}, ["title"]),
            ({"title": "a\ud800"}, ["title"]),
            ({"body": "x" * 20_001}, ["body"]),
            ({"board": "nowhere"}, ["board"]),
            ({"severity": "worst"}, ["severity"]),
            ({"plan": "other"}, ["plan"]),
            ({"plan": Plan(())}, ["plan.steps"]),
            ({"plan": Plan((Step(0, ("pigeon",)),))}, ["plan.steps.0.channels"]),
            ({"plan": Plan((Step(60, ("sms",)),))}, ["plan.steps.0.after_seconds"]),
            ({"expires_at": START}, ["expires_at"]),
            ({"expires_at": START + timedelta(days=28, seconds=1)}, ["expires_at"]),
            ({"ask": Ask("", ())}, ["ask.question", "ask.choices"]),
            ({"ask": Ask("?" * 201, (Choice("a", "A" * 41),))}, ["ask.choices.0.label", "ask.question"]),
            ({"ask": Ask("?\x00", (Choice("a\x01", "A\x02"),))},
             ["ask.question", "ask.choices.0.id", "ask.choices.0.label"]),
            ({"audience": Audience()}, ["audience"]),
            ({"audience": Audience(everyone=True, people=("taro",))}, ["audience"]),
            ({"audience": Audience(people=("nobody", "gone", "taro"))}, ["audience.people", "audience.people"]),
            ({"audience": Audience(groups=("nowhere",))}, ["audience.groups"]),
            ({"audience": Audience(groups=("empty",))}, ["audience"]),
            ({"title": "", "board": "x", "severity": "x", "drill": None, "plan": "x", "audience": Audience()},
             ["title", "board", "severity", "drill", "plan", "audience"]),
        ],
        ids=str,
    )  # fmt: skip
    def test_every_fault_is_named_at_once_and_nothing_is_kept_or_rung(
        self, rt: Runtime, bell: Bell, changes: dict[str, Any], fields: list[str]
    ) -> None:
        settle(rt, "taro")
        settle(rt, "gone", active=False)
        group(rt, "empty")
        assert faults(rt, **changes) == fields
        assert count_posts(rt) == 0
        assert bell.rung == []

    def test_a_town_without_people_cannot_be_alerted(self, rt: Runtime) -> None:
        assert faults(rt) == ["audience"]

    def test_a_board_post_needs_no_word_about_drills_and_alerts_nobody(self, rt: Runtime, bell: Bell) -> None:
        settle(rt, "taro")
        assert post(rt, urgent=False, drill=None).body["alert"] is None
        assert bell.rung == []

    def test_a_board_post_that_was_meant_to_alert_is_refused(self, rt: Runtime) -> None:
        settle(rt, "taro")
        with pytest.raises(Invalid) as refused:
            post(rt, urgent=False, drill=True, plan="other", expires_at=START)
        assert [field for field, _ in refused.value.details] == ["drill", "plan", "expires_at"]


class TestAudience:
    @pytest.mark.parametrize(
        ("audience", "people"),
        [
            (Audience(everyone=True), {"top", "mid", "low", "both", "alone"}),
            (Audience(groups=("city",)), {"top", "mid", "low", "both"}),
            (Audience(groups=("fire",)), {"mid", "low", "both"}),
            (Audience(groups=("boats",)), {"low"}),
            (Audience(groups=("boats", "school")), {"low", "both"}),
            (Audience(groups=("boats",), people=("alone", "low")), {"low", "alone"}),
            (Audience(people=("alone",)), {"alone"}),
        ],
        ids=str,
    )
    def test_groups_bring_their_subgroups_each_person_comes_once_and_nobody_who_left(
        self, rt: Runtime, audience: Audience, people: set[str]
    ) -> None:
        group(rt, "city")
        group(rt, "fire", "city")
        group(rt, "boats", "fire")
        group(rt, "school", "city")
        for person, groups in (
            ("top", ("city",)), ("mid", ("fire",)), ("low", ("boats",)), ("both", ("fire", "school")), ("alone", ()),
        ):  # fmt: skip
            settle(rt, person, groups=groups)
        settle(rt, "left", groups=("city", "fire", "boats", "school"), active=False)
        alert_id = alert(rt, audience=audience)
        assert recipients(rt, alert_id) == people
        assert sorted(row["person_id"] for row in rows(rt, alert_id)) == sorted(people)

    def test_it_is_who_there_was_when_it_was_posted(self, rt: Runtime) -> None:
        settle(rt, "taro")
        alert_id = alert(rt)
        settle(rt, "late")
        assert recipients(rt, alert_id) == {"taro"}


class TestIssuing:
    def test_each_way_of_each_person_is_one_delivery_due_at_once(self, rt: Runtime) -> None:
        settle(rt, "both", phone="090-1234-5678")
        settle(rt, "mail")
        settle(rt, "mute", email=None)
        found = rows(rt, alert(rt))
        assert sorted((row["person_id"], row["channel"], row["rank"]) for row in found) == [
            ("both", "email", 1),
            ("both", "sms", 1),
            ("mail", "email", 0),
        ]
        assert {(row["state"], row["due_at"], row["attempt"]) for row in found} == {("pending", START, 0)}

    def test_the_bell_rings_only_after_the_commit_and_for_whoever_has_work(self, rt: Runtime) -> None:
        seen: list[int] = []

        class Looking(Bell):
            def events(self) -> None:
                super().events()
                seen.append(count_posts(rt))

        looking = Looking()
        settle(rt, "taro")
        post(replace(rt, bell=looking))
        assert (looking.rung, seen) == (["events", "work:email"], [1])

    def test_the_log_says_what_was_posted(self, rt: Runtime) -> None:
        settle(rt, "taro")
        alert_id = alert(rt, ask=ASK, drill=True)
        with rt.store.read() as connection:
            (event,) = alerts.events_after(connection, 0, 10)
        assert event.alert_id == alert_id
        assert event.facts.items() >= {"id": alert_id, "drill": True, "state": "active", "revision": 1}.items()

    def test_an_alert_lives_for_a_day_unless_it_says_otherwise(self, rt: Runtime) -> None:
        settle(rt, "taro")
        assert post(rt).body["alert"]["expires_at"] == "2026-11-23T03:04:05.678Z"
        assert post(rt, expires_at=START + timedelta(days=28)).body["alert"]["expires_at"] == "2026-12-20T03:04:05.678Z"

    def test_a_plan_of_one_step_goes_out_on_its_channels_alone(self, rt: Runtime, bell: Bell) -> None:
        settle(rt, "both", phone="090-1234-5678")
        found = rows(rt, alert(rt, plan=Plan((Step(0, ("sms",)),))))
        assert [row["channel"] for row in found] == ["sms"]
        assert bell.rung == ["events", "work:sms"]

    def test_a_thousand_people_are_all_there(self, rt: Runtime) -> None:
        from_csv = "id,name,email\n" + "".join(f"p{n},人,p{n}@example.jp\n" for n in range(1_001))
        assert len(importing.import_people(rt, BOSS, from_csv, dry_run=False).made) == 1_001
        number = alert(rt)
        rollout.carry_on(rt)
        assert len(rows(rt, number)) == 1_001


class TestKeys:
    def test_a_hundred_who_send_one_post_at_once_send_it_once(self, rt: Runtime, bell: Bell) -> None:
        settle(rt, "taro")
        posted = at_once(lambda _: post(rt, key="k"), range(100))
        assert len({each.body["alert"]["id"] for each in posted}) == 1
        assert [each.repeated for each in posted].count(False) == 1
        assert count_posts(rt) == 1
        assert bell.rung.count("events") == 1

    def test_of_different_posts_with_one_key_at_once_one_wins_and_the_rest_conflict(self, rt: Runtime) -> None:
        settle(rt, "taro")

        def one(number: int) -> str:
            try:
                return str(post(rt, key="k", title=f"{number}").body["post"]["title"])
            except Conflict:
                return ""

        titles = [title for title in at_once(one, range(10)) if title]
        assert len(titles) == 1
        assert [each["title"] for each in posting.read_board(rt, BOSS, before=None, limit=9)] == titles

    def test_the_answer_is_the_same_later_even_when_it_could_not_be_posted_any_more(
        self, rt: Runtime, clock: Clock
    ) -> None:
        settle(rt, "taro")
        first = post(rt, key="k", expires_at=START + timedelta(hours=1))
        clock.move(hours=2)
        again = post(rt, key="k", expires_at=START + timedelta(hours=1))
        assert (again.body, again.repeated) == (first.body, True)

    @pytest.mark.parametrize(
        "changes",
        [{"title": "x"}, {"body": "x"}, {"drill": True}, {"urgent": False}, {"severity": "minor"}, {"ask": ASK},
         {"audience": Audience(people=("taro",))}, {"expires_at": START + timedelta(hours=1)},
         {"plan": Plan((Step(0, ("sms",)),))}, {"board": "other"}],
        ids=str,
    )  # fmt: skip
    def test_whatever_is_changed_makes_it_another_post(self, changes: dict[str, Any]) -> None:
        assert draft(**changes).fingerprint != draft().fingerprint


class TestChecking:
    def test_it_tells_whom_a_draft_would_reach_and_changes_nothing(self, rt: Runtime, bell: Bell) -> None:
        settle(rt, "both", phone="090-1234-5678")
        settle(rt, "anna", phone="090-1234-9999", language="en")
        settle(rt, "mute", email=None)
        reach = posting.check(rt, draft(body="長い文" * 500))
        assert (reach.recipients, reach.ways) == (3, {"webpush": 0, "sms": 2, "email": 2})
        assert [row["id"] for row in reach.outlook.warnings.without.first] == ["mute"]
        assert reach.segments_each == {"ja": 3, "en": 3}
        assert reach.segments == 6
        assert count_posts(rt) == 0
        assert bell.rung == []

    def test_it_refuses_what_posting_refuses(self, rt: Runtime) -> None:
        settle(rt, "taro")
        with pytest.raises(Invalid, match="drill"):
            posting.check(rt, draft(drill=None))

    def test_a_real_alert_must_not_say_that_it_is_a_drill(self, rt: Runtime) -> None:
        settle(rt, "taro")
        with pytest.raises(Invalid, match="a real alert must not say so"):
            posting.check(rt, draft(title="【訓練】避難", drill=False))
        assert posting.check(rt, draft(title="【訓練】避難", drill=True)).recipients == 1

    def test_a_title_that_turns_around_is_refused(self, rt: Runtime) -> None:
        settle(rt, "taro")
        with pytest.raises(Invalid, match="control characters"):
            posting.check(rt, draft(title="\u202e避難"))


class TestReading:
    def seen(self, rt: Runtime, person: str, role: Role = Role.STAFF) -> list[str]:
        return [each["title"] for each in posting.read_board(rt, actor(person, role), before=None, limit=10)]

    def test_the_board_shows_each_what_is_for_them_newest_first(self, rt: Runtime, clock: Clock) -> None:
        group(rt, "city")
        group(rt, "fire", "city")
        settle(rt, "taro", groups=("fire",))
        settle(rt, "hanako")
        for number, audience in enumerate(
            (Audience(everyone=True), Audience(groups=("city",)), Audience(people=("hanako",)))
        ):
            for urgent in (False, True):
                clock.move(seconds=1)
                post(rt, title=f"{number}{'!' if urgent else ''}", audience=audience, urgent=urgent)
        assert self.seen(rt, "taro") == ["1!", "1", "0!", "0"]
        assert self.seen(rt, "hanako") == ["2!", "2", "0!", "0"]
        assert self.seen(rt, "hanako", Role.VIEWER) == ["2!", "2", "1!", "1", "0!", "0"]
        # Who joins later reads the posts, but an alert went to whom there was.
        settle(rt, "nina", groups=("fire",))
        assert self.seen(rt, "nina") == ["1", "0"]

    def test_a_post_for_others_is_not_there(self, rt: Runtime) -> None:
        settle(rt, "taro")
        settle(rt, "hanako")
        post_id = post(rt, audience=Audience(people=("hanako",))).body["post"]["id"]
        assert posting.read_post(rt, actor("hanako"), post_id)["id"] == post_id
        with pytest.raises(NotFound):
            posting.read_post(rt, actor("taro"), post_id)


def test_a_draft_says_nothing_of_a_drill_by_itself() -> None:
    assert Draft("general", "x", "", urgent=True, audience=Audience(everyone=True)).drill is None
