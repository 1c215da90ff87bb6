"""The report of an alert: who may read it, what it says, and that its table runs nothing."""

import csv
import json
import re
from datetime import timedelta
from typing import Any

import pytest

from alertd.core.alert import Ask, Choice
from tests.web.pages.visitor import Enter, Shown, Site

ASK = Ask("無事ですか？", (Choice("safe", "無事"), Choice("hurt", "助けが必要")))
EVIL = '=HYPERLINK("https://evil.example","x")'


def lines(shown: Shown) -> list[dict[str, str]]:
    assert shown.status == 200
    assert shown.headers["content-type"] == "text/csv; charset=utf-8"
    assert shown.headers["content-disposition"].startswith("attachment")
    content = shown.response.content
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(content.decode("utf-8-sig").splitlines()))


@pytest.fixture
def answered(site: Site, enter: Enter) -> str:
    """Posted at 03:12:30 of the town's time; five minutes later Tanaka answered, and the boss did for Smith."""
    alert = site.post(ask=ASK)
    site.hand_over(alert)
    site.clock.pass_(timedelta(minutes=5))
    tanaka = enter("tanaka")
    tanaka.submit(tanaka.get("/me"), f"/me/alerts/{alert}", ("answer", "safe"), ("comment", EVIL))
    boss = enter("boss")
    fields = (("csrf", boss.get("/me").csrf), ("person", "smith"), ("answer", "hurt"))
    boss.post(f"/alerts/{alert}/answers", *fields)
    return alert


@pytest.mark.parametrize("kind", ["", ".csv", ".json"])
def test_it_is_for_viewers_and_managers(site: Site, enter: Enter, kind: str) -> None:
    path = f"/alerts/{site.post()}/report{kind}"
    assert enter("viewer").get(path).status == 200
    assert enter("boss").get(path).status == 200
    assert enter("tanaka").get(path).status == 403
    assert enter(None).get(path).path == "/sign-in"
    assert enter("viewer").get(f"/alerts/nothing/report{kind}").status == 404


def test_the_page_says_what_happened_in_the_towns_time(site: Site, enter: Enter, answered: str) -> None:
    text = enter("viewer").get(f"/alerts/{answered}/report").text
    assert "2 / 5" in text
    assert "Times in the zone Asia/Tokyo" in text
    assert ">03:17:30</time>" in text
    assert "5 min 0 s" in text
    assert "There was no drill before this alert" in text
    proxies = text[text.index('id="proxies-title"') :]
    assert "Anna Smith" in proxies
    assert "防災 課長" in proxies
    assert "田中 恵子" not in proxies


def test_no_number_is_worded_above_its_proof(site: Site, enter: Enter, answered: str) -> None:
    text = enter("viewer").get(f"/alerts/{answered}/report").text
    rows = dict(re.findall(r'<th scope="row">([^<]+)</th>((?:\s*<td>.*?</td>)+)', text))
    counts = {name: re.findall(r"<td>(?:<small>)?(.*?)<", cells) for name, cells in rows.items()}
    assert counts["Taken over by the provider"] == ["0", "1", "2"]
    assert counts["Arrived at the device"] == ["not known", "0", "0"]
    assert counts["Opened"] == ["0", "0", "0"]


def test_whoever_was_not_reached_is_named_with_the_cause(site: Site, enter: Enter, answered: str) -> None:
    text = enter("viewer").get(f"/alerts/{answered}/report").text
    unreachable, silent = text[text.index('id="unreachable-title"') :].split('id="awaited-title"')
    assert "見る人" in unreachable
    assert "no phone, no mail, no device" in unreachable
    assert "防災 課長" in silent
    assert "Handed to the provider" in silent


def test_a_drill_is_a_drill_and_the_last_one_stands_beside(site: Site, enter: Enter) -> None:
    drill = site.post(drill=True, title="参集")
    site.clock.pass_(timedelta(days=1))
    real = site.post()
    boss = enter("boss")
    assert "DRILL" in boss.get(f"/alerts/{drill}/report").text
    shown = boss.get(f"/alerts/{real}/report").text
    assert f'href="/alerts/{drill}/report"' in shown
    assert "[DRILL] 参集" in shown
    assert "plot-other" in shown


def test_it_is_drawn_without_styles_of_its_own(site: Site, enter: Enter, answered: str) -> None:
    text = enter("viewer").get(f"/alerts/{answered}/report").text
    assert '<polyline class="plot-line" points="0,400' in text
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", text)


def test_the_table_has_everybody_and_runs_nothing(site: Site, enter: Enter, answered: str) -> None:
    table = {line["ID"]: line for line in lines(enter("viewer").get(f"/alerts/{answered}/report.csv"))}
    assert set(table) == {"admin", "boss", "smith", "tanaka", "viewer"}
    tanaka, smith, viewer = table["tanaka"], table["smith"], table["viewer"]
    assert tanaka["Comment"] == f"'{EVIL}"
    assert tanaka["Phone"] == "'+819011112222"
    assert (tanaka["Result"], tanaka["Answer"]) == ("Answered", "無事")
    assert tanaka["Received by the server (Asia/Tokyo)"] == "2026-11-22 03:17:30"
    assert tanaka["SMS"] == "Handed to the provider"
    assert (smith["Answered by way of"], smith["Given for them by (proxy)"]) == ("somebody else (proxy)", "boss")
    assert (viewer["Result"], viewer["SMS"]) == ("Unreachable", "")
    assert table["boss"]["Result"] == "Not answered"


def test_the_table_speaks_the_readers_language(site: Site, enter: Enter, answered: str) -> None:
    table = lines(enter("viewer").get(f"/alerts/{answered}/report.csv?lang=ja"))
    assert next(line for line in table if line["ID"] == "viewer")["結果"] == "連絡不能"


def test_json_has_the_report_and_its_people(site: Site, enter: Enter, answered: str) -> None:
    shown = enter("viewer").get(f"/alerts/{answered}/report.json")
    assert shown.headers["content-type"] == "application/json"
    told: dict[str, Any] = json.loads(shown.text)
    assert told["alert"]["id"] == answered
    assert told["summary"]["acknowledged"] == 2
    assert told["time_zone"] == "Asia/Tokyo"
    assert told["ways"] == {"page": 1, "proxy": 1}
    assert {person["person"]["id"] for person in told["people"]} == {"admin", "boss", "smith", "tanaka", "viewer"}


def test_it_can_be_found(site: Site, enter: Enter) -> None:
    alert = site.post()
    boss = enter("boss")
    for path in ("/board", f"/alerts/{alert}"):
        assert f'href="/alerts/{alert}/report"' in boss.get(path).text


def test_a_long_list_of_people_is_cut_and_says_so(site: Site, enter: Enter) -> None:
    for number in range(130):
        site.person(f"p{number:03}", "長い名前" * 50, phone=f"090-2222-{number:04}")
    alert = site.post(title="長" * 200)
    text = enter("boss").get(f"/alerts/{alert}/report").text
    assert text.count("長い名前" * 50) <= 100
    assert "All of them" in text
    assert len(lines(enter("boss").get(f"/alerts/{alert}/report.csv"))) == 135


def test_whoever_may_still_be_reached_is_named_however_many_cannot(site: Site, enter: Enter) -> None:
    for number in range(110):
        site.person(f"a{number:03}", f"電話なし {number}")
    alert = site.post()
    site.hand_over(alert)
    report = enter("boss").get(f"/alerts/{alert}/report").text
    awaited = report[report.index('id="awaited-title"') :]
    assert "田中 恵子" in awaited
    assert "Nobody." not in awaited
    live = enter("boss").get(f"/alerts/{alert}").text
    waiting = live[live.index('id="outstanding"') : live.index('id="acknowledged"')]
    assert "田中 恵子" in waiting
    assert waiting.count('class="person outstanding"') == 3
    listed = enter("boss").get(f"/alerts/{alert}/people/awaited").text
    assert listed.count('class="person outstanding"') == 3


def test_a_name_from_the_right_to_the_left_turns_nothing_beside_it(site: Site, enter: Enter) -> None:
    site.person("1234", "דוד \u200f😀")
    alert = site.post()
    for path in (f"/alerts/{alert}", f"/alerts/{alert}/report", f"/alerts/{alert}/people/unreachable"):
        assert "<bdi>דוד \u200f😀</bdi> <small><bdi>1234</bdi></small>" in enter("boss").get(path).text, path
