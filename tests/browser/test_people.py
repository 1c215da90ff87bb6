"""The pages about people in a browser: with the keyboard alone, in every look, and when two change the same person."""

import secrets

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, Visitor
from tests.browser.test_accessibility import LOOKS, Looks, complaints
from tests.browser.town import Town


def somebody(town: Town, **more: object) -> str:
    """A person of this test's own; their id."""
    person = f"p-{secrets.token_hex(4)}"
    body = {"name": f"試験 {person}", "email": f"{person}@example.jp", "language": "ja", "groups": ["bousai"], **more}
    town.call("PUT", f"/people/{person}", body)
    return person


def reach(page: Page, text: str, most: int = 60) -> None:
    """Press Tab until what has the focus is called so."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "() => { const e = document.activeElement;"
            " return (e.labels?.[0]?.textContent || e.textContent || e.value || '').trim(); }"
        )
        if text in focused:
            return
    pytest.fail(f"the keyboard does not reach {text!r}")


def test_somebody_is_found_and_changed_with_the_keyboard_alone(town: Town, visit: Visitor) -> None:
    person = somebody(town)
    page = visit("boss", viewport=DESKTOP)
    page.goto(f"{town.url}/people")
    reach(page, "氏名・ID")
    page.keyboard.type(person)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("1人")
    reach(page, f"試験 {person}")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(f"試験 {person}")
    reach(page, "氏名")
    page.keyboard.press("Control+A")
    page.keyboard.type("改名 🌸")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("保存しました")
    expect(page.locator("h1")).to_have_text("改名 🌸")


def test_two_managers_change_the_same_person(town: Town, visit: Visitor) -> None:
    person = somebody(town)
    first, second = visit("boss"), visit("admin")
    for page in (first, second):
        page.goto(f"{town.url}/people/{person}?lang=ja")
    second.get_by_label("氏名").fill("管理者の名")
    second.get_by_label("携帯電話").fill("090-5555-6666")
    second.get_by_role("button", name="保存する").click()
    first.get_by_label("氏名").fill("課長の名")
    first.get_by_role("button", name="保存する").click()
    expect(first.get_by_role("alert")).to_contain_text("まだ保存されていません")
    expect(first.locator("#theirs-name")).to_contain_text("管理者の名")
    expect(first.get_by_label("氏名")).to_have_value("課長の名")
    expect(first.get_by_label("携帯電話")).to_have_value("+819055556666")
    assert complaints(first) == []
    first.get_by_role("button", name="保存する").click()
    expect(first.locator("h1")).to_have_text("課長の名")
    expect(first.get_by_label("携帯電話")).to_have_value("+819055556666")


def choose(page: Page, town: Town, text: str) -> None:
    """Hand a file in, as one picks it."""
    page.goto(f"{town.url}/people/import")
    page.locator("#file").set_input_files({"name": "職員.csv", "mimeType": "text/csv", "buffer": text.encode()})
    page.locator("button.big").click()
    page.wait_for_url("**/people/import/*")


def test_a_file_is_taken_in_once_however_often_it_is_pressed(town: Town, visit: Visitor) -> None:
    person = somebody(town)
    page = visit("boss")
    choose(page, town, f"id,name\n{person},名前が変わる\n")
    expect(page.locator(".diff ins")).to_have_text("名前が変わる")
    page.get_by_role("button", name="取り込む", exact=True).dblclick()
    expect(page.get_by_role("status")).to_contain_text("ファイルを取り込みました")
    page.go_back()
    expect(page.locator("h1")).to_have_text("取り込み済み")
    page.get_by_role("button", name="この取り込みを取り消す").dblclick()
    expect(page.locator("h1")).to_have_text("取り消し済み")
    page.goto(f"{town.url}/people/{person}")
    expect(page.locator("h1")).to_have_text(f"試験 {person}")


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_an_import_in_every_look(town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]) -> None:
    person, other = somebody(town), somebody(town)
    page = visit("boss", color_scheme=theme, viewport=size)
    look = Looks(page)
    page.goto(f"{town.url}/people/import?lang={language}")
    page.locator("summary").click()
    look("form")
    page.locator("#file").set_input_files({"name": "x.pdf", "mimeType": "text/csv", "buffer": b"%PDF-1.7"})
    page.locator("button.big").click()
    page.get_by_role("alert").wait_for()
    look("another kind")
    choose(page, town, "id,name,phone\n" + f"{person},{'長' * 300},12\n")
    look("errors")
    rows = f"{person},{'長' * 200},090-1234-0000,yes\n{other},改,,no\n{person}-new,新人,,yes\n"
    choose(page, town, f"id,name,phone,active\n{rows}")
    look("preview")
    page.locator(".go button").click()
    page.get_by_role("status").wait_for()
    town.call("PUT", f"/people/{other}", {"name": "さらに", "language": "ja", "groups": []})
    page.reload()
    look("done")
    page.locator("button.quiet").click()
    page.get_by_role("status").wait_for()
    look("undone")
    look.assert_nothing_found()


@pytest.mark.parametrize(("language", "theme", "size"), LOOKS)
def test_the_list_and_a_person_in_every_look(
    town: Town, visit: Visitor, language: str, theme: str, size: dict[str, int]
) -> None:
    nowhere = somebody(town, name="長" * 200, email=None, active=False)
    page = visit("boss", color_scheme=theme, viewport=size)
    found = {}
    for path in (
        "/people",
        "/people?q=nobody",
        "/people?lacks=address",
        "/people/new",
        "/people/boss",
        f"/people/{nowhere}",
    ):
        page.goto(f"{town.url}{path}{'&' if '?' in path else '?'}lang={language}")
        found[path] = complaints(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.goto(f"{town.url}/people/new")
    page.locator("#name").fill("\u202e名")
    page.locator("button.big").click()
    assert page.locator(".fault").count() > 1
    found["refused"] = complaints(page)
    assert {path: each for path, each in found.items() if each} == {}
