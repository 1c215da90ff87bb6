"""What browsers load besides pages: static files, the service worker, the manifest."""

from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from alertd.web.templating import STATIC_DIR, open_page, static_url

_KEPT: Final = "public, max-age=604800"  # addresses carry a version: see static_url


class KeptFiles(StaticFiles):
    """Static files that browsers may keep for a week."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = _KEPT
        return response


async def service_worker(request: Request) -> Response:
    """At the root, because a worker's reach is the path it is served from."""
    return FileResponse(
        STATIC_DIR / "service-worker.js", media_type="text/javascript", headers={"Cache-Control": "no-cache"}
    )


async def favicon(request: Request) -> Response:
    """Browsers ask for this name by themselves."""
    return FileResponse(STATIC_DIR / "icon-192.png", headers={"Cache-Control": _KEPT})


async def manifest(request: Request) -> Response:
    """What the app is called on a home screen."""
    page = open_page(request)
    icons = [
        {"src": static_url(f"icon-{size}.png"), "sizes": f"{size}x{size}", "type": "image/png", "purpose": "any"}
        for size in (192, 512)
    ]
    icons.append(
        {
            "src": static_url("icon-maskable-512.png"),
            "sizes": "512x512",
            "type": "image/png",
            "purpose": "maskable",
        }
    )
    document = {
        "id": "/",
        "name": page.web.rt.organisation or "alertd",
        "short_name": "alertd",
        "description": page.say("Urgent messages, and your answer to them"),
        "lang": page.language,
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#12355b",
        "icons": icons,
    }
    return JSONResponse(document, media_type="application/manifest+json", headers={"Cache-Control": "no-cache"})
