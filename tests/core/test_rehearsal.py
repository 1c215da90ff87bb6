"""A rehearsal keeps apart what different sources say."""

from alertd.core.audience import Audience
from alertd.core.rehearsal import Rehearsal
from alertd.core.rules import Action, When
from tests.core.test_rules import rule, seen, warning


def test_sources_that_use_the_same_names_are_kept_apart() -> None:
    rehearsal = Rehearsal([rule(), rule(source="t")])
    assert [rehearsal.take(source, seen()).action for source in ("s", "t", "s")] == [
        Action.ALERT,
        Action.ALERT,
        Action.IGNORE,
    ]


def test_what_another_rule_alerts_is_told_beside_it() -> None:
    wide = rule(name="wide", when=When(at_least={"level": "5"}))
    rehearsal = Rehearsal([wide, rule(name="few", audience=Audience(people=("a",)))])
    assert [each.rule and each.rule.name for each in rehearsal.take_each("s", warning(1, ("38214", 3)))] == ["few"]
    both = rehearsal.take_each("s", warning(2, ("38214", 5)))
    assert [(each.action, each.rule and each.rule.name) for each in both] == [("update", "few"), ("alert", "wide")]
