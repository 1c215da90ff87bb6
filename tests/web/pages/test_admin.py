"""Tokens, boards, and the page from which everything is found."""

import re

import pytest

from alertd.core.errors import Unauthenticated
from alertd.core.roles import Role
from alertd.service import access, directory, roster
from tests.web.pages.visitor import Enter, Site


def test_every_door_opens_for_whoever_sees_it(enter: Enter) -> None:
    for person, doors in (("boss", 9), ("admin", 13)):
        visitor = enter(person)
        listed = re.findall(r'<li><a href="([^"]+)"><strong>', visitor.get("/admin").text)
        assert len(listed) == doors
        assert [visitor.get(door).status for door in listed] == [200] * doors
        assert 'href="/admin"' in visitor.get("/board").text
    viewer = enter("viewer")
    assert viewer.get("/admin").status == 403
    assert 'href="/admin"' not in viewer.get("/board").text


@pytest.mark.parametrize("path", ["/tokens", "/boards", "/webhooks"])
def test_a_manager_is_no_admin(enter: Enter, path: str) -> None:
    boss = enter("boss")
    csrf = boss.get("/board").csrf
    assert boss.get(path).status == 403
    assert boss.post(path, ("csrf", csrf), ("person", "boss"), ("role", "admin")).status == 403
    assert enter("admin").post(path, ("csrf", csrf)).status == 403


def test_a_token_is_shown_once_works_and_is_ended(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    made = admin.submit(admin.get("/tokens"), "/tokens", ("person", "smith"), ("role", "viewer"))
    found = re.search(r'class="secret"[^>]*>([\w-]+)<', made.text)
    assert found
    (actor,) = access.authenticate_all(site.rt, [("token", found[1])])
    assert not isinstance(actor, Exception)
    assert (actor.person_id, actor.role.word) == ("smith", "viewer")
    listed = admin.get("/tokens")
    assert found[1] not in listed.text
    action = f"/tokens/{actor.credential_id}/revoke"
    assert "The token is ended" in admin.submit(listed, action).text
    assert "The token is ended" in admin.submit(listed, action).text
    assert isinstance(access.authenticate_all(site.rt, [("token", found[1])])[0], Unauthenticated)
    assert action not in admin.get("/tokens").text


@pytest.mark.parametrize(
    ("person", "role", "told"),
    [
        ("nobody", "admin", "There is no person “nobody”."),
        ("x" * 10_000, "admin", "Use 1 to 64 letters"),
        ("smith", "", "Please choose one."),
        ("smith", "king", "Please choose one."),
    ],
)
def test_a_token_needs_somebody_who_is_there_and_a_role(
    site: Site, enter: Enter, person: str, role: str, told: str
) -> None:
    admin, before = enter("admin"), access.list_tokens(site.rt, after=None, limit=9)
    refused = admin.post("/tokens", ("csrf", admin.get("/tokens").csrf), ("person", person), ("role", role))
    assert refused.status == 422
    assert told in refused.text
    assert f'value="{person}"' in refused.text
    assert access.list_tokens(site.rt, after=None, limit=9) == before
    assert roster.count_people(site.rt, roster.Search("nobody")) == 0


def test_tokens_come_page_by_page(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    for _ in range(55):
        access.create_token(site.rt, access.system_actor("admin"), "smith", Role.STAFF)
    first = admin.get("/tokens")
    following = re.search(r'href="(/tokens\?after=[^"]+)"', first.text)
    assert following
    second = admin.get(following[1])
    shown = re.findall(r'action="/tokens/(\w+)/revoke"', first.text + second.text)
    assert len(shown) == len(set(shown)) == 56


def test_a_board_is_made_and_renamed(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    made = admin.submit(admin.get("/boards"), "/boards", ("id", "night"), ("name", "夜間 🌙"))
    assert "Saved." in made.text
    admin.submit(made, "/boards/night", ("name", "夜勤"))
    assert {"id": "night", "name": "夜勤"} in directory.list_boards(site.rt)
    again = admin.submit(made, "/boards", ("id", "night"), ("name", "別"))
    assert "There is a board with this ID already." in again.text
    for action, field in (("/boards/night", "name"), ("/boards", "name")):
        refused = admin.submit(made, action, ("id", "long"), (field, "板" * 10_000))
        assert refused.status == 422
        assert "At most 200 characters." in refused.text
        assert dict(refused.fields(action))["name"] == "板" * 10_000
    assert {"id": "night", "name": "夜勤"} in directory.list_boards(site.rt)
