"""Personal links: looking never acknowledges, and an answer is only called kept when it is."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event

from alertd.core.acknowledgement import Way
from alertd.core.alert import Ask, Choice
from alertd.service import watching
from alertd.web.limits import BAD_CREDENTIALS
from tests.web.pages.visitor import ADMIN, Enter, Site

ASK = Ask("無事ですか？", (Choice("safe", "無事"), Choice("hurt", "助けが必要")))


def test_looking_never_acknowledges(site: Site, enter: Enter) -> None:
    alert = site.post()
    visitor, path = enter(None), site.letter(alert, "smith")
    shown = visitor.get(path)
    for _ in range(2):
        shown = visitor.get(path, **{"sec-purpose": "prefetch", "purpose": "prefetch"})
        assert shown.status == 200
        assert visitor.client.head(path).status_code == 200
        assert visitor.client.options(path).status_code == 405
    assert "For Anna Smith" in shown.text
    assert "避難してください" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert site.counts(alert)["acknowledged"] == 0


def test_an_empty_form_acknowledges(site: Site, enter: Enter) -> None:
    alert = site.post()
    visitor, path = enter(None), site.letter(alert, "smith", Way.EMAIL_LINK)
    shown = visitor.post(path)
    assert shown.status == 200
    assert "The server has your answer" in shown.text
    (item,) = watching.list_recipients(site.rt, alert, state="acknowledged", after=None, limit=9)[0]
    assert item["acknowledgement"]["way"] == Way.EMAIL_LINK.word
    assert visitor.post(path).status == 200
    assert site.counts(alert)["acknowledged"] == 1


def test_an_answer_may_come_from_the_service_worker(site: Site, enter: Enter) -> None:
    alert = site.post(ask=ASK)
    visitor, path = enter(None), site.letter(alert, "tanaka", Way.PUSH)
    kept = visitor.post(path, ("answer", "hurt"), accept="application/json")
    body = kept.response.json()
    assert body["acknowledged"]["answer"] == "hurt"
    assert body["acknowledged"]["way"] == "push"
    refused = visitor.post(path, ("answer", "no"), accept="application/json")
    assert refused.status == 422
    assert refused.response.json()["error"]["code"] == "invalid"


def test_a_wrong_answer_keeps_what_was_written(site: Site, enter: Enter) -> None:
    alert = site.post(ask=ASK)
    shown = enter(None).post(site.letter(alert, "tanaka"), ("answer", "none"), ("comment", "書いたこと"))
    assert shown.status == 422
    assert "書いたこと" in shown.text
    assert site.counts(alert)["acknowledged"] == 0


def test_a_changed_token_opens_nothing(site: Site, enter: Enter) -> None:
    alert = site.post()
    visitor, path = enter(None), site.letter(alert, "tanaka")
    wrong = path[:-1] + ("A" if path[-1] != "A" else "B")
    for method in (visitor.get, visitor.post):
        shown = method(wrong)
        assert shown.status == 404
        assert "避難" not in shown.text
    assert site.counts(alert)["acknowledged"] == 0


def test_guessing_tokens_is_counted_and_locks_no_good_one_out(site: Site, enter: Enter) -> None:
    path = site.letter(site.post(), "tanaka")
    visitor = enter(None)
    answers = [visitor.get(f"/a/{number:032}").status for number in range(BAD_CREDENTIALS.amount + 1)]
    assert answers == [404] * BAD_CREDENTIALS.amount + [429]
    assert visitor.get(path).status == 200


def test_a_late_answer_is_kept_and_called_late(site: Site, enter: Enter) -> None:
    alert = site.post()
    visitor, path = enter(None), site.letter(alert, "smith")
    site.clock.pass_(timedelta(days=2))
    assert "marked as late" in visitor.get(path).text
    assert "(late)" in visitor.post(path).text
    assert site.counts(alert)["acknowledged"] == 1


@pytest.mark.parametrize(("drill", "there", "absent"), [(True, "DRILL", "REAL ALERT"), (False, "REAL ALERT", "DRILL")])
def test_a_drill_is_never_taken_for_real(site: Site, enter: Enter, drill: bool, there: str, absent: str) -> None:
    alert = site.post(drill=drill)
    post = watching.read_alert(site.rt, ADMIN, alert)["post"]
    boss = enter("boss")
    for path in (site.letter(alert, "smith"), f"/alerts/{alert}", f"/posts/{post}", "/board", "/me"):
        text = re.sub(r"data-[\w-]+=\"[^\"]*\"", "", boss.get(path + ("?lang=en")).text)
        assert there in text
        assert absent not in text


def test_an_answer_from_a_button_costs_no_transaction_but_its_group_s(site: Site, enter: Enter) -> None:
    """A whole town answers within minutes: what each of them reads beforehand is what bounds how fast."""
    path, visitor = site.letter(site.post(), "tanaka", Way.PUSH), enter(None)
    begun: list[object] = []
    event.listen(site.rt.store.engine, "begin", begun.append)
    assert visitor.post(path, accept="application/json").status == 200
    assert len(begun) == 1
