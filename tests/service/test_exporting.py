"""The table of an alert: one line for each delivery, nothing in it that a spreadsheet would run."""

import csv

from sqlalchemy import update

from alertd.core.acknowledgement import Way
from alertd.core.delivery import State
from alertd.service.acknowledging import acknowledge_all, wish_of
from alertd.service.exporting import COLUMNS, export
from alertd.service.runtime import Runtime
from alertd.store import schema
from tests.installation import START, actor, alert, settle


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
