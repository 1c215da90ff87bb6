"""What a program of the town's own says: observations in our own words, as JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alertd.core.alert import BODY_MAX, TITLE_MAX, Severity
from alertd.core.observation import (
    AREAS_MAX,
    Area,
    Observation,
    ObservationKind,
    Scale,
    Standing,
    clean_body,
    clean_title,
)
from alertd.sources.json import members, observe, parse

ITEMS_MAX: Final = 200

_Word = Annotated[str, Field(max_length=500)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Area(_Strict):
    code: _Word
    name: _Word = ""
    rank: int = 0
    words: _Word = ""


class ObservationBody(_Strict):
    """One observation. Left out, `incident` is its id and `version` the time at which it was made."""

    id: _Word
    incident: _Word = ""
    version: int | None = None
    kind: ObservationKind = "new"
    standing: Standing
    title: Annotated[str, Field(max_length=10 * TITLE_MAX)]
    body: Annotated[str, Field(max_length=5 * BODY_MAX)] = ""
    observed_at: AwareDatetime
    severity: Severity = "unknown"
    type: _Word = ""
    hazard: _Word = ""
    author: _Word = ""
    scale: Scale | None = None
    areas: Annotated[list[_Area], Field(max_length=AREAS_MAX)] = []
    expires_at: AwareDatetime | None = None
    references: Annotated[list[_Word], Field(max_length=100)] = []
    known_as: Annotated[list[_Word], Field(max_length=100)] = []
    url: Annotated[str, Field(max_length=2_000)] = ""
    level: int = 0
    fields: dict[_Word, Annotated[str, Field(max_length=2_000)]] = {}

    def observation(self) -> Observation:
        observed_at = self.observed_at.astimezone(UTC)
        values: dict[str, Any] = {
            **self.model_dump(exclude={"areas", "references", "known_as"}),
            "incident": self.incident or self.id,
            "version": self.version if self.version is not None else _milliseconds(observed_at),
            "title": clean_title(self.title),
            "body": clean_body(self.body),
            "observed_at": observed_at,
            "expires_at": self.expires_at.astimezone(UTC) if self.expires_at else None,
            "areas": tuple(Area(**area.model_dump()) for area in self.areas),
            "references": tuple(self.references),
            "known_as": tuple(self.known_as),
        }
        return Observation(**values)


class _Many(_Strict):
    items: Annotated[list[ObservationBody], Field(max_length=ITEMS_MAX)]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


def read(raw: bytes) -> Sequence[Observation]:
    """One observation, or `{"items": [...]}` of some."""
    bodies = parse(raw, _Many).items if "items" in members(raw) else [parse(raw, ObservationBody)]
    return observe(lambda: [body.observation() for body in bodies])
