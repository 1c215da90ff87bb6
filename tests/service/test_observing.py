"""From what a source says to what people get: once, in order, and as what it is."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from alertd.core.alert import Ask, Choice
from alertd.core.audience import Audience
from alertd.core.errors import Conflict, Invalid, NotFound, Unauthenticated
from alertd.core.observation import Area, Observation
from alertd.core.roles import Role
from alertd.core.template import Template
from alertd.service import directory, observing, posting, revising, sources, templates, watching
from alertd.service.acting import act, act_due, author_of, settle
from alertd.service.observing import Taken
from alertd.service.revising import Revision
from alertd.service.runtime import Runtime
from alertd.sources.base import Unreadable
from alertd.store import schema
from tests.core.test_rules import seen as observation
from tests.installation import BOSS, Bell, Clock, actor
from tests.installation import settle as move_in
from tests.sources.test_program import sent
from tests.threads import at_once

HAND = actor("hand", Role.MANAGER)
EVERYONE = "audience = { everyone = true }"
ALERT = f'[[rule]]\nname = "urgent"\nsource = "board"\ndo = "alert"\n{EVERYONE}\n'
BOARD = '[[rule]]\nname = "calm"\nsource = "board"\ndo = "board"\n'
DRAFT = f'[[rule]]\nname = "ask"\nsource = "board"\ndo = "draft"\n{EVERYONE}\n'


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    move_in(rt, "taro", phone="090-0000-0001")
    move_in(rt, "hand")
    sources.make_source(rt, BOSS, "board", "program")
    return rt


def rule(rt: Runtime, text: str) -> None:
    sources.save_book(rt, BOSS, text)


def take(rt: Runtime, source_id: str, found: Sequence[Observation]) -> list[Taken]:
    """Take them in one after another, as they come."""
    taken: list[Taken] = []
    for each in found:
        assert isinstance(rt.now, Clock)
        rt.now.move(milliseconds=1)
        taken += observing.take(rt, source_id, [each])
    return taken


def later(version: int, **changes: Any) -> Observation:
    return observation(**{"id": f"v{version}", "version": version, "kind": "changed", **changes})


def told(rt: Runtime) -> list[tuple[str, str, bool]]:
    """Every alert: its title as it is, its state, and whether it is a drill."""
    items = watching.read_alerts(rt, BOSS, before=None, limit=50)
    return [(item["title"], item["state"], item["drill"]) for item in reversed(items)]


def board(rt: Runtime) -> list[tuple[str, bool]]:
    return [(item["title"], item["urgent"]) for item in reversed(posting.read_board(rt, BOSS, before=None, limit=50))]


def kept(rt: Runtime) -> list[Mapping[str, Any]]:
    return list(reversed(sources.list_observations(rt, limit=50)))


def course(rt: Runtime) -> list[str]:
    return [f"{each['action']} {each['reason']} {each['state']}" for each in kept(rt)]


def test_without_a_rule_nothing_goes_out_and_everything_is_kept(town: Runtime) -> None:
    [taken] = take(town, "board", [observation()])
    assert (taken.decision.action, taken.decision.reason) == ("ignore", "no-rule")
    assert (told(town), board(town), course(town)) == ([], [], ["ignore no-rule done"])


def test_a_thread_is_one_alert_to_the_same_people(town: Runtime, bell: Bell) -> None:
    rule(town, ALERT)
    take(town, "board", [observation(title="津波警報", body="高台へ")])
    assert told(town) == [("津波警報", "active", False)]
    assert {"events", "work:sms"} <= set(bell.rung)
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    take(town, "board", [later(2, title="大津波警報"), later(2, title="大津波警報"), observation(title="津波警報")])
    take(town, "board", [later(3, title="解除", kind="withdrawn")])
    assert told(town) == [("解除", "cancelled", False)]
    assert [each["alert"] for each in kept(town)] == [alert["id"]] * 3
    assert course(town) == ["alert rule done", "update changed done", "stand-down withdrawn done"]


def test_what_gets_worse_asks_again(town: Runtime) -> None:
    rule(town, ALERT)
    level = {"scale": "level", "title": "大雨"}
    take(town, "board", [observation(areas=(Area("1", "西予市", 3, "レベル３大雨警報"),), **level)])
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    assert alert["body"] == "西予市：レベル３大雨警報"
    take(town, "board", [later(2, areas=(Area("1", "西予市", 5, "レベル５大雨特別警報"),), **level)])
    with town.store.read() as connection:
        row = connection.execute(select(schema.alerts.c.revision, schema.alerts.c.asked_revision)).one()
    assert tuple(row) == (2, 2)


@pytest.mark.parametrize("standing", ["drill", "test"])
def test_a_drill_never_goes_out_as_real(town: Runtime, standing: Any) -> None:
    rule(town, ALERT)
    take(town, "board", [observation(standing=standing)])
    assert told(town) == []
    rule(town, ALERT + 'drills = "drill"\n')
    take(town, "board", [later(2, standing=standing, title="避難")])
    assert told(town) == ([("避難", "active", True)] if standing == "drill" else [])
    # The same thing for real is another alert, and neither ends the other.
    take(town, "board", [later(3, title="避難")])
    take(town, "board", [later(4, standing=standing, kind="withdrawn")])
    assert told(town)[-1] == ("避難", "active", False)


def test_a_real_one_that_calls_itself_a_drill_waits_for_a_person(town: Runtime) -> None:
    rule(town, ALERT)
    take(town, "board", [observation(title="【訓練】避難")])
    [waiting] = kept(town)
    assert (told(town), waiting["state"], waiting["reason"]) == ([], "waiting", "may-be-drill")
    answer = settle(town, HAND, waiting["observation"], send=True)
    assert (answer["state"], answer["alert"]) == ("waiting", None)
    assert "a real alert must not say so" in kept(town)[0]["fault"]
    settle(town, HAND, waiting["observation"], send=False)
    assert (told(town), kept(town)[0]["state"]) == ([], "stopped")


def test_a_draft_waits_for_a_yes_and_says_what_is_true_by_then(town: Runtime) -> None:
    rule(town, DRAFT)
    take(town, "board", [observation(title="一報")])
    take(town, "board", [later(2, title="二報")])
    assert told(town) == []
    assert course(town) == ["draft rule superseded", "draft changed waiting"]
    [waiting] = sources.list_observations(town, limit=50, only_open=True)
    answer = settle(town, HAND, waiting["observation"], send=True)
    assert (told(town), answer["state"]) == ([("二報", "active", False)], "done")
    assert kept(town)[-1]["decided_by"] == "hand"
    with pytest.raises(Conflict):
        settle(town, HAND, waiting["observation"], send=False)
    with pytest.raises(NotFound):
        settle(town, HAND, 0, send=True)
    take(town, "board", [later(3, title="解除", kind="withdrawn")])
    assert told(town) == [("解除", "cancelled", False)]


def test_a_draft_that_is_withdrawn_is_never_sent(town: Runtime) -> None:
    rule(town, DRAFT)
    take(town, "board", [observation(), later(2, kind="withdrawn")])
    assert sources.list_observations(town, limit=50, only_open=True) == []
    assert (told(town), board(town)) == ([], [])


def test_an_alert_can_be_stopped_until_its_time(town: Runtime, clock: Clock) -> None:
    rule(town, ALERT + "stop_seconds = 60\n")
    take(town, "board", [observation(title="一報"), observation(id="o", incident="other", title="別件")])
    clock.move(seconds=59)
    act_due(town)
    assert told(town) == []
    settle(town, HAND, kept(town)[1]["observation"], send=False)
    take(town, "board", [later(2, title="二報")])  # goes when the first would have gone
    clock.move(seconds=1)
    act_due(town)
    assert told(town) == [("二報", "active", False)]
    assert course(town) == ["alert rule superseded", "alert rule stopped", "alert changed done"]


def test_whoever_is_cut_off_in_the_middle_sends_once(town: Runtime, clock: Clock) -> None:
    rule(town, ALERT)
    take(town, "board", [observation(expires_at=town.now() + timedelta(days=2))])
    # As if it had been cut off after the post and before it was written down.
    for state in ("due", "going"):
        with town.store.write() as connection:
            connection.execute(update(schema.observations).values(state=state, alert_id=None))
            connection.execute(update(schema.threads).values(alert_id=None))
        clock.move(hours=1)
        act_due(town)
        [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
        assert kept(town)[0]["alert"] == alert["id"]


def test_what_follows_waits_for_its_turn(town: Runtime) -> None:
    rule(town, ALERT)
    take(town, "board", [observation(title="一報"), later(2, title="二報")])
    first, second = (each["observation"] for each in kept(town))
    with town.store.write() as connection:
        connection.execute(update(schema.observations).values(state="due"))
        connection.execute(update(schema.observations).where(schema.observations.c.id == first).values(state="going"))
    act(town, second)
    assert [each["state"] for each in kept(town)] == ["going", "due"]
    act_due(town)
    act_due(town)
    assert [each["state"] for each in kept(town)] == ["done", "done"]
    assert told(town) == [("二報", "active", False)]


def test_the_same_from_many_at_once_is_one_alert(town: Runtime) -> None:
    rule(town, ALERT)
    taken = at_once(lambda _: take(town, "board", [observation(title="津波警報")]), range(8))
    assert sorted(each.decision.reason for [each] in taken) == ["repeated"] * 7 + ["rule"]
    assert told(town) == [("津波警報", "active", False)]
    clocks = at_once(lambda _: act_due(town), range(4))
    assert clocks == [None] * 4
    assert len(told(town)) == 1


def test_what_is_for_the_board_alerts_nobody_and_says_what_it_is(town: Runtime) -> None:
    rule(town, BOARD + 'drills = "drill"\n')
    take(
        town,
        "board",
        [observation(title="お知らせ"), later(2, title="お知らせ２"), later(3, kind="withdrawn", title="終了")],
    )
    take(town, "board", [observation(standing="drill", title="訓練です")])
    assert told(town) == []
    assert board(town) == [
        ("お知らせ", False),
        ("【更新】お知らせ２", False),
        ("【解除】終了", False),
        ("【訓練】訓練です", False),
    ]


def test_after_an_alert_was_called_off_only_worse_begins_again(town: Runtime) -> None:
    rule(town, ALERT)
    level = {"scale": "level", "title": "大雨"}
    take(town, "board", [observation(areas=(Area("1", "西予市", 3),), **level)])
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    revising.revise(town, BOSS, alert["id"], Revision("cancel", "誤報", ""))
    take(town, "board", [later(2, areas=(Area("1", "西予市", 2),), **level)])
    assert course(town)[-1] == "ignore closed done"
    take(town, "board", [later(3, areas=(Area("1", "西予市", 5),), **level)])
    assert course(town)[-1] == "alert worse done"
    assert [state for _, state, _ in told(town)] == ["cancelled", "active"]


def test_more_than_a_rule_may_send_waits(town: Runtime, clock: Clock) -> None:
    rule(town, ALERT + "most_per_hour = 2\n")
    take(town, "board", [observation(id=str(n), incident=str(n), title=f"第{n}報") for n in range(4)])
    assert [title for title, _, _ in told(town)] == ["第0報", "第1報"]
    assert course(town)[2:] == ["draft too-many waiting"] * 2
    clock.move(hours=1, seconds=1)
    take(town, "board", [observation(id="9", incident="9", title="第9報")])
    assert told(town)[-1][0] == "第9報"


def test_a_message_about_an_earlier_one_joins_its_incident(town: Runtime) -> None:
    rule(town, ALERT)
    take(town, "board", [observation(id="a", incident="a", title="一報")])
    take(
        town,
        "board",
        [observation(id="b", incident="b", references=("z", "a"), version=2, title="取消", kind="withdrawn")],
    )
    assert told(town) == [("取消", "cancelled", False)]


def test_a_source_shows_its_secret_and_says_what_it_was_refused_for(town: Runtime, clock: Clock) -> None:
    made = sources.make_source(town, BOSS, "gauge", "program")
    sources.require_source(town, "gauge", made.secret)
    [answer] = sources.receive(town, "gauge", sent())
    assert (answer["id"], answer["action"], answer["reason"]) == ("a", "ignore", "no-rule")
    clock.move(minutes=5)
    with pytest.raises(Unreadable):
        sources.receive(town, "gauge", b"<html>")
    [_, gauge] = sources.list_sources(town)
    assert gauge["succeeded_at"] < gauge["failed_at"]
    assert gauge["fault"] == "line 1: this is not JSON: Expecting value"
    renewed = sources.renew_secret(town, BOSS, "gauge")
    for name, secret in (("gauge", made.secret), ("gauge", ""), ("nobody", renewed.secret)):
        with pytest.raises(Unauthenticated):
            sources.require_source(town, name, secret)
    sources.require_source(town, "gauge", renewed.secret)
    assert sources.receive(town, "gauge", sent())[0]["reason"] == "repeated"


def test_a_source_must_have_a_name_of_its_own_and_a_kind(town: Runtime) -> None:
    with pytest.raises(Conflict):
        sources.make_source(town, BOSS, "board", "program")
    for name, kind, field in (("a b", "cap", "id"), ("x" * 51, "cap", "id"), ("other", "fax", "kind")):
        with pytest.raises(Invalid) as caught:
            sources.make_source(town, BOSS, name, kind)
        assert [each for each, _ in caught.value.details] == [field]
    for act_on in (lambda: sources.renew_secret(town, BOSS, "nobody"), lambda: sources.receive(town, "nobody", b"")):
        with pytest.raises(NotFound):
            act_on()


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (ALERT.replace('"board"', '"fax"'), ["rule.0.source"]),
        (BOARD + 'board = "nowhere"\n', ["rule.0.board"]),
        (ALERT + 'plan = "nothing"\n', ["rule.0.plan"]),
        (ALERT.replace("everyone = true", 'groups = ["nobody"]'), ["rule.0.audience.groups"]),
        (ALERT.replace("everyone = true", 'people = ["taro", "x"]'), ["rule.0.audience.people"]),
    ],
)
def test_a_rule_may_name_only_what_is_there(town: Runtime, text: str, fields: list[str]) -> None:
    rule(town, ALERT)
    with pytest.raises(Invalid) as caught:
        rule(town, text)
    assert [field for field, _ in caught.value.details] == fields
    assert [book["text"] for book in sources.read_book(town)] == [ALERT]


def test_rules_that_somebody_else_has_changed_are_not_overwritten(town: Runtime) -> None:
    first = sources.save_book(town, BOSS, ALERT, on_version=0)
    sources.save_book(town, BOSS, BOARD, on_version=first["version"])
    with pytest.raises(Conflict):
        sources.save_book(town, BOSS, DRAFT, on_version=first["version"])
    assert [book["text"] for book in sources.read_book(town)] == [BOARD, ALERT]


def test_a_source_posts_in_its_own_name_and_is_in_nobodys_audience(town: Runtime) -> None:
    rule(town, ALERT)
    take(town, "board", [observation()])
    [post] = posting.read_board(town, BOSS, before=None, limit=5)
    assert author_of("board") in str(post)
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    assert watching.summarise(town, alert["id"])["recipients"] == 2


def test_managers_are_told_that_something_waits(town: Runtime, clock: Clock) -> None:
    move_in(town, "chief", phone="090-0000-0009", role="manager")
    rule(town, DRAFT + 'drills = "drill"\n')

    def notices() -> list[tuple[str, int]]:
        with town.store.read() as connection:
            rows = connection.execute(select(schema.alerts).where(schema.alerts.c.kind == "notice"))
            return [(row.title, row.recipients) for row in rows]

    take(town, "board", [observation(title="浸水", standing="drill"), observation(id="o", incident="o", title="別件")])
    [(title, _)] = notices()  # one, however many come within moments
    assert title == "【システム】訓練の確認待ち：浸水 / [SYSTEM] Waits for you (drill)"
    inbox = watching.read_inbox(town, actor("chief", Role.MANAGER))
    assert [each["title"] for each in inbox] == [title]
    assert watching.read_inbox(town, actor("taro")) == []
    # Nor is each version of what waits told anew.
    take(
        town,
        "board",
        [later(2, title="浸水が広がる", standing="drill"), later(2, id="o2", incident="o", title="別件２")],
    )
    assert len(notices()) == 1
    clock.move(minutes=11)
    take(town, "board", [observation(id="p", incident="p", title="三つ目")])
    assert len(notices()) == 2
    # What was settled is not what they were told of.
    for each in sources.list_observations(town, limit=9, only_open=True):
        settle(town, HAND, each["observation"], send=False)
    take(town, "board", [observation(id="q", incident="q", title="四つ目")])
    assert len(notices()) == 3
    rule(town, ALERT)
    take(town, "board", [observation(id="r", incident="r", title="すぐ送る")])
    assert len(notices()) == 3


TEMPLATE = Template(
    "ja",
    "flood",
    "避難：{areas}",
    "{場所}へ。{body}",
    severity="severe",
    ask=Ask("無事ですか", (Choice("safe", "無事"),)),
    audience=Audience(groups=("bousai",)),
    life_hours=3,
)
BY_TEMPLATE = (
    '[[rule]]\nname = "t"\nsource = "board"\ndo = "{do}"\ntemplate = "flee"\nfill = {{ "場所" = "{{fields.place}}" }}\n'
)


def by_template(town: Runtime, do: str = "alert", more: str = "") -> None:
    directory.put_group(town, BOSS, "bousai", "防災課", None, [])
    move_in(town, "jiro", groups=("bousai",))
    templates.put_template(town, BOSS, "flee", "避難", TEMPLATE)
    rule(town, BY_TEMPLATE.format(do=do) + more)


def flood(version: int, rank: int, **changes: Any) -> Observation:
    said = {"scale": "level", "title": "大雨", "body": "急いで", "fields": {"place": "高台"}}
    return later(version, areas=(Area("1", "西予市", rank),), **{**said, **changes})


def read(town: Runtime) -> Mapping[str, Any]:
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    return watching.read_alert(town, BOSS, alert["id"])


def test_a_template_words_the_alert_and_says_to_whom(town: Runtime) -> None:
    by_template(town)
    take(town, "board", [flood(1, 3)])
    alert = read(town)
    assert (alert["title"], alert["body"], alert["severity"]) == ("避難：西予市", "高台へ。急いで", "severe")
    assert (alert["recipients"], alert["ask"]["question"]) == (1, "無事ですか")
    left = datetime.fromisoformat(alert["expires_at"]) - town.now()
    assert round(left.total_seconds()) == 3 * 3_600
    # What is worse calls people again; what is better, or over, has nothing to call them to.
    take(town, "board", [flood(2, 5, body="すぐに")])
    assert (read(town)["title"], read(town)["body"]) == ("避難：西予市", "高台へ。すぐに")
    take(town, "board", [flood(3, 2)])
    assert read(town)["title"] == "大雨"
    take(town, "board", [flood(4, 0, kind="withdrawn", title="解除")])
    assert told(town) == [("解除", "cancelled", False)]


def test_what_leaves_a_hole_waits_and_says_why(town: Runtime) -> None:
    by_template(town)
    take(town, "board", [flood(1, 3, fields={})])
    [waiting] = kept(town)
    assert (told(town), waiting["state"], waiting["due_at"]) == ([], "waiting", None)
    assert waiting["fault"] == "template: has nothing to put in place of 場所"
    act_due(town)
    assert told(town) == []
    # A yes sends what was shown: the source's own words, and no braces.
    assert settle(town, HAND, waiting["observation"], send=True)["state"] == "done"
    assert told(town) == [("大雨", "active", False)]
    assert "{" not in read(town)["body"]
    # Those who have it hear that it got worse, whether its template can be filled or not.
    take(town, "board", [flood(2, 5, fields={}, title="とても大雨")])
    assert told(town) == [("とても大雨", "active", False)]


def test_what_takes_the_place_of_an_alert_that_waits_is_worded_like_it(town: Runtime, clock: Clock) -> None:
    by_template(town, more="stop_seconds = 60\n")
    take(town, "board", [flood(1, 4), flood(2, 3, body="落ち着いて")])
    assert course(town) == ["alert rule superseded", "alert better due"]
    take(town, "board", [flood(3, 4, fields={})])
    clock.move(seconds=61)
    act_due(town)
    assert told(town) == []
    assert kept(town)[-1]["state"] == "waiting"
    take(town, "board", [flood(4, 5, body="今すぐ")])
    settle(town, HAND, kept(town)[-1]["observation"], send=True)
    assert (read(town)["title"], read(town)["body"]) == ("避難：西予市", "高台へ。今すぐ")


def test_a_drill_by_a_template_stays_a_drill(town: Runtime) -> None:
    by_template(town, more='drills = "drill"\n')
    take(town, "board", [flood(1, 3, standing="drill")])
    assert told(town) == [("避難：西予市", "active", True)]


def test_a_template_that_is_gone_sends_nothing_by_itself(town: Runtime) -> None:
    by_template(town)
    templates.delete_template(town, BOSS, "flee")
    take(town, "board", [flood(1, 3)])
    assert told(town) == []
    assert kept(town)[0]["fault"] == "template: there is no template 'flee'"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (BY_TEMPLATE.format(do="alert").replace('"flee"', '"flew"'), "rule.0.template"),
        (BY_TEMPLATE.format(do="alert").replace("fill", "#"), "rule.0.template"),
        (BY_TEMPLATE.format(do="alert").replace("fields.place", "place"), "rule.0.fill.場所"),
        (BY_TEMPLATE.format(do="alert").replace('template = "flee"', EVERYONE), "rule.0.fill"),
        (BY_TEMPLATE.format(do="alert").replace('"flee"', '"callout-ja"').partition("fill")[0], "rule.0.audience"),
    ],
)
def test_a_rule_whose_template_cannot_be_filled_is_not_saved(town: Runtime, text: str, field: str) -> None:
    by_template(town)
    with pytest.raises(Invalid) as caught:
        rule(town, text)
    assert field in [name for name, _ in caught.value.details]


def test_whoever_may_not_alert_may_not_change_an_alert_either(town: Runtime) -> None:
    rule(town, ALERT + '[rule.when]\nauthors = ["boss"]\n')
    take(town, "board", [observation(title="避難指示", author="boss")])
    take(
        town,
        "board",
        [later(2, title="全員帰宅", author="clerk"), later(3, title="解除", kind="withdrawn", author="x")],
    )
    assert told(town) == [("避難指示", "active", False)]
    assert course(town)[1:] == ["update other-author waiting", "stand-down other-author waiting"]
    # What one of those writes whom the rule names goes by itself, whatever waits.
    take(town, "board", [later(4, title="高台へ", author="boss")])
    assert told(town) == [("高台へ", "active", False)]
    assert [each["state"] for each in kept(town)] == ["done", "superseded", "superseded", "done"]
    take(town, "board", [later(5, title="解除", kind="withdrawn", author="clerk")])
    assert settle(town, HAND, kept(town)[-1]["observation"], send=True)["state"] == "done"
    assert told(town) == [("解除", "cancelled", False)]
    take(town, "board", [later(6, title="また避難", author="boss")])
    assert course(town)[-1] == "alert rule done"


def test_whoever_does_not_say_who_they_are_changes_nothing(town: Runtime) -> None:
    rule(town, ALERT + '[rule.when]\nauthors = ["boss"]\n')
    take(town, "board", [observation(title="避難指示", author="boss"), later(2, title="全員帰宅", author="")])
    assert course(town)[1:] == ["update other-author waiting"]
    # Who has removed something its source may not know.
    take(town, "board", [later(3, title="解除", kind="withdrawn", author="")])
    assert told(town) == [("解除", "cancelled", False)]


def test_a_change_that_nobody_said_yes_to_keeps_no_end_from_being_said(town: Runtime) -> None:
    rule(town, ALERT)
    # A real alert must not call itself a drill: it waits.
    take(town, "board", [observation(title="避難指示"), later(2, title="【訓練】避難指示")])
    assert course(town)[-1] == "update changed waiting"
    take(town, "board", [later(3, title="解除", kind="withdrawn")])
    assert told(town) == [("解除", "cancelled", False)]
    assert [each["state"] for each in kept(town)] == ["done", "superseded", "done"]


WIDE = (
    f'[[rule]]\nname = "all"\nsource = "board"\ndo = "alert"\n{EVERYONE}\nwhen = {{ at_least = {{ level = "5" }} }}\n'
)
FEW = '[[rule]]\nname = "few"\nsource = "board"\ndo = "alert"\naudience = { people = ["hand"] }\n'


def level(version: int, rank: int, **changes: Any) -> Observation:
    areas = (Area("38214", "西予市", rank),) if rank else ()
    return later(version, scale="level", areas=areas, **{"title": f"レベル{rank}", **changes})


def reached(rt: Runtime) -> list[tuple[str, str, int]]:
    items = watching.read_alerts(rt, BOSS, before=None, limit=50)
    return [(item["title"], item["state"], item["recipients"]) for item in reversed(items)]


def test_what_gets_worse_alerts_whom_a_rule_for_that_names(town: Runtime) -> None:
    rule(town, WIDE + FEW)
    take(town, "board", [level(1, 3)])
    assert reached(town) == [("レベル3", "active", 1)]
    take(town, "board", [level(2, 5)])
    everyone = reached(town)[1][2]
    assert everyone > 1
    assert reached(town) == [("レベル5", "active", 1), ("レベル5", "active", everyone)]
    assert course(town) == ["alert rule done", "update worse done", "alert rule done"]
    # Both go on, and both end; nothing is told twice.
    take(town, "board", [level(2, 5), level(3, 4), level(4, 5)])
    assert [title for title, _, _ in reached(town)] == ["レベル5", "レベル5"]
    take(town, "board", [later(5, title="解除", kind="withdrawn")])
    assert reached(town) == [("解除", "cancelled", 1), ("解除", "cancelled", everyone)]
    take(town, "board", [level(6, 3)])
    assert [state for _, state, _ in reached(town)] == ["cancelled", "cancelled", "active"]
    assert len(course(town)) == 10, course(town)


def test_who_has_it_already_is_not_alerted_by_another_rule(town: Runtime) -> None:
    rule(town, WIDE + ALERT)
    take(town, "board", [level(1, 3), level(2, 5)])
    assert [title for title, _, _ in reached(town)] == ["レベル5"]


@pytest.mark.parametrize(("more", "waits"), [("stop_seconds = 60\n", "due"), ("most_per_hour = 1\n", "waiting")])
def test_a_wider_alert_that_waits_holds_up_nothing(town: Runtime, clock: Clock, more: str, waits: str) -> None:
    wide = WIDE.replace("when =", more + "when =")
    rule(town, wide + FEW)
    if waits == "waiting":
        take(town, "board", [level(1, 5, id="x", incident="x")])
    before = len(told(town))
    take(town, "board", [level(1, 3), level(2, 5)])
    assert told(town)[before:] == [("レベル5", "active", False)]
    assert [each["state"] for each in kept(town)][-2:] == ["done", waits]
    take(town, "board", [later(3, title="解除", kind="withdrawn")])
    assert told(town)[before:] == [("解除", "cancelled", False)]
    clock.move(minutes=5)
    act_due(town)
    assert len(told(town)) == before + 1, "what is over is not begun"


def test_an_edit_that_makes_it_urgent_alerts(town: Runtime) -> None:
    urgent = ALERT.replace("do =", 'when = { prefixes = ["【緊急】"] }\ndo =')
    rule(town, urgent + BOARD)
    take(town, "board", [observation(title="参集")])
    assert (told(town), board(town)) == ([], [("参集", False)])
    take(town, "board", [later(2, title="【緊急】参集")])
    assert told(town) == [("【緊急】参集", "active", False)]


def test_what_comes_from_the_future_outdates_nothing(town: Runtime) -> None:
    rule(town, ALERT)
    take(town, "board", [observation(title="一報")])
    ahead = town.now() + timedelta(days=400)
    take(town, "board", [later(2**40, title="時計が狂った二報", observed_at=ahead), later(2, title="三報")])
    take(town, "board", [later(2**40, title="時計が狂った二報", observed_at=ahead)])
    assert course(town) == ["alert rule done", "update changed done", "update changed done"]
    assert told(town) == [("三報", "active", False)]


def test_what_is_over_and_begins_at_its_worst_is_one_alert(town: Runtime) -> None:
    rule(town, WIDE + FEW)
    take(town, "board", [level(1, 3), level(2, 5), level(3, 0)])
    assert [state for _, state, _ in reached(town)] == ["cancelled", "cancelled"]
    take(town, "board", [level(4, 5), level(5, 4)])
    assert [state for _, state, _ in reached(town)] == ["cancelled", "cancelled", "active"]
    take(town, "board", [later(6, kind="withdrawn", title="解除")])
    assert {state for _, state, _ in reached(town)} == {"cancelled"}


def test_each_area_goes_to_the_people_of_its_rule(town: Runtime) -> None:
    move_in(town, "jiro", groups=())
    areas = {"38214": "hand", "38201": "taro", "38": "jiro"}
    text = "".join(
        f'[[rule]]\nname = "{area}"\nsource = "board"\ndo = "alert"\naudience = {{ people = ["{person}"] }}\n'
        f'when = {{ areas = ["{area}"] }}\n'
        for area, person in areas.items()
    )
    rule(town, text + BOARD)

    def warned(version: int, **ranks: int) -> Observation:
        found = tuple(Area(code.removeprefix("a"), code, rank) for code, rank in ranks.items())
        return later(version, scale="level", areas=found, title=f"第{version}報")

    def have() -> dict[str, tuple[str, str]]:
        """By person the alert that they have; nobody has two."""
        columns = (schema.recipients.c.person_id, schema.alerts.c.title, schema.alerts.c.state)
        query = select(*columns).join(schema.alerts, schema.alerts.c.id == schema.recipients.c.alert_id)
        with town.store.read() as connection:
            rows = [tuple(row) for row in connection.execute(query.where(schema.alerts.c.kind == "alert"))]
        assert len({person for person, _, _ in rows}) == len(rows)
        return {person: (title, state) for person, title, state in rows}

    take(town, "board", [warned(1, a38214=4, a38201=3)])
    assert have() == {"hand": ("第1報", "active"), "taro": ("第1報", "active")}
    # One is over, one goes on, and another begins.
    take(town, "board", [warned(2, a38214=0, a38201=3, a38205=3)])
    assert have() == {"hand": ("第2報", "cancelled"), "taro": ("第1報", "active"), "jiro": ("第2報", "active")}
    take(town, "board", [warned(3, a38214=0, a38201=4, a38205=3)])
    assert have() == {"hand": ("第2報", "cancelled"), "taro": ("第3報", "active"), "jiro": ("第3報", "active")}
    take(town, "board", [later(4, kind="withdrawn", title="解除")])
    assert {state for _, state in have().values()} == {"cancelled"}
    assert [title for title, urgent in board(town) if not urgent] == []


def test_what_others_have_is_nothing_to_an_area_that_has_none(town: Runtime) -> None:
    rule(town, ALERT + 'when = { areas = ["38214"] }\n')
    areas = (Area("38214", "西予市", 0), Area("38201", "松山市", 4))
    take(town, "board", [later(1, scale="level", areas=areas, title="大雨")])
    assert (told(town), course(town)) == ([], ["ignore no-rule done"])
