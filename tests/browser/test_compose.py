"""Writing an urgent post in a real browser: from the template to the check to what was sent."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, Visitor
from tests.browser.test_accessibility import LOOKS, complaints
from tests.browser.test_manager import write
from tests.browser.town import Town


def titles(town: Town) -> list[str]:
    return [alert["title"] for alert in town.call("GET", "/alerts")["items"]]


def begin(page: Page, town: Town, kind: str, template: str = "quake-ja") -> None:
    page.goto(f"{town.url}/posts/new")
    page.locator(f"a.door.{kind}").click()
    page.locator(f"button[value=use-{template}]").click()


def fill_in(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.locator(f'[data-fill="{name}"]').fill(value)


QUAKE = {"震度": "６弱", "時刻": "6時45分", "場所": "みなと市", "参集場所": "市役所３階"}


def test_from_the_template_to_what_was_sent(town: Town, visit: Visitor) -> None:
    page = visit("boss", viewport=DESKTOP)
    begin(page, town, "real")
    fill_in(page, **{**QUAKE, "場所": ""})
    expect(page.locator(".reads-title")).to_have_text("震度６弱の地震：安否と参集の可否を回答")
    expect(page.locator(".reads-body mark.open")).to_have_text("場所")
    page.locator("input[name=audience][value=everyone]").check()
    page.get_by_role("button", name="次へ").last.click()
    expect(page.get_by_role("textbox", name="場所", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".door-head.real")).to_be_visible()
    fill_in(page, 場所="みなと市")
    page.get_by_role("button", name="次へ").last.click()
    expect(page.locator(".last-look")).to_contain_text("7人のうち0人に")
    expect(page.locator(".behind.real")).to_be_visible()
    expect(page.locator(".android .look-title").first).to_have_text("震度６弱の地震：安否と参集の可否を回答")
    page.get_by_role("button", name="「実際の警報」を7人に送信する").click()
    page.wait_for_url("**/alerts/*")
    sent = town.call("GET", f"/alerts/{page.url.rsplit('/', 1)[1]}")
    assert sent["title"] == "震度６弱の地震：安否と参集の可否を回答"
    assert "みなと市で震度６弱を観測" in sent["body"]
    assert (sent["drill"], sent["severity"], len(sent["ask"]["choices"])) == (False, "extreme", 4)


def test_without_scripts_the_server_fills_in(town: Town, visit: Visitor) -> None:
    page = visit("boss", viewport=DESKTOP, java_script_enabled=False)
    begin(page, town, "drill", "callout-ja")
    fill_in(page, 担当="第２配備", 参集場所="市役所")
    page.locator("input[name=audience][value=chosen]").check()
    page.get_by_label("福祉部").check()
    page.locator("#people").fill("tanaka")
    page.locator("button.to-check").click()
    expect(page.get_by_label("理由")).to_have_attribute("aria-invalid", "true")
    fill_in(page, 理由="大雨")
    page.locator("button.to-check").click()
    expect(page.locator(".android .look-title").first).to_have_text("【訓練】参集：第２配備は市役所へ")
    page.get_by_role("button", name="【訓練】を4人に送信する").click()
    expect(page.locator("h1")).to_contain_text("参集：第２配備は市役所へ")


def press(page: Page, reached: Callable[[], bool], key: str = "Tab", most: int = 80) -> None:
    """Press a key until something is reached."""
    for _ in range(most):
        if reached():
            return
        page.keyboard.press(key)
    raise AssertionError("the keyboard does not reach it")


def focused(page: Page, selector: str) -> Callable[[], bool]:
    return lambda: bool(page.evaluate("(selector) => document.activeElement.matches(selector)", selector))


def test_the_keyboard_alone_is_enough(town: Town, visit: Visitor) -> None:
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/posts/new")
    for selector in ("a.door.drill", "button[value=use-callout-ja]"):
        press(page, focused(page, selector))
        with page.expect_navigation():
            page.keyboard.press("Enter")
    for name, value in (("担当", "鍵盤だけの班"), ("参集場所", "市役所"), ("理由", "大雨")):
        press(page, focused(page, f'[data-fill="{name}"]'))
        page.keyboard.insert_text(value)
    press(page, focused(page, "input[name=audience]"))
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    expect(page.locator("input[name=audience][value=chosen]")).to_be_checked()
    press(page, focused(page, "input[name=group][value=fukushi]"))
    page.keyboard.press("Space")
    press(page, focused(page, "#find"))
    page.keyboard.insert_text("田中")
    expect(page.locator("[data-found] button")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("[data-chips] li")).to_have_count(1)
    press(page, focused(page, "button.to-check"))
    page.keyboard.press("Enter")
    expect(page.locator(".last-look")).to_contain_text("4人")
    press(page, focused(page, "button.send"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/*")
    assert "参集：鍵盤だけの班は市役所へ" in titles(town)


def test_nothing_that_has_the_focus_hides_under_the_head(town: Town, visit: Visitor) -> None:
    page = visit("boss")
    page.goto(f"{town.url}/posts/new?kind=real")
    page.locator("button.to-check").focus()
    for _ in range(25):
        page.keyboard.press("Shift+Tab")
        hidden = page.evaluate(
            """() => {
              const head = document.querySelector(".door-head").getBoundingClientRect();
              const own = document.activeElement.getBoundingClientRect();
              return document.activeElement.closest(".behind") && own.bottom <= head.bottom && own.top >= head.top;
            }"""
        )
        assert not hidden, page.evaluate("document.activeElement.outerHTML")


def test_the_tree_says_what_a_branch_takes_in_and_the_counter_follows(town: Town, visit: Visitor) -> None:
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/posts/new?kind=drill")
    counter = page.locator("[data-count]")
    expect(counter).to_have_text("宛先：0人")
    page.locator("input[name=audience][value=chosen]").check()
    child = page.locator(".branch .branch", has_text="子育て支援課")
    expect(child.locator(".included")).to_be_hidden()
    page.get_by_label("福祉部").check()
    expect(child.locator(".included")).to_be_visible()
    expect(counter).to_have_text("宛先：3人")
    page.locator("#find").fill("防災")
    page.get_by_role("button", name="防災 課長を加える").click()
    expect(counter).to_have_text("宛先：4人")
    page.get_by_role("button", name="防災 課長を外す").click()
    expect(counter).to_have_text("宛先：3人")
    page.locator("#find").fill("だれでもない")
    expect(page.locator("[data-found-note]")).to_have_text("該当する人はいません")


def test_what_is_shown_follows_what_is_typed(town: Town, visit: Visitor) -> None:
    page = visit("boss", viewport=DESKTOP)
    write(page, town, "見え方", "drill")
    expect(page.locator(".look-title").first).to_have_text("【訓練】見え方")
    expect(page.locator(".look-size").first).to_have_text(re.compile(r"\d+文字・2通分"))
    expect(page.locator("[data-shown] .look-language")).to_have_text(["日本語", "English"])
    expect(page.locator("[data-shown] .timetable > li")).to_have_count(1)
    page.get_by_label("本文").fill("長い文" * 60)
    expect(page.locator(".look-size").first).to_have_text("134文字・2通分")


def test_another_door_keeps_what_was_typed(town: Town, visit: Visitor) -> None:
    page = visit("boss", viewport=DESKTOP)
    write(page, town, "扉を変える", "drill")
    page.get_by_text("種類を変える").click()
    page.locator("button.door.real").click()
    expect(page.locator(".door-head.real")).to_be_visible()
    expect(page.get_by_label("件名")).to_have_value("扉を変える")
    expect(page.locator("input[name=audience][value=everyone]")).to_be_checked()


class TestDrafts:
    def kept(self, page: Page) -> list[Any]:
        found: list[Any] = json.loads(
            page.evaluate(
                "JSON.stringify(Object.keys(localStorage).filter((name) => name.startsWith('alertd-draft:boss:')))"
            )
        )
        return found

    def test_an_ended_session_loses_nothing(self, town: Town, visit: Visitor) -> None:
        page = visit("boss", viewport=DESKTOP)
        write(page, town, "途中で切れる", "real")
        page.context.clear_cookies()
        page.get_by_role("button", name="次へ").last.click()
        page.goto(town.link("boss"))
        page.locator("main button").click()
        page.wait_for_url(lambda url: "/sign-in" not in url)
        page.goto(f"{town.url}/posts/new")
        expect(page.locator("[data-drafts] [data-title]")).to_have_text("途中で切れる")
        page.get_by_role("button", name="続きを書く").click()
        expect(page.locator(".door-head.real")).to_be_visible()
        expect(page.get_by_label("件名")).to_have_value("途中で切れる")
        expect(page.get_by_label("本文")).to_have_value("市役所に集合してください。")
        expect(page.locator("input[name=audience][value=everyone]")).to_be_checked()
        expect(page.locator("[data-drafts]")).to_be_hidden()

    def test_a_reload_offers_it_and_it_can_be_thrown_away(self, town: Town, visit: Visitor) -> None:
        page = visit("boss", viewport=DESKTOP)
        write(page, town, "読み込み直す", "drill")
        page.goto(f"{town.url}/posts/new?kind=drill")
        expect(page.locator("[data-drafts] [data-title]")).to_have_text("読み込み直す")
        page.get_by_role("button", name="破棄する").click()
        expect(page.locator("[data-drafts]")).to_be_hidden()
        assert self.kept(page) == []

    def test_what_was_sent_is_offered_no_more(self, town: Town, visit: Visitor) -> None:
        page = visit("boss", viewport=DESKTOP)
        write(page, town, "送った下書き", "drill")
        page.get_by_role("button", name="次へ").last.click()
        page.get_by_role("button", name="【訓練】を7人に送信する").dblclick()
        page.wait_for_url("**/alerts/*")
        assert titles(town).count("送った下書き") == 1
        assert len(self.kept(page)) == 1
        with page.expect_response("**/posts/new/posted?*"):
            page.goto(f"{town.url}/posts/new")
        page.wait_for_function("!Object.keys(localStorage).some((name) => name.startsWith('alertd-draft:'))")
        expect(page.locator("[data-drafts]")).to_be_hidden()

    def test_two_tabs_do_not_mix(self, town: Town, visit: Visitor) -> None:
        page = visit("boss", viewport=DESKTOP)
        other = page.context.new_page()
        write(page, town, "一つ目", "drill")
        write(other, town, "二つ目", "real")
        page.get_by_label("本文").fill("一つ目の本文")
        page.goto(f"{town.url}/board")
        other.goto(f"{town.url}/posts/new")
        expect(other.locator("[data-drafts] li")).to_have_count(2)
        first = other.locator("[data-drafts] li", has_text="一つ目")
        expect(first.locator(".mark.drill")).to_be_visible()
        first.get_by_role("button", name="続きを書く").click()
        expect(other.locator(".door-head.drill")).to_be_visible()
        expect(other.get_by_label("本文")).to_have_value("一つ目の本文")

    def test_signing_out_forgets_it(self, town: Town, visit: Visitor) -> None:
        page = visit("boss", viewport=DESKTOP)
        write(page, town, "忘れられる", "drill")
        page.goto(f"{town.url}/me/settings")
        assert len(self.kept(page)) == 1
        page.get_by_role("button", name="サインアウト").click()
        page.wait_for_url("**/sign-in")
        assert self.kept(page) == []

    def test_a_lost_connection_is_told_while_one_types(self, town: Town, visit: Visitor) -> None:
        page = visit("boss", viewport=DESKTOP)
        write(page, town, "つながらない", "drill")
        page.context.clear_cookies()
        page.get_by_label("件名").fill("つながらない。")
        expect(page.locator("[data-kept]")).to_be_visible()


def test_a_template_is_made_and_used(town: Town, visit: Visitor) -> None:
    page = visit("admin", viewport=DESKTOP)
    page.goto(f"{town.url}/templates/new?lang=ja")
    page.get_by_label("ひな形の名前").fill("橋の通行止め")
    page.get_by_label("件名").fill("{橋}は通行止め")
    page.get_by_role("button", name="文面から入力欄を読み取る").click()
    page.get_by_label("橋", exact=True).fill("みなと大橋")
    page.get_by_role("button", name="ひな形を保存する").last.click()
    expect(page.get_by_role("status")).to_contain_text("保存しました")
    page.get_by_role("link", name="訓練で使う").click()
    expect(page.locator(".door-head.drill")).to_be_visible()
    expect(page.locator(".example")).to_have_text("例：みなと大橋")


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_axe_finds_nothing(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    page = visit("boss", color_scheme=theme, viewport=size)

    def settle() -> None:
        expect(page.locator("[data-count]")).not_to_have_text("")
        page.locator(".writing-preview > details").evaluate("(details) => { details.open = true; }")
        expect(page.locator("[data-shown] .look").first).to_be_visible()

    def fill_all() -> None:
        for field in page.locator("[data-fill]").all():
            field.fill("あ")

    def check() -> None:
        page.locator("input[name=audience][value=everyone]").check()
        page.locator("button.to-check").click()
        page.locator(".last-look").wait_for()

    steps: list[Callable[[], object]] = [
        lambda: page.goto(f"{town.url}/posts/new?lang={language}"),
        lambda: page.locator("a.door.real").click(),
        settle,
        lambda: page.locator(".change-door summary").click(),
        lambda: page.locator(f"button[value=use-callout-{language}]").click(),
        lambda: page.locator("button.to-check").click(),
        lambda: page.locator("input[name=audience][value=chosen]").check(),
        lambda: page.locator("input[name=group]").first.check(),
        lambda: page.locator("#find").fill("ta"),
        lambda: page.locator("[data-found] button").first.click(),
        fill_all,
        settle,
        check,
        lambda: page.locator("button[value=edit]").first.click(),
        lambda: page.goto(f"{town.url}/posts/new"),
        lambda: expect(page.locator("[data-drafts]")).to_be_visible(),
        lambda: page.locator("a.door.drill").click(),
        settle,
        lambda: page.goto(f"{town.url}/posts/new?kind=board"),
        lambda: page.goto(f"{town.url}/templates"),
        lambda: page.goto(f"{town.url}/templates/quake-{language}"),
    ]
    found = []
    for number, step in enumerate(steps):
        step()
        found += [(number, each) for each in complaints(page)]
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > size["width"]:
            found.append((number, f"wider than the screen: {width}"))
    assert found == []


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_axe_finds_nothing_where_templates_are_written(
    town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]
) -> None:
    page = visit("admin", color_scheme=theme, viewport=size)
    page.goto(f"{town.url}/templates/new?lang={language}")
    assert complaints(page) == []
    page.locator("#title").fill("{a}")
    page.locator("button.big[value=save]").click()
    expect(page.locator("#fault-name")).to_be_visible()
    assert complaints(page) == []
    page.goto(f"{town.url}/templates/quake-{language}")
    assert complaints(page) == []
