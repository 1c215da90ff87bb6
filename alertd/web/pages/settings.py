"""A person's own settings: when not to be disturbed, the daily test, the password."""

import unicodedata
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Invalid
from alertd.service import access, directory
from alertd.service.runtime import Actor
from alertd.web.context import in_thread
from alertd.web.limits import SIGN_INS
from alertd.web.pages.forms import read_own_form
from alertd.web.templating import Page, signed_in
from alertd.web.translations import marked

_SAVED: Final = {
    "password": marked("The new password is saved."),
    "quiet": marked("Your quiet hours are saved."),
    "self-test": marked("Your choice about the daily test is saved."),
}


async def show_settings(request: Request) -> Response:
    page, actor = await signed_in(request)
    return await _settings(page, actor, saved=_SAVED.get(request.query_params.get("saved", "")))


async def _settings(
    page: Page,
    actor: Actor,
    *,
    faults: dict[str, str] | None = None,
    saved: str | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    rt = page.web.rt
    own = await in_thread(lambda: directory.own_settings(rt, actor))
    return page.respond(
        "settings.html",
        422 if faults else 200,
        faults=faults or {},
        saved=page.say(saved) if saved else None,
        has_one=await in_thread(lambda: access.has_password(rt, actor)),
        quiet=typed or own["quiet_hours"] or {"from": "", "to": ""},
        has_quiet=own["quiet_hours"] is not None,
        takes_self_test=own["takes_self_test"],
        self_test=rt.self_test,
    )


async def change_password(request: Request) -> Response:
    page, actor = await signed_in(request)
    form = await read_own_form(request, actor)
    password, again, current = form.one("password"), form.one("again"), form.one("current")
    if password != again:
        return await _settings(page, actor, faults={"password": page.say("The two passwords differ.")})
    page.web.limits.spend(SIGN_INS, "password", actor.person_id)
    try:
        await in_thread(lambda: access.change_password(page.web.rt, actor, current, password))
    except Invalid as fault:
        return await _settings(page, actor, faults={"password": page.fault(fault.details[0][1])})
    return RedirectResponse("/me/settings?saved=password", 303)


async def change_quiet_hours(request: Request) -> Response:
    """Two times, or none: whoever empties both, or presses the button for it, has no quiet hours."""
    page, actor = await signed_in(request)
    form = await read_own_form(request, actor)
    typed = {name: unicodedata.normalize("NFKC", form.one(name)).strip() for name in ("from", "to")}
    none = form.one("step") == "none" or not any(typed.values())
    quiet = () if none else (_padded(typed["from"]), _padded(typed["to"]))
    try:
        await in_thread(lambda: directory.set_quiet_hours(page.web.rt, actor, quiet))
    except Invalid as fault:
        return await _settings(page, actor, faults={"quiet": page.fault(fault.details[0][1])}, typed=typed)
    return RedirectResponse("/me/settings?saved=quiet", 303)


def _padded(typed: str) -> str:
    """7:00 is meant as 07:00."""
    return typed.rjust(5, "0") if len(typed) == len("7:00") else typed


async def change_self_test(request: Request) -> Response:
    page, actor = await signed_in(request)
    form = await read_own_form(request, actor)
    takes = form.one("takes") == "yes"
    await in_thread(lambda: directory.take_self_test(page.web.rt, actor, takes))
    return RedirectResponse("/me/settings?saved=self-test", 303)
