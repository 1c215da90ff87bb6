"""Saying more about an alert, or that it is over."""

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Conflict, Invalid
from alertd.core.roles import Role
from alertd.service import revising, watching
from alertd.service.revising import Revision
from alertd.web.context import in_thread
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.templating import Page, signed_in
from alertd.web.translations import marked


@dataclass(frozen=True, slots=True)
class Ready:
    """Words that stand ready for calling an alert off: what its button says, and what goes out."""

    label: str
    title: str
    body: str


_NO_VERSION: Final = 0  # on which nothing can be said: the form does not know what it was written upon
_READY: Final = (
    Ready(
        marked("It was a mistake: say that it was a FALSE ALARM"),
        marked("[FALSE ALARM] The last message was a mistake. Nothing to do."),
        marked("The message “%(title)s” was sent by mistake. You need not do anything."),
    ),
    Ready(
        marked("It is over: STAND DOWN"),
        marked("Stand down: it is over"),
        marked("“%(title)s” is over. You need not do what it said any longer."),
    ),
)


async def show_call_off(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    return await _call_off_page(page)


async def call_off(request: Request) -> Response:
    """Says that it is over. Pressing twice is pressing once: it then was called off already."""
    page, _ = await signed_in(request, Role.MANAGER)
    return await _take(page, "cancel")


async def show_update(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    return await _update_page(page)


async def update(request: Request) -> Response:
    """Says more. The form knows what it was written upon, so that pressing twice is pressing once."""
    page, _ = await signed_in(request, Role.MANAGER)
    return await _take(page, "update")


async def _take(page: Page, kind: Any) -> Response:
    assert page.actor is not None
    actor, rt, alert_id = page.actor, page.web.rt, _alert_id(page)
    form = await read_own_form(page.request, actor)
    wanted = Revision(
        kind,
        form.one("title"),
        form.one("body"),
        ask_again=kind == "update" and form.one("ask_again") == "yes",
        on_revision=form.number("revision", _NO_VERSION) if kind == "update" else None,
    )
    shown = _call_off_page if kind == "cancel" else _update_page
    try:
        await in_thread(lambda: revising.revise(rt, actor, alert_id, wanted))
    except Invalid as refused:
        return await shown(page, form, {field: page.fault(message) for field, message in refused.details})
    except Conflict as refused:
        alert = await in_thread(lambda: watching.read_alert(rt, actor, alert_id))
        says_so = alert["title"] == wanted.title.strip() and alert["body"] == wanted.body
        if not says_so and not (kind == "cancel" and alert["state"] == "cancelled"):
            return await shown(page, form, {"form": page.fault(refused.message)})
    return RedirectResponse(f"/alerts/{alert_id}", 303)


def _alert_id(page: Page) -> str:
    return str(page.request.path_params["alert"])


async def _call_off_page(page: Page, form: Form | None = None, faults: dict[str, str] | None = None) -> Response:
    context = await _read(page, "cancel")
    title = context["alert"]["title"]
    ready = [Ready(page.say(each.label), page.say(each.title), page.say(each.body, title=title)) for each in _READY]
    typed = {"title": form.one("title"), "body": form.one("body")} if form else {"title": "", "body": ""}
    return page.respond(
        "call_off.html", 422 if faults else 200, **context, ready=ready, typed=typed, faults=faults or {}
    )


async def _update_page(page: Page, form: Form | None = None, faults: dict[str, str] | None = None) -> Response:
    context = await _read(page, "update")
    alert = context["alert"]
    typed = {
        "title": form.one("title") if form else alert["title"],
        "body": form.one("body") if form else alert["body"],
        "ask_again": form is not None and form.one("ask_again") == "yes",
    }
    return page.respond("update.html", 422 if faults else 200, **context, typed=typed, faults=faults or {})


async def _read(page: Page, kind: Any) -> dict[str, Any]:
    assert page.actor is not None
    actor, rt, alert_id = page.actor, page.web.rt, _alert_id(page)

    def read() -> dict[str, Any]:
        alert = watching.read_alert(rt, actor, alert_id)
        return {"alert": alert, "following": revising.foresee(rt, alert_id, kind)}

    return await in_thread(read)
