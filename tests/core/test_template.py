"""Templates: fields and their places, and that those of the software can be used as they are."""

import pytest

from alertd.core.standard_templates import STANDARD_TEMPLATES
from alertd.core.template import Template, fields_of, fill, says_drill, says_real, template_faults


@pytest.mark.parametrize("template_id", [template_id for template_id, _, _ in STANDARD_TEMPLATES])
def test_a_standard_template_is_right_and_whole(template_id: str) -> None:
    (template,) = (template for each, _, template in STANDARD_TEMPLATES if each == template_id)
    assert template_faults(template) == []
    assert all(example for _, example in template.fields)
    filled = fill(template.title, dict(template.examples)) + fill(template.body, dict(template.examples))
    assert fields_of(filled) == []
    assert Template.from_json(template.as_json()) == template


def test_there_are_as_many_in_each_language() -> None:
    languages = [template.language for _, _, template in STANDARD_TEMPLATES]
    assert languages.count("ja") == languages.count("en") > 6


def test_fields_come_once_in_their_order() -> None:
    assert fields_of("{b} {a}", "{a}{c}") == ["b", "a", "c"]
    assert fields_of("{", "{}", "{a\nb}", "{{a}}", "{" + "x" * 41 + "}") == ["a"]


def test_what_is_filled_in_is_not_read_as_a_field_again() -> None:
    assert fill("{a} {b} {c}", {"a": "{b}", "b": " x ", "c": "  "}) == "{b} x {c}"


def test_words_for_and_against_a_drill() -> None:
    texts = ("参集訓練", "訓練ではありません", "津波警報")
    assert [says_drill(text) for text in texts] == [True, False, False]
    assert [says_real(text) for text in texts] == [False, True, False]


def test_too_many_fields_are_too_many() -> None:
    assert ("fields", "must be at most 20 fields") in template_faults(
        Template("ja", "fire", "x", "".join(f"{{{number}}}" for number in range(21)))
    )
