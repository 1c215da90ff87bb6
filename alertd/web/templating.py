"""Pages as HTML: one Jinja environment per language, and what every page shows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import nh3
from babel.dates import format_datetime
from babel.numbers import format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from alertd.core.alert import LANGUAGES, Language, headline
from alertd.core.message import severity_word
from alertd.core.roles import Role
from alertd.service.runtime import Actor
from alertd.web import words
from alertd.web.context import Web, web_of
from alertd.web.security import csrf_token, person_mark, require
from alertd.web.translations import TRANSLATIONS, accepted_language, parse_language

STATIC_DIR: Final = Path(__file__).parent / "static"
_TEMPLATES_DIR: Final = Path(__file__).parent / "templates"

LANGUAGE_COOKIE: Final = "lang"
PERSON_HEADER: Final = "Alertd-Person"  # whose page it is, for the service worker, which keeps no page for two people
_COOKIE_LIFE: Final = 365 * 24 * 3600
_LANGUAGE_NAMES: Final[dict[Language, str]] = {"ja": "日本語", "en": "English"}

_PATTERNS: Final[dict[Language, dict[str, str]]] = {
    "ja": {
        "full": "y年M月d日(E) H:mm",
        "exact": "M月d日(E) H:mm:ss",
        "clock": "H:mm:ss",
        "minute": "HH:mm",
        "day": "M月d日 HH:mm",
        "date": "M月d日(E)",
    },
    "en": {
        "full": "EEE d MMM y, HH:mm",
        "exact": "EEE d MMM, HH:mm:ss",
        "clock": "HH:mm:ss",
        "minute": "HH:mm",
        "day": "d MMM HH:mm",
        "date": "EEE d MMM",
    },
}

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}).enable("table")
# No images: one from outside would tell its server who reads the post, and the policy for browsers forbids it anyway.
_TAGS: Final = {
    *("a", "blockquote", "br", "code", "em", "hr", "li", "ol", "p", "pre", "strong", "ul"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}


def markdown(text: str) -> Markup:
    """A post's body as HTML that can do nothing: raw HTML shown as text, then only harmless tags kept."""
    html = nh3.clean(
        _MARKDOWN.render(text),
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(html)  # noqa: S704 - nh3 has just made it safe


@cache
def _version(name: str) -> str:
    return hashlib.sha256((STATIC_DIR / name).read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """Where a static file is served; another address when its content changes, so that it can be kept for long."""
    return f"/static/{name}?v={_version(name)}"


def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES_DIR),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    translation = TRANSLATIONS[language]
    install: Any = environment.install_gettext_translations  # type: ignore[attr-defined]
    install(translation, newstyle=True)

    # As jinja's own, which puts the sentence together anew at each of the hundreds of places of a long page.
    kept: dict[str, Markup] = {}

    def translate(message: str, **values: object) -> Markup:
        if message not in kept:
            kept[message] = Markup(translation.gettext(message))  # noqa: S704 - a sentence of ours; values are escaped
        return kept[message] % values if values else kept[message]

    environment.globals.update(
        _=translate,
        language=language,
        language_names=_LANGUAGE_NAMES,
        static_url=static_url,
        Role=Role,
        ADDRESSES=words.ADDRESSES,
        CHANNELS=words.CHANNELS,
        STATES=words.STATES,
        WAYS=words.WAYS,
        ROLES=words.ROLES,
        SHORT_CHANNELS=words.SHORT_CHANNELS,
        RUNGS=words.RUNGS,
        UNKNOWABLE=words.UNKNOWABLE,
        SOURCES=words.SOURCES,
        KINDS=words.KINDS,
        HAZARDS=words.HAZARDS,
    )
    environment.filters.update(
        markdown=markdown,
        number=lambda value: format_decimal(value, locale=language),
        severity_word=lambda severity: severity_word(severity, language),
        said=lambda message: translation.gettext(message),
        cause=lambda reason, channel: words.explain(reason, channel, language),
        headline=lambda alert: headline(
            alert["title"], drill=alert["drill"], language=language, revision_kind=alert["revision_kind"]
        ),
    )
    return environment


_ENVIRONMENTS: Final = {language: _environment(language) for language in LANGUAGES}


# A page of people says the same few moments hundreds of times, and each takes as long to word as a line of the page.
@lru_cache(maxsize=8_192)
def _time_element(when: datetime, style: str, zone: tzinfo, language: Language) -> Markup:
    shown = format_datetime(when, _PATTERNS[language][style], tzinfo=zone, locale=language)
    return Markup('<time datetime="{}">{}</time>').format(when.isoformat(), shown)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer in the making: to whom, and in which language."""

    request: Request
    web: Web
    actor: Actor | None
    language: Language

    def say(self, message: str, **values: object) -> str:
        text = str(TRANSLATIONS[self.language].gettext(message))
        return text % values if values else text

    def fault(self, message: str) -> str:
        """A Fault's message in the page's language."""
        return words.translate(message, self.language)

    def faults(self, told: str | None) -> str:
        """What a use case refused for, several faults in one, without the names that programs give to fields."""
        parts = [part.partition(": ") for part in (told or "").split("; ")]
        return " ".join(self.fault(message or whole) for whole, _, message in parts)

    def moment(self, at: datetime | str | None, style: str = "exact") -> Markup:
        """A time as people read it in this town, machine-readable too."""
        if at is None:
            return Markup("–")
        when = datetime.fromisoformat(at) if isinstance(at, str) else at
        return _time_element(when, style, self.web.rt.zone, self.language)

    def minute(self, at: datetime | str) -> Markup:
        """A time of today as hours and minutes; of any other day with its day."""
        when = datetime.fromisoformat(at) if isinstance(at, str) else at
        zone = self.web.rt.zone
        is_today = when.astimezone(zone).date() == self.web.rt.now().astimezone(zone).date()
        return self.moment(when, "minute" if is_today else "day")

    def text(self, template: str, context: Mapping[str, Any]) -> str:
        return (
            _ENVIRONMENTS[self.language]
            .get_template(template)
            .render(
                **context,
                actor=self.actor,
                csrf=csrf_token(self.web, self.actor) if self.actor is not None else "",
                person_mark=self._person_mark(),
                organisation=self.web.rt.organisation,
                path=self.request.url.path,
                switches=[(code, self._switch(code)) for code in LANGUAGES if code != self.language],
                moment=self.moment,
                minute=self.minute,
                now=self.web.rt.now(),
            )
        )

    def respond(self, template: str, status: int = 200, /, **context: Any) -> Response:
        """The page as a response. Remembers the language when it was just chosen."""
        response = HTMLResponse(self.text(template, context), status)
        if self.actor is not None:
            response.headers[PERSON_HEADER] = self._person_mark()
        chosen = parse_language(self.request.query_params.get(LANGUAGE_COOKIE))
        if chosen is not None:
            response.set_cookie(
                LANGUAGE_COOKIE, chosen, max_age=_COOKIE_LIFE, secure=self.web.is_https, httponly=True, samesite="lax"
            )
        return response

    def _person_mark(self) -> str:
        return person_mark(self.web, self.actor) if self.actor is not None else ""

    def _switch(self, language: Language) -> str:
        kept = [(name, value) for name, value in self.request.query_params.multi_items() if name != LANGUAGE_COOKIE]
        return "?" + urlencode([*kept, (LANGUAGE_COOKIE, language)])


def choose_language(request: Request, own: str | None) -> Language:
    """What was chosen by the switch on this device, else `own` (the person's), else what the browser asks for."""
    query: QueryParams = request.query_params
    for wish in (query.get(LANGUAGE_COOKIE), request.cookies.get(LANGUAGE_COOKIE), own):
        language = parse_language(wish)
        if language is not None:
            return language
    return accepted_language(request.headers.get("accept-language", ""))


def open_page(request: Request, language: str | None = None) -> Page:
    """A page for somebody who has not signed in; `language` is theirs if it is known."""
    return Page(request, web_of(request), None, choose_language(request, language))


async def signed_in(request: Request, role: Role = Role.STAFF) -> tuple[Page, Actor]:
    """A page for somebody who has `role`. Raises Unauthenticated, Forbidden, TooMany."""
    actor = await require(request, role)
    return Page(request, web_of(request), actor, choose_language(request, actor.language)), actor
