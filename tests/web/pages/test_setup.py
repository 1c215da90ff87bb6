"""First contact: sign-in codes, and what a test of one's phone claims."""

from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from alertd.core.acknowledgement import Way
from alertd.service import access, reaching
from alertd.service.access import CODE_LIFE
from alertd.web.limits import ALL_CODES, CODES, TESTS
from tests.web.pages.visitor import ADMIN, URL, Enter, Site


def code_for(site: Site, person: str) -> str:
    return access.create_code(site.rt, access.system_actor(person)).secret


# Sign-in codes
@pytest.mark.parametrize("between", ["", " ", "\u3000", "-"])
def test_a_code_signs_in_once(site: Site, enter: Enter, between: str) -> None:
    code = code_for(site, "tanaka")
    typed = f"{code[:5]}{between}{code[5:]}"
    signed_in = enter(None).post("/sign-in", ("code", typed))
    assert signed_in.path == "/me/setup"
    assert "田中 恵子" in signed_in.text
    again = enter(None).post("/sign-in", ("code", typed))
    assert again.status == 401
    assert "used before" in again.text


def test_a_code_lives_for_minutes(site: Site, enter: Enter) -> None:
    code = code_for(site, "tanaka")
    site.clock.pass_(CODE_LIFE + timedelta(seconds=1))
    assert enter(None).post("/sign-in", ("code", code)).status == 401


def test_a_new_code_ends_the_one_before_and_a_new_password_ends_all(site: Site, enter: Enter) -> None:
    first, second = code_for(site, "tanaka"), code_for(site, "tanaka")
    assert enter(None).post("/sign-in", ("code", first)).status == 401
    access.set_password(site.rt, ADMIN, "tanaka", "correct horse")
    assert enter(None).post("/sign-in", ("code", second)).status == 401


def test_a_link_is_no_code_and_a_code_is_no_link(site: Site, enter: Enter) -> None:
    link = access.create_link(site.rt, ADMIN, "tanaka").secret
    assert enter(None).post("/sign-in", ("code", link)).status == 401
    assert enter(None).post(f"/sign-in/{code_for(site, 'tanaka')}").status == 401


def test_guessing_codes_ends_soon(site: Site, enter: Enter) -> None:
    visitor, code = enter(None), code_for(site, "tanaka")
    tries = [visitor.post("/sign-in", ("code", f"{number:010}")).status for number in range(CODES.amount + 1)]
    assert tries == [401] * CODES.amount + [429]
    assert visitor.post("/sign-in", ("code", code)).status == 429


def test_guessing_from_many_addresses_ends_soon_too(site: Site) -> None:
    def guess(number: int) -> int:
        client = TestClient(site.app, base_url=URL, client=(f"192.0.2.{number % 256}", 1))
        return client.post("/sign-in", data={"code": f"{number:010}"}).status_code

    assert [guess(number) for number in range(ALL_CODES.amount + 1)] == [401] * ALL_CODES.amount + [429]


def test_a_code_whose_answer_was_lost_signs_the_same_browser_in_again(site: Site, enter: Enter) -> None:
    code, app = code_for(site, "tanaka"), enter(None)
    app.get("/sign-in")
    assert app.post("/sign-in", ("code", code)).path == "/me/setup"
    del app.client.cookies["alertd"]
    assert app.post("/sign-in", ("code", code)).path == "/me/setup"
    assert enter(None).post("/sign-in", ("code", code)).status == 401


def test_a_code_is_made_by_the_form_of_the_session_alone(enter: Enter) -> None:
    visitor = enter("tanaka")
    shown = visitor.get("/me/setup")
    assert "code-digits" not in shown.text
    assert visitor.post("/me/setup/code").status == 403
    assert "code-digits" in visitor.submit(shown, "/me/setup/code#code").text
    assert enter(None).post("/me/setup/code").status == 401
    # Loading that page again shows no code, and makes none.
    assert "code-digits" not in visitor.get("/me/setup/code").text


# The test
def test_handed_over_is_not_arrived(site: Site, enter: Enter) -> None:
    visitor = enter("tanaka")
    shown = visitor.submit(visitor.get("/me/setup"), "/me/setup/test")
    assert shown.path == "/me/setup"
    assert "Proven: 0 of 1" in shown.text
    alert = shown.response.url.params["test"]
    site.hand_over(alert)
    path = f"/me/setup?test={alert}"
    assert "Handed to the telephone company. Not proven yet" in visitor.get(path).text
    assert "Proven: 0 of 1" in visitor.get(path).text
    enter(None).post(site.letter(alert, "tanaka"))
    assert "Every way has proven to work" in visitor.get(path).text
    assert "You have answered by it" in visitor.get(path).text


def test_an_answer_on_the_own_page_proves_no_way(site: Site, enter: Enter) -> None:
    visitor = enter("tanaka")
    shown = visitor.submit(visitor.get("/me/setup"), "/me/setup/test")
    alert = shown.response.url.params["test"]
    visitor.submit(visitor.get("/me"), f"/me/alerts/{alert}")
    assert "Proven: 0 of 1" in visitor.get(f"/me/setup?test={alert}").text


def test_one_opened_link_does_not_prove_two_browsers(site: Site, enter: Enter) -> None:
    for number in range(2):
        address = {"endpoint": f"https://push.example/{number}", "p256dh": "p", "auth": "a", "key_id": "key"}
        reaching.subscribe(site.rt, access.system_actor("viewer"), "webpush", address, f"電話{number}")
    visitor = enter("viewer")
    shown = visitor.submit(visitor.get("/me/setup"), "/me/setup/test")
    alert = shown.response.url.params["test"]
    site.hand_over(alert)
    enter(None).post(site.letter(alert, "viewer", Way.PUSH))
    assert "Proven: 0 of 2" in visitor.get(f"/me/setup?test={alert}").text


def test_too_many_tests_and_none_at_all(enter: Enter) -> None:
    visitor = enter("tanaka")
    shown = visitor.get("/me/setup")
    answers = [visitor.submit(shown, "/me/setup/test").status for _ in range(TESTS.amount + 1)]
    assert answers == [200] * TESTS.amount + [429]
    mute = enter("viewer")
    nothing = mute.submit(mute.get("/me/setup"), "/me/setup/test")
    assert nothing.status == 422
    assert "There is no way to reach you" in nothing.text


def test_the_test_of_somebody_else_is_not_shown(enter: Enter) -> None:
    visitor = enter("tanaka")
    shown = visitor.submit(visitor.get("/me/setup"), "/me/setup/test")
    assert enter("smith").get(str(shown.response.url.path) + f"?test={shown.response.url.params['test']}").status == 404
