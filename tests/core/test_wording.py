"""What is said of an observation: in a template's words when it can fill them, else in its own, and why."""

from datetime import timedelta, timezone
from typing import Any

import pytest

from alertd.core.alert import TITLE_MAX
from alertd.core.audience import Audience
from alertd.core.observation import Observation
from alertd.core.rules import Action, Decision, Reason, Rule
from alertd.core.standard_templates import STANDARD_TEMPLATES
from alertd.core.template import Template
from alertd.core.wording import FILLS, Words, calls, word, wording_faults
from tests.core.test_rules import EVERYONE, rule, seen, warning

JST = timezone(timedelta(hours=9))
GROUP = Audience(groups=("bousai",))


def template(title: str = "水位：{areas}", body: str = "", **changes: Any) -> Template:
    return Template("ja", "flood", title, body, **changes)


def said(observation: Observation, by: Rule, model: Template | None, *, by_template: bool = True) -> Words:
    return word(observation, by, model, JST, by_template=by_template)


def test_every_field_has_its_place() -> None:
    observation = warning(
        1,
        ("大洲市", 3),
        ("西予市", 4),
        ("宇和島市", 0),
        title="題",
        body="文",
        hazard="洪水",
        type="VXKO",
        author="国",
        url="https://river.example",
        fields={"水位": "5.2m"},
    )
    body = "\n".join(f"{{{name}}}" for name in (*FILLS, "fields.水位"))
    # The area's own words are empty here, so that they have to be said.
    words = said(observation, rule(template="t", fill={"words": "レベル{fields.水位}"}), template("{title}", body))
    assert words.lack == ""
    assert words.body.split("\n") == [
        *("題", "文", "西予市、大洲市", "レベル5.2m", "洪水", "VXKO", "国", "https://river.example", "12:00", "5.2m")
    ]


def test_many_areas_are_counted() -> None:
    many = [(f"町{number:02d}", 4) for number in range(25)]
    assert said(warning(1, *many), rule(template="t"), template()).title.endswith("、町19、ほか5")
    english = Template("en", "flood", "Water: {areas}", "")
    assert said(warning(1, *many), rule(template="t"), english).title.endswith(", 町19, 5 more")


@pytest.mark.parametrize(
    ("model", "fill", "open_fields"),
    [
        (template("{hazard}"), {}, "hazard"),
        (template("{title}", "{fields.水位}と{url}"), {}, "fields.水位, url"),
        (template("{場所}"), {"場所": "{areas}付近"}, "場所"),  # nothing around it makes up for what is missing
        (template("{title}", "{body}"), {}, "body"),
    ],
)
def test_what_would_leave_a_hole_says_so_and_keeps_its_own_words(
    model: Template, fill: dict[str, str], open_fields: str
) -> None:
    words = said(seen(title="題", body=" "), rule(template="t", fill=fill), model)
    assert words.lack == f"template: has nothing to put in place of {open_fields}"
    assert (words.title, words.body) == ("題", " ".strip())


def test_what_a_source_says_is_not_read_as_a_field() -> None:
    words = said(seen(title="{body}", body="{areas} {場所}"), rule(template="t"), template("{title}", "{body}"))
    assert (words.title, words.body, words.lack) == ("{body}", "{areas} {場所}", "")


def test_a_text_that_is_too_long_is_cut_and_shows_it() -> None:
    words = said(seen(title="あ" * (TITLE_MAX - 2)), rule(template="t"), template("水位が上がりました：{title}"))
    assert len(words.title) == TITLE_MAX
    assert words.title.endswith("…")


def test_the_rule_goes_before_the_template_and_that_before_the_source() -> None:
    model = template("{title}", severity="severe", audience=GROUP, plan="night", life_hours=3)
    observation = seen(severity="minor")
    of_template = said(observation, rule(template="t", audience=None), model)
    assert (of_template.severity, of_template.audience, of_template.plan) == ("severe", GROUP, "night")
    assert of_template.life_hours == 3
    own = rule(template="t", severity="extreme", audience=EVERYONE, plan="day")
    of_rule = said(observation, own, model)
    assert (of_rule.severity, of_rule.audience, of_rule.plan) == ("extreme", EVERYONE, "day")
    of_source = said(observation, rule(), None)
    assert (of_source.severity, of_source.plan, of_source.life_hours) == ("minor", "default", None)


def test_a_template_that_is_gone_or_names_nobody_waits() -> None:
    assert said(seen(), rule(template="t"), None).lack == "template: there is no template 't'"
    assert said(seen(), rule(template="t", audience=None), template("x")).lack.startswith("audience: ")


def test_what_got_better_is_said_in_the_sources_own_words() -> None:
    assert said(seen(title="解除"), rule(template="t"), template("逃げて"), by_template=False).title == "解除"
    called = [
        (action, reason)
        for action in Action
        for reason in (Reason.WORSE, Reason.NEW_AREA, Reason.BETTER, Reason.CHANGED)
        if calls(Decision(action, reason))
    ]
    assert {reason for action, reason in called if action is Action.UPDATE} == {Reason.WORSE, Reason.NEW_AREA}
    assert {action for action, _ in called} == {Action.ALERT, Action.DRAFT, Action.BOARD, Action.UPDATE}


@pytest.mark.parametrize(
    ("model", "fill", "fields"),
    [
        (template("{title} {areas} {fields.x}"), {}, []),
        (template("{場所}"), {}, ["template"]),
        (template("{fields.}"), {}, ["template"]),
        (template("{場所}"), {"場所": "{areas}"}, []),
        (template("{場所}"), {"場所": "西予市"}, []),
        (template("{場所}"), {"場所": " "}, ["fill.場所"]),
        (template("{場所}"), {"場所": "{時刻}"}, ["fill.場所"]),
        (template("{title}"), {"場所": "x"}, ["fill.場所"]),
    ],
)
def test_a_rule_fills_what_its_template_leaves_open(model: Template, fill: dict[str, str], fields: list[str]) -> None:
    assert [field for field, _ in wording_faults(rule(template="t", fill=fill), model)] == fields


@pytest.mark.parametrize("template_id", [template_id for template_id, _, _ in STANDARD_TEMPLATES])
def test_those_of_the_software_can_be_filled(template_id: str) -> None:
    (model,) = (each for name, _, each in STANDARD_TEMPLATES if name == template_id)
    fill = {name: "{areas} {time}" for name, _ in model.fields}
    assert list(wording_faults(rule(template=template_id, fill=fill), model)) == []
    assert said(warning(1, ("西予市", 4)), rule(template=template_id, fill=fill), model).lack == ""
