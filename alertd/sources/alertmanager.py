"""What Prometheus' Alertmanager sends to a webhook (its documentation, `webhook_config`, version 4 of the payload)."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alertd.core.alert import Severity
from alertd.core.observation import Observation, clean, clean_body, clean_title, worst
from alertd.sources.json import observe, parse

ALERTS_MAX: Final = 1_000
_NAMED: Final = 50  # alerts of a group that are told one by one
_FIELD_MAX: Final = 2_000

_Texts = dict[str, str]
# What people commonly call their `severity`; any other word is left to the rule.
_SEVERITIES: Final[dict[str, Severity]] = {
    "critical": "severe",
    "page": "severe",
    "error": "moderate",
    "warning": "moderate",
    "info": "minor",
}


class _Part(BaseModel):
    # Later versions may say more than we read.
    model_config = ConfigDict(extra="ignore")


class _Alert(_Part):
    status: Literal["firing", "resolved"]
    labels: _Texts = {}
    annotations: _Texts = {}
    startsAt: AwareDatetime
    endsAt: AwareDatetime

    @property
    def changed_at(self) -> datetime:
        """When it came to be what it is."""
        return self.startsAt if self.status == "firing" else self.endsAt

    @property
    def name(self) -> str:
        return self.annotations.get("summary") or self.labels.get("alertname", "")


class _Group(_Part):
    version: Literal["4"]
    groupKey: Annotated[str, Field(min_length=1, max_length=20_000)]
    status: Literal["firing", "resolved"]
    truncatedAlerts: int = 0
    groupLabels: _Texts = {}
    commonLabels: _Texts = {}
    commonAnnotations: _Texts = {}
    externalURL: str = ""
    alerts: Annotated[list[_Alert], Field(min_length=1, max_length=ALERTS_MAX)]


def read(raw: bytes) -> Sequence[Observation]:
    """A group of alerts as one observation: its incident is the group, its end is when all of it is resolved.

    A notification that says nothing new (`repeat_interval`) is the same observation again.
    """
    group = parse(raw, _Group)
    return observe(lambda: [_observation(group)])


def _observation(group: _Group) -> Observation:
    key = hashlib.sha256(group.groupKey.encode(errors="replace")).hexdigest()[:32]
    changed_at = max(alert.changed_at for alert in group.alerts).astimezone(UTC)
    firing = [alert for alert in group.alerts if alert.status == "firing"]
    return Observation(
        id=f"alertmanager:{key}",
        incident=f"alertmanager:{key}",
        version=int(changed_at.timestamp() * 1_000),
        kind="withdrawn" if group.status == "resolved" else "new",
        standing="actual",  # a monitoring system holds no drills
        title=_title(group),
        body=_body(firing or group.alerts, group.truncatedAlerts),
        observed_at=changed_at,
        severity=worst([_SEVERITIES.get(alert.labels.get("severity", "").lower(), "unknown") for alert in firing]),
        type=clean(group.commonLabels.get("alertname", ""), 200),
        url=clean(group.externalURL, _FIELD_MAX) if group.externalURL.startswith(("http://", "https://")) else "",
        fields={clean(name, 200): clean(value, _FIELD_MAX) for name, value in group.commonLabels.items()},
    )


def _title(group: _Group) -> str:
    common = group.commonAnnotations.get("summary") or group.commonLabels.get("alertname")
    labels = " ".join(group.groupLabels.values())
    return clean_title(common or labels or group.alerts[0].name or group.groupKey)


def _body(alerts: Sequence[_Alert], truncated: int) -> str:
    lines = [alert.annotations.get("description") or alert.name for alert in alerts[:_NAMED]]
    more = max(0, len(alerts) - _NAMED) + max(0, truncated)
    return clean_body("\n".join([*filter(None, dict.fromkeys(lines)), *([f"(+{more})"] if more else [])]))
