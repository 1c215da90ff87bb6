"""Whoever listens to us: a feed, and each revision as CAP."""

import re

from alertd.sources.cap import read
from tests.web.server import Answer, Town


async def fetch(town: Town, who: str, path: str, **headers: str) -> Answer:
    sent = {"Authorization": f"Bearer {town.tokens[who]}", **headers}
    return await town.raw("GET", f"/api/v1{path}", headers=sent)


async def test_the_feed_leads_to_what_was_said_and_what_is_said(town: Town) -> None:
    posted = await town.post(title="津波警報", drill=True)
    alert = posted["alert"]["id"]
    revision = {"kind": "cancel", "title": "解除", "body": "終わりました"}
    assert (await town.call("manager", "POST", f"/alerts/{alert}/revisions", revision)).status == 201
    feed = await fetch(town, "viewer", "/alerts.atom")
    assert feed.headers["content-type"].startswith("application/atom+xml")
    urls = re.findall(r'rel="alternate"[^>]*href="[^"]*/api/v1([^"]+)"', feed.raw.decode())
    assert len(urls) == 2
    last, first = [read((await fetch(town, "viewer", url)).raw)[0] for url in urls]
    assert (first.kind, first.standing, first.title) == ("new", "drill", "【訓練】津波警報")
    assert (last.kind, last.title, last.references) == ("withdrawn", "【訓練】解除", (first.id,))
    assert read((await fetch(town, "viewer", f"/alerts/{alert}/cap")).raw)[0] == last


async def test_whoever_has_it_already_is_told_so(town: Town) -> None:
    await town.post()
    first = await fetch(town, "viewer", "/alerts.atom")
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}"):
        again = await fetch(town, "viewer", "/alerts.atom", **{"If-None-Match": known})
        assert (again.status, again.raw) == (304, b"")
    await town.post()
    assert (await fetch(town, "viewer", "/alerts.atom", **{"If-None-Match": tag})).status == 200


async def test_what_is_not_there_or_not_theirs(town: Town) -> None:
    alert = (await town.post())["alert"]["id"]
    for path in (f"/alerts/{alert}/cap?revision=2", "/alerts/unknown/cap"):
        assert (await fetch(town, "viewer", path)).status == 404
    assert (await fetch(town, "viewer", f"/alerts/{alert}/cap?revision=x")).status == 422
    assert (await fetch(town, "staff", "/alerts.atom")).status == 403
    test = (await town.call("staff", "POST", "/me/test")).body["alert"]["id"]
    assert (await fetch(town, "admin", f"/alerts/{test}/cap")).status == 404
    assert test not in (await fetch(town, "admin", "/alerts.atom")).raw.decode()


async def test_what_we_have_said_ourselves_is_no_news(town: Town) -> None:
    """Somebody passes our feed on, and one of our sources is theirs: no alert begets itself."""
    made = await town.call("admin", "POST", "/sources", {"id": "prefecture", "kind": "cap"})
    text = '[[rule]]\nname = "all"\nsource = "prefecture"\ndo = "alert"\naudience = { everyone = true }\n'
    assert (await town.call("admin", "PUT", "/rules", {"text": text})).status == 200
    alert = (await town.post())["alert"]["id"]
    ours = (await fetch(town, "viewer", f"/alerts/{alert}/cap")).raw
    sent = {"Authorization": f"Bearer {made.body['secret']}", "Content-Type": "application/cap+xml"}
    back = await town.raw("POST", "/api/v1/sources/prefecture", headers=sent, data=ours)
    [item] = back.body["items"]
    assert (item["action"], item["reason"]) == ("ignore", "own")
    assert len((await town.call("viewer", "GET", "/alerts")).body["items"]) == 1
