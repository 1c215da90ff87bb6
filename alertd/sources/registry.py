"""Which readers there are, and which of them a message is for."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from alertd.core.observation import Observation
from alertd.sources import alertmanager, cap, cap_feed, garoon, jma, jma_feed, kintone, mail, program
from alertd.sources.base import Poller, Reader
from alertd.sources.certificates import Certificate
from alertd.sources.jma_telegram import NAMESPACE as JMA

READERS: Final[Mapping[str, Reader]] = {
    "alertmanager": alertmanager.read,
    "cap": cap.read,
    "jma": jma.read,
    "mail": mail.read,
    "program": program.read,
}
"""What is sent to us, by kind."""

POLLERS: Final[Mapping[str, Poller]] = {
    "cap": cap_feed.CapFeed(),
    "garoon": garoon.Garoon(),
    "jma": jma_feed.JmaFeed(),
    "kintone": kintone.Kintone(),
}
"""What we ask for, by kind; some kinds can do either."""

MAPPED: Final = ("mapped", "kintone")
"""What is read by a mapping in the rule book, sent or asked for."""

_HEADER: Final = re.compile(rb"[A-Za-z][A-Za-z0-9-]{0,70}:[ \t]")  # of a mail (RFC 5322 section 2.2)

KINDS: Final = tuple(dict.fromkeys([*READERS, *MAPPED, *POLLERS]))
SIGNED_KINDS: Final = ("cap",)  # whose messages can carry a signature that is verified


def read(kind: str, raw: bytes, trusted: Sequence[Certificate]) -> Sequence[Observation]:
    """What a message of a source of that kind says, given the certificates that it was given. Raises Unreadable."""
    return cap.read(raw, trusted) if kind == "cap" else READERS[kind](raw)


def kind_of(raw: bytes) -> str:
    """Which reader a message is for, by how it begins."""
    if _HEADER.match(raw):
        return "mail"
    if raw.lstrip()[:1] in (b"{", b"["):
        return "alertmanager" if b'"groupKey"' in raw else "program"
    return "jma" if JMA.encode() in raw[:1_000] else "cap"
