"""Reminding whoever has not answered, after a last look."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Conflict
from alertd.core.roles import Role
from alertd.service import reminding, watching
from alertd.web.context import in_thread
from alertd.web.pages.forms import read_own_form
from alertd.web.templating import Page, signed_in


async def show_reminder(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    return await _reminder_page(page)


async def remind(request: Request) -> Response:
    """Sends again, once: pressing twice is refused with the words that it was done."""
    page, actor = await signed_in(request, Role.MANAGER)
    await read_own_form(request, actor)
    rt, alert_id = page.web.rt, str(request.path_params["alert"])
    try:
        await in_thread(lambda: reminding.remind(rt, actor, alert_id))
    except Conflict as refused:
        return await _reminder_page(page, page.fault(refused.message))
    return RedirectResponse(f"/alerts/{alert_id}#course", 303)


async def _reminder_page(page: Page, fault: str | None = None) -> Response:
    assert page.actor is not None
    actor, rt, alert_id = page.actor, page.web.rt, str(page.request.path_params["alert"])

    def read() -> dict[str, Any]:
        alert = watching.read_alert(rt, actor, alert_id)
        return {"alert": alert, "summary": watching.summarise(rt, alert_id)}

    context = await in_thread(read)
    return page.respond("remind.html", 409 if fault else 200, **context, channels=rt.channels, fault=fault)
