"""Writing a post without scripts: nothing is sent by accident, and nothing typed is lost."""

import re
from datetime import timedelta

import pytest

from alertd.service import watching
from alertd.web.pages.post_fields import KINDS
from tests.web.pages.visitor import ADMIN, URGENT, Enter, Site, written


def test_nothing_is_chosen_between_drill_and_real(enter: Enter) -> None:
    boss = enter("boss")
    doors = boss.get("/posts/new")
    for shown in (doors, boss.get("/posts/new?kind=x")):
        assert "<form" not in shown.text
        for kind in KINDS:
            assert f'href="/posts/new?kind={kind}"' in shown.text
    refused = boss.post("/posts/new", ("csrf", doors.csrf), ("title", "件名"), ("audience", "everyone"))
    assert refused.status == 422
    assert "Say whether this is a drill or real." in refused.text
    typed = dict(refused.fields("/posts/new"))
    assert (typed["title"], "kind" in typed) == ("件名", False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_door_keeps_its_look_and_changing_it_keeps_what_was_typed(enter: Enter, kind: str) -> None:
    boss = enter("boss")
    page = boss.get(f"/posts/new?kind={kind}")
    assert f'class="behind {kind}"' in page.text
    typed = [("title", "件名"), ("ask", "choices"), ("question", "？"), ("choices", "一"), ("life", "6")]
    for other in KINDS:
        page = boss.submit(page, "/posts/new", *typed, ("step", f"door-{other}"))
        assert dict(page.fields("/posts/new"))["kind"] == other
        assert dict(typed).items() <= dict(page.fields("/posts/new")).items()


def test_a_post_that_is_not_urgent_goes_on_the_board_at_once(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    shown = written(boss, ("kind", "board"), ("body", "本文"))
    assert re.fullmatch(r"/posts/[0-9A-Z]{26}", shown.path)
    assert "本文" in shown.text
    assert "件名" in enter("tanaka").get("/board").text
    assert watching.read_alerts(site.rt, ADMIN, before=None, limit=9) == []


def test_an_urgent_post_is_checked_first(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    checked = written(boss, *URGENT, ("body", "本文"), ("step", "check"))
    assert watching.read_alerts(site.rt, ADMIN, before=None, limit=9) == []
    assert "Nothing has been sent yet." in checked.text
    assert "Send the REAL alert to 5 people" in checked.text
    assert re.search(r"<dt>SMS</dt><dd>1 person</dd>", checked.text)
    assert re.search(r"<dt>SMS parts in all, at most</dt><dd>\d</dd>", checked.text)
    assert "2 people cannot be reached at all" in checked.text
    assert "<li>見る人</li>" in checked.text
    assert "http://testserver/a/…" in checked.text
    sent = boss.submit(checked, "/posts/new", ("step", "send"))
    (alert,) = watching.read_alerts(site.rt, ADMIN, before=None, limit=9)
    assert sent.path == f"/alerts/{alert['id']}"
    assert alert["drill"] is False


def test_a_drill_says_so_on_its_button(enter: Enter) -> None:
    checked = written(enter("boss"), ("kind", "drill"))
    assert "Send the DRILL to 5 people" in checked.text
    assert "REAL" not in checked.text
    assert "[DRILL] 件名" in checked.text
    assert "【訓練】件名" in checked.text


def test_sending_twice_is_sending_once(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    checked = written(boss, *URGENT)
    site.clock.pass_(timedelta(seconds=1))
    first = boss.submit(checked, "/posts/new", ("step", "send"))
    site.clock.pass_(timedelta(seconds=1))
    second = boss.submit(checked, "/posts/new", ("step", "send"))
    assert first.path == second.path
    assert len(watching.read_alerts(site.rt, ADMIN, before=None, limit=9)) == 1


def test_another_text_under_a_spent_form_is_not_sent_and_not_lost(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    checked = written(boss, *URGENT)
    boss.submit(checked, "/posts/new", ("step", "send"))
    again = boss.submit(checked, "/posts/new", ("title", "別の件名"), ("step", "send"))
    assert again.status == 422
    assert "別の件名" in again.text
    assert dict(again.fields("/posts/new"))["key"] != dict(checked.fields("/posts/new"))["key"]
    assert len(watching.read_alerts(site.rt, ADMIN, before=None, limit=9)) == 1


def test_a_number_of_hours_that_nobody_can_mean_is_the_usual_one(enter: Enter) -> None:
    boss = enter("boss")
    shown = written(boss, ("kind", "real"), ("life", "9" * 5_000), ("step", "edit"))
    assert shown.status == 200
    assert dict(shown.fields("/posts/new"))["life"] == "24"


def test_the_way_back_loses_nothing(enter: Enter) -> None:
    boss = enter("boss")
    typed = {
        "title": "件名",
        "body": "一行目\n\n三行目 <b>",
        "board": "general",
        "kind": "drill",
        "severity": "extreme",
        "audience": "chosen",
        "group": "fire",
        "people": "smith",
        "ask": "choices",
        "question": "無事？",
        "choices": "はい\nいいえ",
        "life": "6",
    }
    checked = boss.submit(boss.get("/posts/new?kind=drill"), "/posts/new", *typed.items())
    assert "Send the DRILL to 2 people" in checked.text
    assert "消防課, Anna Smith" in checked.text
    edited = boss.submit(checked, "/posts/new", ("step", "edit"))
    assert typed.items() <= dict(edited.fields("/posts/new")).items()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ((("title", " "),), "Please fill this in."),
        ((("audience", ""),), "Choose who gets it."),
        ((("audience", "chosen"), ("people", "nobody")), "There is no person “nobody”."),
        ((("audience", "chosen"), ("group", "none")), "There is no group “none”."),
        ((("ask", "choices"), ("question", "?"), ("choices", "")), "Give 1 to 9 choices"),
        ((("ask", "choices"), ("question", ""), ("choices", "x")), "Please fill this in."),
        ((("body", "x" * 20_001),), "At most 20000 characters."),
        ((("severity", "terrible"),), "Please choose one."),
        ((("board", "none"),), "There is no board “none”."),
    ],
)
def test_what_is_wrong_is_told_where_it_is_wrong(enter: Enter, fields: tuple[tuple[str, str], ...], told: str) -> None:
    boss = enter("boss")
    named = {name for name, _ in fields}
    rest = [each for each in (("title", "件名"), ("audience", "everyone"), *URGENT) if each[0] not in named]
    shown = boss.submit(boss.get("/posts/new?kind=real"), "/posts/new", *rest, *fields)
    assert shown.status == 422
    assert told in shown.text
    assert "aria-invalid" in shown.text


@pytest.mark.parametrize(
    ("drill", "title", "warned"),
    [
        ("real", "参集訓練のお知らせ", True),
        ("real", "Fire drill", True),
        ("real", "訓練ではありません：避難", False),
        ("real", "This is not a drill: leave", False),
        ("real", "津波警報", False),
        ("drill", "本番：避難してください", True),
        ("drill", "This is not a drill", True),
        ("drill", "避難訓練", False),
        ("drill", "津波警報", False),
    ],
)
def test_a_title_that_says_the_opposite_is_pointed_out(enter: Enter, drill: str, title: str, warned: bool) -> None:
    shown = written(enter("boss"), ("title", title), ("kind", drill))
    assert ("Please look again:" in shown.text) is warned
    assert 'value="send"' in shown.text
