"""The wall, as it hangs there: live, honest when it is not, and readable from afar."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import ASK, LOOKS, complaints
from tests.browser.town import Town

SCREEN = {"width": 1920, "height": 1080}
SMALLEST = 42  # pixels of a screen of that size: five metres away a letter is to have 25 mm
LONG = "大規模な地震が発生しました。全職員はただちに安否を報告し、参集できる者は市役所本庁舎へ参集してください。" * 3


def hang(visit: Visitor, url: str, **options: object) -> Page:
    page = visit("boss", viewport=SCREEN, **options)
    page.goto(url)
    expect(page.locator("[data-line]")).to_have_text("ライブ更新中")
    return page


def test_another_browsers_answer_appears(town: Town, visit: Visitor) -> None:
    alert = town.post("安否確認", drill=False, ask=ASK)
    wall = hang(visit, f"{town.url}/alerts/{alert}/wall")
    expect(wall.locator("[data-acknowledged]")).to_have_text("0")
    phone = visit("suzuki")
    phone.locator(f"#alert-{alert}").get_by_role("button", name="助けが必要").click()
    expect(wall.locator("[data-acknowledged]")).to_have_text("1")
    expect(wall.locator(".wall-bars li", has_text="助けが必要")).to_contain_text("1")
    expect(wall.locator("[data-age]")).to_have_text("数字：現在")


def end_all(town: Town) -> None:
    living = [alert["id"] for alert in town.call("GET", "/alerts?limit=200")["items"] if alert["state"] == "active"]
    for alert in living:
        town.call("POST", f"/alerts/{alert}/revisions", {"kind": "cancel", "title": "終わり", "body": ""})


def test_it_switches_by_itself_to_a_new_alert_and_back(town: Town, visit: Visitor) -> None:
    end_all(town)
    first = town.post("一つ目", drill=True)
    wall = hang(visit, f"{town.url}/wall")
    expect(wall.locator("h1")).to_have_text("【訓練】一つ目")
    second = town.post("二つ目", drill=False)
    expect(wall.locator("h1")).to_have_text("二つ目")
    expect(wall.locator(".banner")).to_contain_text("実際の警報")
    expect(wall.locator(".wall-others")).to_contain_text("一つ目")
    town.call("POST", f"/alerts/{second}/acknowledgements", {"person": "tanaka"})
    expect(wall.locator("[data-acknowledged]")).to_have_text("1")
    town.call("POST", f"/alerts/{second}/revisions", {"kind": "cancel", "title": "終わり", "body": ""})
    expect(wall.locator("h1")).to_have_text("【訓練】一つ目")
    town.call("POST", f"/alerts/{first}/acknowledgements", {"person": "tanaka"})
    expect(wall.locator("[data-acknowledged]")).to_have_text("1")


def test_it_says_big_when_it_is_not_live_and_comes_back(town: Town, visit: Visitor) -> None:
    alert = town.post("断線", drill=True)
    wall = hang(visit, f"{town.url}/alerts/{alert}/wall")
    line = wall.locator("[data-line]")
    town.stop()
    expect(line).to_contain_text("更新が止まっています", timeout=30_000)
    assert line.evaluate("(line) => parseFloat(getComputedStyle(line).fontSize)") >= 70
    assert wall.locator("[data-acknowledged]").is_visible()
    assert complaints(wall) == []
    town.start()
    town.call("POST", f"/alerts/{alert}/acknowledgements", {"person": "tanaka"})
    expect(line).to_have_text("ライブ更新中", timeout=30_000)
    expect(wall.locator("[data-acknowledged]")).to_have_text("1")
    assert line.evaluate("(line) => parseFloat(getComputedStyle(line).fontSize)") < 50


def test_a_network_that_is_cut_is_seen_at_once(town: Town, visit: Visitor) -> None:
    wall = hang(visit, f"{town.url}/alerts/{town.post('断線', drill=True)}/wall")
    wall.context.set_offline(True)
    expect(wall.locator("[data-line]")).to_contain_text("更新が止まっています")
    wall.context.set_offline(False)
    expect(wall.locator("[data-line]")).to_have_text("ライブ更新中")


def test_a_stream_that_lives_while_the_numbers_cannot_be_had_is_not_called_live(town: Town, visit: Visitor) -> None:
    alert = town.post("片方だけ", drill=True)
    wall = hang(visit, f"{town.url}/alerts/{alert}/wall")
    wall.route("**/wall", lambda route: route.abort())
    town.call("POST", f"/alerts/{alert}/acknowledgements", {"person": "tanaka"})
    expect(wall.locator("[data-line]")).to_contain_text("更新が止まっています", timeout=30_000)
    expect(wall.locator("[data-acknowledged]")).to_have_text("0")
    wall.unroute("**/wall")
    expect(wall.locator("[data-acknowledged]")).to_have_text("1")
    expect(wall.locator("[data-line]")).to_have_text("ライブ更新中")


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "lost"])
@pytest.mark.parametrize(("people", "look"), [("312", ""), ("9,876", "long"), ("987,654", "longest")])
@pytest.mark.parametrize("language", ["ja", "en"])
def test_everything_fits_and_nothing_is_too_small(
    town: Town, visit: Visitor, language: str, people: str, look: str, is_live: bool
) -> None:
    town.post("もう一つ", drill=False)
    alert = town.post(LONG[:200], drill=True, ask=ASK)
    wall = visit("boss", viewport=SCREEN)
    wall.goto(f"{town.url}/alerts/{alert}/wall?lang={language}")
    line = wall.locator("[data-line]")
    expect(line).to_have_attribute("data-state", "live")
    if not is_live:
        wall.context.set_offline(True)
        expect(line).to_have_attribute("data-state", "lost")
    wall.evaluate(
        """([people, look]) => {
          document.querySelector(".wall-main").className = `wall-main ${look}`;
          for (const place of document.querySelectorAll(".wall-number, .wall-tiles dd")) place.textContent = people;
          document.querySelector(".wall-of").textContent = `/ ${people}`;
        }""",
        [people, look],
    )
    sizes = wall.evaluate(
        """() => [...document.querySelectorAll(".wall *")]
          .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
          .map((element) => parseFloat(getComputedStyle(element).fontSize))"""
    )
    assert min(sizes) >= SMALLEST
    for part in (".wall-tiles", ".wall-bars >> nth=-1", ".banner"):
        box = wall.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= SCREEN["height"]
    score, numbers = wall.locator(".wall-score").bounding_box(), wall.locator(".wall-tiles").bounding_box()
    assert score is not None
    assert numbers is not None
    assert numbers["y"] + numbers["height"] <= score["y"] + score["height"] + 1
    assert wall.locator(".wall-tiles").evaluate("(tiles) => tiles.scrollWidth <= tiles.clientWidth")
    assert wall.locator(".wall-main").evaluate("(main) => main.getClientRects()[0].height") < 250  # in one line
    assert wall.evaluate("document.documentElement.scrollHeight") <= SCREEN["height"]


def test_the_clock_is_the_towns(town: Town, visit: Visitor) -> None:
    alert = town.post("時計", drill=True)
    wall = hang(visit, f"{town.url}/alerts/{alert}/wall", timezone_id="America/New_York")
    told = wall.evaluate(
        "new Intl.DateTimeFormat('ja', {hour: 'numeric', hour12: false, timeZone: 'Asia/Tokyo'}).format(new Date())"
    )
    assert wall.locator("[data-clock]").inner_text().partition(":")[0].zfill(2) == told.removesuffix("時").zfill(2)


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_axe_finds_nothing(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    real, drill = town.post("地震", drill=False, ask=ASK), town.post("参集", drill=True)
    page = visit("boss", color_scheme=theme, viewport=size)
    for path in (f"/alerts/{real}/wall", f"/alerts/{drill}/wall", "/wall"):
        page.goto(f"{town.url}{path}?lang={language}")
        expect(page.locator("[data-line]")).to_have_attribute("data-state", "live")
        assert complaints(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_when_all_is_over_it_says_so_and_the_next_one_appears(town: Town, visit: Visitor) -> None:
    end_all(town)
    wall = hang(visit, f"{town.url}/wall")
    expect(wall.locator("h1")).to_have_text("継続中の警報はありません。")
    assert complaints(wall) == []
    town.post("次の警報", drill=False)
    expect(wall.locator("h1")).to_have_text("次の警報")
