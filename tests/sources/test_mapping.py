"""Any program's messages by a table: what stands where, and how what is wrong with either is told."""

import json
import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.errors import Invalid
from alertd.core.observation import Area, observation_faults
from alertd.service.rule_book import parse_book
from alertd.sources.base import Unreadable
from alertd.sources.mapping import MappingFaults, SourceMapping, read_mapping

BOOK = """
items = "data.readings"
id = "{station.id}/{seq}"
incident = "{station.id}"
version = "{seq}"
title = "{station.name}の水位 {level}m"
body = "{notes?}"
observed_at = "{at}"
hazard = "洪水"
author = '{"measured.by".code?}'
url = "{link?}"
standing = { of = "{mode}", actual = ["live"], drill = ["training"], otherwise = "test" }
kind = { of = "{status?}", changed = ["higher"], withdrawn = ["cleared"], otherwise = "new" }
severity = { of = "{sev?}", extreme = ["4", "5"], severe = ["3"], otherwise = "unknown" }
scale = "level"
areas = { items = "places", code = "{code}", name = "{name}", rank = "{rank}" }
fields = { gauge = "{station.id}" }
"""
READING: dict[str, Any] = {
    "station": {"id": "hijikawa-3", "name": "肱川"},
    "seq": 41,
    "level": 7.5,
    "notes": ["一", "二"],
    "at": "2026-11-22T18:00:00+09:00",
    "mode": "live",
    "status": "higher",
    "sev": 4,
    "measured.by": {"code": "sato"},
    "link": "javascript:alert(1)",
    "places": [{"code": "3821400", "name": "西予市", "rank": 4}, {"code": "3820100", "name": "松山市", "rank": "2"}],
}


def mapping(text: str = BOOK, **changes: Any) -> SourceMapping:
    return read_mapping({**tomllib.loads(text), **changes})


def message(**changes: Any) -> bytes:
    return json.dumps({"data": {"readings": [{**READING, **changes}]}}).encode()


def test_a_message_is_read_as_the_table_says() -> None:
    [seen] = mapping().read(message())
    assert (seen.id, seen.incident, seen.version, seen.kind) == ("hijikawa-3/41", "hijikawa-3", 41, "changed")
    assert (seen.title, seen.body, seen.author) == ("肱川の水位 7.5m", "一、二", "sato")
    assert (seen.standing, seen.severity, seen.scale, seen.hazard) == ("actual", "extreme", "level", "洪水")
    assert seen.observed_at == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert seen.areas == (Area("3821400", "西予市", 4), Area("3820100", "松山市", 2))
    assert seen.url == ""
    assert seen.fields == {"gauge": "hijikawa-3"}


@pytest.mark.parametrize(
    ("said", "standing"), [("live", "actual"), ("training", "drill"), ("LIVE", "test"), ("", "test"), (True, "test")]
)
def test_only_what_the_table_names_is_real(said: Any, standing: str) -> None:
    [seen] = mapping().read(message(mode=said))
    assert seen.standing == standing


def test_a_time_may_be_a_number_and_stand_for_the_version() -> None:
    for at in (1_795_000_000, "1795000000000"):
        [seen] = mapping(version="{at}").read(message(at=at))
        assert seen.observed_at == datetime.fromtimestamp(1_795_000_000, UTC)
    [seen] = mapping(version="2026-11-22T00:00:00Z").read(message())
    assert seen.version == 1_795_305_600_000


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"station": {"name": "x"}}, "there is no station.id in the message"),
        ({"at": "yesterday"}, "observed_at must be a time with its offset"),
        ({"at": "2026-11-22T18:00:00"}, "observed_at must be a time with its offset"),
        ({"station": {"id": {"deep": 1}, "name": "x"}}, "station.id is no text"),
        ({"places": {}}, "must be a list"),
        ({"places": [{"code": "1", "name": "x", "rank": "hoch"}]}, "'hoch' is no degree of level"),
        ({"places": [{"code": "1", "name": "x", "rank": 9}]}, "must be 0 to 5"),
    ],
)
def test_a_message_that_is_not_as_the_table_says_is_refused_whole(changes: dict[str, Any], words: str) -> None:
    raw = json.dumps({"data": {"readings": [READING, {**READING, **changes}]}}).encode()
    with pytest.raises(Unreadable) as caught:
        mapping().read(raw)
    assert words in str(caught.value)


def test_a_choice_without_otherwise_takes_nothing_else() -> None:
    strict = mapping(standing={"of": "{mode}", "actual": ["live"]})
    with pytest.raises(Unreadable, match="says nothing of 'training'"):
        strict.read(message(mode="training"))


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"titel": "x"}, "titel", "is not known"),
        ({"id": ""}, "id", "must be text"),
        ({"id": "{a"}, "id", "has a brace without its other one"),
        ({"id": "{}"}, "id", "is no path"),
        ({"id": "{a..b}"}, "id", "is no path"),
        ({"id": "{a.}"}, "id", "is no path"),
        ({"standing": "real"}, "standing", "must be one of actual, drill, test"),
        ({"standing": {"actual": ["live"]}}, "standing", "must be one of"),
        ({"standing": {"of": "{m}", "real": ["live"]}}, "standing", "'real' is none of"),
        ({"standing": {"of": "{m}", "actual": ["x"], "drill": ["x"]}}, "standing", "'x' means two things"),
        ({"standing": {"of": "{m}", "actual": "x"}}, "standing", "must be a list"),
        ({"severity": {"of": "{m}", "otherwise": "bad"}}, "severity", "otherwise must be one of"),
        ({"areas": {"items": "x"}}, "areas", "must be a table with items and code"),
        ({"fields": ["x"]}, "fields", "must be a table"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_place(changes: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(MappingFaults) as caught:
        mapping(**changes)
    [(name, told)] = caught.value.faults
    assert (name, words in told) == (place, True), told


def test_whether_it_is_real_must_be_said() -> None:
    raw = {name: value for name, value in tomllib.loads(BOOK).items() if name not in ("standing", "title")}
    with pytest.raises(MappingFaults) as caught:
        read_mapping(raw)
    assert caught.value.faults == [("title", "must be said"), ("standing", "must be said")]


def test_the_rule_book_holds_tables_and_refuses_wrong_ones() -> None:
    text = "[mapping.gauge]\n" + BOOK
    book = parse_book(text)
    assert (list(book.mappings), book.rules) == (["gauge"], ())
    with pytest.raises(Invalid) as caught:
        parse_book(text.replace('hazard = "洪水"', 'hasard = "洪水"'))
    assert caught.value.details[0][0] == "mapping.gauge.hasard"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(READING)), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(sorted(READING)), _JSON))
def test_whatever_comes_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        found = mapping().apply({"data": {"readings": [{**READING, **changes}]}})
    except Unreadable:
        return
    assert [fault for each in found for fault in observation_faults(each)] == []
