"""Mail as a source: read as Japanese mail is really written, and never the opposite of what it says."""

import base64
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertd.core.observation import Observation, observation_faults
from alertd.sources.base import Unreadable
from alertd.sources.mail import MAIL_MAX, read
from alertd.sources.registry import kind_of
from channels.letter import compose
from tests.channels.helpers import MESSAGE
from tests.channels.test_bounces import OUT_OF_OFFICE, POSTFIX

DATE: Final = "Mon, 23 Nov 2026 22:00:00 +0900"
AT: Final = datetime(2026, 11, 23, 13, tzinfo=UTC)
RECEIVED: Final = "from mx.example.jp by mail.city.example (Postfix) with ESMTP id 1; Mon, 23 Nov 2026 22:00:07 +0900"


def mail(subject: str = "川があふれました", text: str = "高台へ", **fields: str) -> EmailMessage:
    message = EmailMessage()
    given_ = {"Subject": subject, "From": "川の見張り <Gauge@river.example>", "Message-ID": "<a@river.example>"}
    given_ |= {"Received": RECEIVED, "Date": DATE} | {name.replace("_", "-"): value for name, value in fields.items()}
    for name, value in given_.items():
        if value:
            message[name] = value
    message.set_content(text)
    return message


def one(message: EmailMessage | bytes) -> Observation:
    [found] = read(message if isinstance(message, bytes) else message.as_bytes())
    assert observation_faults(found) == []
    return found


def test_a_mail_says_what_stands_in_it() -> None:
    found = one(mail())
    assert (found.id, found.incident, found.kind, found.standing) == (
        "a@river.example",
        "a@river.example",
        "new",
        "actual",
    )
    assert (found.title, found.body, found.author) == ("川があふれました", "高台へ", "gauge@river.example")
    assert found.observed_at == AT
    assert (found.severity, found.signed_by, found.references) == ("unknown", "", ())


def test_whoever_leaves_out_who_they_are_is_nobody_that_a_rule_names() -> None:
    for sender in ("", "undisclosed", "<>"):
        end = one(mail("【解除】川があふれました", From=sender, In_Reply_To="<a@river.example>", Message_ID="<b@x>"))
        assert (end.kind, end.author) == ("withdrawn", "(no From)" if sender != "undisclosed" else "undisclosed")


def test_what_follows_belongs_to_the_first() -> None:
    first = one(mail())
    second = one(mail("続報", Message_ID="<b@river.example>", In_Reply_To="<a@river.example>"))
    third = one(mail("続報2", Message_ID="<c@x>", References="<a@river.example> <b@river.example>"))
    assert [each.incident for each in (first, second, third)] == ["a@river.example"] * 3
    assert [each.kind for each in (first, second, third)] == ["new", "changed", "changed"]
    # In one second of our mail server's clock, too.
    assert first.version < second.version < third.version


@pytest.mark.parametrize(
    ("date", "received", "at"),
    [
        (DATE, RECEIVED, AT),
        ("", RECEIVED, AT.replace(second=7)),
        ("Tue, 24 Nov 2026 22:00:00 +0900", RECEIVED, AT.replace(second=7)),
        ("Fri, 20 Nov 2026 22:00:00 +0900", RECEIVED, AT.replace(second=7)),
        ("yesterday", RECEIVED, AT.replace(second=7)),
        (DATE, "", AT),
        ("Mon, 23 Nov 2026 13:00:00 -0000", "", AT),
    ],
)
def test_when(date: str, received: str, at: datetime) -> None:
    assert one(mail(Date=date, Received=received)).observed_at == at


@pytest.mark.parametrize("date", ["", "x", "Mon, 23 Nov 9999 22:00:00 -1400", "Mon, 23 Nov 1926 22:00:00 +0900"])
def test_without_any_time_it_is_refused(date: str) -> None:
    with pytest.raises(Unreadable, match="neither Date nor Received"):
        read(mail(Date=date, Received="").as_bytes())


@pytest.mark.parametrize(
    ("subject", "standing"),
    [
        ("【訓練】避難指示", "drill"),
        ("訓練：避難指示", "drill"),
        ("Re: 訓練 避難指示", "drill"),
        ("避難訓練のお知らせ", "actual"),  # a person must say
        ("職業訓練校で火災", "actual"),
        ("テスト配信です", "test"),
        ("Re: ［訓練］", "drill"),
        ("[DRILL] flood", "drill"),
        ("［ｄｒｉｌｌ］", "drill"),
        ("[Exercise 3] x", "drill"),
        ("【訓練】【試験】", "drill"),
        ("【試験】送信", "test"),
        ("[TEST] a", "test"),
        ("【試験送信】", "test"),
        ("【テスト】", "test"),
        ("避難指示", "actual"),
        ("訓練ではありません：避難指示", "actual"),
        ("test", "actual"),
        ("drill rig on fire", "actual"),
        ("[testify]", "actual"),
        ("入学試験会場で火災", "actual"),
    ],
)
def test_what_it_stands_for(subject: str, standing: str) -> None:
    assert one(mail(subject)).standing == standing


@pytest.mark.parametrize(
    ("text", "standing"),
    [
        ("これは訓練です。", "drill"),
        ("これは防災訓練です。", "drill"),
        ("This is a drill.", "drill"),
        ("This is an exercise", "drill"),
        ("これは訓練ではありません。", "actual"),
        ("This is not a drill!", "actual"),
        ("先日の訓練のとおりに", "actual"),
    ],
)
def test_a_text_that_says_it_is_a_drill_is_believed(text: str, standing: str) -> None:
    assert one(mail(text=text)).standing == standing


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("【解除】大雨警報", "withdrawn"),
        ("【訓練】【解除】大雨", "withdrawn"),
        ("Re: [CANCELLED] x", "withdrawn"),
        ("[All clear]", "withdrawn"),
        ("大雨警報を解除しました", "withdrawn"),
        ("避難指示の取り消しのお知らせ", "withdrawn"),
        ("避難指示を一部解除しました", "changed"),
        ("解除はまだです", "changed"),
        ("Re: 断水を解除しました", "changed"),
        ("【一部解除】", "changed"),
        ("解除を検討", "changed"),
        ("cancel", "changed"),
        ("避難指示を解除しましたが再び", "changed"),
    ],
)
def test_only_what_says_clearly_that_it_is_over_ends_it(subject: str, kind: str) -> None:
    assert one(mail(subject, References="<z@x>")).kind == kind
    assert one(mail(subject)).kind == "new"


@pytest.mark.parametrize(
    ("charset", "codec", "words"),
    [
        ("ISO-2022-JP", "iso2022_jp", "河川の水位"),
        ("Shift_JIS", "cp932", "①髙橋川〜"),
        ("EUC-JP", "euc_jp", "河川"),
        ("utf-8", "utf-8", "🌊河川"),
        ("us-ascii", "utf-8", "河川"),
        ("x-unknown", "cp932", "河川の水位"),
        ("rot13", "utf-8", "a川"),
    ],
)
@pytest.mark.parametrize("encoding", ["base64", "8bit"])
def test_encodings(charset: str, codec: str, words: str, encoding: str) -> None:
    words = words.replace("〜", "～")  # as Microsoft's table has it
    raw = words.encode(codec)
    subject = b"=?%s?B?%s?=" % (charset.encode(), base64.b64encode(raw))
    body = base64.b64encode(raw) if encoding == "base64" else raw
    head = f"Date: {DATE}\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {encoding}\n\n"
    found = one(b"Subject: " + subject + b"\n" + head.encode() + body)
    assert (found.title, found.body) == (words, words)


def test_what_jis_lacks_and_mail_has() -> None:
    circled = b"\x1b$B-!>e@n\x1b(B"
    found = one(
        b"Subject: " + circled + f"\nDate: {DATE}\nContent-Type: text/plain; charset=iso-2022-jp\n\n".encode() + circled
    )
    assert (found.title, found.body) == ("①上川", "①上川")


@pytest.mark.parametrize("codec", ["utf-8", "cp932"])
def test_a_header_that_is_not_encoded_at_all(codec: str) -> None:
    assert one("Subject: 河川の水位\n".encode(codec) + f"Date: {DATE}\n\nx".encode()).title == "河川の水位"


def test_a_long_subject_in_several_words() -> None:
    words = "とても長い件名です" * 12
    raw = f"Subject: {Header(words, 'iso-2022-jp').encode()}\nDate: {DATE}\n\n".encode()
    assert one(raw).title == words


def test_of_text_and_html_the_text_and_of_html_what_it_shows() -> None:
    both = mail(text="文章")
    both.add_alternative("<p>HTML</p>", subtype="html")
    assert one(both).body == "文章"
    only = mail()
    only.set_content("<style>p{}</style><p>一<br>二</p><script>x()</script>&amp;", subtype="html")
    assert one(only).body.split() == ["一", "二", "&"]


def test_what_hangs_on_it_is_named_and_not_read() -> None:
    message = mail()
    message.add_attachment(b"\xff\xd8", maintype="image", subtype="jpeg", filename="現場の写真.jpg")
    message.add_attachment("秘密", filename="メモ.txt")
    message.add_attachment(mail("別のメール"))
    found = one(message)
    assert found.body == "高台へ\n\n📎 現場の写真.jpg\n📎 メモ.txt\n📎 message/rfc822"
    assert found.fields == {"attachments": "現場の写真.jpg, メモ.txt, message/rfc822"}


def test_it_always_has_a_title_and_a_name() -> None:
    assert one(mail(subject="")).title == "高台へ"
    assert one(mail(subject="", text="")).title == "（件名なし）"
    nameless = mail(Message_ID="")
    assert one(nameless).id == one(nameless).id
    assert one(nameless).id != one(mail("別", Message_ID="")).id


def test_what_must_never_become_an_alert() -> None:
    _, letter = compose(MESSAGE, sender="alert@city.example", organisation="市", to="a@b.jp", key="k")
    for raw, why in (
        (letter, "own letter"),
        (mail(Auto_Submitted="auto-replied (vacation)").as_bytes(), "automatic reply"),
        (POSTFIX.replace(b"Auto-Submitted", b"X"), "report of delivery"),
    ):
        with pytest.raises(Unreadable, match=why):
            read(raw)
    assert one(mail(Auto_Submitted="auto-generated")).title == "川があふれました"


def test_bounds() -> None:
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(101))
    wide = b'Content-Type: multipart/mixed; boundary="x"\n\n' + b"--x\n\na\n" * 300
    for raw, why in (
        (b"x" * (MAIL_MAX + 1), "bytes"),
        (deep, "boundaries"),
        (wide, "parts"),
        (b"Content-Type: message/rfc822\n\n" * 3_000, "cannot be read|not a mail|neither Date"),
    ):
        with pytest.raises(Unreadable, match=why):
            read(raw)
    assert len(one(mail(References="<a@b> " * 5_000)).references) == 1
    assert one(mail(text="川\n" * 300_000)).body.endswith("…")


def test_a_mail_is_told_from_other_messages() -> None:
    assert kind_of(mail().as_bytes()) == kind_of(OUT_OF_OFFICE) == "mail"
    assert kind_of(json.dumps({"id": 1}).encode()) == "program"


def _samples() -> list[bytes]:
    rich = mail("【訓練】続報", References="<z@x>")
    rich.add_alternative("<p>川</p>", subtype="html")
    rich.add_attachment(b"x", maintype="image", subtype="png", filename="写真.png")
    subject = Header("河川", "iso-2022-jp").encode()
    jis = f"Subject: {subject}\nDate: {DATE}\nContent-Type: text/plain; charset=iso-2022-jp\n\n"
    return [mail().as_bytes(), rich.as_bytes(), jis.encode() + "河川".encode("iso2022_jp"), POSTFIX, OUT_OF_OFFICE]


OWN: Final = _samples()
_PIECES: Final = (
    b"\n",
    b"=?",
    b"?=",
    b"=?utf-8?B?",
    b"--",
    b"boundary=",
    b"\x1b$B",
    b"\xff",
    b"\0",
    b"<>",
    b";",
    b"\n\n",
    b"charset=utf-16",
    b"charset*0*=x''%",
    b"Content-Type: message/rfc822\n\n",
    b"9" * 40,
    b"\\U99999999",
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    raw = draw(st.sampled_from(OWN))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 60)))
        middle = draw(st.sampled_from([*_PIECES, b"", raw[start:end] * 2]) | st.binary(max_size=6))
        raw = raw[:start] + middle + raw[end:]
    return raw


@settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None, max_examples=1_500)
@given(spoilt() | st.binary(max_size=300).map(lambda raw: f"Date: {DATE}\nSubject: ".encode() + raw))
def test_whatever_is_done_to_it_it_is_read_or_refused(raw: bytes) -> None:
    found, fault = _read(raw)
    # What breaks is the library, at what it was given, and nothing of ours.
    assert not re.search(r"NameError|AttributeError|UnboundLocal", fault)
    for each in found:
        assert observation_faults(each) == []
        assert each.title.strip()
        assert each.version > 0
    assert len(found) == 1 or fault


def _read(raw: bytes) -> tuple[Sequence[Observation], str]:
    try:
        return read(raw), ""
    except Unreadable as refused:
        return (), str(refused)
