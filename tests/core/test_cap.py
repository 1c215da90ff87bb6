"""Our alerts as CAP 1.2: valid by the schema, and read back as what they are."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree  # type: ignore[import-untyped]

from alertd.core.alert import SEVERITIES, Ask, Choice, Content
from alertd.core.cap import Entry, Said, feed, message
from alertd.core.observation import Observation
from alertd.sources.cap import read

SCHEMA = Path(__file__).parents[2].parent / "shared" / "samples" / "cap" / "schema" / "CAP-v1.2.xsd"
TOKYO = ZoneInfo("Asia/Tokyo")
NOW = datetime(2026, 11, 22, 9, 0, 5, 678_901, tzinfo=UTC)
SENDER, URL = "alertd@alert.example.jp", "https://alert.example.jp/alerts/A"


def content(**changes: Any) -> Content:
    values: dict[str, Any] = {
        "alert_id": "A",
        "revision": 1,
        "organisation": "西予市",
        "title": "津波警報",
        "body": "高台へ & 逃げて <すぐに>",
        "severity": "extreme",
        "drill": False,
        "ask": None,
        "sent_at": NOW,
        "expires_at": NOW + timedelta(hours=6),
    }
    return Content(**{**values, **changes})


def written(content: Content, earlier: Sequence[Said] = (), zone: tzinfo = TOKYO) -> bytes:
    document = message(content, earlier, sender=SENDER, zone=zone, url=URL)
    if SCHEMA.exists():
        etree.XMLSchema(etree.parse(SCHEMA)).assertValid(etree.fromstring(document))
    return document


def back(content: Content, earlier: Sequence[Said] = ()) -> Observation:
    [observation] = read(written(content, earlier))
    return observation


FIRST, SECOND = Said("A", 1, NOW), Said("A", 2, NOW + timedelta(minutes=5))


def test_an_alert_reads_back() -> None:
    found = back(content(ask=Ask("無事ですか", (Choice("y", "はい"), Choice("n", "いいえ")))))
    assert (found.kind, found.standing, found.title, found.severity) == ("new", "actual", "津波警報", "extreme")
    assert found.body == "高台へ & 逃げて <すぐに>\n\n無事ですか (はい / いいえ)"
    assert (found.observed_at, found.expires_at) == (
        NOW.replace(microsecond=0),
        NOW.replace(microsecond=0) + timedelta(hours=6),
    )
    assert (found.author, found.url) == (SENDER, URL)


@pytest.mark.parametrize(
    ("title", "headline"), [("参集", "【訓練】参集"), ("【訓練】参集", "【訓練】参集"), ("Muster", "[DRILL] Muster")]
)
def test_a_drill_is_an_exercise_and_says_so(title: str, headline: str) -> None:
    found = back(content(drill=True, title=title, body=""))
    assert (found.standing, found.title) == ("drill", headline)


def test_revisions_name_all_that_came_before() -> None:
    first = back(content())
    second = back(content(revision=2, revision_kind="update", sent_at=SECOND.sent_at), [FIRST])
    third = back(content(revision=3, revision_kind="cancel", sent_at=NOW + timedelta(hours=1)), [FIRST, SECOND])
    assert [each.kind for each in (first, second, third)] == ["new", "changed", "withdrawn"]
    assert first.incident == second.incident == third.incident == first.id
    assert third.references == (first.id, second.id)
    assert first.version < second.version < third.version


def test_times_have_numeric_offsets() -> None:
    assert b"<sent>2026-11-22T18:00:05+09:00</sent>" in written(content())
    assert b"<sent>2026-11-22T09:00:05-00:00</sent>" in written(content(), zone=UTC)


@given(st.text(min_size=1), st.text(), st.sampled_from(SEVERITIES), st.booleans())
def test_whatever_is_said_is_a_valid_message(title: str, body: str, severity: Any, drill: bool) -> None:
    document = written(content(title=title, body=body, severity=severity, drill=drill))
    [found] = read(document)
    assert found.standing == ("drill" if drill else "actual")


def test_the_feed_leads_to_each() -> None:
    entries = [
        Entry(SECOND, "cancel", "津波警報", False, "https://x/2"),
        Entry(FIRST, "alert", "参集 & 点検", True, "https://x/1"),
    ]
    root = etree.fromstring(feed(entries, title="西予市", url="https://x/feed", updated_at=NOW))
    atom = "{http://www.w3.org/2005/Atom}"
    titles = [each.findtext(f"{atom}title") for each in root.iter(f"{atom}entry")]
    assert titles == ["【解除】津波警報", "【訓練】参集 & 点検"]
    links = [each.find(f"{atom}link") for each in root.iter(f"{atom}entry")]
    assert [(link.get("href"), link.get("type")) for link in links] == [
        ("https://x/2", "application/cap+xml"),
        ("https://x/1", "application/cap+xml"),
    ]
    for name in ("id", "title", "updated"):
        assert root.findtext(f"{atom}{name}")
    assert re.fullmatch(r"2026-11-22T09:00:05\.678901\+00:00", root.findtext(f"{atom}updated"))
