"""Sheets of paper by which people sign in."""

import re

import pytest

from alertd.service import access
from tests.web.pages.visitor import URL, Enter, Site

PATH = "/people/invitations"


def test_a_sheet_for_each_in_their_language(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    sheets = boss.submit(boss.get(PATH), PATH, ("group", "town"), ("life", "14"))
    assert sheets.status == 200
    assert sheets.headers["cache-control"] == "no-store"
    assert re.findall(r'class="sheet" lang="(\w+)"', sheets.text) == ["en", "ja"]
    assert "スマートフォンのカメラを開いて" in sheets.text
    assert "Open the camera of your phone" in sheets.text
    assert "<svg" in sheets.text
    assert not re.search(r"<svg[^>]*\sstyle=|<style", sheets.text)
    links = re.findall(rf"{URL}(/sign-in/[\w-]+)", sheets.text)
    assert len(set(links)) == 2
    assert "Anna Smith" in enter(None).get(links[0]).text
    phone = enter(None)
    assert phone.post(links[0]).path == "/me/setup"


def test_a_link_is_taken_back(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    person = boss.get("/people/tanaka")
    sheet = boss.submit(person, PATH)
    (link,) = re.findall(rf"{URL}(/sign-in/[\w-]+)", sheet.text)
    listed = boss.get(f"{PATH}?person=tanaka")
    (action,) = re.findall(rf'action="({PATH}/\w+/revoke)"', listed.text)
    assert link not in listed.text
    assert "The link is taken back" in boss.submit(listed, action).text
    assert "The link is taken back" in boss.submit(listed, action).text
    assert enter(None).get(link).status == 401


def test_a_link_that_was_used_meanwhile_is_not_called_taken_back(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    sheet = boss.submit(boss.get("/people/tanaka"), PATH)
    (link,) = re.findall(rf"{URL}(/sign-in/[\w-]+)", sheet.text)
    listed = boss.get(f"{PATH}?person=tanaka")
    (action,) = re.findall(rf'action="({PATH}/\w+/revoke)"', listed.text)
    assert enter(None).post(link).path == "/me/setup"
    told = boss.submit(listed, action).text
    assert "somebody has signed in with this link" in told
    assert "The link is taken back" not in told


@pytest.mark.parametrize(
    ("people", "told"),
    [
        ("", "There is nobody in it."),
        ("nobody", "There is no person “nobody”."),
        ("tanaka, admin", "“admin” has a higher role than you."),
        ("x" * 10_000, "There is no person"),
        ("<b>", "&lt;b&gt;"),
    ],
)
def test_who_cannot_be_invited_is_said_and_nothing_typed_is_lost(
    site: Site, enter: Enter, people: str, told: str
) -> None:
    boss = enter("boss")
    refused = boss.submit(boss.get(PATH), PATH, ("people", people))
    assert refused.status == 422
    assert told in refused.text
    assert dict(refused.fields(PATH))["people"] == people
    assert access.list_links(site.rt, "tanaka", 9) == []


def test_it_is_for_managers(enter: Enter) -> None:
    viewer = enter("viewer")
    csrf = viewer.get("/board").csrf
    assert viewer.get(PATH).status == 403
    assert viewer.post(PATH, ("csrf", csrf), ("people", "viewer")).status == 403
