"""How the messages of any program are read: by a table in the rule book, which names where each thing stands.

A text may hold paths in braces: `{station.name}`, `{readings.0.level}`, `{record."件名".value}`; `{note?}` may lack.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from alertd.core.alert import SEVERITIES, Severity
from alertd.core.observation import (
    CODE_MAX,
    OBSERVATION_KINDS,
    SCALES,
    STANDINGS,
    Area,
    Observation,
    ObservationKind,
    Scale,
    Standing,
    clean,
    clean_body,
    clean_title,
    rank_of,
)
from alertd.sources.base import Unreadable
from alertd.sources.json import members, observe

ITEMS_MAX: Final = 1_000
_WORD_MAX: Final = 500
_FIELDS_MAX: Final = 50
_HOLE: Final = re.compile(r"\{([^{}]*)\}")
_STEP: Final = re.compile(r'(?:"([^"{}]+)"|([^."{}?]+))(\.|$)')
_MILLISECONDS: Final = 10**11  # a number of seconds that lies after the year 5000
_TEXTS: Final = ("incident", "title", "body", "type", "hazard", "author", "url", "known_as")
_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "standing": STANDINGS,
    "kind": OBSERVATION_KINDS,
    "severity": SEVERITIES,
    "scale": tuple(SCALES),
}
_NEEDED: Final = ("id", "title", "standing", "observed_at")
_NAMES: Final = frozenset(
    {"items", "id", "version", "observed_at", "expires_at", "areas", "fields", *_TEXTS, *_CHOICES}
)


class MappingFaults(ValueError):
    """What is wrong with a mapping, as (field, message)."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in faults))
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class _Path:
    steps: tuple[str, ...]
    is_optional: bool

    def of(self, document: Any) -> Any:
        """What stands there; None where nothing does and nothing need. Raises Unreadable."""
        found = document
        for step in self.steps:
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isascii() and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            elif self.is_optional:
                return None
            else:
                raise Unreadable(f"there is no {'.'.join(self.steps)} in the message")
        return found


@dataclass(frozen=True, slots=True)
class _Text:
    """Words with holes in them."""

    parts: tuple[str | _Path, ...]

    def of(self, document: Any) -> str:
        return "".join(part if isinstance(part, str) else _worded(part, part.of(document)) for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of our words, by what stands in the message."""

    text: _Text | None
    words: Mapping[str, str]  # ours, by theirs
    otherwise: str | None

    def of(self, document: Any) -> str:
        if self.text is None:
            return self.otherwise or ""
        said = self.text.of(document).strip()
        found = self.words.get(said, self.otherwise)
        if found is None:
            raise Unreadable(f"the mapping says nothing of {said[:100]!r}")
        return found


@dataclass(frozen=True, slots=True)
class _Areas:
    items: _Path
    code: _Text
    name: _Text
    rank: _Text | None


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """How one source's messages are read."""

    items: _Path | None
    texts: Mapping[str, _Text]
    choices: Mapping[str, _Choice]
    areas: _Areas | None = None
    fields: Mapping[str, _Text] = field(default_factory=dict)

    def read(self, raw: bytes) -> Sequence[Observation]:
        """What a message in JSON says. Raises Unreadable."""
        members(raw)
        return self.apply(json.loads(raw))

    def apply(self, document: Any) -> Sequence[Observation]:
        """What a document says, of itself or of each of its items. Raises Unreadable, and nothing is half read."""
        found = self.items.of(document) if self.items is not None else [document]
        if not isinstance(found, list) or len(found) > ITEMS_MAX:
            raise Unreadable(f"where the mapping looks for items there must be a list of at most {ITEMS_MAX}")
        return observe(lambda: [self._observation(item) for item in found])

    def _observation(self, item: Any) -> Observation:
        said = {name: text.of(item) for name, text in self.texts.items()}
        chosen = {name: choice.of(item) for name, choice in self.choices.items()}
        observed_at = _moment(said["observed_at"], "observed_at")
        scale = cast("Scale | None", chosen.get("scale") or None)
        return Observation(
            id=clean(said["id"], _WORD_MAX),
            incident=clean(said.get("incident") or said["id"], _WORD_MAX),
            version=_version(said["version"]) if said.get("version") else int(observed_at.timestamp() * 1_000),
            kind=cast("ObservationKind", chosen.get("kind", "new")),
            standing=cast("Standing", chosen["standing"]),
            title=clean_title(said["title"]),
            body=clean_body(said.get("body", "")),
            observed_at=observed_at,
            severity=cast("Severity", chosen.get("severity", "unknown")),
            scale=scale,
            areas=self._areas(item, scale),
            expires_at=_moment(said["expires_at"], "expires_at") if said.get("expires_at") else None,
            known_as=tuple(filter(None, (clean(said.get("known_as", ""), _WORD_MAX),))),
            url=said.get("url", "") if said.get("url", "").startswith(("http://", "https://")) else "",
            fields={name: clean(text.of(item), 2_000) for name, text in self.fields.items()},
            type=clean(said.get("type", ""), _WORD_MAX),
            hazard=clean(said.get("hazard", ""), _WORD_MAX),
            author=clean(said.get("author", ""), _WORD_MAX),
        )

    def _areas(self, item: Any, scale: Scale | None) -> tuple[Area, ...]:
        if self.areas is None:
            return ()
        places = self.areas.items.of(item)
        if not isinstance(places, list):
            raise Unreadable(f"where the mapping looks for areas ({'.'.join(self.areas.items.steps)}) must be a list")
        return tuple(
            Area(
                clean(self.areas.code.of(each), CODE_MAX),
                clean_title(self.areas.name.of(each)),
                self._rank(each, scale),
            )
            for each in places
        )

    def _rank(self, area: Any, scale: Scale | None) -> int:
        """A degree as its scale names it (`5-`, `warning`), or its place on it."""
        assert self.areas is not None
        said = self.areas.rank.of(area).strip() if self.areas.rank is not None else ""
        if not said or scale is None:
            return 0
        if said in SCALES[scale]:
            return rank_of(scale, said)
        if said.isascii() and said.isdigit() and len(said) < 3:
            return int(said)
        raise Unreadable(f"{said[:50]!r} is no degree of {scale}")


def read_mapping(raw: Mapping[str, Any]) -> SourceMapping:
    """A mapping as it stands in the rule book. Raises MappingFaults with every fault, by its name."""
    faults: list[tuple[str, str]] = []

    def take(name: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except ValueError as error:
            faults.append((name, str(error)))
            return None

    faults += [(name, f"is not known: there are {', '.join(sorted(_NAMES))}") for name in raw if name not in _NAMES]
    faults += [(name, "must be said") for name in _NEEDED if name not in raw]
    items = take("items", lambda: _path(_word(raw["items"]))) if "items" in raw else None
    texts = {
        name: take(name, lambda name=name: _text(raw[name]))  # type: ignore[misc]
        for name in ("id", "version", "observed_at", "expires_at", *_TEXTS)
        if name in raw
    }
    choices = {
        name: take(name, lambda name=name: _choice(raw[name], _CHOICES[name]))  # type: ignore[misc]
        for name in _CHOICES
        if name in raw
    }
    areas = take("areas", lambda: _areas_of(raw["areas"])) if "areas" in raw else None
    fields = take("fields", lambda: _fields_of(raw["fields"])) if "fields" in raw else {}
    if faults:
        raise MappingFaults(faults)
    return SourceMapping(items, texts, choices, areas, fields)


def _word(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip() or len(raw) > 10 * _WORD_MAX:
        raise ValueError("must be text")
    return raw


def _text(raw: Any) -> _Text:
    text = _word(raw)
    parts: list[str | _Path] = []
    at = 0
    for hole in _HOLE.finditer(text):
        parts += [text[at : hole.start()], _path(hole[1])]
        at = hole.end()
    parts.append(text[at:])
    if any("{" in part or "}" in part for part in parts if isinstance(part, str)):
        raise ValueError("has a brace without its other one")
    return _Text(tuple(part for part in parts if part != ""))


def _path(text: str) -> _Path:
    is_optional = text.endswith("?")
    rest, steps = text.removesuffix("?"), []
    while rest:
        step = _STEP.match(rest)
        if step is None or (step[3] == "." and step.end() == len(rest)):
            break
        steps.append((step[1] or step[2]).strip())
        rest = rest[step.end() :]
    if rest or not steps:
        raise ValueError(f'{{{text}}} is no path: write names with dots between, "…" around what has dots itself')
    return _Path(tuple(steps), is_optional)


def _choice(raw: Any, known: Sequence[str]) -> _Choice:
    """`"actual"` alone, or `{ of = "{mode}", actual = ["live"], test = ["t"], otherwise = "test" }`."""
    if isinstance(raw, str):
        if raw not in known:
            raise ValueError(f"must be one of {', '.join(known)}, or a table with of = a path")
        return _Choice(None, {}, raw)
    if not isinstance(raw, dict) or "of" not in raw:
        raise ValueError(f"must be one of {', '.join(known)}, or a table with of = a path")
    words: dict[str, str] = {}
    for ours, theirs in raw.items():
        if ours in ("of", "otherwise"):
            continue
        if ours not in known:
            raise ValueError(f"{ours!r} is none of {', '.join(known)}")
        if not isinstance(theirs, list) or not all(isinstance(each, str) for each in theirs):
            raise ValueError(f"{ours} must be a list of the words that mean it")
        if twice := sorted(set(theirs) & words.keys()):
            raise ValueError(f"{twice[0]!r} means two things")
        words |= dict.fromkeys(theirs, ours)
    otherwise = raw.get("otherwise")
    if otherwise is not None and otherwise not in known:
        raise ValueError(f"otherwise must be one of {', '.join(known)}")
    return _Choice(_text(raw["of"]), words, otherwise)


def _areas_of(raw: Any) -> _Areas:
    if not isinstance(raw, dict) or not {"items", "code"} <= raw.keys() <= {"items", "code", "name", "rank"}:
        raise ValueError("must be a table with items and code, and perhaps name and rank")
    name = _text(raw["name"]) if "name" in raw else _Text(())
    return _Areas(_path(_word(raw["items"])), _text(raw["code"]), name, _text(raw["rank"]) if "rank" in raw else None)


def _fields_of(raw: Any) -> dict[str, _Text]:
    if not isinstance(raw, dict) or len(raw) > _FIELDS_MAX:
        raise ValueError(f"must be a table of at most {_FIELDS_MAX} texts")
    return {clean(name, 200): _text(value) for name, value in raw.items()}


def _worded(path: _Path, value: Any) -> str:
    """A value as text: a list as its parts, a line each where they have lines."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
        return "、".join(map(str, value))
    raise Unreadable(f"{'.'.join(path.steps)} is no text: name what in it is meant")


def _version(text: str) -> int:
    """A whole number, else a time."""
    plain = text.strip()
    if re.fullmatch(r"-?[0-9]{1,18}", plain):
        return int(plain)
    return int(_moment(plain, "version").timestamp() * 1_000)


def _moment(text: str, name: str) -> datetime:
    """A time with its offset (RFC 3339), or seconds or milliseconds since 1970."""
    plain = text.strip()
    try:
        if re.fullmatch(r"[0-9]{9,14}(\.[0-9]{1,9})?", plain):
            number = float(plain)
            return datetime.fromtimestamp(number / 1_000 if number >= _MILLISECONDS else number, UTC)
        moment = datetime.fromisoformat(plain)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Unreadable(f"{name} must be a time with its offset, 2026-11-22T03:04:05+09:00, and is {plain[:50]!r}")
    return moment.astimezone(UTC)
