"""The service worker: whatever is pushed is shown, and a notification's button answers."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, Worker, expect

from alertd.core.alert import Ask, Choice, Content
from alertd.core.message import Budget, render
from alertd.store import credentials
from channels import webpush
from tests.browser.conftest import Visitor
from tests.browser.town import Town

SAFE = {"question": "無事？", "choices": [{"id": "safe", "label": "無事"}, {"id": "hurt", "label": "助けが必要"}]}
SHOWN = """async () => {
  const worker = await navigator.serviceWorker.ready;
  return (await worker.getNotifications()).map((each) => ({
    title: each.title, body: each.body, tag: each.tag, lang: each.lang, data: each.data,
    requireInteraction: each.requireInteraction, actions: each.actions,
  }));
}"""
ANSWER = """async (action) => {
  const [notification] = await self.registration.getNotifications();
  await answerFrom(notification, action);
}"""

FULL = """() => {
  IDBObjectStore.prototype.put = () => { throw new DOMException("no room", "QuotaExceededError"); };
}"""
KEEP_ACROSS_SIGN_OUT = """async () => {
  let arrive;
  const start = (stream) => {
    arrive = () => { stream.enqueue(new TextEncoder().encode("<html >")); stream.close(); };
  };
  const keeping = keepPage("/me", new Response(new ReadableStream({ start })), departures);
  await forgetPages();
  arrive();
  await keeping;
  return Boolean(await caches.match("/me", { cacheName: PAGES }));
}"""


class Phone:
    """A browser that takes notifications, and the push service's end of the line to it."""

    def __init__(self, page: Page, town: Town) -> None:
        self.page, self.town = page, town
        self._devtools = page.context.new_cdp_session(page)
        self._registration = ""
        self._devtools.on("ServiceWorker.workerRegistrationUpdated", self._note)
        self._devtools.send("ServiceWorker.enable")
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        while not self._registration:
            page.wait_for_timeout(20)

    def _note(self, told: dict[str, Any]) -> None:
        for each in told["registrations"]:
            self._registration = each["registrationId"]

    @property
    def worker(self) -> Worker:
        return self.page.context.service_workers[0]

    def push(self, data: str) -> list[dict[str, Any]]:
        """Deliver a push message; the notifications that stand on the screen then.

        The browser's tools promise nothing: once in some hundred times what they are given reaches no worker.
        """
        message = {"origin": self.town.url, "registrationId": self._registration, "data": data}
        for _ in range(3):
            self._devtools.send("ServiceWorker.deliverPushMessage", message)
            found = self.shown()
            if found:
                return found
        return []

    def sync(self) -> None:
        """What the browser does by itself when a line is there again."""
        self._devtools.send(
            "ServiceWorker.dispatchSyncEvent",
            {"origin": self.town.url, "registrationId": self._registration, "tag": "answers", "lastChance": False},
        )

    def shown(self) -> list[dict[str, Any]]:
        for _ in range(200):
            found: list[dict[str, Any]] = self.page.evaluate(SHOWN)
            if found:
                return found
            self.page.wait_for_timeout(25)
        return []


@pytest.fixture
def phone(town: Town, visit: Visitor) -> Phone:
    page = visit("tanaka")
    page.context.grant_permissions(["notifications"], origin=town.url)
    page.reload()
    return Phone(page, town)


def payload(town: Town, alert: str, choices: list[dict[str, str]] | None = None) -> str:
    link = town.letter(alert, "tanaka")
    wished = (
        [(f"answer:{choice['id']}", choice["label"]) for choice in choices] if choices else [("ack", "確認しました")]
    )
    notification = {
        "title": "【訓練】参集",
        "body": "みなと市\n集合",
        "navigate": link,
        "lang": "ja",
        "dir": "auto",
        "tag": alert,
        "renotify": True,
        "requireInteraction": True,
        "silent": False,
        "timestamp": 1_790_000_000_000,
        "actions": [{"action": action, "title": label, "navigate": link} for action, label in wished],
        "data": {
            "alert": alert,
            "revision": 1,
            "token": link.rpartition("/")[2],
            "drill": True,
            "severity": "severe",
            "navigate": link,
        },
    }
    return json.dumps({"web_push": 8030, "notification": notification})


def test_a_push_is_shown_as_it_was_sent(town: Town, phone: Phone) -> None:
    alert = town.post("参集", drill=True)
    (shown,) = phone.push(payload(town, alert))
    assert (shown["title"], shown["body"], shown["tag"]) == ("【訓練】参集", "みなと市\n集合", alert)
    assert shown["requireInteraction"] is True
    assert [each["action"] for each in shown["actions"]] == ["ack"]


def test_a_newer_one_takes_the_place_of_the_older(town: Town, phone: Phone) -> None:
    alert = town.post("参集", drill=True)
    phone.push(payload(town, alert))
    assert len(phone.push(payload(town, alert))) == 1


@pytest.mark.parametrize("data", ["", "not JSON", "{}", "null", '{"notification": {}}', '{"notification": 3}'])
def test_what_cannot_be_read_is_shown_all_the_same(phone: Phone, data: str) -> None:
    (shown,) = phone.push(data)
    assert shown["title"] in ("新しいお知らせがあります", "There is a new message")
    assert "alertd" in shown["body"]
    assert shown["data"]["navigate"] == "/"


def test_a_button_answers_and_says_that_the_server_has_it(town: Town, phone: Phone) -> None:
    alert = town.post("安否", drill=True, ask=SAFE)
    phone.push(payload(town, alert, SAFE["choices"]))  # type: ignore[arg-type]
    phone.worker.evaluate(ANSWER, "answer:hurt")
    (shown,) = phone.shown()
    assert shown["title"] == "回答はサーバーに届きました"
    summary = town.call("GET", f"/alerts/{alert}/summary")
    assert summary["answers"] == {"safe": 0, "hurt": 1}


def test_an_answer_that_is_refused_is_never_called_received(town: Town, phone: Phone) -> None:
    alert = town.post("安否", drill=True, ask=SAFE)
    phone.push(payload(town, alert, [{"id": "none", "label": "?"}]))
    phone.worker.evaluate(ANSWER, "answer:none")
    (shown,) = phone.shown()
    assert shown["title"] == "回答はまだ届いていません"
    assert shown["requireInteraction"] is True
    assert town.call("GET", f"/alerts/{alert}/summary")["acknowledged"] == 0


def test_a_phone_that_is_full_sends_what_it_could_not_store(town: Town, phone: Phone) -> None:
    alert = town.post("安否", drill=True, ask=SAFE)
    phone.push(payload(town, alert, SAFE["choices"]))  # type: ignore[arg-type]
    phone.worker.evaluate(FULL)
    phone.worker.evaluate(ANSWER, "answer:hurt")
    (shown,) = phone.shown()
    assert shown["title"] == "回答はサーバーに届きました"
    assert town.call("GET", f"/alerts/{alert}/summary")["answers"] == {"safe": 0, "hurt": 1}


def test_what_became_of_an_answer_does_not_take_the_place_of_a_newer_version(town: Town, phone: Phone) -> None:
    alert = town.post("参集", drill=True)
    first = json.loads(payload(town, alert))
    phone.push(json.dumps(first))
    phone.page.context.set_offline(True)
    phone.worker.evaluate(ANSWER, "ack")
    first["notification"].update(title="【訓練】【解除】参集", actions=[])
    first["notification"]["data"]["revision"] = 2
    phone.push(json.dumps(first))
    phone.page.context.set_offline(False)
    while not town.call("GET", f"/alerts/{alert}/summary")["acknowledged"]:
        phone.sync()
        phone.page.wait_for_timeout(100)
    while len(phone.shown()) < 2:
        phone.page.wait_for_timeout(25)
    assert {each["title"] for each in phone.shown()} == {"【訓練】【解除】参集", "回答はサーバーに届きました"}


def test_an_answer_that_a_closed_page_promised_to_send_and_that_could_not_be_sent_is_told(
    town: Town, visit: Visitor
) -> None:
    alert = town.post("地震", drill=False)
    page = visit("smith", locale="en-GB")
    page.context.grant_permissions(["notifications", "background-sync"], origin=town.url)
    page.goto(f"{town.url}/me")
    phone = Phone(page, town)
    page.context.set_offline(True)
    page.locator(f"#alert-{alert}").get_by_role("button", name="I have seen this").click()
    expect(page.locator("[data-outbox] li")).to_have_count(1)
    page.goto("about:blank")
    with town.store() as store, store.write() as connection:
        credentials.revoke_all(connection, "smith", datetime.now(UTC), "session")
    page.context.set_offline(False)
    page.goto(f"{town.url}/sign-in")
    phone.sync()
    (shown,) = phone.shown()
    assert shown["title"] == "Your answer has NOT arrived"
    assert "地震" in shown["body"]
    assert shown["data"]["navigate"] == "/me"


def test_what_was_asked_for_before_signing_out_is_not_kept_after_it(phone: Phone) -> None:
    assert phone.worker.evaluate(KEEP_ACROSS_SIGN_OUT) is False


def test_only_pages_of_this_site_are_opened(town: Town, phone: Phone) -> None:
    assert phone.worker.evaluate("ownUrl('https://evil.example/x')") == f"{town.url}/"
    assert phone.worker.evaluate("ownUrl('javascript:alert(1)')") == f"{town.url}/"
    assert phone.worker.evaluate("ownUrl('/a/b')") == f"{town.url}/a/b"


def test_the_phone_says_that_it_shows_the_message(town: Town, phone: Phone) -> None:
    alert = town.post("表示", drill=True, plan={"steps": [{"after_seconds": 0, "channels": ["email"]}]})
    town.hand_over(alert)
    pushed = json.loads(payload(town, alert))
    pushed["notification"]["data"]["beacon"] = town.beacon(alert, "tanaka")
    assert town.delivery(alert, "tanaka").displayed_at is None
    phone.push(json.dumps(pushed))
    while town.delivery(alert, "tanaka").displayed_at is None:
        phone.page.wait_for_timeout(25)
    assert town.delivery(alert, "tanaka").state == "delivered"
    # A notification of another site would not get this phone to say anything there.
    assert phone.worker.evaluate("ownUrl('https://evil.example/b/x')") == f"{town.url}/"


def really_pushed(town: Town, content: Content) -> str:
    """What our own channel would push."""
    link = town.letter(content.alert_id, "tanaka")
    text = render(content, "ja", Budget("notification", 2_000, 1), link_length=60, zone=ZoneInfo("Asia/Tokyo"))
    return webpush.payload(text.personal(link, link.rpartition("/")[2])).decode()


def test_calling_off_takes_the_place_of_the_alert_and_asks_nothing(town: Town, phone: Phone) -> None:
    alert = town.post("安否", drill=True, ask=SAFE)
    now = datetime.now(UTC)
    content = Content(
        alert_id=alert,
        revision=1,
        organisation="みなと市",
        title="安否",
        body="",
        severity="severe",
        drill=True,
        ask=Ask("無事？", (Choice("safe", "無事"), Choice("hurt", "助けが必要"))),
        sent_at=now,
        expires_at=now + timedelta(hours=1),
    )
    (first,) = phone.push(really_pushed(town, content))
    assert [each["action"] for each in first["actions"]] == ["answer:safe", "answer:hurt"]
    over = replace(content, revision=2, revision_kind="cancel", title="解除します", ask=None)
    shown = phone.push(really_pushed(town, over))
    while shown[0]["title"] == first["title"]:
        phone.page.wait_for_timeout(25)
        shown = phone.shown()
    (second,) = shown
    assert second["title"] == "【訓練】【解除】解除します"
    assert second["tag"] == first["tag"] == alert
    assert second["actions"] == []
