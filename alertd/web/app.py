"""Puts the web process together: routes, refusals in their documented form, and what runs beside them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from alertd.core.errors import DiskFull, Fault, StoreUnavailable, TooMany
from alertd.web import api, health, hooks, intake, metrics, pages, sockets
from alertd.web.bodies import STATUS, error_response, status_code_name
from alertd.web.context import Web
from alertd.web.endpoints import openapi, routes
from alertd.web.pages import letter
from alertd.web.security import SecurityHeaders, authentications

log = logging.getLogger(__name__)

_FOR_PROGRAMS: Final = ("/api/", "/hooks/", "/health/", "/metrics", "/openapi.json")
_BUSY_SECONDS: Final = 2
_GZIP_LEVEL: Final = 5  # level 9 takes half as long again and saves one byte in a hundred

Background = Callable[[], Awaitable[None]]


def build_app(web: Web, background: tuple[Background, ...]) -> Starlette:
    """The web application. `background` runs as long as it does; when one of them ends, the process must end too."""
    document = openapi(
        api.ENDPOINTS, (*sockets.OTHERS, *hooks.OTHERS, *intake.OTHERS, *health.OTHERS, *metrics.OTHERS, *letter.OTHERS)
    )

    async def describe(_request: Request) -> Response:
        return JSONResponse(document)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(work()) for work in background]
        try:
            yield
        finally:
            web.hub.close_all()
            await web.acknowledgements.drain()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for channel in (*web.channels.values(), *web.seconds.values()):
                await channel.aclose()

    app = Starlette(
        routes=[
            # First what a whole town asks for at once: paths are tried one after another.
            *letter.routes,
            Route("/openapi.json", describe),
            WebSocketRoute("/api/v1/stream", sockets.stream_endpoint),
            *routes(api.ENDPOINTS),
            *hooks.routes,
            *intake.routes,
            *health.routes,
            *metrics.routes,
            *pages.routes,
        ],
        exception_handlers={
            Fault: _fault,
            HTTPException: _http_exception,
            StoreUnavailable: _unavailable,
            Exception: _internal,
        },
        middleware=[Middleware(SecurityHeaders, https=web.is_https), Middleware(CompressedForBrowsers)],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # an unknown path is told as such, in the documented words
    app.state.web = web
    app.state.authentications = authentications(web.rt)
    app.state.hearing = sockets.Hearing(web.acknowledgements)
    return app


class CompressedForBrowsers:
    """Compresses pages, scripts and styles: phones load them over bad lines.

    What programs ask for stays as it is: small, and much of it at once. That a page's length now depends on what is in
    it gives nobody a form's token to use: the origin and the SameSite cookie are checked as well.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._plain = app
        self._compressed = GZipMiddleware(app, compresslevel=_GZIP_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_for_browsers = scope["type"] == "http" and not scope["path"].startswith(_FOR_PROGRAMS)
        await (self._compressed if is_for_browsers else self._plain)(scope, receive, send)


async def _answer(request: Request, status: int, code: str, message: str, fault: Fault | None = None) -> Response:
    details = fault.details if fault else ()
    retry_after = _BUSY_SECONDS if status == 503 else None
    if isinstance(fault, TooMany | DiskFull):
        retry_after = fault.retry_after
    if request.url.path.startswith(_FOR_PROGRAMS):
        return error_response(status, code, message, details, retry_after)
    response = await pages.error_page(request, status, code, message, details)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


async def _fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, Fault)
    return await _answer(request, STATUS[type(error)], error.code, error.message, error)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code in (404, 405) and detail == HTTPStatus(error.status_code).phrase:
        word = "there is nothing at" if error.status_code == 404 else f"{request.method} is not possible at"
        detail = f"{word} {request.url.path}"
    response = await _answer(request, error.status_code, status_code_name(error.status_code), detail)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


async def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("the store is unavailable: %s", error)
    message = "nothing was done, or it is not known whether it was: try again in a moment"
    return await _answer(request, 503, "unavailable", message)


async def _internal(request: Request, _error: Exception) -> Response:
    # Starlette logs the exception itself after this answer.
    return await _answer(request, 500, "internal", "something went wrong here; it is in the log")
