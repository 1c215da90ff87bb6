"""Whether this process lives, and whether it can do its part."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alertd.core.errors import StoreUnavailable
from alertd.service.installation import read_health
from alertd.web.context import in_thread, web_of
from alertd.web.endpoints import Other


async def live(_request: Request) -> Response:
    return JSONResponse({"status": "live"})


async def ready(request: Request) -> Response:
    """200 when the store can be written and is at this version, whatever providers and the other roles do."""
    web = web_of(request)
    try:
        health: Mapping[str, Any] = await in_thread(lambda: read_health(web.rt))
    except StoreUnavailable as error:
        return JSONResponse({"status": "not ready", "store": str(error)}, 503, headers={"Retry-After": "2"})
    status = 200 if health["migrated"] else 503
    return JSONResponse(
        {"status": "ready" if status == 200 else "not ready", **health, "connections": web.hub.size}, status
    )


OTHERS: Final = (
    Other("GET", "/health/live", "Whether the process answers", ((200, "it does"),)),
    Other(
        "GET", "/health/ready", "Whether it can do its part", ((200, "it can"), (503, "it cannot; the body says why"))
    ),
)
routes: Final = [Route("/health/live", live), Route("/health/ready", ready)]
