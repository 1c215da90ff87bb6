"""The wall: which alert it shows, to whom, and what it says of drills."""

import re
from datetime import timedelta

from alertd.core.alert import Ask, Choice
from tests.web.pages.visitor import Enter, Site

ASK = Ask("無事ですか？", tuple(Choice(f"c{number}", f"選択肢{number}") for number in range(9)))


def shown(text: str) -> str:
    found = re.search(r'data-part data-alert="(\w*)"', text)
    assert found
    return found[1]


def test_it_is_for_viewers(site: Site, enter: Enter) -> None:
    alert = site.post()
    for path in ("/wall", f"/alerts/{alert}/wall"):
        assert enter("viewer").get(path).status == 200
        assert enter("tanaka").get(path).status == 403
        assert enter(None).get(path).path == "/sign-in"
    assert enter("viewer").get("/alerts/nothing/wall").status == 404


def test_it_shows_the_newest_that_is_open_and_names_the_others(site: Site, enter: Enter) -> None:
    viewer = enter("viewer")
    first = site.post(title="一つ目")
    assert shown(viewer.get("/wall").text) == first
    site.clock.pass_(timedelta(minutes=1))
    second = site.post(title="二つ目", drill=False)
    text = viewer.get("/wall").text
    assert shown(text) == second
    others = text[text.index("Also open:") : text.index("<h1>")]
    assert "REAL ALERT" in others
    assert "一つ目" in others
    site.revise(second, "cancel", "終わり")
    assert shown(viewer.get("/wall").text) == first
    assert shown(viewer.get(f"/alerts/{second}/wall").text) == second, "that one, whatever became of it"
    site.post(title="三つ目", drill=True)
    assert shown(viewer.get("/wall").text) == first, "a drill takes no real alert's place"


def test_an_alert_whose_time_is_over_leaves_it_before_anybody_says_so(site: Site, enter: Enter) -> None:
    site.post()
    site.clock.pass_(timedelta(days=30))
    text = enter("viewer").get("/wall").text
    assert shown(text) == ""
    assert "No alert is open." in text
    assert "避難してください" in text


def test_it_says_so_when_there_never_was_one(site: Site, enter: Enter) -> None:
    text = enter("viewer").get("/wall").text
    assert "No alert is open." in text
    assert "The last one" not in text


def test_a_drill_says_so_twice_and_looks_so(site: Site, enter: Enter) -> None:
    site.post(drill=True, title="参集")
    text = enter("viewer").get("/wall?lang=ja").text
    assert '<article class="wall-part is-drill"' in text
    assert "<h1>【訓練】参集</h1>" in text
    assert re.search(r'class="banner drill"><strong>【訓練】', text)
    assert "実際の警報" not in text


def test_as_many_groups_are_shown_as_can_be_read(site: Site, enter: Enter) -> None:
    text = enter("viewer").get(f"/alerts/{site.post(ask=ASK)}/wall").text
    assert "選択肢8" in text
    assert "wall-groups" not in text, "there is no room beside so many answers"
    below = enter("viewer").get(f"/alerts/{site.post()}/wall").text
    assert "消防課" in below
    assert "市役所" not in below, "it is above all others and says nothing"


def test_it_comes_again_by_itself_without_scripts(site: Site, enter: Enter) -> None:
    site.post()
    assert '<noscript><meta http-equiv="refresh" content="20"></noscript>' in enter("viewer").get("/wall").text
