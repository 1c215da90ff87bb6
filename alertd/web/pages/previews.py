"""What a post would look like on each way, and the small questions that the form asks while it is being written."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from alertd.core.errors import Invalid
from alertd.core.message import LINK
from alertd.core.roles import Role
from alertd.service import directory, posting, views
from alertd.service.posting import Draft, Reach
from alertd.web.context import in_thread
from alertd.web.pages.forms import read_own_form
from alertd.web.pages.post_fields import Fields
from alertd.web.pages.timetable import fold
from alertd.web.templating import Page, signed_in

_FOUND_MAX: Final = 8  # people who are offered for a few letters of a name
_KEYS_MAX: Final = 20
_MAIL_LINES: Final = 6


def looks(page: Page, draft: Draft, languages: Sequence[str], channels: Collection[str]) -> list[dict[str, Any]]:
    """What phones and mailboxes will show, in each of these languages, the reader's own first."""
    return [
        _look(page, draft, language, channels) for language in sorted(languages, key=lambda code: code != page.language)
    ]


def _look(page: Page, draft: Draft, language: str, channels: Collection[str]) -> dict[str, Any]:
    rt = page.web.rt
    look: dict[str, Any] = {"language": language, "push": None, "sms": None, "mail": None}
    if "webpush" in channels:
        push = posting.preview(rt, draft, language, "webpush")
        look["push"] = {"title": push.title, "body": push.text, "buttons": [button.label for button in push.buttons]}
    if "sms" in channels:
        short = posting.preview(rt, draft, language, "sms")
        characters, parts = views.short_length(rt, short)
        text = short.text.replace(LINK, f"{rt.public_url}/a/…")
        look["sms"] = {"text": text, "characters": characters, "parts": parts}
    if "email" in channels:
        mail = posting.preview(rt, draft, language, "email")
        lines = [line for line in mail.text.split("\n")[1:] if line.strip()]
        look["mail"] = {"subject": mail.title, "lines": lines[:_MAIL_LINES]}
    return look


def channels_of(reach: Reach) -> set[str]:
    """The channels that any step of the plan uses."""
    return {channel for forecast in reach.outlook.forecasts for channel in forecast.channels}


async def preview(request: Request) -> Response:
    """What the form comes to as it stands: `people`, in words, and `html`, what to show beside it."""
    page, actor = await signed_in(request, Role.MANAGER)
    fields = Fields.read(await read_own_form(request, actor))
    return JSONResponse(await in_thread(lambda: _preview(page, fields)))


def _preview(page: Page, fields: Fields) -> dict[str, str]:
    rt, draft = page.web.rt, fields.draft()
    if not draft.urgent:
        count = posting.count_audience(rt, draft.audience)
        return {"people": page.text("_people_count.html", {"count": count}), "html": ""}
    try:
        reach = posting.glance(rt, draft)
    except Invalid as refused:
        faults = [page.fault(message) for _, message in refused.details]
        return {"people": "", "html": page.text("_preview.html", {"faults": faults})}
    shown: dict[str, Any] = {
        "faults": [],
        "previews": looks(page, draft, list(reach.segments_each) or [page.language], channels_of(reach)),
        "lines": fold(reach.outlook.forecasts) if reach.recipients else [],
        "kind": fields.kind,
    }
    people = page.text("_people_count.html", {"count": reach.recipients})
    return {"people": people, "html": page.text("_preview.html", shown)}


async def find_people(request: Request) -> Response:
    """People whose name or id holds `q`: `people`, each with `id` and `name`."""
    page, _ = await signed_in(request, Role.MANAGER)
    words = request.query_params.get("q", "")[: directory.NAME_MAX]
    found = await in_thread(lambda: directory.find_people(page.web.rt, words, _FOUND_MAX))
    return JSONResponse({"people": found})


async def posted(request: Request) -> Response:
    """Which of the forms with these keys were `posted`: what is kept of them in the browser is needed no more."""
    page, actor = await signed_in(request, Role.MANAGER)
    keys = request.query_params.getlist("key")[:_KEYS_MAX]
    known = await in_thread(lambda: posting.posted_under(page.web.rt, actor, keys))
    return JSONResponse({"posted": sorted(known)})
