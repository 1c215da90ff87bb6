"""Calling off and updating, as the manager presses it and as everybody's open pages show it."""

from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, Visitor
from tests.browser.town import Town


def said(town: Town, alert: str) -> list[str]:
    return [each["title"] for each in town.call("GET", f"/alerts/{alert}")["revisions"]]


def test_a_false_alarm_is_called_off_with_two_clicks(town: Town, visit: Visitor) -> None:
    alert = town.post("津波警報", drill=False)
    page = visit("boss")
    page.goto(f"{town.url}/alerts/{alert}")
    page.get_by_role("link", name="解除・誤報").click()
    expect(page.locator(".banner")).to_contain_text("実際の警報")
    expect(page.locator(".huge")).to_contain_text("人")
    assert said(town, alert) == ["津波警報"]
    page.get_by_role("button", name="誤報だったと伝える").dblclick()
    page.wait_for_url(f"**/alerts/{alert}")
    expect(page.locator("h1")).to_have_text("【解除】【誤報】先ほどの通知は誤りです。対応は不要です。")
    expect(page.locator(".banner")).to_contain_text("実際の警報でしたが、解除されました。")
    assert said(town, alert) == ["津波警報", "【誤報】先ほどの通知は誤りです。対応は不要です。"]


def test_a_drill_is_called_off_without_scripts(town: Town, visit: Visitor) -> None:
    alert = town.post("参集訓練", drill=True)
    page = visit("boss", viewport=DESKTOP, java_script_enabled=False)
    page.goto(f"{town.url}/alerts/{alert}")
    page.get_by_role("link", name="解除・誤報").click()
    expect(page.locator(".banner")).to_contain_text("これは訓練です")
    page.get_by_role("button", name="解除を伝える").click()
    expect(page.locator("h1")).to_contain_text("【訓練】【解除】")
    assert len(said(town, alert)) == 2


def test_an_update_that_is_pressed_twice_goes_out_once(town: Town, visit: Visitor) -> None:
    alert = town.post("避難", drill=False)
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/alerts/{alert}")
    page.get_by_role("link", name="続報を送る").click()
    page.get_by_label("件名").fill("避難先は第二小学校")
    page.get_by_role("button", name="続報を").dblclick()
    page.wait_for_url(f"**/alerts/{alert}")
    expect(page.locator("h1")).to_have_text("【更新】避難先は第二小学校")
    assert said(town, alert) == ["避難", "避難先は第二小学校"]


def test_the_open_live_page_follows_a_revision(town: Town, visit: Visitor) -> None:
    alert = town.post("避難", drill=True)
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/alerts/{alert}")
    expect(page.locator("[data-line]")).to_have_text("ライブ更新中")
    town.call("POST", f"/alerts/{alert}/revisions", {"kind": "update", "title": "場所が変わりました", "body": ""})
    expect(page.locator("h1")).to_have_text("【訓練】【更新】場所が変わりました")


def test_whoever_is_typing_is_not_interrupted_by_a_revision_but_told(town: Town, visit: Visitor) -> None:
    alert = town.post("避難", drill=True)
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/alerts/{alert}")
    expect(page.locator("[data-line]")).to_have_text("ライブ更新中")
    row = page.locator("[data-section]:not(#acknowledged) [data-key=kondo]")
    row.get_by_text("代理で回答").click()
    row.get_by_role("textbox").fill("電話した")
    town.call("POST", f"/alerts/{alert}/revisions", {"kind": "update", "title": "変わりました", "body": ""})
    expect(page.locator("[data-newer]")).to_be_visible()
    expect(row.get_by_role("textbox")).to_have_value("電話した")


def test_an_open_inbox_hears_of_it_loudly(town: Town, visit: Visitor) -> None:
    alert = town.post("津波警報", drill=False)
    page = visit("tanaka")
    article = page.locator(f"#alert-{alert}")
    expect(article).to_be_visible()
    expect(page.locator("[data-line]")).to_contain_text("自動で表示されます")
    town.call("POST", f"/alerts/{alert}/revisions", {"kind": "cancel", "title": "津波の心配はありません", "body": ""})
    expect(page.locator("[data-loud]")).to_contain_text("【解除】津波の心配はありません")
    expect(page.locator("[data-loud]")).not_to_contain_text("実際の警報")
    expect(article.locator("h2")).to_have_text("【解除】津波の心配はありません")
    expect(article.locator(".banner")).to_contain_text("解除されました")


def test_the_next_step_is_counted_down(town: Town, visit: Visitor) -> None:
    steps = [{"after_seconds": 0, "channels": ["email"]}, {"after_seconds": 3600, "channels": ["sms"]}]
    alert = town.post("段階", drill=True, plan={"steps": steps})
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/alerts/{alert}")
    expect(page.locator("#course [data-until]")).to_contain_text("あと 5")
    without = visit("boss", viewport=DESKTOP, java_script_enabled=False)
    without.goto(f"{town.url}/alerts/{alert}")
    expect(without.locator("#course .countdown")).to_contain_text("次は")
