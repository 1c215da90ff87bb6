"""One's own alerts, and one's own ways to be reached."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from alertd.core.acknowledgement import Way
from alertd.core.errors import Invalid
from alertd.service import reaching, watching
from alertd.service.acknowledging import wish_of
from alertd.service.runtime import Actor
from alertd.web import words
from alertd.web.context import in_thread
from alertd.web.pages.forms import read_own_form
from alertd.web.pages.versions import earlier_of
from alertd.web.security import csrf_token
from alertd.web.templating import Page, signed_in

_SHOWN: Final = 20


async def show_mine(request: Request) -> Response:
    page, actor = await signed_in(request)
    ways = await in_thread(lambda: reaching.list_ways(page.web.rt, actor))
    return page.respond("me.html", **await _inbox(page, actor), ways=ways)


async def show_inbox(request: Request) -> Response:
    """The list of one's alerts alone, for the page that is already open."""
    page, actor = await signed_in(request)
    return page.respond("_inbox.html", **await _inbox(page, actor))


async def _inbox(page: Page, actor: Actor) -> dict[str, Any]:
    rt = page.web.rt

    def read() -> list[dict[str, Any]]:
        shown = []
        for alert in watching.read_inbox(rt, actor, limit=_SHOWN):
            earlier, asked_again = earlier_of(rt, alert, alert["acknowledgement"])
            shown.append({**alert, "earlier": earlier, "asked_again": asked_again})
        return shown

    return {"alerts": await in_thread(read), "fault": None, "faulty": None}


async def answer(request: Request) -> Response:
    page, actor = await signed_in(request)
    form = await read_own_form(request, actor)
    alert_id = str(request.path_params["alert"])
    wish = wish_of(
        actor,
        alert_id,
        Way.PAGE,
        answer=form.maybe("answer"),
        comment=form.maybe("comment"),
        revision=form.number("revision"),
    )
    try:
        await page.web.acknowledgements.submit(wish)
    except Invalid as fault:
        ways = await in_thread(lambda: reaching.list_ways(page.web.rt, actor))
        shown = {**await _inbox(page, actor), "faulty": alert_id, "fault": page.fault(fault.details[0][1])}
        return page.respond("me.html", 422, **shown, ways=ways)
    return RedirectResponse(f"/me#alert-{alert_id}", 303)


async def read_test(request: Request) -> Response:
    """What became of a test message to oneself, in words."""
    page, actor = await signed_in(request)
    rows = await in_thread(lambda: reaching.read_test(page.web.rt, actor, str(request.path_params["alert"])))
    items = [
        {
            "channel": page.say(words.CHANNELS.get(channel, channel)),
            "state": state,
            "said": page.say(words.STATES[state]),
            "reason": words.explain(reason, channel, page.language),
            "raw": reason,
        }
        for channel, state, reason in ((row["channel"], row["state"], row["reason"]) for row in rows)
    ]
    return JSONResponse({"items": items})


async def read_session(request: Request) -> Response:
    """What the service worker must send along when the browser gives it a new push address."""
    page, actor = await signed_in(request)
    return JSONResponse({"csrf": csrf_token(page.web, actor)})
