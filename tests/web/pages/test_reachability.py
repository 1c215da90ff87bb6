"""The page of who can be reached."""

import pytest

from tests.web.pages.visitor import Enter, Site

PATH = "/people/reachability"


def test_it_says_who_why_and_what_to_do(site: Site, enter: Enter) -> None:
    alert = site.post()
    boss = enter("boss")
    shown = boss.get(PATH)
    assert "There is no way to reach this person." in shown.text
    assert 'href="/people/viewer"' in shown.text
    assert 'href="/people/tanaka"' not in shown.text
    site.hand_over(alert)
    unproven = boss.get(f"{PATH}?list=unproven")
    assert 'href="/people/tanaka"' in unproven.text
    assert "press “test my phone”" in unproven.text
    assert 'href="tel:+819011112222"' in unproven.text
    fire = boss.get(f"{PATH}?list=unproven&group=fire")
    assert 'href="/people/tanaka"' in fire.text
    assert 'href="/people/smith"' not in fire.text


def test_it_is_saved_as_a_table(site: Site, enter: Enter) -> None:
    shown = enter("boss").get(f"{PATH}.csv?group=fire")
    assert shown.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="reachability-2026-11-22.csv"' in shown.headers["content-disposition"]
    assert shown.text.count("\r\n") == 2


@pytest.mark.parametrize("path", [PATH, f"{PATH}.csv"])
def test_it_is_for_managers(enter: Enter, path: str) -> None:
    assert enter("viewer").get(path).status == 403


def test_what_it_does_not_know_is_not_asked(enter: Enter) -> None:
    boss = enter("boss")
    assert boss.get(f"{PATH}?list=all&group=nowhere&after=\u202e").status == 200
