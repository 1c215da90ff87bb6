"""Signing in and out, and what protects the forms of those who have."""

from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from alertd.service import access
from alertd.web.limits import BAD_CREDENTIALS, SIGN_INS
from tests.web.pages.visitor import ADMIN, URL, Enter, Site


# Signing in
def test_whoever_has_not_signed_in_is_taken_to_it_and_back(site: Site, enter: Enter) -> None:
    access.set_password(site.rt, ADMIN, "boss", "correct horse")
    visitor = enter(None)
    shown = visitor.get("/board?before=1")
    assert shown.path == "/sign-in"
    after = visitor.submit(shown, "/sign-in", ("person", "boss"), ("password", "correct horse"))
    assert after.path == "/board"
    assert after.response.url.query == b"before=1"


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x", "x"])
def test_signing_in_leads_nowhere_else(site: Site, enter: Enter, wanted: str) -> None:
    access.set_password(site.rt, ADMIN, "boss", "correct horse")
    after = enter(None).post("/sign-in", ("person", "boss"), ("password", "correct horse"), ("next", wanted))
    assert (after.status, after.path) == (200, "/board")


def test_an_unknown_person_and_a_wrong_password_get_the_same_answer(site: Site, enter: Enter) -> None:
    access.set_password(site.rt, ADMIN, "boss", "correct horse")
    visitor = enter(None)
    wrong = visitor.post("/sign-in", ("person", "boss"), ("password", "wrong horse"))
    unknown = visitor.post("/sign-in", ("person", "boss2"), ("password", "wrong horse"))
    assert wrong.status == unknown.status == 401
    assert wrong.text == unknown.text.replace("boss2", "boss")


def test_too_many_tries_for_one_person_are_refused(enter: Enter) -> None:
    visitor = enter(None)
    answers = [visitor.post("/sign-in", ("person", "boss"), ("password", "x")) for _ in range(SIGN_INS.amount + 1)]
    assert [answer.status for answer in answers] == [401] * SIGN_INS.amount + [429]
    assert visitor.post("/sign-in", ("person", "tanaka"), ("password", "x")).status == 401


def test_looking_at_a_link_does_not_spend_it(site: Site, enter: Enter) -> None:
    link = f"/sign-in/{access.create_link(site.rt, ADMIN, 'tanaka').secret}"
    visitor = enter(None)
    for _ in range(2):
        shown = visitor.get(link)
        assert shown.status == 200
        assert "田中 恵子" in shown.text
        assert visitor.client.head(link).status_code == 200
    assert visitor.get("/me").path == "/sign-in"
    assert visitor.post(link).path == "/me/setup"
    spent = enter(None).post(link)
    assert spent.status == 401
    assert "used before" in spent.text


def test_a_link_whose_answer_was_lost_signs_the_same_browser_in_again(site: Site, enter: Enter) -> None:
    link = f"/sign-in/{access.create_link(site.rt, ADMIN, 'tanaka').secret}"
    phone, other = enter(None), enter(None)
    for each in (phone, other):
        assert "田中 恵子" in each.get(link).text
    assert phone.post(link).path == "/me/setup"
    del phone.client.cookies["alertd"]  # it never arrived, or a second tap came before it
    assert "田中 恵子" in phone.get(link).text
    assert phone.post(link).path == "/me/setup"
    assert (other.get(link).status, other.post(link).status) == (401, 401)
    phone.submit(phone.get("/me/settings"), "/sign-out")
    assert (phone.get(link).status, phone.post(link).status) == (401, 401)


def test_bad_links_of_one_network_are_counted_together(site: Site) -> None:
    def knock(address: str) -> int:
        return TestClient(site.app, base_url=URL, client=(address, 1)).get("/sign-in/nothing").status_code

    tried = [knock(f"2001:db8:1:2::{number:x}") for number in range(BAD_CREDENTIALS.amount + 1)]
    assert tried == [401] * BAD_CREDENTIALS.amount + [429]
    assert [knock("2001:db8:1:3::1"), knock("::ffff:192.0.2.1"), knock("192.0.2.1")] == [401] * 3


def test_signing_out_ends_the_session(enter: Enter) -> None:
    visitor = enter("tanaka")
    shown = visitor.get("/me/settings")
    cookie = dict(visitor.client.cookies)
    assert visitor.submit(shown, "/sign-out").path == "/sign-in"
    visitor.client.cookies.update(cookie)
    assert visitor.get("/me").path == "/sign-in"


def test_an_answer_without_scripts_after_the_session_has_ended_is_told_to_be_given_again(
    site: Site, enter: Enter
) -> None:
    alert = site.post()
    visitor = enter("tanaka")
    shown = visitor.get("/me")
    visitor.submit(visitor.get("/me/settings"), "/sign-out")
    refused = visitor.submit(shown, f"/me/alerts/{alert}")
    assert refused.status == 401
    assert "Your answer was NOT taken" in refused.text
    assert f'href="/sign-in?next=/me/alerts/{alert}"' in refused.text
    assert site.counts(alert)["acknowledged"] == 0


def test_a_new_password_works(site: Site, enter: Enter) -> None:
    visitor = enter("tanaka")
    shown = visitor.get("/me/settings")
    differ = visitor.submit(shown, "/me/settings", ("password", "long enough 1"), ("again", "long enough 2"))
    assert differ.status == 422
    short = visitor.submit(shown, "/me/settings", ("password", "short"), ("again", "short"))
    assert short.status == 422
    assert "10 to 200" in short.text
    saved = visitor.submit(shown, "/me/settings", ("password", "long enough 1"), ("again", "long enough 1"))
    assert "saved" in saved.text
    assert access.open_session_by_password(site.rt, "tanaka", "long enough 1").id


# Forms of signed-in pages
@pytest.mark.parametrize(
    ("person", "path"),
    [
        ("boss", "/posts/new"),
        ("boss", "/alerts/{alert}/answers"),
        ("tanaka", "/me/alerts/{alert}"),
        ("tanaka", "/me/settings"),
        ("tanaka", "/sign-out"),
    ],
)
def test_a_form_of_another_session_or_site_is_refused(site: Site, enter: Enter, person: str, path: str) -> None:
    alert = site.post()
    visitor, path = enter(person), path.format(alert=alert)
    other = enter("smith").get("/me").csrf
    assert visitor.post(path).status == 403
    assert visitor.post(path, ("csrf", other), ("person", "tanaka")).status == 403
    own = visitor.get("/me").csrf
    assert visitor.post(path, ("csrf", own), ("person", "tanaka"), origin="https://evil.example").status == 403
    assert visitor.post(path, ("csrf", own), ("person", "tanaka"), origin="null").status == 403
    assert site.counts(alert)["acknowledged"] == 0


@pytest.mark.parametrize("path", ["/posts/new", "/alerts/{alert}/people", "/alerts/{alert}/report"])
def test_staff_may_not_write_or_watch(site: Site, enter: Enter, path: str) -> None:
    assert enter("tanaka").get(path.format(alert=site.post())).status == 403


def test_the_address_of_an_alert_leads_staff_to_what_they_have_to_answer(site: Site, enter: Enter) -> None:
    """It stands where everybody reads: in Garoon's comments, in a kintone record."""
    alert = site.post()
    shown = enter("tanaka").get(f"/alerts/{alert}")
    assert (shown.status, shown.path) == (200, f"/me/alerts/{alert}")
    assert enter("tanaka").get("/alerts/nothing").status == 404


def test_the_start_page_is_the_one_that_its_reader_needs(enter: Enter) -> None:
    assert [enter(person).get("/").path for person in ("boss", "viewer", "tanaka")] == ["/board", "/board", "/me"]


def test_changing_a_password_takes_the_one_there_is(site: Site, enter: Enter) -> None:
    access.set_password(site.rt, ADMIN, "tanaka", "long enough 1")
    visitor = enter("tanaka")
    shown = visitor.get("/me/settings")
    new = (("password", "long enough 2"), ("again", "long enough 2"))
    assert visitor.submit(shown, "/me/settings", *new).status == 422
    assert visitor.submit(shown, "/me/settings", ("current", "not mine at all"), *new).status == 422
    assert access.open_session_by_password(site.rt, "tanaka", "long enough 1").id
    assert visitor.submit(shown, "/me/settings", ("current", "long enough 1"), *new).status == 200
    assert access.open_session_by_password(site.rt, "tanaka", "long enough 2").id


@pytest.mark.parametrize("path", ["/posts/new", "/alerts/{alert}/update", "/alerts/{alert}/call-off"])
def test_what_was_written_is_still_there_when_the_session_has_ended(site: Site, enter: Enter, path: str) -> None:
    path = path.format(alert=site.post())
    typed = (("title", "川が<氾濫>"), ("body", "高台へ"), ("password", "secret words"))
    boss = enter("boss")
    csrf = boss.get("/board").csrf
    other_session = boss.post(path, ("csrf", "0" * 64), *typed)
    boss.client.cookies.clear()
    signed_out = boss.post(path, ("csrf", csrf), *typed)
    for refused, status in ((other_session, 403), (signed_out, 401)):
        assert refused.status == status
        kept = refused.text[refused.text.index('<textarea id="written"') :]
        assert "川が&lt;氾濫&gt;\n\n高台へ" in kept
        assert "secret" not in refused.text
    assert "高台へ" not in boss.post(path, *typed, origin="https://evil.example").text


@pytest.mark.parametrize(("person", "start"), [("tanaka", "/me"), ("boss", "/board")])
def test_whoever_opens_the_app_now_and_then_stays_signed_in(site: Site, enter: Enter, person: str, start: str) -> None:
    visitor = enter(person)
    assert "set-cookie" not in visitor.get(start).headers
    for _ in range(4):
        site.clock.pass_(timedelta(days=60))
        shown = visitor.get(start)
        assert shown.status == 200
        assert "max-age=7776000" in shown.headers["set-cookie"].lower()
    site.clock.pass_(timedelta(days=91))
    assert visitor.get(start).path == "/sign-in"
