"""The published description: valid by itself, complete, and true of what is really answered."""

import asyncio
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import OpenAPIV31SpecValidator

from alertd.core.alert import BODY_MAX, COMMENT_MAX, TITLE_MAX
from alertd.web.api import ENDPOINTS
from alertd.web.models import ENDPOINT_MAX
from tests.web.server import VAPID, Answer, Town, post_body


async def document(town: Town) -> dict[str, Any]:
    read: dict[str, Any] = (await town.raw("GET", "/openapi.json")).body
    return read


async def test_it_is_valid_openapi_3_1_and_describes_every_call(standing_town: Town) -> None:
    described = await document(standing_town)
    assert described["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(described).validate()
    calls = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert calls >= {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    assert calls - {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS} == {
        ("GET", "/api/v1/stream"),
        ("GET", "/a/{token}"),
        ("POST", "/a/{token}"),
        ("POST", "/a/{token}/opened"),
        ("POST", "/b/{token}"),
        ("POST", "/api/v1/sources/{id}"),
        ("POST", "/api/v1/sources/{id}/{secret}"),
        ("POST", "/hooks/twilio/status"),
        ("POST", "/hooks/twilio/inbound"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    }
    names = [call["operationId"] for methods in described["paths"].values() for call in methods.values()]
    assert len(names) == len(set(names))


async def test_the_published_sizes_stand_in_it_and_drill_has_no_default(standing_town: Town) -> None:
    schemas = (await document(standing_town))["components"]["schemas"]
    post = schemas["PostBody"]
    assert post["properties"]["title"]["maxLength"] == TITLE_MAX == 200
    assert post["properties"]["body"]["maxLength"] == BODY_MAX == 20_000
    assert set(post["required"]) == {"board", "title", "body", "urgent", "audience"}
    assert post["properties"]["drill"].get("default") is None
    assert COMMENT_MAX == 2_000
    assert schemas["AcknowledgementBody"]["properties"]["comment"]["anyOf"][0]["maxLength"] == COMMENT_MAX
    assert schemas["SubscriptionBody"]["properties"]["endpoint"]["maxLength"] == ENDPOINT_MAX == 2_048


def check(described: dict[str, Any], method: str, path: str, answer: Answer) -> None:
    """The answer is one that the description of this call allows."""
    (operation,) = (
        methods[method.lower()]
        for pattern, methods in described["paths"].items()
        if pattern == path and method.lower() in methods
    )
    expected = operation["responses"].get(str(answer.status))
    if answer.status in (200, 201) and expected is None:
        # What was there already is answered with 200, what was made with 201; the body is the same.
        expected = operation["responses"].get("200") or operation["responses"]["201"]
    if expected is None:
        assert answer.status >= 400, (method, path, answer)
        expected = operation["responses"]["default"]
    if "content" not in expected:
        assert answer.raw == b""
        return
    [media] = expected["content"]
    if media != "application/json":
        assert answer.headers["content-type"].startswith(media)
        return
    schema = {**expected["content"]["application/json"]["schema"], "components": described["components"]}
    Draft202012Validator(schema).validate(answer.body)


async def test_what_is_answered_is_what_is_described(town: Town) -> None:
    described = await document(town)
    posted = await town.post()
    alert, post = posted["alert"]["id"], posted["post"]["id"]
    token = (await town.call("admin", "POST", "/tokens", {"person": "robot", "role": "staff"})).body["id"]
    bodies: dict[tuple[str, str], Any] = {
        ("POST", "/posts"): post_body(),
        ("POST", "/posts/check"): post_body(),
        ("POST", f"/alerts/{alert}/revisions"): {"kind": "update", "title": "続報", "body": ""},
        ("PUT", f"/plans/{post}"): {"name": "x", "plan": {"steps": [{"after_seconds": 0, "channels": ["sms"]}]}},
        ("PUT", f"/templates/{post}"): {"name": "x", "hazard": "fire", "title": "{a}"},
        ("POST", f"/alerts/{alert}/acknowledgements"): {"comment": "x"},
        ("PUT", f"/people/{post}"): {"name": "x"},
        ("PUT", f"/groups/{post}"): {"name": "x"},
        ("PUT", f"/boards/{post}"): {"name": "x"},
        ("POST", "/sources"): {"id": "gauge", "kind": "program"},
        ("PUT", f"/sources/{post}/watch"): {},
        ("PUT", f"/sources/{post}/certificates"): {"certificates": ""},
        ("POST", "/webhooks"): {"id": post, "url": "https://chat.example.jp/hook"},
        ("PUT", "/rules"): {"text": ""},
        ("POST", "/rules/replay"): {"from": "2026-01-01"},
        ("POST", f"/observations/{post}/decision"): {"send": False},
        ("POST", "/tokens"): {"person": "robot", "role": "staff"},
        ("POST", "/me/subscriptions"): {
            "endpoint": "https://fcm.googleapis.com/x", "keys": {"p256dh": VAPID.public_key, "auth": "A" * 22},
        },
    }  # fmt: skip
    done: set[int] = set()
    for endpoint in ENDPOINTS:
        ids = alert if "/alerts/" in endpoint.path else token if "/tokens/" in endpoint.path else post
        path = endpoint.path.replace("{id}", ids).removeprefix("/api/v1")
        body = bodies.get((endpoint.method, path))
        assert (body is None) is (endpoint.body is None), path
        csv: dict[str, Any] = (
            {"data": b"id,name\nx,y\n", "headers": {"Content-Type": "text/csv"}} if endpoint.takes else {}
        )
        good = await town.call("admin", endpoint.method, path, body, **csv)
        refused = await asyncio.gather(
            town.call(None, endpoint.method, path, body, **csv),
            town.call("admin", endpoint.method, path, ["wrong"]),
            town.call("admin", endpoint.method, f"{path}?unknown=1", body, **csv),
        )
        for answer in (good, *refused):
            check(described, endpoint.method, endpoint.path, answer)
            done.add(answer.status)
    assert {200, 201, 204, 401, 404, 415, 422} <= done
