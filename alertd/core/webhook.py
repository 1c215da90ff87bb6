"""What others' systems are told, and how it is signed: Standard Webhooks 1.0.0, github.com/standard-webhooks."""

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from alertd.core.alert import RevisionKind, headline

Type = Literal["alert.created", "alert.revised", "alert.counts"]
TYPES: Final[tuple[Type, ...]] = ("alert.created", "alert.revised", "alert.counts")
PING: Final = "webhook.ping"
COUNTS: Final = ("recipients", "acknowledged", "outstanding", "unreachable", "answers")
"""What is told of an alert's summary, in its own words."""

SECRET_BYTES: Final = 32  # the standard takes 24 to 64
_KEY_PREFIX: Final = "whsec_"
# As the standard proposes it under "Deliverability and reliability", but for its last days: nobody waits that long.
_PAUSES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)


def make_secret(randomness: bytes) -> str:
    """A secret as both sides keep it, from SECRET_BYTES random bytes."""
    return _KEY_PREFIX + base64.b64encode(randomness).decode()


def headers(reference: str, at: datetime, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """What goes before a message in an attempt at `at`; signed with each secret, so that one can follow another."""
    stamp = str(int(at.timestamp()))
    signed = f"{reference}.{stamp}.{body}".encode()
    signatures = [
        base64.b64encode(hmac.digest(base64.b64decode(secret.removeprefix(_KEY_PREFIX)), signed, "sha256")).decode()
        for secret in secrets
    ]
    return {
        "webhook-id": reference,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def pause_after(tries: int) -> timedelta | None:
    """How long to wait after so many attempts in vain; None: it is given up, about a day after the first."""
    return _PAUSES[tries - 1] if tries <= len(_PAUSES) else None


def body(kind: str, at: datetime, data: Mapping[str, Any]) -> str:
    """A message of that type, about what happened at `at`."""
    told = {"type": kind, "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"), "data": data}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def said(facts: Mapping[str, Any], url: str) -> dict[str, Any]:
    """What an alert says, from the facts of its event. A drill is one in its title, too: some show nothing else."""
    return {**_told_of(facts, facts["revision_kind"], url), "kind": facts["revision_kind"]}


def expired(facts: Mapping[str, Any], url: str) -> dict[str, Any]:
    """That an alert is over because its time was."""
    return {**_told_of(facts, "alert", url), "kind": "expired"}


def _told_of(facts: Mapping[str, Any], kind: RevisionKind, url: str) -> dict[str, Any]:
    kept = ("id", "revision", "drill", "state", "severity", "body", "ask", "sent_at", "expires_at")
    title = headline(facts["title"], drill=facts["drill"], language="ja", revision_kind=kind)
    return {**{name: facts[name] for name in kept}, "title": title, "url": url}


def counted(facts: Mapping[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """How many have answered an alert, `counts` being of its summary."""
    return {**{name: facts[name] for name in ("id", "revision", "drill", "state")}, **counts}
