"""The report as people read and print it."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, Visitor
from tests.browser.test_accessibility import ASK, LOOKS, complaints
from tests.browser.town import Town


@pytest.fixture(scope="module")
def reported(town: Town) -> str:
    """An alert after a drill, with one answer of one's own and one by proxy."""
    drill = town.post("参集訓練", drill=True)
    town.call("POST", f"/alerts/{drill}/acknowledgements", {"person": "tanaka"})
    alert = town.post("地震：安否を報告してください", drill=False, ask=ASK)
    for person, answer in (("suzuki", "safe"), ("admin", "safe")):
        town.call("POST", f"/alerts/{alert}/acknowledgements", {"person": person, "answer": answer})
    return alert


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_axe_finds_nothing(
    town: Town, visit: Visitor, reported: str, language: str, theme: str, size: dict[str, int]
) -> None:
    page = visit("boss", color_scheme=theme, viewport=size)
    page.goto(f"{town.url}/alerts/{reported}/report?lang={language}")
    expect(page.locator("html")).to_have_attribute("lang", language)
    assert complaints(page) == []
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= size["width"]


def test_the_files_are_saved_from_the_page(town: Town, visit: Visitor, reported: str) -> None:
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/alerts/{reported}")
    page.get_by_role("link", name="記録").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="CSV").click()
    assert saved.value.suggested_filename == f"alert-{reported}-report.csv"
    assert "鈴木 一郎" in saved.value.path().read_text(encoding="utf-8-sig")
    with page.expect_download() as saved:
        page.get_by_role("link", name="JSON").click()
    assert saved.value.suggested_filename == f"alert-{reported}-report.json"


def test_on_paper_there_are_no_buttons(town: Town, visit: Visitor, reported: str) -> None:
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/alerts/{reported}/report")
    page.emulate_media(media="print")
    expect(page.get_by_role("link", name="CSV")).to_be_hidden()
    expect(page.locator("header.top")).to_be_hidden()
    expect(page.locator(".banner")).to_be_visible()
    expect(page.locator(".plot-line")).to_be_visible()
