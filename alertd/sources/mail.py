"""A mail (RFC 5322) as an observation: what it says of itself, in Japanese encodings as they are really written.

Nothing in a mail proves who wrote it: whoever knows the source's address may have.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import parseaddr, parsedate_to_datetime
from typing import Final

from alertd.core.drill_words import standing_of
from alertd.core.mail import BOUNDED
from alertd.core.observation import ID_MAX, Observation, ObservationKind, Standing, clean, clean_body, clean_title
from alertd.sources.base import Unreadable, require_size
from alertd.sources.html import to_text
from alertd.sources.json import observe

MAIL_MAX: Final = 12_000_000  # bytes: above what Postfix takes by default (message_size_limit, 10,240,000)
_BOUNDARIES_MAX: Final = 100  # the library's time grows with their number times the lines
_PARTS_MAX: Final = 200
_REFERENCES_MAX: Final = 100
_TEXT_MAX: Final = 400_000  # bytes of text that are looked at
_NAMES_MAX: Final = 20
_NAME_MAX: Final = 200
_NOBODY: Final = "(no From)"  # no address: none that a rule names
_LATE_MOST: Final = timedelta(days=1)  # between Date and our own mail server
_FAST_MOST: Final = timedelta(minutes=5)  # that a sender's clock may be
_YEARS: Final = range(2000, 9000)

# What Japanese mail says and what it means by it: with ① and 髙, which the standards themselves lack.
_CODECS: Final = {
    **dict.fromkeys(("shift_jis", "shift-jis", "x-sjis", "sjis", "windows-31j", "cp932", "ms932"), "cp932"),
    **dict.fromkeys(("iso-2022-jp", "iso-2022-jp-1", "iso-2022-jp-ms", "cp50220", "cp50221"), "iso2022_jp_ext"),
    **dict.fromkeys(("euc-jp", "x-euc-jp", "eucjp-ms"), "euc_jis_2004"),
    **dict.fromkeys(("iso-8859-1", "windows-1252"), "cp1252"),
    **{"iso-8859-15": "iso8859_15", "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030"},
    **{"big5": "big5", "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "utf-16": "utf_16"},
}
_GUESSED: Final = ("utf-8", "iso2022_jp_2004", "cp932")

_MESSAGE_ID: Final = re.compile(r"<([^<>\s]{1,400})>")
# Said in so many words in the text, which a subject need not repeat.
_DRILL_TEXT: Final = re.compile(
    r"これは[^。\n]{0,20}訓練(?!(?:など)?(?:では|で|じゃ)(?:ない|なく|ありません))|\bthis is (?:a drill|an exercise)\b",
    re.IGNORECASE,
)
_ANSWER: Final = re.compile(r"\A(?:\s*(?:re|fwd?|返信|転送)\s*[:：])+\s*", re.IGNORECASE)
_OVER: Final = re.compile(
    r"[【\[]\s*(?:解除|取消|取り消し|cancel(?:l?ed)?|all clear)\s*[】\]]"
    r"|^(?!re:).*(?<!一部)(?:解除|取消|取り消し)(?:しました|されました|のお知らせ)。?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Letter:
    """What there is in a mail, decoded."""

    id: str
    references: tuple[str, ...]  # the oldest first
    subject: str
    author: str
    sent_at: datetime | None
    received_at: datetime | None  # as the last mail server says, which is the town's own
    text: str
    attached: tuple[str, ...]
    refusal: str  # why it must never become an alert; "" for nothing against it


def read(raw: bytes) -> Sequence[Observation]:
    """The one observation that a mail is. Raises Unreadable."""
    require_size(raw, MAIL_MAX)
    if raw.lower().count(b"boundary") > _BOUNDARIES_MAX:
        raise Unreadable(f"the mail has more than {_BOUNDARIES_MAX} boundaries")
    try:
        letter = _letter(message_from_bytes(raw, policy=BOUNDED), raw)
    except Unreadable:
        raise
    except Exception as error:  # anybody can send anything here, and the library breaks on garbage in ways of its own
        raise Unreadable(f"this is not a mail that can be read ({type(error).__name__})") from None
    if letter.refusal:
        raise Unreadable(letter.refusal)
    return observe(lambda: [_observation(letter)])


def _observation(letter: _Letter) -> Observation:
    came_at = letter.received_at or letter.sent_at
    if came_at is None:
        raise Unreadable("neither Date nor Received says when it was sent")
    lines = [letter.text, "\n".join(f"📎 {name}" for name in letter.attached)]
    return Observation(
        id=letter.id,
        incident=letter.references[0] if letter.references else letter.id,
        # By our own mail server's clock, in seconds; within one, whoever refers to more is later.
        version=int(came_at.timestamp()) * 1_000 + len(letter.references),
        kind=_kind(letter),
        standing=_standing(letter),
        title=clean_title(_ANSWER.sub("", letter.subject))
        or clean_title(letter.text.strip().partition("\n")[0])
        or "（件名なし）",
        body=clean_body("\n\n".join(filter(None, lines))),
        observed_at=_observed_at(letter, came_at),
        author=letter.author or _NOBODY,
        references=letter.references,
        fields={"attachments": ", ".join(letter.attached)} if letter.attached else {},
    )


def _kind(letter: _Letter) -> ObservationKind:
    """Only what belongs to an earlier mail can end it; what seems to end nothing that we know of is news."""
    if not letter.references:
        return "new"
    return "withdrawn" if _OVER.search(_plain(letter.subject)) else "changed"


def _standing(letter: _Letter) -> Standing:
    if _DRILL_TEXT.search(_plain(letter.text)):
        return "drill"
    return standing_of(letter.subject)


def _plain(text: str) -> str:
    """In one width: ［ＤＲＩＬＬ］ is [DRILL]."""
    return unicodedata.normalize("NFKC", text)


def _observed_at(letter: _Letter, came_at: datetime) -> datetime:
    """When its sender says, if that can be."""
    said = letter.sent_at
    return said if said is not None and came_at - _LATE_MOST <= said <= came_at + _FAST_MOST else came_at


# What there is in it


def _letter(message: Message, raw: bytes) -> _Letter:
    named = _MESSAGE_ID.search(_header(message, "message-id"))
    text, attached = _text_and_attached(message)
    return _Letter(
        # The same mail is handed in with the same bytes when it is handed in again.
        id=_reference(named[1]) if named else f"sha256:{hashlib.sha256(raw).hexdigest()}",
        references=_references(message),
        subject=_words(_header(message, "subject")),
        author=clean(parseaddr(_words(_header(message, "from")))[1].lower(), _NAME_MAX),
        sent_at=_moment(_header(message, "date")),
        received_at=_moment(_header(message, "received").rpartition(";")[2]),
        text=text,
        attached=attached,
        refusal=_refusal(message),
    )


def _refusal(message: Message) -> str:
    if "X-Alertd-Alert" in message:
        return "this is an alert's own letter: it came back"
    if _header(message, "auto-submitted").lower().startswith("auto-replied"):  # RFC 3834 section 5
        return "this is an automatic reply"
    return "this is a report of delivery" if message.get_content_type() == "multipart/report" else ""


def _references(message: Message) -> tuple[str, ...]:
    """Whom it follows (RFC 5322 section 3.6.4)."""
    found = _MESSAGE_ID.findall(_header(message, "references") + _header(message, "in-reply-to"))
    return tuple(dict.fromkeys(map(_reference, found)))[:_REFERENCES_MAX]


def _reference(message_id: str) -> str:
    return clean(message_id, ID_MAX) or f"sha256:{hashlib.sha256(message_id.encode(errors='replace')).hexdigest()}"


def _header(message: Message, name: str) -> str:
    """The first field of that name as it was written, on one line; bytes that are no ASCII as surrogates."""
    found = next((str(value) for each, value in message.raw_items() if each.lower() == name), "")
    return re.sub(r"[\r\n]+", "", found).strip()


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.year not in _YEARS:
        return None
    # -0000: in UTC, and where it was is not said (RFC 5322 section 3.3).
    return (moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _words(text: str) -> str:
    """A header field's text: encoded words (RFC 2047), or bytes that should not be there."""
    plain = _decode(text.encode("utf-8", "surrogateescape"), None)
    try:
        pieces = decode_header(plain)
    except HeaderParseError:  # a word that says base64 and is not
        return plain
    return "".join(
        piece if isinstance(piece, str) else _decode(piece, charset) if charset else _beside_words(piece)
        for piece, charset in pieces
    )


def _beside_words(piece: bytes) -> str:
    """What stands unencoded beside encoded words: in the library's own writing, where it is no ASCII."""
    return piece.decode("raw-unicode-escape", "replace")


def _decode(raw: bytes, charset: str | None) -> str:
    """Text in the encoding that it says it has, else in the first of the usual ones that it can be in."""
    said = _CODECS.get((charset or "").lower())
    for codec in (said, *_GUESSED):
        # JIS X 0213 has what Japanese mail adds to JIS X 0208, such as ①, at the same places.
        wide = raw.replace(b"\x1b$B", b"\x1b$(Q") if codec == "iso2022_jp_2004" else raw
        is_jis = b"\x1b$" in raw or b"\x1b(" in raw
        if codec is None or is_jis is not codec.startswith("iso2022"):
            continue
        try:
            return wide.decode(codec)
        except UnicodeDecodeError:
            continue
    return raw.decode(said or "utf-8", "replace")


def _leaves(message: Message) -> Iterator[Message]:
    """The parts that hold something, in their order; a mail within the mail is one."""
    left, count = [message], 0
    while left:
        part, count = left.pop(), count + 1
        if count > _PARTS_MAX:
            raise Unreadable(f"the mail has more than {_PARTS_MAX} parts")
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            left.extend(each for each in reversed(inner) if isinstance(each, Message))
        else:
            yield part


def _text_and_attached(message: Message) -> tuple[str, tuple[str, ...]]:
    """What it says, as plain text, and the names of what hangs on it."""
    texts: dict[str, str] = {}
    attached: list[str] = []
    for part in _leaves(message):
        kind, name = part.get_content_type(), part.get_filename()
        if name or part.get_content_disposition() == "attachment" or part.get_content_maintype() == "message":
            attached.append(clean(" ".join(_words(name or kind).split()), _NAME_MAX))
        elif kind in ("text/plain", "text/html") and not texts.get(kind):
            payload = part.get_payload(decode=True)
            raw = payload if isinstance(payload, bytes) else b""
            whole_lines = raw if len(raw) <= _TEXT_MAX else raw[:_TEXT_MAX].rpartition(b"\n")[0]
            texts[kind] = _decode(whole_lines, part.get_content_charset()).strip()
    return texts.get("text/plain") or to_text(texts.get("text/html", "")), tuple(attached[:_NAMES_MAX])
