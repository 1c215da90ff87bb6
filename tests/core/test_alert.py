"""What an alert is called, and which questions it can put."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.alert import (
    CHOICES_MAX,
    DRILL_MARK,
    LANGUAGES,
    Choice,
    Language,
    ask_faults,
    claims_drill,
    headline,
    is_blank,
)


@pytest.mark.parametrize(
    ("title", "drill", "language", "shown"),
    [
        ("津波警報", False, "ja", "津波警報"),
        ("津波警報", True, "ja", "【訓練】津波警報"),
        ("Tsunami", True, "en", "[DRILL] Tsunami"),
        ("津波警報", True, "en", "[DRILL] 津波警報"),
        ("【訓練】津波警報", True, "ja", "【訓練】津波警報"),
        ("[DRILL] Tsunami", True, "en", "[DRILL] Tsunami"),
        ("[DRILL]Tsunami", True, "en", "[DRILL] [DRILL]Tsunami"),
        ("津波【訓練】", True, "ja", "【訓練】津波【訓練】"),
        (" two\r\n lines\tof　it ", False, "en", "two lines of it"),
    ],
)
def test_a_title_is_one_line_and_a_drill_says_first_that_it_is_one(
    title: str, drill: bool, language: Language, shown: str
) -> None:
    assert headline(title, drill=drill, language=language) == shown


@given(st.text(), st.sampled_from(LANGUAGES))
def test_no_title_takes_the_mark_off_a_drill_or_breaks_the_line(title: str, language: Language) -> None:
    shown = headline(title, drill=True, language=language)
    assert shown.startswith(DRILL_MARK[language])
    assert len(shown.splitlines()) == 1


def choices(*pairs: tuple[str, str]) -> list[Choice]:
    return [Choice(*pair) for pair in pairs]


def test_a_question_with_one_to_nine_different_choices_can_be_put() -> None:
    assert ask_faults("無事ですか", choices(("safe", "無事"))) == []
    assert ask_faults("無事ですか", choices(*((str(n), f"{n}") for n in range(CHOICES_MAX)))) == []


@pytest.mark.parametrize(
    ("question", "given", "fields"),
    [
        ("  ", choices(("a", "A")), ["ask.question"]),
        ("?", [], ["ask.choices"]),
        ("?", choices(*((str(n), "x") for n in range(CHOICES_MAX + 1))), ["ask.choices"]),
        ("?", choices(("a", "A"), ("b", "B"), ("a", "C")), ["ask.choices.2.id"]),
        ("?", choices(("a", "A"), ("b", " ")), ["ask.choices.1.label"]),
        ("", choices(("a", ""), ("a", "")), ["ask.question", "ask.choices.0.label", "ask.choices.1.id",
                                             "ask.choices.1.label"]),
    ],
)  # fmt: skip
def test_everything_wrong_with_a_question_is_named_at_once(
    question: str, given: list[Choice], fields: list[str]
) -> None:
    assert [field for field, _ in ask_faults(question, given)] == fields


@pytest.mark.parametrize(
    "title", ["【訓練】避難", "[DRILL] Flood", " ［Drill］ x", "\u200b【 訓練 】避難", "（訓練）地震", "<drill> x"]
)
def test_a_title_that_says_drill_in_front_claims_one(title: str) -> None:
    assert claims_drill(title)


@pytest.mark.parametrize(
    "title", ["訓練の中止", "避難【訓練】", "Drilling site on fire", "大雨特別警報", "【緊急】訓練場で火災"]
)
def test_other_titles_claim_no_drill(title: str) -> None:
    assert not claims_drill(title)


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000", "\u200b\u200d", "\ufeff"])
def test_what_cannot_be_seen_is_blank(text: str) -> None:
    assert is_blank(text)


def test_an_emoji_is_not_blank() -> None:
    assert not is_blank("👨\u200d👩\u200d👧")
