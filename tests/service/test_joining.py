"""One event that several sources speak of: one alert, nobody told less than before, and over when it is."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from alertd.core.alert import Ask, Choice
from alertd.core.audience import Audience
from alertd.core.errors import Invalid
from alertd.core.escalation import Plan, Step
from alertd.core.observation import Area, Observation
from alertd.core.rehearsal import Rehearsal
from alertd.core.rules import Action
from alertd.core.template import Template
from alertd.service import directory, observing, planning, revising, sources, templates, watching
from alertd.service.acting import act_due, settle
from alertd.service.revising import Revision
from alertd.service.rule_book import parse_book
from alertd.service.runtime import Runtime
from alertd.store import schema
from tests.core.test_rules import NOW
from tests.installation import BOSS, Clock
from tests.installation import settle as move_in
from tests.service.test_observing import HAND, course, kept, told
from tests.threads import at_once

EVENT = "20261122030405"
TOPIC = "https://garoon.example/g/bulletin/view.csp?cid=5&aid=12"
NAMES = ("agency", "board", "prefecture")


def book(join: str = "", **rules: str) -> str:
    """A rule for each source, and a join of all; `rules` says more of a source's rule."""
    each = "".join(
        f'[[rule]]\nname = "{name}"\nsource = "{name}"\ndo = "alert"\n'
        + rules.get(name, "audience = { everyone = true }")
        + "\n"
        for name in NAMES
    )
    return f'{each}[[join]]\nname = "all"\nsources = ["agency", "board", "prefecture"]\n{join}\n'


JOIN = book()
LIKELY = book('words = ["津波"]\nwithin_minutes = 30')


TEMPLATE = Template(language="ja", hazard="other", title="{title}", body="", audience=Audience(everyone=True))


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    move_in(rt, "taro", phone="090-0000-0001")
    move_in(rt, "jiro", phone="090-0000-0002")
    move_in(rt, "hand")
    for name in NAMES:
        sources.make_source(rt, BOSS, name, "program")
    return rt


def says(source: str, version: int = 1, **changes: Any) -> Observation:
    values: dict[str, Any] = {
        "id": f"{source}-{version}",
        "incident": f"{source}-event",
        "version": version,
        "kind": "new" if version == 1 else "changed",
        "standing": "actual",
        "title": f"{source}の第{version}報",
        "body": "",
        "observed_at": NOW,
    }
    return Observation(**{**values, **changes})


def tsunami(source: str, version: int = 1, rank: int = 3, **changes: Any) -> Observation:
    areas = (Area("601", "愛媛県宇和海沿岸", rank, "津波警報"),) if rank else ()
    return says(source, version, scale="tsunami", hazard="津波", areas=areas, known_as=(EVENT,), **changes)


def take(rt: Runtime, *found: Observation) -> list[str]:
    """Take them in one after another, each from the source that it names; what became of each."""
    became = []
    for each in found:
        assert isinstance(rt.now, Clock)
        rt.now.move(milliseconds=1)
        [taken] = observing.take(rt, each.id.partition("-")[0], [each])
        became.append(f"{taken.decision.action} {taken.decision.reason}")
    return became


def asked(rt: Runtime) -> list[tuple[int, int]]:
    """Of every alert the revision that stands, and the last one that asks."""
    columns = (schema.alerts.c.revision, schema.alerts.c.asked_revision)
    with rt.store.read() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(schema.alerts.c.sent_at))]


def test_what_names_the_same_is_one_thread(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    post = says("board", title="【緊急】参集", body="宇和海に津波警報。全員参集。", known_as=(EVENT, TOPIC))
    assert take(town, tsunami("agency"), tsunami("prefecture"), post) == [
        "alert rule",
        "ignore said-already",
        "update joined",
    ]
    assert (told(town), asked(town)) == ([("【緊急】参集", "active", False)], [(2, 1)])
    assert take(town, tsunami("agency", 2, rank=4), tsunami("prefecture", 2, rank=4)) == [
        "update worse",
        "ignore said-already",
    ]
    assert asked(town) == [(3, 3)]
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    assert [each["alert"] for each in kept(town) if each["action"] != "ignore"] == [alert["id"]] * 3


def test_it_is_over_when_each_of_them_says_so(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"), says("board", known_as=(EVENT,), title="参集"))
    assert take(town, says("agency", 2, kind="withdrawn", title="津波注意報解除")) == ["update still-holds"]
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    assert (alert["title"], alert["state"]) == ("津波注意報解除", "active")
    assert alert["body"] == "別の情報源では続いています / Another source still says:\n・参集"
    assert take(town, says("board", 2, kind="withdrawn", title="取下げ")) == ["stand-down withdrawn"]
    assert told(town) == [("取下げ", "cancelled", False)]


@pytest.mark.parametrize("leads", ['["agency"]', '["agency", "board"]'])
def test_what_leads_is_believed_alone(town: Runtime, leads: str) -> None:
    sources.save_book(town, BOSS, book(f"leads = {leads}"))
    take(town, tsunami("agency"), says("board", known_as=(EVENT,), title="参集"))
    held = "board" in leads
    became = take(town, says("agency", 2, kind="withdrawn", title="解除"))
    assert became == (["update still-holds"] if held else ["stand-down withdrawn"])
    # What was written about it and stands there still calls nobody again.
    if not held:
        assert take(town, says("board", 2, known_as=(EVENT,), title="参集の範囲")) == ["ignore closed"]
        assert told(town) == [("解除", "cancelled", False)]


def test_nobody_hears_that_it_got_better_while_another_says_otherwise(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"), tsunami("prefecture"))
    assert take(town, tsunami("agency", 2, rank=2)) == ["ignore said-already"]
    assert take(town, tsunami("prefecture", 2, rank=2)) == ["ignore said-already"]
    assert take(town, tsunami("prefecture", 3, rank=1)) == ["ignore said-already"]
    assert take(town, tsunami("agency", 3, rank=1, title="予報")) == ["ignore said-already"]
    sources.save_book(town, BOSS, book('leads = ["agency"]'))
    assert take(town, tsunami("agency", 4, rank=3)) == ["update worse"]
    assert take(town, tsunami("agency", 5, rank=2)) == ["update better"]


def test_what_only_seems_the_same_asks_again(town: Runtime) -> None:
    sources.save_book(town, BOSS, LIKELY)
    late = says("prefecture", title="津波の第一報", observed_at=NOW + timedelta(minutes=31))
    post = says("board", title="【緊急】ツナミ", body="津波")
    assert take(town, tsunami("agency"), post, late) == ["alert rule"] * 3
    post = says("board", 2, id="board-x", incident="board-other", title="【緊急】津波警報 参集", known_as=("x",))
    assert take(town, post) == ["update likely-same"]
    assert [asks for revision, asks in asked(town) if revision > 1] == [2]
    assert take(town, replace(post, id="board-y", incident="board-third")) == ["alert rule"]


@pytest.mark.parametrize(
    ("rules", "second"),
    [
        ({"agency": 'audience = { groups = ["fire"] }'}, "alert rule"),
        ({"agency": 'audience = { people = ["taro", "hand"] }', "board": 'audience = { people = ["taro"] }'}, "update"),
        ({"board": 'audience = { groups = ["fire"] }'}, "update"),
        ({"agency": 'audience = { people = ["taro"] }', "board": 'audience = { groups = ["fire"] }'}, "alert rule"),
        ({"board": "audience = { everyone = true }\nstop_seconds = 60"}, "alert rule"),
        ({"board": 'audience = { everyone = true }\nplan = "quiet"'}, "alert rule"),
        ({"board": 'template = "asks"'}, "alert rule"),
        ({"agency": 'template = "asks"', "board": 'template = "asks"'}, "update"),
        ({"board": 'audience = { everyone = true }\nseverity = "extreme"'}, "update worse"),
        ({"board": 'audience = { everyone = true }\nseverity = "minor"'}, "update joined"),
    ],
)
def test_nobody_is_told_less_than_by_a_rule_of_its_own(town: Runtime, rules: Mapping[str, str], second: str) -> None:
    directory.put_group(town, BOSS, "fire", "消防", None, [])
    planning.put_plan(town, BOSS, "quiet", "静か", Plan((Step(0, ("sms",)),)))
    ask = Ask("来られますか", (Choice("yes", "はい"), Choice("no", "いいえ")))
    templates.put_template(town, BOSS, "asks", "質問", replace(TEMPLATE, title="{title}", ask=ask))
    sources.save_book(town, BOSS, book(**rules))
    first, became = take(town, tsunami("agency"), says("board", known_as=(EVENT,)))
    assert first == "alert rule"
    assert became.startswith(second)


@pytest.mark.parametrize(
    ("text", "post", "became"),
    [
        (JOIN.partition("[[join]]")[0], {}, "alert rule"),
        (JOIN.replace('["agency", "board", "prefecture"]', '["agency", "prefecture"]'), {}, "alert rule"),
        (JOIN, {"known_as": ("20261122030406",)}, "alert rule"),
        (JOIN, {"known_as": (), "references": ("agency-1",)}, "update joined"),
        (JOIN, {"known_as": (), "body": "続報は https://agency.example/1。"}, "update joined"),
        (JOIN, {"known_as": (), "body": "続報は https://agency.example/12 を"}, "alert rule"),
        (JOIN, {"standing": "drill"}, "ignore drill-ignored"),
        (JOIN, {"title": "避難訓練のお知らせ"}, "draft may-be-drill"),
    ],
)
def test_only_what_somebody_joined_and_names_the_same(
    town: Runtime, text: str, post: dict[str, Any], became: str
) -> None:
    sources.save_book(town, BOSS, text)
    first = replace(tsunami("agency"), known_as=(EVENT, "https://agency.example/1"))
    assert take(town, first, says("board", **{"known_as": (EVENT,), **post})) == ["alert rule", became]


def test_a_join_is_of_sources_that_are_there(town: Runtime) -> None:
    with pytest.raises(Invalid) as caught:
        sources.save_book(town, BOSS, JOIN.replace('"prefecture"]', '"prefecture", "nobody"]'))
    assert list(caught.value.details) == [("join.0.sources", "there is no source 'nobody'")]


def test_drills_join_drills(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN.replace("everyone = true }", 'everyone = true }\ndrills = "drill"'))
    post = says("board", known_as=(EVENT,), standing="drill")
    assert take(town, tsunami("agency"), tsunami("prefecture", standing="drill"), post) == [
        "alert rule",
        "alert rule",
        "update joined",
    ]
    assert [drill for _, _, drill in told(town)] == [False, True]


@pytest.mark.parametrize("do", ["draft", "board", "ignore"])
def test_a_rule_that_does_not_alert_says_nothing_to_those_who_were_alerted(town: Runtime, do: str) -> None:
    text = JOIN.replace('source = "board"\ndo = "alert"', f'source = "board"\ndo = "{do}"')
    sources.save_book(town, BOSS, text)
    assert take(town, tsunami("agency"), says("board", known_as=(EVENT,))) == ["alert rule", f"{do} rule"]
    assert asked(town) == [(1, 1)]
    # And the other way round: what waits or is only shown is no alert yet.
    assert take(town, tsunami("agency", 2, kind="withdrawn")) == ["stand-down withdrawn"]


def test_who_has_come_since_hears_of_it_too(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"))
    move_in(town, "taro", phone="090-0000-0009")
    assert take(town, says("board", known_as=(EVENT,))) == ["update joined"], "who has only moved has it already"
    move_in(town, "saburo", phone="090-0000-0003")
    assert take(town, says("prefecture", known_as=(EVENT,))) == ["alert rule"]


def test_what_was_called_off_is_joined_by_nothing(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"))
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    revising.revise(town, HAND, alert["id"], Revision("cancel", "誤報", "", ask_again=False), "k")
    assert take(town, says("board", known_as=(EVENT,))) == ["alert rule"]


def test_what_begins_again_is_an_alert_of_its_own(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"), tsunami("prefecture"))
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    revising.revise(town, HAND, alert["id"], Revision("cancel", "終わり", "", ask_again=False), "k")
    assert take(town, tsunami("prefecture", 2, rank=4, title="大津波警報")) == ["alert worse"]
    assert take(town, tsunami("agency", 2, rank=4)) == ["ignore said-already"]
    assert told(town) == [("終わり", "cancelled", False), ("大津波警報", "active", False)]
    assert take(town, tsunami("agency", 3, kind="withdrawn")) == ["update still-holds"]
    assert take(town, tsunami("prefecture", 3, kind="withdrawn", title="解除")) == ["stand-down withdrawn"]
    assert told(town)[1] == ("解除", "cancelled", False)


def test_an_end_that_somebody_said_yes_to_holds_nothing(town: Runtime) -> None:
    sources.save_book(town, BOSS, book(board='audience = { everyone = true }\nwhen = { authors = ["boss"] }'))
    take(town, tsunami("agency"), says("board", known_as=(EVENT,), author="boss"))
    assert take(town, says("board", 2, kind="withdrawn", author="clerk")) == ["update other-author"]
    settle(town, HAND, kept(town)[-1]["observation"], send=True)
    assert take(town, says("agency", 2, kind="withdrawn")) == ["stand-down withdrawn"]


def test_what_others_had_said_of_an_alert_that_is_over_keeps_no_rise_from_being_told(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency", rank=4), tsunami("prefecture", rank=2))
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    revising.revise(town, HAND, alert["id"], Revision("cancel", "終わり", "", ask_again=False), "k")
    assert take(town, tsunami("prefecture", 2, rank=4, title="大津波警報")) == ["alert worse"]
    assert told(town)[1:] == [("大津波警報", "active", False)]


def test_a_rehearsal_has_no_others_of_an_alert_that_is_over() -> None:
    kept = parse_book(JOIN)
    rehearsal = Rehearsal(kept.rules, joins=kept.joins)
    rehearsal.take("agency", tsunami("agency", rank=4))
    rehearsal.take("prefecture", tsunami("prefecture", rank=2))
    rise = tsunami("prefecture", 2, rank=4)
    assert rehearsal.step("prefecture", rise, NOW + timedelta(hours=30)).decision.action is Action.ALERT


def test_what_is_refused_to_another_source_is_said_by_whoever_said_as_much(town: Runtime, clock: Clock) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"))
    # As it is kept before anybody has begun to say it.
    with town.store.write() as connection:
        connection.execute(update(schema.observations).values(state="due", alert_id=None))
        connection.execute(update(schema.threads).values(alert_id=None))
    assert take(town, tsunami("prefecture", title="津波警報")) == ["update joined"]
    with town.store.write() as connection:
        refused = schema.observations.c.source_id == "agency"
        connection.execute(update(schema.observations).where(refused).values(state="waiting", due_at=None))
    clock.move(minutes=1)
    act_due(town)
    assert told(town)[-1] == ("津波警報", "active", False)


def test_what_has_said_that_it_is_over_may_come_back(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"), says("board", known_as=(EVENT,)), says("board", 2, kind="withdrawn"))
    assert take(town, says("board", 3, known_as=(EVENT,))) == ["update joined"]
    assert take(town, says("agency", 2, kind="withdrawn")) == ["update still-holds"]
    assert len(told(town)) == 1


def test_what_has_ended_by_itself_holds_nothing(town: Runtime, clock: Clock) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"), says("board", known_as=(EVENT,), expires_at=town.now() + timedelta(hours=2)))
    clock.move(hours=3)
    assert take(town, says("agency", 2, kind="withdrawn")) == ["stand-down withdrawn"]


def test_an_alert_that_is_gone_when_it_is_joined_is_no_reason_to_say_nothing(town: Runtime, clock: Clock) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"))
    [alert] = watching.read_alerts(town, BOSS, before=None, limit=5)
    # It waits for its turn, and the alert is called off meanwhile.
    for state in ("going", "done"):
        with town.store.write() as connection:
            first = schema.observations.c.source_id == "agency"
            connection.execute(update(schema.observations).where(first).values(state=state))
        if state == "going":
            assert take(town, says("board", known_as=(EVENT,), title="参集")) == ["update joined"]
    revising.revise(town, HAND, alert["id"], Revision("cancel", "誤報", "", ask_again=False), "k")
    clock.move(minutes=1)
    act_due(town)
    assert told(town)[-1] == ("参集", "active", False)
    assert take(town, says("agency", 2, kind="withdrawn")) == ["ignore closed"]
    assert take(town, says("board", 2, kind="withdrawn", title="解除")) == ["stand-down withdrawn"]
    assert told(town) == [("誤報", "cancelled", False), ("解除", "cancelled", False)]


def test_what_waits_for_a_person_keeps_nobody_from_being_alerted(town: Runtime) -> None:
    """A rule whose template lacks something would have alerted: what it waits for, others do not wait for."""
    templates.put_template(town, BOSS, "lacks", "欠け", replace(TEMPLATE, title="{fields.where}"))
    sources.save_book(town, BOSS, book(agency='template = "lacks"'))
    assert take(town, tsunami("agency"), says("board", known_as=(EVENT,))) == ["alert rule", "alert rule"]
    assert [each["state"] for each in kept(town)] == ["waiting", "done"]
    settle(town, HAND, kept(town)[0]["observation"], send=True)
    assert len(told(town)) == 2


def test_two_that_come_at_once_are_one_alert(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    for turn in range(5):
        event = f"2026112203040{turn}"
        found = [
            says(name, incident=f"{name}-{turn}", id=f"{name}-{turn}", version=turn + 1, known_as=(event,))
            for name in NAMES
        ]
        at_once(lambda each: observing.take(town, each.id.partition("-")[0], [each]), found)
        act_due(town)
        assert len(told(town)) == turn + 1
        assert {each["state"] for each in kept(town)} == {"done"}


def test_each_source_is_told_how_the_alert_stands(town: Runtime) -> None:
    sources.save_book(town, BOSS, JOIN)
    take(town, tsunami("agency"), tsunami("prefecture"), says("board", known_as=(EVENT,)))
    with town.store.read() as connection:
        found = connection.execute(select(schema.incidents.c.source_id).where(schema.incidents.c.write_at.is_not(None)))
        assert sorted(found.scalars()) == sorted(NAMES)


@pytest.mark.parametrize("seed", range(16))
def test_a_rehearsal_decides_as_it_was(town: Runtime, seed: int) -> None:
    chance = random.Random(seed)
    leads = chance.choice(["", 'leads = ["agency"]'])
    wide = chance.choice(
        [
            "",
            '[[rule]]\nname = "wide"\nsource = "agency"\ndo = "alert"\naudience = { everyone = true }\n'
            '[rule.when]\nat_least = { tsunami = "major" }\n',
            "".join(
                f'[[rule]]\nname = "{area}"\nsource = "agency"\ndo = "{do}"\naudience = {{ people = ["taro"] }}\n'
                f'[rule.when]\nareas = ["{area}"]\n'
                for area, do in (("601", "alert"), ("760", "alert"))
            ),
        ]
    )
    directory.put_group(town, BOSS, "fire", "消防", None, [])
    move_in(town, "saburo", phone="090-0000-0003", groups=("fire",))
    narrow = {"agency": 'audience = { groups = ["fire"] }'} if wide else {}
    text = wide + book(leads + '\nwords = ["津波"]\nwithin_minutes = 600', **narrow)
    sources.save_book(town, BOSS, text)
    parsed = parse_book(text)
    rehearsal = Rehearsal(parsed.rules, None, parsed.joins)
    versions: dict[str, int] = {}
    for _ in range(25):
        name = chance.choice(NAMES)
        incident = f"{name}-{chance.randrange(2)}"
        versions[incident] = versions.get(incident, 0) + 1
        assert isinstance(town.now, Clock)
        town.now.move(minutes=chance.randrange(200))
        changes: dict[str, Any] = {
            "id": f"{incident}-{versions[incident]}",
            "incident": incident,
            "kind": chance.choice(["new", "changed", "changed", "withdrawn"]),
            "known_as": (chance.choice([EVENT, "another-event"]),),
            "title": chance.choice(["津波警報", "参集", "大雨"]),
            "observed_at": town.now(),
            "expires_at": chance.choice([None, town.now() + timedelta(hours=chance.randrange(1, 30))]),
        }
        if name == "board":
            each = says(name, versions[incident], **changes)
        else:
            each = replace(tsunami(name, versions[incident], rank=chance.randrange(5)), **changes)
            if wide and chance.random() < 0.5:
                more = Area("760", "豊後水道沿岸", chance.randrange(5))
                each = replace(each, areas=(*each.areas, more))
        [taken] = observing.take(town, name, [each])
        played = rehearsal.step(name, each, town.now())
        known = {row["observation"]: f"{row['action']} {row['reason']}" for row in kept(town)}
        decided = [f"{taken.decision.action} {taken.decision.reason}", *(known[also] for also in taken.also)]
        steps = (played, *played.also)
        assert [f"{step.decision.action} {step.decision.reason}" for step in steps] == decided, course(town)
    active = [state for _, state, _ in told(town)].count("active")
    begun = sum(each["action"] == Action.ALERT for each in kept(town))
    assert begun == len(told(town))
    assert active <= begun
