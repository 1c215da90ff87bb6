"""Sources and rules in a browser: what waits is sent with one tap, as what it is."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP, PHONE, Visitor
from tests.browser.test_accessibility import LOOKS, Looks
from tests.browser.town import Town
from tests.sources.signing import AGENCY, AUTHORITY

RULES = """
[[rule]]
name = "水位"
source = "{source}"
do = "draft"
audience = {{ groups = ["bousai"] }}
drills = "drill"
"""
LONG = "肱川の水位が氾濫危険水位を超えました。流域の職員はただちに避難所を開設してください。" * 3


def observe(town: Town, source: str, secret: str, **said: Any) -> None:
    """Say something as a source does."""
    told = {"id": said["title"][:50], "standing": "actual", "observed_at": "2026-11-22T18:00:00+09:00", **said}
    town.call("POST", f"/sources/{source}", told, Authorization=f"Bearer {secret}")


def settle(town: Town, source: str) -> str:
    """A source with a rule by which what it says waits for a person; its secret."""
    secret = str(town.call("POST", "/sources", {"id": source, "kind": "program"})["secret"])
    town.call("PUT", "/rules", {"text": RULES.format(source=source)})
    return secret


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_sources_in_every_look(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    town.run("person", "role", "--person", "admin", "--role", "admin")
    source = f"river-{language}-{theme}-{size['width']}"
    secret = settle(town, source)
    observe(town, source, secret, title=LONG[:190], body=LONG, scale="level", areas=[
        {"code": "3821400", "name": "西予市", "rank": 4, "words": "レベル４氾濫危険警報"},
    ])  # fmt: skip
    observe(town, source, secret, title="訓練の水位", standing="drill")
    page = visit("admin", color_scheme=theme, viewport=size)
    look = Looks(page)
    page.goto(f"{town.url}/sources?lang={language}")
    look("sources")
    page.locator("#id").fill("a b")
    page.locator("#kind").select_option("cap")
    page.locator("button.big").last.click()
    page.locator("#fault-id").wait_for()
    look("sources, refused")
    signed = f"cap-{language}-{theme}-{size['width']}"
    town.call("POST", "/sources", {"id": signed, "kind": "cap"})
    town.call("PUT", f"/sources/{signed}/certificates", {"certificates": AUTHORITY.pem + AGENCY.pem})
    page.goto(f"{town.url}/sources")
    look("sources, with certificates")
    page.goto(f"{town.url}/sources/{signed}/certificates")
    look("certificates")
    page.locator("#certificates").fill("x")
    page.locator("button.big").click()
    page.locator("#faults").wait_for()
    look("certificates, refused")
    page.goto(f"{town.url}/rules")
    look("rules")
    page.locator("#text").fill("[[rule]]")
    page.locator("button.big").click()
    page.locator("#faults").wait_for()
    look("rules, refused")
    page.locator("#text").fill(RULES.format(source=source).replace('"draft"', '"alert"') + "most_per_hour = 1\n")
    page.locator("button[value=try]").click()
    page.locator(".calendar").first.wait_for()
    page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    look("rules, tried")
    page.locator("#from").fill("")
    page.locator("#text").fill("[[rule]]")
    page.locator("button[value=try]").click()
    page.locator("#faults").wait_for()
    look("rules, not to be tried")
    look.assert_nothing_found()


def test_a_manager_sends_what_waits(town: Town, visit: Visitor) -> None:
    secret = settle(town, "gauge")
    boss = visit("boss")
    observe(town, "gauge", secret, title="浸水しています", body="高台へ")
    boss.goto(f"{town.url}/board")
    boss.locator(".waits a").click()
    waiting = boss.locator(".observation", has_text="浸水しています")
    expect(waiting).to_contain_text("防災課")
    waiting.get_by_role("button", name="【本番】実際の警報として送信").click()
    expect(boss.locator("h1")).to_contain_text("浸水しています")
    expect(boss.locator(".banner")).to_contain_text("実際の警報")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_manager_tries_rules_on_what_came(town: Town, visit: Visitor, size: dict[str, int]) -> None:
    """A day of the calendar leads to what would have gone out on it; without JavaScript too."""
    source = f"tried-{size['width']}"
    secret = settle(town, source)
    observe(town, source, secret, title="堤防を越えました", body="高台へ")
    boss = visit("boss", viewport=size, java_script_enabled=False)
    boss.goto(f"{town.url}/rules")
    boss.get_by_role("link", name="過去の受信で規則を試す").click()
    expect(boss.locator(".totals")).to_contain_text("確認待ちの下書き")
    day = boss.locator("a.cal-day").last
    day.click()
    listed = boss.locator(f"{boss.url[boss.url.index('#') :]} + ul .person", has_text="堤防を越えました")
    expect(listed).to_be_visible()
    expect(listed).to_contain_text("確認待ち")
    expect(listed).to_contain_text("[水位]")
    box = boss.locator(".calendar").first.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= size["width"]
