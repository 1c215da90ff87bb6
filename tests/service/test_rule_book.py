"""Rules as people write them."""

import pytest

from alertd.core.audience import Audience
from alertd.core.errors import Invalid
from alertd.core.rules import Rule, When
from alertd.service.rule_book import RuleBook, parse_book

TSUNAMI = """
[[rule]]
name = "津波"
source = "jma"
do = "alert"
severity = "extreme"
audience = { everyone = true }
stop_seconds = 30
drills = "drill"
[rule.when]
types = ["VTSE41"]
areas = ["601"]
at_least = { tsunami = "warning" }
signed = true

[[rule]]
name = "rest"
source = "jma"
do = "board"
"""


def test_a_book_is_read_in_its_order() -> None:
    assert parse_book(TSUNAMI).rules == (
        Rule(
            name="津波",
            source="jma",
            do="alert",
            severity="extreme",
            audience=Audience(everyone=True),
            stop_seconds=30,
            drills="drill",
            when=When(types=("VTSE41",), areas=("601",), at_least={"tsunami": "warning"}, signed=True),
        ),
        Rule(name="rest", source="jma", do="board"),
    )
    assert parse_book("") == RuleBook()


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ('do = "board"', 'do = "shout"', "rule.1.do"),
        ('do = "board"', 'do = "board"\nsende = 1', "rule.1.sende"),
        ('name = "rest"', "", "rule.1.name"),
        ("stop_seconds = 30", 'stop_seconds = "30"', "rule.0.stop_seconds"),
        ("stop_seconds = 30", "stop_seconds = 4000", "rule.0.stop_seconds"),
        ("audience = { everyone = true }", "", "rule.0.audience"),
        ("everyone = true", "everyone = false", "rule.0.audience.everyone"),
        ("everyone = true", "groups = []", "rule.0.audience"),
        ('tsunami = "warning"', 'tsunami = "huge"', "rule.0.when.at_least.tsunami"),
        ('drills = "drill"', 'drills = "real"', "rule.0.drills"),
        ("signed = true", "signed = 1", "rule.0.when.signed"),
        ('do = "board"', 'do = "board"\nfill = { a = "b" }', "rule.1.fill"),
        ('do = "board"', 'do = "board"\ntemplate = 1', "rule.1.template"),
        ("[[rule]]", "[[rule]", "rules"),
        ('name = "rest"', 'name = "津波"', "rule.1.name"),
    ],
)
def test_a_fault_is_named_by_its_place(before: str, after: str, field: str) -> None:
    assert before in TSUNAMI
    with pytest.raises(Invalid) as caught:
        parse_book(TSUNAMI.replace(before, after, 1))
    assert [name for name, _ in caught.value.details] == [field]


def test_a_book_has_an_end() -> None:
    with pytest.raises(Invalid):
        parse_book("#" * 200_001)
    with pytest.raises(Invalid):
        parse_book("a = " + "[" * 100_000)
