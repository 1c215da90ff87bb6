"""Reminding from the live page: by managers alone, after a last look, once."""

from datetime import timedelta

from alertd.core.acknowledgement import Way
from alertd.service import escalating, watching
from alertd.service.acknowledging import acknowledge_all, wish_of
from tests.web.pages.visitor import ADMIN, Enter, Site


def reminders(site: Site, alert: str) -> list[str]:
    timetable = watching.read_course(site.rt, alert)["timetable"]
    return [run["asked_by"] for run in timetable if run["asked_by"] is not None]


def test_a_manager_sends_once_more_with_two_taps(site: Site, enter: Enter) -> None:
    alert = site.post()
    site.hand_over(alert)
    boss = enter("boss")
    assert f'href="/alerts/{alert}/remind"' in boss.get(f"/alerts/{alert}").text
    asked = boss.get(f"/alerts/{alert}/remind")
    assert "5 people" in asked.text
    assert "No way to 2 of them works" in asked.text
    assert reminders(site, alert) == [], "looking sends nothing"
    after = boss.submit(asked, f"/alerts/{alert}/remind")
    assert after.path == f"/alerts/{alert}"
    assert "Reminder, asked for by 防災 課長" in after.text
    escalating.start_due(site.rt)
    assert site.counts(alert)["channels"]["sms"]["pending"] == 1


def test_pressed_again_it_says_calmly_that_it_was_done(site: Site, enter: Enter) -> None:
    alert = site.post()
    boss = enter("boss")
    asked = boss.get(f"/alerts/{alert}/remind")
    boss.submit(asked, f"/alerts/{alert}/remind")
    again = boss.submit(asked, f"/alerts/{alert}/remind")
    assert again.status == 409
    assert "Nothing is sent twice" in again.text
    assert "Nothing has been sent yet" not in again.text
    assert reminders(site, alert) == ["boss"]
    site.clock.pass_(timedelta(minutes=1))
    boss.submit(boss.get(f"/alerts/{alert}/remind"), f"/alerts/{alert}/remind")
    assert reminders(site, alert) == ["boss", "boss"]


def test_nobody_is_reminded_of_what_is_over(site: Site, enter: Enter) -> None:
    alert = site.post()
    boss = enter("boss")
    asked = boss.get(f"/alerts/{alert}/remind")
    site.revise(alert, "cancel", "解除")
    assert "This alert was called off." in boss.submit(asked, f"/alerts/{alert}/remind").text
    assert "<form" not in boss.get(f"/alerts/{alert}/remind").text
    assert reminders(site, alert) == []


def test_only_managers_may_and_no_other_site_can(site: Site, enter: Enter) -> None:
    alert = site.post()
    viewer = enter("viewer")
    assert viewer.get(f"/alerts/{alert}/remind").status == 403
    assert "remind" not in viewer.get(f"/alerts/{alert}").text
    assert enter("boss").post(f"/alerts/{alert}/remind", ("csrf", "0" * 64)).status == 403
    assert enter("boss").get("/alerts/nothing/remind").status == 404
    assert reminders(site, alert) == []


def test_a_drill_is_sent_again_as_a_drill(site: Site, enter: Enter) -> None:
    alert = site.post(drill=True)
    assert "Send the DRILL once more" in enter("boss").get(f"/alerts/{alert}/remind").text


# Groups that open into their people
def test_a_group_opens_into_its_people_and_those_below_it(site: Site, enter: Enter) -> None:
    site.person("jiro", "次郎", phone="090-3333-3333")
    alert = site.post()
    (kept,) = acknowledge_all(site.rt, [wish_of(ADMIN, alert, Way.PAGE, person="smith")])
    assert not isinstance(kept, Exception)
    viewer = enter("viewer")
    assert f'href="/alerts/{alert}/groups/town"' in viewer.get(f"/alerts/{alert}").text
    silent, answered = viewer.get(f"/alerts/{alert}/groups/town").text.split('data-list="acknowledged"')
    assert "田中 恵子" in silent
    assert 'href="tel:+819011112222"' in silent
    assert "Anna Smith" not in silent
    assert "Anna Smith" in answered
    assert "次郎" not in silent + answered
    assert "Anna Smith" not in viewer.get(f"/alerts/{alert}/groups/fire").text
    assert viewer.get(f"/alerts/{alert}/groups/nothing").status == 404
    assert enter("tanaka").get(f"/alerts/{alert}/groups/town").status == 403


def test_a_large_group_pages(site: Site, enter: Enter) -> None:
    for number in range(230):
        site.person(f"p{number:03}", f"職員{number:03}", groups=("fire",))
    site.person("zz", "別の人")
    alert = site.post()
    viewer = enter("viewer")
    shown = viewer.get(f"/alerts/{alert}/groups/town").text
    assert shown.count('class="person outstanding"') == 20
    assert f'href="/alerts/{alert}/people/outstanding?group=town"' in shown
    first = viewer.get(f"/alerts/{alert}/people/outstanding?group=town").text
    assert first.count('class="person outstanding"') == 200
    assert "市役所: " in first
    rest = viewer.get(f"/alerts/{alert}/people/outstanding?after=p199&group=town").text
    assert rest.count('class="person outstanding"') == 32
    assert "別の人" not in rest
    assert viewer.get(f"/alerts/{alert}/people/outstanding?group=nothing").status == 404
