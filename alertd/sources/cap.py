"""The Common Alerting Protocol 1.2 (OASIS, 2010-07-01): what breaks its schema is refused, with the line."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from alertd.core.alert import Severity, has_control
from alertd.core.cap import NAMESPACE
from alertd.core.observation import (
    CODE_MAX,
    ID_MAX,
    Area,
    Observation,
    ObservationKind,
    Standing,
    clean,
    clean_body,
    clean_title,
    worst,
)
from alertd.sources.base import Unproved, Unreadable
from alertd.sources.certificates import Certificate
from alertd.sources.signature import NAMESPACE as SIGNATURE
from alertd.sources.signature import Verifier, signatures
from alertd.sources.xml import Element, as_utf8, parse

_OTHER_VERSIONS: Final = ("urn:oasis:names:tc:emergency:cap:1.", "http://www.incident.com/cap/1.")
_WRAPPER: Final = "urn:oasis:names:tc:emergency:EDXL:DE:1.0"
_WRAPPER_ROOT: Final = "EDXLDistribution"

_MANY: Final = 10**6
_INCIDENT: Final = re.compile(r'"[^"]+"|[^\s"]+')
_INCIDENTS_MAX: Final = 100
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
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d", re.ASCII)
_OFFSET_MAX: Final = timedelta(hours=14)  # XML Schema part 2, section 3.2.7
_MIDNIGHT: Final = "T24:00:00"  # of the day that ends: so the schema, not yet Python
_REFERENCES_COUNTED: Final = 1_000
_KINDS: Final[dict[str, ObservationKind]] = {"Alert": "new", "Update": "changed", "Cancel": "withdrawn"}


def read(raw: bytes, trusted: Sequence[Certificate] = ()) -> Sequence[Observation]:
    """The messages in a CAP document, or in the EDXL-DE 1.0 wrapper of some. An Ack or an Error observes nothing.

    Where somebody is `trusted`, a signature (section 3.3.4.1) is verified, and what it signs is what is read; one that
    does not hold is refused. Otherwise nobody could tell, and it proves nothing.
    """
    root = parse(raw)
    alerts, wrapped = _unwrap(root) if (root.namespace, root.name) == (_WRAPPER, _WRAPPER_ROOT) else ([root], "actual")
    found = [(alert, seen) for alert in alerts if (seen := _observation(alert, wrapped)) is not None]
    if not trusted or not any(signatures(alert) for alert, _ in found):
        return [seen for _, seen in found]
    places = [element for element in root.walk() if _is_alert(element)]
    verifier = Verifier(root, as_utf8(raw), f"{{{NAMESPACE}}}alert", trusted)
    return [
        _proven(verifier, next(place for place, each in enumerate(places) if each is alert), alert, seen, wrapped)
        if signatures(alert)
        else seen
        for alert, seen in found
    ]


def _proven(verifier: Verifier, place: int, alert: Element, seen: Observation, wrapped: Standing) -> Observation:
    """What the alert says by proof: read again, from the bytes that were signed and from nothing else."""
    line = signatures(alert)[0].line
    try:
        proof = verifier.open(place, seen.observed_at)
        signed = _observation(parse(proof.content), wrapped)
    except Unreadable as fault:
        raise Unproved(fault.message, line) from None
    if signed is None or signed.observed_at != seen.observed_at:
        raise Unproved("the signature does not hold: it was made for another time", line)
    return replace(signed, signed_by=proof.signed_by)


def _is_alert(element: Element) -> bool:
    return element.name == "alert" and element.namespace == NAMESPACE


def _unwrap(root: Element) -> tuple[list[Element], Standing]:
    status = root.text_at("distributionStatus")
    if status not in _STANDING or status == "Draft":
        raise Unreadable("distributionStatus must be Actual, Exercise, System or Test", root.line)
    contents = root.all("contentObject/xmlContent/embeddedXMLContent")
    alerts = [element for content in contents for element in content.children if _is_alert(element)]
    if not alerts:
        raise Unreadable("the EDXL wrapper holds no CAP 1.2 alert", root.line)
    return alerts, _STANDING[status]


def _observation(alert: Element, wrapped: Standing) -> Observation | None:
    _require_alert(alert)
    kind = _KINDS.get(alert.text_at("msgType"))
    if kind is None:
        return None
    infos = list(alert.all("info"))
    standing = _less_real(_STANDING[alert.text_at("status")], wrapped)
    if not infos and kind == "new" and not alert.text_at("note"):
        # Section 3.2.1: an alert without an info is a "system function", such as the heartbeat of a distributor.
        if standing == "test":
            return None
        raise Unreadable("an Alert without an info, and without a note, says nothing", alert.line)
    references = _references(alert, kind)
    sent = _time(alert.text_at("sent"))
    own = _key(alert.text_at("sender"), alert.text_at("identifier"), alert.text_at("sent"))
    told = _in_one_language(infos)
    if kind == "changed" and infos and all(_is_all_clear(info) for info in infos):
        kind = "withdrawn"
    return Observation(
        id=own,
        incident=references[0] if references else own,
        references=tuple(references),
        # Section 3.2.1: names of incidents with spaces between them, those with spaces of their own in quotes.
        known_as=tuple(clean(name.strip('"'), ID_MAX) for name in _incidents(alert)),
        # Times have whole seconds; within one, what refers to more comes later.
        version=int(sent.timestamp()) * _REFERENCES_COUNTED + min(len(references), _REFERENCES_COUNTED - 1),
        kind=kind,
        standing=standing,
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
    if not _is_alert(alert):
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
    if element.text.strip():
        raise Unreadable(f"{element.name} must hold elements alone, and no text between them", element.line)
    place = 0
    counts: dict[str, int] = {}
    names = [name for name, _, _ in shape]
    for child in element.children:
        if child.namespace != NAMESPACE:
            if element.name == "alert" and child.namespace == SIGNATURE:
                place = len(names)
                continue
            raise Unreadable(f"{child.name} of another namespace must not stand in {element.name}", child.line)
        if child.name not in names:
            raise Unreadable(f"{child.name} must not stand in {element.name}", child.line)
        if names.index(child.name) < place:
            raise Unreadable(f"{child.name} must stand before {[*names, 'the signature'][place]}", child.line)
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
    if not _TIME.fullmatch(text):
        return False
    try:
        offset = _local(text).replace(tzinfo=UTC) - _time(text)
    except (ValueError, OverflowError):
        return False
    return abs(offset) <= _OFFSET_MAX


def _local(text: str) -> datetime:
    if _MIDNIGHT in text:
        return datetime.fromisoformat(text.replace(_MIDNIGHT, "T00:00:00")) + timedelta(days=1)
    return datetime.fromisoformat(text)


def _time(text: str) -> datetime:
    return _local(text).astimezone(UTC)


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


def _incidents(alert: Element) -> list[str]:
    return _INCIDENT.findall(alert.text_at("incidents"))[:_INCIDENTS_MAX]


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
    }
    return {name: clean(value, 2_000) for name, value in found.items() if value}
