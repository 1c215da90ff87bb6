"""XML as strangers send it: refused with its line before it costs anything, or read as what it is."""

import subprocess
import sys

import pytest

from alertd.sources.base import MESSAGE_MAX, Unreadable
from alertd.sources.xml import DEPTH_MAX, ELEMENTS_MAX, TOKEN_MAX, parse

LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>
<lolz>&lol2;</lolz>"""
OUTSIDE = b"""<?xml version="1.0"?>

<!DOCTYPE a SYSTEM "file:///etc/passwd">
<a/>"""


@pytest.mark.parametrize(
    ("raw", "line", "words"),
    [
        (LAUGHS, 2, "DOCTYPE"),
        (OUTSIDE, 3, "DOCTYPE"),
        (b"<a>\n&x;</a>", 2, "undefined entity"),
        (b"<a>\n<b></a>", 2, "mismatched tag"),
        (b"<!DOCTYPE html>\n<html></html>", 1, "DOCTYPE"),
        (b"not XML", 1, "syntax error"),
        (b"", 0, "empty"),
        (b" \n ", 0, "empty"),
        (b"<a/>\n<b/>", 2, "junk after document element"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', 1, "no encoding 'klingon'"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', 1, "utf-7 is not read"),
        (b"<a>\n\n\xff</a>", 3, "not utf-8"),
        ('<?xml version="1.0" encoding="UTF-8"?>\n<a>津波</a>'.encode("cp932"), 2, "not utf-8"),
        (b"<a>\x00</a>", 1, "not well-formed"),
        (b"\n".join([b"<a>"] * (DEPTH_MAX + 1)), DEPTH_MAX + 1, "deep"),
        (b"<a>" + b"<b/>" * ELEMENTS_MAX + b"</a>", 1, "elements"),
        (b"<a " + b" ".join(b"a%d=''" % number for number in range(TOKEN_MAX // 4)) + b"/>", 1, "tag or a comment"),
        (b"<a><!--" + b"x" * 4 * TOKEN_MAX + b"--></a>", 1, "tag or a comment"),
        (b"<a>" + b"x" * MESSAGE_MAX + b"</a>", 0, "bytes"),
    ],
)
def test_what_is_refused_says_where(raw: bytes, line: int, words: str) -> None:
    with pytest.raises(Unreadable, match=words) as caught:
        parse(raw)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "raw",
    [
        "<a>津波①</a>".encode(),
        "\ufeff<a>津波①</a>".encode(),
        '<?xml version="1.0" encoding="Shift_JIS"?><a>津波①</a>'.encode("cp932"),
        '<?xml version="1.0" encoding="UTF-16"?><a>津波①</a>'.encode("utf-16"),
        '<?xml version="1.0" encoding="UTF-16"?><a>津波①</a>'.encode("utf-16-be"),
        "<a>津波①</a>".encode("utf-16-le"),
        '<?xml version="1.0" encoding="EUC-JP"?><a>津波&#x2460;</a>'.encode("euc_jp"),
        b'<?xml version="1.0" encoding="us-ascii"?><a>&#x6D25;&#x6CE2;&#x2460;</a>',
    ],
)
def test_other_encodings_are_read(raw: bytes) -> None:
    assert parse(raw).text == "津波①"


def test_elements_are_found_by_their_names() -> None:
    root = parse(b'<a xmlns="u" xmlns:p="v"><p:b c="1" p:d="2"> x<e/>y </p:b>\n<b><c>z</c></b><b><c/></b></a>')
    first = root.find("b")
    assert first is not None
    assert (root.namespace, first.namespace, first.attributes) == ("u", "v", {"c": "1", "d": "2"})
    assert (root.text_at("b"), root.text_at("b/c"), root.text_at("b/nothing")) == ("xy", "z", "")
    assert [each.line for each in root.all("b")] == [1, 2, 2]
    assert [each.name for each in root.walk()] == ["a", "b", "e", "b", "c", "b", "c"]


WORST = """
import resource
from alertd.sources.base import MESSAGE_MAX
from alertd.sources.xml import parse
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
raw = b"<a>" + b"<b a='' b='' c='' d='' e='' f='' g='' h=''/>" * 88_000 + b"</a>"
assert len(raw) < MESSAGE_MAX
parse(raw)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_the_worst_that_is_read_stays_within_64_megabytes() -> None:
    done = subprocess.run([sys.executable, "-c", WORST], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64
