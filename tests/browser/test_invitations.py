"""Sheets of paper by which people sign in, as a browser shows and prints them."""

import re
from pathlib import Path

import pytest

from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import LOOKS, Looks
from tests.browser.town import Town


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_invitations_in_every_look(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    page = visit("boss", color_scheme=theme, viewport=size)
    look = Looks(page)
    page.goto(f"{town.url}/people/invitations?lang={language}")
    page.locator("#people").fill("nobody")
    page.locator("button.big").click()
    page.get_by_role("alert").wait_for()
    look("refused")
    page.locator("#people").fill("tanaka smith")
    page.locator("button.big").click()
    page.locator(".sheet").first.wait_for()
    look("sheets")
    page.goto(f"{town.url}/people/invitations")
    look("list")
    look.assert_nothing_found()


def test_each_sheet_is_one_page_of_paper_and_signs_its_person_in(town: Town, visit: Visitor, tmp_path: Path) -> None:
    page = visit("boss")
    page.goto(f"{town.url}/people/invitations")
    page.locator("#people").fill("tanaka smith kondo")
    page.locator("button.big").dblclick()
    page.locator(".sheet").first.wait_for()
    printed = page.pdf(path=tmp_path / "sheets.pdf", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 3
    address = page.locator(".sheet").nth(1).locator(".address").inner_text()
    phone = visit()
    phone.goto(address)
    assert "Anna Smith" in phone.locator("main").inner_text()
    phone.locator("main button").click()
    phone.wait_for_url("**/me/setup")
