"""Bounces: what a relay reports of a letter that it took over (RFC 3464), as mail programs really write it."""

import quopri
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from typing import Final

from alertd.core.delivery import Receipt
from alertd.core.mail import BOUNDED
from channels.base import one_line

BOUNCE_MAX: Final = 1_000_000  # bytes; letters of ours are far smaller, and a bounce quotes one at most
# The address will not be there tomorrow either. Other 5.x.x are about this letter, this hour or the relay between.
NEVER_AGAIN: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
_ENHANCED: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")  # RFC 3463
_FIELD: Final = re.compile(r"^([A-Za-z][A-Za-z0-9-]*)[ \t]*:(.*(?:\n[ \t].*)*)", re.MULTILINE)
_DEPTH_MAX: Final = 5
_PARTS_MAX: Final = 100
_BODY_MAX: Final = 100_000  # bytes of one delivery-status part
_BLOCKS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class _Report:
    """What is said of one recipient."""

    action: str
    status: str
    words: str


def parse_bounce(raw: bytes, provider_id: str) -> Receipt | None:
    """The news in a message that came to the return path of the letter `provider_id`; None when it is no report.

    Several recipients (an alias of theirs) are one person's mailbox to us: one that arrived is enough, and the address
    is given up only when every one of them is. Never raises, whatever it is given.
    """
    if len(raw) > BOUNCE_MAX:
        return None
    try:
        parts = list(_report_parts(message_from_bytes(raw, policy=BOUNDED), 0))[:_PARTS_MAX]
        reports = [report for part in parts for report in _reports(part)]
    except Exception:  # anybody can send anything here, and the library breaks on garbage in ways of its own
        return None
    return _receipt(reports, provider_id) if reports else None


def _receipt(reports: list[_Report], provider_id: str) -> Receipt:
    actions = {report.action for report in reports}
    if "delivered" in actions:
        return Receipt(provider_id, True)
    if actions != {"failed"}:
        return Receipt(provider_id, None)
    retire = all(report.status in NEVER_AGAIN for report in reports)
    # What is shown is about the one that keeps the address alive, if there is one.
    telling = next((report for report in reports if report.status not in NEVER_AGAIN), reports[0])
    words = one_line(telling.words) or telling.status or "without a reason"
    return Receipt(provider_id, False, one_line(f"bounced: {words}"), retire=retire)


def _report_parts(message: Message, depth: int) -> Iterator[Message]:
    """The delivery-status parts of a report, also of one in a frame that a gateway put round it.

    Not of one that a message quotes or forwards: that is old news, and about something else.
    """
    if not message.is_multipart() or message.get_content_maintype() != "multipart" or depth > _DEPTH_MAX:
        return
    parts = [part for part in message.get_payload() if isinstance(part, Message)]
    if message.get_content_type() == "multipart/report":
        kind = str(message.get_param("report-type", "delivery-status")).lower()
        if kind in ("delivery-status", "global-delivery-status"):
            names = ("message/delivery-status", "message/global-delivery-status")
            yield from (part for part in parts if part.get_content_type() in names)
        return
    for part in parts:
        yield from _report_parts(part, depth + 1)


def _reports(part: Message) -> Iterator[_Report]:
    for block in re.split(r"\n[ \t]*\n", _body(part))[:_BLOCKS_MAX]:
        fields: dict[str, str] = {}
        for name, value in _FIELD.findall(block):
            fields.setdefault(name.lower(), " ".join(value.split()))
        action = re.match("[a-z]*", fields.get("action", "").lower())
        if action is not None and action.group() in ("failed", "delayed", "delivered", "relayed", "expanded"):
            words = re.sub(r"^\s*[\w.-]+\s*;\s*", "", fields.get("diagnostic-code", ""))
            yield _Report(action.group(), _status(fields.get("status", ""), words), words)


def _status(field: str, words: str) -> str:
    """The enhanced status code; where the field says nothing (Exim: 5.0.0), the one that the other side answered."""
    found = _ENHANCED.search(field)
    if found and not found.group(1).endswith(".0.0"):
        return found.group(1)
    answered = _ENHANCED.search(words)
    return answered.group(1) if answered else found.group(1) if found else ""


def _body(part: Message) -> str:
    """The text of a delivery-status part, whose blocks the library takes for messages in a message."""
    raw = part.as_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")[2][:_BODY_MAX]
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding == "base64":
        raw = b64decode(re.sub(rb"\s", b"", raw))
    elif encoding == "quoted-printable":
        raw = quopri.decodestring(raw)
    return raw.decode("utf-8", "replace").replace("\r\n", "\n").strip("\n")
