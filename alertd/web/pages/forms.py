"""Forms as browsers send them."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.requests import Request

from alertd.service.runtime import Actor
from alertd.web.bodies import read_form
from alertd.web.context import web_of
from alertd.web.security import check_csrf, check_origin

CSRF_FIELD = "csrf"


class Form:
    """The fields of a form, which may come several times or not at all. Line breaks are one character each."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = [(name, value.replace("\r\n", "\n").replace("\r", "\n")) for name, value in fields]

    def one(self, name: str, default: str = "") -> str:
        """The first value of `name`."""
        return next((value for field, value in self._fields if field == name), default)

    def all(self, name: str) -> list[str]:
        return [value for field, value in self._fields if field == name]

    def maybe(self, name: str) -> str | None:
        """The first value of `name` without surrounding space; None when it is blank or missing."""
        return self.one(name).strip() or None

    def number(self, name: str) -> int | None:
        """The first value of `name` as a number of at most nine digits; None when it is none."""
        text = self.one(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


async def read_own_form(request: Request, actor: Actor) -> Form:
    """The form of a signed-in page. Raises Forbidden when another site, or another session's page, made it."""
    form = Form(await read_form(request))
    check_origin(request)
    check_csrf(web_of(request), actor, form.one(CSRF_FIELD))
    return form


def local_path(wish: str) -> str:
    """`wish` if it is a path on this site, else the start page: nobody is sent elsewhere after signing in."""
    parts = urlsplit(wish) if wish.isascii() and wish.isprintable() else urlsplit("")
    if parts.scheme or parts.netloc or not parts.path.startswith("/") or parts.path.startswith("//") or "\\" in wish:
        return "/"
    return wish
