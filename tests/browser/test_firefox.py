"""The whole way of a push message through a real Firefox: its own push client, its own decryption, its own windows."""

import shutil
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from alertd.store.people import subscriptions_of
from alertd.store.rows import Row
from tests.browser.firefox import Firefox
from tests.browser.town import Town
from tests.providers.autopush import ACKNOWLEDGED, Autopush
from tests.services import short_directory

SAFE = {"question": "無事ですか？", "choices": [{"id": "safe", "label": "無事"}, {"id": "hurt", "label": "助けが必要"}]}
TO_SUZUKI = {"audience": {"people": ["suzuki"]}}


@pytest.fixture(scope="module")
def push() -> Iterator[Autopush]:
    with Autopush() as push:
        yield push


@pytest.fixture(scope="module")
def town(push: Autopush) -> Iterator[Town]:
    """A town of this file alone: it sends to the push service of its Firefox."""
    directory = short_directory()
    directory.mkdir(mode=0o700)
    town = Town(directory, {"ALERTD_PUSH_HOSTS": push.host})
    try:
        town.start()
        town.settle()
        yield town
    finally:
        town.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def firefox(town: Town, push: Autopush) -> Iterator[Firefox]:
    """Suzuki's browser, signed in, with push turned on by its button or, since nobody has to be asked, by itself."""
    with Firefox.started(push.server_url) as firefox:
        firefox.go(town.link("suzuki"))
        firefox.click("main button")
        firefox.wait_for(lambda: "/sign-in" not in firefox.url)
        firefox.go(f"{town.url}/me")
        turn_on(firefox)
        yield firefox


@pytest.fixture(autouse=True)
def _clean_screen(firefox: Firefox, town: Town) -> Iterator[None]:
    """Each test begins on the page of the person's alerts, with nothing on the screen."""
    firefox.go(f"{town.url}/me")
    firefox.close_notifications()
    yield
    firefox.close_notifications()


def turn_on(firefox: Firefox) -> None:
    firefox.wait_for(lambda: is_on(firefox) or firefox.run(_PRESS_IF_THERE))


_PRESS_IF_THERE = """
const button = document.querySelector("[data-push-button]");
if (button && !button.hidden && !button.disabled) button.click();
return false;
"""

_FORGET_ON_THE_SERVER = """
const csrf = document.querySelector('meta[name="csrf"]').content;
const path = `/api/v1/me/subscriptions/${arguments[0]}`;
const answer = await fetch(path, { method: "DELETE", headers: { "X-CSRF-Token": csrf } });
if (!answer.ok) throw new Error(String(answer.status));
"""


def is_on(firefox: Firefox) -> bool:
    return bool(firefox.run("return document.querySelector('[data-push-state]')?.className === 'good'"))


def to_suzuki(town: Town, alert: str) -> dict[str, Any]:
    """What is known of the one recipient and of their web push."""
    [recipient] = town.call("GET", f"/alerts/{alert}/recipients")["items"]
    [delivery] = [each for each in recipient["deliveries"] if each["channel"] == "webpush"][-1:]
    return {**recipient, "push": delivery}


def is_shown(firefox: Firefox, title: str) -> bool:
    return any(title in each["title"] for each in firefox.notifications())


def subscriptions(town: Town) -> list[Row]:
    """Suzuki's browser, as the server knows it: the subscription that it has, after those that it had."""
    with town.store() as store, store.read() as connection:
        return [row for row in subscriptions_of(connection, ["suzuki"]) if row["channel"] == "webpush"]


def test_an_alert_is_shown_and_answered(town: Town, push: Autopush, firefox: Firefox) -> None:
    alert = town.post("地震：安否を報告してください", drill=False, ask=SAFE, **TO_SUZUKI)

    [shown] = firefox.wait_for(firefox.notifications)
    assert shown["title"] == "地震：安否を報告してください"
    assert "無事ですか？" in shown["text"]
    # The browser's own word that it could open the message; the sender cannot know that from a 201.
    firefox.wait_for(lambda: push.handed[-1].codes)
    assert push.handed[-1].codes == [ACKNOWLEDGED]
    assert push.handed[-1].headers["Urgency"] == "high"
    displayed = firefox.wait_for(lambda: to_suzuki(town, alert)["push"]["evidence"]["displayed_at"])
    assert displayed
    assert to_suzuki(town, alert)["state"] == "outstanding"  # shown is not answered

    firefox.press_notification()
    firefox.wait_for(lambda: any("/a/" in url for url in firefox.urls()))
    firefox.show_newest_tab()
    assert firefox.wait_for(lambda: firefox.text("h1")) == "地震：安否を報告してください"
    firefox.click("button[name=answer][value=safe]")
    firefox.wait_for(lambda: firefox.text(".kept"))

    told = to_suzuki(town, alert)
    assert (told["acknowledgement"]["answer"], told["acknowledgement"]["way"]) == ("safe", "push")
    assert town.call("GET", f"/alerts/{alert}/summary")["acknowledged"] == 1
    assert push.refusals == []


def test_a_test_of_the_phone_is_ticked_when_the_phone_has_shown_it(town: Town, firefox: Firefox) -> None:
    firefox.go(f"{town.url}/me/setup")
    firefox.wait_for(lambda: is_on(firefox))
    firefox.click("form[action='/me/setup/test'] button")
    [shown] = firefox.wait_for(firefox.notifications)
    assert "通知テスト" in shown["title"]
    ticked = firefox.wait_for(lambda: firefox.text(".tested .proven"))
    assert "端末に表示されました" in ticked
    # Mail and SMS, which this town cannot send, are not.
    assert firefox.run("return document.querySelectorAll('.tested .proven').length") == 1
    assert firefox.text(".tested-head").endswith("3件中1件")


def test_a_drill_says_so_first(town: Town, firefox: Firefox) -> None:
    town.post("参集訓練", drill=True, **TO_SUZUKI)
    [shown] = firefox.wait_for(firefox.notifications)
    assert shown["title"].startswith("【訓練】")


def test_what_is_new_takes_the_place_of_what_was(town: Town, firefox: Firefox) -> None:
    """An update and the all-clear are one message on the screen, not three."""
    alert = town.post("津波警報", drill=False, **TO_SUZUKI)
    firefox.wait_for(firefox.notifications)
    for kind, title in (("update", "津波警報（続報）"), ("cancel", "津波警報は解除されました")):
        town.call("POST", f"/alerts/{alert}/revisions", {"kind": kind, "title": title, "body": ""})
        firefox.wait_for(partial(is_shown, firefox, title))
        titles = firefox.run_async(
            "const worker = await navigator.serviceWorker.ready;"
            "return (await worker.getNotifications()).map((each) => each.title);"
        )
        assert len(titles) == 1
        assert title in titles[0]


def test_a_subscription_that_we_have_lost_is_made_good_by_the_next_visit(
    town: Town, push: Autopush, firefox: Firefox
) -> None:
    """Nobody has to notice or press anything."""
    before = set(push.channels)
    firefox.run_async(_FORGET_ON_THE_SERVER, subscriptions(town)[-1]["id"])
    firefox.go(f"{town.url}/me")
    firefox.wait_for(lambda: is_on(firefox))
    town.post("避難所を開設しました", drill=False, **TO_SUZUKI)
    [shown] = firefox.wait_for(firefox.notifications)
    assert shown["title"] == "避難所を開設しました"
    assert set(push.channels) == before  # the browser's own subscription was good all the time


def test_a_subscription_that_the_push_service_has_given_up_is_made_anew_by_the_next_visit(
    town: Town, push: Autopush, firefox: Firefox
) -> None:
    """The endpoint is dead for good: the same one registered again would look alive and reach nobody."""
    push.forget()
    alert = town.post("避難所を開設しました", drill=False, **TO_SUZUKI)
    firefox.wait_for(lambda: to_suzuki(town, alert)["push"]["state"] == "failed")
    assert firefox.notifications() == []
    [dead] = subscriptions(town)
    assert dead["retired_at"] is not None
    firefox.go(f"{town.url}/me")
    firefox.wait_for(lambda: is_on(firefox))
    dead, anew = subscriptions(town)
    assert (dead["retired_at"] is None, anew["retired_at"]) == (False, None)
    assert anew["address"]["endpoint"] != dead["address"]["endpoint"]
    town.post("給水を始めます", drill=False, **TO_SUZUKI)
    [shown] = firefox.wait_for(firefox.notifications)
    assert shown["title"] == "給水を始めます"
