"""Plans, updates, cancellations, and what phones report, as programs and browsers meet them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from alertd.core.acknowledgement import Way, make_token
from alertd.service import escalating
from alertd.service.views import moment
from alertd.store import alerts, deliveries
from tests.installation import START, TOKENS, Clock
from tests.services import wait_until
from tests.web.server import Town, frame, post_body

PLAN = {
    "steps": [
        {"after_seconds": 0, "channels": ["email"], "repeat": {"every_seconds": 300, "times": 2}},
        {"after_seconds": 120, "channels": ["sms"], "to": "outstanding"},
        {"after_seconds": 600, "channels": ["email", "sms"], "to": "supervisors"},
    ]
}
UPDATE = {"kind": "update", "title": "避難所が変わりました", "body": "第二小学校へ。"}
CANCEL = {"kind": "cancel", "title": "誤報でした", "body": "対応は不要です。"}


class TestPlans:
    async def test_an_inline_plan_is_carried_out_and_its_timetable_is_told(self, town: Town, clock: Clock) -> None:
        alert = await town.alert(plan=PLAN)
        found = (await town.call("viewer", "GET", f"/alerts/{alert}")).body
        due = [(run["step"], run["repeat"], run["to"], run["due_at"]) for run in found["timetable"]]
        assert due == [
            (0, 0, "outstanding", moment(START)),
            (1, 0, "outstanding", moment(START + timedelta(seconds=120))),
            (0, 1, "outstanding", moment(START + timedelta(seconds=300))),
            (0, 2, "outstanding", moment(START + timedelta(seconds=600))),
            (2, 0, "supervisors", moment(START + timedelta(seconds=600))),
        ]
        assert [run["started_at"] for run in found["timetable"]] == [moment(START), None, None, None, None]
        clock.move(seconds=120)
        await asyncio.to_thread(escalating.start_due, town.rt)
        found = (await town.call("viewer", "GET", f"/alerts/{alert}")).body
        assert found["timetable"][1]["started_at"] == moment(clock())

    @pytest.mark.parametrize(
        ("step", "field"),
        [
            ({"after_seconds": "0", "channels": ["sms"]}, "after_seconds"),
            ({"after_seconds": 0, "channels": ["sms"], "to": "everybody"}, "to"),
            ({"after_seconds": 0, "channels": ["fax"]}, "channels"),
            ({"after_seconds": 30, "channels": ["sms"]}, "after_seconds"),
            ({"after_seconds": 0, "channels": ["sms"], "repeat": {"every_seconds": 1, "times": 2}}, "every_seconds"),
            ({"after_seconds": 0, "channels": ["sms"], "repeat": {"every_seconds": 60}}, "times"),
        ],
        ids=str,
    )
    async def test_a_plan_that_cannot_be_is_refused_and_nothing_is_posted(
        self, standing_town: Town, step: dict[str, Any], field: str
    ) -> None:
        before = (await standing_town.call("viewer", "GET", "/posts")).body
        answer = await standing_town.call("manager", "POST", "/posts", post_body(plan={"steps": [step]}))
        assert answer.status == 422
        assert any(field in named for named in answer.fields)
        assert (await standing_town.call("viewer", "GET", "/posts")).body == before

    async def test_a_named_plan_is_saved_with_whom_it_leads_to_in_vain(self, town: Town) -> None:
        town.move_in("mute", email=None)
        saved = await town.call("admin", "PUT", "/plans/night", {"name": "夜間", "plan": PLAN})
        assert saved.status == 201
        assert [person["id"] for person in saved.body["warnings"]["without"]] == ["mute"]
        assert (await town.call("admin", "PUT", "/plans/night", {"name": "夜間", "plan": PLAN})).status == 200
        listed = (await town.call("manager", "GET", "/plans")).body["items"]
        assert {plan["id"] for plan in listed} == {"default", "night"}
        alert = await town.alert(plan="night")
        assert len((await town.call("viewer", "GET", f"/alerts/{alert}")).body["timetable"]) == 5
        unknown = await town.call("manager", "POST", "/posts", post_body(plan="day"))
        assert (unknown.status, unknown.fields) == (422, ["plan"])

    async def test_what_a_post_would_come_to_is_told_without_sending_anything(self, town: Town) -> None:
        told = (await town.call("manager", "POST", "/posts/check", post_body(plan=PLAN))).body
        assert (told["timetable"][0]["at"], told["timetable"][0]["people"]) == (moment(START), 4)
        assert (await town.call("viewer", "GET", "/alerts")).body["items"] == []
        calm = await town.call("manager", "POST", "/posts/check", post_body(urgent=False, drill=None))
        assert (calm.status, calm.fields) == (422, ["urgent"])


class TestRevisions:
    async def test_an_update_is_told_on_the_stream_under_the_same_alert(self, town: Town) -> None:
        alert = await town.alert()
        async with town.stream("staff") as stream:
            hello = await frame(stream, "hello")
            answer = await town.call("manager", "POST", f"/alerts/{alert}/revisions", UPDATE)
            assert answer.status == 201
            told = await frame(stream, "alert")
            if told["alert"]["revision"] == 1:  # the hub had not told the alert itself when we came
                told = await frame(stream, "alert")
        assert told["offset"] > hello["offset"]
        assert (told["alert"]["id"], told["alert"]["revision"]) == (alert, 2)
        assert told["alert"]["title"] == "【更新】避難所が変わりました"
        assert told["alert"]["state"] == "active"

    async def test_a_cancelled_alert_says_so_everywhere_and_is_called_off_once(self, town: Town) -> None:
        alert = await town.alert()
        async with town.stream("staff") as stream:
            await frame(stream, "hello")
            assert (await town.call("manager", "POST", f"/alerts/{alert}/revisions", CANCEL)).status == 201
            told = await frame(stream, "alert")
            if told["alert"]["revision"] == 1:
                told = await frame(stream, "alert")
            assert told["alert"]["state"] == "cancelled"
        found = (await town.call("staff", "GET", f"/alerts/{alert}")).body
        assert (found["state"], found["title"], found["revision_kind"]) == ("cancelled", "誤報でした", "cancel")
        again = await town.call("manager", "POST", f"/alerts/{alert}/revisions", CANCEL)
        assert (again.status, again.error["code"]) == (409, "conflict")

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"kind": "alert"}, "kind"),
            ({"title": " "}, "title"),
            ({"title": "x" * 201}, "title"),
            ({"body": None}, "body"),
            ({"ask_again": "yes"}, "ask_again"),
            ({"drill": False}, "drill"),
        ],
        ids=str,
    )
    async def test_what_is_no_revision_is_refused_and_the_alert_stays(
        self, town: Town, change: dict[str, Any], field: str
    ) -> None:
        alert = await town.alert()
        answer = await town.call("manager", "POST", f"/alerts/{alert}/revisions", {**UPDATE, **change})
        assert (answer.status, answer.fields) == (422, [field])
        assert (await town.call("viewer", "GET", f"/alerts/{alert}")).body["revision"] == 1

    async def test_the_same_key_revises_once(self, town: Town) -> None:
        alert = await town.alert()
        path, key = f"/alerts/{alert}/revisions", {"Idempotency-Key": "r-1"}
        first = await town.call("manager", "POST", path, UPDATE, headers=key)
        assert (await town.call("manager", "POST", path, UPDATE, headers=key)).body == first.body
        other = await town.call("manager", "POST", path, CANCEL, headers=key)
        assert (first.status, other.status) == (201, 409)
        assert (await town.call("viewer", "GET", f"/alerts/{alert}")).body["revision"] == 2

    async def test_two_managers_who_call_it_off_at_once_do_it_once(self, any_town: Town) -> None:
        alert = await any_town.alert()
        answers = await asyncio.gather(
            *(any_town.call("manager", "POST", f"/alerts/{alert}/revisions", CANCEL) for _ in range(8))
        )
        assert sorted(answer.status for answer in answers) == [201] + [409] * 7


class TestReminders:
    async def test_it_goes_out_once_and_the_timetable_says_who_asked(self, town: Town) -> None:
        alert = await town.alert()
        path, key = f"/alerts/{alert}/reminders", {"Idempotency-Key": "again"}
        first = await town.call("manager", "POST", path, headers=key)
        assert (first.status, first.body["asked_by"], first.body["to"]) == (201, "manager", "outstanding")
        assert (await town.call("manager", "POST", path, headers=key)).body == first.body
        other = await town.call("manager", "POST", f"/alerts/{await town.alert()}/reminders", headers=key)
        at_once = await town.call("admin", "POST", path)
        assert (other.status, at_once.status) == (409, 409), "the key was for another alert; a minute must go by"
        found = (await town.call("viewer", "GET", f"/alerts/{alert}")).body["timetable"]
        assert [run for run in found if run["asked_by"]] == [first.body]

    async def test_nobody_is_reminded_of_what_is_called_off(self, town: Town) -> None:
        alert = await town.alert()
        await town.call("manager", "POST", f"/alerts/{alert}/revisions", CANCEL)
        assert (await town.call("manager", "POST", f"/alerts/{alert}/reminders")).status == 409
        assert (await town.call("manager", "POST", "/alerts/nothing/reminders")).status == 404


class TestEvidence:
    def mail(self, town: Town, alert: str) -> dict[str, Any]:
        with town.rt.store.read() as connection:
            (row,) = deliveries.of_people(connection, alert, ["staff"])
        return dict(row)

    async def test_a_beacon_is_noted_once_and_needs_no_signing_in(self, town: Town, clock: Clock) -> None:
        alert = await town.alert()
        with town.rt.store.write() as connection:
            (claim, *_) = deliveries.claim(connection, "email", "w", 9, town.rt.now())
        beacon = f"/b/{make_token(claim.delivery_id, Way.BEACON, TOKENS)}"
        first = clock()
        for _ in range(2):
            assert (await town.raw("POST", beacon)).status == 204
            clock.move(seconds=1)
        people = (await town.call("viewer", "GET", f"/alerts/{alert}/recipients")).body["items"]
        shown = [each["deliveries"][0]["evidence"] for each in people if each["deliveries"][0]["state"] == "delivered"]
        assert [each["displayed_at"] for each in shown] == [moment(first)]
        assert shown[0]["sources"]["displayed"] == "beacon"

    async def test_what_is_no_beacon_is_not_found_and_a_get_of_one_does_nothing(self, town: Town) -> None:
        assert (await town.raw("POST", f"/b/{'x' * 32}")).status == 404
        assert (await town.raw("GET", f"/b/{'x' * 32}")).status == 405

    @pytest.mark.parametrize(
        ("headers", "counts"),
        [
            ({"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X)"}, True),
            ({"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1)"}, False),
            ({"User-Agent": "Mozilla/5.0 HeadlessChrome/140"}, False),
            ({"User-Agent": "python-requests/3"}, False),
            ({"User-Agent": "Mozilla/5.0", "Sec-Purpose": "prefetch"}, False),
        ],
        ids=str,
    )
    async def test_only_a_person_s_view_counts_as_opened(
        self, town: Town, headers: dict[str, str], counts: bool
    ) -> None:
        alert = await town.alert()
        with town.rt.store.write() as connection:
            deliveries.claim(connection, "email", "w", 9, town.rt.now())
            number = alerts.recipient_of(connection, alert, "staff")
        assert number is not None
        link = f"/a/{make_token(number, Way.EMAIL_LINK, TOKENS)}"
        assert (await town.raw("GET", link, headers=headers)).status == 200
        assert self.mail(town, alert)["opened_at"] is None
        assert (await town.raw("POST", f"{link}/opened", headers=headers)).status == 204
        assert (self.mail(town, alert)["opened_at"] is not None) is counts
        # The fetch is noted after the page is out.
        await asyncio.to_thread(wait_until, lambda: self.mail(town, alert)["fetched_at"] is not None)
