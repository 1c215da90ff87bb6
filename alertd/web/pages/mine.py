"""One's own alerts, and one's own ways to be reached."""

from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from alertd.core.acknowledgement import Way
from alertd.core.errors import Invalid
from alertd.service import reaching, watching
from alertd.service.acknowledging import wish_of
from alertd.service.runtime import Actor, Runtime
from alertd.web.bodies import error_response
from alertd.web.context import in_thread
from alertd.web.pages.forms import given_at, read_own_form
from alertd.web.pages.versions import earlier_of
from alertd.web.security import csrf_token, keep_signed_in, person_mark
from alertd.web.templating import Page, signed_in

_SHOWN: Final = 20
_OLD: Final = timedelta(hours=24)


async def show_mine(request: Request) -> Response:
    page, actor = await signed_in(request)
    rt = page.web.rt
    ways = await in_thread(lambda: reaching.list_ways(rt, actor))
    alerts = await in_thread(lambda: watching.read_inbox(rt, actor, limit=_SHOWN))
    current = [alert for alert in alerts if not _is_old(alert, rt.now())]
    shown = await in_thread(lambda: [_with_versions(rt, alert) for alert in current])
    shown.sort(key=_rank)
    older = [alert for alert in alerts if alert not in current]
    response = _respond(page, "me.html", alerts=shown, older=older, ways=ways)
    await keep_signed_in(request, actor, response)
    return response


def _rank(alert: dict[str, Any]) -> tuple[bool, ...]:
    """What comes first on the page: no test, and no drill, stands above a real alert that is not over."""
    return alert["kind"] in ("test", "self-test"), alert["state"] != "active", alert["drill"]


def _is_old(alert: dict[str, Any], now: datetime) -> bool:
    """Over, and for so long that nobody has to be told so any more: shown as one line, with a page of its own."""
    if alert["state"] == "active":
        return False
    return datetime.fromisoformat(alert["closed_at"] or alert["expires_at"]) < now - _OLD


def _with_versions(rt: Runtime, alert: dict[str, Any]) -> dict[str, Any]:
    earlier, asked_again = earlier_of(rt, alert, alert["acknowledgement"])
    return {**alert, "earlier": earlier, "asked_again": asked_again}


async def show_one(request: Request) -> Response:
    """One of one's alerts by itself: where a form that was refused stands, and what the older ones lead to."""
    page, actor = await signed_in(request)
    return await _one(page, actor, str(request.path_params["alert"]))


async def _one(page: Page, actor: Actor, alert_id: str, status: int = 200, **fault: str) -> Response:
    rt = page.web.rt
    alert = await in_thread(lambda: _with_versions(rt, watching.read_own(rt, actor, alert_id)))
    return _respond(page, "my_alert.html", status, alerts=[alert], older=[], **fault)


def _respond(page: Page, template: str, status: int = 200, /, **context: Any) -> Response:
    zone = getattr(page.web.rt.zone, "key", "")
    return page.respond(template, status, **{"fault": None, "faulty": None, "zone": zone, **context})


async def answer(request: Request) -> Response:
    page, actor = await signed_in(request)
    form = await read_own_form(request, actor)
    alert_id = str(request.path_params["alert"])
    as_json = "application/json" in request.headers.get("accept", "")
    wish = wish_of(
        actor,
        alert_id,
        Way.PAGE,
        answer=form.maybe("answer"),
        comment=form.joined("comment"),
        answered_at=given_at(form, page.web.rt.now()),
        revision=form.number("revision"),
    )
    try:
        kept = await page.web.acknowledgements.submit(wish)
    except Invalid as fault:
        if as_json:
            return error_response(422, fault.code, fault.message, fault.details)
        return await _one(page, actor, alert_id, 422, faulty=alert_id, fault=page.fault(fault.details[0][1]))
    if as_json:
        return JSONResponse({"acknowledged": kept.body})
    return RedirectResponse(f"/me#alert-{alert_id}", 303)


async def read_session(request: Request) -> Response:
    """Who has signed in, as a mark, and what their forms must carry: for what is sent without a page of theirs."""
    page, actor = await signed_in(request)
    return JSONResponse({"csrf": csrf_token(page.web, actor), "person": person_mark(page.web, actor)})
