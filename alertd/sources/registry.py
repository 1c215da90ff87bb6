"""Which readers there are, and which of them a message is for."""

from collections.abc import Mapping
from typing import Final

from alertd.sources import cap, program
from alertd.sources.base import Reader

READERS: Final[Mapping[str, Reader]] = {"cap": cap.read, "program": program.read}
KINDS: Final = tuple(READERS)


def kind_of(raw: bytes) -> str:
    """Which reader a message is for, by how it begins."""
    return "program" if raw.lstrip()[:1] in (b"{", b"[") else "cap"
