"""Lists of people that are looked at before they are taken in, and taken back."""

from datetime import timedelta

import pytest

from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.roles import Role
from alertd.service import directory, imports
from alertd.service.directory import PersonDraft
from alertd.service.importing import import_people
from alertd.service.roster import read_person
from alertd.service.runtime import Runtime
from alertd.store import imports as stored
from tests.installation import BOSS, Clock, actor, group, settle

HEADER = "id,name,email,phone,language,groups,active\n"


def hand_in(rt: Runtime, text: str, file: str = "list.csv") -> str:
    return imports.hand_in(rt, BOSS, file, text.encode())


def take_in(rt: Runtime, import_id: str) -> bool:
    return imports.apply(rt, BOSS, import_id, imports.read_import(rt, import_id)["preview"]["digest"])


def state(rt: Runtime, person_id: str) -> dict[str, object]:
    person = read_person(rt, person_id)
    return {name: person[name] for name in ("name", "email", "phone", "language", "groups", "active")}


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    group(rt, "fire")
    group(rt, "school")
    settle(rt, "taro", name="太郎", phone="090-1111-2222", groups=("fire",))
    settle(rt, "hana", name="花子")
    settle(rt, "same", name="同じ")
    return rt


TEXT = (
    HEADER
    + "taro,太郎 改,,090-3333-4444,en,school,true\n"
    + "hana,花子,hana@example.jp,,ja,,false\n"
    + "same,同じ,same@example.jp,,ja,,true\n"
    + "nina,新人,nina@example.jp,,ja,fire,true\n"
)


def test_the_differences_are_shown_field_by_field_and_nothing_is_changed(town: Runtime) -> None:
    before = {person: read_person(town, person) for person in ("taro", "hana", "same")}
    draft = imports.read_import(town, hand_in(town, TEXT))
    preview = draft["preview"]
    (changed,), (gone,), (made,) = preview["changed"], preview["deactivated"], preview["made"]
    assert (changed["id"], changed["row"]) == ("taro", 2)
    assert changed["fields"] == ["name", "email", "phone", "language", "groups"]
    assert (changed["before"]["phone"], changed["after"]["phone"]) == ("+819011112222", "+819033334444")
    assert (gone["id"], gone["fields"]) == ("hana", ["active"])
    assert (made["id"], made["before"], made["after"]["groups"]) == ("nina", None, ["fire"])
    assert draft["counts"] == {"made": 1, "changed": 2, "unchanged": 1}
    assert {person: read_person(town, person) for person in before} == before
    assert imports.list_imports(town) == []


def test_what_was_taken_in_goes_back(town: Runtime) -> None:
    before = {person: state(town, person) for person in ("taro", "hana", "same")}
    ways = read_person(town, "taro")["ways"]
    draft = hand_in(town, TEXT)
    assert take_in(town, draft)
    assert state(town, "taro")["groups"] == ["school"]
    assert not read_person(town, "hana")["active"]
    assert imports.read_import(town, draft)["text"] is None
    foreseen = imports.foresee_undo(town, BOSS, draft)
    assert foreseen.back.keys() == {"taro", "hana", "nina"}
    assert imports.undo(town, BOSS, draft) == foreseen
    assert {person: state(town, person) for person in before} == before
    assert read_person(town, "taro")["ways"] == ways
    assert not read_person(town, "nina")["active"]
    assert imports.read_import(town, draft)["kept"] == []


def test_a_second_press_changes_nothing(town: Runtime) -> None:
    draft = hand_in(town, TEXT)
    digest = imports.read_import(town, draft)["preview"]["digest"]
    assert imports.apply(town, BOSS, draft, digest)
    version = read_person(town, "taro")["version"]
    assert imports.apply(town, BOSS, draft, digest)
    assert read_person(town, "taro")["version"] == version
    imports.undo(town, BOSS, draft)
    version = read_person(town, "taro")["version"]
    with pytest.raises(Conflict):
        imports.undo(town, BOSS, draft)
    assert read_person(town, "taro")["version"] == version


def test_what_was_looked_at_is_what_is_taken_in(town: Runtime) -> None:
    draft = hand_in(town, TEXT)
    digest = imports.read_import(town, draft)["preview"]["digest"]
    directory.put_person(town, BOSS, PersonDraft("same", "もう違う", email="same@example.jp"))
    assert not imports.apply(town, BOSS, draft, digest)
    assert state(town, "taro")["name"] == "太郎"
    seen = imports.read_import(town, draft)["preview"]
    assert {each["id"] for each in seen["changed"]} == {"taro", "same"}
    assert imports.apply(town, BOSS, draft, seen["digest"])
    assert state(town, "same")["name"] == "同じ"


def test_what_was_taken_in_meanwhile_is_no_draft_any_more(town: Runtime) -> None:
    draft = hand_in(town, TEXT)
    take_in(town, draft)
    before = imports.read_import(town, draft)
    with town.store.write() as connection:
        stored.preview(connection, draft, {"counts": {}, "preview": {}})
    assert imports.read_import(town, draft) == before


def test_whoever_was_changed_since_is_left_as_they_are(town: Runtime) -> None:
    draft = hand_in(town, TEXT)
    take_in(town, draft)
    directory.put_person(town, BOSS, PersonDraft("taro", "太郎", phone="090-9999-0000", groups=("school",)))
    directory.take_self_test(town, actor("nina"), True)  # nothing that an import changes
    assert imports.foresee_undo(town, BOSS, draft).left == {"taro": imports.CHANGED}
    done = imports.undo(town, BOSS, draft)
    assert (set(done.back), done.left) == ({"hana", "nina"}, {"taro": imports.CHANGED})
    assert state(town, "taro")["phone"] == "+819099990000"
    assert imports.read_import(town, draft)["kept"] == [{"id": "taro", "why": imports.CHANGED}]


def test_imports_are_undone_one_after_another(town: Runtime) -> None:
    before = state(town, "taro")
    first, second = hand_in(town, "id,name\ntaro,一\n"), None
    take_in(town, first)
    second = hand_in(town, "id,name\ntaro,二\n")
    take_in(town, second)
    assert imports.foresee_undo(town, BOSS, first).left == {"taro": imports.CHANGED}
    imports.undo(town, BOSS, second)
    imports.undo(town, BOSS, first)
    assert state(town, "taro") == before


def test_an_import_by_command_can_be_undone_too(town: Runtime) -> None:
    import_people(town, BOSS, "id,name\ntaro,改\n", dry_run=False)
    (listed,) = imports.list_imports(town)
    imports.undo(town, BOSS, listed["id"])
    assert state(town, "taro")["name"] == "太郎"


def test_nobody_undoes_what_is_above_them_nor_locks_themselves_out(town: Runtime) -> None:
    settle(town, "chief", name="長", role="admin")
    take_in(town, draft := hand_in(town, "id,name\nchief,長官\nboss2,新しい課長\n"))
    manager = actor("boss2", Role.MANAGER)
    told = imports.foresee_undo(town, manager, draft)
    assert told.left == {"chief": imports.HIGHER, "boss2": imports.ONESELF}
    report = import_people(town, actor("hana", Role.MANAGER), "id,name,active\nhana,花子,no\n", dry_run=True)
    assert [(row, field) for row, field, _ in report.errors] == [(2, "active")]


def test_errors_keep_everything_out(town: Runtime) -> None:
    draft = hand_in(town, HEADER + "taro,改,,12,ja,nowhere,true\n")
    assert [error[:2] for error in imports.read_import(town, draft)["preview"]["errors"]] == [
        [2, "groups"],
        [2, "phone"],
    ]
    assert not take_in(town, draft)
    assert state(town, "taro")["name"] == "太郎"


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04\x14\x00\x06\x00", b"%PDF-1.7\n%\xe2\xe3", b"\xff\xfei\x00d\x00"])
def test_a_file_of_another_kind_is_refused(town: Runtime, raw: bytes) -> None:
    with pytest.raises(Invalid):
        imports.hand_in(town, BOSS, "people.xlsx", raw)


def test_drafts_are_forgotten_and_what_was_taken_in_is_not(town: Runtime, clock: Clock) -> None:
    draft, kept = hand_in(town, "id,name\ntaro,改\n"), hand_in(town, "id,name\nhana,改\n")
    take_in(town, kept)
    clock.move(seconds=(imports.DRAFT_LIFE + timedelta(seconds=1)).total_seconds())
    hand_in(town, "id,name\nhana,又\n", "名" * 10_000)
    with pytest.raises(NotFound):
        imports.read_import(town, draft)
    assert [each["id"] for each in imports.list_imports(town)] == [kept]
    with pytest.raises(NotFound):
        imports.undo(town, BOSS, draft)


def test_a_draft_has_nothing_to_undo(town: Runtime) -> None:
    with pytest.raises(Invalid):
        imports.undo(town, BOSS, hand_in(town, TEXT))
