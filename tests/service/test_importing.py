"""People from a CSV file: whole or not at all, as Excel writes it."""

from pathlib import Path

import pytest

from alertd.core.errors import DiskFull, Invalid
from alertd.core.roles import Role
from alertd.service import directory, posting
from alertd.service.importing import Report, decode, import_people
from alertd.service.runtime import Runtime
from alertd.store.ballast import Ballast
from tests.installation import BOSS, actor, draft, group, settle

HEADER = "id,name,email,phone,language,groups,active\n"


def take_in(rt: Runtime, text: str, *, dry_run: bool = False) -> Report:
    return import_people(rt, BOSS, text, dry_run=dry_run)


def listed(rt: Runtime) -> dict[str, dict[str, object]]:
    return {each["id"]: each for each in directory.list_people(rt, after=None, limit=100) if each["id"] != "boss"}


def errors(rt: Runtime, text: str) -> list[tuple[int, str]]:
    """(row, field) of what is wrong; nothing was changed."""
    before = listed(rt)
    report = take_in(rt, text)
    assert not report.applied
    assert listed(rt) == before
    return [(row, field) for row, field, _ in report.errors]


class TestDecoding:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
    def test_it_is_read_however_it_was_saved(self, encoding: str) -> None:
        text = "id,name\ntaro,髙橋 ①太郎\n"
        assert decode(text.encode(encoding)) == text

    def test_what_is_neither_is_refused(self) -> None:
        with pytest.raises(Invalid, match="neither UTF-8 nor cp932"):
            decode(b"id,name\n\x81")


def test_everything_about_a_person_is_taken_in(rt: Runtime) -> None:
    group(rt, "fire")
    group(rt, "school")
    report = take_in(rt, HEADER + "taro,太郎,taro@example.jp,０９０-1234-5678,en,fire;school,有効\nhanako,花子,,,,,×\n")
    assert (report.applied, report.made) == (True, ["taro", "hanako"])
    untouched = {"role": "staff", "takes_self_test": False, "quiet_hours": None}
    assert listed(rt) == {
        "taro": {"id": "taro", "name": "太郎", "email": "taro@example.jp", "phone": "+819012345678", "language": "en",
                 "groups": ["fire", "school"], "active": True, **untouched},
        "hanako": {"id": "hanako", "name": "花子", "email": None, "phone": None, "language": "ja", "groups": [],
                   "active": False, **untouched},
    }  # fmt: skip


def test_a_dry_run_tells_the_difference_and_changes_nothing(rt: Runtime) -> None:
    settle(rt, "same", name="同じ", email=None)
    settle(rt, "other", name="前", email=None)
    text = HEADER + "same,同じ,,,,,\nother,後,,090-1234-5678,en,,\nnina,新,,,,,\n"
    before = listed(rt)
    told = take_in(rt, text, dry_run=True)
    assert listed(rt) == before
    assert told.as_json() == {
        "applied": False, "made": ["nina"], "changed": [{"id": "other", "fields": ["name", "phone", "language"]}],
        "unchanged": 1, "errors": [],
    }  # fmt: skip
    done = take_in(rt, text)
    assert done.as_json() == {**told.as_json(), "applied": True}
    assert take_in(rt, text).as_json() == {
        "applied": True, "made": [], "changed": [], "unchanged": 3, "errors": [],
    }  # fmt: skip


def test_who_is_not_in_the_file_stays(rt: Runtime) -> None:
    settle(rt, "taro")
    take_in(rt, HEADER + "hanako,花子,,,,,\n")
    assert listed(rt).keys() == {"taro", "hanako"}


def test_every_bad_row_is_named_and_nothing_is_changed(rt: Runtime) -> None:
    settle(rt, "taro", name="太郎")
    assert errors(
        rt,
        HEADER
        + "taro,改名,,,,,\n"  # good, and not taken in
        + "-bad,x,,,,,\n"
        + "a, ,no address,12,fr,nowhere,perhaps\n"
        + "\n"
        + "short,x\n"
        + "taro,again,,,,,\n"
        + 'b,"line\nbreak",,,,,\n'
        + "c,tab\x07,,,,,\n",
    ) == [
        (3, "id"), (4, "active"), (4, "email"), (4, "groups"), (4, "language"), (4, "name"), (4, "phone"), (6, "row"),
        (7, "id"), (8, "name"), (9, "name"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "header"),
        ("name\nx\n", "header"),
        ("id,name,colour\na,b,c\n", "header"),
        ("id,name,id\na,b,c\n", "header"),
        ("id,name\n", "file"),
        ("id,name\na,b\0\n", "file"),
        ('id,name\na,"b\n', "file"),
        ('id,name\na,"b"c\n', "file"),
    ],
)
def test_a_file_that_is_no_list_of_people_is_refused_as_a_whole(rt: Runtime, text: str, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        take_in(rt, text)
    assert refusal.value.details[0][0] == field


def test_columns_may_stand_in_any_order_and_cells_in_quotes(rt: Runtime) -> None:
    take_in(rt, '\ufeffNAME , ID\r\n"髙橋, ""太郎""",taro\r\n'.lstrip("\ufeff"))
    assert listed(rt)["taro"]["name"] == '髙橋, "太郎"'


def test_nobody_takes_in_somebody_mightier_than_themselves(rt: Runtime) -> None:
    settle(rt, "chief", role="admin", name="長")
    manager = actor("manager", Role.MANAGER)
    report = import_people(rt, manager, HEADER + "chief,偽,,,,,\n", dry_run=False)
    assert [(row, name) for row, name, _ in report.errors] == [(2, "id")]
    assert listed(rt)["chief"]["name"] == "長"
    # Left as they are, they do not stand in the way of the others.
    assert import_people(rt, manager, "id,name\nchief,長\nnina,新人\n", dry_run=False).made == ["nina"]


def test_a_column_that_is_not_there_says_nothing(rt: Runtime) -> None:
    group(rt, "fire")
    settle(rt, "taro", phone="090-1234-5678", email="taro@example.jp", groups=("fire",))
    assert take_in(rt, "id,name\ntaro,太郎 改\n").changed == {"taro": ["name"]}
    kept = listed(rt)["taro"]
    assert (kept["phone"], kept["email"], kept["groups"]) == ("+819012345678", "taro@example.jp", ["fire"])
    assert take_in(rt, "id,name,phone\ntaro,太郎 改,\n").changed == {"taro": ["phone"]}


def test_ten_thousand_rows_are_taken_in_and_then_found_unchanged(rt: Runtime) -> None:
    group(rt, "fire")
    text = HEADER + "".join(
        f"p{number},職員 {number},p{number}@example.jp,090-1234-{number:04},ja,fire,true\n" for number in range(10_000)
    )
    assert len(take_in(rt, text).made) == 10_000
    assert take_in(rt, text).unchanged == 10_000
    assert directory.list_groups(rt)[0]["members"] == 10_000
    assert posting.check(rt, draft()).ways == {"webpush": 0, "sms": 10_000, "email": 10_000}


def test_a_full_disk_takes_nobody_in(rt: Runtime, tmp_path: Path) -> None:
    settle(rt, "taro")
    rt.store.ballast = Ballast(tmp_path / "ballast", 1024)  # not in place
    with pytest.raises(DiskFull):
        take_in(rt, "id,name\nhana,花\n")
    with pytest.raises(DiskFull):
        settle(rt, "hana")
    assert import_people(rt, actor("manager", Role.MANAGER), "id,name\nhana,花\n", dry_run=True).made == ["hana"]
    assert set(listed(rt)) >= {"taro"}
    assert "hana" not in listed(rt)
