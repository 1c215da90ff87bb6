"""From the personal link to a phone that is proven to be reached."""

import re
from collections import Counter

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import PHONE, Visitor
from tests.browser.test_accessibility import LOOKS, complaints
from tests.browser.town import Town

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1"
ANDROID = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"
KILOBYTE = 1_000
FULL_WIDTH = str.maketrans("0123456789 ", "０１２３４５６７８９　")


def set_up(town: Town, visit: Visitor, person: str, **options: object) -> Page:
    page = visit(None, **options)
    page.goto(town.link(person))
    page.get_by_role("main").get_by_role("button").click()
    page.wait_for_url("**/me/setup")
    return page


def make_code(page: Page) -> str:
    page.get_by_role("button", name=re.compile("コードを表示")).click()
    expect(page.locator("[data-code]")).to_be_focused()
    return page.locator(".code-digits").inner_text()


def type_code(town: Town, page: Page, code: str) -> None:
    page.goto(f"{town.url}/sign-in")
    if not page.locator("#code").is_visible():
        page.get_by_text("コードを持っている").click()
    page.locator("#code").fill(code)
    page.get_by_role("button", name="コードでサインイン").click()


@pytest.mark.parametrize(("agent", "device"), [(IPHONE, "iPhone"), (ANDROID, "Android"), (None, "パソコン")])
def test_after_signing_in_the_hints_are_those_for_the_device(
    town: Town, visit: Visitor, agent: str | None, device: str
) -> None:
    page = set_up(town, visit, "tanaka", **({"user_agent": agent} if agent else {}))
    opened = page.locator("details.kind[open] > summary")
    expect(opened).to_have_count(1)
    expect(opened).to_contain_text(device)
    needed = page.get_by_text("追加しないと、iPhoneにはプッシュ通知が届きません")
    expect(needed).to_be_visible(visible=agent == IPHONE)


def test_a_way_is_ticked_by_real_evidence_alone(town: Town, visit: Visitor) -> None:
    page = set_up(town, visit, "tanaka")
    page.get_by_role("button", name="テストを送る").click()
    page.wait_for_url("**/me/setup?test=*")
    rows = page.locator("[data-list] > li")
    expect(rows).to_have_count(2)  # mail and SMS; neither is set up in this town
    expect(page.locator(".tested-head")).to_have_text("届いたことの確認：2件中0件")
    expect(rows.locator(".failing")).to_have_count(2)
    expect(rows.first.get_by_text("届かないときは", exact=True)).to_be_visible()
    alert = page.url.partition("test=")[2].partition("#")[0]
    town.hand_over(alert)
    sms = rows.filter(has_text="+819011112222")
    expect(sms).to_contain_text("届いたかはまだわかりません")
    expect(page.locator(".proven")).to_have_count(0)
    phone = visit()
    phone.goto(town.letter(alert, "tanaka"))
    phone.get_by_role("button", name="確認しました").click()
    expect(phone.locator(".kept")).to_be_visible()
    expect(sms.locator(".proven")).to_contain_text("これで回答しました")
    expect(page.locator(".tested-head")).to_have_text("届いたことの確認：2件中1件")
    expect(page.locator(".proven")).to_have_count(1)


def test_a_code_signs_in_the_app_that_shares_nothing_with_the_browser(town: Town, visit: Visitor) -> None:
    browser = set_up(town, visit, "suzuki", user_agent=IPHONE)
    old, code = make_code(browser), make_code(browser)
    app = visit(None, user_agent=IPHONE)
    type_code(town, app, old)
    expect(app.locator("#code-fault")).to_contain_text("コードが違うか、使用済みか、期限切れです")
    type_code(town, app, code.translate(FULL_WIDTH))
    expect(app).to_have_url(f"{town.url}/me/setup")
    expect(app.locator(".who")).to_have_text("鈴木 一郎")
    other = visit()
    type_code(town, other, code)
    expect(other.locator("#code-fault")).to_be_visible()


def test_it_all_works_without_scripts(town: Town, visit: Visitor) -> None:
    page = set_up(town, visit, "smith", java_script_enabled=False)
    page.get_by_role("button", name="Send the test").click()
    expect(page.locator("[data-list] > li")).to_have_count(2)
    page.get_by_text("iPhone, iPad").click()
    page.get_by_role("button", name="Make a sign-in code").click()
    expect(page.locator(".code-digits")).to_have_text(re.compile(r"^\d{5} \d{5}$"))


@pytest.mark.parametrize(("person", "first"), [("tanaka", "/me"), ("boss", "/board")])
def test_each_start_makes_push_whole_again(town: Town, visit: Visitor, person: str, first: str) -> None:
    page = visit(person)
    page.context.grant_permissions(["notifications"], origin=town.url)
    with page.expect_request("**/api/v1/push/key"):
        page.goto(town.url)
    expect(page).to_have_url(f"{town.url}{first}")


def test_the_first_view_is_small(town: Town, visit: Visitor) -> None:
    for number in range(3):
        town.post(f"地震：安否を報告してください {number}", drill=False, body="集合場所は市役所です。" * 20)
    sizes: Counter[str] = Counter()  # the page itself is asked for twice: once by the worker, which keeps it

    def note(request: Request) -> None:
        sizes[request.url] += request.sizes()["responseBodySize"] + request.sizes()["responseHeadersSize"]

    state = set_up(town, visit, "kondo").context.storage_state()
    fresh = visit(None, storage_state=state)  # signed in, and nothing in its cache
    fresh.on("requestfinished", note)
    fresh.goto(f"{town.url}/me")
    expect(fresh.locator("[data-line]")).to_have_attribute("data-state", "live")
    assert all(size for url, size in sizes.items() if "favicon" not in url), sizes  # of icons none is told
    assert sum(sizes.values()) < 60 * KILOBYTE, sizes


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_axe_has_nothing_to_say(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    # Nobody may send themselves more than three tests a minute.
    person = {"ja light": "suzuki", "ja dark": "kondo", "en light": "smith", "en dark": "boss"}[f"{language} {theme}"]
    page = set_up(town, visit, person, color_scheme=theme, viewport=size, user_agent=IPHONE if size == PHONE else None)
    found = []
    page.goto(f"{town.url}/me/setup?lang={language}")
    found += complaints(page)
    page.locator("details.kind").first.evaluate("(each) => { each.open = true; }")
    page.locator("form[action^='/me/setup/code'] button").click()
    expect(page.locator("[data-code]")).to_be_visible()
    found += complaints(page)
    page.locator("form[action='/me/setup/test'] button").click()
    page.wait_for_url("**/me/setup?test=*")
    found += complaints(page)
    alert = page.url.partition("test=")[2].partition("#")[0]
    town.hand_over(alert)
    expect(page.locator(".unproven").first).to_be_visible()
    found += complaints(page)
    stranger = visit(color_scheme=theme, viewport=size)
    stranger.goto(f"{town.url}/sign-in?lang={language}")
    stranger.locator("details.kind > summary").click()
    found += complaints(stranger)
    stranger.locator("#code").fill("1")
    stranger.locator("#code").press("Enter")
    expect(stranger.locator("#code-fault")).to_be_visible()
    found += complaints(stranger)
    assert found == []
