"""What rules would have made of what came: from the store as it came, and from files."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from alertd.core.errors import Invalid
from alertd.core.roles import Role
from alertd.service import observing, replaying, sources
from alertd.service.replay_words import worded
from alertd.service.runtime import Runtime
from alertd.store import schema
from alertd.store import sources as store
from tests.core.test_rules import seen
from tests.installation import BOSS, START, Clock, actor, settle
from tests.sources.test_cap import message
from tests.sources.test_program import sent

ADMIN = actor("admin", Role.ADMIN)
BOOK = """
[[rule]]
name = "urgent"
source = "river"
do = "{do}"
audience = {{ everyone = true }}
"""
TODAY = START.date()  # noon here
DAYS = (TODAY, TODAY)


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    """Five incidents an hour apart, the last one withdrawn at once; they came while only the board was told."""
    for name in ("taro", "hana"):
        settle(rt, name, phone="090-0000-0001")
    for source in ("river", "cap"):
        sources.make_source(rt, BOSS, source, "program")
    sources.save_book(rt, BOSS, BOOK.format(do="board"))
    for number in range(5):
        observing.take(rt, "river", [seen(incident=f"i{number}", id=f"{number}", title=f"水位{number}")])
        move(rt, hours=1)
    observing.take(rt, "river", [seen(incident="i4", id="4/2", version=2, kind="withdrawn", title="下がった")])
    return rt


def move(rt: Runtime, **by: float) -> None:
    assert isinstance(rt.now, Clock)
    rt.now.move(**by)


def numbers(report: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(report[name] for name in names)


def test_the_rules_in_force_and_others_are_played_and_nothing_is_kept(town: Runtime) -> None:
    with town.store.read() as connection:
        before = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in schema.metadata.sorted_tables
        ]
    report = replaying.replay(town, DAYS)
    assert numbers(report, "observations", "alerts", "board", "items") == (6, 0, 6, [])
    report = replaying.replay(town, DAYS, text=BOOK.format(do="alert") + "most_per_hour = 1\n")
    assert numbers(report, "alerts", "messages", "drafts", "capped", "stand_downs") == (5, 10, 0, 0, 1)
    assert [hour for hour, count in enumerate(report["hours"]) if count] == [12, 13, 14, 15, 16]
    assert [item["title"] for item in report["items"]] == [f"水位{number}" for number in range(5)]
    assert report["days"] == [{"date": "2026-11-22", **{name: report[name] for name in list(report["days"][0])[1:]}}]
    assert report["rules"][0]["rule"] == "urgent"
    assert json.loads(json.dumps(report)) == report
    with town.store.read() as connection:
        after = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in schema.metadata.sorted_tables
        ]
    assert after == before


def test_thousands_are_read_in_pages_in_their_order(town: Runtime) -> None:
    """Each says something else than the one before it, so that none may be left out, or come out of its turn."""
    with town.store.write() as connection:
        at = town.now()
        key = {"source_id": "river", "reference": "long", "standing": "actual", "signed": False, "branch": ""}
        incident = store.hold_incident(connection, town.new_id(), key, at)
        rows = [
            {
                "source_id": "river",
                "incident_id": incident["id"],
                "reference": "long",
                "version": version,
                "content": seen(incident="long", id="long", version=version, body=str(version)).as_json(),
                "action": "ignore",
                "reason": "no-rule",
                "state": "done",
                "received_at": at + timedelta(seconds=version),
            }
            for version in range(1, 1_301)
        ]
        connection.execute(insert(schema.observations), rows)
    report = replaying.replay(town, DAYS, text=BOOK.format(do="alert"))
    assert numbers(report, "observations", "alerts", "updates") == (1_306, 6, 1_299)
    assert replaying.replay(town, DAYS, source="cap")["observations"] == 0


def test_days_are_this_towns_own(town: Runtime) -> None:
    """It is 17:04 in Japan; seven hours later it is tomorrow."""
    move(town, hours=7)
    observing.take(town, "river", [seen(incident="late", id="late")])
    tomorrow = TODAY + timedelta(days=1)
    assert replaying.replay(town, DAYS)["observations"] == 6
    assert replaying.replay(town, (tomorrow, tomorrow))["observations"] == 1
    assert replaying.span(town, "", "") == (tomorrow - timedelta(days=29), tomorrow)
    # What had begun the day before is known: its end is an end.
    observing.take(town, "river", [seen(incident="i3", id="3/2", version=2, kind="withdrawn")])
    report = replaying.replay(town, (tomorrow, tomorrow), text=BOOK.format(do="alert"))
    assert numbers(report, "alerts", "stand_downs") == (1, 1)


def test_it_says_where_it_was_cut(town: Runtime) -> None:
    report = replaying.replay(town, DAYS, text=BOOK.format(do="alert"), most=2)
    assert numbers(report, "observations", "alerts", "cut_at") == (2, 2, (START + timedelta(hours=2)).isoformat())
    assert replaying.replay(town, DAYS, most=6)["cut_at"] is None


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        ("2026-13-01", "", "from"),
        ("", "yesterday", "to"),
        ("20261122", "", "from"),
        ("2026-W47-7", "", "from"),
        ("2026-11-22", "2026-11-21", "from"),
        ("2001-01-01", "2026-11-21", "from"),
        ("", "9999-12-31", "to"),
        ("0001-01-01", "2026-11-21", "from"),
    ],
)
def test_days_that_cannot_be_are_refused(rt: Runtime, first: str, last: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        replaying.span(rt, first, last)
    assert [name for name, _ in caught.value.details] == [field]


def test_rules_that_could_not_be_saved_are_not_played(town: Runtime) -> None:
    for text, field in (
        (BOOK.format(do="shout"), "rule.0.do"),
        (BOOK.format(do="alert").replace("everyone = true", 'groups = ["x"]'), "rule.0.audience.groups"),
    ):
        with pytest.raises(Invalid) as caught:
            replaying.replay(town, DAYS, text=text)
        assert [name for name, _ in caught.value.details] == [field]
    with pytest.raises(Invalid):
        replaying.replay(town, DAYS, source="fax")


def test_files_come_when_they_were_observed(town: Runtime) -> None:
    book = BOOK.format(do="alert").replace('"river"', '"cap"')
    files = [("1.cap", message().encode()), ("2.cap", b"<alert/>")]
    report = replaying.replay_files(town, None, files, text=book)
    assert numbers(report, "observations", "alerts", "from") == (1, 1, None)
    assert [fault["file"] for fault in report["faults"]] == ["2.cap"]
    other = date(2026, 11, 21)
    assert replaying.replay_files(town, (other, other), files[:1], text=book)["observations"] == 0


def test_a_shell_reads_it_in_both_languages(town: Runtime) -> None:
    report = replaying.replay(town, DAYS, text=BOOK.format(do="alert") + "most_per_hour = 1\n")
    english, japanese = (worded(report, language, town.zone).splitlines() for language in ("en", "ja"))
    assert english[:2] == ["2026-11-22 – 2026-11-22", "6 observations: 5 alerts (0 drills) to 10 people in all"]
    assert japanese[1] == "観測6件：警報5件（うち訓練0件）、延べ10人"
    assert "  2026-11-22 12:04 alert 水位0: a rule says so [urgent] 2 people" in english
    assert "  2026-11-22 12:04 警報 水位0: 規則のとおり [urgent] 2人" in japanese


def rules_replay(directory: Path, *arguments: str, lang: str = "C.UTF-8") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "alertd", "rules", "replay", "--data", str(directory / "var"), *arguments],
        cwd=directory,
        env={**os.environ, "LANG": lang},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_command_reads_an_installation_and_files(tmp_path: Path) -> None:
    status, out, _ = rules_replay(tmp_path, "--from", "2026-11-01", "--to", "2026-11-30")
    assert (status, out.splitlines()[:2]) == (
        0,
        ["2026-11-01 – 2026-11-30", "0 observations: 0 alerts (0 drills) to 0 people in all"],
    )
    own, broken = tmp_path / "own.json", tmp_path / "broken.cap"
    own.write_bytes(sent())
    broken.write_text("<alert/>")
    status, out, _ = rules_replay(tmp_path, "--json", str(own), str(broken))
    assert (status, json.loads(out)["ignored"]) == (1, {"no-rule": 1})
    assert "期間の指定なし" in rules_replay(tmp_path, str(own), lang="ja_JP.UTF-8")[1]
    assert rules_replay(tmp_path, "--from", "x")[::2] == (1, "refused:\n  from: must be a date such as 2026-11-22\n")
    assert rules_replay(tmp_path, "missing")[::2] == (2, "cannot read missing: No such file or directory\n")
    assert rules_replay(tmp_path, "--source", "fax")[::2] == (1, "refused:\n  source: there is no source 'fax'\n")
