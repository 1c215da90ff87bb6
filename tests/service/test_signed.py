"""A source whose signatures are believed: what is proved goes its own way, and nothing else can stand for it."""

from typing import Any

import pytest

from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.roles import Role
from alertd.service import sources, watching
from alertd.service.runtime import Runtime
from alertd.sources.base import Unreadable
from tests.installation import BOSS, Clock, actor
from tests.installation import settle as move_in
from tests.sources.signing import AGENCY, AUTHORITY, SIGNED, STRANGER
from tests.sources.test_cap import REFERENCES, message

CHIEF = actor("chief", Role.MANAGER)
RULES = """
[[rule]]
name = "proved"
source = "cap"
do = "alert"
audience = { everyone = true }
[rule.when]
signed = true
"""
REST = '[[rule]]\nname = "rest"\nsource = "cap"\ndo = "draft"\naudience = { everyone = true }\n'
LATER = "2026-11-22T19:00:00+09:00"


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    move_in(rt, "taro", phone="090-0000-0001")
    move_in(rt, "chief", phone="090-0000-0009", role="manager")
    sources.make_source(rt, BOSS, "cap", "cap")
    sources.set_certificates(rt, BOSS, "cap", AGENCY.pem)
    sources.save_book(rt, BOSS, RULES + REST)
    return rt


def receive(rt: Runtime, raw: bytes) -> tuple[str, str]:
    assert isinstance(rt.now, Clock)
    rt.now.move(milliseconds=1)
    [taken] = sources.receive(rt, "cap", raw)
    return str(taken["action"]), str(taken["reason"])


def alerts(rt: Runtime) -> list[tuple[str, str]]:
    return [(each["title"], each["state"]) for each in watching.read_alerts(rt, BOSS, before=None, limit=50)]


def seen(rt: Runtime) -> dict[str, Any]:
    return sources.list_observations(rt, limit=1)[0]


def test_what_is_signed_alerts_and_says_by_whom(town: Runtime) -> None:
    assert receive(town, SIGNED) == ("alert", "signed")
    assert seen(town)["signed_by"].startswith("CN=bousai.city.example (SHA-256 ")
    assert alerts(town) == [("津波警報", "active")]
    assert receive(town, SIGNED) == ("ignore", "repeated")


def test_a_copy_without_its_signature_neither_alerts_nor_stands_in_the_way(town: Runtime) -> None:
    assert receive(town, message().encode()) == ("draft", "rule")
    assert seen(town)["signed_by"] == ""
    assert alerts(town) == []
    assert receive(town, SIGNED) == ("alert", "signed")
    assert alerts(town) == [("津波警報", "active")]


@pytest.mark.parametrize("kind", ["Update", "Cancel"])
def test_only_what_is_signed_follows_what_is_signed(town: Runtime, kind: str) -> None:
    sources.save_book(town, BOSS, RULES)
    receive(town, SIGNED)
    follows = message(identifier="a-3", sent=LATER, kind=kind, references=REFERENCES).replace("高台へ", "低地から")
    assert receive(town, follows.encode()) == ("ignore", "unsigned")
    assert alerts(town) == [("津波警報", "active")]
    action = "update" if kind == "Update" else "stand-down"
    assert receive(town, AGENCY.sign(follows))[0] == action
    assert alerts(town) == [("津波警報", "active" if kind == "Update" else "cancelled")]


def told(rt: Runtime) -> int:
    """How many notices the managers got."""
    return sum("[SYSTEM]" in each["title"] for each in watching.read_inbox(rt, CHIEF))


@pytest.mark.parametrize("raw", [STRANGER.sign(message()), SIGNED.replace("高台".encode(), "低地".encode())])
def test_a_signature_that_does_not_hold_is_refused_and_managers_hear_of_it(
    town: Runtime, clock: Clock, raw: bytes
) -> None:
    for _ in range(2):
        with pytest.raises(Unreadable, match="the signature does not hold"):
            sources.receive(town, "cap", raw)
    assert sources.list_observations(town, limit=9) == []
    [source] = sources.list_sources(town)
    assert "the signature does not hold" in source["fault"]
    assert told(town) == 1
    clock.move(minutes=11)
    with pytest.raises(Unreadable):
        sources.receive(town, "cap", raw)
    assert told(town) == 2
    assert receive(town, SIGNED) == ("alert", "signed")


def test_certificates_are_shown_as_what_they_are(town: Runtime) -> None:
    sources.set_certificates(town, BOSS, "cap", AUTHORITY.pem + AGENCY.pem)
    [source] = sources.list_sources(town)
    assert [(each["subject"], each["is_authority"]) for each in source["certificates"]] == [
        ("CN=CA of the prefecture", True),
        ("CN=bousai.city.example", False),
    ]
    assert source["certificates"][1]["begins_at"] == "2026-01-01T00:00:00+00:00"
    pem = sources.read_pem(town, "cap")
    assert f"# CN=bousai.city.example (SHA-256 {source['certificates'][1]['sha256']})\n{AGENCY.pem}" in pem
    assert sources.set_certificates(town, BOSS, "cap", pem) == source["certificates"]


def test_what_could_never_be_proved_is_not_asked_for(town: Runtime) -> None:
    with pytest.raises(Conflict, match="'proved' asks for signatures"):
        sources.set_certificates(town, BOSS, "cap", "")
    sources.save_book(town, BOSS, REST)
    assert sources.set_certificates(town, BOSS, "cap", "") == []
    sources.make_source(town, BOSS, "own", "program")
    for book, words in (
        (RULES, "nobody's signature is believed"),
        (RULES.replace("cap", "own"), "only for sources of"),
    ):
        with pytest.raises(Invalid) as caught:
            sources.save_book(town, BOSS, book)
        [(field, told)] = caught.value.details
        assert (field, words in told) == ("rule.0.when.signed", True)
    for source, pem, fault in (("own", AGENCY.pem, Invalid), ("cap", "x", Invalid), ("nobody", "", NotFound)):
        with pytest.raises(fault):
            sources.set_certificates(town, BOSS, source, pem)
