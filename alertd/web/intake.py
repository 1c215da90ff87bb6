"""Where sources send what they observe: each with a secret of its own, which is good for nothing else."""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alertd.core.errors import Invalid, Unauthenticated
from alertd.service import sources
from alertd.sources.base import MESSAGE_MAX, Unreadable
from alertd.web.bodies import read_body
from alertd.web.context import in_thread, web_of
from alertd.web.endpoints import Other
from alertd.web.limits import BAD_CREDENTIALS, REQUESTS
from alertd.web.security import bearer_of, client_address

_PATH: Final = "/api/v1/sources/{id}"


async def receive(request: Request) -> Response:
    """A message of a source, answered once what it says is kept and decided on."""
    web, source_id = web_of(request), str(request.path_params["id"])
    secret = bearer_of(request.headers) or ""
    try:
        await in_thread(lambda: sources.require_source(web.rt, source_id, secret))
    except Unauthenticated:
        web.limits.spend(BAD_CREDENTIALS, "source", client_address(request))
        raise
    web.limits.spend(REQUESTS, "source", source_id)
    raw = await read_body(request, MESSAGE_MAX)
    try:
        items = await in_thread(lambda: sources.receive(web.rt, source_id, raw))
    except Unreadable as fault:
        raise Invalid([(f"line {fault.line}" if fault.line else "body", fault.message)]) from None
    return JSONResponse({"items": items})


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
)
routes: Final = [Route(_PATH, receive, methods=["POST"])]
