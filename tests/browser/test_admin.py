"""Tokens, boards, and the page from which everything is found, in a browser."""

import pytest

from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import LOOKS, Looks
from tests.browser.town import Town


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_administration_in_every_look(
    town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]
) -> None:
    town.run("person", "role", "--person", "admin", "--role", "admin")
    page = visit("admin", color_scheme=theme, viewport=size)
    look = Looks(page)
    page.goto(f"{town.url}/admin?lang={language}")
    look("hub")
    page.locator(".desks a[href='/boards']").click()
    page.wait_for_url("**/boards")
    page.get_by_role("button").last.click()
    page.get_by_role("alert").wait_for()
    look("boards, refused")
    page.goto(f"{town.url}/tokens")
    page.locator("button.big").click()
    page.get_by_role("alert").wait_for()
    look("tokens, refused")
    page.locator("#person").fill("smith")
    page.locator("#role").select_option("viewer")
    page.locator("button.big").dblclick()
    page.locator(".secret").wait_for()
    look("the new token")
    look.assert_nothing_found()
