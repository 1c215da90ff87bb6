"""The Common Alerting Protocol 1.2 (OASIS, 2010-07-01): what breaks its schema is refused, with the line."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, cast

from alertd.core.alert import Severity, has_control
from alertd.core.cap import NAMESPACE
from alertd.core.observation import (
    CODE_MAX,
    Area,
    Observation,
    ObservationKind,
    Standing,
    clean,
    clean_body,
    clean_title,
    worst,
)
from alertd.sources.base import Unreadable
from alertd.sources.xml import Element, parse

_OTHER_VERSIONS: Final = ("urn:oasis:names:tc:emergency:cap:1.", "http://www.incident.com/cap/1.")
_SIGNATURE: Final = "http://www.w3.org/2000/09/xmldsig#"
_WRAPPER: Final = "urn:oasis:names:tc:emergency:EDXL:DE:1.0"

_MANY: Final = 10**6
_NAME_MAX: Final = 200  # characters of a sender or an identifier: together they are an observation's id
_Shape = tuple[tuple[str, int, int], ...]
# Section 3.2 and appendix A: what stands in what, in this order, at least and at most so often.
_ALERT: Final[_Shape] = (
    *(("identifier", 1, 1), ("sender", 1, 1), ("sent", 1, 1), ("status", 1, 1), ("msgType", 1, 1), ("source", 0, 1)),
    *(("scope", 1, 1), ("restriction", 0, 1), ("addresses", 0, 1), ("code", 0, _MANY), ("note", 0, 1)),
    *(("references", 0, 1), ("incidents", 0, 1), ("info", 0, _MANY)),
)
_INFO: Final[_Shape] = (
    *(("language", 0, 1), ("category", 1, _MANY), ("event", 1, 1), ("responseType", 0, _MANY), ("urgency", 1, 1)),
    *(("severity", 1, 1), ("certainty", 1, 1), ("audience", 0, 1), ("eventCode", 0, _MANY), ("effective", 0, 1)),
    *(("onset", 0, 1), ("expires", 0, 1), ("senderName", 0, 1), ("headline", 0, 1), ("description", 0, 1)),
    *(("instruction", 0, 1), ("web", 0, 1), ("contact", 0, 1), ("parameter", 0, _MANY), ("resource", 0, _MANY)),
    ("area", 0, _MANY),
)
_RESOURCE: Final[_Shape] = (
    *(("resourceDesc", 1, 1), ("mimeType", 1, 1), ("size", 0, 1), ("uri", 0, 1), ("derefUri", 0, 1), ("digest", 0, 1)),
)
_AREA: Final[_Shape] = (
    *(("areaDesc", 1, 1), ("polygon", 0, _MANY), ("circle", 0, _MANY), ("geocode", 0, _MANY)),
    *(("altitude", 0, 1), ("ceiling", 0, 1)),
)
_PAIR: Final[_Shape] = (("valueName", 1, 1), ("value", 1, 1))
_SHAPES: Final[dict[str, _Shape]] = {
    "alert": _ALERT,
    "info": _INFO,
    "resource": _RESOURCE,
    "area": _AREA,
    **dict.fromkeys(("eventCode", "parameter", "geocode"), _PAIR),
}
_STANDING: Final[dict[str, Standing]] = {
    "Actual": "actual",
    "Exercise": "drill",
    "System": "test",
    "Test": "test",
    "Draft": "test",
}
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "status": tuple(_STANDING),
    "msgType": ("Alert", "Update", "Cancel", "Ack", "Error"),
    "scope": ("Public", "Restricted", "Private"),
    "category": (
        *("Geo", "Met", "Safety", "Security", "Rescue", "Fire"),
        *("Health", "Env", "Transport", "Infra", "CBRNE", "Other"),
    ),
    "responseType": (*("Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None"),),
    "urgency": ("Immediate", "Expected", "Future", "Past", "Unknown"),
    "severity": ("Extreme", "Severe", "Moderate", "Minor", "Unknown"),
    "certainty": ("Observed", "Likely", "Possible", "Unlikely", "Unknown"),
}
_TIMES: Final = ("sent", "effective", "onset", "expires")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d")
_KINDS: Final[dict[str, ObservationKind]] = {"Alert": "new", "Update": "changed", "Cancel": "withdrawn"}


def read(raw: bytes) -> Sequence[Observation]:
    """The messages in a CAP document, or in the EDXL-DE 1.0 wrapper of some. An Ack or an Error observes nothing."""
    root = parse(raw)
    if (root.namespace, root.name) == (_WRAPPER, "EDXLDistribution"):
        return _unwrap(root)
    return list(_observations(root, "actual"))


def _unwrap(root: Element) -> list[Observation]:
    status = root.text_at("distributionStatus")
    if status not in _STANDING or status == "Draft":
        raise Unreadable("distributionStatus must be Actual, Exercise, System or Test", root.line)
    inner = [element for element in root.walk() if element.name == "alert" and element.namespace == NAMESPACE]
    if not inner:
        raise Unreadable("the EDXL wrapper holds no CAP 1.2 alert", root.line)
    return [found for element in inner for found in _observations(element, _STANDING[status])]


def _observations(alert: Element, wrapped: Standing) -> Iterator[Observation]:
    _require_alert(alert)
    kind = _KINDS.get(alert.text_at("msgType"))
    if kind is None:
        return
    infos = list(alert.all("info"))
    if not infos and kind == "new":
        raise Unreadable("an Alert without an info says nothing", alert.line)
    references = _references(alert, kind)
    sent = _time(alert.text_at("sent"))
    own = _key(alert.text_at("sender"), alert.text_at("identifier"), alert.text_at("sent"))
    told = _in_one_language(infos)
    if kind == "changed" and infos and all(_is_all_clear(info) for info in infos):
        kind = "withdrawn"
    yield Observation(
        id=own,
        incident=references[0] if references else own,
        references=tuple(references),
        version=int(sent.timestamp()),
        kind=kind,
        standing=_less_real(_STANDING[alert.text_at("status")], wrapped),
        title=_title(alert, told),
        body=_body(alert, told),
        observed_at=sent,
        severity=worst([cast("Severity", info.text_at("severity").lower()) for info in infos]),
        type=alert.text_at("msgType"),
        hazard=clean_title(told[0].text_at("event")) if told else "",
        author=alert.text_at("sender"),
        areas=_areas(infos),
        expires_at=max((_time(info.text_at("expires")) for info in infos if info.find("expires")), default=None),
        url=next((info.text_at("web") for info in told if info.text_at("web")), ""),
        fields=_fields(alert, told),
    )


def _require_alert(alert: Element) -> None:
    if alert.name != "alert" or alert.namespace != NAMESPACE:
        if alert.namespace.startswith(_OTHER_VERSIONS):
            raise Unreadable(f"this is CAP, but not version 1.2: its namespace must be {NAMESPACE}", alert.line)
        raise Unreadable(f"this is not CAP 1.2: the root must be alert in the namespace {NAMESPACE}", alert.line)
    _require_shape(alert)
    for name in ("identifier", "sender"):
        if not _is_name(alert.text_at(name)):
            # Section 3.2.1; whoever refers to the message could not say which it is.
            told = (
                f"{name} must not be empty, nor over {_NAME_MAX} characters, nor hold spaces, commas, <, & or controls"
            )
            raise Unreadable(told, alert.line)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _NAME_MAX and not re.search(r"[\s,<&]", text) and not has_control(text)


def _require_shape(element: Element) -> None:
    shape = _SHAPES[element.name]
    place = 0
    counts: dict[str, int] = {}
    names = [name for name, _, _ in shape]
    for child in element.children:
        if child.namespace != NAMESPACE:
            if element.name == "alert" and child.namespace == _SIGNATURE:
                continue
            raise Unreadable(f"{child.name} of another namespace must not stand in {element.name}", child.line)
        if child.name not in names:
            raise Unreadable(f"{child.name} must not stand in {element.name}", child.line)
        if names.index(child.name) < place:
            raise Unreadable(f"{child.name} must stand before {names[place]}", child.line)
        place = names.index(child.name)
        counts[child.name] = counts.get(child.name, 0) + 1
        if counts[child.name] > shape[place][2]:
            raise Unreadable(f"{child.name} must stand once in {element.name}", child.line)
        _require_value(child)
    for name, least, _ in shape:
        if counts.get(name, 0) < least:
            raise Unreadable(f"{element.name} must have {name}", element.line)


def _require_value(element: Element) -> None:
    if element.name in _SHAPES:
        _require_shape(element)
        return
    if element.children:
        raise Unreadable(f"{element.name} must hold text alone", element.children[0].line)
    words, text = _WORDS.get(element.name), element.text.strip()
    if words and text not in words:
        raise Unreadable(f"{element.name} must be one of {', '.join(words)}", element.line)
    if element.name in _TIMES and not _is_time(text):
        example = "2026-11-22T03:04:05+09:00 (UTC is -00:00, there is no Z)"
        raise Unreadable(f"{element.name} must be a time such as {example}", element.line)


def _is_time(text: str) -> bool:
    try:
        return _TIME.fullmatch(text) is not None and _time(text) is not None
    except (ValueError, OverflowError):
        return False


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _key(sender: str, identifier: str, sent: str) -> str:
    """Which message is meant, as `references` name it; however its time is written."""
    return f"{sender},{identifier},{_time(sent).isoformat()}"


def _references(alert: Element, kind: ObservationKind) -> list[str]:
    """The earlier messages that this one is about, the first first."""
    found: list[tuple[datetime, str]] = []
    element = alert.find("references")
    for reference in alert.text_at("references").split():
        parts = reference.split(",")
        if len(parts) != 3 or not _is_time(parts[2]) or not all(map(_is_name, parts[:2])):
            line = element.line if element is not None else alert.line
            raise Unreadable("references must be sender,identifier,sent, with spaces between messages", line)
        found.append((_time(parts[2]), _key(*parts)))
    if not found and kind != "new":
        raise Unreadable(f"{alert.text_at('msgType')} must have references: the messages that it is about", alert.line)
    return [key for _, key in sorted(found)]


def _in_one_language(infos: Sequence[Element]) -> list[Element]:
    """The infos in the language that people here read best: Japanese, else English, else the first."""

    def language(info: Element) -> str:
        return (info.text_at("language") or "en-US").partition("-")[0].lower()

    spoken = [language(info) for info in infos]
    best = next((wanted for wanted in ("ja", "en") if wanted in spoken), spoken[0] if spoken else "")
    return [info for info, told in zip(infos, spoken, strict=True) if told == best]


def _is_all_clear(info: Element) -> bool:
    return any(each.text.strip() == "AllClear" for each in info.all("responseType"))


def _less_real(first: Standing, second: Standing) -> Standing:
    order: tuple[Standing, ...] = ("test", "drill", "actual")
    return min(first, second, key=order.index)


def _title(alert: Element, infos: Sequence[Element]) -> str:
    titles = [info.text_at("headline") or info.text_at("event") for info in infos]
    return clean_title(next(filter(None, titles), "") or alert.text_at("note") or alert.text_at("msgType"))


def _body(alert: Element, infos: Sequence[Element]) -> str:
    parts = [info.text_at(name) for info in infos for name in ("description", "instruction", "contact")]
    return clean_body("\n\n".join(dict.fromkeys(filter(None, [*parts, alert.text_at("note")]))))


def _areas(infos: Iterable[Element]) -> tuple[Area, ...]:
    """Each geocode once; an area without one is known by its words."""
    found: dict[str, Area] = {}
    for area in (area for info in infos for area in info.all("area")):
        name = clean_title(area.text_at("areaDesc"))
        codes = [clean(geocode.text_at("value"), CODE_MAX) for geocode in area.all("geocode")]
        for code in filter(None, codes or [name]):
            found.setdefault(code, Area(code, name))
    return tuple(found.values())


def _fields(alert: Element, infos: Sequence[Element]) -> dict[str, str]:
    first = infos[0] if infos else None
    found = {
        "sender": first.text_at("senderName") if first else "",
        "instruction": first.text_at("instruction") if first else "",
        "scope": alert.text_at("scope"),
        "urgency": first.text_at("urgency") if first else "",
        "certainty": first.text_at("certainty") if first else "",
        "signed": "yes" if any(child.namespace == _SIGNATURE for child in alert.children) else "",
    }
    return {name: clean(value, 2_000) for name, value in found.items() if value}
