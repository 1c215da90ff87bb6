"""A guide as sheets of A4 paper, a PDF beside its text."""

import hashlib
import re
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from playwright.sync_api import Browser

_STYLE: Final = """
@page { size: A4; margin: 11mm 15mm; }
body { font: 9.8pt/1.45 "Noto Sans CJK JP", "Noto Sans JP", sans-serif; color: #111; }
h1 { font-size: 18pt; margin: 0 0 2mm; border-bottom: 2px solid #12355b; }
h2 { font-size: 12.5pt; margin: 3.5mm 0 1mm; color: #12355b; break-after: avoid; }
p, ul, ol { margin: 0 0 1.5mm; }
ul, ol { padding-left: 6mm; }
img { height: 62mm; border: 1px solid #bbb; border-radius: 3mm; margin: 0 3mm 0 0; }
p:has(> img) { break-inside: avoid; text-align: center; }
table { border-collapse: collapse; width: 100%; }
td, th { border: 1px solid #999; padding: 1mm 2mm; text-align: left; vertical-align: top; }
"""


def digest(guide: Path) -> str:
    """Stands in the title of the sheets: of which text, and of which pictures' names, they are."""
    return hashlib.sha256(guide.read_bytes()).hexdigest()[:12]


def print_sheet(browser: Browser, guide: Path, to: Path | None = None) -> Path:
    """Prints a guide in Markdown into `to`, by default a PDF beside it; its path."""
    made = to or guide.with_suffix(".pdf")
    body = MarkdownIt("commonmark").enable("table").render(guide.read_text())
    head = f"<title>alertd {digest(guide)}</title><style>{_STYLE}</style>"
    sheet = guide.with_suffix(".print.html")
    sheet.write_text(f'<!doctype html><html lang="{guide.parent.name}"><meta charset="utf-8">{head}{body}')
    try:
        page = browser.new_page()
        page.goto(sheet.as_uri())
        page.pdf(path=made, prefer_css_page_size=True)
        page.close()
    finally:
        sheet.unlink()
    return made


def count_pages(pdf: Path) -> int:
    """How many sheets there are."""
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf.read_bytes()))
