"""The pages of sources and rules: what waits is sent or stopped, rules are looked at before they are in force."""

import re
from typing import Any

import pytest

from alertd.core.roles import Role
from alertd.service import observing, sources, watching
from alertd.sources.registry import POLLERS
from alertd.store import sources as kept_sources
from alertd.web.words import ACCESS_FIELDS
from tests.core.test_rules import seen as observation
from tests.installation import BOSS, actor
from tests.sources.signing import AGENCY, SIGNED
from tests.web.pages.visitor import Enter, Site

ADMIN = actor("admin", Role.ADMIN)
ALERT = '[[rule]]\nname = "ask"\nsource = "river"\ndo = "{do}"\naudience = {{ everyone = true }}\n'


def wait(site: Site, do: str = "draft", **changes: Any) -> int:
    """Something that waits; its number."""
    if not sources.list_sources(site.rt):
        sources.make_source(site.rt, ADMIN, "river", "program")
    sources.save_book(site.rt, ADMIN, ALERT.format(do=do) + 'drills = "drill"\nstop_seconds = 60\n')
    [taken] = observing.take(site.rt, "river", [observation(**changes)])
    assert taken.id is not None
    return taken.id


def alerts(site: Site) -> list[tuple[str, bool]]:
    return [(each["title"], each["drill"]) for each in watching.read_alerts(site.rt, BOSS, before=None, limit=9)]


@pytest.mark.parametrize(("standing", "button", "drill"), [("actual", "REAL ALERT", False), ("drill", "DRILL", True)])
def test_what_waits_is_sent_as_what_it_is(site: Site, enter: Enter, standing: str, button: str, drill: bool) -> None:
    number = wait(site, standing=standing, title="浸水", body="一行目\n二行目")
    boss = enter("boss")
    assert "1 messages of sources wait for you" in boss.get("/board").text
    assert "messages of sources wait" not in enter("viewer").get("/board").text
    shown = boss.get("/sources")
    assert f"Send it as a {button}" in shown.text
    sent = boss.submit(shown, f"/observations/{number}", ("step", "send"))
    assert "浸水" in sent.text
    assert alerts(site) == [("浸水", drill)]
    late = boss.submit(shown, f"/observations/{number}", ("step", "stop"))
    assert "This was sent or stopped already." in late.text
    assert "messages of sources wait" not in boss.get("/board").text


def test_what_goes_by_itself_can_be_stopped(site: Site, enter: Enter) -> None:
    number = wait(site, do="alert")
    boss = enter("boss")
    shown = boss.get("/sources")
    assert "Goes out by itself at" in shown.text
    assert "It is stopped" in boss.submit(shown, f"/observations/{number}", ("step", "stop")).text
    assert "stopped by a person" in boss.get("/sources").text
    assert alerts(site) == []


def test_what_cannot_be_sent_says_why(site: Site, enter: Enter) -> None:
    number = wait(site, title="【訓練】避難")
    boss = enter("boss")
    told = boss.submit(boss.get("/sources"), f"/observations/{number}", ("step", "send")).text
    assert "It could not be sent. The reason stands below." in told
    assert "The title says drill, but this is a real alert." in told
    assert alerts(site) == []


def test_staff_and_viewers_see_none_of_it(site: Site, enter: Enter) -> None:
    number = wait(site)
    boss, viewer = enter("boss"), enter("viewer")
    csrf = viewer.get("/board").csrf
    for path in ("/sources", "/rules"):
        assert viewer.get(path).status == 403
    assert viewer.post(f"/observations/{number}", ("csrf", csrf), ("step", "send")).status == 403
    # A manager reads rules and makes no source.
    csrf = boss.get("/rules").csrf
    assert "readonly" in boss.get("/rules").text
    for path in ("/sources", "/sources/river/secret", "/rules"):
        assert boss.post(path, ("csrf", csrf), ("id", "x"), ("kind", "cap")).status == 403
    assert enter("admin").post(f"/observations/{number}", ("step", "send")).status == 403  # without the form's mark
    assert alerts(site) == []


def test_a_source_is_made_and_its_secret_is_shown_once(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    made = admin.submit(admin.get("/sources"), "/sources", ("id", "river"), ("kind", "program"))
    found = re.search(r'class="secret"[^>]*>([\w-]+)<', made.text)
    assert found
    sources.require_source(site.rt, "river", found[1])
    listed = admin.get("/sources")
    assert found[1] not in listed.text
    assert "not heard yet" in listed.text
    again = admin.submit(admin.get("/sources/river"), "/sources/river/secret")
    renewed = re.search(r'class="secret"[^>]*>([\w-]+)<', again.text)
    assert renewed
    sources.require_source(site.rt, "river", renewed[1])
    for name, told in (("river", "There is one of this name."), ("a b", "letters"), ("", "letters")):
        refused = admin.submit(listed, "/sources", ("id", name), ("kind", "cap"))
        assert (refused.status, told in refused.text) == (422, True), name


def test_how_a_source_is_asked_is_said_on_its_page(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    made = admin.submit(admin.get("/sources"), "/sources", ("id", "board"), ("kind", "garoon"))
    assert "It is not asked yet: say below how." in made.text
    page = admin.get("/sources/board")
    said = [
        ("access-url", "https://mikan.cybozu.com/g/"),
        ("access-api", "soap"),
        ("access-login", "alertd"),
        ("access-password", "hush-hush"),
        ("access-categories", "5\n7\n"),
        ("access-comment", "true"),
        ("access-notify_code", "alertd-alerts"),
        ("access-notify_login", "email"),
        ("every_seconds", "30"),
        ("step", "ask"),
    ]
    refused = admin.submit(page, "/sources/board", *(each for each in said if each[0] != "access-categories"))
    assert refused.status == 422
    assert 'value="alertd"' in refused.text
    assert "hush-hush" not in refused.text
    saved = admin.submit(page, "/sources/board", *said)
    assert "It is asked every 30 seconds." in saved.text
    assert "hush-hush" not in saved.text
    assert re.search(r'name="access-comment" value="true" checked', saved.text)
    [row] = sources.list_sources(site.rt)
    assert row["access"] == {
        "url": "https://mikan.cybozu.com/g",
        "api": "soap",
        "login": "alertd",
        "categories": ["5", "7"],
        "comment": True,
        "notify_code": "alertd-alerts",
        "notify_login": "email",
    }
    assert row["silent_seconds"] == 300
    # The password that is left empty stays as it is.
    changed = [("access-login", "other") if name == "access-login" else (name, value) for name, value in said]
    again = admin.submit(saved, "/sources/board", *(each for each in changed if each[0] != "access-password"))
    assert again.status == 200
    told = "3 people were not notified there, the last of them p07: Garoon refuses the notification: GRN_CMMN_00105"
    with site.rt.store.write() as connection:
        kept_sources.change(connection, "board", {"failed_at": site.rt.now(), "fault": told})
    assert (
        "Not notified in their lists there: 3. The last of them: p07. Garoon refuses"
        in admin.get("/sources/board").text
    )
    assert "It is not asked yet" in admin.submit(again, "/sources/board", ("step", "rest")).text
    csrf = enter("boss").get("/sources/board").csrf
    assert enter("boss").post("/sources/board", ("csrf", csrf), ("step", "rest")).status == 403
    assert enter("viewer").get("/sources/board").status == 403


def test_a_host_that_the_operator_did_not_name_is_not_asked(site: Site, enter: Enter) -> None:
    object.__setattr__(site.rt, "host_fault", lambda url: f"{url!r} is not known here" if "evil" in url else None)
    admin = enter("admin")
    admin.submit(admin.get("/sources"), "/sources", ("id", "feed"), ("kind", "cap"))
    page = admin.get("/sources/feed")
    refused = admin.submit(page, "/sources/feed", ("access-feed", "https://evil.example/feed"), ("step", "ask"))
    assert (refused.status, "is not known here" in refused.text) == (422, True)
    assert sources.list_sources(site.rt)[0]["next_at"] is None


def test_certificates_are_given_to_a_source_and_shown(site: Site, enter: Enter) -> None:
    sources.make_source(site.rt, ADMIN, "agency", "cap")
    sources.make_source(site.rt, ADMIN, "river", "program")
    admin, path = enter("admin"), "/sources/agency/certificates"
    assert path in admin.get("/sources/agency").text
    assert "/sources/river/certificates" not in admin.get("/sources/river").text
    shown = admin.get(path)
    for pem, told in (("x", "This is not PEM"), (AGENCY.private_pem, "This holds a private key")):
        refused = admin.submit(shown, path, ("certificates", pem))
        assert (refused.status, told in refused.text) == (422, True)
    saved = admin.submit(shown, path, ("certificates", AGENCY.pem))
    assert "The certificates are saved and in force." in saved.text
    assert "CN=bousai.city.example" in saved.text
    assert "valid from 2026-01-01 to 2028-01-01" in saved.text
    [given] = sources.list_sources(site.rt)[0]["certificates"]
    assert given["sha256"] in saved.text
    assert AGENCY.pem.splitlines()[1] in admin.get(path).text
    sources.save_book(
        site.rt, ADMIN, ALERT.format(do="board").replace("river", "agency") + "when = { signed = true }\n"
    )
    refused = admin.submit(admin.get(path), path, ("certificates", ""))
    assert (refused.status, "asks for signatures of this source" in refused.text) == (422, True)
    sources.receive(site.rt, "agency", SIGNED)
    boss = enter("boss")
    assert f"CN=bousai.city.example (SHA-256 {given['sha256']})" in boss.get("/sources").text
    assert boss.get(path).status == 403
    assert boss.post(path, ("csrf", boss.get("/rules").csrf), ("certificates", "")).status == 403


def test_rules_are_saved_whole_or_not_at_all(site: Site, enter: Enter) -> None:
    sources.make_source(site.rt, ADMIN, "river", "program")
    admin = enter("admin")
    shown = admin.get("/rules")
    text = ALERT.format(do="alert")
    version = re.search(r'name="version" value="(\d+)"', shown.text)
    assert version
    assert "saved and in force" in admin.submit(shown, "/rules", ("version", version[1]), ("text", text)).text
    late = admin.submit(shown, "/rules", ("version", version[1]), ("text", "# mine"))
    assert (late.status, "Somebody has saved other rules meanwhile" in late.text) == (422, True)
    assert "# mine" in late.text
    now = re.search(r'name="version" value="(\d+)"', admin.get("/rules").text)
    assert now
    bad = text.replace("alert", "shout") + "<script>"
    refused = admin.submit(shown, "/rules", ("version", now[1]), ("text", bad))
    assert refused.status == 422
    assert "&lt;script&gt;" in refused.text
    wrong = admin.submit(shown, "/rules", ("version", now[1]), ("text", text.replace('"alert"', '"shout"')))
    assert "<code>rule.0.do</code>" in wrong.text
    assert [book["text"] for book in sources.read_book(site.rt)] == [text]


@pytest.mark.parametrize("kind", sorted(POLLERS))
def test_every_field_of_every_kind_is_named_in_words(kind: str) -> None:
    assert POLLERS[kind].access.model_fields.keys() <= ACCESS_FIELDS.keys()
