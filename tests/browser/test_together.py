"""Several browsers at once: what one person does is on the others' screens, without anybody reloading."""

from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, Visitor
from tests.browser.town import Town


def test_from_the_first_word_to_the_stand_down(town: Town, visit: Visitor) -> None:
    phone, other = visit("tanaka"), visit("suzuki")
    desk = visit("boss", viewport=DESKTOP)
    for page in (phone, other):
        expect(page.locator("[data-line]")).to_contain_text("自動で表示されます")
    desk.goto(f"{town.url}/posts/new?kind=drill&template=callout-ja")
    for name, value in (("担当", "二つの画面の班"), ("参集場所", "市役所"), ("理由", "大雨")):
        desk.locator(f'[data-fill="{name}"]').fill(value)
    desk.locator("input[name=audience][value=everyone]").check()
    desk.locator("button.to-check").click()
    desk.locator("button.send").click()
    desk.wait_for_url("**/alerts/*")
    alert = desk.url.rsplit("/", 1)[1]
    expect(desk.locator("[data-line]")).to_have_text("ライブ更新中")

    for page in (phone, other):
        expect(page.locator(f"#alert-{alert} h2")).to_contain_text("参集：二つの画面の班は市役所へ")
        expect(page.locator("[data-loud]")).to_contain_text("訓練")
    phone.locator(f"#alert-{alert} button[value]").first.click()
    expect(desk.locator("#acknowledged [data-key=tanaka]")).to_be_visible()
    expect(desk.locator(".score [data-count=acknowledged]")).to_have_text("1")
    expect(desk.locator("#acknowledged [data-key=suzuki]")).to_have_count(0)

    second = visit("boss", viewport=DESKTOP)
    second.goto(f"{town.url}/alerts/{alert}/update")
    second.get_by_label("件名").fill("集合は第二小学校に変更")
    second.get_by_role("button", name="続報を").click()
    second.wait_for_url(f"**/alerts/{alert}")
    for page, heading in ((phone, "h2"), (other, "h2"), (desk, "h1")):
        scope = page.locator(f"#alert-{alert}") if heading == "h2" else page
        expect(scope.locator(heading)).to_contain_text("【更新】集合は第二小学校に変更")

    desk.get_by_role("link", name="解除・誤報").click()
    desk.get_by_role("button", name="解除を伝える").click()
    for page in (phone, other):
        expect(page.locator(f"#alert-{alert} h2")).to_contain_text("【解除】")
    expect(second.locator("h1")).to_contain_text("【解除】")


def test_two_who_write_at_once_lose_nothing(town: Town, visit: Visitor) -> None:
    alert = town.post("同時に直す", drill=True)
    first, second = visit("boss", viewport=DESKTOP), visit("boss", viewport=DESKTOP)
    for page, title in ((first, "一人目の続報"), (second, "二人目の続報")):
        page.goto(f"{town.url}/alerts/{alert}/update")
        page.get_by_label("件名").fill(title)
    first.get_by_role("button", name="続報を").click()
    first.wait_for_url(f"**/alerts/{alert}")
    second.get_by_role("button", name="続報を").click()
    expect(second.get_by_label("件名")).to_have_value("二人目の続報")
    expect(second.locator("main")).to_contain_text("一人目の続報")
    assert [each["title"] for each in town.call("GET", f"/alerts/{alert}")["revisions"]] == [
        "同時に直す",
        "一人目の続報",
    ]
