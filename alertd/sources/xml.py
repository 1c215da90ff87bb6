"""XML as strangers send it: read by expat, within bounds, without anything that reaches outside the message."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from alertd.sources.base import MESSAGE_MAX, Unreadable, require_size

DEPTH_MAX: Final = 64
ELEMENTS_MAX: Final = 100_000
TOKEN_MAX: Final = 262_144  # bytes of one tag with its attributes, or of one comment
_PIECE: Final = 65_536
_DECLARATION: Final = re.compile(rb"""\A\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]{0,39})["']""")
_ENCODINGS: Final = frozenset(
    codecs.lookup(name).name
    for name in (
        *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "ascii", "shift_jis", "cp932", "euc_jp", "iso2022_jp"),
        *("iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15"),
        *("cp1250", "cp1251", "cp1252", "cp1253", "gb2312", "gbk", "gb18030", "big5", "euc_kr"),
    )
)
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    # Without a mark: RFC 7303 section 3.3 and XML 1.0 appendix F tell UTF-16 by its first character, "<".
    (b"<\x00", "utf-16-le"),
    (b"\x00<", "utf-16-be"),
)


@dataclass(slots=True)
class Element:
    """An element with its text: what stands directly in it, its children's left out."""

    namespace: str
    name: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, path: str) -> Iterator["Element"]:
        """The descendants at a path of names, `Body/Warning/Item`, whatever their namespaces."""
        first, _, rest = path.partition("/")
        for child in self.children:
            if child.name == first:
                if rest:
                    yield from child.all(rest)
                else:
                    yield child

    def find(self, path: str) -> "Element | None":
        return next(self.all(path), None)

    def text_at(self, path: str) -> str:
        """The text of the first element at a path, without the space around it; "" where there is none."""
        found = self.find(path)
        return found.text.strip() if found is not None else ""

    def walk(self) -> Iterator["Element"]:
        """This element and all below it, in the order of the document."""
        left = [self]
        while left:
            element = left.pop()
            yield element
            left.extend(reversed(element.children))


def parse(raw: bytes, most: int = MESSAGE_MAX) -> Element:
    """The root of an XML message of at most so many bytes. Raises Unreadable, with the line.

    A document type is refused before anything of it is looked at, and with it every entity of the sender's own
    (OWASP's XML External Entity Prevention): no telegram has one.
    """
    return _Builder(as_utf8(raw, most)).build()


def as_utf8(raw: bytes, most: int = MESSAGE_MAX) -> bytes:
    """The bytes that `parse` reads: the message in UTF-8, whatever its declaration says. Raises Unreadable."""
    require_size(raw, most)
    if not raw.strip():
        raise Unreadable("the message is empty")
    return _decode(raw).encode(errors="surrogatepass")


def _decode(raw: bytes) -> str:
    declared = _DECLARATION.match(raw[:200])
    mark = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    name = mark or (declared[1].decode("ascii") if declared else "utf-8")
    try:
        encoding = codecs.lookup(name).name
    except LookupError:
        raise Unreadable(f"there is no encoding {name!r}", 1) from None
    if encoding not in _ENCODINGS:
        raise Unreadable(f"the encoding {name} is not read", 1)
    if mark is None and encoding.startswith("utf-16"):
        # Its declaration could not have been read.
        raise Unreadable(f"this is not {encoding}, which the message says it is", 1)
    # What says Shift_JIS has, in Japan, Microsoft's additions such as ①.
    try:
        return raw.decode("cp932" if encoding == "shift_jis" else encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Unreadable(f"this is not {encoding}, which the message says it is", line) from None


class _Builder:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._root: Element | None = None
        self._count = 0
        # The declaration named the encoding of what was decoded already: what is parsed is UTF-8.
        self._parser = expat.ParserCreate("utf-8", namespace_separator="\n")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._data

    def build(self) -> Element:
        raw = self._raw
        try:
            for start in range(0, len(raw), _PIECE):
                self._parser.Parse(raw[start : start + _PIECE], False)
                # Attributes are collected before anything is told of their tag.
                if start + _PIECE - max(self._parser.CurrentByteIndex, 0) > TOKEN_MAX:
                    raise Unreadable(f"a tag or a comment has more than {TOKEN_MAX} bytes", self._line)
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise Unreadable(f"this is not XML: {expat.ErrorString(error.code)}", error.lineno) from None
        assert self._root is not None  # expat refuses a document without an element
        return self._root

    @property
    def _line(self) -> int:
        return self._parser.CurrentLineNumber

    def _doctype(self, *_: object) -> None:
        raise Unreadable("a document type (DOCTYPE) is not read, nor entities of its own", self._line)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > ELEMENTS_MAX:
            raise Unreadable(f"the message has more than {ELEMENTS_MAX} elements", self._line)
        if len(self._open) >= DEPTH_MAX:
            raise Unreadable(f"elements stand more than {DEPTH_MAX} deep in each other", self._line)
        namespace, _, name = tag.rpartition("\n")
        plain = {key.rpartition("\n")[2]: value for key, value in attributes.items()}
        element = Element(namespace, name, plain, self._line)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)
        self._texts.append([])

    def _end(self, _tag: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def _data(self, text: str) -> None:
        self._texts[-1].append(text)
