"""What a program of the town's own says, in our words."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from alertd.core.observation import Area
from alertd.sources.base import Unreadable
from alertd.sources.program import read

LEAST: dict[str, Any] = {"id": "a", "standing": "actual", "title": "浸水", "observed_at": "2026-11-22T18:00:00+09:00"}


def sent(**changes: Any) -> bytes:
    return json.dumps({**LEAST, **changes}).encode()


def test_little_is_enough() -> None:
    [found] = read(sent())
    assert (found.id, found.incident, found.kind, found.title) == ("a", "a", "new", "浸水")
    assert found.observed_at == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert found.version == int(found.observed_at.timestamp() * 1_000)


def test_all_can_be_said_and_reads_back() -> None:
    everything = sent(
        incident="e",
        version=7,
        kind="changed",
        body="川があふれた",
        severity="extreme",
        type="gauge",
        hazard="flood",
        author="sensor",
        scale="level",
        areas=[{"code": "3821400", "name": "西予市", "rank": 4, "words": "レベル４"}],
        expires_at="2026-11-23T00:00:00Z",
        references=["z"],
        url="https://example.com/1",
        fields={"水位": "5.2"},
    )
    [found] = read(everything)
    assert found.areas == (Area("3821400", "西予市", 4, "レベル４"),)
    kept = found.as_json()
    assert kept.pop("signed_by") == ""
    assert read(json.dumps(kept).encode()) == [found]


def test_many_come_in_their_order() -> None:
    raw = json.dumps({"items": [LEAST, {**LEAST, "id": "b"}]}).encode()
    assert [each.id for each in read(raw)] == ["a", "b"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{\n"id": }', "line 2: this is not JSON"),
        (b"[]", "body"),
        (b"{}", "id: Field required.*standing: Field required"),
        (sent(standing="real"), "standing: Input should be 'actual', 'drill' or 'test'"),
        (sent(drill=False), "drill: Extra inputs"),
        (sent(signed_by="CN=me"), "signed_by: Extra inputs"),
        (sent(version="7"), "version: Input should be a valid integer"),
        (sent(observed_at="2026-11-22T18:00:00"), "observed_at"),
        (sent(observed_at="0001-01-01T00:00:00+09:00"), "beyond"),
        (sent(id=" "), "id: must be"),
        (sent(areas=[{"code": "1", "rank": 1}]), "areas.0.rank: must be 0 to 0"),
        (json.dumps({"items": [LEAST] * 201}).encode(), "at most 200"),
        (b" " * 4_000_001, "bytes"),
    ],
)
def test_what_is_refused_says_what_would_be_right(raw: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(raw)
