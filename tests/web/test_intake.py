"""Sources over HTTP: made by an administrator, heard with their own secret, decided on by rules."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.sources.signing import AGENCY, SIGNED
from tests.sources.test_cap import REFERENCES, message
from tests.sources.test_program import sent
from tests.web.server import Answer, Town

RULES = """
[[rule]]
name = "urgent"
source = "{source}"
do = "{do}"
audience = {{ everyone = true }}
"""


async def make(town: Town, source: str, kind: str, do: str = "alert") -> str:
    made = await town.call("admin", "POST", "/sources", {"id": source, "kind": kind})
    assert made.status == 201
    saved = await town.call("admin", "PUT", "/rules", {"text": RULES.format(source=source, do=do)})
    assert saved.status == 200
    return str(made.body["secret"])


async def send(town: Town, source: str, secret: str, raw: bytes) -> Answer:
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/xml"}
    return await town.raw("POST", f"/api/v1/sources/{source}", data=raw, headers=headers)


async def endless() -> AsyncIterator[bytes]:
    for _ in range(5):
        yield b"x" * 1_000_000


async def alerts(town: Town) -> list[Any]:
    return [(each["title"], each["state"]) for each in (await town.call("admin", "GET", "/alerts")).body["items"]]


async def test_a_cap_message_is_issued_and_cancelled(town: Town) -> None:
    secret = await make(town, "cap", "cap")
    issued = await send(town, "cap", secret, message().encode())
    assert (issued.status, [(each["action"], each["reason"]) for each in issued.body["items"]]) == (
        200,
        [("alert", "rule")],
    )
    assert await alerts(town) == [("津波警報", "active")]
    again = await send(town, "cap", secret, message().encode())
    assert [each["reason"] for each in again.body["items"]] == ["repeated"]
    later = "2026-11-22T19:00:00+09:00"
    cancel = message(identifier="a-3", sent=later, kind="Cancel", references=REFERENCES)
    assert (await send(town, "cap", secret, cancel.encode())).body["items"][0]["action"] == "stand-down"
    assert await alerts(town) == [("津波警報", "cancelled")]
    listed = (await town.call("manager", "GET", "/observations")).body["items"]
    assert [(each["action"], each["state"]) for each in listed] == [("stand-down", "done"), ("alert", "done")]
    [source] = (await town.call("manager", "GET", "/sources")).body["items"]
    assert source["succeeded_at"] is not None


SIGNED_RULE = (
    '[[rule]]\nname = "s"\nsource = "cap"\ndo = "alert"\naudience = { everyone = true }\nwhen = { signed = true }\n'
)


async def test_a_signed_message_is_proved_and_a_broken_one_refused(town: Town) -> None:
    secret = await make(town, "cap", "cap")
    asked = await town.call("admin", "PUT", "/rules", {"text": SIGNED_RULE})
    assert (asked.status, asked.error["details"][0]["field"]) == (422, "rule.0.when.signed")
    path, body = "/sources/cap/certificates", {"certificates": AGENCY.pem}
    assert (await town.call("manager", "PUT", path, body)).status == 403
    given = await town.call("admin", "PUT", path, body)
    assert (given.status, [each["subject"] for each in given.body["items"]]) == (200, ["CN=bousai.city.example"])
    assert (await town.call("admin", "PUT", "/rules", {"text": SIGNED_RULE})).status == 200
    assert (await town.call("admin", "PUT", path, {"certificates": ""})).status == 409
    assert (await town.call("admin", "PUT", path, {"certificates": "x"})).status == 422
    refused = await send(town, "cap", secret, SIGNED.replace("高台".encode(), "低地".encode()))
    [detail] = refused.error["details"]
    assert (refused.status, detail["field"], "altered" in detail["message"]) == (422, "line 29", True)
    unsigned = await send(town, "cap", secret, message().encode())
    assert [(each["action"], each["reason"]) for each in unsigned.body["items"]] == [("ignore", "unsigned")]
    assert await alerts(town) == []
    [issued] = (await send(town, "cap", secret, SIGNED)).body["items"]
    assert (issued["action"], issued["reason"]) == ("alert", "signed")
    assert await alerts(town) == [("津波警報", "active")]
    [proved, _] = (await town.call("manager", "GET", "/observations")).body["items"]
    assert (
        proved["signed_by"]
        == issued["signed_by"]
        == f"CN=bousai.city.example (SHA-256 {given.body['items'][0]['sha256']})"
    )


async def test_a_secret_is_good_for_its_own_source_alone(town: Town) -> None:
    cap = await make(town, "cap", "cap")
    own = await make(town, "own", "program")
    for source, secret in (("cap", own), ("own", cap), ("own", ""), ("nobody", own), ("own", "é")):
        refused = await send(town, source, secret, sent())
        assert (refused.status, refused.error["code"]) == (401, "unauthenticated")
    assert (await town.raw("GET", "/api/v1/alerts", headers={"Authorization": f"Bearer {own}"})).status == 401
    # Nor is a person's token good for a source.
    assert (await send(town, "own", town.tokens["admin"], sent())).status == 401
    renewed = (await town.call("admin", "POST", "/sources/own/secret")).body["secret"]
    assert (await send(town, "own", own, sent())).status == 401
    assert (await send(town, "own", renewed, sent())).status == 200


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        (b"<!DOCTYPE a><alert/>", "line 1", "DOCTYPE"),
        (b"<html>\n<body></html>", "line 2", "not XML"),
        (message().replace("<scope>Public</scope>", "").encode(), "line 2", "alert must have scope"),
        (b"", "body", "empty"),
    ],
)
async def test_what_cannot_be_read_is_refused_with_its_line(town: Town, raw: bytes, field: str, words: str) -> None:
    secret = await make(town, "cap", "cap")
    refused = await send(town, "cap", secret, raw)
    assert refused.status == 422
    [detail] = refused.error["details"]
    assert detail["field"] == field
    assert words in detail["message"]
    [source] = (await town.call("manager", "GET", "/sources")).body["items"]
    assert words in source["fault"]
    assert await alerts(town) == []


async def test_a_message_beyond_the_limit_is_not_read(town: Town) -> None:
    secret = await make(town, "cap", "cap")
    headers = {"Authorization": f"Bearer {secret}"}
    assert (await town.raw("POST", "/api/v1/sources/cap", data=endless(), headers=headers)).status == 413


async def test_a_draft_goes_when_a_manager_says_so(town: Town) -> None:
    secret = await make(town, "own", "program", do="draft")
    await send(town, "own", secret, sent())
    [waiting] = (await town.call("manager", "GET", "/observations?open=true")).body["items"]
    path = f"/observations/{waiting['observation']}/decision"
    assert (await town.call("viewer", "POST", path, {"send": True})).status == 403
    assert await alerts(town) == []
    answer = await town.call("manager", "POST", path, {"send": True})
    assert (answer.status, answer.body["state"]) == (200, "done")
    assert await alerts(town) == [("浸水", "active")]
    assert (await town.call("manager", "POST", path, {"send": False})).status == 409
    assert (await town.call("manager", "POST", "/observations/x/decision", {"send": True})).status == 404
    assert (await town.call("manager", "GET", "/observations?open=true")).body["items"] == []


async def test_rules_are_looked_at_before_they_are_in_force(town: Town) -> None:
    assert (await town.call("manager", "GET", "/rules")).body["version"] == 0
    refused = await town.call("admin", "PUT", "/rules", {"text": RULES.format(source="fax", do="shout")})
    assert (refused.status, refused.error["details"][0]["field"]) == (422, "rule.0.do")
    await make(town, "own", "program")
    first = (await town.call("admin", "GET", "/rules")).body
    assert (await town.call("admin", "PUT", "/rules", {"text": "", "on_version": first["version"]})).status == 200
    late = await town.call("admin", "PUT", "/rules", {"text": "", "on_version": first["version"]})
    assert late.status == 409


async def test_pages_of_observations_follow_each_other(town: Town) -> None:
    secret = await make(town, "own", "program", do="board")
    for number in range(3):
        await send(town, "own", secret, sent(id=str(number)))
    first = (await town.call("manager", "GET", "/observations?limit=2")).body
    rest = (await town.call("manager", "GET", f"/observations?limit=2&cursor={first['next']}")).body
    assert [each["id"] for each in first["items"] + rest["items"]] == ["2", "1", "0"]
    assert rest["next"] is None


async def test_rules_are_tried_on_what_came(town: Town) -> None:
    secret = await make(town, "own", "program", do="board")
    await send(town, "own", secret, sent())
    path, text = "/rules/replay", RULES.format(source="own", do="alert")
    assert (await town.call("viewer", "POST", path, {})).status == 403
    assert (await town.call("manager", "POST", path, {})).body["alerts"] == 0
    tried = (await town.call("manager", "POST", path, {"text": text})).body
    assert (tried["observations"], tried["alerts"], [item["title"] for item in tried["items"]]) == (1, 1, ["浸水"])
    assert (await town.call("manager", "GET", "/rules")).body["text"] != text
    assert await alerts(town) == []
    for body, field in (({"from": "x"}, "from"), ({"text": "["}, "rules"), ({"source": "fax"}, "source")):
        refused = await town.call("manager", "POST", path, body)
        assert (refused.status, refused.error["details"][0]["field"]) == (422, field)


async def test_a_hint_has_its_secret_in_the_path_and_is_not_believed(town: Town) -> None:
    secret = await make(town, "own", "program")
    path = f"/api/v1/sources/own/{secret}"
    hinted = await town.raw("POST", path, data=sent())
    assert (hinted.status, hinted.body) == (200, {"items": []})
    assert (await town.call("manager", "GET", "/observations")).body["items"] == []
    for wrong in (f"/api/v1/sources/own/{secret[:-1]}", f"/api/v1/sources/other/{secret}", "/api/v1/sources/own/é"):
        assert (await town.raw("POST", wrong, data=sent())).status == 401
    assert (await town.raw("POST", path, data=endless())).status == 413
    assert (await town.raw("GET", path)).status == 405
    # What an administrator asks for lies beside it, and takes their own token.
    assert (await town.raw("POST", "/api/v1/sources/own/secret")).status == 401
