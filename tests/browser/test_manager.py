"""What the emergency manager does: write, check, send, watch."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, Visitor
from tests.browser.town import Town


def write(page: Page, town: Town, title: str, kind: str) -> None:
    """Fill in the form behind the door `kind` (board, drill or real), in Japanese, for everyone."""
    page.goto(f"{town.url}/posts/new")
    page.locator(f"a.door.{kind}").click()
    page.get_by_label("件名").fill(title)
    page.get_by_label("本文").fill("市役所に集合してください。")
    page.locator("input[name=audience][value=everyone]").check()


def test_from_the_form_to_the_live_page(town: Town, visit: Visitor) -> None:
    page = visit("boss", viewport=DESKTOP)
    write(page, town, "地震：安否を報告", "board")
    page.get_by_text("種類を変える").click()
    page.locator("button.door.real").click()
    page.locator("input[name=ask][value=choices]").check()
    page.get_by_label("質問", exact=True).fill("無事ですか？")
    page.get_by_label("選択肢（").fill("無事\n助けが必要")
    page.get_by_role("button", name="次へ").last.click()
    expect(page.locator(".banner")).to_contain_text("実際の警報")
    expect(page.locator(".last-look")).to_contain_text("佐藤 花子")
    page.get_by_role("button", name="戻って修正する").click()
    expect(page.get_by_label("選択肢（")).to_have_value("無事\n助けが必要")
    page.get_by_role("button", name="次へ").last.click()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Send the REAL alert to 7 people")).to_be_visible()
    page.get_by_role("button", name="日本語").click()
    page.get_by_role("button", name="「実際の警報」を7人に送信する").dblclick()
    page.wait_for_url("**/alerts/*")
    expect(page.locator("[data-count=recipients]")).to_have_text("7")
    posts = town.call("GET", "/alerts")["items"]
    assert [alert["title"] for alert in posts].count("地震：安否を報告") == 1


def test_enter_in_the_form_sends_nothing(town: Town, visit: Visitor) -> None:
    page = visit("boss", viewport=DESKTOP)
    write(page, town, "Enter では送らない", "drill")
    page.get_by_label("件名").press("Enter")
    expect(page.get_by_text("まだ送信されていません。")).to_be_visible()
    assert "Enter では送らない" not in [alert["title"] for alert in town.call("GET", "/alerts")["items"]]


def test_answers_appear_by_themselves(town: Town, visit: Visitor) -> None:
    alert = town.post("参集", drill=True)
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/alerts/{alert}")
    expect(page.locator("[data-line]")).to_have_text("ライブ更新中")
    expect(page.locator("#acknowledged [data-key=suzuki]")).to_have_count(0)
    town.call("POST", f"/alerts/{alert}/acknowledgements", {"person": "suzuki"})
    expect(page.locator(".score [data-count=acknowledged]")).to_have_text("1")
    expect(page.locator("[data-group=fukushi] [data-group-acknowledged]")).to_have_text("1")
    expect(page.locator("#acknowledged [data-key=suzuki]")).to_contain_text("代理")
    expect(page).to_have_title("1/7 【訓練】参集 – みなと市")


def test_a_form_in_use_is_left_alone_while_answers_come(town: Town, visit: Visitor) -> None:
    alert = town.post("電話で確認する", drill=True)
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/alerts/{alert}")
    row = page.locator("[data-section]:not(#acknowledged) [data-key=kondo]")
    row.get_by_text("代理で回答").click()
    box = row.get_by_role("textbox")
    box.fill("電話した")
    town.call("POST", f"/alerts/{alert}/acknowledgements", {"person": "tanaka"})
    expect(page.locator("#acknowledged [data-key=tanaka]")).to_be_visible()
    expect(box).to_be_focused()
    expect(box).to_have_value("電話した")
    row.get_by_role("button", name="本人に伝えました").click()
    expect(page.locator("#acknowledged [data-key=kondo]")).to_contain_text("電話した")


def test_a_page_that_is_not_live_says_so_and_comes_back(town: Town, visit: Visitor) -> None:
    alert = town.post("サーバーが止まる", drill=True)
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/alerts/{alert}")
    line = page.locator("[data-line]")
    expect(line).to_have_text("ライブ更新中")
    town.stop()
    try:
        expect(line).to_contain_text("更新が止まっています")
        expect(line).to_contain_text("秒前の数字です")
    finally:
        town.start()
    expect(line).to_have_text("ライブ更新中", timeout=30_000)
    town.call("POST", f"/alerts/{alert}/acknowledgements", {"person": "smith"})
    expect(page.locator(".score [data-count=acknowledged]")).to_have_text("1")


def test_the_live_page_works_without_scripts(town: Town, visit: Visitor) -> None:
    alert = town.post("スクリプトなし", drill=True)
    page = visit("boss", viewport=DESKTOP, java_script_enabled=False)
    page.goto(f"{town.url}/alerts/{alert}")
    expect(page.get_by_text("表示は読み込み時点の数字です。").first).to_be_visible()
    town.call("POST", f"/alerts/{alert}/acknowledgements", {"person": "smith"})
    page.get_by_role("link", name="再読み込み").click()
    expect(page.locator(".score [data-count=acknowledged]")).to_have_text("1")


def test_a_post_is_written_without_scripts(town: Town, visit: Visitor) -> None:
    page = visit("boss", viewport=DESKTOP, java_script_enabled=False)
    write(page, town, "スクリプトなしの訓練", "drill")
    page.get_by_role("button", name="次へ").last.click()
    page.get_by_role("button", name="【訓練】を7人に送信する").click()
    expect(page.locator(".banner")).to_contain_text("【訓練】")
    expect(page.locator("h1")).to_contain_text("スクリプトなしの訓練")
