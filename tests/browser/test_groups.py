"""The pages of the tree of groups in a browser."""

import secrets

import pytest

from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import LOOKS, Looks
from tests.browser.town import Town


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_groups_in_every_look(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    town.run("person", "role", "--person", "admin", "--role", "admin")
    page = visit("admin", color_scheme=theme, viewport=size)
    look = Looks(page)
    page.goto(f"{town.url}/groups?lang={language}")
    look("tree")
    page.goto(f"{town.url}/groups/new?parent=fukushi")
    page.locator("#id").fill(f"g{secrets.token_hex(4)}")
    page.locator("button.big").click()
    look("refused")
    page.locator("#name").fill("長い名前" * 50)
    page.locator("#supervisors").fill("boss")
    page.locator("button.big").click()
    page.wait_for_url("**/groups/g*")
    look("made")
    page.goto(f"{town.url}/groups/bousai")
    page.locator(".apart button").click()
    look("not deleted")
    look.assert_nothing_found()
