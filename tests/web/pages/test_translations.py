"""Every sentence of the pages is there in Japanese."""

import re
from collections.abc import Iterator, Sequence
from typing import cast

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from alertd.web import words
from alertd.web.templating import STATIC_DIR
from alertd.web.translations import accepted_language, catalogue_path, parse_language

_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "marked": None, "say": None}
_METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def extracted() -> Iterator[tuple[str | tuple[str, ...], str]]:
    """Every message of the pages, and where it stands."""
    directory = STATIC_DIR.parent
    for name, line, message, _, _ in extract_from_dir(str(directory), _METHODS, keywords=_KEYWORDS):
        yield message, f"{name}:{line}"


def texts(message: object) -> list[str]:
    """A message's forms: one, or one for each number."""
    return [message] if isinstance(message, str) else list(cast("Sequence[str]", message or ()))


@pytest.fixture(scope="module")
def japanese() -> Catalog:
    with catalogue_path("ja").open("rb") as file:
        return read_po(file, locale="ja", abort_invalid=True)


def test_nothing_is_missing_in_japanese(japanese: Catalog) -> None:
    missing = []
    for message, place in extracted():
        entry = japanese.get(message if isinstance(message, str) else message[0])
        if entry is None or entry.fuzzy or not all(texts(entry.string)):
            missing.append(f"{place}: {message}")
    assert missing == []


def test_nothing_is_left_over_in_japanese(japanese: Catalog) -> None:
    used = {message if isinstance(message, str) else message[0] for message, _ in extracted()}
    kept = {entry.id if isinstance(entry.id, str) else entry.id[0] for entry in japanese if entry.id}
    assert kept - used == set()


def test_what_is_filled_in_is_the_same_in_both_languages(japanese: Catalog) -> None:
    for entry in japanese:
        if not entry.id:
            continue
        source, text = texts(entry.id)[-1], texts(entry.string)[0]
        assert set(_PLACEHOLDER.findall(source)) == set(_PLACEHOLDER.findall(text)), source


def test_no_sentence_could_break_out_of_an_attribute(japanese: Catalog) -> None:
    for entry in japanese:
        if entry.id:
            for text in (*texts(entry.id), *texts(entry.string)):
                assert not set(text) & set('"<>&'), text


def test_a_refusal_is_told_in_the_readers_language() -> None:
    assert words.translate("must be at most 200 characters", "ja") == "200文字以内で入力してください。"
    assert words.translate("must be at most 200 characters", "en") == "At most 200 characters."
    assert words.translate("something new", "ja") == "something new"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "ja"),
        ("fr", "ja"),
        ("en", "en"),
        ("en-GB,en;q=0.8", "en"),
        ("fr,en;q=0.5,ja;q=0.9", "ja"),
        ("ja;q=0,en", "en"),
        ("en;q=nonsense,ja", "ja"),
        (";;;,,,", "ja"),
    ],
)
def test_the_browsers_wish_is_read(header: str, language: str) -> None:
    assert accepted_language(header) == language


def test_a_region_does_not_matter() -> None:
    assert parse_language("ja-JP") == "ja"
    assert parse_language("xx") is None
    assert parse_language(None) is None
