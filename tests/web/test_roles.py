"""Who may call what: every call of the API, asked by every role and by nobody."""

import re

import pytest

from alertd.core.roles import Role
from alertd.web.api import ENDPOINTS
from alertd.web.endpoints import Endpoint
from tests.web.server import Town

# The contract's table, written down once more: it must not change by accident.
CONTRACT = {
    "POST /api/v1/posts": Role.MANAGER,
    "POST /api/v1/posts/check": Role.MANAGER,
    "GET /api/v1/posts": Role.STAFF,
    "GET /api/v1/posts/{id}": Role.STAFF,
    "GET /api/v1/alerts": Role.STAFF,
    "GET /api/v1/alerts/{id}": Role.STAFF,
    "POST /api/v1/alerts/{id}/revisions": Role.MANAGER,
    "POST /api/v1/alerts/{id}/reminders": Role.MANAGER,
    "POST /api/v1/alerts/{id}/acknowledgements": Role.STAFF,
    "GET /api/v1/alerts/{id}/summary": Role.VIEWER,
    "GET /api/v1/alerts/{id}/recipients": Role.VIEWER,
    "GET /api/v1/alerts/{id}/export": Role.VIEWER,
    "GET /api/v1/alerts/{id}/cap": Role.VIEWER,
    "GET /api/v1/alerts.atom": Role.VIEWER,
    "GET /api/v1/people": Role.MANAGER,
    "PUT /api/v1/people/{id}": Role.MANAGER,
    "POST /api/v1/people/import": Role.MANAGER,
    "GET /api/v1/groups": Role.ADMIN,
    "PUT /api/v1/groups/{id}": Role.ADMIN,
    "GET /api/v1/plans": Role.MANAGER,
    "PUT /api/v1/plans/{id}": Role.ADMIN,
    "DELETE /api/v1/plans/{id}": Role.ADMIN,
    "GET /api/v1/templates": Role.MANAGER,
    "GET /api/v1/templates/{id}": Role.MANAGER,
    "PUT /api/v1/templates/{id}": Role.ADMIN,
    "DELETE /api/v1/templates/{id}": Role.ADMIN,
    "GET /api/v1/boards": Role.ADMIN,
    "PUT /api/v1/boards/{id}": Role.ADMIN,
    "GET /api/v1/sources": Role.MANAGER,
    "POST /api/v1/sources": Role.ADMIN,
    "PUT /api/v1/sources/{id}/watch": Role.ADMIN,
    "POST /api/v1/sources/{id}/secret": Role.ADMIN,
    "PUT /api/v1/sources/{id}/certificates": Role.ADMIN,
    "GET /api/v1/webhooks": Role.ADMIN,
    "POST /api/v1/webhooks": Role.ADMIN,
    "DELETE /api/v1/webhooks/{id}": Role.ADMIN,
    "POST /api/v1/webhooks/{id}/secret": Role.ADMIN,
    "POST /api/v1/webhooks/{id}/ping": Role.ADMIN,
    "GET /api/v1/rules": Role.MANAGER,
    "PUT /api/v1/rules": Role.ADMIN,
    "POST /api/v1/rules/replay": Role.MANAGER,
    "GET /api/v1/observations": Role.MANAGER,
    "POST /api/v1/observations/{id}/decision": Role.MANAGER,
    "POST /api/v1/tokens": Role.ADMIN,
    "DELETE /api/v1/tokens/{id}": Role.ADMIN,
    "GET /api/v1/push/key": None,
    "POST /api/v1/me/subscriptions": Role.STAFF,
    "DELETE /api/v1/me/subscriptions/{id}": Role.STAFF,
    "POST /api/v1/me/test": Role.STAFF,
}
ALLOWED_WITHOUT_SENSE = {200, 201, 204, 400, 404, 415, 422}  # what an empty body or an unknown id is answered


def test_each_call_is_for_whom_the_contract_says() -> None:
    assert {f"{endpoint.method} {endpoint.path}": endpoint.role for endpoint in ENDPOINTS} == CONTRACT


@pytest.mark.parametrize("who", [None, *(role.word for role in Role)])
async def test_nobody_gets_further_than_their_role(town: Town, who: str | None) -> None:
    role = Role.parse(who) if who else None
    for endpoint in ENDPOINTS:
        answer = await town.call(who, endpoint.method, path_of(endpoint))
        named = f"{endpoint.method} {endpoint.path} by {who}"
        if endpoint.role is None:
            assert answer.status == 200, named
        elif role is None:
            assert (answer.status, answer.error["code"]) == (401, "unauthenticated"), named
        elif role < endpoint.role:
            assert (answer.status, answer.error["code"]) == (403, "forbidden"), named
        else:
            assert answer.status in ALLOWED_WITHOUT_SENSE, named


def path_of(endpoint: Endpoint) -> str:
    return re.sub(r"{\w+}", "unknown", endpoint.path).removeprefix("/api/v1")


async def test_a_refusal_comes_before_the_body_is_looked_at(town: Town) -> None:
    answer = await town.call("staff", "POST", "/posts", data="{")
    assert answer.status == 403


async def test_a_token_has_the_role_that_it_was_made_with(town: Town) -> None:
    weak = await town.call("admin", "POST", "/tokens", {"person": "admin", "role": "staff"})
    town.tokens["weak"] = weak.body["token"]
    assert (await town.call("weak", "GET", "/groups")).status == 403
    assert (await town.call("admin", "GET", "/groups")).status == 200


@pytest.mark.parametrize("header", ["Bearer ", "Bearer x", "Basic YTpi", "Bearer é", "bearer\tx", ""])
async def test_no_other_header_signs_anybody_in(town: Town, header: str) -> None:
    answer = await town.raw("GET", "/api/v1/posts", headers={"Authorization": header})
    assert (answer.status, answer.error["code"]) == (401, "unauthenticated")
