"""Bearer tokens for programs: made, shown once, and ended."""

from contextlib import suppress
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Invalid, NotFound
from alertd.core.roles import Role
from alertd.service import access
from alertd.web.context import in_thread
from alertd.web.pages.forms import read_own_form
from alertd.web.templating import Page, signed_in

PAGE_SIZE: Final = 50
_ROLES: Final = tuple(role.word for role in Role)


async def show_tokens(request: Request) -> Response:
    page, _ = await signed_in(request, Role.ADMIN)
    return await _tokens_page(page)


async def make_token(request: Request) -> Response:
    """The token stands in the answer itself: only its hash is kept, so it cannot be shown a second time."""
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    person, word = form.one("person").strip(), form.one("role")
    if word not in _ROLES:
        return await _tokens_page(page, person=person, faults={"role": page.say("Please choose one.")})
    role = Role.parse(word)
    try:
        issued = await in_thread(lambda: access.create_token(page.web.rt, actor, person, role, make=False))
    except Invalid as refused:
        faults = {field: page.fault(message) for field, message in reversed(refused.details)}
        return await _tokens_page(page, person=person, role=word, faults=faults)
    return await _tokens_page(page, made={"token": issued.secret, "person": person, "role": word})


async def end_token(request: Request) -> Response:
    page, actor = await signed_in(request, Role.ADMIN)
    await read_own_form(request, actor)
    token_id = str(request.path_params["token"])
    with suppress(NotFound):  # pressed twice
        await in_thread(lambda: access.revoke_token(page.web.rt, actor, token_id))
    return RedirectResponse("/tokens?ended=1", 303)


async def _tokens_page(
    page: Page,
    *,
    person: str = "",
    role: str = "",
    faults: dict[str, str] | None = None,
    made: dict[str, Any] | None = None,
) -> Response:
    after = page.request.query_params.get("after")
    tokens = await in_thread(lambda: access.list_tokens(page.web.rt, after=after, limit=PAGE_SIZE + 1))
    return page.respond(
        "tokens.html",
        422 if faults else 200,
        tokens=tokens[:PAGE_SIZE],
        following=tokens[PAGE_SIZE - 1]["id"] if len(tokens) > PAGE_SIZE else None,
        after=after,
        roles=_ROLES,
        person=person,
        role=role,
        faults=faults or {},
        made=made,
        ended="ended" in page.request.query_params,
    )
