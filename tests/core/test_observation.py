"""What an observation must be, and how somebody else's text is made fit to be told."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from alertd.core.alert import TITLE_MAX
from alertd.core.observation import (
    SCALES,
    Area,
    Observation,
    clean_body,
    clean_title,
    observation_faults,
    rank_of,
    worst,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def seen(**changes: Any) -> Observation:
    values: dict[str, Any] = {
        "id": "1",
        "incident": "e",
        "version": 1,
        "kind": "new",
        "standing": "actual",
        "title": "t",
        "body": "",
        "observed_at": NOW,
    }
    return Observation(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"scale": "level", "areas": (Area("1", "a", 5), Area("2", "b", 0))}, []),
        ({"id": ""}, ["id"]),
        ({"incident": "x" * 501}, ["incident"]),
        ({"kind": "old"}, ["kind"]),
        ({"standing": "real"}, ["standing"]),
        ({"severity": "bad"}, ["severity"]),
        ({"scale": "heat"}, ["scale"]),
        ({"observed_at": datetime(2026, 1, 1)}, ["observed_at"]),  # noqa: DTZ001
        ({"level": 6}, ["level"]),
        ({"version": 2**62 + 1}, ["version"]),
        ({"scale": "level", "areas": (Area("1", "a", 6),)}, ["areas.0.rank"]),
        ({"areas": (Area("1", "a", 1),)}, ["areas.0.rank"]),
        ({"areas": (Area("1", "a"), Area("1", "b"))}, ["areas"]),
        ({"areas": (Area("", "a"),)}, ["areas.0.code"]),
    ],
)
def test_what_cannot_be_decided_on_is_named(changes: dict[str, Any], fields: list[str]) -> None:
    assert [field for field, _ in observation_faults(seen(**changes))] == fields


def test_what_was_written_down_reads_back() -> None:
    everything = seen(areas=(Area("1", "a", 0, "w"),), expires_at=NOW, references=("r",), fields={"f": "v"}, level=3)
    for each in (seen(), everything):
        assert Observation.from_json(json.loads(json.dumps(each.as_json()))) == each


def test_a_degree_has_its_place() -> None:
    assert [rank_of("intensity", degree) for degree in ("1", "5-", "5+", "7")] == [1, 5, 6, 9]
    assert {scale: len(degrees) for scale, degrees in SCALES.items()} == {
        "level": 5,
        "intensity": 9,
        "tsunami": 4,
        "volcano": 5,
    }
    with pytest.raises(ValueError, match="no degree of intensity"):
        rank_of("intensity", "8")


def test_on_a_scale_the_words_are_not_the_substance() -> None:
    first = seen(scale="level", areas=(Area("1", "a", 4, "発表"), Area("2", "b", 0)))
    again = seen(title="u", scale="level", areas=(Area("1", "a", 4, "継続"),))
    worse = seen(scale="level", areas=(Area("1", "a", 5),))
    assert first.substance == again.substance != worse.substance


def test_without_a_scale_the_words_are_the_substance() -> None:
    first = seen(areas=(Area("1", "a"), Area("2", "b")))
    assert first.substance == seen(areas=(Area("2", "b"), Area("1", "a"))).substance
    for change in ({"title": "u"}, {"body": "b"}, {"severity": "minor"}, {"areas": (Area("1", "a"),)}):
        assert first.substance != seen(**{"areas": first.areas, **change}).substance


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("  津波\n警報　発表 ", "津波 警報 発表"),
        ("a\x00\u202eb\x07", "ab"),
        ("か\u3099", "が"),
        ("x" * 300, "x" * (TITLE_MAX - 1) + "…"),
        ("", ""),
    ],
)
def test_somebody_elses_title_is_made_fit(text: str, title: str) -> None:
    assert clean_title(text) == title


def test_a_text_keeps_its_lines() -> None:
    assert clean_body(" a\r\nb\n\tc\x1b ") == "a\nb\n\tc"


def test_the_worst_of_several_severities() -> None:
    assert worst(["minor", "extreme", "unknown"]) == "extreme"
    assert worst(["unknown", "minor"]) == "minor"
    assert worst([]) == "unknown"
