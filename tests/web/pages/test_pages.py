"""The pages without scripts: what they show, to whom, and in which language."""

import re

from alertd.core.acknowledgement import Way
from alertd.core.alert import Ask, Choice
from alertd.core.audience import Audience
from alertd.service import watching
from tests.web.pages.visitor import ADMIN, URGENT, Enter, Shown, Site, written

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
ASK = Ask("無事ですか？", (Choice("safe", "無事"), Choice("hurt", "助けが必要")))


# What people write
def test_what_people_write_is_only_ever_text(site: Site, enter: Enter) -> None:
    site.person("evil", EVIL, groups=("fire",))
    body = f"{EVIL}\n\n[link](javascript:alert(1)) ![](https://evil.example/x.png) **bold** [good](https://example.jp/)"
    ask = Ask(EVIL[:40], (Choice("a", EVIL[:40]),))
    alert = site.post(title=EVIL, body=body, ask=ask)
    boss = enter("boss")
    post = watching.read_alert(site.rt, ADMIN, alert)["post"]
    visitor = enter("evil")
    answered = visitor.submit(visitor.get("/me"), f"/me/alerts/{alert}", ("answer", "a"), ("comment", EVIL))
    pages = [
        boss.get("/board"),
        boss.get(f"/posts/{post}"),
        boss.get(f"/alerts/{alert}"),
        boss.get(f"/alerts/{alert}/people"),
        boss.get(f"/alerts/{alert}/people/acknowledged"),
        answered,
        visitor.get(site.letter(alert, "evil")),
    ]
    for shown in pages:
        assert shown.status == 200
        assert "<script>" not in shown.text
        assert "<img" not in shown.text
        assert 'href="javascript:' not in shown.text
    assert "<strong>bold</strong>" in pages[1].text
    assert 'href="https://example.jp/" rel="noopener noreferrer nofollow"' in pages[1].text


def test_no_page_carries_a_script_or_style_of_its_own(site: Site, enter: Enter) -> None:
    alert = site.post(ask=ASK)
    boss = enter("boss")
    for path in ("/board", "/posts/new", f"/alerts/{alert}", "/me", "/me/settings", site.letter(alert, "boss")):
        text = boss.get(path).text
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text), path


# The live page
def test_the_live_page_says_no_more_than_is_proven(site: Site, enter: Enter) -> None:
    alert = site.post(ask=ASK)
    shown = enter("viewer").get(f"/alerts/{alert}")
    assert 'data-count="acknowledged">0<' in shown.text
    assert 'data-count="recipients">5<' in shown.text
    assert "Handed to the provider" in shown.text
    assert "no phone, no mail, no device" in shown.text
    assert shown.text.index('id="unreachable"') < shown.text.index('id="outstanding"')
    assert 'href="tel:+819011112222"' in shown.text
    assert "Answer for them" not in shown.text
    assert "REAL ALERT" in shown.text


def test_a_manager_answers_for_somebody(site: Site, enter: Enter) -> None:
    alert = site.post(ask=ASK)
    boss = enter("boss")
    shown = boss.get(f"/alerts/{alert}")
    fields = (("csrf", shown.csrf), ("person", "tanaka"), ("answer", "hurt"), ("comment", "電話で確認"))
    after = boss.post(f"/alerts/{alert}/answers", *fields)
    assert after.path == f"/alerts/{alert}"
    people = boss.get(f"/alerts/{alert}/people").text
    assert "somebody else (proxy): boss" in people
    assert "電話で確認" in people
    assert site.counts(alert)["answers"] == {"safe": 0, "hurt": 1}


def test_an_answer_for_somebody_is_to_the_version_that_the_manager_had_before_them(site: Site, enter: Enter) -> None:
    alert = site.post(ask=ASK)
    boss = enter("boss")
    shown = boss.get(f"/alerts/{alert}")
    about_tanaka = [each for each in answer_forms(shown) if ("person", "tanaka") in each]
    site.revise(alert, "update", "津波です", ask_again=True)
    boss.post(f"/alerts/{alert}/answers", *about_tanaka[0], ("answer", "safe"))
    assert site.counts(alert)["acknowledged"] == 0, "the one on the telephone had not heard of what is asked now"
    assert "Answered an earlier version:" in boss.get(f"/alerts/{alert}").text


def answer_forms(shown: Shown) -> list[list[tuple[str, str]]]:
    """What a browser would send of each form by which somebody is answered for."""
    forms = re.findall(r'action="/alerts/\w+/answers">(.*?)</form>', shown.text, re.DOTALL)
    return [re.findall(r'name="(\w+)" value="([^"]*)">', form) for form in forms]


def test_a_viewer_answers_for_nobody(site: Site, enter: Enter) -> None:
    alert = site.post()
    viewer = enter("viewer")
    csrf = viewer.get(f"/alerts/{alert}").csrf
    assert viewer.post(f"/alerts/{alert}/answers", ("csrf", csrf), ("person", "tanaka")).status == 403
    assert site.counts(alert)["acknowledged"] == 0


def test_a_list_is_shown_page_by_page(site: Site, enter: Enter) -> None:
    for number in range(230):
        site.person(f"p{number:03}", f"職員{number}")
    alert = site.post()
    viewer = enter("viewer")
    assert f'href="/alerts/{alert}/people/unreachable"' in viewer.get(f"/alerts/{alert}").text
    first = viewer.get(f"/alerts/{alert}/people/unreachable")
    following = re.search(r'href="(\?after=[^"]+)"', first.text)
    assert following
    second = viewer.get(f"/alerts/{alert}/people/unreachable{following[1]}")
    shown = re.findall(r'data-key="([^"]+)"', first.text + second.text)
    assert len(shown) == len(set(shown)) == site.counts(alert)["unreachable"]
    assert viewer.get(f"/alerts/{alert}/people/none").status == 404


# One's own alerts
def test_one_answers_on_ones_own_page(site: Site, enter: Enter) -> None:
    alert = site.post(ask=ASK, drill=True)
    visitor = enter("tanaka")
    shown = visitor.get("/me")
    assert "This is a drill. Nothing has happened." in shown.text
    after = visitor.submit(shown, f"/me/alerts/{alert}", ("answer", "safe"), ("comment", "自宅"))
    assert after.path == "/me"
    assert "The server has your answer" in after.text
    (item,) = watching.list_recipients(site.rt, alert, state="acknowledged", after=None, limit=9)[0]
    assert item["acknowledgement"]["way"] == Way.PAGE.word
    refused = visitor.submit(shown, f"/me/alerts/{alert}", ("answer", "none"))
    assert refused.status == 422


def test_an_alert_of_others_is_not_ones_own(site: Site, enter: Enter) -> None:
    alert = site.post(audience=Audience(people=("smith",)))
    visitor = enter("tanaka")
    shown = visitor.get("/me")
    assert alert not in shown.text
    assert visitor.post(f"/me/alerts/{alert}", ("csrf", shown.csrf)).status == 404
    assert visitor.get(f"/me/setup?test={alert}").status == 404
    assert "避難" not in visitor.get("/board").text


def test_the_page_tells_how_one_is_reached(enter: Enter) -> None:
    assert "+819011112222" in enter("tanaka").get("/me").text
    assert "There is no way to reach you" in enter("viewer").get("/me").text


# Languages
def test_the_language_is_the_readers(site: Site, enter: Enter) -> None:
    alert = site.post()
    visitor = enter(None)
    assert 'lang="ja"' in visitor.get(site.letter(alert, "tanaka")).text
    assert 'lang="en"' in visitor.get(site.letter(alert, "smith")).text
    assert 'lang="en"' in visitor.get("/sign-in").text
    assert 'lang="ja"' in visitor.get("/sign-in", **{"accept-language": "fr"}).text
    assert 'lang="ja"' in visitor.get("/sign-in?lang=ja").text
    assert 'lang="ja"' in visitor.get("/sign-in").text


def test_changing_the_language_loses_nothing_that_was_typed(enter: Enter) -> None:
    boss = enter("boss")
    checked = written(boss, *URGENT)
    switch = re.search(r'<button class="switch" form="post" formaction="([^"]+)"[^>]*value="(\w+)"', checked.text)
    assert switch
    shown = boss.post(switch[1], *checked.fields("/posts/new"), ("step", switch[2]))
    assert "「実際の警報」を5人に送信する" in shown.text or "REAL" in shown.text
    assert dict(shown.fields("/posts/new"))["title"] == "件名"


# What browsers load besides
def test_the_service_worker_reaches_the_whole_site_and_is_never_kept(enter: Enter) -> None:
    shown = enter(None).get("/service-worker.js")
    assert shown.headers["content-type"].startswith("text/javascript")
    assert shown.headers["cache-control"] == "no-cache"


def test_the_manifest_names_icons_that_are_there(enter: Enter) -> None:
    visitor = enter(None)
    manifest = visitor.get("/manifest.webmanifest")
    assert manifest.headers["content-type"].startswith("application/manifest+json")
    icons = manifest.response.json()["icons"]
    assert {icon["purpose"] for icon in icons} == {"any", "maskable"}
    for icon in icons:
        shown = visitor.get(icon["src"])
        assert shown.response.content.startswith(b"\x89PNG")
        assert "max-age" in shown.headers["cache-control"]


def test_an_unknown_page_says_so_in_words(enter: Enter) -> None:
    shown = enter(None).get("/nothing/here")
    assert shown.status == 404
    assert "This page does not exist" in shown.text
