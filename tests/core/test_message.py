"""What an alert says on each kind of channel, within what fits there."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from alertd.core.alert import DRILL_MARK, LANGUAGES, SEVERITIES, Ask, Choice, Content, Language
from alertd.core.message import (
    LINK,
    TITLE_UNCUT,
    Budget,
    Button,
    Form,
    Message,
    buttons_for,
    render,
    severity_word,
    short_segments,
)
from alertd.core.segments import count_segments

TOKYO = ZoneInfo("Asia/Tokyo")
URL = "https://alert.example.jp/a/" + "t" * 32
ASK = Ask("無事ですか", (Choice("safe", "無事"), Choice("hurt", "けがをした"), Choice("away", "市外にいる")))
CONTENT = Content(
    alert_id="A1",
    revision=1,
    organisation="みどり市",
    title="避難所を開設しました",
    body="第一小学校へ。\n水をお持ちください。\n\n二段落目",
    severity="extreme",
    drill=False,
    ask=None,
    sent_at=datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC),
    expires_at=datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC),
)
BUDGETS: dict[Form, Budget] = {
    "notification": Budget("notification", 2_000, 1),
    "short": Budget("short", 2, 1, invites_reply=True),
    "letter": Budget("letter", 0, 1),
}


def content(**changes: Any) -> Content:
    return replace(CONTENT, **changes)


def message(given: Content, form: Form, language: Language = "ja", budget: Budget | None = None) -> Message:
    rendered = render(given, language, budget or BUDGETS[form], link_length=len(URL), zone=TOKYO)
    return rendered.personal(URL, "t" * 32)


def sms(given: Content, parts: int = 2, language: Language = "ja", *, invites_reply: bool = True) -> str:
    return message(given, "short", language, Budget("short", parts, 1, invites_reply)).text


# Everything that somebody may post: a title that is not blank, and texts without control characters.
words = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=60) | st.text(
    st.sampled_from("\n 　あ漢aé€😀\ue000<&'\""), max_size=60
)
titles = words.map(lambda text: text[:200]).filter(lambda text: bool(text.strip()))
long_titles = st.builds(lambda text, times: (text * times)[:200], titles, st.integers(1, 200)).filter(
    lambda text: bool(text.strip())
)
bodies = st.builds(lambda text, times: text * times, words, st.integers(0, 60))
asks = st.none() | st.builds(
    Ask,
    titles,
    st.lists(st.builds(Choice, st.just("c"), titles.map(lambda text: text[:40])), min_size=1, max_size=9).map(tuple),
)
contents = st.builds(
    content,
    organisation=words.map(lambda text: text[:30]),
    title=titles | long_titles,
    body=bodies,
    severity=st.sampled_from(SEVERITIES),
    drill=st.booleans(),
    ask=asks,
)
languages = st.sampled_from(LANGUAGES)
forms = st.sampled_from(sorted(BUDGETS))


def one_line(text: str) -> str:
    return " ".join(text.replace(LINK, "\ufffd").split())


def texts(given: Message) -> list[str]:
    return [given.title, given.text, given.html, *(button.label for button in given.buttons)]


class TestEveryForm:
    @given(contents, languages, forms)
    def test_nothing_of_ours_shows_where_the_link_was_to_stand(
        self, given: Content, language: Language, form: Form
    ) -> None:
        assert [text for text in texts(message(given, form, language)) if LINK in text] == []

    @given(contents, languages)
    def test_a_letter_and_a_short_text_carry_the_link_once(self, given: Content, language: Language) -> None:
        assert message(given, "short", language).text.count(URL) == 1
        letter = message(given, "letter", language)
        assert (letter.text.count(URL), letter.html.count(URL)) == (1, 1)

    @given(contents, languages, forms)
    def test_a_title_of_forty_characters_is_whole_everywhere(
        self, given: Content, language: Language, form: Form
    ) -> None:
        given = replace(given, title=one_line(given.title)[:TITLE_UNCUT].strip() or "x")
        shown = message(given, form, language)
        assert given.title in (shown.text if form == "short" else shown.title)

    @given(contents, languages, forms)
    def test_a_drill_says_first_that_it_is_one_in_every_language(
        self, given: Content, language: Language, form: Form
    ) -> None:
        shown = message(replace(given, drill=True), form, language)
        assert shown.drill
        assert shown.title.startswith(DRILL_MARK[language])
        if form != "notification":  # there the title stands above the text
            assert shown.text.startswith(DRILL_MARK[language])
        if form == "letter":
            assert f"<h1 style='font-size:22px'>{DRILL_MARK[language]}" in shown.html

    @given(contents, languages, forms)
    def test_what_is_real_carries_no_mark_of_ours(self, given: Content, language: Language, form: Form) -> None:
        marks = re.compile(r"【訓練】|\[DRILL\]|これは訓練です|This is a drill")
        clean = replace(given, drill=False)
        assume(not marks.search(repr(clean)))
        for text in texts(message(clean, form, language)):
            assert not marks.search(text)

    def test_it_is_the_same_at_every_attempt(self) -> None:
        for form in BUDGETS:
            assert message(content(ask=ASK), form) == message(content(ask=ASK), form)


class TestShort:
    @given(contents, languages, st.integers(1, 6), st.booleans())
    def test_it_fits_its_parts_unless_the_title_s_beginning_and_the_link_alone_are_too_long(
        self, given: Content, language: Language, parts: int, invites: bool
    ) -> None:
        text = sms(given, parts, language, invites_reply=invites)
        least = message(
            replace(given, title=one_line(given.title)[:TITLE_UNCUT] + "…", body="", organisation="", ask=given.ask),
            "short", language, Budget("short", parts, 1, invites),
        ).text  # fmt: skip
        assert count_segments(text) <= max(parts, count_segments(least))

    @given(contents, languages, st.integers(1, 6))
    def test_it_ends_with_the_link_on_a_line_of_its_own(self, given: Content, language: Language, parts: int) -> None:
        assert sms(given, parts, language).endswith(f"\n{URL}")

    @given(contents, languages, st.integers(1, 6))
    def test_the_parts_are_known_before_it_is_sent(self, given: Content, language: Language, parts: int) -> None:
        rendered = render(given, language, Budget("short", parts, 1), link_length=len(URL), zone=TOKYO)
        assert short_segments(rendered, len(URL)) == count_segments(rendered.personal(URL, "t" * 32).text)

    def test_where_there_is_room_it_says_everything(self) -> None:
        assert sms(content(drill=True, ask=ASK), 6) == (
            "【訓練】みどり市: 避難所を開設しました\n第一小学校へ。 水をお持ちください。 二段落目\n"
            f"{ASK.question}\n返信 1=無事 2=けがをした 3=市外にいる\n{URL}"
        )
        assert sms(content(body=""), 6, "en") == f"みどり市: 避難所を開設しました\nReply 1=seen\n{URL}"

    def test_where_nobody_can_answer_it_does_not_ask_for_a_reply(self) -> None:
        assert sms(CONTENT, 6, invites_reply=False).splitlines()[-2] == "第一小学校へ。 水をお持ちください。 二段落目"

    def test_the_body_is_given_up_first_then_the_choices_words_then_the_sender_then_the_title_s_tail(self) -> None:
        labels = "無事で自宅にいます", "けがをして動けません", "市外にいて帰れません"
        ask = Ask("?", tuple(Choice(str(number), label) for number, label in enumerate(labels)))
        given = content(body="文" * 500, ask=ask)
        body_cut = sms(given, 3)
        assert "文…\n?\n返信 1=無事で自宅にいます 2=けがをして動けません 3=市外にいて帰れません\n" in body_cut
        words_cut = sms(replace(given, title="題" * 35), 2)
        assert "返信 1=無事で自宅に 2=けがをして動 3=市外にいて帰\n" in words_cut
        bare = sms(replace(given, title="題" * 61), 2)
        assert bare == f"みどり市: {'題' * 61}\n返信 1-3\n{URL}"
        nameless = sms(replace(given, title="題" * 62), 2)
        assert nameless == f"{'題' * 62}\n返信 1-3\n{URL}"
        title_cut = sms(replace(given, title="題" * 100), 2)
        assert re.fullmatch(rf"題{{60,70}}…\n返信 1-3\n{URL}", title_cut)
        assert count_segments(title_cut) == 2

    def test_a_link_longer_than_the_budget_still_comes_whole_with_forty_characters_of_title(self) -> None:
        text = sms(content(title="題" * 200, drill=True), 1)
        assert text == f"【訓練】{'題' * 40}…\n返信 1=確認\n{URL}"

    def test_an_ascii_text_stays_in_the_cheap_alphabet_when_it_is_cut(self) -> None:
        given = content(organisation="Midori", title="Shelter open", body="bring water " * 100)
        text = sms(given, 2, "en")
        assert "...\n" in text
        assert count_segments(text) == 2
        assert len(text) > 270


class TestNotification:
    @given(contents, languages, st.integers(1_400, 3_000))
    def test_it_fits_its_bytes(self, given: Content, language: Language, size: int) -> None:
        shown = message(given, "notification", language, Budget("notification", size, 1))
        assert len(shown.title.encode()) + len(shown.text.encode()) <= size

    def test_the_question_stays_when_the_body_is_cut(self) -> None:
        shown = message(content(body="文" * 5_000, ask=ASK), "notification")
        assert shown.text.startswith("みどり市\n文文")
        assert shown.text.endswith("文…\n無事ですか")
        assert 1_990 < len(shown.title.encode()) + len(shown.text.encode()) <= 2_000

    def test_it_offers_the_choices_as_buttons_and_otherwise_a_plain_acknowledgement(self) -> None:
        assert buttons_for(CONTENT, "ja") == (Button(None, "確認しました"),)
        assert buttons_for(CONTENT, "en") == (Button(None, "I have seen this"),)
        assert buttons_for(content(ask=ASK), "en") == (
            Button("safe", "無事"),
            Button("hurt", "けがをした"),
            Button("away", "市外にいる"),
        )


class Html(HTMLParser):
    """Collects what a mail program would show, and every element and address."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.shown = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.shown += data


class TestLetter:
    @given(contents, languages)
    def test_what_people_wrote_is_text_in_html_and_adds_no_element(self, given: Content, language: Language) -> None:
        parsed = Html(message(given, "letter", language).html)
        assert parsed.links == [URL]
        assert set(parsed.tags) <= {"html", "head", "meta", "title", "body", "h1", "p", "strong", "br", "ol", "li",
                                    "a", "table", "tr", "th", "td"}  # fmt: skip

    def test_markup_is_shown_as_it_was_written(self) -> None:
        evil = "<script>alert(1)</script><a href='https://evil.example'>&amp;\"'"
        ask = Ask(evil, (Choice("x", "<b>"),))
        parsed = Html(message(content(title=evil, body=evil, organisation=evil, ask=ask), "letter").html)
        assert parsed.links == [URL]
        assert parsed.shown.count(evil) == 5  # title, heading, body, question, sender
        assert "<b>" in parsed.shown

    def test_a_link_with_an_ampersand_and_quotes_stays_one_link(self) -> None:
        link = "https://example.jp/'\"&x=1"
        rendered = render(CONTENT, "ja", BUDGETS["letter"], link_length=len(link), zone=TOKYO)
        assert Html(rendered.personal(link, "x").html).links == [link]

    def test_it_tells_when_where_and_how_to_answer(self) -> None:
        assert message(content(drill=True, ask=ASK), "letter").text == (
            "【訓練】避難所を開設しました\n\nこれは訓練です。\n\n第一小学校へ。\n水をお持ちください。\n\n二段落目\n\n"
            "発信: みどり市\n重大度: 緊急\n発信時刻: 2026-11-22 12:04\n回答期限: 2026-11-23 12:04\n\n"
            "無事ですか\n  1. 無事\n  2. けがをした\n  3. 市外にいる\n\n"
            f"下のリンクを開いて回答してください。\n{URL}\n\n"
            "このリンクはあなた専用です。転送しないでください。\n"
        )


def test_every_severity_has_a_word_in_both_languages() -> None:
    spoken = {(language, severity_word(severity, language)) for language in LANGUAGES for severity in SEVERITIES}
    assert len(spoken) == len(LANGUAGES) * len(SEVERITIES)


def test_times_are_told_in_the_town_s_own_zone() -> None:
    late = content(sent_at=datetime(2026, 12, 31, 15, 30, tzinfo=UTC), expires_at=CONTENT.sent_at + timedelta(days=99))
    assert "2027-01-01 00:30" in message(late, "letter").text


def test_who_is_told_that_it_is_over_is_asked_nothing() -> None:
    over = content(revision=2, revision_kind="cancel", title="誤報でした")
    assert message(over, "notification").buttons == ()
    # A reply would be taken for an answer to another alert that is still open.
    assert "返信" in sms(CONTENT)
    assert "返信" not in sms(over)
    for language in LANGUAGES:
        for asking in ("回答期限", "開いて回答", "to answer", "Answer by"):
            assert asking not in message(over, "letter", language).text
            assert asking not in message(over, "letter", language).html
