"""The table of an alert: one line for each delivery, nothing in it that a spreadsheet would run."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from alertd.core.acknowledgement import Way
from alertd.core.audience import Audience
from alertd.core.delivery import State
from alertd.core.errors import NotFound, StoreUnavailable
from alertd.core.escalation import Plan, Step
from alertd.service import escalating, rollout
from alertd.service.acknowledging import acknowledge_all, wish_of
from alertd.service.exporting import COLUMNS, export
from alertd.service.importing import import_people
from alertd.service.runtime import Runtime
from alertd.store import schema
from alertd.store.engine import Store
from tests.installation import BOSS, START, Clock, actor, alert, group, settle


def table(rt: Runtime, alert_id: str) -> list[dict[str, str]]:
    text = "".join(export(rt, alert_id))
    assert text.startswith("\ufeff")
    return list(csv.DictReader(text[1:].splitlines()))


def test_every_delivery_is_a_line_and_whoever_has_none_is_one_too(rt: Runtime) -> None:
    settle(rt, "taro", phone="090-0000-0001")
    settle(rt, "mute", email=None)
    number = alert(rt)
    lines = table(rt, number)
    assert sorted((line["person"], line["channel"], line["unreachable"]) for line in lines) == [
        ("mute", "", "true"),
        ("taro", "email", "false"),
        ("taro", "sms", "false"),
    ]
    assert set(lines[0]) == set(COLUMNS)


def test_supervisors_who_were_told_stand_below_the_audience(rt: Runtime, clock: Clock) -> None:
    settle(rt, "boss2", phone="090-0000-0009", email=None)
    group(rt, "fire", supervisors=["boss2"])
    settle(rt, "taro", groups=("fire",))
    plan = Plan((Step(0, ("email",)), Step(60, ("sms",), "supervisors")))
    number = alert(rt, plan=plan, audience=Audience(groups=("fire",)))
    clock.move(seconds=60)
    escalating.start_due(rt)
    lines = [(line["person"], line["part"], line["state"], line["channel"]) for line in table(rt, number)]
    assert lines == [("taro", "audience", "outstanding", "email"), ("boss2", "supervisor", "", "sms")]


def test_everybody_stands_there_however_many_pages_there_are(rt: Runtime) -> None:
    directory_of(rt, 1_201)
    number = alert(rt)
    rollout.carry_on(rt)
    names = [line["person"] for line in table(rt, number)]
    assert names == sorted(names)
    assert len(set(names)) == 1_201


def directory_of(rt: Runtime, people: int) -> None:
    lines = (f"p{number},人,p{number}@example.jp" for number in range(people))
    import_people(rt, BOSS, "id,name,email\n" + "\n".join(lines), dry_run=False)


def test_a_store_that_goes_away_leaves_no_table_that_looks_whole(rt: Runtime, tmp_path: Path) -> None:
    settle(rt, "taro")
    number = alert(rt)
    away = Store(f"sqlite:///{tmp_path}")  # a directory is no database
    with pytest.raises(StoreUnavailable):
        export(replace(rt, store=away), number)
    away.close()
    with pytest.raises(NotFound):
        export(rt, "unheard-of")


def test_each_rung_stands_apart(rt: Runtime) -> None:
    settle(rt, "taro")
    number = alert(rt)
    with rt.store.write() as connection:
        connection.execute(
            update(schema.deliveries).values(
                state=State.SENT, attempt=1, accepted_at=START, provider="primary", fetched_at=START
            )
        )
    (line,) = table(rt, number)
    assert line["accepted_at"] == "2026-11-22T03:04:05.678Z"
    assert (line["accepted_by"], line["delivery_state"]) == ("primary", "sent")
    assert (line["delivered_at"], line["displayed_at"], line["opened_at"]) == ("", "", "")
    assert line["link_fetched_at"] == line["accepted_at"]


def test_what_people_write_is_no_formula(rt: Runtime) -> None:
    settle(rt, "taro", name="=HYPERLINK(1)")
    number = alert(rt)
    acknowledge_all(rt, [wish_of(actor("taro"), number, Way.API, comment='+1\n,"x"')])
    (line,) = csv.DictReader("".join(export(rt, number)).removeprefix("\ufeff").splitlines(keepends=True))
    assert (line["name"], line["comment"]) == ("'=HYPERLINK(1)", '\'+1\n,"x"')
