"""Signing in by password or by a one-time link, and signing out."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Unauthenticated
from alertd.core.roles import Role
from alertd.service import access
from alertd.web.context import in_thread, web_of
from alertd.web.limits import ALL_CODES, BAD_CREDENTIALS, CODES, SIGN_INS
from alertd.web.pages.forms import device_of, form_of, local_path, read_own_form
from alertd.web.security import (
    authenticate,
    check_origin,
    clear_session,
    client_address,
    mark_device,
    session_wish,
    set_session,
)
from alertd.web.templating import Page, open_page, signed_in


def sign_in_url(request: Request) -> str:
    """The sign-in page, which comes back to what `request` wanted."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/sign-in?next={quote(local_path(wanted))}"


async def start(request: Request) -> Response:
    """The start page is the one that its reader needs."""
    _, actor = await signed_in(request)
    return RedirectResponse("/board" if actor.may(Role.VIEWER) else "/me", 303)


async def show_sign_in(request: Request) -> Response:
    try:
        await authenticate(request)
    except Unauthenticated:
        return _sign_in_page(open_page(request), request.query_params.get("next", "/"))
    return RedirectResponse(local_path(request.query_params.get("next", "/")), 303)


async def sign_in(request: Request) -> Response:
    page = open_page(request)
    form = await form_of(request)
    check_origin(request)
    person, password, wanted = form.one("person").strip(), form.one("password"), form.one("next", "/")
    web, address = page.web, client_address(request)
    if form.maybe("code"):
        return await _sign_in_by_code(page, form.one("code"))
    web.limits.require_left(BAD_CREDENTIALS, "sign-in", address)
    web.limits.spend(SIGN_INS, "sign-in", person, address)
    try:
        session = await in_thread(lambda: access.open_session_by_password(web.rt, person, password))
    except Unauthenticated as fault:
        web.limits.spend(BAD_CREDENTIALS, "sign-in", address)
        return _sign_in_page(page, wanted, person=person, fault=page.fault(fault.message), status=401)
    response = RedirectResponse(local_path(wanted), 303)
    set_session(web, response, session.secret)
    return response


async def _sign_in_by_code(page: Page, code: str) -> Response:
    limits, address = page.web.limits, client_address(page.request)
    limits.require_left(CODES, "code", address)
    limits.require_left(ALL_CODES, "code")
    wish = session_wish(page.web, page.request, code)
    try:
        session = await in_thread(lambda: access.open_session_by_code(page.web.rt, code, wish))
    except Unauthenticated as fault:
        limits.spend(CODES, "code", address)
        limits.spend(ALL_CODES, "code")
        return _sign_in_page(page, "/", code_fault=page.fault(fault.message), status=401)
    response = RedirectResponse("/me/setup", 303)
    set_session(page.web, response, session.secret)
    return response


def _sign_in_page(
    page: Page,
    wanted: str,
    *,
    person: str = "",
    fault: str | None = None,
    code_fault: str | None = None,
    status: int = 200,
) -> Response:
    is_open = code_fault is not None or device_of(page.request) == "iphone"
    response = page.respond(
        "sign_in.html",
        status,
        wanted=local_path(wanted),
        person=person,
        fault=fault,
        code_fault=code_fault,
        is_code_open=is_open,
    )
    mark_device(page.web, page.request, response)
    return response


async def show_link(request: Request) -> Response:
    """Whom a one-time link signs in. Mail scanners open links, so looking at it does not spend it."""
    page, secret = open_page(request), str(request.path_params["link"])
    wish = session_wish(page.web, request, secret)
    with _counted(page):
        name = await in_thread(lambda: access.read_link(page.web.rt, secret, wish))
    response = page.respond("sign_in_link.html", name=name)
    mark_device(page.web, request, response)
    return response


async def use_link(request: Request) -> Response:
    page, secret = open_page(request), str(request.path_params["link"])
    check_origin(request)
    wish = session_wish(page.web, request, secret)
    with _counted(page):
        session = await in_thread(lambda: access.open_session_by_link(page.web.rt, secret, wish))
    # Whoever holds this device for the first time is led on until alerts reach it.
    response = RedirectResponse("/me/setup", 303)
    set_session(page.web, response, session.secret)
    return response


@contextmanager
def _counted(page: Page) -> Iterator[None]:
    """A bad link is counted against whoever tries it."""
    try:
        yield
    except Unauthenticated:
        page.web.limits.spend(BAD_CREDENTIALS, "link", client_address(page.request))
        raise


async def sign_out(request: Request) -> Response:
    _, actor = await signed_in(request)
    await read_own_form(request, actor)
    web = web_of(request)
    await in_thread(lambda: access.close_session(web.rt, actor))
    response = RedirectResponse("/sign-in", 303)
    clear_session(web, response)
    return response
