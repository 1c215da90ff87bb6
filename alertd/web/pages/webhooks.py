"""Which other systems are told of alerts: webhooks made, looked at, tried and ended."""

from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core import webhook
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.roles import Role
from alertd.service import webhooks
from alertd.web.context import in_thread
from alertd.web.pages.forms import read_own_form
from alertd.web.templating import Page, signed_in
from alertd.web.words import TOLD


async def show_webhooks(request: Request) -> Response:
    page, _ = await signed_in(request, Role.ADMIN)
    return await _webhooks_page(page)


async def make_webhook(request: Request) -> Response:
    """The secret stands in the answer itself, and is shown no second time."""
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    typed: dict[str, Any] = {"id": form.one("id").strip(), "url": form.one("url").strip(), "types": form.all("types")}
    try:
        made = await in_thread(
            lambda: webhooks.make_webhook(page.web.rt, actor, typed["id"], typed["url"], typed["types"])
        )
    except Invalid as refused:
        faults = {field: page.fault(message) for field, message in reversed(refused.details)}
        return await _webhooks_page(page, typed=typed, faults=faults)
    except Conflict as refused:
        return await _webhooks_page(page, typed=typed, faults={"id": page.fault(refused.message)})
    return await _webhooks_page(page, made=made)


async def act(request: Request) -> Response:
    """Try a webhook, give it another secret, or delete it; what is gone already stays gone."""
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    rt, webhook_id, step = page.web.rt, str(request.path_params["webhook"]), form.one("step")
    if step == "secret":
        made = await in_thread(lambda: webhooks.renew_secret(rt, actor, webhook_id))
        return await _webhooks_page(page, made=made, renewed=True)
    if step == "ping":
        await in_thread(lambda: webhooks.ping(rt, actor, webhook_id))
        return RedirectResponse("/webhooks?told=ping", 303)
    if step == "delete":
        with suppress(NotFound):  # pressed twice
            await in_thread(lambda: webhooks.delete_webhook(rt, actor, webhook_id))
        return RedirectResponse("/webhooks?told=deleted", 303)
    return RedirectResponse("/webhooks", 303)


async def _webhooks_page(
    page: Page,
    *,
    typed: dict[str, Any] | None = None,
    faults: dict[str, str] | None = None,
    made: webhooks.MadeWebhook | None = None,
    renewed: bool = False,
) -> Response:
    return page.respond(
        "webhooks.html",
        422 if faults else 200,
        webhooks=await in_thread(lambda: webhooks.list_webhooks(page.web.rt)),
        typed=typed or {"id": "", "url": "", "types": webhook.TYPES},
        types=TOLD,
        faults=faults or {},
        made=made,
        renewed=renewed,
        told=page.request.query_params.get("told", ""),
    )
