"""Our alerts in the Common Alerting Protocol 1.2 (OASIS, 2010-07-01), for whoever listens."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from alertd.core.alert import DRILL_MARK, REVISION_MARK, Ask, Content, RevisionKind

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
ATOM: Final = "http://www.w3.org/2005/Atom"
MEDIA: Final = "application/cap+xml"

_TYPES: Final[dict[RevisionKind, str]] = {"alert": "Alert", "update": "Update", "cancel": "Cancel"}
_JAPANESE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
# XML 1.0 section 2.2: what no document may hold, however it is written.
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Said:
    """One revision of an alert as others name it."""

    alert_id: str
    revision: int
    sent_at: datetime

    @property
    def identifier(self) -> str:
        return f"{self.alert_id}.{self.revision}"


def message(content: Content, earlier: Sequence[Said], *, sender: str, zone: tzinfo, url: str) -> bytes:
    """A revision of an alert as a CAP document. `earlier` are the revisions before it, `url` is where it is looked at.

    A drill is an Exercise and says so in its headline as well. It is Restricted: meant for staff, not for the public.
    """
    root = Element("alert", {"xmlns": NAMESPACE})
    said = Said(content.alert_id, content.revision, content.sent_at)
    _add(root, "identifier", said.identifier)
    _add(root, "sender", sender)
    _add(root, "sent", _time(content.sent_at, zone))
    _add(root, "status", "Exercise" if content.drill else "Actual")
    _add(root, "msgType", _TYPES[content.revision_kind])
    _add(root, "scope", "Restricted")
    _add(root, "restriction", content.organisation or sender)
    if earlier:
        _add(
            root, "references", " ".join(f"{sender},{each.identifier},{_time(each.sent_at, zone)}" for each in earlier)
        )
    _add_info(SubElement(root, "info"), content, zone, url)
    return _document(root)


def _add_info(info: Element, content: Content, zone: tzinfo, url: str) -> None:
    is_japanese = _JAPANESE.search(content.title + content.body) is not None
    _add(info, "language", "ja" if is_japanese else "en")
    _add(info, "category", "Safety")
    _add(info, "event", content.title)
    if content.revision_kind == "cancel":
        _add(info, "responseType", "AllClear")
    _add(info, "urgency", "Past" if content.revision_kind == "cancel" else "Immediate")
    _add(info, "severity", content.severity.capitalize())
    _add(info, "certainty", "Observed")
    _add(info, "expires", _time(content.expires_at, zone))
    if content.organisation:
        _add(info, "senderName", content.organisation)
    mark = DRILL_MARK["ja" if is_japanese else "en"] if content.drill else ""
    _add(info, "headline", mark + content.title.removeprefix(mark))
    _add(info, "description", content.body)
    if content.ask is not None:
        _add(info, "instruction", _question(content.ask))
    _add(info, "web", url)


def _question(ask: Ask) -> str:
    return f"{ask.question} ({' / '.join(choice.label for choice in ask.choices)})"


@dataclass(frozen=True, slots=True)
class Entry:
    """A revision in the feed."""

    said: Said
    kind: RevisionKind
    title: str
    drill: bool
    url: str  # of its CAP document


def feed(entries: Sequence[Entry], *, title: str, url: str, updated_at: datetime) -> bytes:
    """An Atom feed (RFC 4287) of these revisions, each with a link to its CAP document."""
    root = Element("feed", {"xmlns": ATOM})
    _add(root, "id", url)
    _add(root, "title", title)
    _add(root, "updated", updated_at.isoformat())
    SubElement(root, "link", {"rel": "self", "href": url})
    author = SubElement(root, "author")
    _add(author, "name", title)
    for each in entries:
        entry = SubElement(root, "entry")
        _add(entry, "id", each.url)
        mark = DRILL_MARK["ja"] if each.drill else ""
        _add(entry, "title", mark + REVISION_MARK[each.kind]["ja"] + each.title.removeprefix(mark))
        _add(entry, "updated", each.said.sent_at.isoformat())
        SubElement(entry, "link", {"rel": "alternate", "type": MEDIA, "href": each.url})
    return _document(root)


def _add(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = _FORBIDDEN.sub("\ufffd", text)


def _time(moment: datetime, zone: tzinfo) -> str:
    """Section 3.3.2: seconds, and a numeric offset; that of UTC is -00:00."""
    return re.sub(r"\+00:00$", "-00:00", moment.astimezone(zone).isoformat(timespec="seconds"))


def _document(root: Element) -> bytes:
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))
