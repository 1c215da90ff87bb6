"""People from a file, from choosing it to taking it back."""

import re

import pytest

from alertd.service import directory, roster
from alertd.service.directory import PersonDraft
from tests.web.pages.visitor import ADMIN, Enter, Shown, Site, Visitor

TEXT = "id,name,phone,active\ntanaka,田中 恵,090-3333-4444,true\nsmith,Anna Smith,,false\nhana,髙橋 花子 🌸,,true\n"
FORM = "/people/import"


def hand_in(visitor: Visitor, content: bytes, name: str = "職員.csv") -> Shown:
    csrf = visitor.get(FORM).csrf
    return Shown(visitor.client.post(FORM, data={"csrf": csrf}, files={"file": (name, content, "text/csv")}))


def press(visitor: Visitor, shown: Shown, what: str) -> Shown:
    return visitor.submit(shown, f"{shown.path}/{what}")


def name_of(site: Site, person: str) -> str:
    return str(roster.read_person(site.rt, person)["name"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp932"])
def test_a_file_is_looked_at_taken_in_and_taken_back(site: Site, enter: Enter, encoding: str) -> None:
    boss = enter("boss")
    text = TEXT if encoding != "cp932" else TEXT.replace(" 🌸", "")
    preview = hand_in(boss, text.encode(encoding))
    assert "職員.csv" in preview.text
    assert re.search(r"<del><bdi>\+819011112222</bdi></del>.*<ins><bdi>\+819033334444</bdi></ins>", preview.text)
    assert preview.text.index('id="deactivated-title"') < preview.text.index('id="made-title"')
    assert "髙橋 花子" in preview.text
    assert name_of(site, "tanaka") == "田中 恵子"
    done = press(boss, preview, "apply")
    assert "The file is imported." in done.text
    assert name_of(site, "tanaka") == "田中 恵"
    again = press(boss, preview, "apply")  # the back button, and pressed once more
    assert again.path == done.path
    assert "3 people would go back to what was there before." in again.text
    undone = press(boss, again, "undo")
    assert "This import was undone" in undone.text
    assert name_of(site, "tanaka") == "田中 恵子"
    assert "This import was undone" in press(boss, again, "undo").text
    assert undone.path in boss.get(FORM).text


def test_whoever_was_changed_meanwhile_is_seen_before_anything_happens(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    preview = hand_in(boss, TEXT.encode())
    directory.put_person(site.rt, ADMIN, PersonDraft("tanaka", "別の変更", phone="090-1111-2222", groups=("fire",)))
    stale = press(boss, preview, "apply")
    assert "Nothing was imported: somebody has changed people meanwhile." in stale.text
    assert "別の変更" in stale.text
    assert name_of(site, "tanaka") == "別の変更"
    done = press(boss, stale, "apply")
    assert name_of(site, "tanaka") == "田中 恵"
    directory.put_person(site.rt, ADMIN, PersonDraft("tanaka", "さらに", phone="090-1111-2222", groups=("fire",)))
    after = press(boss, boss.get(done.path), "undo")
    assert "was changed again since" in after.text
    assert name_of(site, "tanaka") == "さらに"


def test_rows_with_errors_are_named_and_nothing_can_be_taken_in(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    bad = "id,name,phone\ntanaka,改,12\n" + "x,\u202eevil,\ny," + "名" * 10_000 + ",\n"
    preview = hand_in(boss, bad.encode())
    assert preview.status == 200
    assert "This is no phone number." in preview.text
    assert "At most 200 characters." in preview.text
    assert "\u202e" not in preview.text
    assert f'action="{preview.path}/apply"' not in preview.text
    boss.post(f"{preview.path}/apply", ("csrf", preview.csrf), ("digest", "x"))
    assert name_of(site, "tanaka") == "田中 恵子"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "Choose a file that is not empty."),
        (b"PK\x03\x04\x14\x00\x06\x00", "This is no CSV file."),
        (b"name;id\nx;y\n", "not known: name;id"),
        (b"id,name\n", "There is nobody in this file."),
        (b"<html><script>alert(1)</script>\n", "not known: &lt;html&gt;"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_words(enter: Enter, content: bytes, told: str) -> None:
    refused = hand_in(enter("boss"), content, "<b>.xlsx")
    assert refused.status == 422
    assert told in refused.text
    assert "<b>" not in refused.text


def test_what_is_there_already_needs_nothing(enter: Enter) -> None:
    same = hand_in(enter("boss"), "id,name\ntanaka,田中 恵子\n".encode())
    assert "There is nothing to do." in same.text
    assert f'action="{same.path}/apply"' not in same.text


def test_many_differences_come_page_by_page(enter: Enter) -> None:
    boss = enter("boss")
    rows = "".join(f"n{number:03},新人 {number:03}\n" for number in range(130))
    first = hand_in(boss, b"id,name\n" + rows.encode())
    assert "100 of 130 are shown here." in first.text
    second = boss.get(f"{first.path}?from=100")
    assert "新人 129" in second.text
    assert "新人 099" not in second.text
    assert boss.get(f"{first.path}?from=x").status == boss.get(f"{first.path}?from=9999999999").status == 200


def test_a_form_of_another_kind_or_session_is_refused(enter: Enter) -> None:
    boss = enter("boss")
    csrf = boss.get(FORM).csrf
    assert boss.post(FORM, ("csrf", csrf)).status == 415
    forged = boss.client.post(FORM, data={"csrf": "0" * 64}, files={"file": ("a.csv", TEXT.encode())})
    assert forged.status_code == 403
    broken = boss.client.post(FORM, content=b"x", headers={"content-type": "multipart/form-data"})
    assert broken.status_code == 400
    viewer = enter("viewer")
    assert viewer.get(FORM).status == 403
    assert boss.get(f"{FORM}/nothing").status == 404
