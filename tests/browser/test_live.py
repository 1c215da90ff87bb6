"""The live page in use: reminding, groups that open, the curve, and no jumping about."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, Visitor
from tests.browser.test_accessibility import ASK, LOOKS, complaints
from tests.browser.town import Town

# Every shift of the layout that no input asked for, from now on: https://wicg.github.io/layout-instability/
SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
      for (const source of entry.sources) window.shifts.push([entry.value, source.node?.parentElement?.className]);
  }).observe({ type: "layout-shift" });
}"""


def watch(town: Town, visit: Visitor, alert: str, **options: object) -> Page:
    page = visit("boss", **{"viewport": DESKTOP, **options})
    page.goto(f"{town.url}/alerts/{alert}")
    expect(page.locator("[data-line]")).to_have_text("ライブ更新中")
    return page


def acknowledge(town: Town, alert: str, person: str, **answer: str) -> None:
    town.call("POST", f"/alerts/{alert}/acknowledgements", {"person": person, **answer})


def test_another_browsers_answer_moves_the_bars_and_the_curve(town: Town, visit: Visitor) -> None:
    alert = town.post("安否確認", drill=True, ask=ASK)
    page = watch(town, visit, alert)
    line = page.locator(".plot-line")
    before = line.get_attribute("points")
    phone = visit("suzuki")
    phone.locator(f"#alert-{alert}").get_by_role("button", name="助けが必要").click()
    expect(page.locator("[data-bar='answers.hurt']")).to_have_js_property("value", 1)
    expect(page.locator("[data-count='answers.hurt']")).to_have_text("1")
    expect(page.locator("#acknowledged [data-key=suzuki]")).to_be_visible()
    assert line.get_attribute("points") != before


def test_what_is_above_the_people_does_not_move(town: Town, visit: Visitor) -> None:
    alert = town.post("動かない", drill=True, ask=ASK)
    page = watch(town, visit, alert)
    page.evaluate(SHIFTS)
    for person in ("tanaka", "suzuki", "smith"):
        acknowledge(town, alert, person, answer="safe")
    expect(page.locator("#acknowledged [data-key=smith]")).to_have_count(1)
    expect(page.locator(".score [data-count=acknowledged]")).to_have_text("3")
    assert page.evaluate("window.shifts") == []


def test_remind_goes_out_with_two_taps_and_once(town: Town, visit: Visitor) -> None:
    steps = [{"after_seconds": 0, "channels": ["email"]}]
    alert = town.post("避難", drill=False, plan={"steps": steps})
    town.hand_over(alert)
    acknowledge(town, alert, "tanaka")
    page = watch(town, visit, alert)
    page.get_by_role("link", name="未回答の人に再送信").click()
    expect(page.locator(".huge")).to_have_text("6人")
    page.get_by_role("button", name="「実際の警報」をもう一度送信する").dblclick()
    page.wait_for_url(f"**/alerts/{alert}#course")
    expect(page.locator("#course")).to_contain_text("手動の再送信（防災 課長）")
    runs = town.call("GET", f"/alerts/{alert}")["timetable"]
    assert [run["asked_by"] for run in runs] == [None, "boss"]
    # Carried out by the clock, and seen here without loading again.
    expect(page.locator("#course li").nth(1)).to_contain_text("実施済み")
    page.get_by_role("link", name="未回答の人に再送信").click()
    page.get_by_role("button", name="もう一度送信する").click()
    expect(page.get_by_role("alert")).to_contain_text("二重には送信しません")
    assert complaints(page) == []


def test_a_group_opens_into_its_people_and_stays_live(town: Town, visit: Visitor) -> None:
    alert = town.post("グループ", drill=True)
    page = watch(town, visit, alert)
    group = page.locator("[data-group=fukushi]")
    group.locator("summary").first.click()
    silent, answered = group.locator("[data-list=outstanding]"), group.locator("[data-list=acknowledged]")
    expect(silent.locator("[data-key=suzuki]")).to_contain_text("電話")
    expect(silent.locator("[data-key=smith]")).to_be_visible()
    page.mouse.move(0, 0)
    acknowledge(town, alert, "suzuki")
    expect(answered.locator("[data-key=suzuki]")).to_be_visible()
    expect(silent.locator("[data-key=suzuki]")).to_have_count(0)
    row = silent.locator("[data-key=smith]")
    row.get_by_text("代理で回答").click()
    row.get_by_role("button", name="本人に伝えました").click()
    expect(page.locator("#acknowledged [data-key=smith]")).to_be_visible()


def test_without_scripts_a_group_leads_to_its_people(town: Town, visit: Visitor) -> None:
    alert = town.post("スクリプトなし", drill=True)
    page = visit("boss", viewport=DESKTOP, java_script_enabled=False)
    page.goto(f"{town.url}/alerts/{alert}")
    page.locator("[data-group=fukushi] summary").first.click()
    page.locator("[data-group=fukushi]").get_by_role("link", name="この所属の人を見る").click()
    expect(page.locator("h1")).to_have_text("福祉部")
    expect(page.locator("[data-key=suzuki]")).to_be_visible()


def test_a_cut_network_is_told_with_the_age_of_the_numbers(town: Town, visit: Visitor) -> None:
    page = watch(town, visit, town.post("断線", drill=True))
    page.context.set_offline(True)
    expect(page.locator("[data-line]")).to_contain_text("更新が止まっています（接続切れ）")
    expect(page.locator("[data-line]")).to_contain_text("前の数字です")
    page.context.set_offline(False)
    expect(page.locator("[data-line]")).to_have_text("ライブ更新中")


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_axe_finds_nothing(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    alert = town.post("点検", drill=True, ask=ASK)
    acknowledge(town, alert, "suzuki", answer="safe")
    page = visit("boss", color_scheme=theme, viewport=size)
    page.goto(f"{town.url}/alerts/{alert}?lang={language}")
    expect(page.locator("[data-line]")).to_have_attribute("data-state", "live")
    page.locator("[data-group=fukushi] summary").first.click()
    expect(page.locator("[data-group=fukushi] [data-key=smith]")).to_be_visible()
    page.locator("[data-group=fukushi] .proxy summary").first.click()
    assert complaints(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    for path in ("groups/fukushi", "remind", "people/outstanding?group=fukushi"):
        page.goto(f"{town.url}/alerts/{alert}/{path}")
        assert complaints(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
