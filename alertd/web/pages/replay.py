"""Rules played over what came on past days: totals, a calendar, and what would have gone out."""

from calendar import Calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any, Final

from babel.dates import format_date, get_day_names
from starlette.requests import Request
from starlette.responses import Response

from alertd.core.alert import Language
from alertd.core.errors import Invalid
from alertd.core.replay import NEEDLESS_WORDS, NIGHT_FROM, NIGHT_TO, TWICE_WORDS
from alertd.core.roles import Role
from alertd.core.rules import REASON_WORDS
from alertd.service import replaying
from alertd.service.runtime import Actor
from alertd.web.context import in_thread
from alertd.web.limits import REPLAYS
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.templating import Page, signed_in

DAYS_MAX: Final = 366
LISTED: Final = 300  # alerts and drafts
_FIRST_DAY: Final[Mapping[Language, int]] = {"ja": 6, "en": 0}  # of a week, as calendars are printed; 0 is Monday
_MONTH: Final[Mapping[Language, str]] = {"ja": "y年M月", "en": "MMMM y"}
_TALL: Final = 60  # what the bar of the hour with the most alerts measures

Week = Sequence["Cell | None"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A day of a calendar. `tally` None: nothing went out; `is_listed`: it stands below."""

    day: date
    is_within: bool
    tally: Mapping[str, Any] | None
    is_listed: bool


async def show_replay(request: Request) -> Response:
    """The rules in force."""
    page, actor = await signed_in(request, Role.MANAGER)
    return await _replay_page(page, actor, Form(request.query_params.multi_items()), None)


async def try_rules(request: Request) -> Response:
    """Rules as somebody is writing them: they come back to be written on, and nothing is saved."""
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    return await _replay_page(page, actor, form, form.one("text"))


async def _replay_page(page: Page, actor: Actor, form: Form, text: str | None) -> Response:
    rt, given = page.web.rt, {name: form.one(name) for name in ("from", "to")}
    page.web.limits.spend(REPLAYS, actor.person_id)
    faults: list[tuple[str, str]] = []
    report = None
    try:
        days = replaying.span(rt, given["from"], given["to"], DAYS_MAX)
        given = {"from": days[0].isoformat(), "to": days[1].isoformat()}
        report = await in_thread(lambda: replaying.replay(rt, days, text=text, most=replaying.AT_ONCE))
    except Invalid as refused:
        faults = [(field, page.fault(told)) for field, told in refused.details]
    return page.respond(
        "replay.html",
        422 if faults else 200,
        given=given,
        text=text,
        version=form.one("version"),
        faults=faults,
        report=report,
        worded=page.faults,
        **_shown(report, page.language) if report is not None else {},
    )


def _shown(report: Mapping[str, Any], language: Language) -> dict[str, Any]:
    listed = sorted(report["items"][:LISTED], key=lambda item: item["at"])
    tallest = max(report["hours"]) or 1
    return {
        "months": _months(report, {item["date"] for item in listed}, language),
        "weekdays": _weekdays(language),
        "days": [(date.fromisoformat(day), list(items)) for day, items in groupby(listed, lambda item: item["date"])],
        "unlisted": report["left_out"] + len(report["items"]) - len(listed),
        "bars": [_TALL * count // tallest for count in report["hours"]],
        "tall": _TALL,
        "night": (NIGHT_FROM, NIGHT_TO),
        "reasons": {reason.value: words.in_language(language) for reason, words in REASON_WORDS.items()},
        "why_twice": {why.value: words.in_language(language) for why, words in TWICE_WORDS.items()},
        "why_needless": {why.value: words.in_language(language) for why, words in NEEDLESS_WORDS.items()},
        "day_name": lambda day: format_date(day, "M月d日(E)" if language == "ja" else "EEE d MMM", locale=language),
        "most": replaying.AT_ONCE,
    }


def _months(report: Mapping[str, Any], listed: set[str], language: Language) -> list[tuple[str, list[Week]]]:
    """Each month that the days touch, by name, in weeks."""
    first, last = date.fromisoformat(report["from"]), date.fromisoformat(report["to"])
    tallies = {day["date"]: day for day in report["days"]}
    calendar, months = Calendar(_FIRST_DAY[language]), []
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        weeks: list[Week] = [
            [_cell(day, first, last, tallies, listed) if day.month == month else None for day in week]
            for week in calendar.monthdatescalendar(year, month)
        ]
        shown = [week for week in weeks if any(cell is not None and cell.is_within for cell in week)]
        months.append((format_date(date(year, month, 1), _MONTH[language], locale=language), shown))
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return months


def _cell(day: date, first: date, last: date, tallies: Mapping[str, Any], listed: set[str]) -> Cell:
    return Cell(day, first <= day <= last, tallies.get(day.isoformat()), day.isoformat() in listed)


def _weekdays(language: Language) -> list[tuple[str, str]]:
    """The days of a week, each short and whole."""
    short, whole = (get_day_names(width, locale=language) for width in ("abbreviated", "wide"))
    return [(short[day], whole[day]) for day in Calendar(_FIRST_DAY[language]).iterweekdays()]
