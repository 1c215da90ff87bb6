"""Looking people up, and what is known of the ways to them."""

from typing import Any

import pytest
from sqlalchemy import update

from alertd.core.delivery import State
from alertd.core.errors import Conflict, Forbidden, Invalid, NotFound
from alertd.core.roles import Role
from alertd.service import directory, roster
from alertd.service.directory import PersonDraft
from alertd.service.reaching import subscribe
from alertd.service.roster import Search, count_people, find_people, read_person
from alertd.service.runtime import Runtime
from alertd.store import people as stored
from alertd.store.schema import deliveries
from tests.installation import BOSS, Clock, actor, alert, group, settle


def ids(rt: Runtime, text: str = "", **search: Any) -> list[str]:
    found = find_people(rt, Search(text, **search), after=None, limit=100)
    assert count_people(rt, Search(text, **search)) == len(found.people)
    return [person["id"] for person in found.people if person["id"] != "boss"]


def ways(rt: Runtime, person: str) -> dict[str, tuple[str, str | None]]:
    """The state and the last proof of each way, by channel."""
    shown = read_person(rt, person)["ways"]
    return {way["channel"]: (way["state"], way["proof"]["rung"] if way["proof"] else None) for way in shown}


def settled(rt: Runtime, alert_id: str, channel: str, state: State, **values: Any) -> None:
    """Let an alert's messages over a channel have become this."""
    theirs = (deliveries.c.alert_id == alert_id) & (deliveries.c.channel == channel)
    with rt.store.write() as connection:
        connection.execute(update(deliveries).where(theirs).values(state=state, attempt=1, **values))


@pytest.fixture
def people(rt: Runtime) -> Runtime:
    group(rt, "town")
    group(rt, "fire", "town")
    settle(rt, "keiko", name="田中 恵子", phone="090-1111-2222", email=None, groups=("fire",))
    settle(rt, "ken", name="ＫＥＮ　１００％", email="Ken_x@example.jp", groups=("town",))
    settle(rt, "umit", name="Ümit Öz", email=None)
    settle(rt, "gone", name="去った人", active=False)
    return rt


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("恵子", ["keiko"]),
        ("田中恵子", ["keiko"]),
        ("  田中　恵 ", ["keiko"]),
        ("KEIKO", ["keiko"]),
        ("\u202e恵\u200f子", ["keiko"]),
        ("Ümit", ["umit"]),
        ("ＫＥＮ", ["ken"]),
        ("ken_X@", ["ken"]),
        ("en_x", ["ken"]),
        ("nx@", []),  # _ and % are letters like others
        ("%", []),
        ("１００％", ["ken"]),
        ("090-1111-2222", ["keiko"]),
        ("０９０１１１１", ["keiko"]),
        ("+81 90 1111", ["keiko"]),
        ("2222", ["keiko"]),
        ("誰もいない", []),
        ("x" * 10_000, []),
        ("1" * 10_000, []),
        ("\0😀", []),
    ],
)
def test_people_are_found_however_it_is_written(people: Runtime, text: str, found: list[str]) -> None:
    assert ids(people, text) == found


def test_people_are_found_by_group_and_by_what_they_are(people: Runtime) -> None:
    assert ids(people, group="town") == ["keiko", "ken"]
    assert ids(people, group="fire") == ["keiko"]
    assert ids(people, group="nowhere") == []
    assert ids(people, active=False) == ["gone"]
    assert ids(people, active=True) == ["keiko", "ken", "umit"]
    assert ids(people, lacks="address") == ["umit"]
    assert ids(people, "ken", group="town", active=True) == ["ken"]


def test_whoever_was_never_proven_to_be_reached_is_found(people: Runtime) -> None:
    everybody = ["gone", "keiko", "ken", "umit"]
    assert ids(people, lacks="proof") == everybody
    settled(people, alert(people), "sms", State.DELIVERED, delivered_at=people.now())
    assert ids(people, lacks="proof") == ["gone", "ken", "umit"]


def test_a_list_comes_page_by_page(rt: Runtime) -> None:
    for number in range(5):
        settle(rt, f"p{number}")
    first = find_people(rt, Search("p"), after=None, limit=3)
    assert ([each["id"] for each in first.people], first.following) == (["p0", "p1", "p2"], "p2")
    second = find_people(rt, Search("p"), after=first.following, limit=3)
    assert ([each["id"] for each in second.people], second.following) == (["p3", "p4"], None)
    assert count_people(rt, Search("p")) == 5


def test_a_way_is_proven_by_evidence_and_doubted_when_a_message_is_lost(people: Runtime, clock: Clock) -> None:
    directory.put_person(people, BOSS, PersonDraft("keiko", "田中", phone="090-1111-2222", email="k@example.jp"))
    assert ways(people, "keiko") == {"sms": ("unproven", None), "email": ("unproven", None)}
    first = alert(people)
    settled(people, first, "sms", State.DELIVERED, delivered_at=people.now())
    settled(people, first, "email", State.SENT, opened_at=people.now())
    assert ways(people, "keiko") == {"sms": ("proven", "delivered"), "email": ("proven", "opened")}
    clock.move(hours=1)
    settled(people, alert(people), "email", State.FAILED, reason="550 5.1.1 unknown")
    assert ways(people, "keiko") == {"sms": ("proven", "delivered"), "email": ("failing", "opened")}
    failing = next(way for way in read_person(people, "keiko")["ways"] if way["channel"] == "email")
    assert (failing["reason"], failing["tried_at"]) == ("550 5.1.1 unknown", people.now())


def test_an_opened_link_does_not_tell_which_device_showed_it(people: Runtime) -> None:
    umit = actor("umit")
    for number in (1, 2):
        subscribe(people, umit, "webpush", {"endpoint": f"https://push.example/{number}"}, f"phone {number}")
    settled(people, alert(people), "webpush", State.SENT, opened_at=people.now())
    assert [way["state"] for way in read_person(people, "umit")["ways"]] == ["unproven", "unproven"]


def test_what_a_provider_called_dead_is_shown_and_what_was_replaced_is_not(people: Runtime) -> None:
    directory.put_person(people, BOSS, PersonDraft("keiko", "田中", phone="090-3333-4444"))
    (way,) = read_person(people, "keiko")["ways"]
    assert way["label"] == "+819033334444"
    with people.store.write() as connection:
        stored.retire_subscription(connection, way["id"], "30005 unknown", people.now())
    assert ways(people, "keiko") == {"sms": ("retired", None)}
    assert read_person(people, "keiko")["ways"][0]["reason"] == "30005 unknown"
    assert ids(people, lacks="address") == ["keiko", "umit"]


def test_a_person_who_is_not_there_is_not_read(rt: Runtime) -> None:
    with pytest.raises(NotFound):
        read_person(rt, "nobody")


def test_a_change_on_another_version_is_refused(people: Runtime) -> None:
    before = read_person(people, "ken")
    directory.put_person(people, BOSS, PersonDraft("ken", "Ken"), on_version=before["version"])
    with pytest.raises(Conflict):
        directory.put_person(people, BOSS, PersonDraft("ken", "Kenny"), on_version=before["version"])
    with pytest.raises(Conflict):
        directory.put_person(people, BOSS, PersonDraft("ken", "Kenny"), on_version=0)
    with pytest.raises(Conflict):
        directory.put_person(people, BOSS, PersonDraft("nobody", "X"), on_version=7)
    assert read_person(people, "ken")["name"] == "Ken"
    assert directory.put_person(people, BOSS, PersonDraft("nina", "X"), on_version=0)[1]


def test_somebody_is_deactivated_and_comes_back(people: Runtime) -> None:
    manager = actor("manager", Role.MANAGER)
    directory.set_active(people, manager, "ken", False)
    assert ids(people, active=False) == ["gone", "ken"]
    before = read_person(people, "ken")
    directory.set_active(people, manager, "ken", False)
    assert read_person(people, "ken")["version"] == before["version"]
    directory.set_active(people, manager, "ken", True)
    assert read_person(people, "ken")["ways"] == before["ways"]
    with pytest.raises(NotFound):
        directory.set_active(people, manager, "nobody", False)


def test_nobody_deactivates_whoever_stands_above_them_nor_themselves(people: Runtime) -> None:
    settle(people, "chief", role="admin")
    settle(people, "manager", role="manager")
    with pytest.raises(Forbidden):
        directory.set_active(people, actor("manager", Role.MANAGER), "chief", False)
    chief = actor("chief", Role.ADMIN)
    with pytest.raises(Invalid):
        directory.set_active(people, chief, "chief", False)
    with pytest.raises(Invalid):
        directory.put_person(people, chief, PersonDraft("chief", "長", active=False))
    with pytest.raises(Invalid):
        directory.put_person(people, chief, PersonDraft("chief", "長", role="staff"))
    assert roster.read_person(people, "chief")["role"] == "admin"
