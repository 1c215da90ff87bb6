"""Forms as browsers send them."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from alertd.core.errors import Forbidden
from alertd.service.runtime import Actor
from alertd.web.bodies import read_form, read_upload
from alertd.web.context import web_of
from alertd.web.security import check_csrf, check_origin

CSRF_FIELD = "csrf"
FILL: Final = "fill-"  # before the names of a template's fields
_WORDS: Final = ("name", "title", "body", "question", "choices", "comment", "text")


class Form:
    """The fields of a form, which may come several times or not at all. Line breaks are one character each."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = [(name, value.replace("\r\n", "\n").replace("\r", "\n")) for name, value in fields]

    def one(self, name: str, default: str = "") -> str:
        """The first value of `name`."""
        return next((value for field, value in self._fields if field == name), default)

    def all(self, name: str) -> list[str]:
        return [value for field, value in self._fields if field == name]

    def behind(self, prefix: str) -> list[tuple[str, str]]:
        """The fields whose names begin with `prefix`, without it."""
        return [(field.removeprefix(prefix), value) for field, value in self._fields if field.startswith(prefix)]

    def maybe(self, name: str) -> str | None:
        """The first value of `name` without surrounding space; None when it is blank or missing."""
        return self.one(name).strip() or None

    def joined(self, name: str) -> str | None:
        """All values of `name` that are not blank, a line each; None when there is none."""
        return "\n".join(value.strip() for value in self.all(name) if value.strip()) or None

    def number(self, name: str, otherwise: int | None = None) -> int | None:
        """The first value of `name` as a number of at most nine digits; `otherwise` when it is none."""
        text = self.one(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise


async def form_of(request: Request) -> Form:
    """The form that was sent, read once: the page of an error asks for it again. HTTPException as `read_form`."""
    if not hasattr(request.state, "form"):
        request.state.form = Form(await read_form(request))
    form: Form = request.state.form
    return form


async def read_own_form(request: Request, actor: Actor) -> Form:
    """The form of a signed-in page. Raises Forbidden when another site, or another session's page, made it."""
    form = await form_of(request)
    _check(request, actor, form)
    return form


async def read_own_upload(request: Request, actor: Actor, most: int) -> tuple[Form, str, bytes]:
    """The same of a form with a file of at most `most` bytes: also its name, and what is in it."""
    fields, (name, content) = await read_upload(request, most)
    form = request.state.form = Form(fields)
    _check(request, actor, form)
    return form, name, content


async def words_of(request: Request) -> str:
    """What somebody has composed in a form that is refused, for them to keep: nothing that another site has sent, and
    nothing that is secret.
    """
    try:
        check_origin(request)
        form = await form_of(request)
    except (Forbidden, HTTPException):
        return ""
    texts = [form.one(name) for name in _WORDS] + [value for _, value in form.behind(FILL)]
    return "\n\n".join(text for text in texts if text.strip())


def _check(request: Request, actor: Actor, form: Form) -> None:
    check_origin(request)
    check_csrf(web_of(request), actor, form.one(CSRF_FIELD))


def given_at(form: Form, now: datetime) -> datetime | None:
    """When an answer was given that waited on a phone for a line; None: just now.

    Phones say how long ago that was, in the field `waited` in whole seconds, and not when: their clocks may be wrong,
    and two readings of the same wrong clock are still that far apart.
    """
    waited = form.number("waited")
    return now - timedelta(seconds=waited) if waited else None


def device_of(request: Request) -> str:
    """What kind of device asks: "iphone", "android" or "computer". (An iPad says that it is a computer.)"""
    agent = request.headers.get("user-agent", "")
    if "iPhone" in agent or "iPad" in agent:
        return "iphone"
    return "android" if "Android" in agent else "computer"


def local_path(wish: str) -> str:
    """`wish` if it is a path on this site, else the start page: nobody is sent elsewhere after signing in."""
    parts = urlsplit(wish) if wish.isascii() and wish.isprintable() else urlsplit("")
    if parts.scheme or parts.netloc or not parts.path.startswith("/") or parts.path.startswith("//") or "\\" in wish:
        return "/"
    return wish
