"""Makes the pictures of the README into docs/images: `python -m tests.browser.screenshots`. Runs the demo for it."""

import argparse
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, DESKTOP, PHONE

ROOT: Final = Path(__file__).parents[2]
_URLS: Final = {
    "console": re.compile(r"http://\S+/sign-in/\S+"),
    "live": re.compile(r"http://\S+/alerts/\S+"),
    "letter": re.compile(r"http://\S+/a/\S+"),
}
_STOP_SECONDS: Final = 90


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images", help="where the pictures go")
    parser.add_argument("--people", default="300", help="how many work in the town")
    given = parser.parse_args(arguments)
    given.to.mkdir(parents=True, exist_ok=True)
    with running_demo(given.people) as urls, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        take_all(browser, urls, given.to)
        browser.close()
    return 0


@contextmanager
def running_demo(people: str) -> Iterator[dict[str, str]]:
    """The addresses that the demo prints when its alert has settled; it ends with the block."""
    command = [sys.executable, "-m", "tests.demo", "--lang", "en", "--people", people]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        try:
            yield _read_urls(demo.stdout)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.stdout.read()
            demo.wait(_STOP_SECONDS)


def _read_urls(printed: IO[str]) -> dict[str, str]:
    urls: dict[str, str] = {}
    for line in printed:
        for name, pattern in _URLS.items():
            found = pattern.search(line)
            if found:
                urls.setdefault(name, found[0])
        if len(urls) == len(_URLS):
            return urls
    raise RuntimeError("the demo ended before it printed its addresses")


def take_all(browser: Browser, urls: dict[str, str], to: Path) -> None:
    def take(name: str, size: dict[str, int], show: Callable[[Page], object], sign_in: bool) -> None:
        # A phone's pictures are as sharp as its screen.
        scale = 2 if size["width"] == PHONE["width"] else 1
        state = signed_in if sign_in else None
        context = browser.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            device_scale_factor=scale,
            locale="ja-JP",
            storage_state=state,
        )
        page = context.new_page()
        show(page)
        page.evaluate("document.fonts.ready.then(() => null)")
        page.screenshot(path=to / f"{name}.png")
        context.close()

    context = browser.new_context()
    page = context.new_page()
    page.goto(urls["console"])
    page.locator("main button").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    signed_in = context.storage_state()
    context.close()
    take("alert-ja", PHONE, lambda page: page.goto(f"{urls['letter']}?lang=ja"), False)
    take("alert-en", PHONE, lambda page: page.goto(f"{urls['letter']}?lang=en"), False)
    take("live-ja", {**DESKTOP, "height": 1000}, lambda page: show_live(page, urls["live"]), True)
    take("ladder-ja", {**DESKTOP, "height": 1000}, lambda page: show_ladder(page, urls["live"]), True)
    take("check-ja", {**DESKTOP, "height": 1200}, lambda page: show_check(page, urls["live"]), True)
    take("call-off-ja", {**PHONE, "height": 1240}, lambda page: page.goto(f"{urls['live']}/call-off?lang=ja"), True)


def show_live(page: Page, url: str) -> None:
    page.goto(f"{url}?lang=ja")
    page.locator("[data-line][data-state=live]").wait_for()


def show_ladder(page: Page, url: str) -> None:
    show_live(page, url)
    page.locator(".ladder").scroll_into_view_if_needed()
    page.locator("section:has(.ladder)").evaluate("(section) => section.scrollIntoView()")


def show_check(page: Page, live: str) -> None:
    page.goto(re.sub(r"/alerts/.*", "/posts/new?lang=ja", live))
    page.locator("#title").fill("大地震の想定：安否を答えてください")
    page.locator("#body").fill(
        "防災訓練です。みかん市で震度6強の地震が起きたと想定します。いまの状況を答えてください。"
    )
    for name, value in (("audience", "everyone"), ("urgent", "yes"), ("drill", "drill"), ("ask", "choices")):
        page.locator(f"input[name={name}][value={value}]").check()
    page.locator("#plan").select_option("stepwise")
    page.locator("#question").fill("無事ですか")
    page.locator("#choices").fill("無事・出勤できます\n無事・出勤できません\nけがをしています")
    page.locator("button.big[value=check]").click()
    page.locator(".decide").wait_for()


if __name__ == "__main__":
    sys.exit(main())
