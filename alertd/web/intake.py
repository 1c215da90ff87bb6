"""Where sources send what they observe: each with a secret of its own, which is good for nothing else."""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alertd.core.errors import Invalid, Unauthenticated
from alertd.service import polling, sources
from alertd.sources.base import MESSAGE_MAX, Unreadable
from alertd.web.bodies import read_body
from alertd.web.context import in_thread, web_of
from alertd.web.endpoints import Other
from alertd.web.limits import BAD_CREDENTIALS, REQUESTS
from alertd.web.security import bearer_of, client_address

_PATH: Final = "/api/v1/sources/{id}"
_HINT_PATH: Final = "/api/v1/sources/{id}/{secret}"


async def receive(request: Request) -> Response:
    """A message of a source, answered once what it says is kept and decided on."""
    web, source_id = web_of(request), str(request.path_params["id"])
    raw = await _read_from(request, source_id, bearer_of(request.headers) or "")
    try:
        items = await in_thread(lambda: sources.receive(web.rt, source_id, raw))
    except Unreadable as fault:
        raise Invalid([(f"line {fault.line}" if fault.line else "body", fault.message)]) from None
    return JSONResponse({"items": items})


async def hint(request: Request) -> Response:
    """Somebody who can send no header says that a source has something new: it is asked, and no more is believed."""
    web, source_id = web_of(request), str(request.path_params["id"])
    await _read_from(request, source_id, str(request.path_params["secret"]))
    await in_thread(lambda: polling.hint(web.rt, source_id))
    return JSONResponse({"items": []})


async def _read_from(request: Request, source_id: str, secret: str) -> bytes:
    """What a source sends. Raises Unauthenticated, TooMany; HTTPException 413."""
    web = web_of(request)
    try:
        await in_thread(lambda: sources.require_source(web.rt, source_id, secret))
    except Unauthenticated:
        web.limits.spend(BAD_CREDENTIALS, "source", client_address(request))
        raise
    web.limits.spend(REQUESTS, "source", source_id)
    return await read_body(request, MESSAGE_MAX)


OTHERS: Final = (
    Other(
        "POST",
        _PATH,
        "What a source observes: CAP 1.2, or observations as JSON, by its kind; with its secret as the bearer token",
        (
            (200, "what became of each observation"),
            (401, "not this source's secret"),
            (422, "not to be read, and where"),
        ),
        "application/xml",
    ),
    Other(
        "POST",
        _HINT_PATH,
        "A hint that a source has something new, from webhooks that cannot send a header: it is asked at once",
        ((200, "it is asked, if it is one that is asked"), (401, "not this source's secret")),
        "application/json",
    ),
)
routes: Final = [Route(_PATH, receive, methods=["POST"]), Route(_HINT_PATH, hint, methods=["POST"])]
