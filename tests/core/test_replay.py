"""What a replay counts, and by which criteria an alert is one too many."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from alertd.core.audience import Audience
from alertd.core.observation import Observation
from alertd.core.replay import Needless, Replay, Tally, Twice, is_night
from alertd.core.rules import Action, Rule
from alertd.core.template import Template
from tests.core.test_rules import rule, seen, warning

AT = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)
JST = timezone(timedelta(hours=9))
TEMPLATES = {
    "water": Template("ja", "flood", "水位：{areas}", "{body}\n{time}", life_hours=48, audience=Audience(groups=("a",)))
}
PEOPLE = {"a": {"taro", "hana"}, "b": {"jiro"}, "nobody": set[str]()}


def reach(audience: Audience) -> frozenset[str]:
    groups = audience.groups or tuple(PEOPLE)
    return frozenset().union(*(PEOPLE[group] for group in groups))


def replayed(rules: list[Rule], *story: tuple[float, Observation], starts_at: datetime | None = None) -> Replay:
    """A story as minutes and what came then."""
    playing = Replay(rules, reach, JST, TEMPLATES, starts_at)
    for minutes, observation in story:
        playing.take("s", observation, AT + timedelta(minutes=minutes))
    return playing


def rain(incident: str, code: str, rank: int, **changes: Any) -> Observation:
    return warning(1, (code, rank), **{"incident": incident, "hazard": "大雨", **changes})


def judged(playing: Replay) -> list[tuple[Twice | None, list[Needless]]]:
    return [(event.twice, event.needless) for event in playing.events]


NO_WORSE = [Needless.NO_WORSE]


@pytest.mark.parametrize(
    ("second", "minutes", "verdict"),
    [
        (rain("f", "38214", 4), 30, (Twice.HAZARD, NO_WORSE)),
        (rain("f", "3821400", 3), 30, (Twice.HAZARD, NO_WORSE)),  # it lies in that
        (rain("f", "38", 4), 30, (Twice.HAZARD, [])),  # more than that
        (rain("f", "38214", 5), 30, (Twice.HAZARD, [])),
        (rain("f", "38215", 4), 30, (None, [])),
        (rain("f", "38214", 4, hazard="洪水"), 30, (None, [])),
        (rain("f", "38214", 4, hazard=""), 30, (None, [])),
        (rain("f", "38214", 4, standing="drill"), 30, (None, [])),
        (rain("f", "38214", 4), 6 * 60, (Twice.HAZARD, NO_WORSE)),
        (rain("f", "38214", 4), 6 * 60 + 1, (None, [])),
    ],
)
def test_the_same_hazard_in_the_same_area_is_twice(
    second: Observation, minutes: float, verdict: tuple[Twice | None, list[Needless]]
) -> None:
    found = judged(replayed([rule(drills="drill")], (0, rain("e", "38214", 4)), (minutes, second)))
    assert found == [(None, []), verdict]


def test_an_incident_that_begins_again_within_hours_is_twice() -> None:
    story = [
        (0, seen()),
        (30, seen(id="2", version=2, kind="withdrawn")),
        (60, seen(id="3", version=3)),
        (600, seen(id="4", version=4, kind="withdrawn")),
        (900, seen(id="5", version=5)),
    ]
    playing = replayed([rule()], *story)
    assert judged(playing) == [(None, []), (Twice.INCIDENT, NO_WORSE), (None, [])]
    assert playing.events[1].twice_with is playing.events[0]


def test_who_shares_nobody_is_told_nothing_twice() -> None:
    first = rule(name="a", audience=Audience(groups=("a",)), when=rule().when)
    by_group = [
        rule(name=group, audience=Audience(groups=(group,)), when=type(first.when)(types=(group,))) for group in "ab"
    ]
    story = [(0, rain("e", "38214", 4, type="a")), (5, rain("f", "38214", 4, type="b"))]
    assert judged(replayed(by_group, *story)) == [(None, []), (None, [])]
    # Some of its people were told, others were not: twice, and yet needed.
    wider = [by_group[0], rule(name="all", when=type(first.when)(types=("b",)))]
    assert judged(replayed(wider, *story)) == [(None, []), (Twice.HAZARD, [])]


@pytest.mark.parametrize(("minutes", "needless"), [(10, [Needless.SHORT_LIVED]), (11, [])])
def test_what_is_over_within_minutes_was_needless(minutes: int, needless: list[Needless]) -> None:
    playing = replayed([rule()], (0, seen()), (minutes, seen(id="2", version=2, kind="withdrawn")))
    assert judged(playing) == [(None, needless)]
    assert playing.tally == {Action.STAND_DOWN: 1}


def test_what_is_over_before_it_goes_out_is_no_alert() -> None:
    rules = [rule(stop_seconds=600)]
    playing = replayed(rules, (0, seen()), (9, seen(id="2", version=2, kind="withdrawn")))
    assert [(event.is_sent, event.at - event.received_at) for event in playing.events] == [
        (False, timedelta(minutes=10))
    ]
    assert not playing.tally
    # What takes the place of an alert that waits is no update of anything.
    waiting = replayed(rules, (0, seen()), (9, seen(id="2", version=2, title="x")))
    told = replayed(rules, (0, seen()), (10, seen(id="2", version=2, title="x")))
    assert (waiting.tally, told.tally) == ({"changed-draft": 1}, {Action.UPDATE: 1})


def test_the_cap_counts_by_when_things_came() -> None:
    """Observed within a minute, and come half an hour apart: no hour had more than two."""
    story = [(minutes, seen(incident=f"i{minutes}", id=f"{minutes}")) for minutes in (0, 10, 20, 60, 70)]
    playing = replayed([rule(most_per_hour=2)], *story)
    assert [event.action for event in playing.events] == ["alert", "alert", "draft", "alert", "alert"]
    assert playing.events[2].reason == "too-many"


def test_what_had_begun_before_is_known_and_not_counted() -> None:
    starts_at = AT + timedelta(hours=1)
    playing = replayed(
        [rule()],
        (0, seen()),
        (70, seen(id="2", version=2)),
        (80, seen(id="3", version=3, title="x")),
        starts_at=starts_at,
    )
    assert (playing.observations, playing.events) == (2, [])
    assert (playing.ignored, playing.tally) == ({"unchanged": 1}, {"update": 1})


def test_an_alert_that_nobody_ended_ends_by_itself() -> None:
    """As the store has it: a day later there is nothing to update, and what gets worse begins anew."""
    playing = replayed(
        [rule()], (0, warning(1, ("1", 4))), (60 * 24, warning(2, ("1", 5))), (60 * 24 + 5, warning(3, ("1", 4)))
    )
    assert [event.reason for event in playing.events] == ["rule", "worse"]


def test_drafts_and_the_board_alert_nobody() -> None:
    for do, tally in (("draft", {"changed-draft": 2}), ("board", {"board": 3})):
        story = [(0, seen()), (1, seen(id="2", version=2, title="x")), (2, seen(id="3", version=3, kind="withdrawn"))]
        playing = replayed([rule(do=do)], *story)
        assert playing.tally == tally
        assert [event.action for event in playing.events] == ([Action.DRAFT] if do == "draft" else [])


def test_memory_grows_with_what_is_not_over() -> None:
    playing = Replay([rule(name="all", do="ignore")], reach, JST, TEMPLATES)
    for day in range(400):
        playing.take("s", seen(incident=f"i{day}", id=f"{day}"), AT + timedelta(days=day))
    assert len(playing._rehearsal._cases) < 20
    assert playing.ignored == {"rule": 400}


def test_a_tally_tells_drills_nights_and_people_apart() -> None:
    rules = [rule(audience=Audience(groups=("a",)), drills="drill", most_per_hour=3)]
    story = [
        (0, seen()),  # 9:00 here
        (13 * 60, seen(incident="f", standing="drill")),  # 22:00
        (21 * 60 - 1, seen(incident="g")),  # 5:59
        (21 * 60, seen(incident="h", id="h")),
    ]
    tally = Tally()
    for event in replayed(rules, *story).events:
        tally.add(event, JST)
    assert (tally.alerts, tally.drills, tally.nights, tally.messages, tally.unreached) == (4, 1, 2, 8, 0)
    nobody = replayed([rule(audience=Audience(groups=("nobody",)))], (0, seen())).events[0]
    tally.add(nobody, JST)
    assert (tally.alerts, tally.unreached, tally.messages) == (5, 1, 8)
    assert [is_night(AT + timedelta(hours=hour), JST) for hour in (12, 13, 20, 21)] == [False, True, True, False]


def test_a_template_words_it_for_its_own_people_and_time() -> None:
    rules = [rule(template="water", audience=None)]
    story = [(0, warning(1, ("西予市", 4), body="高台へ")), (47 * 60, warning(2, ("西予市", 5), body="高台へ"))]
    playing = replayed(rules, *story)
    [event] = playing.events
    assert event.words is not None
    assert (event.title, event.words.body, event.people) == ("水位：西予市", "高台へ\n12:00", 2)
    assert playing.tally == {Action.UPDATE: 1}  # two days long, as the template says


def test_what_leaves_a_template_open_waits() -> None:
    story = [(0, warning(1, ("西予市", 4))), (5, warning(2, ("西予市", 5))), (9, seen(version=3, kind="withdrawn"))]
    playing = replayed([rule(template="water")], *story)
    assert [(event.action, event.lack) for event in playing.events] == [
        (Action.DRAFT, "template: has nothing to put in place of body")
    ]
    assert playing.tally == {"changed-draft": 2}
