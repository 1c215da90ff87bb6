"""The pages of the tree of groups."""

import pytest

from alertd.service import directory, grouping
from tests.web.pages.visitor import ADMIN, Enter, Site


def test_a_manager_looks_and_changes_nothing(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = boss.get("/groups")
    assert shown.text.index("市役所") < shown.text.index("消防課")
    assert "2 people" in shown.text
    assert "New group" not in shown.text
    group = boss.get("/groups/fire")
    assert "Save" not in group.text
    assert boss.post("/groups/fire", ("csrf", group.csrf), ("name", "偽")).status == 403
    assert boss.post("/groups/fire/delete", ("csrf", group.csrf)).status == 403
    assert boss.get("/groups/new").status == 403
    assert enter("viewer").get("/groups").status == 403
    assert boss.get("/groups/nowhere").status == 404
    assert grouping.read_group(site.rt, "fire")["name"] == "消防課"


def test_an_admin_makes_moves_and_deletes_a_group(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    form = admin.get("/groups/new?parent=fire")
    assert dict(form.fields("/groups/new"))["parent"] == "fire"
    made = admin.submit(form, "/groups/new", ("id", "water"), ("name", "水道課 💧"), ("supervisors", "boss、tanaka"))
    assert made.path == "/groups/water"
    assert "防災 課長" in made.text
    saved = admin.submit(made, "/groups/water", ("parent", ""), ("name", "水道"))
    assert "Saved." in saved.text
    kept = grouping.read_group(site.rt, "water")
    assert (kept["name"], kept["parent"], kept["supervisors"]) == ("水道", None, ["boss", "tanaka"])
    gone = admin.submit(saved, "/groups/water/delete")
    assert "The group is deleted." in gone.text
    assert "水道" not in gone.text


def test_what_cannot_be_deleted_says_why(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    for group, why in (("town", "There are groups below it"), ("fire", "There are 1 people in it")):
        refused = admin.submit(admin.get(f"/groups/{group}"), f"/groups/{group}/delete")
        assert refused.status == 422
        assert why in refused.text
    assert len(grouping.list_tree(site.rt)) == 2


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "課" * 10_000, "At most 200 characters."),
        ("name", "\u200f", "Please fill this in."),
        ("name", "\u202e課", "This holds characters that cannot be sent."),
        ("id", "x" * 10_000, "Use 1 to 64 letters"),
        ("id", "town", "There is a group with this ID already."),
        ("supervisors", "nobody", "There is no person “nobody”."),
    ],
)
def test_what_is_wrong_is_said_at_its_field(enter: Enter, field: str, value: str, told: str) -> None:
    admin = enter("admin")
    fields = {"id": "school", "name": "新しい課", field: value}
    refused = admin.submit(admin.get("/groups/new"), "/groups/new", *fields.items())
    assert refused.status in (409, 422)
    assert told in refused.text
    assert fields.items() <= dict(refused.fields("/groups/new")).items()


def test_two_admins_at_once_lose_nothing(site: Site, enter: Enter) -> None:
    admin = enter("admin")
    shown = admin.get("/groups/fire")
    directory.put_group(site.rt, ADMIN, "fire", "消防署", "town", ["boss"])
    clash = admin.submit(shown, "/groups/fire", ("name", "消防局"))
    assert clash.status == 409
    assert "<bdi>消防署</bdi>" in clash.text
    fields = dict(clash.fields("/groups/fire"))
    assert (fields["name"], fields["supervisors"]) == ("消防局", "boss")
    admin.submit(clash, "/groups/fire")
    kept = grouping.read_group(site.rt, "fire")
    assert (kept["name"], kept["supervisors"]) == ("消防局", ["boss"])
