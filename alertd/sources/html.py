"""HTML as people paste it into other systems, read as the text that it shows."""

import html
import re
from typing import Final

import nh3

_BREAKS: Final = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6])\b[^>]*>", re.IGNORECASE)


def to_text(source: str) -> str:
    """What a page shows of this, without links, images and styles; blocks begin on a line of their own."""
    # Line breaks of the source mean nothing in HTML, and blocks mean one.
    broken = _BREAKS.sub("\n", " ".join(source.split()))
    plain = html.unescape(nh3.clean(broken, tags=set(), clean_content_tags={"script", "style"}))
    lines = [" ".join(line.split()) for line in plain.replace("\xa0", " ").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
