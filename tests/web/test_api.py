"""The API as programs meet it: each call of the contract, and every way of getting one wrong."""

import asyncio
import json
import random
import re
import string
from datetime import timedelta
from typing import Any

import pytest

from alertd.service import access
from alertd.service.runtime import Actor
from alertd.service.views import moment
from alertd.web.api import ENDPOINTS
from alertd.web.security import csrf_token
from tests.installation import BOSS, START, Clock
from tests.providers import PushService
from tests.web.server import VAPID, Answer, Town, post_body

EXPIRY = moment(START + timedelta(hours=1))
KEY = {"Idempotency-Key": "k-1"}
CSV = {"Content-Type": "text/csv"}
ASK = {"question": "無事ですか", "choices": [{"id": "safe", "label": "無事"}, {"id": "hurt", "label": "けが"}]}


class TestPosts:
    async def test_an_urgent_post_is_on_the_board_and_its_alert_is_out_when_it_is_answered(self, town: Town) -> None:
        posted = await town.post(severity="extreme", ask=ASK, expires_at=EXPIRY, plan="default")
        assert posted["post"]["alert"] == posted["alert"]["id"]
        assert (
            posted["alert"].items()
            >= {
                "state": "active",
                "recipients": 4,
                "drill": False,
                "severity": "extreme",
                "ask": ASK,
                "expires_at": EXPIRY,
                "title": "避難所を開設しました",
            }.items()
        )
        found = await town.call("staff", "GET", f"/posts/{posted['post']['id']}")
        assert found.body == posted["post"]
        found = await town.call("staff", "GET", f"/alerts/{posted['alert']['id']}")
        assert found.body.items() >= posted["alert"].items()

    async def test_a_post_that_is_not_urgent_is_a_board_post_and_nothing_more(self, town: Town) -> None:
        posted = await town.post(urgent=False, drill=None)
        assert posted["alert"] is None
        assert (await town.call("viewer", "GET", "/alerts")).body == {"items": [], "next": None}

    @pytest.mark.parametrize("drill", [None, ...])
    async def test_an_urgent_post_that_does_not_say_whether_it_is_a_drill_is_refused(
        self, standing_town: Town, drill: object
    ) -> None:
        before = (await standing_town.call("viewer", "GET", "/posts?limit=1")).body
        body = post_body()
        body["drill"] = drill
        if drill is ...:
            del body["drill"]
        answer = await standing_town.call("manager", "POST", "/posts", body)
        assert (answer.status, answer.fields) == (422, ["drill"])
        assert (await standing_town.call("viewer", "GET", "/posts?limit=1")).body == before

    @pytest.mark.parametrize(
        ("changes", "fields"),
        [
            ({"drill": "false"}, ["drill"]),
            ({"drill": 0}, ["drill"]),
            ({"urgent": "true"}, ["urgent"]),
            ({"urgent": 1}, ["urgent"]),
            ({"urgent": None}, ["urgent"]),
            ({"title": 7}, ["title"]),
            ({"title": ""}, ["title"]),
            ({"title": " \t　"}, ["title"]),
            ({"title": "x" * 201}, ["title"]),
            ({"title": "a\0b"}, ["title"]),
            ({"title": "a\x1bb"}, ["title"]),
            ({"body": "x" * 20_001}, ["body"]),
            ({"body": "\0"}, ["body"]),
            ({"board": "nowhere"}, ["board"]),
            ({"board": ""}, ["board"]),
            ({"board": "\0"}, ["board"]),
            ({"audience": {}}, ["audience"]),
            ({"audience": {"everyone": False}}, ["audience"]),
            ({"audience": {"groups": []}}, ["audience"]),
            ({"audience": {"everyone": "yes"}}, ["audience.everyone"]),
            ({"audience": {"everyone": True, "people": ["staff"]}}, ["audience"]),
            ({"audience": {"people": ["nobody", "staff"]}}, ["audience.people"]),
            ({"audience": {"people": ["\0"]}}, ["audience.people.0"]),
            ({"audience": {"groups": ["nowhere"]}}, ["audience.groups"]),
            ({"audience": {"groups": "x"}}, ["audience.groups"]),
            ({"audience": {"group": ["x"]}}, ["audience.group"]),
            ({"audience": None}, ["audience"]),
            ({"severity": "bad"}, ["severity"]),
            ({"severity": "Extreme"}, ["severity"]),
            ({"plan": "other"}, ["plan"]),
            ({"plan": {"steps": [{"after_seconds": 0, "channels": ["pigeon"]}]}}, ["plan.steps.0.channels"]),
            ({"plan": {"steps": [{"after_seconds": 60, "channels": ["sms"]}]}}, ["plan.steps.0.after_seconds"]),
            ({"plan": {"steps": [{"after_seconds": after, "channels": ["sms"]} for after in (0, 120, 60)]}},
             ["plan.steps.2.after_seconds"]),
            ({"expires_at": moment(START)}, ["expires_at"]),
            ({"expires_at": moment(START - timedelta(days=1))}, ["expires_at"]),
            ({"expires_at": "0001-01-01T00:00:00+14:00"}, ["expires_at"]),
            ({"expires_at": "9999-12-31T23:59:59-12:00"}, ["expires_at"]),
            ({"expires_at": moment(START + timedelta(days=29))}, ["expires_at"]),
            ({"expires_at": "2026-11-23T00:00:00"}, ["expires_at"]),
            ({"expires_at": "tomorrow"}, ["expires_at"]),
            ({"expires_at": 1_795_000_000}, ["expires_at"]),
            ({"expires_at": "1795000000"}, ["expires_at"]),
            ({"ask": {"question": " ", "choices": [{"id": "a", "label": "A"}]}}, ["ask.question"]),
            ({"ask": {"question": "?", "choices": []}}, ["ask.choices"]),
            ({"ask": {"question": "?", "choices": [{"id": "a", "label": "A"}] * 2}}, ["ask.choices.1.id"]),
            ({"ask": {"question": "?", "choices": [{"id": str(n), "label": "A"} for n in range(10)]}}, ["ask.choices"]),
            ({"ask": {"question": "?", "choices": [{"id": "a", "label": "x" * 41}]}}, ["ask.choices.0.label"]),
            ({"colour": "red"}, ["colour"]),
            ({"title": " ", "board": "x", "severity": "severe", "drill": None, "expires_at": moment(START),
              "audience": {"people": ["nobody"]}},
             ["title", "board", "drill", "expires_at", "audience.people"]),
        ],
        ids=str,
    )  # fmt: skip
    async def test_what_cannot_be_posted_is_refused_with_every_field_and_nothing_is_done(
        self, standing_town: Town, changes: dict[str, Any], fields: list[str]
    ) -> None:
        before = (await standing_town.call("viewer", "GET", "/posts?limit=1")).body
        answer = await standing_town.call("manager", "POST", "/posts", post_body(**changes))
        assert answer.status == 422
        if "plan" in changes:  # a union: each of its forms says why it is not that
            assert all(field.startswith("plan") for field in answer.fields)
        else:
            assert answer.fields == fields
        assert (await standing_town.call("viewer", "GET", "/posts?limit=1")).body == before

    @pytest.mark.parametrize("field", ["board", "title", "body", "urgent", "audience"])
    async def test_what_is_required_is_missed_by_name(self, standing_town: Town, field: str) -> None:
        body = post_body()
        del body[field]
        answer = await standing_town.call("manager", "POST", "/posts", body)
        assert (answer.status, answer.fields) == (422, [field])

    async def test_the_published_sizes_are_taken(self, standing_town: Town) -> None:
        posted = await standing_town.post(title="題" * 200, body="文" * 20_000)
        assert len(posted["post"]["title"]) == 200
        assert len(posted["alert"]["body"]) == 20_000


class TestIdempotency:
    async def test_the_same_key_and_body_answers_the_first_result_again(self, town: Town) -> None:
        first = await town.call("manager", "POST", "/posts", post_body(), headers=KEY)
        again = await town.call("manager", "POST", "/posts", dict(reversed(post_body().items())), headers=KEY)
        assert (first.status, again.status, again.body) == (201, 201, first.body)
        assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
        assert len((await town.call("viewer", "GET", "/alerts")).body["items"]) == 1

    async def test_the_same_key_with_another_body_is_a_conflict(self, town: Town) -> None:
        await town.call("manager", "POST", "/posts", post_body(), headers=KEY)
        answer = await town.call("manager", "POST", "/posts", post_body(drill=True), headers=KEY)
        assert (answer.status, answer.error["code"]) == (409, "conflict")
        assert len((await town.call("viewer", "GET", "/alerts")).body["items"]) == 1

    async def test_a_key_is_its_own_person_s(self, town: Town) -> None:
        await town.call("manager", "POST", "/posts", post_body(), headers=KEY)
        answer = await town.call("admin", "POST", "/posts", post_body(drill=True), headers=KEY)
        assert answer.status == 201

    async def test_a_refused_post_does_not_use_its_key_up(self, town: Town) -> None:
        assert (await town.call("manager", "POST", "/posts", post_body(title=""), headers=KEY)).status == 422
        assert (await town.call("manager", "POST", "/posts", post_body(), headers=KEY)).status == 201

    @pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", "é\xa0"])
    async def test_a_key_that_is_none_is_refused(self, standing_town: Town, key: str) -> None:
        answer = await standing_town.call("manager", "POST", "/posts", post_body(), headers={"Idempotency-Key": key})
        assert (answer.status, answer.fields) == (422, ["Idempotency-Key"])

    async def test_twenty_at_once_with_one_key_are_one_alert(self, any_town: Town) -> None:
        answers = await asyncio.gather(
            *(any_town.call("manager", "POST", "/posts", post_body(), headers=KEY) for _ in range(20))
        )
        assert {answer.status for answer in answers} == {201}
        assert len({answer.body["alert"]["id"] for answer in answers}) == 1
        assert len((await any_town.call("viewer", "GET", "/alerts")).body["items"]) == 1


class TestReading:
    async def test_lists_are_paged_newest_first_without_gap_or_repetition(self, town: Town, clock: Clock) -> None:
        ids = []
        for number in range(5):
            clock.move(seconds=1)
            ids.append((await town.post(title=f"{number}"))["alert"]["id"])
        for path in ("/alerts", "/posts"):
            seen: list[str] = []
            cursor, page = "", {"next": None}
            for size in (2, 2, 1):
                page = (await town.call("staff", "GET", f"{path}?limit=2{cursor}")).body
                assert len(page["items"]) == size
                seen += [item["title"] for item in page["items"]]
                cursor = f"&cursor={page['next']}"
            assert page["next"] is None
            assert seen == ["4", "3", "2", "1", "0"]
        assert [item["id"] for item in (await town.call("staff", "GET", "/alerts?limit=5")).body["items"]] == ids[::-1]

    @pytest.mark.parametrize(
        "limit", ["0", "-1", "501", "x", "1.5", "", "１", "1e2", "0000001" + "9" * 30, "9" * 5_000, "%00"]
    )
    async def test_a_limit_beyond_the_published_one_is_refused(self, standing_town: Town, limit: str) -> None:
        answer = await standing_town.call("staff", "GET", f"/posts?limit={limit}")
        assert (answer.status, answer.fields) == (422, ["limit"])

    async def test_an_unknown_parameter_or_value_is_refused_by_name(self, standing_town: Town) -> None:
        alert = await standing_town.alert()
        for path, field in (
            ("/posts?page=2", "page"),
            (f"/alerts/{alert}/recipients?state=asleep", "state"),
            (f"/alerts/{alert}?cursor=x", "cursor"),
            ("/people?state=outstanding", "state"),
        ):
            answer = await standing_town.call("admin", "GET", path)
            assert (answer.status, answer.fields) == (422, [field]), path

    async def test_what_is_not_for_somebody_is_not_there_for_them(self, town: Town) -> None:
        posted = await town.post(audience={"people": ["viewer"]})
        for path in (f"/posts/{posted['post']['id']}", f"/alerts/{posted['alert']['id']}"):
            assert (await town.call("staff", "GET", path)).status == 404
            assert (await town.call("viewer", "GET", path)).status == 200
            assert (await town.call("manager", "GET", path)).status == 200
        for path in ("/posts", "/alerts"):
            assert (await town.call("staff", "GET", path)).body["items"] == []
        answer = await town.call("staff", "POST", f"/alerts/{posted['alert']['id']}/acknowledgements", {})
        assert answer.status == 404

    async def test_the_summary_and_the_recipients_say_the_same(self, town: Town) -> None:
        await town.call("admin", "PUT", "/people/mute", {"name": "無口"})
        alert = await town.alert(ask=ASK)
        await town.call("staff", "POST", f"/alerts/{alert}/acknowledgements", {"answer": "safe"})
        summary = (await town.call("viewer", "GET", f"/alerts/{alert}/summary")).body
        assert summary["opened_at"] == moment(START)
        assert summary.items() >= {
            "recipients": 5, "acknowledged": 1, "outstanding": 4, "unreachable": 1, "answers": {"safe": 1, "hurt": 0},
            "groups": [], "last_ack_at": moment(START),
        }.items()  # fmt: skip
        assert summary["channels"].keys() == {"webpush", "sms", "email"}
        states = {"pending", "sending", "sent", "delivered", "failed", "held", "expired", "cancelled"}
        for counts in summary["channels"].values():
            assert counts.keys() == states
        assert sum(summary["channels"]["email"].values()) == 4
        for state, people in (
            ("outstanding", ["admin", "manager", "mute", "viewer"]),
            ("acknowledged", ["staff"]),
            ("unreachable", ["mute"]),
        ):
            page = (await town.call("viewer", "GET", f"/alerts/{alert}/recipients?state={state}")).body
            assert [item["person"]["id"] for item in page["items"]] == people
        everybody = (await town.call("viewer", "GET", f"/alerts/{alert}/recipients?limit=3")).body
        rest = (await town.call("viewer", "GET", f"/alerts/{alert}/recipients?cursor={everybody['next']}")).body
        assert len(everybody["items"]) + len(rest["items"]) == 5
        mail = rest["items"][-1]["deliveries"]
        assert [(each["channel"], each["state"]) for each in mail] == [("email", "pending")]


class TestAcknowledging:
    async def test_it_is_kept_with_its_way_and_repeating_it_is_harmless(self, town: Town) -> None:
        alert = await town.alert(ask=ASK)
        path = f"/alerts/{alert}/acknowledgements"
        body = {"answer": "safe", "comment": "自宅", "answered_at": moment(START)}
        first = await town.call("staff", "POST", path, body)
        assert first.status == 200
        assert first.body.items() >= {"alert": alert, "person": "staff", "way": "api", "late": False, **body}.items()
        assert (await town.call("staff", "POST", path, body)).body == first.body

    async def test_for_somebody_else_only_a_manager_answers_and_it_is_marked(self, town: Town) -> None:
        path = f"/alerts/{await town.alert()}/acknowledgements"
        for who, status in (("staff", 403), ("viewer", 403), ("manager", 200)):
            assert (await town.call(who, "POST", path, {"person": "admin"})).status == status
        kept = (await town.call("manager", "POST", path, {"person": "staff"})).body
        assert (kept["person"], kept["by"], kept["way"]) == ("staff", "manager", "proxy")
        answer = await town.call("manager", "POST", path, {"person": "nobody"})
        assert (answer.status, answer.fields) == (422, ["person"])

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"answer": "perhaps"}, ["answer"]),
            ({"answer": ""}, ["answer"]),
            ({"answer": 1}, ["answer"]),
            ({"comment": "x" * 2_001}, ["comment"]),
            ({"comment": "\0"}, ["comment"]),
            ({"person": "\0"}, ["person"]),
            ({"answered_at": "yesterday"}, ["answered_at"]),
            ({"answered_at": "2026-11-22T03:00:00"}, ["answered_at"]),
            ({"who": "me"}, ["who"]),
        ],
        ids=str,
    )
    async def test_what_is_no_answer_is_refused_by_field(
        self, any_standing_town: Town, body: dict[str, Any], fields: list[str]
    ) -> None:
        path = f"/alerts/{await any_standing_town.alert(ask=ASK)}/acknowledgements"
        answer = await any_standing_town.call("manager", "POST", path, body)
        assert (answer.status, answer.fields) == (422, fields)

    @pytest.mark.parametrize(
        "clock_of_the_phone", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1970-01-01T00:00:00Z"]
    )
    async def test_a_phone_whose_clock_is_wrong_still_answers_and_can_answer_again(
        self, any_town: Town, clock: Clock, clock_of_the_phone: str
    ) -> None:
        path = f"/alerts/{await any_town.alert(ask=ASK)}/acknowledgements"
        body = {"answer": "hurt", "answered_at": clock_of_the_phone}
        kept = await any_town.call("staff", "POST", path, body)
        assert (kept.status, kept.body["answered_at"]) == (200, moment(START))
        clock.move(minutes=1)
        assert (await any_town.call("staff", "POST", path, {"answer": "safe"})).body["answer"] == "safe"


class TestPeople:
    async def test_a_person_is_made_changed_and_listed(self, town: Town) -> None:
        await town.call("admin", "PUT", "/groups/fire", {"name": "消防", "parent": None, "supervisors": ["staff"]})
        body = {"id": "taro", "name": "太郎", "email": "taro@example.jp", "phone": "０９０-1234-5678", "language": "en",
                "groups": ["fire"], "active": True}  # fmt: skip
        made = await town.call("manager", "PUT", "/people/taro", body)
        chosen = {"takes_self_test": False, "quiet_hours": None}
        assert (made.status, made.body) == (201, {**body, "phone": "+819012345678", "role": "staff", **chosen})
        again = await town.call("manager", "PUT", "/people/taro", {"name": "太郎"})
        assert again.status == 200
        assert again.body.items() >= {"email": None, "phone": None, "groups": [], "language": "ja"}.items()
        listed = (await town.call("manager", "GET", "/people?limit=2")).body
        assert [item["id"] for item in listed["items"]] == ["admin", "boss"]
        rest = (await town.call("manager", "GET", f"/people?cursor={listed['next']}")).body
        assert [item["id"] for item in rest["items"]] == ["manager", "staff", "taro", "viewer"]

    async def test_two_people_may_share_an_address_and_one_may_have_none(self, town: Town) -> None:
        for person in ("a", "b"):
            body = {"name": person, "email": "family@example.jp", "phone": "+819012345678"}
            assert (await town.call("manager", "PUT", f"/people/{person}", body)).status == 201
        assert (await town.call("manager", "PUT", "/people/c", {"name": "c"})).status == 201

    @pytest.mark.parametrize(
        ("path", "body", "fields"),
        [
            ("/people/taro", {}, ["name"]),
            ("/people/taro", {"name": " "}, ["name"]),
            ("/people/taro", {"name": "a\nb"}, ["name"]),
            ("/people/taro", {"name": "x" * 201}, ["name"]),
            ("/people/taro", {"name": "x", "email": "no address"}, ["email"]),
            ("/people/taro", {"name": "x", "phone": "12"}, ["phone"]),
            ("/people/taro", {"name": "x", "phone": 9012345678}, ["phone"]),
            ("/people/taro", {"name": "x", "language": "fr"}, ["language"]),
            ("/people/taro", {"name": "x", "groups": ["nowhere"]}, ["groups"]),
            ("/people/taro", {"name": "x", "active": "yes"}, ["active"]),
            ("/people/taro", {"name": "x", "id": "jiro"}, ["id"]),
            ("/people/-taro", {"name": "x"}, ["id"]),
            ("/people/" + "x" * 65, {"name": "x"}, ["id"]),
            ("/people/a%00b", {"name": "x"}, ["id"]),
            ("/people/taro", {"name": " ", "email": "x", "phone": "x", "groups": ["x"]},
             ["name", "phone", "email", "groups"]),
            ("/groups/fire", {"name": " ", "parent": "nowhere", "supervisors": ["nobody"]},
             ["name", "parent", "supervisors"]),
            ("/groups/fire", {"name": "x", "parent": "fire"}, ["parent"]),
            ("/groups/fire", {"name": "x", "parent": "\0"}, ["parent"]),
            ("/groups/fire", {"name": "x", "supervisors": ["\0"]}, ["supervisors.0"]),
            ("/boards/b", {"name": ""}, ["name"]),
            ("/boards/_b", {"name": "x"}, ["id"]),
        ],
        ids=str,
    )  # fmt: skip
    async def test_what_cannot_be_put_is_refused_with_every_field(
        self, standing_town: Town, path: str, body: dict[str, Any], fields: list[str]
    ) -> None:
        answer = await standing_town.call("admin", "PUT", path, body)
        assert (answer.status, answer.fields) == (422, fields)

    async def test_nobody_makes_somebody_mightier_than_themselves(self, town: Town) -> None:
        for path, body in (
            ("/people/staff", {"name": "x", "role": "manager"}),
            ("/people/nina", {"name": "x", "role": "admin"}),
            ("/people/admin", {"name": "x"}),
        ):
            assert (await town.call("manager", "PUT", path, body)).status == 403
        assert (await town.call("admin", "PUT", "/people/staff", {"name": "x", "role": "manager"})).status == 200

    async def test_groups_form_a_tree_and_boards_have_names(self, town: Town) -> None:
        for group, parent in (("city", None), ("fire", "city"), ("boats", "fire")):
            body = {"name": group, "parent": parent, "supervisors": ["staff", "admin", "staff"]}
            made = await town.call("admin", "PUT", f"/groups/{group}", body)
            assert (made.status, made.body["supervisors"]) == (201, ["admin", "staff"])
        answer = await town.call("admin", "PUT", "/groups/city", {"name": "x", "parent": "boats"})
        assert (answer.status, answer.fields) == (422, ["parent"])
        listed = (await town.call("admin", "GET", "/groups")).body
        assert [(item["id"], item["parent"]) for item in listed["items"]] == [
            ("boats", "fire"),
            ("city", None),
            ("fire", "city"),
        ]
        assert (await town.call("admin", "PUT", "/boards/fire", {"name": "消防"})).status == 201
        assert (await town.call("admin", "PUT", "/boards/fire", {"name": "消防団"})).status == 200
        assert (await town.call("admin", "GET", "/boards")).body["items"] == [
            {"id": "fire", "name": "消防団"},
            {"id": "general", "name": "全般 / General"},
        ]
        assert (await town.post(board="fire"))["post"]["board"] == "fire"

    async def test_many_who_put_the_same_at_once_are_all_answered(self, any_town: Town) -> None:
        for path in ("/boards/b", "/groups/g", "/people/p"):
            answers = await asyncio.gather(*(any_town.call("admin", "PUT", path, {"name": "x"}) for _ in range(8)))
            assert sorted(answer.status for answer in answers) == [200] * 7 + [201]


class TestImport:
    async def test_a_dry_run_tells_what_the_import_then_does(self, town: Town) -> None:
        data = "id,name,phone\ntaro,太郎,090-1234-5678\nstaff,改名,\n".encode("cp932")
        told = await town.call("manager", "POST", "/people/import?dry_run=true", data=data, headers=CSV)
        assert told.body == {
            "applied": False, "made": ["taro"], "changed": [{"id": "staff", "fields": ["name"]}],
            "unchanged": 0, "errors": [],
        }  # fmt: skip
        assert "taro" not in str((await town.call("manager", "GET", "/people")).body)
        done = await town.call("manager", "POST", "/people/import", data=data, headers=CSV)
        assert done.body == {**told.body, "applied": True}

    async def test_a_bad_row_is_named_and_nothing_is_changed(self, town: Town) -> None:
        data = "id,name,phone\ntaro,太郎,\njiro,次郎,12\n"
        answer = await town.call("manager", "POST", "/people/import", data=data, headers=CSV)
        assert (answer.status, answer.fields) == (422, ["row 3: phone"])
        assert "taro" not in str((await town.call("manager", "GET", "/people")).body)

    @pytest.mark.parametrize(
        "data", [b"", b"\n", b"name\nx\n", b"id,name\n", b"id,name\n\0,x\n", b"\xff\xfe\x81", b'"']
    )
    async def test_what_is_no_list_of_people_is_refused(self, standing_town: Town, data: bytes) -> None:
        answer = await standing_town.call("manager", "POST", "/people/import", data=data, headers=CSV)
        assert answer.status == 422
        assert answer.fields

    async def test_it_has_to_say_that_it_is_csv(self, standing_town: Town) -> None:
        assert (await standing_town.call("manager", "POST", "/people/import", data=b"id,name\nx,y\n")).status == 415


class TestTokens:
    async def test_a_token_works_until_it_is_revoked_and_is_shown_once(self, town: Town) -> None:
        made = await town.call("admin", "POST", "/tokens", {"person": "robot", "role": "viewer"})
        assert made.status == 201
        town.tokens["robot"] = made.body["token"]
        assert (await town.call("robot", "GET", "/alerts")).status == 200
        assert (await town.call("admin", "DELETE", f"/tokens/{made.body['id']}")).status == 204
        assert (await town.call("robot", "GET", "/alerts")).status == 401
        assert (await town.call("admin", "DELETE", f"/tokens/{made.body['id']}")).status == 404

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({"person": "x", "role": "root"}, ["role"]),
            ({"person": "", "role": "staff"}, ["person"]),
            ({"person": "a b", "role": "staff"}, ["person"]),
            ({"role": "staff"}, ["person"]),
        ],
        ids=str,
    )
    async def test_a_token_for_nobody_or_nothing_is_refused(
        self, standing_town: Town, body: dict[str, str], fields: list[str]
    ) -> None:
        answer = await standing_town.call("admin", "POST", "/tokens", body)
        assert (answer.status, answer.fields) == (422, fields)


class TestOneself:
    async def test_the_push_key_is_for_anybody(self, standing_town: Town) -> None:
        assert (await standing_town.call(None, "GET", "/push/key")).body == {"public_key": VAPID.public_key}

    async def test_the_same_endpoint_twice_is_one_subscription(self, town: Town) -> None:
        with PushService() as push:
            document = push.subscribe(VAPID.public_key).json()
        document["endpoint"] = "https://fcm.googleapis.com/fcm/send/abc"
        first = await town.call("staff", "POST", "/me/subscriptions", {**document, "expirationTime": None})
        again = await town.call("staff", "POST", "/me/subscriptions", {**document, "label": "電話"})
        assert (first.status, again.status, again.body) == (201, 200, first.body)
        path = f"/me/subscriptions/{first.body['id']}"
        assert (await town.call("viewer", "DELETE", path)).status == 404
        assert (await town.call("staff", "DELETE", path)).status == 204

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"endpoint": "https://evil.example/x"}, "endpoint"),
            ({"endpoint": "http://fcm.googleapis.com/x"}, "endpoint"),
            ({"endpoint": "https://fcm.googleapis.com/" + "x" * 2_048}, "endpoint"),
            ({"endpoint": "https://127.0.0.1/x"}, "endpoint"),
            ({"endpoint": "https://fcm.googleapis.com@evil.example/"}, "endpoint"),
            ({"endpoint": "https://fcm.googleapis.com/a\0b"}, "endpoint"),
            ({"endpoint": ""}, "endpoint"),
            ({"keys": {"p256dh": "x", "auth": "y"}}, "keys.p256dh"),
            ({"keys": {"p256dh": "x"}}, "keys.auth"),
            ({"keys": None}, "keys"),
            ({"label": "a\0b"}, "label"),
            ({"label": 7}, "label"),
        ],
        ids=str,
    )
    async def test_what_no_browser_gives_is_refused(
        self, any_standing_town: Town, changes: dict[str, Any], field: str
    ) -> None:
        with PushService() as push:
            document = push.subscribe(VAPID.public_key).json()
        body = {**document, "endpoint": "https://fcm.googleapis.com/fcm/send/abc", **changes}
        answer = await any_standing_town.call("staff", "POST", "/me/subscriptions", body)
        assert (answer.status, answer.fields) == (422, [field])

    async def test_a_test_goes_to_oneself_alone_and_not_too_often(self, town: Town) -> None:
        made = await town.call("staff", "POST", "/me/test")
        assert made.status == 201
        assert made.body["alert"].items() >= {"kind": "test", "drill": True, "recipients": 1}.items()
        assert (await town.call("manager", "GET", f"/alerts/{made.body['alert']['id']}")).status == 404
        assert [(await town.call("staff", "POST", "/me/test")).status for _ in range(3)] == [201, 201, 429]
        assert (await town.call("viewer", "POST", "/me/test")).status == 201

    async def test_whoever_has_no_way_is_told_so(self, town: Town) -> None:
        town.move_in("mute", email=None)
        answer = await town.call("mute", "POST", "/me/test")
        assert (answer.status, answer.fields) == (422, ["person"])


class TestForm:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/nothing", 404),
            ("GET", "", 404),
            ("GET", "/posts/x/y", 404),
            ("GET", "/alerts/unknown", 404),
            ("DELETE", "/posts", 405),
            ("PATCH", "/people/taro", 405),
            ("POST", "/push/key", 405),
            ("OPTIONS", "/posts", 405),
            ("GET", "/alerts/%00", 404),
            ("GET", "/posts/%F0%9F%98%80", 404),
            ("DELETE", "/tokens/%00", 404),
            ("GET", "/posts?cursor=%00", 200),
            ("GET", "/people?cursor=%ED%A0%80", 200),
        ],
    )
    async def test_every_refusal_has_the_documented_form(
        self, any_standing_town: Town, method: str, path: str, status: int
    ) -> None:
        answer = await any_standing_town.call("admin", method, path)
        if status in (200, 404) and "%" in path and answer.status == 422:
            return  # PostgreSQL cannot even look for such a thing
        assert answer.status == status
        if status != 200:
            assert answer.error["code"] == {404: "not_found", 405: "method_not_allowed"}[status]
        if status == 405:
            assert answer.headers["allow"]

    @pytest.mark.parametrize(
        "data",
        [
            "", "{", "nul", "{}{}", "{'a': 1}", '{"title": NaN}', '{"title": Infinity}', '{"a": 1, "a": 2}',
            "[" * 100_000, '{"a":' * 50_000, '{"title": "\\ud800"}', '{"title": "\\u12"}',
            '{"title": "\x01"}', b"\xff\xfe{\0}\0",
            b'{"title": "\xff"}', b"\xef\xbb\xbf{}", '{"a": ' + "9" * 10_000 + "}", "\0",
        ],
        ids=lambda data: repr(data)[:20],
    )  # fmt: skip
    async def test_what_is_no_json_is_a_bad_request(self, standing_town: Town, data: str | bytes) -> None:
        answer = await standing_town.call("manager", "POST", "/posts", data=data)
        assert (answer.status, answer.error["code"]) == (400, "bad_request")

    @pytest.mark.parametrize("data", ["null", "[]", '"post"', "7", "true", "{}"])
    async def test_json_that_is_no_post_is_refused(self, standing_town: Town, data: str) -> None:
        answer = await standing_town.call("manager", "POST", "/posts", data=data)
        assert answer.status == 422
        assert answer.fields

    async def test_a_member_that_stands_twice_is_refused_lest_a_drill_be_sent_as_real(self, town: Town) -> None:
        data = json.dumps(post_body(drill=True))[:-1] + ', "drill": false}'
        assert (await town.call("manager", "POST", "/posts", data=data)).status == 400
        assert (await town.call("viewer", "GET", "/alerts")).body["items"] == []

    @pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
    async def test_another_media_type_is_not_taken(self, standing_town: Town, media: str) -> None:
        answer = await standing_town.call(
            "manager", "POST", "/posts", data=json.dumps(post_body()), headers={"Content-Type": media}
        )
        assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")

    async def test_a_charset_beside_the_media_type_is_fine(self, standing_town: Town) -> None:
        headers = {"Content-Type": "Application/JSON; charset=utf-8"}
        answer = await standing_town.call("manager", "POST", "/posts", data=json.dumps(post_body()), headers=headers)
        assert answer.status == 201

    async def test_more_than_a_megabyte_is_too_large_declared_or_not(self, standing_town: Town) -> None:
        body = b'{"title": "' + b"x" * 1_000_000 + b'"}'

        async def in_pieces() -> Any:
            for start in range(0, len(body), 100_000):
                yield body[start : start + 100_000]

        for data in (body, in_pieces()):
            answer = await standing_town.call("manager", "POST", "/posts", data=data)
            assert (answer.status, answer.error["code"]) == (413, "content_too_large")

    async def test_answers_are_not_kept_by_anybody(self, standing_town: Town) -> None:
        answer = await standing_town.call("staff", "GET", "/posts")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"

    async def test_health_is_told_to_anybody(self, standing_town: Town) -> None:
        assert (await standing_town.raw("GET", "/health/live")).body == {"status": "live"}
        ready = await standing_town.raw("GET", "/health/ready")
        assert (ready.status, ready.body["status"], ready.body["store"]) == (200, "ready", "writable")


class TestSessions:
    async def signed_in(self, town: Town, **headers: str) -> dict[str, str]:
        session = access.open_session_by_link(town.rt, access.create_link(town.rt, BOSS, "staff").secret)
        return {"Cookie": f"alertd={session.secret}", "Origin": town.site.url, **headers}

    async def test_a_session_reads_and_with_its_token_writes(self, town: Town) -> None:
        headers = await self.signed_in(town)
        assert (await town.call(None, "GET", "/posts", headers=headers)).status == 200
        path = f"/alerts/{await town.alert()}/acknowledgements"
        for form_token in ({}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": "é"}):
            assert (await town.call(None, "POST", path, {}, headers={**headers, **form_token})).status == 403
        (actor,) = access.authenticate_all(town.rt, [("session", headers["Cookie"].removeprefix("alertd="))])
        assert isinstance(actor, Actor)
        good = {**headers, "X-CSRF-Token": csrf_token(town.site.web, actor)}
        kept = await town.call(None, "POST", path, {}, headers=good)
        assert (kept.status, kept.body["way"]) == (200, "page")
        foreign = {**good, "Origin": "https://evil.example"}
        assert (await town.call(None, "POST", path, {}, headers=foreign)).status == 403


class TestLimits:
    async def test_somebody_else_s_bad_tokens_never_lock_a_good_one_out(self, town: Town) -> None:
        town.tokens["thief"] = "x" * 43
        tried = [(await town.call("thief", "GET", "/posts")).status for _ in range(62)]
        assert tried == [401] * 60 + [429] * 2
        assert (await town.call("thief", "GET", "/posts")).headers["retry-after"].isdigit()
        assert (await town.call("staff", "GET", "/posts")).status == 200


FOREIGN: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**40, "", " ", "\0", "x" * 300, "😀", "\u202e", "\ue000", "nobody", "general",
    "2026-11-22T12:00:00Z", "true", [], ["\0"], [None], {}, {"everyone": True}, {"\0": "\0"}, {"steps": []}, [[[]]],
]  # fmt: skip
SENSIBLE: dict[str, list[Any]] = {
    "board": ["general"],
    "title": ["題"],
    "body": ["文"],
    "urgent": [True, False],
    "drill": [True, False],
    "audience": [{"everyone": True}, {"people": ["staff"]}, {"groups": ["fire"], "people": ["\0"]}],
    "severity": ["minor"],
    "ask": [ASK, {"question": "?", "choices": [{"id": "\0", "label": "\0"}]}],
    "plan": ["default", {"steps": [{"after_seconds": 10**30, "channels": ["\0"]}]}],
    "expires_at": ["9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00-23:59"],
    "answered_at": ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"],
    "keys": [{"p256dh": "\0", "auth": "\0"}, {"p256dh": VAPID.public_key, "auth": "A" * 22}],
    "endpoint": ["https://fcm.googleapis.com/\0", "https://[::1/", "https://fcm.googleapis.com:99999/x"],
}


def some_body(dice: random.Random, fields: list[str]) -> bytes:
    body: Any = {
        field: dice.choice(SENSIBLE.get(field, FOREIGN) if dice.random() < 0.7 else FOREIGN)
        for field in fields
        if dice.random() < 0.85
    }
    if dice.random() < 0.05:
        body = dice.choice(FOREIGN)
    raw = json.dumps(body).encode()
    if dice.random() < 0.05:
        place = dice.randrange(len(raw))
        raw = raw[:place] + dice.choice([b"\0", b"\xff", b'"', b"{", b"\\ud800"]) + raw[place + 1 :]
    return raw


async def test_whatever_is_sent_to_whatever_call_is_answered_and_never_by_an_internal_error(any_town: Town) -> None:
    dice = random.Random("alertd")
    posted = await any_town.post(ask=ASK)
    ids = [
        "staff",
        "general",
        posted["alert"]["id"],
        posted["post"]["id"],
        "%00",
        "a" * 200,
        "%ff",
        "%f0%9f%98%80",
        ".",
    ]
    calls: list[tuple[str, str, bytes | None]] = []
    for endpoint in ENDPOINTS:
        fields = list(endpoint.body.model_fields) if endpoint.body else []
        for _ in range(20 if endpoint.body else 5):
            path = re.sub(r"{\w+}", lambda _: dice.choice(ids), endpoint.path).removeprefix("/api/v1")
            if dice.random() < 0.3:
                value = "".join(dice.choices(["%00", "%ff", "1", "x", "%ed%a0%80", "-"], k=dice.randrange(1, 30)))
                path += f"?{dice.choice(['limit', 'cursor', 'state', 'dry_run', 'x', '%00'])}={value}"
            data = some_body(dice, fields) if endpoint.body else None
            if endpoint.takes:
                data = dice.choice(
                    [b"id,name\n\xff", b"id,name,groups\nx,y,\x01\n", b"\0", "id,name\n名,前\n".encode()]
                )
            calls.append((endpoint.method, path, data))

    async def check(method: str, path: str, data: bytes | None) -> None:
        headers = {"Content-Type": "text/csv"} if "import" in path else {}
        if dice.random() < 0.2:
            headers["Idempotency-Key"] = "".join(dice.choices(string.printable[:95] + "é", k=dice.randrange(0, 9)))
        answer: Answer = await any_town.call("admin", method, path, data=data, headers=headers)
        assert answer.status < 500, (method, path, data, headers)
        if answer.status >= 400:
            assert answer.error, (method, path, data)

    while calls:
        some, calls = calls[:8], calls[8:]
        await asyncio.gather(*(check(*each) for each in some))
