"""A post's Markdown as the plain text that messages carry: its words and lists, without the marks."""

import re
from collections.abc import Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable("table")
_BULLET: Final = "・"
_URL: Final = re.compile(r"https?://([\w.-]+)(?::\d+)?(?:[/?#][!-~]*)?", re.ASCII)


def plain_text(markdown: str) -> str:
    """`markdown` as people read it. A message has one link, its own: of an author's URL only the host is left."""
    lines: list[str] = []
    counters: list[int | None] = []  # of the open lists: the next number, None for bullets
    prefix = ""
    for token in _MARKDOWN.parse(markdown):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            counters.append(None if token.type.startswith("bullet") else int(token.attrs.get("start", 1)))
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            counters.pop()
        elif token.type == "list_item_open":
            prefix = _indent(counters) + (_BULLET if counters[-1] is None else f"{counters[-1]}. ")
            if counters[-1] is not None:
                counters[-1] += 1
        elif token.type == "inline":
            lines.append(prefix + _inline(token.children or []))
            prefix = ""
        elif token.type in ("fence", "code_block"):
            lines.append(token.content.rstrip("\n"))
        if token.level == 0 and (token.nesting == -1 or token.type in ("fence", "code_block")):
            lines.append("")
    return _URL.sub(r"\1", "\n".join(lines)).strip()


def _indent(counters: Sequence[int | None]) -> str:
    return "　" * (len(counters) - 1)


def _inline(tokens: Sequence[Token]) -> str:
    return "".join("\n" if token.type in ("softbreak", "hardbreak") else token.content for token in tokens)
