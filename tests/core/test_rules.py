"""What becomes of an observation, as tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alertd.core.audience import Audience
from alertd.core.observation import Area, Observation
from alertd.core.rehearsal import Rehearsal
from alertd.core.rules import (
    REASON_WORDS,
    Action,
    Reason,
    Rule,
    Thread,
    When,
    decide,
    followed,
    lies_in,
    rule_faults,
    rules_faults,
)

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
EVERYONE = Audience(everyone=True)


def seen(**changes: Any) -> Observation:
    values: dict[str, Any] = {
        "id": "1",
        "incident": "e",
        "version": 1,
        "kind": "new",
        "standing": "actual",
        "title": "【緊急】避難指示",
        "body": "",
        "observed_at": NOW,
    }
    return Observation(**{**values, **changes})


def warning(version: int, *areas: tuple[str, int], **changes: Any) -> Observation:
    named = tuple(Area(code, code, rank) for code, rank in areas)
    return seen(id=f"w{version}", version=version, kind="changed", scale="level", areas=named, **changes)


def rule(**changes: Any) -> Rule:
    return Rule(**{"name": "r", "source": "s", "do": "alert", "audience": EVERYONE, **changes})


@pytest.mark.parametrize(
    ("when", "observation", "is_for"),
    [
        (When(), seen(), True),
        (When(prefixes=("【緊急】",)), seen(), True),
        (When(prefixes=("【緊急】",)), seen(title="お知らせ【緊急】"), False),
        (When(authors=("a",)), seen(author="a"), True),
        (When(authors=("a",)), seen(author="b"), False),
        (When(types=("VTSE41",)), seen(type="VTSE51"), False),
        (When(hazards=("flood",)), seen(hazard="flood"), True),
        (When(severity_at_least="severe"), seen(severity="extreme"), True),
        (When(severity_at_least="severe"), seen(severity="moderate"), False),
        (When(severity_at_least="minor"), seen(severity="unknown"), False),
        (When(areas=("38214",)), seen(areas=(Area("3821400", ""),)), True),
        (When(areas=("38214",)), seen(areas=(Area("3820100", ""),)), False),
        (When(areas=("38214",)), seen(), False),
        (When(at_least={"level": "4"}), warning(1, ("3821400", 4)), True),
        (When(at_least={"level": "4"}), warning(1, ("3821400", 3)), False),
        # What is bad elsewhere is not bad here.
        (When(areas=("38214",), at_least={"level": "4"}), warning(1, ("3821400", 3), ("3820100", 5)), False),
        (When(areas=("38214",), at_least={"level": "4"}), warning(1, ("3821400", 3), level=5), False),
        # Of what names no area only the words say how bad it is.
        (When(at_least={"level": "5"}), seen(level=5), True),
        (When(at_least={"level": "5"}), seen(level=4), False),
        (When(areas=("38214",), at_least={"level": "5"}), seen(level=5), False),
        # A degree of another scale says nothing.
        (When(at_least={"tsunami": "warning"}), warning(1, ("3821400", 5)), False),
        (When(at_least={"tsunami": "warning", "level": "5"}), warning(1, ("3821400", 5)), True),
    ],
)
def test_which_observations_a_rule_is_for(when: When, observation: Observation, is_for: bool) -> None:
    decision = decide(observation, "s", [rule(when=when)], Thread())
    assert decision.reason is (Reason.RULE if is_for else Reason.NO_RULE)
    assert decision.action is (Action.ALERT if is_for else Action.IGNORE)


@pytest.mark.parametrize(
    ("code", "wanted", "lies"),
    [
        ("3821400", "3821400", True),
        ("3821400", "38214", True),
        ("38214", "38", True),
        ("3821400", "38", True),
        ("3821400", "3821", False),
        ("3820100", "38214", False),
        ("440", "44", False),
        ("440", "440", True),
        ("440", "4", False),
        ("ab38214", "ab", False),
        ("西予市", "西予市", True),
        ("西予市野村町", "西予", False),
    ],
)
def test_where_an_area_lies(code: str, wanted: str, lies: bool) -> None:
    assert lies_in(code, wanted) is lies


def test_the_first_rule_decides_and_only_of_its_own_source() -> None:
    rules = [rule(source="other"), rule(name="board", do="board"), rule()]
    decision = decide(seen(), "s", rules, Thread())
    assert (decision.action, decision.rule) == (Action.BOARD, rules[1])


@pytest.mark.parametrize(
    ("standing", "drills", "action", "reason"),
    [
        ("test", "ignore", Action.IGNORE, Reason.TEST),
        ("test", "drill", Action.IGNORE, Reason.TEST),
        ("drill", "ignore", Action.IGNORE, Reason.DRILL_IGNORED),
        ("drill", "drill", Action.ALERT, Reason.RULE),
    ],
)
def test_what_is_not_meant_alerts_nobody(standing: Any, drills: Any, action: Action, reason: Reason) -> None:
    decision = decide(seen(standing=standing), "s", [rule(drills=drills)], Thread())
    assert (decision.action, decision.reason) == (action, reason)


SIGNED = rule(name="signed", when=When(signed=True))


def test_a_rule_that_asks_for_a_signature_is_for_nothing_else() -> None:
    signed = decide(seen(signed_by="CN=x"), "s", [SIGNED], Thread())
    assert (signed.action, signed.reason, signed.rule) == (Action.ALERT, Reason.SIGNED, SIGNED)
    unsigned = decide(seen(), "s", [SIGNED], Thread())
    assert (unsigned.action, unsigned.reason) == (Action.IGNORE, Reason.UNSIGNED)
    end = decide(seen(kind="withdrawn"), "s", [SIGNED], Thread())
    assert (end.action, end.reason) == (Action.IGNORE, Reason.UNSIGNED)
    # What asks for none goes by the next rule, and what no rule would be for has no rule.
    assert decide(seen(), "s", [SIGNED, rule(name="rest", do="board")], Thread()).reason is Reason.RULE
    assert decide(seen(), "other", [SIGNED], Thread()).reason is Reason.NO_RULE
    assert decide(seen(kind="withdrawn", signed_by="CN=x"), "s", [SIGNED], Thread()).reason is Reason.NEVER_TOLD


def test_what_is_signed_and_what_is_not_never_meet() -> None:
    rehearsal = Rehearsal([SIGNED, rule(name="rest", do="ignore")])
    # A copy without its signature, of a later version at that, shadows nothing of what is proved.
    assert rehearsal.take("s", seen(version=9)).action is Action.IGNORE
    assert rehearsal.take("s", seen(signed_by="CN=x")).action is Action.ALERT
    end = {"id": "2", "version": 10, "kind": "withdrawn", "references": ("1",)}
    assert rehearsal.take("s", seen(**end)).action is Action.IGNORE
    assert rehearsal.take("s", seen(**end, signed_by="CN=x")).action is Action.STAND_DOWN


TOWN = When(areas=("38214",), at_least={"level": "4"})
OURS, OTHERS = "3821400", "3820100"


@pytest.mark.parametrize(
    ("story", "course"),
    [
        ([warning(1, (OURS, 4)), warning(2, (OURS, 4))], ["alert rule", "ignore unchanged"]),
        ([warning(1, (OURS, 4)), warning(2, (OURS, 4), (OTHERS, 5))], ["alert rule", "ignore unchanged"]),
        ([warning(1, (OURS, 4)), warning(2, (OURS, 5))], ["alert rule", "update worse"]),
        ([warning(1, (OURS, 4)), warning(2, (OURS, 3))], ["alert rule", "update better"]),
        ([warning(1, (OURS, 4)), warning(2, (OURS, 0))], ["alert rule", "stand-down areas-over"]),
        ([warning(1, (OURS, 4)), warning(2, (OTHERS, 4))], ["alert rule", "stand-down areas-over"]),
        (
            [warning(1, (OURS, 4)), warning(2, (OURS, 0)), warning(3, (OURS, 4))],
            ["alert rule", "stand-down areas-over", "alert rule"],
        ),
        ([warning(1, (OURS, 4)), replace(warning(2), kind="withdrawn")], ["alert rule", "stand-down withdrawn"]),
        ([warning(2, (OURS, 4)), warning(1, (OURS, 5))], ["alert rule", "ignore older"]),
        ([warning(1, (OURS, 4)), warning(1, (OURS, 4))], ["alert rule", "ignore repeated"]),
        ([warning(1, (OURS, 3)), warning(2, (OURS, 4))], ["ignore no-rule", "alert rule"]),
        ([replace(warning(1), kind="withdrawn")], ["ignore never-told"]),
        (
            [warning(1, (OURS, 4), ("3821401", 0)), warning(2, (OURS, 4), ("3821401", 3))],
            ["alert rule", "update new-area"],
        ),
        # A drill that comes between is a thread of its own: it neither changes nor ends what is real.
        (
            [warning(1, (OURS, 4)), replace(warning(2), kind="withdrawn", standing="drill"), warning(3, (OURS, 5))],
            ["alert rule", "ignore never-told", "update worse"],
        ),
        ([seen(), seen(id="2", version=2, body="詳しく", kind="changed")], ["alert rule", "update changed"]),
        (
            [seen(severity="severe"), seen(id="2", version=2, severity="extreme", kind="changed")],
            ["alert rule", "update worse"],
        ),
        # One message about another one is about the same thing, whatever it calls it.
        (
            [seen(id="a", incident="a"), seen(id="b", incident="b", references=("a",), version=2, kind="withdrawn")],
            ["alert rule", "stand-down withdrawn"],
        ),
    ],
)
def test_versions_become_one_thread(story: list[Observation], course: list[str]) -> None:
    rules = [rule(when=TOWN), rule(name="posts", when=When(prefixes=("【緊急】",), areas=()))]
    if story[0].scale is not None:
        rules.pop()
    rehearsal = Rehearsal(rules)
    decided = [rehearsal.take("s", each) for each in story]
    assert [f"{each.action} {each.reason}" for each in decided] == course


def test_what_was_only_on_the_board_is_alerted_when_it_gets_worse() -> None:
    rules = [rule(when=TOWN), rule(name="board", do="board", when=When(areas=("38214",)))]
    rehearsal = Rehearsal(rules)
    story = [warning(1, (OURS, 2)), warning(2, (OURS, 3)), warning(3, (OURS, 4)), warning(4, (OURS, 3))]
    decided = [rehearsal.take("s", each) for each in story]
    assert [each.action for each in decided] == [Action.BOARD, Action.UPDATE, Action.ALERT, Action.UPDATE]


def test_more_than_a_rule_may_send_waits_for_a_person() -> None:
    rehearsal = Rehearsal([rule(most_per_hour=2)])
    at = [timedelta(0), timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=61)]
    story = [seen(id=str(n), incident=str(n), observed_at=NOW + after) for n, after in enumerate(at)]
    decided = [rehearsal.take("s", each) for each in story]
    assert [each.action for each in decided] == [Action.ALERT, Action.ALERT, Action.DRAFT, Action.ALERT]
    assert decided[2].reason is Reason.TOO_MANY


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"source": ""}, "source"),
        ({"audience": None}, "audience"),
        ({"audience": Audience()}, "audience"),
        ({"severity": "bad"}, "severity"),
        ({"stop_seconds": -1}, "stop_seconds"),
        ({"most_per_hour": 0}, "most_per_hour"),
        ({"when": When(at_least={"level": "6"})}, "when.at_least.level"),
        ({"when": When(at_least={"heat": "1"})}, "when.at_least.heat"),  # type: ignore[dict-item]
        ({"when": When(prefixes=("",))}, "when.prefixes"),
        ({"when": When(areas=(" ",))}, "when.areas"),
    ],
)
def test_a_rule_that_cannot_decide_is_refused(changes: dict[str, Any], field: str) -> None:
    assert [name for name, _ in rule_faults(rule(**changes))] == [field]
    assert [name for name, _ in rules_faults([rule(name="other"), rule(**changes)])] == [f"rule.1.{field}"]


def test_a_rule_that_stands_twice_is_refused() -> None:
    assert rules_faults([rule(), rule(source="t")]) == []
    assert [name for name, _ in rules_faults([rule(), rule()])] == ["rule.1.name"]


def test_every_reason_has_its_words() -> None:
    assert set(REASON_WORDS) == set(Reason)


@pytest.mark.parametrize(
    ("do", "later", "told"),
    [
        # The source ended it after its alert had: the next time is a new one, however alike.
        ("alert", [("withdrawn", 0), ("changed", 4)], ["ignore closed", "alert rule"]),
        ("alert", [("changed", 0), ("changed", 4)], ["ignore closed", "alert new-area"]),
        # It came down, unheard, and rose again to what it was.
        ("alert", [("changed", 2), ("changed", 4)], ["ignore closed", "alert worse"]),
        ("alert", [("changed", 4), ("changed", 3)], ["ignore unchanged", "ignore closed"]),
        ("draft", [("changed", 5)], ["draft worse"]),
        ("draft", [("withdrawn", 0), ("changed", 4)], ["ignore closed", "draft rule"]),
    ],
)
def test_what_ended_before_its_source_said_so_begins_again(
    do: Any, later: list[tuple[Any, int]], told: list[str]
) -> None:
    for_level = rule(do=do, when=When(areas=("38214",), at_least={"level": "3"}))
    first = warning(1, ("3821400", 4))
    thread = followed(Thread(), first, decide(first, "s", [for_level], Thread()), NOW)
    thread = replace(thread, told=None)  # it ran out, or somebody ended it
    found = []
    for version, (kind, rank) in enumerate(later, 2):
        observation = replace(warning(version, ("3821400", rank)), kind=kind)
        decision = decide(observation, "s", [for_level], thread)
        thread = followed(thread, observation, decision, NOW)
        found.append(f"{decision.action} {decision.reason}")
    assert found == told


@pytest.mark.parametrize(
    ("title", "action"),
    [
        ("避難訓練のお知らせ", Action.DRAFT),
        ("職業訓練校で火災", Action.DRAFT),
        ("Drill rig on fire", Action.DRAFT),
        ("訓練ではありません：避難指示", Action.ALERT),
        ("This is not a drill", Action.ALERT),
        ("Drilling has begun", Action.ALERT),
        ("避難指示", Action.ALERT),
    ],
)
def test_what_may_be_a_drill_asks_a_person(title: str, action: Action) -> None:
    decision = decide(seen(title=title), "s", [rule()], Thread())
    assert decision.action is action
    assert (decision.reason is Reason.MAY_BE_DRILL) is (action is Action.DRAFT)
