"""Mails as people and machines write them: read as what they are, an answer as part of what it answers."""

from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.observation import observation_faults
from alertd.sources.base import Unreadable
from alertd.sources.mail import read
from alertd.sources.registry import kind_of

DATE = "Sun, 22 Nov 2026 18:00:00 +0900"


def letter(subject: str = "【緊急】参集", text: str = "本庁舎へ\n急いで", **fields: str) -> EmailMessage:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = subject, "防災係 <Bousai@city.example>", "river+x@alerts.city.example"
    made["Date"], made["Message-ID"] = DATE, "<one@city.example>"
    for name, value in fields.items():
        del made[name.replace("_", "-")]
        if value:
            made[name.replace("_", "-")] = value
    made.set_content(text)
    return made


def test_a_mail_is_an_observation() -> None:
    [seen] = read(letter().as_bytes())
    assert (seen.id, seen.incident, seen.kind) == ("mail:one@city.example", "mail:one@city.example", "new")
    assert (seen.title, seen.body, seen.author) == ("【緊急】参集", "本庁舎へ\n急いで", "bousai@city.example")
    assert (seen.standing, seen.observed_at) == ("actual", datetime(2026, 11, 22, 9, tzinfo=UTC))
    assert kind_of(letter().as_bytes()) == "mail"


@pytest.mark.parametrize("charset", ["iso-2022-jp", "shift_jis", "euc-jp", "utf-8"])
@pytest.mark.parametrize("coding", ["base64", "quoted-printable", "8bit", "7bit"])
def test_letters_of_every_kind_are_read(charset: str, coding: str) -> None:
    text = "避難所を開設してください。"
    if coding == "7bit" and charset != "iso-2022-jp":
        pytest.skip("it has eight bits")
    made = letter()
    made.set_content(text, charset=charset, cte=coding)
    [seen] = read(made.as_bytes())
    assert seen.body == text


def test_an_answer_belongs_to_what_it_answers_and_comes_after_it() -> None:
    [first] = read(letter().as_bytes())
    [answer] = read(
        letter("Re: 【緊急】参集", References="<one@city.example>", Message_ID="<two@city.example>").as_bytes()
    )
    assert (answer.incident, answer.kind, answer.title) == (first.incident, "changed", "【緊急】参集")
    assert answer.version > first.version
    [end] = read(
        letter(
            "Re: 【解除】参集",
            References="<one@city.example> <two@city.example>",
            In_Reply_To="<two@city.example>",
            Message_ID="<three@city.example>",
        ).as_bytes()
    )
    assert (end.incident, end.kind) == (first.incident, "withdrawn")
    assert end.version > answer.version


@pytest.mark.parametrize(
    ("subject", "kind"), [("【解除】避難指示", "new"), ("避難指示を解除しないこと", "new"), ("解除", "new")]
)
def test_an_end_is_only_believed_in_answer_to_something(subject: str, kind: str) -> None:
    [seen] = read(letter(subject).as_bytes())
    assert seen.kind == kind


@pytest.mark.parametrize(
    ("subject", "standing"),
    [
        ("【訓練】参集", "drill"),
        ("[DRILL] muster", "drill"),
        ("Re: 訓練 参集", "drill"),
        ("テスト送信", "test"),
        ("[TEST] line", "test"),
        ("参集", "actual"),
    ],
)
def test_a_drill_says_so_in_its_subject(subject: str, standing: str) -> None:
    [seen] = read(letter(subject).as_bytes())
    assert seen.standing == standing


def test_a_page_is_read_as_text_and_files_are_named() -> None:
    made = letter()
    made.set_content("<p>高台へ</p><script>x()</script><div>急いで</div>", subtype="html")
    made.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="地図.pdf")
    [seen] = read(made.as_bytes())
    assert seen.body == "高台へ\n急いで\n\n添付：地図.pdf"
    both = letter("二通り", "文章")
    both.add_alternative("<p>ページ</p>", subtype="html")
    [seen] = read(both.as_bytes())
    assert seen.body == "文章"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"Subject: x\n\nno date", "must have a Date"),
        (b"", "must have a Date"),
        (b"Date: someday\nSubject: x\n\n", "must have a Date"),
        (b"Date: Sun, 22 Nov 2026 18:00:00 +0900\n" + b"x" * 4_000_001, "more than 4000000 bytes"),
    ],
)
def test_what_is_no_mail_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(raw)


def test_parts_without_end_are_refused() -> None:
    deep = f"Date: {DATE}\nSubject: x\n"
    for depth in range(3_000):
        deep += f'Content-Type: multipart/mixed; boundary="b{depth}"\n\n--b{depth}\n'
    with pytest.raises(Unreadable):
        read(deep.encode())
    wide = f'Date: {DATE}\nSubject: x\nContent-Type: multipart/mixed; boundary="b"\n\n'
    with pytest.raises(Unreadable, match="more than 200 parts"):
        read((wide + "--b\nContent-Type: text/plain\n\nx\n" * 300 + "--b--\n").encode())


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 40))
def test_whatever_is_broken_in_it_is_read_or_refused(noise: bytes, at: int, cut: int) -> None:
    made = letter()
    made.add_attachment(b"x", maintype="image", subtype="png", filename="a.png")
    raw = made.as_bytes()
    try:
        found = read(raw[:at] + noise + raw[at + cut :])
    except Unreadable:
        return
    assert [fault for each in found for fault in observation_faults(each)] == []
