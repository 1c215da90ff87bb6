"""A person's addresses in Slack and Teams on the pages: what is shown, what is kept, what is never shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from alertd.core.message import Budget
from alertd.service import directory, roster
from alertd.service.directory import PersonDraft
from channels.slack import parse_member
from channels.teams import Teams
from tests.channels.helpers import CONTEXT
from tests.installation import BUDGETS, LANES, PARSE, RECORDS
from tests.web.pages.visitor import ADMIN, Enter, Shown, Site, Visitor, entering

HOOK = "https://prod-12.japaneast.logic.azure.com/workflows/0a1b/triggers/manual/paths/invoke?sig=verysecret"
AT = "/people/tanaka"


@pytest.fixture
def site(data_dir: Path) -> Iterator[Site]:
    """An installation with Slack and Teams."""
    teams = Teams.configure({"TEAMS": "on"}, CONTEXT)
    chat = Budget("notification", 3_000, 1)
    site = Site(
        data_dir,
        budgets={**BUDGETS, "slack": chat, "teams": chat},
        parse={**PARSE, "slack": parse_member, "teams": teams.parse_address},
        lanes={**LANES, "slack": lambda address: "", "teams": teams.lane},
        records={**RECORDS, "slack": "slack", "teams": "teams"},
        secrets=frozenset({"teams"}),
    )
    yield site
    site.rt.store.close()


@pytest.fixture
def enter(site: Site) -> Iterator[Enter]:
    with entering(site) as enter:
        yield enter


def change(visitor: Visitor, *fields: tuple[str, str]) -> Shown:
    return visitor.submit(visitor.get(AT), AT, *fields)


def kept(site: Site) -> dict[str, str | None]:
    addresses: dict[str, str | None] = roster.read_person(site.rt, "tanaka")["addresses"]
    return addresses


def test_addresses_are_entered_kept_and_taken_away(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    assert "None is kept." in boss.get(AT).text
    shown = change(boss, ("slack", "u012ab3cd"), ("teams", HOOK))
    assert shown.path == AT
    assert dict(shown.fields(AT))["slack"] == "U012AB3CD"
    assert "Microsoft Teams</span> <bdi>prod-12.japaneast.logic.azure.com</bdi>" in shown.text
    assert "One is kept." in shown.text
    assert "verysecret" not in shown.text
    assert "verysecret" not in boss.get("/people").text
    change(boss, ("name", "田中 恵"))
    assert kept(site) == {"slack": "U012AB3CD", "teams": None}
    change(boss, ("slack", ""), ("teams", "-"))
    assert kept(site) == {}


def test_a_person_is_added_with_them(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    made = boss.submit(
        boss.get("/people/new"), "/people/new", ("id", "tanaka2"), ("name", "二"), ("slack", "W12345678")
    )
    assert made.path == "/people/tanaka2"
    assert roster.read_person(site.rt, "tanaka2")["addresses"] == {"slack": "W12345678"}


def test_what_is_no_address_is_said_at_its_field(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = change(boss, ("slack", "@tanaka"), ("teams", "https://evil.example/x"))
    assert shown.status == 422
    assert "This is no Slack member ID." in shown.text
    assert "evil.example is not among the hosts that may be called" in shown.text
    assert dict(shown.fields(AT))["slack"] == "@tanaka"
    assert kept(site) == {}


def test_two_who_change_different_addresses_lose_neither(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = boss.get(AT)
    theirs = PersonDraft(
        "tanaka", "田中 恵子", phone="090-1111-2222", groups=("fire",), addresses={"slack": "U012AB3CD"}
    )
    directory.put_person(site.rt, ADMIN, theirs)
    clash = boss.submit(shown, AT, ("teams", HOOK))
    assert clash.status == 409
    assert boss.submit(clash, AT).path == AT
    assert kept(site) == {"slack": "U012AB3CD", "teams": None}


def test_two_who_change_the_same_address_are_shown_both(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = boss.get(AT)
    theirs = PersonDraft(
        "tanaka", "田中 恵子", phone="090-1111-2222", groups=("fire",), addresses={"slack": "U012AB3CD"}
    )
    directory.put_person(site.rt, ADMIN, theirs)
    clash = boss.submit(shown, AT, ("slack", "U99999999"))
    assert clash.status == 409
    assert "<bdi>U012AB3CD</bdi>" in clash.text
    boss.submit(clash, AT)
    assert kept(site) == {"slack": "U99999999"}


def test_a_file_s_preview_shows_no_secret(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    text = f"id,name,slack,teams\ntanaka,田中 恵子,U012AB3CD,{HOOK}\nhana,花子,,{HOOK}\n"
    csrf = boss.get("/people/import").csrf
    assert "active,slack,teams" in boss.get("/people/import").text
    preview = Shown(
        boss.client.post("/people/import", data={"csrf": csrf}, files={"file": ("x.csv", text.encode(), "text/csv")})
    )
    assert "<dt>Slack member ID</dt>" in preview.text
    assert "<ins>(a secret)</ins>" in preview.text
    assert "verysecret" not in preview.text
    done = boss.submit(preview, f"{preview.path}/apply")
    assert "The file is imported." in done.text
    assert "verysecret" not in done.text
    assert kept(site) == {"slack": "U012AB3CD", "teams": None}


def test_plans_and_the_letter_box_name_them(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    admin = enter("admin")
    assert 'value="slack"' in admin.get("/plans/new").text
    assert "Microsoft Teams" in admin.get("/plans/new").text
    change(boss, ("slack", "U012AB3CD"))
    assert "Slack</strong> <span>U012AB3CD</span>" in enter("tanaka").get("/me").text
