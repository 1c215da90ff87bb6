"""Rows as the outside sees them, and messages as people get them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

from alertd.core.acknowledgement import TOKEN_LENGTH, Way, link_way, make_token
from alertd.core.alert import Ask, Choice, Content, Language
from alertd.core.escalation import Step
from alertd.core.message import LINK, Message, Rendered, render, short_segments
from alertd.service.runtime import Runtime
from alertd.store.rows import Row


@lru_cache(maxsize=1_000)  # what is kept in one commit has one time
def moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z" if at else None


def post(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "board": row["board_id"],
        "title": row["title"],
        "body": row["body"],
        "urgent": row["urgent"],
        "drill": row["drill"],
        "audience": row["audience"],
        "author": {"id": row["author_id"], "name": row["author_name"]},
        "created_at": moment(row["created_at"]),
        "alert": row["alert_id"],
    }


def alert(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "post": row["post_id"],
        "kind": row["kind"],
        "state": row["state"],
        "revision": row["revision"],
        "revision_kind": row["revision_kind"],
        "title": row["title"],
        "body": row["body"],
        "severity": row["severity"],
        "urgency": row["urgency"],
        "certainty": row["certainty"],
        "drill": row["drill"],
        "ask": row["ask"],
        "plan": row["plan"],
        "audience": row["audience"],
        "recipients": row["recipients"],
        "issued_by": row["issued_by"],
        "sent_at": moment(row["sent_at"]),
        "expires_at": moment(row["expires_at"]),
        "closed_at": moment(row["closed_at"]),
    }


def run(row: Mapping[str, Any], step: Step) -> dict[str, Any]:
    """One line of an alert's timetable: a run of `step`."""
    return {
        "step": row["step"],
        "repeat": row["repeat"],
        "channels": list(step.channels),
        "to": step.to,
        "asked_by": step.asked_by,
        "due_at": moment(row["due_at"]),
        "started_at": moment(row["started_at"]),
        "deliveries": row["deliveries"],
    }


def facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the live stream says of an alert."""
    return {
        "id": row["id"],
        "kind": row["kind"],
        "revision": row["revision"],
        "revision_kind": row["revision_kind"],
        "title": row["title"],
        "body": row["body"],
        "severity": row["severity"],
        "drill": row["drill"],
        "ask": row["ask"],
        "sent_at": moment(row["sent_at"]),
        "expires_at": moment(row["expires_at"]),
        "state": row["state"],
    }


def ask_as_json(ask: Ask | None) -> dict[str, Any] | None:
    if ask is None:
        return None
    choices = [{"id": choice.id, "label": choice.label} for choice in ask.choices]
    return {"question": ask.question, "choices": choices}


def ask_from_json(raw: Mapping[str, Any] | None) -> Ask | None:
    if raw is None:
        return None
    return Ask(raw["question"], tuple(Choice(choice["id"], choice["label"]) for choice in raw["choices"]))


def link_length(rt: Runtime) -> int:
    return len(f"{rt.public_url}/a/") + TOKEN_LENGTH


def rendered(rt: Runtime, content: Content, language: str, channel: str) -> Rendered:
    """An alert's text for one language and channel, not yet personal."""
    return render(content, cast("Language", language), rt.budgets[channel], link_length=link_length(rt), zone=rt.zone)


def personal(rt: Runtime, text: Rendered, recipient_id: int, channel: str, delivery_id: int) -> Message:
    """The copy of one delivery to one recipient: the same at every attempt."""
    token = make_token(recipient_id, link_way(channel), rt.tokens)
    beacon = make_token(delivery_id, Way.BEACON, rt.tokens)
    return text.personal(f"{rt.public_url}/a/{token}", token, f"{rt.public_url}/b/{beacon}")


def short_length(rt: Runtime, text: Rendered) -> tuple[int, int]:
    """How many characters one copy of a short message has, its link included, and how many parts."""
    length = link_length(rt)
    return len(text.text.replace(LINK, "x" * length)), short_segments(text, length)


def segments(rt: Runtime, content: Content, language: str) -> int:
    """SMS parts of one copy in `language`."""
    return short_segments(rendered(rt, content, language, "sms"), link_length(rt))
