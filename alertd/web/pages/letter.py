"""The page behind a personal link: it shows the alert and takes the answer, without signing in."""

import logging
import re
from typing import Any, Final

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alertd.core.errors import Invalid, NotFound, StoreUnavailable
from alertd.service import views
from alertd.service.acknowledging import Acknowledging, Letter, open_letter, read_link
from alertd.service.reaching import record_display, record_fetch, record_open
from alertd.web.bodies import error_response
from alertd.web.context import Web, in_thread, web_of
from alertd.web.endpoints import Other
from alertd.web.limits import BAD_CREDENTIALS
from alertd.web.pages.forms import form_of, given_at
from alertd.web.pages.versions import earlier_of
from alertd.web.security import client_address
from alertd.web.templating import Page, open_page

log = logging.getLogger(__name__)

OTHERS: Final = (
    Other(
        "GET", "/a/{token}", "The page behind a link: never acknowledges", ((200, "the alert"), (404, "not our link"))
    ),
    Other(
        "POST",
        "/a/{token}",
        "Acknowledge by link: fields answer, comment and waited (seconds since it was given), all optional",
        ((200, "kept"), (404, "not our link"), (422, "no such answer")),
        "application/x-www-form-urlencoded",
    ),
    Other(
        "POST",
        "/a/{token}/opened",
        "The page's script: a person looks at it; programs are told apart and do not count",
        ((204, "noted, or told apart"), (404, "not our link")),
    ),
    Other(
        "POST",
        "/b/{token}",
        "A phone's service worker: it shows the message",
        ((204, "noted"), (404, "not our beacon")),
    ),
)


async def show_letter(request: Request) -> Response:
    """Shows, and never acknowledges: previews, scanners and prefetching read links too."""
    page, letter = await _open(request)
    answer = await _respond(page, letter)
    if request.method == "GET":
        answer.background = BackgroundTask(_keep_fetch, page.web, letter)
    return answer


async def _keep_fetch(web: Web, letter: Letter) -> None:
    """After the page is out: nobody waits for a note that proves nothing, and without the store it is left out."""
    try:
        await in_thread(lambda: record_fetch(web.rt, letter))
    except StoreUnavailable as error:
        log.info("a fetched link is not noted: %s", error)


# Programs that follow links: previews, scanners, crawlers, and browsers that are driven.
_MACHINES: Final = re.compile(
    r"bot\b|crawl|spider|preview|scan|slurp|facebookexternalhit|headless|phantom|python|curl|wget|java/|go-http"
    r"|safelinks|barracuda|proofpoint|mimecast|trendmicro|symantec|fireeye",
    re.IGNORECASE,
)


async def open_by_person(request: Request) -> Response:
    """The page's script says that a person looks at it: a touch, a key, or two seconds in front of the eyes."""
    page, letter = await _open(request)
    is_machine = _MACHINES.search(request.headers.get("user-agent", "")) or "sec-purpose" in request.headers
    if not is_machine:
        await in_thread(lambda: record_open(page.web.rt, letter))
    return Response(status_code=204)


async def show_beacon(request: Request) -> Response:
    """A phone's service worker says that it shows a message."""
    web, token = web_of(request), str(request.path_params["token"])
    try:
        await in_thread(lambda: record_display(web.rt, token))
    except NotFound:
        web.limits.spend(BAD_CREDENTIALS, "letter", client_address(request))
        raise
    return Response(status_code=204)


async def answer_letter(request: Request) -> Response:
    """Keeps the answer; the token is the proof, so there is no other field to check.

    A whole town answers at once: until the answer is kept nothing is read that the group commit does not read for all.
    """
    web, token = web_of(request), str(request.path_params["token"])
    form = await form_of(request)
    as_json = "application/json" in request.headers.get("accept", "")
    try:
        recipient, way = read_link(web.rt, token)
        wish = Acknowledging(
            way,
            recipient=recipient,
            answer=form.maybe("answer"),
            comment=form.joined("comment"),
            answered_at=given_at(form, web.rt.now()),
            revision=form.number("revision"),
        )
        kept = await web.acknowledgements.submit(wish)
    except NotFound:
        web.limits.spend(BAD_CREDENTIALS, "letter", client_address(request))
        raise
    except Invalid as fault:
        if as_json:
            return error_response(422, fault.code, fault.message, fault.details)
        page, letter = await _open(request)
        return await _respond(page, letter, status=422, faults=fault.details, comment=form.one("comment"))
    if as_json:
        return JSONResponse({"acknowledged": kept.body})
    page, letter = await _open(request)
    return await _respond(page, letter, just_now=True)


async def _open(request: Request) -> tuple[Page, Letter]:
    """The letter of the token in the path. Raises NotFound, or TooMany for whoever tries many."""
    web, token = web_of(request), str(request.path_params["token"])
    try:
        letter = await in_thread(lambda: open_letter(web.rt, token))
    except NotFound:
        web.limits.spend(BAD_CREDENTIALS, "letter", client_address(request))
        raise
    return open_page(request, letter.language), letter


async def _respond(
    page: Page,
    letter: Letter,
    *,
    status: int = 200,
    faults: tuple[tuple[str, str], ...] = (),
    comment: str = "",
    just_now: bool = False,
) -> Response:
    alert: dict[str, Any] = views.alert(letter.alert)
    earlier, asked_again = await in_thread(lambda: earlier_of(page.web.rt, alert, letter.acknowledgement))
    return page.respond(
        "letter.html",
        status,
        letter=letter,
        alert=alert,
        mine=letter.acknowledgement,
        earlier=earlier,
        asked_again=asked_again,
        over=alert["state"] != "active" or letter.alert["expires_at"] <= page.web.rt.now(),
        action=page.request.url.path,
        faults=[page.fault(message) for _, message in faults],
        comment=comment,
        just_now=just_now,
    )


routes: Final = [
    Route("/a/{token}", answer_letter, methods=["POST"]),
    Route("/a/{token}", show_letter, methods=["GET"]),
    Route("/a/{token}/opened", open_by_person, methods=["POST"]),
    Route("/b/{token}", show_beacon, methods=["POST"]),
]
