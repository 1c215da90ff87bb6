"""Where alerts come from by themselves: what waits for a person, what came, the sources, and the rules."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.roles import Role
from alertd.core.rules import REASON_WORDS, Reason
from alertd.service import acting, directory, sources
from alertd.sources.registry import KINDS
from alertd.web.context import in_thread
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.pages.source import source_page
from alertd.web.templating import Page, signed_in
from alertd.web.words import ACTIONS, OBSERVED_STATES

PAGE_SIZE: Final = 50


async def show_sources(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    return await _sources_page(page)


async def make_source(request: Request) -> Response:
    """The secret stands in the answer itself: only its hash is kept, so it cannot be shown a second time."""
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    name, kind = form.one("id").strip(), form.one("kind")
    try:
        made = await in_thread(lambda: sources.make_source(page.web.rt, actor, name, kind))
    except Invalid as refused:
        faults = {field: page.fault(message) for field, message in reversed(refused.details)}
        return await _sources_page(page, name=name, kind=kind, faults=faults)
    except Conflict:
        return await _sources_page(page, name=name, kind=kind, faults={"id": page.say("There is one of this name.")})
    return await source_page(page, made.id, secret=made.secret)


async def renew_secret(request: Request) -> Response:
    page, actor = await signed_in(request, Role.ADMIN)
    await read_own_form(request, actor)
    source_id = str(request.path_params["source"])
    made = await in_thread(lambda: sources.renew_secret(page.web.rt, actor, source_id))
    return await source_page(page, made.id, secret=made.secret)


async def decide(request: Request) -> Response:
    """Send what waits, or stop it; whoever comes second is told what was decided."""
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    number, step = int(request.path_params["observation"]), form.one("step")
    if step not in ("send", "stop"):
        return RedirectResponse("/sources", 303)
    try:
        answer = await in_thread(lambda: acting.settle(page.web.rt, actor, number, send=step == "send"))
    except (Conflict, NotFound):
        return RedirectResponse("/sources?told=late", 303)
    if answer["alert"] is not None:
        return RedirectResponse(f"/alerts/{answer['alert']}", 303)
    return RedirectResponse(f"/sources?told={'stopped' if step == 'stop' else 'waits'}", 303)


async def show_rules(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    return await _rules_page(page, saved="saved" in request.query_params)


async def save_rules(request: Request) -> Response:
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    text, on_version = form.one("text"), form.number("version")
    try:
        await in_thread(lambda: sources.save_book(page.web.rt, actor, text, on_version))
    except Invalid as refused:
        return await _rules_page(page, form=form, faults=[(field, page.fault(told)) for field, told in refused.details])
    except Conflict as refused:
        return await _rules_page(page, form=form, faults=[("", page.fault(refused.message))])
    return RedirectResponse("/rules?saved=1", 303)


async def _sources_page(
    page: Page,
    *,
    name: str = "",
    kind: str = KINDS[0],
    faults: dict[str, str] | None = None,
) -> Response:
    rt = page.web.rt
    before = Form([("before", page.request.query_params.get("before", ""))]).number("before")

    def read() -> dict[str, Any]:
        came = sources.list_observations(rt, before=before, limit=PAGE_SIZE + 1)
        return {
            "waiting": [
                {**each, "fault": page.faults(each["fault"])}
                for each in sources.list_observations(rt, limit=PAGE_SIZE, only_open=True)
            ],
            "came": came[:PAGE_SIZE],
            "older": came[PAGE_SIZE - 1]["observation"] if len(came) > PAGE_SIZE else None,
            "sources": sources.list_sources(rt),
            "groups": {group["id"]: group["name"] for group in directory.list_groups(rt)},
        }

    return page.respond(
        "sources.html",
        422 if faults else 200,
        **await in_thread(read),
        before=before,
        told=page.request.query_params.get("told", ""),
        kinds=KINDS,
        worded=page.fault,
        name=name,
        kind=kind,
        faults=faults or {},
        actions=ACTIONS,
        states=OBSERVED_STATES,
        reasons={reason.value: REASON_WORDS[reason].in_language(page.language) for reason in Reason},
    )


async def _rules_page(
    page: Page, *, form: Form | None = None, faults: list[tuple[str, str]] | None = None, saved: bool = False
) -> Response:
    books = await in_thread(lambda: sources.read_book(page.web.rt))
    return page.respond(
        "rules.html",
        422 if faults else 200,
        text=form.one("text") if form is not None else books[0]["text"],
        version=form.one("version") if form is not None else books[0]["version"],
        books=[book for book in books if book["version"]],
        faults=faults or [],
        saved=saved,
    )
