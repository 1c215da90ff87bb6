"""Calling an alert off and updating it, without scripts; and how everybody sees that."""

import pytest

from alertd.core.alert import Ask, Choice
from alertd.service import watching
from tests.web.pages.test_timetable import plain
from tests.web.pages.visitor import ADMIN, Enter, Shown, Site, Visitor

ASK = Ask("無事ですか？", (Choice("safe", "無事"), Choice("hurt", "助けが必要")))


def said(site: Site, alert: str) -> list[str]:
    return [each["title"] for each in watching.read_course(site.rt, alert)["revisions"]]


def called_off(boss: Visitor, alert: str) -> Shown:
    path = f"/alerts/{alert}/call-off"
    return boss.submit(boss.get(path), path, ("step", "send"))


def test_a_false_alarm_is_called_off_in_two_clicks(site: Site, enter: Enter) -> None:
    alert, boss = site.post(), enter("boss")
    site.hand_over(alert)
    path = f"/alerts/{alert}/call-off"
    assert f'href="{path}"' in boss.get(f"/alerts/{alert}").text
    ready = boss.get(path)
    assert "REAL ALERT" in ready.text
    assert '<p class="huge">3 people</p>' in ready.text
    assert "(3 messages)" in ready.text
    assert len(said(site, alert)) == 1
    after = called_off(boss, alert)
    assert after.path == f"/alerts/{alert}"
    assert said(site, alert) == ["避難してください", "[FALSE ALARM] The last message was a mistake. Nothing to do."]
    assert "避難してください" in watching.read_alert(site.rt, ADMIN, alert)["body"]
    assert "This was a real alert. It was called off." in after.text


def test_an_update_on_a_version_that_cannot_be_is_not_sent(site: Site, enter: Enter) -> None:
    alert, boss = site.post(), enter("boss")
    path = f"/alerts/{alert}/update"
    for number in ("9" * 5_000, "9" * 9):
        refused = boss.submit(boss.get(path), path, ("revision", number), ("title", "続報"), ("body", "本文です"))
        assert refused.status == 422
        assert "本文です" in refused.text
    assert len(said(site, alert)) == 1


def test_calling_off_twice_is_calling_off_once(site: Site, enter: Enter) -> None:
    alert, boss = site.post(drill=True), enter("boss")
    site.hand_over(alert)
    path = f"/alerts/{alert}/call-off"
    ready = boss.get(path)
    assert "DRILL" in ready.text
    for _ in range(2):
        assert boss.submit(ready, path, ("step", "send")).path == f"/alerts/{alert}"
    assert len(said(site, alert)) == 2
    assert "This alert was called off." in boss.get(path).text
    assert f'{path}"' not in boss.get(f"/alerts/{alert}").text


def test_who_may_not_is_refused(site: Site, enter: Enter) -> None:
    alert, viewer = site.post(), enter("viewer")
    assert "call-off" not in viewer.get(f"/alerts/{alert}").text
    csrf = viewer.get(f"/alerts/{alert}").csrf
    for name in ("call-off", "update"):
        assert viewer.get(f"/alerts/{alert}/{name}").status == 403
        assert viewer.post(f"/alerts/{alert}/{name}", ("csrf", csrf), ("title", "x")).status == 403
        assert enter("boss").post(f"/alerts/{alert}/{name}", ("title", "x")).status == 403
    assert len(said(site, alert)) == 1


def test_an_update_is_sent_once_however_often_it_is_pressed(site: Site, enter: Enter) -> None:
    alert, boss = site.post(), enter("boss")
    path = f"/alerts/{alert}/update"
    form = boss.get(path)
    assert "Send the update of the REAL alert to 3 people" in form.text
    typed = (("title", "場所が変わりました"), ("body", "一行目\r\n二行目"), ("step", "send"))
    pages = [boss.submit(form, path, *typed) for _ in range(2)]
    assert [shown.path for shown in pages] == [f"/alerts/{alert}"] * 2
    assert said(site, alert) == ["避難してください", "場所が変わりました"]
    assert "What was said, when, by whom" in pages[1].text
    assert "防災 課長" in pages[1].text


def test_an_update_on_something_that_has_changed_is_not_sent_and_not_lost(site: Site, enter: Enter) -> None:
    alert, boss = site.post(), enter("boss")
    path = f"/alerts/{alert}/update"
    form = boss.get(path)
    site.revise(alert, "update", "ほかの人の続報")
    refused = boss.submit(form, path, ("title", "私の続報"), ("step", "send"))
    assert refused.status == 422
    assert "Somebody has updated this alert meanwhile." in refused.text
    assert dict(refused.fields(path))["title"] == "私の続報"
    assert boss.submit(refused, path, ("step", "send")).status == 200
    assert said(site, alert)[1:] == ["ほかの人の続報", "私の続報"]


@pytest.mark.parametrize(("title", "told"), [(" ", "Please fill this in."), ("【訓練】移動", "this alert is real")])
def test_what_is_wrong_with_an_update_is_told_and_keeps_what_was_typed(
    site: Site, enter: Enter, title: str, told: str
) -> None:
    alert, boss = site.post(), enter("boss")
    path = f"/alerts/{alert}/update"
    refused = boss.submit(boss.get(path), path, ("title", title), ("body", "書いた本文"), ("ask_again", "yes"))
    assert refused.status == 422
    assert told in refused.text
    assert dict(refused.fields(path)) | {"body": "書いた本文", "ask_again": "yes"} == dict(refused.fields(path))
    assert len(said(site, alert)) == 1


def test_a_cancelled_alert_says_so_on_every_page(site: Site, enter: Enter) -> None:
    alert, boss, tanaka = site.post(ask=ASK), enter("boss"), enter("tanaka")
    site.hand_over(alert)
    post = watching.read_alert(site.rt, ADMIN, alert)["post"]
    called_off(boss, alert)
    letter = tanaka.get(site.letter(alert, "tanaka"))
    pages = [
        boss.get(f"/alerts/{alert}"),
        letter,
        tanaka.get("/me"),
        tanaka.get("/board"),
        tanaka.get(f"/posts/{post}"),
    ]
    for shown in pages:
        assert "[CANCELLED] [FALSE ALARM]" in shown.text
        assert "Called off" in shown.text
    assert "避難してください" in letter.text
    assert "What it said before" in letter.text
    assert letter.text.index("Answer all the same") < letter.text.index("助けが必要")


def test_whoever_is_asked_again_is_told_so(site: Site, enter: Enter) -> None:
    alert, tanaka = site.post(), enter("tanaka")
    path = site.letter(alert, "tanaka")
    tanaka.post(path)
    site.revise(alert, "update", "続報", ask_again=True)
    for shown in (tanaka.get(path), tanaka.get("/me")):
        assert "Please answer again" in shown.text
        assert "The server has your answer" not in shown.text
        assert "[UPDATE] 続報" in shown.text
    people = plain(enter("boss").get(f"/alerts/{alert}/people/outstanding"))
    assert "Answered an earlier version: Seen" in people
    answered = tanaka.post(path)
    assert "The server has your answer" in answered.text
    assert site.counts(alert)["acknowledged"] == 1


def test_those_who_hold_an_outdated_version_are_listed(site: Site, enter: Enter) -> None:
    alert, boss = site.post(), enter("boss")
    hidden = '<div class="notice" data-outdated hidden>'
    assert hidden in boss.get(f"/alerts/{alert}").text
    site.hand_over(alert)
    site.revise(alert, "update", "続報")
    shown = boss.get(f"/alerts/{alert}")
    assert hidden not in shown.text
    assert '<span data-count="outdated">3</span>' in shown.text
    listed = boss.get(f"/alerts/{alert}/people/outdated")
    assert "They still hold an outdated version" in listed.text
    assert listed.text.count("data-key=") == 3


def test_the_ladder_keeps_its_rungs_apart(site: Site, enter: Enter) -> None:
    alert, boss, nobody = site.post(), enter("boss"), enter(None)
    site.hand_over(alert)
    path = site.letter(alert, "tanaka")
    nobody.get(path)
    nobody.client.post(f"{path}/opened", headers={"user-agent": "ExampleBot/1.0 (bot)"})
    shown = boss.get(f"/alerts/{alert}")
    assert '<dd data-count="evidence.sms.accepted">1</dd>' in shown.text
    assert '<dd data-count="evidence.sms.opened">0</dd>' in shown.text
    people = plain(boss.get(f"/alerts/{alert}/people"))
    assert "The link was fetched by a person, a preview or a scanner: this proves nothing" in people
    assert "Taken over by the provider says the provider" in people
    nobody.client.post(f"{path}/opened", headers={"user-agent": "Mozilla/5.0 (Linux; Android 15)"})
    assert '<dd data-count="evidence.sms.opened">1</dd>' in boss.get(f"/alerts/{alert}").text
    assert "Opened seen by our page" in plain(boss.get(f"/alerts/{alert}/people"))
