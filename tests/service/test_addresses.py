"""Addresses of channels that have no column of their own: on a person's record, in files, in what is told of them."""

from dataclasses import replace
from typing import Any

import pytest

from alertd.core.errors import Invalid
from alertd.core.escalation import Plan, Step
from alertd.core.message import Budget
from alertd.service import directory, imports, planning, reachability, reaching, roster
from alertd.service.directory import PersonDraft
from alertd.service.importing import columns, decode, import_people
from alertd.service.installation import find_used
from alertd.service.runtime import Runtime
from channels.slack import parse_member
from channels.teams import Teams
from tests.channels.helpers import CONTEXT
from tests.installation import BOSS, actor

HOOK = "https://prod-12.japaneast.logic.azure.com/workflows/0a1b2c/triggers/manual/paths/invoke?sig=verysecret"
OTHER_HOOK = HOOK.replace("verysecret", "alsosecret")


@pytest.fixture
def chats(rt: Runtime) -> Runtime:
    """The same installation with Slack and Teams."""
    teams = Teams.configure({"TEAMS": "on"}, CONTEXT)
    return replace(
        rt,
        budgets={**rt.budgets, "slack": Budget("notification", 3_000, 1), "teams": Budget("notification", 3_000, 1)},
        parse={**rt.parse, "slack": parse_member, "teams": teams.parse_address},
        lanes={**rt.lanes, "slack": lambda address: "", "teams": teams.lane},
        records={**rt.records, "slack": "slack", "teams": "teams"},
        secrets=frozenset({"teams"}),
    )


def put(rt: Runtime, addresses: dict[str, str | None], **more: Any) -> dict[str, Any]:
    person, _ = directory.put_person(rt, BOSS, PersonDraft("hana", "花子", addresses=addresses, **more))
    return person


def live(rt: Runtime) -> dict[str, str | None]:
    """What each way to hana is called, by channel."""
    ways = roster.read_person(rt, "hana")["ways"]
    return {way["channel"]: way["label"] for way in ways if way["state"] != "retired"}


def test_an_address_is_kept_changed_and_taken_away(chats: Runtime) -> None:
    assert put(chats, {"slack": "u012ab3cd"})["addresses"] == {"slack": "U012AB3CD"}
    assert live(chats) == {"slack": "U012AB3CD"}
    assert put(chats, {}, phone="090-1234-5678")["addresses"] == {"slack": "U012AB3CD"}
    assert put(chats, {"slack": None})["addresses"] == {"slack": "U012AB3CD"}
    assert live(chats) == {"slack": "U012AB3CD"}
    assert put(chats, {"slack": "W99999999"})["addresses"] == {"slack": "W99999999"}
    assert live(chats) == {"slack": "W99999999"}
    assert put(chats, {"slack": ""})["addresses"] == {}
    assert live(chats) == {}


def test_a_secret_address_is_told_to_nobody_and_survives_what_is_told(chats: Runtime) -> None:
    person = put(chats, {"teams": HOOK})
    assert person["addresses"] == {"teams": None}
    assert live(chats) == {"teams": "prod-12.japaneast.logic.azure.com"}
    put(chats, person["addresses"])
    assert live(chats) == {"teams": "prod-12.japaneast.logic.azure.com"}
    told = [
        *directory.list_people(chats, after=None, limit=10),
        *reaching.list_ways(chats, actor("hana")),
        roster.read_person(chats, "hana"),
        *reachability.export(chats, None),
    ]
    assert "secret" not in str(told)
    put(chats, {"teams": OTHER_HOOK})
    assert len(roster.read_person(chats, "hana")["ways"]) == 1


def test_a_secret_stays_one_where_its_channel_is_no_longer_set_up(chats: Runtime) -> None:
    without = replace(chats, lanes={**chats.lanes, "teams": lambda address: ""}, missing={"teams": "ALERTD_TEAMS"})
    put(without, {"teams": HOOK})
    assert live(without) == {"teams": "teams"}


@pytest.mark.parametrize(
    ("addresses", "field"),
    [({"slack": "@hana"}, "slack"), ({"teams": "https://evil.example/x"}, "teams"), ({"line": "x"}, "line")],
)
def test_what_is_no_address_is_refused(chats: Runtime, addresses: dict[str, str | None], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        put(chats, addresses)
    assert [name for name, _ in caught.value.details] == [field]


def test_without_such_channels_there_is_no_word_of_them(rt: Runtime) -> None:
    assert "addresses" not in put(rt, {})
    assert columns(rt) == ("id", "name", "email", "phone", "language", "groups", "active")
    with pytest.raises(Invalid, match="there is no such address here"):
        put(rt, {"slack": "U012AB3CD"})


def test_a_file_brings_addresses_and_can_be_undone(chats: Runtime) -> None:
    assert columns(chats)[-2:] == ("slack", "teams")
    put(chats, {"slack": "U00000000", "teams": HOOK}, email="hana@example.jp")
    before = roster.read_person(chats, "hana")
    text = f"id,name,slack,teams\nhana,花子,u012ab3cd,\ntaro,太郎,,{OTHER_HOOK}\n"
    draft = imports.hand_in(chats, BOSS, "x.csv", text.encode())
    preview = imports.read_import(chats, draft)["preview"]
    assert [(each["id"], each["fields"]) for each in preview["changed"]] == [("hana", ["slack", "teams"])]
    assert imports.apply(chats, BOSS, draft, preview["digest"])
    assert live(chats) == {"email": "hana@example.jp", "slack": "U012AB3CD"}
    assert roster.read_person(chats, "taro")["addresses"] == {"teams": None}
    assert [way["channel"] for way in roster.read_person(chats, "taro")["ways"]] == ["teams"]
    assert imports.undo(chats, BOSS, draft).left == {}
    after = roster.read_person(chats, "hana")
    assert [after[name] for name in ("addresses", "email")] == [before[name] for name in ("addresses", "email")]
    assert set(live(chats)) == {"email", "slack", "teams"}


def test_a_file_without_the_column_leaves_addresses_alone(chats: Runtime) -> None:
    put(chats, {"slack": "U012AB3CD"})
    report = import_people(chats, BOSS, decode("id,name\nhana,花\n".encode()), dry_run=False)
    assert report.changed == {"hana": ["name"]}
    assert live(chats) == {"slack": "U012AB3CD"}


def test_an_import_from_before_there_was_such_a_channel_can_still_be_undone(rt: Runtime, chats: Runtime) -> None:
    put(rt, {})
    draft = imports.hand_in(rt, BOSS, "x.csv", b"id,name\nhana,Hana\n")
    imports.apply(rt, BOSS, draft, imports.read_import(rt, draft)["preview"]["digest"])
    put(chats, {"slack": "U012AB3CD"}, language="ja")
    directory.put_person(chats, BOSS, PersonDraft("hana", "Hana"))
    assert imports.undo(chats, BOSS, draft).left == {}
    assert roster.read_person(chats, "hana")["name"] == "花子"
    assert live(chats) == {"slack": "U012AB3CD"}


def test_a_channel_is_used_by_whoever_is_reached_over_it_and_by_plans(chats: Runtime) -> None:
    def used() -> frozenset[str]:
        return find_used(chats.store, ("slack", "teams"))

    assert used() == frozenset()
    put(chats, {"slack": "U012AB3CD"})
    assert used() == {"slack"}
    put(chats, {"slack": ""})
    assert used() == frozenset()
    planning.put_plan(chats, BOSS, "chat", "チャット", Plan((Step(0, ("teams",)),)))
    assert used() == {"teams"}


def test_a_way_of_any_channel_that_broke_has_something_to_do_about_it() -> None:
    assert reachability.advise({"state": "retired", "channel": "slack", "outcome": None}) == "check-address"
