"""The list of people, one person, and two who change the same one."""

import re

import pytest
from starlette.routing import Route

from alertd.core.errors import Invalid
from alertd.service import directory, roster
from alertd.service.directory import PersonDraft
from alertd.web.pages import routes
from tests.web.pages.visitor import ADMIN, Enter, Shown, Site, Visitor


def listed(shown: Shown) -> list[str]:
    return re.findall(r'class="person-name"><a href="/people/([^"]+)"', shown.text)


def changed(visitor: Visitor, shown: Shown, *fields: tuple[str, str], person: str = "tanaka") -> Shown:
    return visitor.submit(shown, f"/people/{person}", *fields)


def test_a_manager_finds_people(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    assert listed(boss.get("/people")) == ["admin", "boss", "smith", "tanaka", "viewer"]
    assert listed(boss.get("/people?q=恵子")) == ["tanaka"]
    assert listed(boss.get("/people?group=town")) == ["smith", "tanaka"]
    assert listed(boss.get("/people?lacks=address")) == ["admin", "viewer"]
    nobody = boss.get("/people?q=" + "長" * 1_000)
    assert (nobody.status, listed(nobody)) == (200, [])
    assert "Nobody fits this search." in nobody.text
    assert listed(boss.get("/people?active=maybe&lacks=x&after=\u202e")) == []


def test_the_list_keeps_its_search_from_page_to_page(site: Site, enter: Enter) -> None:
    for number in range(60):
        site.person(f"x{number:02}", "同じ名前")
    boss = enter("boss")
    first = boss.get("/people?q=同じ&active=yes")
    assert "60 people" in first.text
    following = re.search(r'href="(\?[^"]*after=[^"]*)"', first.text)
    assert following
    second = boss.get("/people" + following[1].replace("&amp;", "&"))
    assert len(listed(first)) == 50
    assert listed(first) + listed(second) == [f"x{number:02}" for number in range(60)]


@pytest.mark.parametrize("path", ["/people", "/people/new", "/people/tanaka"])
def test_it_is_for_managers(enter: Enter, path: str) -> None:
    assert enter("viewer").get(path).status == 403


def test_a_person_is_added_changed_deactivated_and_comes_back(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    form = boss.get("/people/new")
    fields = (("id", "hana"), ("name", "花子 🌸"), ("phone", "０９０-1234-5678"), ("email", ""), ("group", "fire"))
    made = boss.submit(form, "/people/new", *fields)
    assert made.path == "/people/hana"
    assert "+819012345678" in made.text
    after = changed(boss, made, ("name", "花子"), ("phone", ""), ("group", "town"), person="hana")
    assert "Saved." in after.text
    kept = roster.read_person(site.rt, "hana")
    assert (kept["name"], kept["phone"], kept["groups"], kept["role"]) == ("花子", None, ["town"], "staff")
    assert "There is no way to reach this person." in after.text
    off = boss.submit(after, "/people/hana/active", ("active", "no"))
    assert "Deactivated: they get no more alerts" in off.text
    assert not roster.read_person(site.rt, "hana")["active"]
    boss.submit(off, "/people/hana/active", ("active", "yes"))
    assert roster.read_person(site.rt, "hana")["active"]


def test_nobody_is_called_like_a_page_that_would_stand_before_theirs(site: Site, enter: Enter) -> None:
    named = {"people", "groups", "plans", "templates", "boards"}
    parts = [route.path.split("/") for route in routes if isinstance(route, Route)]
    pages = {part[2] for part in parts if len(part) > 2 and part[1] in named and not part[2].startswith("{")}
    assert pages >= {"new", "import"}
    admin = enter("admin")
    for page in pages:
        refused = admin.submit(admin.get("/people/new"), "/people/new", ("id", page), ("name", "新人"))
        assert refused.status == 422, page
        assert "is the address of a page of this system: choose another ID." in refused.text
    with pytest.raises(Invalid):
        directory.put_group(site.rt, ADMIN, "new", "新しい課", None, ())


def test_whoever_is_there_is_not_added_a_second_time(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    refused = boss.submit(boss.get("/people/new"), "/people/new", ("id", "tanaka"), ("name", "別人"))
    assert refused.status == 409
    assert "There is somebody with this ID already." in refused.text
    assert dict(refused.fields("/people/new"))["name"] == "別人"
    assert roster.read_person(site.rt, "tanaka")["name"] == "田中 恵子"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "名" * 10_000, "At most 200 characters."),
        ("name", " \u200b ", "Please fill this in."),
        ("name", "\u202eevil", "This holds characters that cannot be sent."),
        ("name", "a\nb", "This holds characters that cannot be sent."),
        ("phone", "12", "This is no phone number."),
        ("phone", "9" * 10_000, "This is no phone number."),
        ("email", "田中", "This is no mail address."),
        ("email", "x@" + "y" * 10_000, "This is no mail address."),
        ("language", "fr", "Please choose one."),
        ("group", "nowhere", "There is no group “nowhere”."),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(
    site: Site, enter: Enter, field: str, value: str, told: str
) -> None:
    boss, before = enter("boss"), roster.read_person(site.rt, "tanaka")
    fields = {"name": "改名", field: value}
    refused = changed(boss, boss.get("/people/tanaka"), *fields.items())
    assert refused.status == 422
    assert told in refused.text
    if field not in ("language", "group"):
        assert {**dict(refused.fields("/people/tanaka")), **fields} == dict(refused.fields("/people/tanaka"))
    assert roster.read_person(site.rt, "tanaka") == before


def test_two_who_change_different_things_lose_neither(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = boss.get("/people/tanaka")
    directory.put_person(site.rt, ADMIN, PersonDraft("tanaka", "田中 恵子", phone="090-9999-8888", groups=("town",)))
    clash = changed(boss, shown, ("name", "田中 恵"))
    assert clash.status == 409
    assert "somebody else has changed this person meanwhile" in clash.text
    assert "Saved meanwhile by somebody else:" not in clash.text
    assert changed(boss, clash).path == "/people/tanaka"
    kept = roster.read_person(site.rt, "tanaka")
    assert (kept["name"], kept["phone"], kept["groups"]) == ("田中 恵", "+819099998888", ["town"])


def test_two_who_change_the_same_are_shown_both(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = boss.get("/people/tanaka")
    theirs = PersonDraft("tanaka", "彼らの名", phone="090-1111-2222", groups=("fire",), active=False)
    directory.put_person(site.rt, ADMIN, theirs)
    clash = changed(boss, shown, ("name", "私の名"))
    assert clash.status == 409
    assert "<bdi>彼らの名</bdi>" in clash.text
    assert dict(clash.fields("/people/tanaka"))["name"] == "私の名"
    assert roster.read_person(site.rt, "tanaka")["name"] == "彼らの名"
    changed(boss, clash)
    kept = roster.read_person(site.rt, "tanaka")
    assert (kept["name"], kept["active"]) == ("私の名", False)


def test_what_the_form_does_not_show_stands_in_nobodys_way(site: Site, enter: Enter) -> None:
    boss, tanaka = enter("boss"), enter("tanaka")
    shown = boss.get("/people/tanaka")
    settings = "/me/settings/self-test"
    tanaka.submit(tanaka.get("/me/settings"), settings, ("takes", "yes"))
    assert "Saved." in changed(boss, shown, ("name", "田中 恵")).text
    kept = roster.read_person(site.rt, "tanaka")
    assert (kept["name"], kept["takes_self_test"]) == ("田中 恵", True)


def test_pressing_twice_saves_once(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = boss.get("/people/tanaka")
    changed(boss, shown, ("name", "田中 恵"))
    version = roster.read_person(site.rt, "tanaka")["version"]
    again = changed(boss, shown, ("name", "田中 恵"))
    assert again.status == 200
    assert "NOT saved" not in again.text
    assert roster.read_person(site.rt, "tanaka")["version"] >= version


def test_only_an_admin_gives_roles_and_nobody_changes_whoever_stands_above_them(site: Site, enter: Enter) -> None:
    boss, admin = enter("boss"), enter("admin")
    shown = boss.get("/people/tanaka")
    assert 'name="role"' not in shown.text
    changed(boss, shown, ("role", "admin"), ("was-role", "staff"))
    assert roster.read_person(site.rt, "tanaka")["role"] == "staff"
    assert "has a higher role than you" in boss.get("/people/admin").text
    assert boss.submit(boss.get("/people/tanaka"), "/people/tanaka").status == 200
    csrf = boss.get("/people").csrf
    assert boss.post("/people/admin", ("csrf", csrf), ("name", "偽")).status == 403
    assert boss.post("/people/admin/active", ("csrf", csrf), ("active", "no")).status == 403
    site.person("second", "二人目", role="manager")
    given = changed(admin, admin.get("/people/tanaka"), ("role", "viewer"))
    assert "Saved." in given.text
    assert roster.read_person(site.rt, "tanaka")["role"] == "viewer"


def test_nobody_deactivates_themselves(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = boss.get("/people/boss")
    assert "Somebody else has to do that." in shown.text
    refused = boss.post("/people/boss/active", ("csrf", shown.csrf), ("active", "no"))
    assert "You cannot deactivate yourself" in refused.text
    assert roster.read_person(site.rt, "boss")["active"]


def test_a_form_of_another_session_changes_nothing(enter: Enter) -> None:
    boss = enter("boss")
    assert boss.post("/people/tanaka", ("csrf", "0" * 64), ("name", "偽")).status == 403
    assert boss.get("/people/nobody").status == 404
