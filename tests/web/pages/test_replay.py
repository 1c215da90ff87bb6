"""The page that plays what came through rules: in force, or being written; nothing is sent, nothing saved."""

import re
from collections import Counter

from alertd.core.roles import Role
from alertd.service import observing, sources, watching
from tests.core.test_rules import seen as observation
from tests.installation import BOSS, actor
from tests.web.pages.visitor import Enter, Site

ADMIN = actor("admin", Role.ADMIN)
BOOK = '[[rule]]\nname = "water"\nsource = "river"\ndo = "{do}"\naudience = {{ everyone = true }}\n'


def hear(site: Site, do: str = "board") -> None:
    """Two incidents at 3:12 at night here, one of them over at once; on the board is all that they came to."""
    sources.make_source(site.rt, ADMIN, "river", "program")
    sources.save_book(site.rt, ADMIN, BOOK.format(do=do))
    story = [
        observation(title="水位が<高い>", body="高台へ"),
        observation(id="2", incident="f", title="漏水"),
        observation(id="3", incident="f", version=2, kind="withdrawn"),
        observation(id="4", incident="f", version=3, title="また漏水"),
    ]
    for each in story:
        observing.take(site.rt, "river", [each])


def test_a_manager_sees_what_the_rules_in_force_would_have_made(site: Site, enter: Enter) -> None:
    hear(site)
    boss = enter("boss")
    assert 'href="/rules/replay"' in boss.get("/rules").text
    shown = boss.get("/rules/replay").text
    assert 'value="2026-10-24"' in shown
    assert 'value="2026-11-22"' in shown
    assert "4 messages of sources came." in shown
    assert "Nothing would have gone out" in shown
    assert 'href="#day-' not in shown


def test_rules_being_written_are_tried_and_come_back(site: Site, enter: Enter) -> None:
    hear(site)
    admin = enter("admin")
    draft = BOOK.format(do="alert") + "# mine\n"
    rules = admin.get("/rules")
    assert 'formaction="/rules/replay"' in rules.text
    version = re.search(r'name="version" value="(\d+)"', rules.text)
    assert version
    fields = (("csrf", rules.csrf), ("version", version[1]), ("text", draft))
    tried = admin.post("/rules/replay", *fields)
    assert f'name="version" value="{version[1]}"' in tried.text
    assert draft.replace('"', "&#34;") in tried.text
    assert 'href="#day-2026-11-22"' in tried.text
    assert 'id="day-2026-11-22"' in tried.text
    assert "水位が&lt;高い&gt;" in tried.text
    assert "a second alert about the same incident within 6 hours" in tried.text
    assert "over again within 10 minutes" in tried.text
    assert re.search(r"at night \(22 to 6\)</dt><dd>3</dd>", tried.text)
    # Only the board's posts are there, and the rules are as they were.
    assert watching.read_alerts(site.rt, BOSS, before=None, limit=9) == []
    assert [book["text"] for book in sources.read_book(site.rt)] == [BOOK.format(do="board")]
    # What was tried can be saved from there, unless somebody else has saved other rules meanwhile.
    assert "saved and in force" in admin.post("/rules", *fields).text
    assert "Somebody has saved" in admin.post("/rules", *fields).text


def test_what_cannot_be_tried_says_so_and_keeps_the_text(site: Site, enter: Enter) -> None:
    hear(site)
    boss = enter("boss")
    shown = boss.get("/rules")
    refused = boss.post("/rules/replay", ("csrf", shown.csrf), ("text", BOOK.format(do="shout")))
    assert refused.status == 422
    assert "<code>rule.0.do</code>" in refused.text
    assert "&#34;shout&#34;" in refused.text
    for query, told in (
        ("from=x", "Write a date like 2026-11-22."),
        ("from=2026-11-02&to=2026-11-01", "This is after the other date."),
        ("from=2020-01-01", "At most 366 days at once."),
    ):
        answer = boss.get(f"/rules/replay?{query}")
        assert (answer.status, told in answer.text) == (422, True), query


def test_weeks_begin_as_calendars_are_printed_here(site: Site, enter: Enter) -> None:
    boss = enter("boss")
    path = "/rules/replay?from=2026-10-31&to=2026-12-01"
    for language, first, month in (("ja", "日曜日", "2026年11月"), ("en", "Monday", "November 2026")):
        shown = boss.get(f"{path}&lang={language}").text
        assert re.findall(r'abbr="([^"]+)"', shown)[0] == first
        assert len(re.findall("<caption>", shown)) == 3
        assert f"<caption>{month}</caption>" in shown
        table = shown[shown.index(month) :].partition("</table>")[0]
        days = Counter(map(int, re.findall(r'cal-number">(\d+)<', table)))
        assert days == Counter(range(1, 31))
        # Days that were not asked for are told apart, and weeks of them left out.
        assert shown.count('<td class="without">') == 10


def test_only_managers_play_and_not_without_end(site: Site, enter: Enter) -> None:
    assert enter("viewer").get("/rules/replay").status == 403
    boss = enter("boss")
    assert boss.post("/rules/replay", ("text", "")).status == 403  # without the form's mark
    statuses = [boss.get("/rules/replay").status for _ in range(11)]
    assert statuses == [200] * 10 + [429]


def test_what_a_template_cannot_word_waits_and_says_why(site: Site, enter: Enter) -> None:
    hear(site)
    admin = enter("admin")
    csrf = admin.get("/rules").csrf
    book = BOOK.format(do="alert") + 'template = "landslide-ja"\nfill = { "対象地区" = "{title}" }\n'
    refused = admin.post("/rules", ("csrf", csrf), ("version", "1"), ("text", book))
    assert "Nothing fills the template&#39;s field 時刻." in refused.text
    whole = book.replace('"{title}" }', '"{title}", "時刻" = "{time}", "避難場所" = "{body}" }')
    tried = admin.post("/rules/replay", ("csrf", csrf), ("text", whole))
    assert "土砂災害警戒情報：水位が&lt;高い&gt;" in tried.text
    assert "避難場所：高台へ" in tried.text
    # The others have no text: they wait, and say why.
    assert "The template&#39;s field 避難場所 has nothing to fill it" in tried.text
    assert re.search(r"Drafts that wait for a yes</dt><dd>2</dd>", tried.text)
