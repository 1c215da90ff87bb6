"""Who has opened the page behind a link: a person counts, a program never does."""

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Visitor
from tests.browser.town import Town

HUMAN = "Object.defineProperty(Navigator.prototype, 'webdriver', { get: () => false })"
AGENT = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"


@pytest.fixture
def alert(town: Town) -> str:
    """An alert that went out by SMS."""
    made = town.post("開いたかどうか", drill=True, plan={"steps": [{"after_seconds": 0, "channels": ["sms"]}]})
    town.hand_over(made)
    return made


def opened(town: Town, alert: str) -> bool:
    return town.delivery(alert, "suzuki").opened_at is not None


def touch(page: Page, path: str) -> list[str]:
    """Look at a page and touch it; what its script told the server."""
    told: list[str] = []
    page.on("requestfinished", lambda request: told.append(request.url) if request.method == "POST" else None)
    page.goto(path)
    page.mouse.click(5, 5)
    page.wait_for_load_state("networkidle")
    return told


def test_a_persons_touch_is_noted(town: Town, visit: Visitor, alert: str) -> None:
    page = visit(user_agent=AGENT)
    page.add_init_script(HUMAN)
    letter = town.letter(alert, "suzuki")
    with page.expect_response(lambda answer: answer.url == f"{letter}/opened") as noted:
        page.goto(letter)
        page.mouse.click(5, 5)
    assert noted.value.status == 204
    assert opened(town, alert)


def test_a_browser_that_is_driven_is_not(town: Town, visit: Visitor, alert: str) -> None:
    assert touch(visit(user_agent=AGENT), town.letter(alert, "suzuki")) == []
    assert not opened(town, alert)


def test_a_scanner_that_fetches_the_link_is_not(town: Town, visit: Visitor, alert: str) -> None:
    page = visit(java_script_enabled=False, user_agent=AGENT)
    assert touch(page, town.letter(alert, "suzuki")) == []
    assert not opened(town, alert)


def test_a_bot_that_runs_scripts_and_hides_that_it_is_driven_is_not(town: Town, visit: Visitor, alert: str) -> None:
    page = visit(user_agent="Mozilla/5.0 (compatible; ExampleBot/2.1; +https://example.jp/bot)")
    page.add_init_script(HUMAN)
    letter = town.letter(alert, "suzuki")
    with page.expect_response(lambda answer: answer.url == f"{letter}/opened"):
        page.goto(letter)
        page.mouse.click(5, 5)
    assert not opened(town, alert)
