"""Which readers there are, and which of them a message is for."""

from collections.abc import Mapping
from typing import Final

from alertd.sources import alertmanager, cap, cap_feed, garoon, jma, jma_feed, program
from alertd.sources.base import Poller, Reader
from alertd.sources.jma_telegram import NAMESPACE as JMA

READERS: Final[Mapping[str, Reader]] = {
    "alertmanager": alertmanager.read,
    "cap": cap.read,
    "jma": jma.read,
    "program": program.read,
}
"""What is sent to us, by kind."""

POLLERS: Final[Mapping[str, Poller]] = {
    "cap": cap_feed.CapFeed(),
    "garoon": garoon.Garoon(),
    "jma": jma_feed.JmaFeed(),
}
"""What we ask for, by kind; some kinds can do either."""

MAPPED: Final = ("mapped",)
"""What is read by a mapping in the rule book, sent or asked for."""

KINDS: Final = tuple(dict.fromkeys([*READERS, *MAPPED, *POLLERS]))


def kind_of(raw: bytes) -> str:
    """Which reader a message is for, by how it begins."""
    if raw.lstrip()[:1] in (b"{", b"["):
        return "alertmanager" if b'"groupKey"' in raw else "program"
    return "jma" if JMA.encode() in raw[:1_000] else "cap"
