"""A rehearsal keeps apart what different sources say."""

from alertd.core.rehearsal import Rehearsal
from alertd.core.rules import Action
from tests.core.test_rules import rule, seen


def test_sources_that_use_the_same_names_are_kept_apart() -> None:
    rehearsal = Rehearsal([rule(), rule(source="t")])
    assert [rehearsal.take(source, seen()).action for source in ("s", "t", "s")] == [
        Action.ALERT,
        Action.ALERT,
        Action.IGNORE,
    ]
