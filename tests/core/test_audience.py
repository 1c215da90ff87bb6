"""The tree that groups form, loops included, and an audience as it is kept."""

import pytest

from alertd.core.audience import Audience, closes_loop, with_ancestors, with_subgroups

PARENTS = {"city": None, "welfare": "city", "children": "welfare", "fire": "city", "island": None}
LOOP = {"a": "b", "b": "c", "c": "a", "below": "a", "beside": None}


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        (["city"], {"city", "welfare", "children", "fire"}),
        (["welfare"], {"welfare", "children"}),
        (["children", "fire"], {"children", "fire"}),
        (["nowhere"], set()),
        ([], set()),
    ],
)
def test_a_group_stands_for_everything_below_it(groups: list[str], found: set[str]) -> None:
    assert with_subgroups(groups, PARENTS) == found


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        (["children"], {"children", "welfare", "city"}),
        (["fire", "island"], {"fire", "city", "island"}),
        (["city"], {"city"}),
        ([], set()),
    ],
)
def test_a_group_belongs_to_everything_above_it(groups: list[str], found: set[str]) -> None:
    assert with_ancestors(groups, PARENTS) == found


def test_a_loop_that_got_in_all_the_same_ends_by_itself() -> None:
    assert with_ancestors(["below"], LOOP) == {"below", "a", "b", "c"}
    assert with_subgroups(["b"], LOOP) == {"a", "b", "c", "below"}


@pytest.mark.parametrize(
    ("group", "parent", "closes"),
    [
        ("city", "children", True),
        ("city", "city", True),
        ("new", "new", True),
        ("welfare", "fire", False),
        ("new", "children", False),
        ("children", None, False),
    ],
)
def test_a_group_never_gets_below_itself(group: str, parent: str | None, closes: bool) -> None:
    assert closes_loop(group, parent, PARENTS) is closes


@pytest.mark.parametrize(
    "audience", [Audience(everyone=True), Audience(groups=("fire", "city")), Audience(people=("taro",)), Audience()]
)
def test_an_audience_is_the_same_after_it_was_kept(audience: Audience) -> None:
    assert Audience.from_json(audience.as_json()) == audience


@pytest.mark.parametrize("everyone", [1, "true", "false", None, [True]])
def test_only_true_means_everyone(everyone: object) -> None:
    assert not Audience.from_json({"everyone": everyone}).everyone
