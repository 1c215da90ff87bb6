"""The page of webhooks: made, tried, given another secret and deleted, and saying what went wrong."""

import re
from datetime import timedelta
from functools import partial

import pytest

from alertd.core.roles import Role
from alertd.service import telling, webhooks
from channels.hosts import ANYWHERE, Hosts, url_fault
from tests.installation import actor
from tests.web.pages.visitor import Enter, Site

ADMIN = actor("admin", Role.ADMIN)
URL = "https://chat.example.jp/hook"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{44}")


def fail(site: Site, status: int, words: str) -> None:
    """What is next is not taken."""
    telling.prepare(site.rt)
    turn = telling.take_turn(site.rt, "chat")
    assert turn is not None
    telling.end_turn(site.rt, turn, status, words)


def test_a_secret_is_shown_once_and_another_takes_its_place(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    typed = (("id", " chat "), ("url", URL), ("types", "alert.created"), ("types", "alert.revised"))
    made = admin.submit(admin.get("/webhooks"), "/webhooks", *typed)
    [secret] = SECRET.findall(made.text)
    listed = admin.get("/webhooks")
    assert URL in listed.text
    assert "nothing was taken yet" in listed.text
    assert not SECRET.search(listed.text)
    assert webhooks.list_webhooks(site.rt)[0]["types"] == ["alert.created", "alert.revised"]
    renewed = admin.submit(listed, "/webhooks/chat", ("step", "secret"))
    [other] = SECRET.findall(renewed.text)
    assert other != secret
    assert "For a day messages are signed with the one before it as well." in renewed.text


def test_it_is_tried_and_deleted(site: Site, enter: Enter) -> None:
    webhooks.make_webhook(site.rt, ADMIN, "chat", URL)
    admin = enter("admin")
    listed = admin.get("/webhooks")
    assert "is on its way" in admin.submit(listed, "/webhooks/chat", ("step", "ping")).text
    telling.prepare(site.rt)
    turn = telling.take_turn(site.rt, "chat")
    assert turn is not None
    telling.end_turn(site.rt, turn, 204, None)
    assert "last taken" in admin.get("/webhooks").text
    for _ in range(2):  # pressed twice
        assert "The webhook is deleted" in admin.submit(listed, "/webhooks/chat", ("step", "delete")).text
    assert webhooks.list_webhooks(site.rt) == []
    assert admin.submit(listed, "/webhooks/chat", ("step", "ping")).status == 404


def test_what_went_wrong_is_told(site: Site, enter: Enter) -> None:
    webhooks.make_webhook(site.rt, ADMIN, "chat", URL, ["alert.created"])
    admin = enter("admin")
    site.post()
    fail(site, 503, "https://chat.example.jp answered 503 Service Unavailable")
    shown = admin.get("/webhooks").text
    assert "answered 503 Service Unavailable" in shown
    assert "1 message waits" in shown
    site.clock.pass_(timedelta(minutes=1))
    fail(site, 410, "https://chat.example.jp answered 410 Gone")
    shown = admin.get("/webhooks").text
    assert "that it is gone" in shown
    assert "1 message of the last month was given up" in shown


@pytest.mark.parametrize(
    ("name", "url", "types", "told"),
    [
        ("a b", URL, ("alert.created",), "begin with a letter or digit"),
        ("new", URL, ("alert.created",), "is the address of a page"),
        ("chat", "http://chat.example.jp/", ("alert.created",), "Use an address with https://"),
        ("chat", "chat", ("alert.created",), "This is no address."),
        ("chat", "https://a:b@chat.example.jp/", ("alert.created",), "Leave the user and the password out"),
        ("chat", "https://10.0.0.7/", ("alert.created",), "10.0.0.7 is inside."),
        ("chat", URL, (), "Tick at least one."),
    ],
)
def test_what_is_wrong_is_marked_and_stays_typed(
    site: Site, enter: Enter, name: str, url: str, types: tuple[str, ...], told: str
) -> None:
    object.__setattr__(site.rt, "webhook_fault", partial(url_fault, Hosts.parse("", ANYWHERE)))
    admin = enter("admin")
    csrf = admin.get("/webhooks").csrf
    chosen = [("types", each) for each in types]
    refused = admin.post("/webhooks", ("csrf", csrf), ("id", name), ("url", url), *chosen)
    assert refused.status == 422
    assert told in refused.text
    assert f'value="{url}"' in refused.text
    assert webhooks.list_webhooks(site.rt) == []


def test_only_so_many_and_no_name_twice(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    typed = (("url", URL), ("types", "alert.created"))
    page = admin.get("/webhooks")
    admin.submit(page, "/webhooks", ("id", "chat"), *typed)
    assert "There is one of this name." in admin.submit(page, "/webhooks", ("id", "chat"), *typed).text
    for number in range(19):
        webhooks.make_webhook(site.rt, ADMIN, f"w{number}", URL)
    refused = admin.submit(page, "/webhooks", ("id", "more"), *typed)
    assert "There are 20 webhooks already. Delete one first." in refused.text


def test_it_is_an_admins(enter: Enter) -> None:
    boss = enter("boss")
    csrf = boss.get("/board").csrf
    assert boss.get("/webhooks").status == 403
    assert boss.post("/webhooks", ("csrf", csrf), ("id", "x"), ("url", URL)).status == 403
    assert boss.post("/webhooks/chat", ("csrf", csrf), ("step", "delete")).status == 403
    assert enter("admin").post("/webhooks", ("csrf", csrf)).status == 403
