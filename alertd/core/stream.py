"""The live stream's protocol: a client's text in, what it asks for out; and every frame a server may send.

Frames are text frames of one JSON object each (RFC 6455 section 5.6).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from alertd.core.alert import COMMENT_MAX

FRAME_MAX: Final = 16_384  # bytes of one client frame: an acknowledgement with its longest comment fits twice
REF_MAX: Final = 200


class Close(IntEnum):
    """Why the server ends a connection (application codes: RFC 6455 section 7.4.2)."""

    RESTARTING = 1012
    SIGN_IN_AGAIN = 4401
    NOT_YOURS = 4403
    TOO_SLOW = 4408


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the event log: offsets mean something within their epoch only."""

    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class AckFrame:
    alert: str
    answer: str | None
    comment: str | None
    ref: str | None
    revision: int | None = None  # which version the client had before it


@dataclass(frozen=True, slots=True)
class PingFrame:
    """A client that cannot see the protocol's own pings (a browser) asks whether the line still lives."""


@dataclass(frozen=True, slots=True)
class BadFrame:
    code: str
    message: str
    ref: str | None = None


def read_frame(text: str) -> AckFrame | PingFrame | BadFrame:
    """What a client's text frame asks for, or why it asks for nothing."""
    try:
        raw = json.loads(text)
        json.dumps(raw, ensure_ascii=False).encode()  # half a surrogate pair, escaped, is no text
    except (ValueError, RecursionError):
        return BadFrame("malformed", "a frame is one JSON object")
    if not isinstance(raw, dict):
        return BadFrame("malformed", "a frame is one JSON object")
    ref = raw.get("ref")
    if ref is not None and (not isinstance(ref, str) or len(ref) > REF_MAX):
        return BadFrame("invalid", f"ref must be a string of at most {REF_MAX} characters")
    if raw.get("type") == "ping":
        return PingFrame()
    if raw.get("type") != "ack":
        return BadFrame("unknown_type", 'a client sends {"type": "ack", "alert": …} or {"type": "ping"}', ref)
    unknown = raw.keys() - {"type", "alert", "answer", "comment", "ref", "revision"}
    if unknown:
        return BadFrame("invalid", f"unknown field {min(unknown)!r}", ref)
    alert, answer, comment = raw.get("alert"), raw.get("answer"), raw.get("comment")
    if not isinstance(alert, str):
        return BadFrame("invalid", "alert must be the id of an alert", ref)
    if answer is not None and not isinstance(answer, str):
        return BadFrame("invalid", "answer must be the id of a choice", ref)
    if comment is not None and (not isinstance(comment, str) or len(comment) > COMMENT_MAX):
        return BadFrame("invalid", f"comment must be a string of at most {COMMENT_MAX} characters", ref)
    revision = raw.get("revision")
    if revision is not None and (type(revision) is not int or revision < 1):
        return BadFrame("invalid", "revision must be a number from 1 on", ref)
    return AckFrame(alert, answer, comment, ref, revision)


def hello(position: Position) -> str:
    return _frame("hello", epoch=position.epoch, offset=position.offset)


def pong() -> str:
    return _frame("pong")


def reset() -> str:
    return _frame("reset")


def alert(offset: int, facts: Mapping[str, object]) -> str:
    return _frame("alert", offset=offset, alert=facts)


def acknowledged(alert_id: str, ref: str | None) -> str:
    return _frame("acknowledged", alert=alert_id) if ref is None else _frame("acknowledged", alert=alert_id, ref=ref)


def summary(alert_id: str, counts: Mapping[str, object]) -> str:
    return _frame("summary", **{"alert": alert_id, **counts})


def error(code: str, message: str, ref: str | None = None) -> str:
    if ref is None:
        return _frame("error", code=code, message=message)
    return _frame("error", code=code, message=message, ref=ref)


def _frame(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a connection starts: the offset that `hello` carries, whether more is replayed, whether it is reset."""

    offset: int
    replay: bool
    reset: bool


def resume(after: int | None, epoch: str | None, head: Position) -> Resume:
    """How to greet a client that was at `after` in `epoch`, when the log stands at `head`.

    A resuming client is greeted with its own position: were it the head, a line cut before the replay ends would
    lose what lies between.
    """
    if after is None:
        return Resume(head.offset, replay=False, reset=False)
    if (epoch is not None and epoch != head.epoch) or after > head.offset:
        return Resume(head.offset, replay=False, reset=True)
    return Resume(after, replay=True, reset=False)
