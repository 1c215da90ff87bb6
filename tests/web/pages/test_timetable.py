"""What is sent when: before it is sent, and while it is under way."""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import insert, update

from alertd.core.delivery import State
from alertd.core.escalation import Plan, Repeat, Step
from alertd.core.message import Budget
from alertd.service import directory, escalating, planning
from alertd.store.schema import circuits, deliveries
from tests.web.pages.visitor import ADMIN, URGENT, Enter, Shown, Site, written

PLAN = Plan(
    (
        Step(0, ("email",)),
        Step(120, ("sms",), repeat=Repeat(300, 3)),
        Step(600, ("sms", "email"), "supervisors"),
    )
)


def plain(shown: Shown) -> str:
    """The text without its tags, on one line."""
    text = " ".join(part.partition(">")[2] for part in f">{shown.text}".split("<"))
    return " ".join(text.split())


def settled(site: Site) -> Site:
    planning.put_plan(site.rt, ADMIN, "night", "夜間", PLAN)
    directory.put_group(site.rt, ADMIN, "fire", "消防課", "town", ("boss",))
    return site


def test_the_whole_timetable_is_told_before_anything_is_sent(site: Site, enter: Enter) -> None:
    settled(site)
    text = plain(written(enter("boss"), *URGENT, ("plan", "night")))
    assert "Plan: 夜間" in text
    assert "03:12 at once E-mail to up to 2 people" in text
    assert "03:14 2 min later SMS to up to 1 person about 1 SMS part" in text
    assert "Again every 5 min, 3 times, until 03:29 ." in text
    assert "03:22 10 min later SMS, E-mail to up to 1 supervisor" in text
    assert "their supervisors are told" in text


def test_the_end_of_the_last_message_follows_from_the_providers_rate(site: Site, enter: Enter) -> None:
    slow = replace(site.rt, budgets={**site.rt.budgets, "email": Budget("letter", 0, 1, pace=0.01)})
    object.__setattr__(site.web, "rt", slow)
    text = plain(written(enter("boss"), *URGENT))
    assert "last one out at 03:15" in text


def test_those_whom_a_plan_leads_to_in_vain_are_named(site: Site, enter: Enter) -> None:
    settled(site)
    directory.put_group(site.rt, ADMIN, "fire", "消防課", "town", ("viewer",))
    text = plain(written(enter("boss"), *URGENT, ("plan", "night")))
    assert "2 people cannot be reached at all" in text
    assert "1 supervisor cannot be told: no phone, mail or device for it. 見る人" in text
    assert "If one of these 4 people does not answer, nobody is told" in text


def test_a_plan_that_outlasts_the_alert_is_refused_where_it_was_chosen(site: Site, enter: Enter) -> None:
    planning.put_plan(site.rt, ADMIN, "long", "長い", Plan((Step(0, ("sms",)), Step(7200, ("sms",)))))
    shown = written(enter("boss"), *URGENT, ("plan", "long"), ("life", "1"))
    assert shown.status == 422
    assert "The plan takes longer than the alert is valid." in shown.text
    assert dict(shown.fields("/posts/new"))["plan"] == "long"


def test_the_live_page_tells_what_was_done_and_what_comes_next(site: Site, enter: Enter) -> None:
    settled(site)
    alert = site.post(plan="night")
    boss = enter("boss")
    text = plain(boss.get(f"/alerts/{alert}"))
    assert "03:12 ✓ Done E-mail to everybody it is for 2 messages so far" in text
    assert "03:14 Next SMS to those who have not answered by then Repeated 0 of 3 times Next at 03:14" in text
    assert "03:22 Later SMS, E-mail to the supervisors" in text
    site.clock.pass_(timedelta(minutes=2))
    escalating.start_due(site.rt)
    text = plain(boss.get(f"/alerts/{alert}/people"))
    assert "1 message so far Repeated 0 of 3 times Next at 03:19" in text


def test_what_was_called_off_comes_no_more(site: Site, enter: Enter) -> None:
    settled(site)
    alert = site.post(plan="night")
    site.revise(alert, "cancel", "解除")
    text = plain(enter("boss").get(f"/alerts/{alert}"))
    assert "03:14 Not carried out SMS" in text
    assert "Next at" not in text


def test_held_messages_are_called_our_own_fault_with_the_reason(site: Site, enter: Enter) -> None:
    alert = site.post()
    with site.rt.store.write() as connection:
        email = update(deliveries).where(deliveries.c.channel == "email")
        connection.execute(email.values(state=State.HELD, reason="535 5.7.8 authentication failed"))
    text = plain(enter("boss").get(f"/alerts/{alert}"))
    assert "2 messages are held back, and that is our own fault" in text
    assert "the mail server does not accept our password." in text
    assert "535 5.7.8 authentication failed" in text


def test_a_provider_that_is_left_alone_is_told_where_messages_wait_for_it(site: Site, enter: Enter) -> None:
    alert, boss = site.post(), enter("boss")
    stopped = {"worker_id": "w", "provider": "primary", "state": "open", "reason": "503", "since": site.clock()}
    with site.rt.store.write() as connection:
        connection.execute(insert(circuits).values(**stopped, channel="email", lane="example.jp"))
        connection.execute(insert(circuits).values(**stopped, channel="email", lane="elsewhere.jp"))
    text = plain(boss.get(f"/alerts/{alert}"))
    assert "E-mail (example.jp): Does not work at the moment." in text
    assert "elsewhere.jp" not in text
