"""Who could not be reached, why, and what to do."""

import csv
import io
from typing import Any

import pytest
from sqlalchemy import func, select, update

from alertd.core.delivery import State
from alertd.service import reachability
from alertd.service.directory import PersonDraft, put_person
from alertd.service.reaching import subscribe, unsubscribe
from alertd.service.runtime import Runtime
from alertd.store import people as stored
from alertd.store import self_tests
from alertd.store.schema import deliveries, recipients
from tests.installation import BOSS, actor, alert, group, settle

PHONE = "090-1111-2222"


def listed(rt: Runtime, name: str, within: str | None = None) -> dict[str, dict[str, Any]]:
    """One of the lists: by person each way's state and advice by channel."""
    found = reachability.list_people(rt, name, within, after=None, limit=50)
    assert len(found.people) == reachability.count(rt, within)[name]
    assert {person["standing"] for person in found.people} <= {name}
    return {
        person["id"]: {way["channel"]: (way["state"], way["advice"]) for way in person["ways"]}
        for person in found.people
    }


def became(rt: Runtime, person: str, channel: str, state: State, **values: Any) -> None:
    """Let the newest message to somebody over a channel have become this."""
    theirs = select(func.max(deliveries.c.id)).join(recipients, recipients.c.id == deliveries.c.recipient_id)
    newest = theirs.where(recipients.c.person_id == person, deliveries.c.channel == channel).scalar_subquery()
    with rt.store.write() as connection:
        number = connection.execute(select(newest)).scalar_one()
        became = update(deliveries).where(deliveries.c.id == number).values(state=state, attempt=1, **values)
        connection.execute(became)


def retire(rt: Runtime, person: str, channel: str, reason: str) -> None:
    with rt.store.write() as connection:
        (way,) = [row for row in stored.subscriptions_of(connection, [person]) if row["channel"] == channel]
        stored.retire_subscription(connection, way["id"], reason, rt.now())


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    group(rt, "fire")
    settle(rt, "nowhere", email=None)
    settle(rt, "lost", phone=PHONE, email=None, groups=("fire",))
    settle(rt, "half", phone=PHONE)
    settle(rt, "fine")
    settle(rt, "quiet")
    settle(rt, "left", email=None, active=False)
    alert(rt)
    became(rt, "lost", "sms", State.FAILED, reason="30005 unknown")
    became(rt, "half", "sms", State.DELIVERED, delivered_at=rt.now())
    became(rt, "half", "email", State.FAILED, reason="550 5.1.1 unknown")
    became(rt, "fine", "email", State.SENT, opened_at=rt.now())
    became(rt, "quiet", "email", State.SENT)
    return rt


def test_everybody_stands_in_one_list_at_most(town: Runtime) -> None:
    assert reachability.count(town, None) == {"people": 5, "unreachable": 2, "partly": 1, "unproven": 1}
    assert reachability.count(town, "fire") == {"people": 1, "unreachable": 1, "partly": 0, "unproven": 0}
    assert listed(town, "unreachable") == {"nowhere": {}, "lost": {"sms": ("failing", "check-number")}}
    assert listed(town, "partly") == {"half": {"sms": ("proven", None), "email": ("failing", "check-mail")}}
    assert listed(town, "unproven") == {"quiet": {"email": ("unproven", "test")}}
    assert listed(town, "unreachable", "fire").keys() == {"lost"}


def test_what_holds_our_own_fault_is_not_blamed_on_the_person(town: Runtime) -> None:
    became(town, "quiet", "email", State.HELD, reason="535 bad password")
    assert listed(town, "unreachable")["quiet"] == {"email": ("failing", "our-fault")}


def test_a_message_that_gets_through_mends_it(town: Runtime) -> None:
    alert(town)
    became(town, "lost", "sms", State.DELIVERED, delivered_at=town.now())
    assert "lost" not in listed(town, "unreachable")


def test_a_message_under_way_says_nothing_yet(town: Runtime) -> None:
    alert(town)  # pending for everybody
    assert "lost" in listed(town, "unreachable")
    assert listed(town, "partly").keys() == {"half"}


def test_a_dead_address_counts_until_another_takes_its_place(town: Runtime) -> None:
    put_person(town, BOSS, PersonDraft("fine", "良", phone=PHONE, email="fine@example.jp"))
    retire(town, "fine", "sms", "30005 unknown")
    assert listed(town, "partly")["fine"] == {"email": ("proven", None), "sms": ("retired", "check-number")}
    put_person(town, BOSS, PersonDraft("fine", "良", phone="090-5555-6666", email="fine@example.jp"))
    assert "fine" not in listed(town, "partly")


def test_what_its_owner_took_away_is_no_fault(town: Runtime) -> None:
    fine = actor("fine")
    device, _ = subscribe(town, fine, "webpush", {"endpoint": "https://push.example/1"}, "phone")
    unsubscribe(town, fine, device)
    assert reachability.count(town, None)["partly"] == 1
    device, _ = subscribe(town, fine, "webpush", {"endpoint": "https://push.example/2"}, "phone")
    with town.store.write() as connection:
        stored.retire_subscription(connection, device, "410 gone", town.now())
    assert listed(town, "partly")["fine"]["webpush"] == ("retired", "push-again")


def test_all_of_it_as_a_table(town: Runtime) -> None:
    put_person(town, BOSS, PersonDraft("nowhere", "=HYPERLINK(1)"))
    text = "".join(reachability.export(town, None))
    assert text.startswith("\ufeff")
    lines = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert {line["person"]: line["standing"] for line in lines} == {
        "nowhere": "unreachable",
        "lost": "unreachable",
        "half": "partly",
        "fine": "reachable",
        "quiet": "unproven",
    }
    assert len(lines) == 6
    (lost,) = [line for line in lines if line["person"] == "lost"]
    assert (lost["address"], lost["reason"], lost["groups"]) == ("'+819011112222", "30005 unknown", "fire")
    (nowhere,) = [line for line in lines if line["person"] == "nowhere"]
    assert (nowhere["name"], nowhere["channel"]) == ("'=HYPERLINK(1)", "")


def test_the_newest_self_test_is_told(town: Runtime) -> None:
    assert reachability.read_self_test(town) is None
    with town.store.write() as connection:
        self_tests.begin(connection, "2026-11-22", town.now())
        failure = {"channel": "sms", "state": "failed", "reason": "30005", "count": 1}
        self_tests.keep_result(connection, "2026-11-22", [failure], town.now())
    told = reachability.read_self_test(town)
    assert told == {"day": "2026-11-22", "checked_at": town.now(), "failures": [failure], "went_out": False}
