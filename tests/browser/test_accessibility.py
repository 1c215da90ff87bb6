"""axe finds nothing to complain about, on any page, in both languages and both themes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.test_manager import write
from tests.browser.town import Town

AXE = Path(__file__).parents[1] / "judges" / "node_modules" / "axe-core" / "axe.min.js"
ASK = {"question": "無事ですか？", "choices": [{"id": "safe", "label": "無事"}, {"id": "hurt", "label": "助けが必要"}]}
BODY = "**集合**\n\n- 一\n- 二\n\n[地図](https://example.jp/)"

# Every language in every theme, and each of them in both sizes.
LOOKS = [
    pytest.param("ja", "light", PHONE, id="ja-light-phone"),
    pytest.param("ja", "dark", DESKTOP, id="ja-dark-desktop"),
    pytest.param("en", "light", DESKTOP, id="en-light-desktop"),
    pytest.param("en", "dark", PHONE, id="en-dark-phone"),
]


def complaints(page: Page) -> list[Any]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run()")
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]]


class Looks:
    """What axe finds on a page, look after look; and that nothing of it stands beyond the screen's edge."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._found: dict[str, list[Any]] = {}

    def __call__(self, name: str) -> None:
        """Look at the page as it stands now."""
        found = complaints(self._page)
        if found:
            self._found[name] = found
        assert self._page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name

    def assert_nothing_found(self) -> None:
        assert self._found == {}


@pytest.fixture(scope="module")
def alerts(town: Town) -> dict[str, str]:
    """An answered real alert and an open drill."""
    if not AXE.exists():
        pytest.fail("axe-core is not installed: run `make test`, which installs it", pytrace=False)
    made = {
        "real": town.post("地震：安否を報告してください", drill=False, ask=ASK, body=BODY, severity="extreme"),
        "drill": town.post("参集訓練", drill=True, body=BODY),
    }
    steps = [
        {"after_seconds": 0, "channels": ["email"]},
        {"after_seconds": 120, "channels": ["sms"], "repeat": {"every_seconds": 300, "times": 3}},
        {"after_seconds": 600, "channels": ["sms"], "to": "supervisors"},
    ]
    made["updated"] = town.post("参集", drill=True, plan={"steps": steps})
    town.hand_over(made["updated"])
    town.call("POST", f"/alerts/{made['updated']}/revisions", {"kind": "update", "title": "続報", "body": BODY})
    made["over"] = town.post("津波警報", drill=False)
    town.call("POST", f"/alerts/{made['over']}/revisions", {"kind": "cancel", "title": "解除", "body": BODY})
    town.run("person", "role", "--person", "admin", "--role", "admin")
    town.call(
        "POST",
        f"/alerts/{made['real']}/acknowledgements",
        {"person": "tanaka", "answer": "safe", "comment": "自宅です"},
    )
    return made


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_pages_for_everybody(
    town: Town, visit: Visitor, alerts: dict[str, str], language: str, theme: str, size: dict[str, int]
) -> None:
    page = visit(color_scheme=theme, viewport=size)
    paths = [
        f"{town.url}/sign-in",
        town.link("smith"),
        town.letter(alerts["real"], "suzuki"),
        town.letter(alerts["drill"], "suzuki"),
        town.letter(alerts["real"], "tanaka"),
        town.letter(alerts["updated"], "tanaka"),
        town.letter(alerts["over"], "tanaka"),
        f"{town.url}/a/unknown",
    ]
    found = {}
    for path in paths:
        page.goto(f"{path}?lang={language}")
        assert page.locator("html").get_attribute("lang") == language
        found[path] = complaints(page)
    assert {path: each for path, each in found.items() if each} == {}


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_pages_for_those_who_have_signed_in(
    town: Town, visit: Visitor, alerts: dict[str, str], language: str, theme: str, size: dict[str, int]
) -> None:
    page = visit("boss", color_scheme=theme, viewport=size)
    post = town.call("GET", f"/alerts/{alerts['drill']}")["post"]
    steps: list[Callable[[], object]] = [
        lambda: page.goto(f"{town.url}/me?lang={language}"),
        lambda: page.locator(f"#alert-{alerts['drill']} .comment summary").click(),
        lambda: page.goto(f"{town.url}/board"),
        lambda: page.goto(f"{town.url}/posts/{post}"),
        lambda: page.goto(f"{town.url}/alerts/{alerts['real']}"),
        lambda: page.locator(".proxy summary").first.click(),
        lambda: page.goto(f"{town.url}/alerts/{alerts['updated']}"),
        lambda: page.locator(".proofs summary").first.click(),
        lambda: page.goto(f"{town.url}/alerts/{alerts['updated']}/people/outdated"),
        lambda: page.goto(f"{town.url}/alerts/{alerts['updated']}/update"),
        lambda: page.goto(f"{town.url}/alerts/{alerts['updated']}/call-off"),
        lambda: page.goto(f"{town.url}/alerts/{alerts['over']}"),
        lambda: page.goto(f"{town.url}/plans"),
        lambda: page.goto(f"{town.url}/alerts/{alerts['real']}/people/outstanding"),
        lambda: page.goto(f"{town.url}/me/settings"),
        lambda: page.goto(f"{town.url}/posts/new"),
        lambda: page.locator("a.door.real").click(),
        lambda: page.locator("input[name=audience][value=chosen]").check(),
        lambda: page.locator("input[name=ask][value=choices]").check(),
        lambda: page.locator("button.big[value=check]").click(),
    ]
    found = []
    for number, step in enumerate(steps):
        step()
        found += [(number, each) for each in complaints(page)]
    assert found == []


@pytest.mark.parametrize("kind", ["drill", "real"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_check_page(town: Town, visit: Visitor, alerts: dict[str, str], kind: str, theme: str) -> None:
    page = visit("boss", color_scheme=theme)
    write(page, town, "本番の訓練 real drill", kind)
    page.get_by_role("button", name="次へ").last.click()
    assert page.locator(".banner").is_visible()
    assert complaints(page) == []


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_the_form_for_plans(
    town: Town, visit: Visitor, alerts: dict[str, str], language: str, theme: str, size: dict[str, int]
) -> None:
    page = visit("admin", color_scheme=theme, viewport=size)
    page.goto(f"{town.url}/plans/new?lang={language}")
    assert complaints(page) == []
    page.locator("button[value=more]").click()
    page.locator("#name").fill("夜")
    page.locator("#after-1").fill("x")
    page.locator("button.big[value=save]").click()
    assert page.locator(".fault").count() > 1
    assert complaints(page) == []
