"""The page behind a personal link: it shows the alert and takes the answer, without signing in."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from alertd.core.errors import Invalid, NotFound
from alertd.service import views
from alertd.service.acknowledging import Acknowledging, Letter, open_letter
from alertd.web.bodies import error_response, read_form
from alertd.web.context import in_thread, web_of
from alertd.web.endpoints import Other
from alertd.web.limits import BAD_CREDENTIALS
from alertd.web.pages.forms import Form
from alertd.web.security import client_address
from alertd.web.templating import Page, open_page

OTHERS: Final = (
    Other(
        "GET", "/a/{token}", "The page behind a link: never acknowledges", ((200, "the alert"), (404, "not our link"))
    ),
    Other(
        "POST",
        "/a/{token}",
        "Acknowledge by link: fields answer and comment, both optional",
        ((200, "kept"), (404, "not our link"), (422, "no such answer")),
        "application/x-www-form-urlencoded",
    ),
)


async def show_letter(request: Request) -> Response:
    """Shows, and never acknowledges: previews, scanners and prefetching read links too."""
    page, letter = await _open(request)
    return _respond(page, letter)


async def answer_letter(request: Request) -> Response:
    """Keeps the answer; the token is the proof, so there is no other field to check."""
    page, letter = await _open(request)
    form = Form(await read_form(request))
    wish = Acknowledging(
        letter.way, recipient=letter.recipient, answer=form.maybe("answer"), comment=form.maybe("comment")
    )
    as_json = "application/json" in request.headers.get("accept", "")
    try:
        kept = await page.web.acknowledgements.submit(wish)
    except Invalid as fault:
        if as_json:
            return error_response(422, fault.code, fault.message, fault.details)
        return _respond(page, letter, status=422, faults=fault.details, comment=form.one("comment"))
    if as_json:
        return JSONResponse({"acknowledged": kept.body})
    _, fresh = await _open(request)
    return _respond(page, fresh, just_now=True)


async def _open(request: Request) -> tuple[Page, Letter]:
    """The letter of the token in the path. Raises NotFound, or TooMany for whoever tries many."""
    web, token = web_of(request), str(request.path_params["token"])
    try:
        letter = await in_thread(lambda: open_letter(web.rt, token))
    except NotFound:
        web.limits.spend(BAD_CREDENTIALS, "letter", client_address(request))
        raise
    return open_page(request, letter.language), letter


def _respond(
    page: Page,
    letter: Letter,
    *,
    status: int = 200,
    faults: tuple[tuple[str, str], ...] = (),
    comment: str = "",
    just_now: bool = False,
) -> Response:
    alert: dict[str, Any] = views.alert(letter.alert)
    return page.respond(
        "letter.html",
        status,
        letter=letter,
        alert=alert,
        mine=letter.acknowledgement,
        over=alert["state"] != "active" or letter.alert["expires_at"] <= page.web.rt.now(),
        action=page.request.url.path,
        faults=[page.fault(message) for _, message in faults],
        comment=comment,
        just_now=just_now,
    )
