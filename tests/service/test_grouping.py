"""The tree of groups: what is in it, and what may be deleted."""

import pytest

from alertd.core.audience import Audience
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.service import grouping
from alertd.service.grouping import Group
from alertd.service.runtime import Runtime
from tests.installation import BOSS, group, post, settle


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    settle(rt, "chief")
    group(rt, "town", supervisors=["chief"])
    group(rt, "fire", "town")
    group(rt, "night", "fire")
    settle(rt, "both", groups=("town", "night"))
    settle(rt, "one", groups=("fire",))
    settle(rt, "gone", groups=("fire",), active=False)
    return rt


def of(rt: Runtime, group_id: str) -> Group:
    found = grouping.read_group(rt, group_id)
    return Group(found["name"], found["parent"], tuple(found["supervisors"]))


def test_everybody_below_is_counted_once_and_whoever_left_is_not(town: Runtime) -> None:
    counts = {each["id"]: (each["members"], each["below"]) for each in grouping.list_tree(town)}
    assert counts == {"town": (1, 2), "fire": (1, 2), "night": (1, 1)}
    assert of(town, "town").supervisors == ("chief",)


def test_a_group_is_added_renamed_and_moved(town: Runtime) -> None:
    grouping.add_group(town, BOSS, "water", Group("水道課", "town"))
    grouping.change_group(town, BOSS, "water", Group("上下水道課", None, ("one",)), of(town, "water"))
    assert of(town, "water") == Group("上下水道課", None, ("one",))
    with pytest.raises(Conflict):
        grouping.add_group(town, BOSS, "water", Group("別", None))


def test_two_who_change_a_group_do_not_overwrite_each_other(town: Runtime) -> None:
    seen = of(town, "fire")
    grouping.change_group(town, BOSS, "fire", Group("消防", "town"), seen)
    with pytest.raises(Conflict):
        grouping.change_group(town, BOSS, "fire", Group("火消し", "town"), seen)
    assert of(town, "fire").name == "消防"


def test_the_tree_does_not_bite_its_tail(town: Runtime) -> None:
    with pytest.raises(Invalid):
        grouping.change_group(town, BOSS, "town", Group("x", "night"), of(town, "town"))
    with pytest.raises(Invalid):
        grouping.change_group(town, BOSS, "town", Group("x", "nowhere", ("nobody",)), of(town, "town"))
    assert of(town, "town").parent is None


def test_only_what_nothing_hangs_on_is_deleted(town: Runtime) -> None:
    for group_id, why in (("fire", "groups below"), ("night", "1 people in it")):
        with pytest.raises(Conflict, match=why):
            grouping.delete_group(town, BOSS, group_id)
    group(town, "old", supervisors=["one"])
    post(town, audience=Audience(groups=("old",), people=("one",)))
    with pytest.raises(Conflict, match="posts were addressed"):
        grouping.delete_group(town, BOSS, "old")
    group(town, "empty", supervisors=["one"])
    grouping.delete_group(town, BOSS, "empty")
    with pytest.raises(NotFound):
        grouping.delete_group(town, BOSS, "empty")
    assert {each["id"] for each in grouping.list_tree(town)} == {"town", "fire", "night", "old"}
