"""Invitations on paper: a sheet for each person, with a code that their phone reads, in their language."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Final

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.roles import Role
from alertd.service import access, directory, inviting
from alertd.service.inviting import Invitation
from alertd.web.context import in_thread
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.pages.trees import in_tree_order
from alertd.web.templating import Page, signed_in
from alertd.web.translations import parse_language

LIVES: Final = (7, 14, 30)  # days
_LISTED: Final = 100


async def show_form(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    return await _form_page(page, Form())


async def take_form(request: Request) -> Response:
    """The sheets, in the answer itself: nothing keeps what is on them, so they cannot be shown a second time."""
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    life = form.number("life")
    days = life if life in LIVES else LIVES[0]
    only_new = form.one("only") == "new"
    try:
        invitations, above = await in_thread(
            lambda: inviting.invite(
                page.web.rt,
                actor,
                form.all("group"),
                _people(form),
                life=timedelta(days=days),
                only_new=only_new,
            )
        )
    except Invalid as refused:
        return await _form_page(page, form, [page.fault(message) for _, message in refused.details])
    sheets = await in_thread(lambda: [_sheet(page, each) for each in invitations])
    return page.respond("invitation_sheets.html", sheets=sheets, above=above)


def _people(form: Form) -> list[str]:
    typed = form.one("people").strip()
    return list(dict.fromkeys(re.split(r"[\s,、，;]+", typed))) if typed else []


def _sheet(page: Page, invitation: Invitation) -> Markup:
    """One sheet in the language of whom it is for."""
    theirs = replace(page, language=parse_language(invitation.person["language"]) or page.language)
    code = segno.make(invitation.url, error="m", micro=False).svg_inline(omitsize=True, dark="#000", light="#fff")
    told = {"person": invitation.person, "url": invitation.url, "expires_at": invitation.expires_at}
    drawn = Markup(code)  # noqa: S704 - paths alone
    return Markup(theirs.text("_invitation.html", {**told, "code": drawn}))  # noqa: S704 - a template has escaped it


async def _form_page(page: Page, form: Form, faults: list[str] | None = None) -> Response:
    rt, person = page.web.rt, page.request.query_params.get("person")
    links, groups = await in_thread(lambda: (access.list_links(rt, person, _LISTED + 1), directory.list_groups(rt)))
    return page.respond(
        "invitations.html",
        422 if faults else 200,
        faults=faults or [],
        groups=in_tree_order(groups),
        chosen=form.all("group"),
        people=form.one("people") or person or "",
        only=form.one("only"),
        lives=LIVES,
        life=form.number("life") or LIVES[0],
        links=links[:_LISTED],
        more=len(links) > _LISTED,
        person=person,
        taken=page.request.query_params.get("taken"),
    )


async def take_back(request: Request) -> Response:
    page, actor = await signed_in(request, Role.MANAGER)
    await read_own_form(request, actor)
    link_id = str(request.path_params["link"])
    taken = "back"
    try:
        await in_thread(lambda: access.revoke_link(page.web.rt, actor, link_id))
    except NotFound:
        pass  # pressed twice
    except Conflict:
        taken = "late"
    return RedirectResponse(f"/people/invitations?taken={taken}", 303)
