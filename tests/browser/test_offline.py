"""The phone without a line: its pages open, it takes the answer, and the server has it once, with both times."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from alertd.store import credentials
from tests.browser.conftest import Visitor
from tests.browser.test_accessibility import LOOKS, complaints
from tests.browser.test_worker import ANSWER, FULL, Phone, payload
from tests.browser.town import Town

SAFE = {"question": "無事ですか？", "choices": [{"id": "safe", "label": "無事"}, {"id": "hurt", "label": "助けが必要"}]}
KEPT = """async (path) => {
  const found = await caches.match(path, { cacheName: "alertd-pages" });
  return found ? await found.text() : "";
}"""
WAITING = "async () => (await Outbox.list()).map(({ action, given }) => ({ action, given }))"
REFUSED = """async () => {
  for (const entry of await Outbox.list()) await Outbox.settle(entry, { state: "refused" });
}"""
# A phone that lay in a cellar for ten minutes, as far as its outbox knows.
TEN_MINUTES_AGO = """async () => {
  for (const entry of await Outbox.list()) await Outbox.put({ ...entry, given: entry.given - 600000 });
}"""
HOLD_THE_TURN = "() => { navigator.locks.request('alertd-outbox', () => new Promise(() => {})); }"
HEAR = """() => {
  window.heard = [];
  const line = document.querySelector("[data-line]");
  const note = () => { if (line.ariaLive === "polite") window.heard.push(line.textContent); };
  new MutationObserver(note).observe(line, { childList: true });
}"""
COME_BACK = "() => { document.dispatchEvent(new Event('visibilitychange')); }"
LOGIN_PAGE = "<!doctype html><title>Free WiFi</title><p>Please sign in"


def at_home(town: Town, visit: Visitor, person: str, **options: Any) -> Page:
    """The page of `person`'s alerts, with a worker behind it."""
    page = visit(person, **options)
    keep(page, "/me", "data-line")
    page.reload()
    expect_live(page)
    return page


def sign_in(page: Page, town: Town, person: str) -> None:
    page.goto(town.link(person))
    page.locator("main button").click()
    page.wait_for_url("**/me/setup")
    page.goto(f"{town.url}/me")


def line(page: Page) -> Locator:
    return page.locator("[data-line]")


def expect_live(page: Page) -> None:
    expect(line(page)).to_have_attribute("data-state", "live")


def keep(page: Page, path: str, words: str) -> None:
    """Returns when the worker keeps a page with these words at `path`."""
    while words not in page.evaluate(KEPT, path):
        page.wait_for_timeout(25)


def hold_next(page: Page, url: str, method: str) -> list[Route]:
    """Where the next such request will wait until it is let go on."""
    held: list[Route] = []

    def handle(route: Route) -> None:
        if route.request.method == method and not held:
            held.append(route)
        else:
            route.continue_()

    page.route(url, handle)
    return held


def wait_until_held(page: Page, held: list[Route]) -> Route:
    while not held:
        page.wait_for_timeout(25)
    return held[0]


def acknowledged(town: Town, alert: str) -> int:
    return int(town.call("GET", f"/alerts/{alert}/summary")["acknowledged"])


def answer_of(town: Town, alert: str, person: str) -> dict[str, Any]:
    items = town.call("GET", f"/alerts/{alert}/recipients")["items"]
    [answer] = [each["acknowledgement"] for each in items if each["person"]["id"] == person]
    return dict(answer)


def waited(answer: dict[str, Any]) -> timedelta:
    """How long an answer was on its way."""
    return datetime.fromisoformat(answer["received_at"]) - datetime.fromisoformat(answer["answered_at"])


def test_without_a_line_the_page_opens_takes_the_answer_and_sends_it_later(town: Town, visit: Visitor) -> None:
    alert = town.post("地震：安否を報告してください", drill=False, ask=SAFE)
    town.age(alert, timedelta(hours=1))
    page = at_home(town, visit, "tanaka")
    keep(page, "/me", alert)
    page.context.set_offline(True)
    page.goto(f"{town.url}/me")
    expect(line(page)).to_contain_text("接続が切れています")
    expect(line(page)).to_contain_text("時点の内容です")
    article = page.locator(f"#alert-{alert}")
    article.get_by_text("コメントを付ける").click()
    article.get_by_role("textbox").fill("地下にいます")
    article.get_by_role("button", name="助けが必要").click()
    expect(article.locator("[data-status]")).to_contain_text("つながりしだい送ります")
    expect(page.locator("[data-outbox]")).to_contain_text("助けが必要")
    assert acknowledged(town, alert) == 0
    # It outlives the page.
    page.goto(f"{town.url}/me")
    expect(article.locator("[data-status]")).to_contain_text("まだ届いていません")
    expect(page.locator("[data-outbox]")).to_contain_text("地震：安否を報告してください")
    page.evaluate(TEN_MINUTES_AGO)
    page.context.set_offline(False)
    expect(article.locator(".kept")).to_contain_text("助けが必要")
    expect(page.locator("[data-outbox]")).to_be_hidden()
    answer = answer_of(town, alert, "tanaka")
    assert (answer["answer"], answer["comment"], answer["way"]) == ("hurt", "地下にいます", "page")
    assert timedelta(minutes=10) <= waited(answer) < timedelta(minutes=12)
    assert answer["first"]["received_at"] == answer["received_at"]
    assert town.call("GET", f"/alerts/{alert}/summary")["answers"] == {"safe": 0, "hurt": 1}
    # What is kept from now on says that the server has it, and both times.
    keep(page, "/me", "kept-head")
    page.context.set_offline(True)
    page.goto(f"{town.url}/me")
    expect(article.locator(".kept")).to_contain_text("回答した時刻")


def test_two_tabs_are_one_answer(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False, ask=SAFE)
    first = at_home(town, visit, "tanaka")
    second = first.context.new_page()
    second.goto(f"{town.url}/me")
    expect_live(second)
    first.context.set_offline(True)
    for page, button in ((first, "無事"), (second, "助けが必要")):
        page.locator(f"#alert-{alert}").get_by_role("button", name=button).click()
        expect(page.locator("[data-outbox] li")).to_have_count(1)
    # Each shows what the other has kept.
    expect(first.locator("[data-outbox]")).to_contain_text("助けが必要")
    [kept] = first.evaluate(WAITING)
    assert kept["action"] == f"/me/alerts/{alert}"
    first.context.set_offline(False)
    for page in (first, second):
        expect(page.locator(f"#alert-{alert} .kept")).to_contain_text("助けが必要")
        expect(page.locator("[data-outbox]")).to_be_hidden()
    assert town.call("GET", f"/alerts/{alert}/summary")["answers"] == {"safe": 0, "hurt": 1}
    assert answer_of(town, alert, "tanaka")["first"]["answer"] == "hurt"


def test_the_browser_sends_when_no_page_is_open(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False)
    page = at_home(town, visit, "suzuki")
    phone = Phone(page, town)
    sent: list[str] = []
    page.on("requestfinished", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.context.set_offline(True)
    page.locator(f"#alert-{alert}").get_by_role("button", name="確認しました").click()
    expect(page.locator("[data-outbox] li")).to_have_count(1)
    page.goto("about:blank")
    page.context.set_offline(False)
    while not acknowledged(town, alert):
        phone.sync()  # browsers try again, too, when nothing came of it
        page.wait_for_timeout(250)
    # Whether the worker was cut off as well is the browser's affair: it may have sent at once.
    assert sent == []
    page.goto(f"{town.url}/me")
    expect(page.locator(f"#alert-{alert} .kept")).to_be_visible()
    expect(page.locator("[data-outbox]")).to_be_hidden()


def test_an_answer_from_a_notification_waits_for_a_line_too(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False)
    page = at_home(town, visit, "tanaka")
    page.context.grant_permissions(["notifications", "background-sync"], origin=town.url)
    phone = Phone(page, town)
    phone.push(payload(town, alert))
    page.context.set_offline(True)
    phone.worker.evaluate(ANSWER, "ack")
    [shown] = phone.shown()
    assert shown["title"] == "回答はまだ送られていません"
    assert "つながりしだい送ります" in shown["body"]
    page.context.set_offline(False)
    while phone.shown()[0]["title"] != "回答はサーバーに届きました":
        phone.sync()
        page.wait_for_timeout(250)
    assert answer_of(town, alert, "tanaka")["way"] == "sms-link"  # as which the link was made


def test_a_personal_link_opens_again_without_a_line_and_says_that_it_is_old(town: Town, visit: Visitor) -> None:
    alert = town.post("津波警報：高台へ", drill=False, ask=SAFE)
    link = town.letter(alert, "sato")
    page = visit()
    page.goto(link)
    expect(page.locator(".if-kept")).to_be_hidden()
    page.wait_for_function("() => navigator.serviceWorker.controller")
    page.reload()
    keep(page, link, "津波警報")
    page.context.set_offline(True)
    page.reload()
    expect(page.locator("h1")).to_have_text("津波警報：高台へ")
    expect(page.locator(".if-kept")).to_contain_text("サーバーにつながりません")
    page.get_by_role("button", name="無事").click()
    expect(page.locator("[data-status]")).to_contain_text("つながりしだい送ります")
    page.context.set_offline(False)
    expect(page.locator(".kept")).to_contain_text("無事")
    expect(page.locator(".if-kept")).to_be_hidden()
    assert acknowledged(town, alert) == 1
    keep(page, link, "kept-head")


def test_signing_out_sends_what_waits_and_takes_away_what_is_kept(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False)
    page = at_home(town, visit, "kondo")
    keep(page, "/me", alert)
    page.context.set_offline(True)
    page.locator(f"#alert-{alert}").get_by_role("button", name="確認しました").click()
    expect(page.locator("[data-outbox] li")).to_have_count(1)
    page.context.set_offline(False)
    page.goto(f"{town.url}/me/settings")
    page.context.set_offline(True)
    page.get_by_role("button", name="サインアウト").click()
    expect(page.locator("h1")).to_have_text("まだサインアウトしていません")
    page.context.set_offline(False)
    page.get_by_role("link", name="もう一度試す").click()
    page.get_by_role("button", name="サインアウト").click()
    expect(page).to_have_url(f"{town.url}/sign-in")
    assert acknowledged(town, alert) == 1
    page.goto(f"{town.url}/sign-in")
    assert page.evaluate(KEPT, "/me") == ""
    page.context.set_offline(True)
    page.goto(f"{town.url}/me")
    expect(page.locator("h1")).to_have_text("つながっていません")
    expect(page.locator("body")).not_to_contain_text("地震")


def test_a_session_that_ended_keeps_the_answer_for_whoever_gave_it(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False)
    page = at_home(town, visit, "tanaka")
    with town.store() as store, store.write() as connection:
        credentials.revoke_all(connection, "tanaka", datetime.now(UTC), "session")
    article = page.locator(f"#alert-{alert}")
    article.get_by_role("button", name="確認しました").click()
    expect(article.locator("[data-status]")).to_contain_text("もう一度サインインすると送ります")
    assert acknowledged(town, alert) == 0
    article.get_by_role("link", name="サインイン").click()
    expect(page).to_have_url(f"{town.url}/sign-in?next=%2Fme")
    # Somebody else on this device neither sees nor sends it.
    sign_in(page, town, "suzuki")
    expect_live(page)
    expect(page.locator("[data-outbox]")).to_be_hidden()
    assert acknowledged(town, alert) == 0
    sign_in(page, town, "tanaka")
    expect(page.locator(f"#alert-{alert} .kept")).to_be_visible()
    answer = answer_of(town, alert, "tanaka")
    assert answer["answered_at"] < answer["received_at"]
    assert acknowledged(town, alert) == 1


@pytest.mark.parametrize("clock", ["2009-01-01", "2043-01-01"])
def test_a_wrong_clock_does_no_harm(town: Town, visit: Visitor, clock: str) -> None:
    alert = town.post("地震", drill=False)
    town.age(alert, timedelta(hours=1))
    page = visit("suzuki", service_workers="block")  # whose clock would be right
    page.clock.set_system_time(clock)
    page.context.set_offline(True)
    page.locator(f"#alert-{alert}").get_by_role("button", name="確認しました").click()
    expect(page.locator("[data-outbox] li")).to_have_count(1)
    page.evaluate(TEN_MINUTES_AGO)
    page.context.set_offline(False)
    expect(page.locator(f"#alert-{alert} .kept")).to_be_visible()
    assert timedelta(minutes=10) <= waited(answer_of(town, alert, "suzuki")) < timedelta(minutes=12)


def test_a_double_tap_is_one_answer(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False)
    page = at_home(town, visit, "suzuki")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.method == "POST" else None)
    page.locator(f"#alert-{alert}").get_by_role("button", name="確認しました").dblclick()
    expect(page.locator(f"#alert-{alert} .kept")).to_be_visible()
    assert asked == [f"{town.url}/me/alerts/{alert}"]


@pytest.mark.parametrize("person", ["tanaka", None])
@pytest.mark.parametrize("status", [200, 401, 403])
def test_the_page_of_a_foreign_network_is_neither_a_receipt_nor_a_refusal(
    town: Town, visit: Visitor, person: str | None, status: int
) -> None:
    alert = town.post("地震", drill=False)
    page = visit(person, service_workers="block")
    page.goto(f"{town.url}/me" if person else town.letter(alert, "tanaka"))
    page.route("**/*", lambda route: route.fulfill(status=status, content_type="text/html", body=LOGIN_PAGE))
    form = page.locator(f"form[action$='{alert}'], form[action^='/a/']")
    form.get_by_role("button", name="確認しました").click()
    expect(form.locator("[data-status]")).to_contain_text("まだ届いていません")
    assert acknowledged(town, alert) == 0
    page.unroute_all()
    expect(page.locator(f"#alert-{alert} .kept, .for ~ .kept")).to_be_visible(timeout=20_000)
    assert acknowledged(town, alert) == 1


def test_an_answer_that_was_long_on_its_way_does_not_beat_the_one_after_it(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False, ask=SAFE)
    town.age(alert, timedelta(hours=1))
    page = visit("suzuki", service_workers="block")
    article = page.locator(f"#alert-{alert}")
    held = hold_next(page, f"**/me/alerts/{alert}", "POST")
    article.get_by_role("button", name="無事").click()
    first = wait_until_held(page, held)
    article.get_by_role("button", name="助けが必要").click()
    page.clock.set_system_time(datetime.now(UTC) + timedelta(seconds=10))
    first.continue_()
    expect(article.locator(".kept")).to_contain_text("助けが必要")
    assert town.call("GET", f"/alerts/{alert}/summary")["answers"] == {"safe": 0, "hurt": 1}


def test_another_button_is_heard_while_the_page_after_the_first_is_on_its_way(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False, ask=SAFE)
    page = visit("suzuki", service_workers="block")
    expect_live(page)
    article = page.locator(f"#alert-{alert}")
    held = hold_next(page, f"{town.url}/me", "GET")
    article.get_by_role("button", name="無事").click()
    after_the_first = wait_until_held(page, held)
    article.get_by_role("button", name="助けが必要").click()
    expect(page.locator("[data-outbox]")).to_contain_text("助けが必要")
    after_the_first.continue_()
    expect(article.locator(".kept")).to_contain_text("助けが必要")
    expect(article.locator(".kept")).to_be_focused()
    expect(page.locator("[data-outbox]")).to_be_hidden()
    assert town.call("GET", f"/alerts/{alert}/summary")["answers"] == {"safe": 0, "hurt": 1}


@pytest.mark.parametrize("person", ["tanaka", None])
def test_a_phone_that_is_full_sends_from_memory(town: Town, visit: Visitor, person: str | None) -> None:
    alert = town.post("地震", drill=False)
    page = visit(person, service_workers="block")
    page.goto(f"{town.url}/me" if person else town.letter(alert, "tanaka"))
    page.evaluate(FULL)
    page.context.set_offline(True)
    form = page.locator(f"form[action$='{alert}'], form[action^='/a/']")
    form.get_by_role("button", name="確認しました").click()
    expect(form.locator("[data-status]")).to_contain_text("このページを開いたまま")
    page.context.set_offline(False)
    expect(page.locator(f"#alert-{alert} .kept, .for ~ .kept")).to_be_visible()
    assert acknowledged(town, alert) == 1


def test_a_page_that_sleeps_in_the_middle_of_sending_does_not_hold_up_the_others(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False)
    page = visit("suzuki")
    sleeping = page.context.new_page()
    sleeping.goto(f"{town.url}/sign-in/nothing")
    sleeping.evaluate(HOLD_THE_TURN)
    page.clock.install()
    page.reload()
    article = page.locator(f"#alert-{alert}")
    article.get_by_role("button", name="確認しました").click()
    expect(article.locator("[data-status]")).to_contain_text("送信しています")
    page.clock.fast_forward(31_000)
    expect(article.locator(".kept")).to_be_visible()
    assert acknowledged(town, alert) == 1


def test_whoever_signs_out_does_not_take_along_what_somebody_else_has_not_sent(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False)
    page = at_home(town, visit, "kondo")
    with town.store() as store, store.write() as connection:
        credentials.revoke_all(connection, "kondo", datetime.now(UTC), "session")
    article = page.locator(f"#alert-{alert}")
    article.get_by_role("button", name="確認しました").click()
    expect(article.locator("[data-status]")).to_contain_text("もう一度サインインすると送ります")
    sign_in(page, town, "sato")
    expect_live(page)
    page.goto(f"{town.url}/me/settings")
    page.get_by_role("button", name="サインアウト").click()
    expect(page).to_have_url(f"{town.url}/sign-in")
    assert acknowledged(town, alert) == 0
    sign_in(page, town, "kondo")
    expect(page.locator(f"#alert-{alert} .kept")).to_be_visible()
    assert acknowledged(town, alert) == 1


def test_signing_out_without_a_line_claims_nothing_unsent(town: Town, visit: Visitor) -> None:
    page = at_home(town, visit, "sato")
    page.goto(f"{town.url}/me/settings")
    page.context.set_offline(True)
    page.get_by_role("button", name="サインアウト").click()
    expect(page.locator("h1")).to_have_text("まだサインアウトしていません")
    expect(page.locator("body")).not_to_contain_text("送られていない回答")


def test_when_somebody_else_signs_in_the_other_tab_becomes_theirs(town: Town, visit: Visitor) -> None:
    page = at_home(town, visit, "suzuki")
    other = page.context.new_page()
    sign_in(other, town, "smith")
    expect_live(other)
    other.evaluate("Outbox.channel.postMessage('changed')")
    expect(page.locator(".who")).to_have_text("Anna Smith")


def test_an_older_alert_that_was_read_opens_again_without_a_line(town: Town, visit: Visitor) -> None:
    alert = town.post("昨日の地震", drill=False, body="集合場所は市役所です")
    page = at_home(town, visit, "suzuki")
    page.goto(f"{town.url}/me/alerts/{alert}")
    keep(page, f"/me/alerts/{alert}", "集合場所")
    page.context.set_offline(True)
    page.reload()
    expect(page.locator("main")).to_contain_text("集合場所は市役所です")
    expect(line(page)).to_contain_text("接続が切れています")


def test_a_lost_line_is_read_aloud(town: Town, visit: Visitor) -> None:
    page = visit("suzuki", service_workers="block")
    expect_live(page)
    page.evaluate(HEAR)
    page.context.set_offline(True)
    expect(line(page)).to_contain_text("接続が切れています")
    heard = page.evaluate("window.heard")
    assert ["接続が切れています" in said for said in heard] == [True]


def test_that_it_waits_is_read_aloud_once(town: Town, visit: Visitor) -> None:
    alert = town.post("地震", drill=False)
    page = visit(None, service_workers="block")
    page.goto(town.letter(alert, "tanaka"))
    tries: list[str] = []
    page.on("requestfailed", lambda request: tries.append(request.method))
    page.context.set_offline(True)
    page.get_by_role("button", name="確認しました").click()
    expect(page.locator("[data-status]")).to_contain_text("まだ届いていません")
    page.evaluate(
        """() => {
          window.said = 0;
          const status = document.querySelector("[data-status]");
          new MutationObserver(() => { window.said += 1; }).observe(status, { childList: true });
        }"""
    )
    first = len(tries)
    while len(tries) < first + 3:
        page.evaluate("dispatchEvent(new Event('online'))")
        page.wait_for_timeout(50)
    assert page.evaluate("window.said") == 0


def test_without_a_line_nothing_is_claimed_of_push(town: Town, visit: Visitor) -> None:
    page = at_home(town, visit, "suzuki")
    page.context.grant_permissions(["notifications"], origin=town.url)
    page.context.set_offline(True)
    page.goto(f"{town.url}/me")
    expect(page.locator("[data-push-state]")).to_contain_text("確認できません")


def test_a_link_that_was_left_open_is_renewed_for_whoever_comes_back(town: Town, visit: Visitor) -> None:
    alert = town.post("津波注意報", drill=False)
    page = visit(None, service_workers="block")
    page.goto(town.letter(alert, "tanaka"))
    page.get_by_text("コメントを付ける").click()
    page.get_by_role("textbox").fill("途中まで書いた")
    town.call("POST", f"/alerts/{alert}/revisions", {"kind": "update", "title": "津波警報：高台へ", "body": ""})
    page.evaluate(COME_BACK)
    expect(page.locator("h1")).to_contain_text("津波警報：高台へ")
    expect(page.get_by_role("textbox")).to_have_value("途中まで書いた")
    page.context.set_offline(True)
    expect(page.locator(".if-kept")).to_contain_text("サーバーにつながりません")
    page.context.set_offline(False)
    expect(page.locator(".if-kept")).to_be_hidden()
    town.call("POST", f"/alerts/{alert}/revisions", {"kind": "cancel", "title": "解除", "body": ""})
    page.evaluate(COME_BACK)
    expect(page.locator(".banner")).to_contain_text("解除")


def test_what_is_old_is_never_called_live(town: Town, visit: Visitor) -> None:
    page = visit("kondo", service_workers="block")
    expect_live(page)
    page.context.set_offline(True)
    expect(line(page)).to_have_attribute("data-state", "lost")
    alert = town.post("切れている間の警報", drill=True)
    page.route(f"{town.url}/me", lambda route: route.fulfill(status=500))
    with page.expect_response(f"{town.url}/me"):
        page.context.set_offline(False)
    expect(line(page)).to_have_attribute("data-state", "lost")
    page.unroute_all()
    expect_live(page)
    expect(page.locator(f"#alert-{alert}")).to_be_visible()


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_axe_has_nothing_to_say(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    alert = town.post("地震：安否を報告してください", drill=False, ask=SAFE, body="集合")
    page = at_home(town, visit, "smith", color_scheme=theme, viewport=size)
    page.goto(f"{town.url}/me?lang={language}")
    expect_live(page)
    link = town.letter(alert, "smith")
    page.goto(f"{link}?lang={language}")
    found = []
    for path in ("/me", "/board", link):
        page.goto(f"{town.url}{path}" if path.startswith("/") else path)
        page.context.set_offline(True)
        page.reload()
        if path == "/me":
            page.locator(f"#alert-{alert}").get_by_role("button").first.click()
            expect(page.locator("[data-outbox] li")).to_have_count(1)
            page.evaluate(REFUSED)
            expect(page.locator("[data-outbox] button")).to_be_visible()
        assert page.locator("html").get_attribute("lang") == language
        found += [(path, each) for each in complaints(page)]
        page.context.set_offline(False)
    assert found == []
