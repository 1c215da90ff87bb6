"""Telegrams of the Japan Meteorological Agency (気象庁防災情報XML): what happens where, and how bad the Agency says.

What is not known here (a new telegram, a new code) is kept with its words; only what cannot be told apart from
something else, whether it is a drill, when it was said, is refused with its line.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from alertd.core.alert import Severity
from alertd.core.observation import AREAS_MAX, ID_MAX, Area, Observation, Scale, clean, clean_title
from alertd.sources import jma_words as words
from alertd.sources.base import Unreadable
from alertd.sources.jma_hazards import READERS, unknown
from alertd.sources.jma_telegram import (
    SERIAL_MAX,
    Said,
    Telegram,
    body_of,
    is_lifted,
    own_incident,
    telegram_of,
    time_at,
)
from alertd.sources.xml import Element, parse

_DAY: Final = 86_400

_SEVERITIES: Final[Mapping[Scale, tuple[Severity, ...]]] = {
    "level": ("minor", "minor", "moderate", "severe", "extreme"),
    "intensity": ("minor", "minor", "minor", "moderate", "severe", "severe", "extreme", "extreme", "extreme"),
    "tsunami": ("minor", "moderate", "severe", "extreme"),
    "volcano": ("minor", "minor", "moderate", "severe", "extreme"),
}


def read(raw: bytes, name: str = "") -> Sequence[Observation]:
    """What a telegram says; a weather warning says it of each hazard. `name`: its file's, which may hold its code."""
    telegram = telegram_of(parse(raw), name)
    reader = READERS.get(telegram.type, unknown)
    found = list(reader(telegram)) or list(unknown(telegram))
    return [_observation(telegram, _apart(telegram, said)) for said in found]


def _apart(telegram: Telegram, said: Said) -> Said:
    """Whatever names no area though it should (a quake far away, a list that is missing) is told by itself: within
    its incident it would read as "nowhere any more" and end it.
    """
    if said.scale is None or said.areas or telegram.kind == "withdrawn":
        return said
    return replace(said, incident=own_incident(telegram), over=False, silent=False)


def _observation(telegram: Telegram, said: Said) -> Observation:
    areas = _each_once(telegram, said.areas)
    rank = max((area.rank for area in areas), default=0)
    over = said.over or telegram.kind == "withdrawn"
    level = 0 if rank or over or said.silent else words.level_in(_told(telegram.root))
    severity = said.severity
    if rank and said.scale is not None:
        severity = _SEVERITIES[said.scale][rank - 1]
    elif level:
        severity = _SEVERITIES["level"][level - 1]
    return Observation(
        id=_id(telegram, said),
        incident=_key(said.incident),
        known_as=(telegram.event,) if telegram.is_dated else (),
        version=_version(telegram, said.waits),
        kind="withdrawn" if over else telegram.kind,
        standing=telegram.standing,
        title=clean_title(said.title or telegram.text("Head/Title")),
        body=body_of(telegram),
        observed_at=telegram.reported_at,
        severity=severity,
        type=telegram.type or clean_title(telegram.text("Head/InfoKind")),
        hazard=clean_title(said.hazard),
        author=clean_title(telegram.text("Control/PublishingOffice")),
        scale=said.scale if areas else None,
        areas=areas,
        expires_at=time_at(telegram.root, "Head/ValidDateTime") if telegram.text("Head/ValidDateTime") else None,
        level=level,
        fields=_fields(telegram, said, areas),
    )


def _key(text: str) -> str:
    return clean(" ".join(text.split()), ID_MAX)


def _id(telegram: Telegram, said: Said) -> str:
    """The same for the same telegram, whichever way it came."""
    told = ("Control/DateTime", "Control/EditorialOffice", "Control/Title", "Head/Serial", "Head/InfoType")
    return _key("/".join([said.incident, *(telegram.text(path) for path in told)]))


def _version(telegram: Telegram, waits: timedelta) -> int:
    """Rises with ReportDateTime, then Serial; a correction may have both of what it corrects, and went out later."""
    reported = int((telegram.reported_at - waits).timestamp())
    gone = int(telegram.sent_at.timestamp()) - int(telegram.reported_at.timestamp())
    order = min(max(gone + _DAY // 2, 0), _DAY - 1)
    kind = 0 if telegram.root.text_at("Head/InfoType") == "発表" else 1
    return ((reported * (SERIAL_MAX + 1) + telegram.serial) * _DAY + order) * 2 + kind


def _each_once(telegram: Telegram, areas: Iterable[Area]) -> tuple[Area, ...]:
    """Every area once, as where it is worst."""
    found: dict[str, Area] = {}
    for area in areas:
        if area.code and (area.code not in found or area.rank > found[area.code].rank):
            found[area.code] = area
    if len(found) > AREAS_MAX:
        raise Unreadable(f"the telegram names more than {AREAS_MAX} areas", telegram.root.line)
    return tuple(found.values())


def _told(root: Element) -> Iterator[str]:
    """All that it says of now: not what was before, what it explains, nor what it names as lifted."""
    left = [root]
    while left:
        element = left.pop()
        if element.name in ("Control", "LastKind", "Appendix", "InfoKind") or is_lifted(element):
            continue
        yield element.text
        left.extend(reversed(element.children))


def _fields(telegram: Telegram, said: Said, areas: Sequence[Area]) -> dict[str, str]:
    worst = max(areas, key=lambda area: area.rank, default=None)
    found = {
        "office": telegram.text("Control/PublishingOffice"),
        "information": telegram.text("Control/Title"),
        "event": telegram.event,
        "serial": telegram.text("Head/Serial"),
        "words": worst.words if worst is not None and worst.rank else "",
        **said.fields,
    }
    return {name: clean(value, 2_000) for name, value in found.items() if value}
