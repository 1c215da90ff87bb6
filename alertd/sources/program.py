"""What a program of the town's own says: observations in our own words, as JSON."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

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
    observation_faults,
)
from alertd.sources.base import MESSAGE_MAX, Unreadable

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
    url: Annotated[str, Field(max_length=2_000)] = ""
    level: int = 0
    fields: dict[_Word, Annotated[str, Field(max_length=2_000)]] = {}

    def observation(self) -> Observation:
        observed_at = self.observed_at.astimezone(UTC)
        values: dict[str, Any] = {
            **self.model_dump(exclude={"areas", "references"}),
            "incident": self.incident or self.id,
            "version": self.version if self.version is not None else _milliseconds(observed_at),
            "title": clean_title(self.title),
            "body": clean_body(self.body),
            "observed_at": observed_at,
            "expires_at": self.expires_at.astimezone(UTC) if self.expires_at else None,
            "areas": tuple(Area(**area.model_dump()) for area in self.areas),
            "references": tuple(self.references),
        }
        return Observation(**values)


class _Many(_Strict):
    items: Annotated[list[ObservationBody], Field(max_length=ITEMS_MAX)]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


def read(raw: bytes) -> Sequence[Observation]:
    """One observation, or `{"items": [...]}` of some."""
    if len(raw) > MESSAGE_MAX:
        raise Unreadable(f"the message has more than {MESSAGE_MAX} bytes")
    try:
        is_many = isinstance(found := json.loads(raw), dict) and "items" in found
    except RecursionError:
        raise Unreadable("this is not JSON: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"this is not JSON: {error.msg}", error.lineno) from None
    except UnicodeDecodeError:
        raise Unreadable("this is not JSON: it is not UTF-8") from None
    try:
        bodies = (_Many.model_validate_json(raw).items) if is_many else [ObservationBody.model_validate_json(raw)]
    except ValidationError as error:
        raise Unreadable("; ".join(_worded(fault) for fault in error.errors()[:10])) from None
    try:
        observations = [body.observation() for body in bodies]
    except OverflowError:
        raise Unreadable("a time lies beyond what can be reckoned with") from None
    faults = [fault for observation in observations for fault in observation_faults(observation)]
    if faults:
        raise Unreadable("; ".join(f"{field}: {message}" for field, message in faults[:10]))
    return observations


def _worded(fault: Any) -> str:
    return f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
