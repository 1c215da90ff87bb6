"""What Alertmanager sends: a group is one incident, and a repeated notification is the same again."""

import json
from typing import Any

import pytest

from alertd.core.observation import Observation, observation_faults
from alertd.core.rehearsal import Rehearsal
from alertd.core.rules import Rule
from alertd.sources.alertmanager import read
from alertd.sources.base import Unreadable
from alertd.sources.registry import kind_of
from tests.core.test_rules import EVERYONE

ZERO = "0001-01-01T00:00:00Z"  # as Alertmanager writes that it has no end


def alert(name: str, status: str = "firing", since: str = "09:00:00", until: str | None = None, **labels: str) -> Any:
    return {
        "status": status,
        "labels": {"alertname": "DiskFull", "severity": "critical", "instance": name, **labels},
        "annotations": {"summary": f"{name}: disk full", "description": f"{name} の空きが少なくなっています"},
        "startsAt": f"2026-11-22T{since}.123Z",
        "endsAt": f"2026-11-22T{until}.456Z" if until else ZERO,
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "x",
    }


def sent(*alerts: Any, **changes: Any) -> bytes:
    status = "firing" if any(each["status"] == "firing" for each in alerts) else "resolved"
    group = {
        "version": "4",
        "groupKey": '{}:{alertname="DiskFull"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "alertd",
        "groupLabels": {"alertname": "DiskFull"},
        "commonLabels": {"alertname": "DiskFull", "severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": alerts,
    }
    return json.dumps({**group, **changes}).encode()


def one(raw: bytes) -> Observation:
    [found] = read(raw)
    assert observation_faults(found) == []
    return found


def test_a_group_is_read() -> None:
    found = one(sent(alert("a"), alert("b")))
    assert (found.title, found.type, found.severity, found.standing) == ("DiskFull", "DiskFull", "severe", "actual")
    assert found.body == "a の空きが少なくなっています\nb の空きが少なくなっています"
    assert found.fields["severity"] == "critical"
    assert found.url == "http://alertmanager:9093"
    assert kind_of(sent(alert("a"))) == "alertmanager"


def test_a_group_is_one_thread_until_all_of_it_is_resolved() -> None:
    rehearsal = Rehearsal([Rule(name="r", source="s", do="alert", audience=EVERYONE)])
    story = [
        sent(alert("a")),
        sent(alert("a")),
        sent(alert("a"), alert("b", since="09:05:00")),
        sent(alert("a", "resolved", until="09:10:00"), alert("b", since="09:05:00")),
        sent(alert("a", "resolved", until="09:10:00"), alert("b", "resolved", since="09:05:00", until="09:20:00")),
        sent(alert("a", since="10:00:00")),
    ]
    decided = [rehearsal.take("s", one(raw)) for raw in story]
    assert [f"{each.action} {each.reason}" for each in decided] == [
        "alert rule",
        "ignore repeated",
        "update changed",
        "update changed",
        "stand-down withdrawn",
        "alert rule",
    ]
    assert one(story[3]).body == "b の空きが少なくなっています"


@pytest.mark.parametrize(("word", "severity"), [("page", "severe"), ("Warning", "moderate"), ("odd", "unknown")])
def test_severities_are_taken_by_their_usual_words(word: str, severity: str) -> None:
    assert one(sent(alert("a", severity=word))).severity == severity


def test_very_many_are_counted() -> None:
    found = one(sent(*(alert(str(number)) for number in range(60)), truncatedAlerts=5))
    assert found.body.endswith("\n(+15)")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{}", "version: Field required"),
        (sent(alert("a"), version="3"), "version: Input should be '4'"),
        (sent(alert("a"), alerts=[]), "alerts: List should have at least 1 item"),
        (sent({**alert("a"), "startsAt": "yesterday"}), "alerts.0.startsAt"),
        (sent({**alert("a"), "startsAt": "0001-01-01T00:00:00+09:00"}), "beyond"),
        (sent({**alert("a"), "status": "odd"}), "alerts.0.status"),
        (b'{"groupKey"', "not JSON"),
    ],
)
def test_what_is_refused_says_what_is_wrong(raw: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(raw)
