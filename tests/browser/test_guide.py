"""The guides are true: their pictures can still be taken, and what they call things is what the pages call them.

What stands between two asterisks is a page's own word; whoever wants to stress something else uses underscores.
"""

import re
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from babel.messages.pofile import read_po
from playwright.sync_api import Browser

from alertd.web.translations import catalogue_path
from tests.browser.printing import count_pages, digest, print_sheet
from tests.browser.scenes import SCENES, Place, Scene
from tests.browser.screenshots import GUIDE, LANGUAGES, sign_in, take
from tests.browser.town import Town

GUIDES: Final = sorted(GUIDE.glob("*/*.md"))
ASK: Final = {
    "question": "無事ですか？",
    "choices": [{"id": "safe", "label": "無事"}, {"id": "hurt", "label": "助けが必要"}],
}


@pytest.fixture(scope="module")
def states(town: Town, browser: Browser) -> dict[str, Any]:
    return {"admin": sign_in(browser, town.link("admin")), "staff": sign_in(browser, town.link("kondo"))}


@pytest.fixture(scope="module")
def alert(town: Town) -> str:
    return town.post("手引きの写真", drill=True, ask=ASK, body="**市役所**へ。")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_the_picture_can_be_taken(
    town: Town,
    browser: Browser,
    states: dict[str, Any],
    alert: str,
    scene: Scene,
    language: Literal["ja", "en"],
    tmp_path: Path,
) -> None:
    place = Place(town.url, alert, town.letter(alert, "suzuki"), language)
    take(browser, scene, place, states, tmp_path)
    assert (GUIDE / language / "images" / f"{scene.name}.png").is_file()


def _said(language: str) -> tuple[str, ...]:
    """Every word and sentence of the pages."""
    with catalogue_path("ja").open("rb") as file:
        messages = [message for message in read_po(file, locale="ja") if message.id]
    said = [message.string if language == "ja" else message.id for message in messages]
    return tuple(form for forms in said for form in ([forms] if isinstance(forms, str) else forms or ()))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: f"{guide.parent.name}-{guide.stem}")
def test_what_stands_between_asterisks_stands_on_a_page(guide: Path) -> None:
    said = _said(guide.parent.name)
    bold = re.findall(r"\*\*(.+?)\*\*", guide.read_text())
    missing = [words for words in bold if not any(sentence.startswith(words) for sentence in said)]
    assert missing == []


def test_every_picture_is_of_a_scene_that_is_tested() -> None:
    named = {name for guide in GUIDES for name in re.findall(r"\(images/(.+?)\.png\)", guide.read_text())}
    assert named <= {scene.name for scene in SCENES}


def test_each_guide_is_there_in_each_language() -> None:
    assert {guide.stem for guide in GUIDE.glob("ja/*.md")} == {guide.stem for guide in GUIDE.glob("en/*.md")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_staff_are_handed_is_two_pages_and_up_to_date(browser: Browser, language: str, tmp_path: Path) -> None:
    guide = GUIDE / language / "staff.md"
    assert count_pages(print_sheet(browser, guide, tmp_path / "staff.pdf")) == 2
    kept = guide.with_suffix(".pdf")
    assert count_pages(kept) == 2
    assert digest(guide).encode() in kept.read_bytes(), "print it again: python -m tests.browser.screenshots"
