"""Webhooks in a browser: on every screen, and none deleted by a slip of the thumb."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import LOOKS, Looks
from tests.browser.town import Town

LONG = "https://hooks.example.jp/services/" + "T0123456789ABCDEF" * 8


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_webhooks_in_every_look(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    town.run("person", "role", "--person", "admin", "--role", "admin")
    page = visit("admin", color_scheme=theme, viewport=size)
    look = Looks(page)
    page.goto(f"{town.url}/webhooks?lang={language}")
    name = f"chat-{language}-{theme}"
    page.locator("#id").fill(name)
    page.locator("#url").fill(LONG)
    page.locator("button.big").click()
    page.locator("#made-title").wait_for()
    look("webhooks, made")
    page.goto(f"{town.url}/webhooks")
    row = page.locator(".person", has=page.get_by_text(name, exact=True))
    expect(row.locator("button[value=delete]")).to_be_hidden()
    row.locator("summary").click()
    look("webhooks, opened")
    page.locator("#id").fill("a b")
    page.locator("#url").fill("http://10.0.0.7/hook")
    for box in page.locator("input[name=types]").all():
        box.uncheck()
    page.locator("button.big").click()
    page.locator("#fault-url").wait_for()
    look("webhooks, refused")
    row.locator("summary").click()
    row.locator("button[value=delete]").click()
    expect(page.locator("[role=status]")).to_be_visible()
    expect(page.locator(".person", has=page.get_by_text(name, exact=True))).to_have_count(0)
    look.assert_nothing_found()
