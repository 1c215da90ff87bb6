"""Refusals and breakdowns, as pages."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.web.pages.forms import words_of
from alertd.web.pages.sign_in import sign_in_url
from alertd.web.templating import open_page
from alertd.web.translations import marked

_HEADINGS: Final = {
    400: marked("This could not be understood"),
    401: marked("Please sign in"),
    403: marked("This is not allowed"),
    404: marked("This page does not exist"),
    405: marked("This page cannot be used like that"),
    409: marked("This was done before"),
    413: marked("This is too large"),
    415: marked("This could not be understood"),
    422: marked("Something is not right yet"),
    429: marked("Too often"),
    503: marked("Not possible at the moment"),
}
_BREAKDOWN: Final = marked("Something broke on our side")


async def error_page(
    request: Request, status: int, code: str, message: str, details: Sequence[tuple[str, str]] = ()
) -> Response:
    """A refusal in words. Whoever only has to sign in is taken there, and back to what they wanted."""
    is_link = request.url.path.startswith("/sign-in/")
    if status == 401 and request.method == "GET" and not is_link:
        return RedirectResponse(sign_in_url(request), 303)
    page = open_page(request)
    return page.respond(
        "error.html",
        status,
        status=status,
        code=code,
        heading=page.say(_HEADINGS.get(status, _BREAKDOWN)),
        message=page.fault(message),
        details=[(field, page.fault(text)) for field, text in details],
        written=await words_of(request) if status in (401, 403) and request.method == "POST" else "",
    )
