"""What a member of staff does with a phone at night."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.town import Town

SAFE = {"question": "無事ですか？", "choices": [{"id": "safe", "label": "無事"}, {"id": "hurt", "label": "助けが必要"}]}


def acknowledged(town: Town, alert: str) -> int:
    return int(town.call("GET", f"/alerts/{alert}/summary")["acknowledged"])


def test_one_tap_on_a_link_answers(town: Town, visit: Visitor) -> None:
    alert = town.post("地震：安否を報告してください", drill=False, ask=SAFE)
    page = visit()
    page.goto(town.letter(alert, "suzuki"))
    expect(page.locator(".banner")).to_contain_text("実際の警報")
    assert acknowledged(town, alert) == 0
    page.get_by_role("button", name="無事").click()
    expect(page.locator(".kept")).to_contain_text("回答はサーバーに届いています")
    expect(page.locator(".kept")).to_be_focused()
    assert town.call("GET", f"/alerts/{alert}/summary")["answers"] == {"safe": 1, "hurt": 0}
    # The page that a script put there and the one that the server shows are the same.
    page.reload()
    expect(page.locator(".kept")).to_contain_text("無事")


def test_a_link_works_without_scripts(town: Town, visit: Visitor) -> None:
    alert = town.post("参集訓練", drill=True)
    page = visit(java_script_enabled=False)
    page.goto(town.letter(alert, "smith"))
    expect(page.locator(".banner")).to_contain_text("DRILL")
    page.get_by_text("Add a comment").click()
    page.get_by_role("textbox").fill("I am at home")
    page.get_by_role("button", name="I have seen this").click()
    expect(page.locator(".kept")).to_contain_text("I am at home")
    assert acknowledged(town, alert) == 1


def test_an_answer_over_a_dead_line_is_not_called_received_and_is_not_lost(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False)
    page = visit()
    page.goto(town.letter(alert, "kondo"))
    page.context.set_offline(True)
    page.get_by_role("button", name="確認しました").click()
    expect(page.locator("[data-status]")).to_contain_text("まだ届いていません")
    expect(page.locator(".kept")).to_have_count(0)
    assert acknowledged(town, alert) == 0
    page.context.set_offline(False)
    expect(page.locator(".kept")).to_be_visible()
    assert acknowledged(town, alert) == 1


def test_the_button_that_was_pressed_last_counts(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False, ask=SAFE)
    page = visit()
    page.goto(town.letter(alert, "kondo"))
    page.context.set_offline(True)
    page.get_by_role("button", name="無事").click()
    expect(page.locator("[data-status]")).to_contain_text("まだ届いていません")
    page.get_by_role("button", name="助けが必要").click()
    page.context.set_offline(False)
    expect(page.locator(".kept")).to_contain_text("助けが必要")
    assert town.call("GET", f"/alerts/{alert}/summary")["answers"] == {"safe": 0, "hurt": 1}


def test_a_new_alert_appears_by_itself_and_loudly(town: Town, visit: Visitor) -> None:
    page = visit("tanaka")
    expect(page).to_have_url(f"{town.url}/me")
    expect(page.locator("[data-line]")).to_contain_text("自動で表示されます")
    alert = town.post("津波警報：高台へ避難", drill=False, ask=SAFE)
    article = page.locator(f"#alert-{alert}")
    expect(article).to_be_visible()
    expect(page.locator("[data-loud]")).to_contain_text("津波警報")
    expect(page.locator("[data-loud]")).to_contain_text("実際の警報")
    article.get_by_role("button", name="助けが必要").click()
    expect(article.locator(".kept")).to_contain_text("助けが必要")
    assert town.call("GET", f"/alerts/{alert}/summary")["answers"] == {"safe": 0, "hurt": 1}


def test_what_is_being_typed_stays_when_an_alert_comes(town: Town, visit: Visitor) -> None:
    first = town.post("一つ目", drill=True)
    page = visit("suzuki")
    article = page.locator(f"#alert-{first}")
    article.get_by_text("コメントを付ける").click()
    box = article.get_by_role("textbox")
    box.fill("途中まで書いた")
    second = town.post("二つ目", drill=True)
    expect(page.locator(f"#alert-{second}")).to_be_visible()
    expect(box).to_have_value("途中まで書いた")
    expect(box).to_be_focused()


def test_a_lost_line_is_told_in_words(town: Town, visit: Visitor) -> None:
    page = visit("kondo")
    line = page.locator("[data-line]")
    expect(line).to_contain_text("自動で表示されます")
    page.context.set_offline(True)
    expect(line).to_contain_text("接続が切れています")
    alert = town.post("切れている間の警報", drill=True)
    page.context.set_offline(False)
    expect(line).to_contain_text("自動で表示されます")
    expect(page.locator(f"#alert-{alert}")).to_be_visible()


def test_every_target_is_big_enough_and_nothing_sticks_out(town: Town, visit: Visitor) -> None:
    alert = town.post("とても長い件名" * 12, drill=False, ask=SAFE, body="W" * 300)
    page = visit("tanaka", viewport={"width": 320, "height": 568})
    for path in (
        town.letter(alert, "tanaka"),
        f"{town.url}/me",
        f"{town.url}/board",
        f"{town.url}/me/setup",
        f"{town.url}/me/settings",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
        small = page.evaluate(
            """() => [...document.querySelectorAll("button, .button, .switch, nav a, summary, input, select, textarea")]
                .filter((item) => !item.matches(".away, [type=radio], [type=checkbox]"))
                .filter((item) => item.getClientRects().length && item.getBoundingClientRect().height < 48)
                .map((item) => item.outerHTML)"""
        )
        assert small == [], path


def test_a_drill_and_a_real_alert_look_different(town: Town, visit: Visitor) -> None:
    page = visit()
    looks = []
    for drill in (True, False):
        page.goto(town.letter(town.post("避難", drill=drill), "tanaka"))
        style = (
            "(item) => { const style = getComputedStyle(item); return style.backgroundImage + style.backgroundColor }"
        )
        looks.append(page.locator(".banner").evaluate(style))
        words = page.locator(".banner").inner_text()
        assert bool(re.search("これは訓練です", words)) is drill
    assert looks[0] != looks[1]
