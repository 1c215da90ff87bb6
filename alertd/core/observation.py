"""Observations: what a source says that happens, before anybody has decided what becomes of it."""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from alertd.core.alert import BODY_MAX, SEVERITIES, TITLE_MAX, Severity, has_control

ObservationKind = Literal["new", "changed", "withdrawn"]
OBSERVATION_KINDS: Final[tuple[ObservationKind, ...]] = ("new", "changed", "withdrawn")

Standing = Literal["actual", "drill", "test"]
"""`drill`: people are to act as if. `test`: nobody is meant at all, only the line is tried."""
STANDINGS: Final[tuple[Standing, ...]] = ("actual", "drill", "test")

Scale = Literal["level", "intensity", "tsunami", "volcano"]
SCALES: Final[Mapping[Scale, tuple[str, ...]]] = {
    # Cabinet Office, five warning levels; since 2026-05-28 in the names of the Agency's warnings themselves.
    "level": ("1", "2", "3", "4", "5"),
    # The Agency's seismic intensity, "-" lower (弱) and "+" upper (強).
    "intensity": ("1", "2", "3", "4", "5-", "5+", "6-", "6+", "7"),
    # Forecast of slight changes, advisory, warning, major warning.
    "tsunami": ("forecast", "advisory", "warning", "major"),
    # Volcanic alert levels.
    "volcano": ("1", "2", "3", "4", "5"),
}
"""What degrees there are, lowest first. A degree's rank is its place, from 1; 0 is none."""

ID_MAX: Final = 500
AREAS_MAX: Final = 5_000
CODE_MAX: Final = 200
VERSION_MAX: Final = 2**62


def rank_of(scale: Scale, degree: str) -> int:
    """Where a degree stands on its scale, from 1. Raises ValueError for a word that is no degree of it."""
    if degree not in SCALES[scale]:
        raise ValueError(f"{degree!r} is no degree of {scale}")
    return SCALES[scale].index(degree) + 1


@dataclass(frozen=True, slots=True)
class Area:
    """Where it happens, and how bad it is there. `rank` is a place on the observation's scale; 0: none, or over."""

    code: str
    name: str
    rank: int = 0
    words: str = ""  # how the source words it: レベル４土砂災害危険警報, 震度５強


@dataclass(frozen=True, slots=True)
class Observation:
    """What a source says at one moment. Times are aware UTC.

    The same `id` and `version` is the same observation, however often it comes. `incident` is what it is about, in the
    source's own reference (an EventID, the first message of a chain, a topic's id): everything about the same incident
    becomes one alert, and so does what refers to a message of it. Of two versions of it the greater is the later.
    """

    id: str
    incident: str
    version: int
    kind: ObservationKind
    standing: Standing
    title: str
    body: str
    observed_at: datetime
    severity: Severity = "unknown"
    type: str = ""  # the source's own word for what sort of message it is: VTSE41, a category, a field
    hazard: str = ""
    author: str = ""
    scale: Scale | None = None
    areas: tuple[Area, ...] = ()
    expires_at: datetime | None = None
    references: tuple[str, ...] = ()  # ids of earlier observations that it is about
    known_as: tuple[str, ...] = ()  # what any source may call the same by: an EventID, the address of a topic
    url: str = ""
    level: int = 0  # the warning level (1 to 5) that its words name, for want of areas that have one
    fields: Mapping[str, str] = field(default_factory=dict)  # more that templates and rules may name
    signed_by: str = ""  # whose signature of all this was verified, in words; "": nothing is proved

    @property
    def rank(self) -> int:
        """How bad it is where it is worst, on its scale."""
        return max((area.rank for area in self.areas), default=0)

    @property
    def substance(self) -> str:
        """What people need to be told of again when it changes, as a digest. On a scale that is where and how bad, not
        how it is worded: "continues" is the same.
        """
        if self.scale is not None and self.areas:
            parts = [f"{area.code}={area.rank}" for area in sorted(self.areas, key=lambda area: area.code) if area.rank]
        else:
            parts = [self.title, self.body, self.severity, *sorted(area.code for area in self.areas)]
        return hashlib.sha256("\x00".join(parts).encode(errors="replace")).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """As it is kept; and as programs send it, but for `signed_by`, which nobody can say of themselves."""
        return {
            "id": self.id,
            "incident": self.incident,
            "version": self.version,
            "kind": self.kind,
            "standing": self.standing,
            "title": self.title,
            "body": self.body,
            "observed_at": self.observed_at.isoformat(),
            "severity": self.severity,
            "type": self.type,
            "hazard": self.hazard,
            "author": self.author,
            "scale": self.scale,
            "areas": [
                {"code": area.code, "name": area.name, "rank": area.rank, "words": area.words} for area in self.areas
            ],
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "references": list(self.references),
            "known_as": list(self.known_as),
            "url": self.url,
            "level": self.level,
            "fields": dict(self.fields),
            "signed_by": self.signed_by,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Observation":
        """The observation that `as_json` wrote down."""
        return cls(
            **{
                **raw,
                "observed_at": datetime.fromisoformat(raw["observed_at"]),
                "expires_at": datetime.fromisoformat(raw["expires_at"]) if raw["expires_at"] else None,
                "areas": tuple(Area(**area) for area in raw["areas"]),
                "references": tuple(raw["references"]),
                "known_as": tuple(raw["known_as"]),
            }
        )


def observation_faults(observation: Observation) -> list[tuple[str, str]]:
    """What is wrong with an observation, as (field, message); empty when it can be decided on."""
    faults = []
    for name, value in (("id", observation.id), ("incident", observation.incident)):
        if not value.strip() or len(value) > ID_MAX or has_control(value):
            faults.append((name, f"must be 1 to {ID_MAX} printable characters"))
    for name, word, known in (
        ("kind", observation.kind, OBSERVATION_KINDS),
        ("standing", observation.standing, STANDINGS),
        ("severity", observation.severity, SEVERITIES),
    ):
        if word not in known:
            faults.append((name, f"must be one of {', '.join(known)}"))
    if observation.scale is not None and observation.scale not in SCALES:
        faults.append(("scale", f"must be one of {', '.join(SCALES)}"))
    for name, moment in (("observed_at", observation.observed_at), ("expires_at", observation.expires_at)):
        if moment is not None and moment.utcoffset() is None:
            faults.append((name, "must say its offset from UTC"))
    if abs(observation.version) > VERSION_MAX:
        faults.append(("version", f"must be within {VERSION_MAX}"))
    if not 0 <= observation.level <= len(SCALES["level"]):
        faults.append(("level", "must be 0 to 5"))
    return faults + _area_faults(observation)


def _area_faults(observation: Observation) -> list[tuple[str, str]]:
    if len(observation.areas) > AREAS_MAX:
        return [("areas", f"must be at most {AREAS_MAX}")]
    most = len(SCALES.get(observation.scale, ())) if observation.scale is not None else 0
    codes = [area.code for area in observation.areas]
    faults = []
    for index, area in enumerate(observation.areas):
        if not area.code.strip() or len(area.code) > CODE_MAX:
            faults.append((f"areas.{index}.code", f"must be 1 to {CODE_MAX} characters"))
        if not 0 <= area.rank <= most:
            faults.append((f"areas.{index}.rank", f"must be 0 to {most}, a place on its scale"))
    if len(set(codes)) < len(codes):
        faults.append(("areas", "name the same area twice"))
    return faults


def clean(text: str, most: int) -> str:
    """Somebody else's text as our own may be: without what no message may carry, and at most so many characters.

    What is cut off is shown to be: it ends with an ellipsis.
    """
    plain = "".join(char for char in text.replace("\r\n", "\n") if not has_control(char))
    plain = unicodedata.normalize("NFC", plain).strip()
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def clean_title(text: str) -> str:
    return clean(" ".join(text.split()), TITLE_MAX)


def clean_body(text: str) -> str:
    return clean(text, BODY_MAX)


def worst(severities: Sequence[Severity]) -> Severity:
    """The worst of these; what is not known counts for nothing."""
    return min(severities, key=SEVERITIES.index, default="unknown")
