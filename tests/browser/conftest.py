"""A town and a browser for a whole test run, and a fresh visitor for each test."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.town import Town
from tests.services import short_directory

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}

Visitor = Callable[..., Page]

# What is expected comes at once on a machine with nothing else to do; a busy one is not a fault.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="package")
def town() -> Iterator[Town]:
    directory = short_directory()
    directory.mkdir(mode=0o700)
    town = Town(directory)
    try:
        town.start()
        town.settle()
        yield town
    finally:
        town.stop()
        shutil.rmtree(directory)


# Not for the session: Playwright keeps an event loop running in this thread, where no async test can start another.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    binary = shutil.which("chromium")
    if binary is None:
        pytest.fail("chromium is not installed: run `make test`, which installs it", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def sessions() -> dict[str, list[Any]]:
    """The cookies of everybody who has signed in, by person: making a link anew takes a second each time."""
    return {}


@pytest.fixture
def visit(browser: Browser, town: Town, sessions: dict[str, list[Any]]) -> Iterator[Visitor]:
    """`visit(person, **options)`: a browser of that person, signed in and on their first page; None signs nobody in.

    A test fails when any of its pages met an error of a script, or broke the policy for pages.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_browser(person: str | None = None, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": PHONE, "locale": "ja-JP", **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda told: complaints.append(told.text) if "Content Security Policy" in told.text else None
        )
        if person is not None:
            context.add_cookies(sessions.get(person, []))
            page.goto(town.url)
            if "/sign-in" in page.url:  # the first time, or somebody has signed out
                page.goto(town.link(person))
                page.locator("main button").click()
                page.wait_for_url("**/me/setup")
                sessions[person] = list(context.cookies())
                page.goto(town.url)
        return page

    yield open_browser
    for context in contexts:
        context.close()
    assert not complaints
