"""Makes the pictures of the README and of docs/guide, and the sheets to print: `python -m tests.browser.screenshots`.

Runs the demo for it. The tests bring every scene onto a screen as well, so that no picture shows what is no more.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import ARGUMENTS, PHONE
from tests.browser.printing import print_sheet
from tests.browser.scenes import SCENES, Place, Scene
from tests.demo.town import build
from tests.services import short_directory

ROOT: Final = Path(__file__).parents[2]
GUIDE: Final = ROOT / "docs" / "guide"
LANGUAGES: Final[tuple[Literal["ja", "en"], ...]] = ("ja", "en")
_SIGN_IN: Final = re.compile(r"http://\S+/sign-in/\S+")
_ALERT: Final = re.compile(r"(http://[^/\s]+)/alerts/(\w+)")
_LETTER: Final = re.compile(r"http://\S+/a/\S+")
_STOP_SECONDS: Final = 90
_PHONE_SCALE: Final = 1.5
_WIDEST: Final = 1280  # pixels of a picture


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=GUIDE, help="where the pictures go, in a folder for each language")
    parser.add_argument("--people", default="300", help="how many work in the town")
    parser.add_argument("--only", help="names of scenes, with commas between them")
    given = parser.parse_args(arguments)
    names = given.only.split(",") if given.only else [scene.name for scene in SCENES]
    with running_demo(int(given.people)) as demo, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        states = {"admin": sign_in(browser, demo.admin_link), "staff": sign_in(browser, demo.staff_link)}
        for scene in SCENES:
            for language in LANGUAGES:
                place = Place(demo.url, demo.alert, demo.letter, language)
                if scene.name in names:
                    take(browser, scene, place, states, given.to / language / "images")
        for language in LANGUAGES:
            print_sheet(browser, given.to / language / "staff.md")
        browser.close()
    return 0


@dataclass(frozen=True)
class Demo:
    """What the demo prints when its alert has settled."""

    url: str
    alert: str
    admin_link: str
    staff_link: str
    letter: str


@contextmanager
def running_demo(people: int) -> Iterator[Demo]:
    """The demo, which ends with the block."""
    data = short_directory()
    command = [sys.executable, "-m", "tests.demo", "--lang", "en", "--people", str(people), "--data", str(data)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        try:
            url, alert, staff_link, letter = _read(demo.stdout)
            yield Demo(url, alert, _admin_link(data, url, people), staff_link, letter)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.stdout.read()
            demo.wait(_STOP_SECONDS)
            shutil.rmtree(data, ignore_errors=True)


def _admin_link(data: Path, url: str, people: int) -> str:
    command = [sys.executable, "-m", "alertd", "link", "create", "--person", build(people).admin.id, "--json"]
    environment = {**os.environ, "ALERTD_DATA_DIR": str(data), "ALERTD_PUBLIC_URL": url}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return next(value for value in map(str, json.loads(done.stdout).values()) if value.startswith("http"))


def _read(printed: IO[str]) -> tuple[str, str, str, str]:
    """Where it is, its alert, the link that signs a member of staff in, and somebody's link to the alert."""
    text = ""
    for line in printed:
        text += line
        links, alert, letter = _SIGN_IN.findall(text), _ALERT.search(text), _LETTER.search(text)
        if len(links) == 2 and alert and letter:
            return alert[1], alert[2], links[1], letter[0]
    raise RuntimeError("the demo ended before it printed its addresses")


def sign_in(browser: Browser, link: str) -> Any:
    """What a browser keeps that has signed in by this link."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    page.locator("main button").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    state = context.storage_state()
    context.close()
    return state


def take(browser: Browser, scene: Scene, place: Place, states: dict[str, Any], to: Path) -> None:
    """Bring the scene onto a screen, and keep a picture of it in the folder `to`."""
    width = scene.size["width"]
    context = browser.new_context(
        viewport={"width": width, "height": scene.size["height"]},
        device_scale_factor=_PHONE_SCALE if width == PHONE["width"] else min(1.0, _WIDEST / width),
        locale={"ja": "ja-JP", "en": "en-GB"}[place.language],
        storage_state=states[scene.who] if scene.who else None,
    )
    page = context.new_page()
    scene.show(page, place)
    page.evaluate("document.fonts.ready.then(() => null)")
    to.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=to / f"{scene.name}.png")
    context.close()


if __name__ == "__main__":
    sys.exit(main())
