"""The letter: its bytes, and the name that it goes by."""

import hashlib
import re
import secrets
import unicodedata
from base64 import b32encode, encodebytes
from datetime import datetime
from email.headerregistry import Address as MailAddress
from email.headerregistry import HeaderRegistry, MessageIDHeader
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from functools import lru_cache
from typing import Final

from alertd.core.message import Message

# Names of messages are never folded: the library would write long ones as encoded words, which nobody could match.
_HEADERS: Final = HeaderRegistry()
_HEADERS.map_to_type("in-reply-to", MessageIDHeader)  # type: ignore[arg-type]  # its `parse` is a class method, no more
_HEADERS.map_to_type("references", MessageIDHeader)  # type: ignore[arg-type]
_POLICY: Final = SMTP_POLICY.clone(header_factory=_HEADERS)

NAME_LENGTH: Final = 26  # base32 digits: 130 bits
NAME: Final = f"[a-z2-7]{{{NAME_LENGTH}}}"


def compose(message: Message, *, sender: str, organisation: str, to: str, key: str) -> tuple[str, bytes]:
    """The letter's Message-ID and its bytes: text and HTML, pure ASCII, nothing in its header but what stands here."""
    name = message_id(letter_name(key), sender)
    own = (to.encode(), name.encode(), _base64(message.text), _base64(message.html))
    shared = _shared_parts(message.title, message.sent_at, message.alert_id, sender, organisation)
    return name, b"".join(piece for pair in zip(shared, (*own, b""), strict=True) for piece in pair)


# One of these per process, so that no post can contain it.
_PLACE: Final = secrets.token_hex(12)


@lru_cache(maxsize=64)
def _shared_parts(title: str, sent_at: datetime, alert_id: str, sender: str, organisation: str) -> tuple[bytes, ...]:
    """What is the same in everybody's letter: the pieces around To, Message-ID, text and HTML.

    Making a letter takes the library milliseconds, and ten thousand differ in nothing but these four places.
    """
    letter = EmailMessage(policy=_POLICY)
    local, _, domain = sender.rpartition("@")
    letter["From"] = MailAddress(display_name=_header(organisation), username=local, domain=domain)
    letter["To"] = f"{_PLACE}@to.invalid"
    letter["Subject"] = _header(title)
    letter["Date"] = sent_at
    letter["Message-ID"] = f"<{_PLACE}@id.invalid>"
    # One root for all letters of an alert, though none has this name: a reader's mail program puts them together.
    letter["In-Reply-To"] = letter["References"] = message_id(_dot_atom(_header(alert_id)), sender)
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834 section 5: no out-of-office answers to it
    letter["X-Alertd-Alert"] = _header(alert_id)
    letter.set_content(f"{_PLACE} text", cte="base64")
    letter.add_alternative(f"{_PLACE} html", subtype="html", cte="base64")
    places = (
        letter["To"].encode(),
        letter["Message-ID"].encode(),
        _base64(f"{_PLACE} text\n"),
        _base64(f"{_PLACE} html\n"),
    )
    pieces, rest = [], letter.as_bytes()
    for place in places:
        piece, found, rest = rest.partition(place)
        if not found:
            raise RuntimeError(f"no place for {place!r} in {piece!r}")
        pieces.append(piece)
    return (*pieces, rest)


def _base64(text: str) -> bytes:
    """`text` as the content of a base64 part: UTF-8, its lines ended by CRLF (RFC 2045 section 6.8)."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    raw = "\r\n".join(lines).encode("utf-8", "replace")
    return encodebytes(raw).rstrip(b"\n").replace(b"\n", b"\r\n")


def letter_name(key: str) -> str:
    """What the letter of this delivery is called: always the same, and nobody's guess."""
    # 20 bytes are 32 digits: what is cut off again needs no coding.
    digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()[:20]
    return b32encode(digest).decode().lower()[:NAME_LENGTH]


def message_id(name: str, sender: str) -> str:
    return f"<{name}@{sender.rpartition('@')[2]}>"


def _dot_atom(text: str) -> str:
    """`text` as the left side of a Message-ID (RFC 5322 section 3.6.4)."""
    return "".join(
        char if re.fullmatch("[A-Za-z0-9_-]", char) else "".join(f"={byte:02X}" for byte in char.encode())
        for char in text
    )


def _header(text: str) -> str:
    """`text` as it may stand in a header field: nothing that could end the field or change its encoding."""
    kept = (" " if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") else char for char in text)
    return " ".join("".join(kept).split(" ")).strip()
