"""Plain mail (RFC 5322, MIME), for whatever can send nothing else. Who it says it is from is no proof of anything."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import EmailMessage
from typing import Final

from alertd.core.observation import ID_MAX, Observation, ObservationKind, clean, clean_body, clean_title
from alertd.sources.base import Unreadable, require_size
from alertd.sources.drill_words import standing_of
from alertd.sources.html import to_text
from alertd.sources.json import observe

_PARTS_MAX: Final = 200
_REFERENCES_MAX: Final = 999
_NAME: Final = re.compile(r"<([^<>\s]{1,400})>")
_ANSWER: Final = re.compile(r"\A(?:\s*(?:re|fw|fwd|返信|転送)\s*[:：])+\s*", re.IGNORECASE)
# An end is believed where it stands first and in brackets, and in answer to what it ends.
_END: Final = re.compile(
    r"\A[【\[](?:解除|取消|取り消し|終了|復旧|cancel(?:led)?|all clear|resolved)[】\]]", re.IGNORECASE
)


def read(raw: bytes) -> Sequence[Observation]:
    """A mail as one observation; an answer to an earlier one is about the same, and comes after it."""
    require_size(raw)
    try:
        letter = message_from_bytes(raw, policy=policy.default)
        return observe(lambda: [_observation(letter, raw)])
    except (MessageError, RecursionError, ValueError, LookupError, AttributeError, TypeError, IndexError) as error:
        if isinstance(error, Unreadable):
            raise
        # Of what is broken enough the library's own parser breaks.
        raise Unreadable(f"this is no mail that can be read: {type(error).__name__}") from None


def _observation(letter: EmailMessage, raw: bytes) -> Observation:
    subject = " ".join(str(letter.get("Subject", "")).split())
    title = _ANSWER.sub("", subject)
    own = _names(letter, "Message-ID")
    name = own[0] if own else hashlib.sha256(raw).hexdigest()[:32]
    references = [*_names(letter, "References"), *_names(letter, "In-Reply-To")]
    sent_at = _sent_at(letter)
    kind: ObservationKind = "changed" if references else "new"
    if references and _END.match(title):
        kind = "withdrawn"
    return Observation(
        id=_key(name),
        incident=_key(references[0] if references else name),
        references=tuple(_key(each) for each in references[:_REFERENCES_MAX]),
        # An answer knows more letters than what it answers: that tells two of one second apart.
        version=int(sent_at.timestamp()) * 1_000 + min(len(references), _REFERENCES_MAX),
        kind=kind,
        standing=standing_of(subject),
        title=clean_title(title),
        body=_body(letter),
        observed_at=sent_at,
        type="mail",
        author=_author(letter),
    )


def _key(name: str) -> str:
    return clean(f"mail:{name}", ID_MAX)


def _names(letter: EmailMessage, field: str) -> list[str]:
    return _NAME.findall(str(letter.get(field, "")))


def _sent_at(letter: EmailMessage) -> datetime:
    date = getattr(letter.get("Date"), "datetime", None)
    if date is None:
        raise Unreadable("a mail must have a Date (RFC 5322 section 3.6.1)")
    moment: datetime = date
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _author(letter: EmailMessage) -> str:
    addresses = getattr(letter.get("From"), "addresses", ())
    return clean(addresses[0].addr_spec.lower(), 200) if addresses else ""


def _body(letter: EmailMessage) -> str:
    parts = list(_leaves(letter))
    texts = [each for each in parts if each.get_content_type() == "text/plain" and not each.is_attachment()]
    pages = [each for each in parts if each.get_content_type() == "text/html" and not each.is_attachment()]
    text = _text(texts[0]) if texts else to_text(_text(pages[0])) if pages else ""
    files = [each.get_filename() for each in parts if each.is_attachment() and each.get_filename()]
    return clean_body("\n\n".join(filter(None, [text, "\n".join(f"添付：{clean(str(name), 200)}" for name in files)])))


def _leaves(letter: EmailMessage) -> Iterator[EmailMessage]:
    for count, part in enumerate(letter.walk()):
        if count == _PARTS_MAX:
            raise Unreadable(f"the mail has more than {_PARTS_MAX} parts")
        if not part.is_multipart() and isinstance(part, EmailMessage):
            yield part


def _text(part: EmailMessage) -> str:
    """The text of a part, whatever it says of its letters."""
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    charset = str(part.get_content_charset("utf-8"))
    # What says ISO-2022-JP or Shift_JIS has, in Japan, additions such as ①.
    more = {"iso-2022-jp": ("iso2022_jp", "iso2022_jp_2004"), "shift_jis": ("cp932",)}
    for name in (*more.get(charset, (charset,)), "utf-8"):
        try:
            return raw.decode(name).replace("\r\n", "\n")
        except (LookupError, UnicodeDecodeError):
            continue
    return raw.decode("utf-8", "replace").replace("\r\n", "\n")
