"""Templates: those that come with the software, those of the town, and what must not stand in one."""

from dataclasses import replace

import pytest

from alertd.core.alert import Ask, Choice
from alertd.core.audience import Audience
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.escalation import Plan, Step
from alertd.core.standard_templates import STANDARD_TEMPLATES
from alertd.core.template import Template
from alertd.service import planning, templates
from alertd.service.runtime import Runtime
from tests.installation import BOSS, group

FLOOD = Template(
    "ja", "flood", "{川}が氾濫", "{時刻}、{川}", (("川", "みなと川"),), ask=Ask("無事？", (Choice("a", "無事"),))
)


def titles(rt: Runtime) -> dict[str, str]:
    return {each["id"]: each["title"] for each in templates.list_templates(rt)}


def test_those_that_come_with_the_software_are_there_from_the_start(rt: Runtime) -> None:
    found = templates.list_templates(rt)
    assert {each["id"] for each in found} == {template_id for template_id, _, _ in STANDARD_TEMPLATES}
    assert all(each["built_in"] and not each["changed"] and not each["hidden"] for each in found)
    assert found[0]["hazard"] == "earthquake"


def test_what_was_put_is_what_is_read(rt: Runtime) -> None:
    group(rt, "fire")
    wanted = replace(FLOOD, audience=Audience(groups=("fire",)), severity="extreme", life_hours=7)
    kept, made = templates.put_template(rt, BOSS, "river", " 川 ", wanted)
    assert made
    assert kept == templates.get_template(rt, "river")
    assert Template.from_json(kept) == replace(wanted, examples=(("川", "みなと川"), ("時刻", "")))
    assert (kept["name"], kept["built_in"]) == ("川", False)
    assert not templates.put_template(rt, BOSS, "river", "川", FLOOD)[1]
    templates.delete_template(rt, BOSS, "river")
    assert "river" not in titles(rt)
    with pytest.raises(NotFound):
        templates.get_template(rt, "river")


def test_one_that_comes_with_the_software_is_changed_hidden_and_had_back(rt: Runtime) -> None:
    before = templates.get_template(rt, "quake-ja")
    kept, made = templates.put_template(rt, BOSS, "quake-ja", "地震", FLOOD, hidden=True)
    assert not made
    assert (kept["built_in"], kept["changed"], kept["hidden"]) == (True, True, True)
    assert titles(rt)["quake-ja"] == "{川}が氾濫"
    templates.delete_template(rt, BOSS, "quake-ja")
    assert templates.get_template(rt, "quake-ja") == before
    with pytest.raises(NotFound):
        templates.delete_template(rt, BOSS, "quake-ja")


def test_everything_that_is_wrong_is_told_at_once_and_nothing_is_kept(rt: Runtime) -> None:
    wrong = replace(
        FLOOD,
        title="",
        examples=(("山", ""),),
        ask=Ask("これは訓練ですか", ()),
        audience=Audience(groups=("nowhere",)),
        plan="nowhere",
        life_hours=0,
    )
    with pytest.raises(Invalid) as refused:
        templates.put_template(rt, BOSS, "river!", " ", wrong)
    assert {field for field, _ in refused.value.details} == {
        "name", "title", "life_hours", "fields.0.name", "ask.choices", "ask.question", "id", "plan", "audience.groups",
    }  # fmt: skip
    assert "river!" not in titles(rt)


@pytest.mark.parametrize("audience", [Audience(), Audience(people=("boss",)), Audience(True, ("fire",))])
def test_an_audience_is_everyone_or_groups(rt: Runtime, audience: Audience) -> None:
    group(rt, "fire")
    with pytest.raises(Invalid, match="must be everyone, or name at least one group"):
        templates.put_template(rt, BOSS, "river", "川", replace(FLOOD, audience=audience))


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "【訓練】{川}"},
        {"title": "{川}（本番）"},
        {"body": "これは訓練ではありません。{川}"},
        {"body": "This is a drill. {川}"},
        {"examples": (("川", "演習の川"),)},
        {"ask": Ask("？", (Choice("a", "訓練"),))},
    ],
    ids=str,
)
def test_a_template_does_not_say_whether_it_is_a_drill(rt: Runtime, changes: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="must not say whether it is a drill"):
        templates.put_template(rt, BOSS, "river", "川", replace(FLOOD, **changes))  # type: ignore[arg-type]


def test_a_plan_that_a_template_uses_stays(rt: Runtime) -> None:
    planning.put_plan(rt, BOSS, "night", "夜", Plan((Step(0, ("email",)),)))
    templates.put_template(rt, BOSS, "river", "川", replace(FLOOD, plan="night"))
    with pytest.raises(Conflict, match="'川'"):
        planning.delete_plan(rt, BOSS, "night")
    templates.delete_template(rt, BOSS, "river")
    planning.delete_plan(rt, BOSS, "night")
    assert [plan["id"] for plan in planning.list_plans(rt)] == ["default"]
    with pytest.raises(NotFound):
        planning.delete_plan(rt, BOSS, "night")


def test_a_standard_plan_that_was_changed_is_had_back(rt: Runtime) -> None:
    before = planning.list_plans(rt)
    planning.put_plan(rt, BOSS, "default", "標準", Plan((Step(0, ("email",)),)))
    planning.delete_plan(rt, BOSS, "default")
    assert planning.list_plans(rt) == before
