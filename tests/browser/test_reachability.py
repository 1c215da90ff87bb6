"""The page of who can be reached, in a browser."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import LOOKS, complaints
from tests.browser.town import Town


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_who_can_be_reached_in_every_look(
    town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]
) -> None:
    page = visit("boss", color_scheme=theme, viewport=size)
    found = {}
    page.goto(f"{town.url}/people/reachability?lang={language}")
    for name in ("unreachable", "partly", "unproven"):
        page.locator(f".list-{name}").click()
        expect(page.locator(f".list-{name}")).to_have_attribute("aria-current", "page")
        found[name] = complaints(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert {name: each for name, each in found.items() if each} == {}
    with page.expect_download() as saving:
        page.locator("a[download]").click()
    assert saving.value.suggested_filename.endswith(".csv")
