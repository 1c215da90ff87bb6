"""Rules as people write them."""

import pytest

from alertd.core.audience import Audience
from alertd.core.errors import Invalid
from alertd.core.joining import Join
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
JOINED = """
[[join]]
name = "津波"
sources = ["jma", "board"]
words = ["津波"]
within_minutes = 30
leads = ["jma"]
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
    assert parse_book(JOINED).joins == (Join("津波", ("jma", "board"), ("津波",), 30, ("jma",)),)
    shortest = '[[join]]\nname = "a"\nsources = ["b", "c"]'
    assert parse_book(shortest).joins == (Join("a", ("b", "c"), (), 60, ()),)


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


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ('name = "津波"', 'name = " "', "join.0.name"),
        ('sources = ["jma", "board"]', 'sources = ["jma"]', "join.0.sources"),
        ('sources = ["jma", "board"]', 'sources = ["jma", "board", "jma"]', "join.0.sources"),
        ('words = ["津波"]', 'words = [" "]', "join.0.words"),
        ("within_minutes = 30", "within_minutes = 0", "join.0.within_minutes"),
        ("within_minutes = 30", "within_minutes = 1441", "join.0.within_minutes"),
        ("within_minutes = 30", "within_minutes = 1.5", "join.0.within_minutes"),
        ('leads = ["jma"]', 'leads = ["cap"]', "join.0.leads"),
        ("leads = ", "leeds = ", "join.0.leeds"),
    ],
)
def test_a_fault_of_a_join_is_named_by_its_place(before: str, after: str, field: str) -> None:
    assert before in JOINED
    with pytest.raises(Invalid) as caught:
        parse_book(TSUNAMI + JOINED.replace(before, after, 1))
    assert [name for name, _ in caught.value.details][:1] == [field]


def test_a_book_has_an_end() -> None:
    with pytest.raises(Invalid):
        parse_book("#" * 200_001)
    with pytest.raises(Invalid):
        parse_book("a = " + "[" * 100_000)
