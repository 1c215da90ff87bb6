"""Telegrams of the Agency: the Agency's own samples with values read off them by hand, small ones of ours, and what the
rules make of them one after the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from alertd.core.audience import Audience
from alertd.core.observation import Observation, observation_faults
from alertd.core.rules import Drills, Reason, Rule, Thread, When, decide, followed
from alertd.sources import jma
from alertd.sources.base import Unreadable
from alertd.sources.jma_words import hazards_in, level_in
from alertd.sources.registry import kind_of
from tests.sources.samples import SAMPLES
from tests.sources.telegrams import (
    NONE,
    city,
    information,
    kind,
    old_warning,
    quake,
    region,
    telegram,
    tsunami,
    warning,
)

JMA_SAMPLES = SAMPLES / "jma"
MATSUYAMA, SEIYO, KIHOKU = "3820100", "3821400", "3848800"
EVERYONE = Audience(everyone=True)

RAIN2 = kind("レベル２大雨注意報", "10")
RAIN3 = kind("レベル３大雨警報", "03")
RAIN4 = kind("レベル４大雨危険警報", "43")
RAIN5 = kind("レベル５大雨特別警報", "33")
RAIN_OVER = kind("レベル３大雨警報", "03", "解除")


def read(raw: bytes, name: str = "") -> Sequence[Observation]:
    found = jma.read(raw, name)
    for observation in found:
        assert observation_faults(observation) == []
    return found


def one(raw: bytes, name: str = "") -> Observation:
    (found,) = read(raw, name)
    return found


def ranks(observation: Observation) -> dict[str, int]:
    return {area.code: area.rank for area in observation.areas}


def by_hazard(raw: bytes) -> dict[str, dict[str, int]]:
    return {observation.hazard: ranks(observation) for observation in read(raw)}


# What the rules make of one telegram after the other.


def follow(raws: Iterable[bytes], at_least: Mapping[Any, str], *areas: str, drills: Drills = "ignore") -> list[str]:
    rule = Rule("r", "jma", "alert", When(at_least=dict(at_least), areas=areas), audience=EVERYONE, drills=drills)
    threads: dict[str, Thread] = {}
    told = []
    for raw in raws:
        for observation in read(raw):
            thread = threads.get(observation.incident, Thread())
            decision = decide(observation, "jma", [rule], thread)
            threads[observation.incident] = followed(thread, observation, decision, observation.observed_at)
            told.append(f"{decision.action} {decision.reason}")
    return told


def test_a_tsunami_is_one_thread_from_its_issue_to_its_end() -> None:
    coast = ("愛媛県宇和海沿岸", "津波注意報", "62", "00")
    raws = [
        tsunami({"600": coast}, at="01"),
        tsunami(
            {"600": ("愛媛県宇和海沿岸", "大津波警報：発表", "53", "62")},
            at="05",
            event="20261122025500 20261122025901",
        ),
        tsunami({"600": ("愛媛県宇和海沿岸", "大津波警報", "52", "53")}, at="06"),
        tsunami({"600": ("愛媛県宇和海沿岸", "津波注意報", "62", "52")}, at="30"),
        tsunami({"600": ("愛媛県宇和海沿岸", "津波予報（若干の海面変動）", "71", "62")}, at="50"),
    ]
    assert follow(raws, {"tsunami": "advisory"}, "600") == [
        "alert rule",
        "update worse",
        "ignore unchanged",
        "update better",
        "stand-down withdrawn",
    ]


def test_a_tsunami_that_ends_here_and_goes_on_elsewhere_is_over_here() -> None:
    here, there = "愛媛県宇和海沿岸", "高知県"
    raws = [
        tsunami({"600": (here, "津波注意報", "62", "00"), "610": (there, "津波警報", "51", "00")}, at="01"),
        tsunami({"600": (here, "津波注意報解除", "60", "62"), "610": (there, "津波警報", "51", "51")}, at="20"),
    ]
    assert follow(raws, {"tsunami": "advisory"}, "600") == ["alert rule", "stand-down areas-over"]
    assert one(raws[1]).kind == "new"


@pytest.mark.parametrize("order", [1, -1])
def test_an_old_and_a_new_form_of_a_warning_alert_once(order: int) -> None:
    old = old_warning({SEIYO: kind("大雨警報", "03", "発表", "浸水害", "浸水警戒")})
    raws = [old, warning({SEIYO: RAIN3})][::order]
    assert follow(raws, {"level": "3"}, SEIYO).count("alert rule") == 1
    assert follow([*raws, *raws], {"level": "3"}, SEIYO).count("alert rule") == 1


def test_the_old_form_neither_lowers_nor_ends_what_the_new_one_said() -> None:
    raws = [
        warning({SEIYO: RAIN4}, at="00"),
        old_warning({SEIYO: kind("大雨警報", "03", "発表", "浸水害", "浸水警戒")}, at="10"),
        old_warning(
            {SEIYO: kind("洪水警報", "04") + kind("大雨注意報", "10", "警報から注意報", "", "浸水注意")}, at="20"
        ),
        warning({SEIYO: RAIN3}, at="30"),
    ]
    rain = [each for raw in raws for each in read(raw) if each.hazard == "大雨"]
    rule = Rule("r", "jma", "alert", When(at_least={"level": "3"}), audience=EVERYONE)
    thread, told = Thread(), []
    for observation in rain:
        decision = decide(observation, "jma", [rule], thread)
        thread = followed(thread, observation, decision, observation.observed_at)
        told.append(decision.reason)
    assert told == [Reason.RULE, Reason.OLDER, Reason.OLDER, Reason.BETTER]


def test_without_a_new_form_the_old_one_tells_it_all() -> None:
    inundation = ("浸水害", "浸水警戒")
    raws = [
        old_warning({SEIYO: kind("大雨注意報", "10", "発表", "", "浸水注意")}, at="00"),
        old_warning({SEIYO: kind("大雨警報", "03", "発表", *inundation)}, at="10"),
        old_warning({SEIYO: kind("大雨警報", "03", "継続", *inundation)}, at="20"),
        old_warning({SEIYO: kind("大雨特別警報", "33", "発表", *inundation)}, at="30"),
        old_warning({SEIYO: kind("大雨警報", "03", "特別警報から警報", *inundation)}, at="40"),
        old_warning({SEIYO: kind("大雨警報", "03", "解除", *inundation)}, at="50"),
    ]
    rain = [read(raw)[0] for raw in raws]
    assert [each.kind for each in rain] == ["new"] * 5 + ["withdrawn"]
    assert [each.rank for each in rain] == [2, 3, 3, 5, 3, 0]
    told = [
        each for each in follow(raws, {"level": "3"}, SEIYO) if each.partition(" ")[2] not in ("never-told", "no-rule")
    ]
    assert told == ["alert rule", "ignore unchanged", "update worse", "update better", "stand-down withdrawn"]


def test_a_warning_rises_falls_and_ends_here_and_elsewhere() -> None:
    raws = [
        warning({SEIYO: RAIN3, MATSUYAMA: RAIN2}, at="00"),
        warning({SEIYO: kind("レベル３大雨警報", "03", "継続"), MATSUYAMA: RAIN4}, at="05"),
        warning({SEIYO: RAIN4, MATSUYAMA: RAIN4}, at="10"),
        warning({SEIYO: RAIN5, MATSUYAMA: RAIN4}, at="15"),
        warning({SEIYO: RAIN2, MATSUYAMA: RAIN4}, at="20"),
        warning({SEIYO: RAIN_OVER, MATSUYAMA: RAIN4}, at="25"),
        warning({SEIYO: NONE, MATSUYAMA: RAIN4}, at="30"),
        warning({SEIYO: RAIN3, MATSUYAMA: RAIN_OVER}, at="35"),
        warning({SEIYO: RAIN_OVER, MATSUYAMA: NONE}, at="40"),
        warning({SEIYO: NONE, MATSUYAMA: NONE}, at="45"),
    ]
    assert follow(raws, {"level": "3"}, SEIYO) == [
        "alert rule",
        "ignore unchanged",
        "update worse",
        "update worse",
        "update better",
        "stand-down areas-over",
        "ignore no-rule",
        "alert rule",
        "stand-down withdrawn",
        "ignore never-told",
    ]


def test_a_list_that_is_missing_ends_nothing() -> None:
    broken = telegram(title="愛媛県大雨警報・注意報", text="レベル５大雨特別警報を発表しました。", at="10")
    assert follow([warning({SEIYO: RAIN3}), broken], {"level": "3"})[1] == "alert rule"
    assert one(broken).level == 5
    shaken = quake(region("621", "愛媛県南予", "<MaxInt>5-</MaxInt>"))
    assert follow([shaken, quake("", at="05", serial="2")], {"intensity": "4"}) == ["alert rule", "ignore no-rule"]
    wave = tsunami({"600": ("愛媛県宇和海沿岸", "津波警報", "51", "00")})
    assert follow([wave, tsunami({}, at="05")], {"tsunami": "warning"}) == ["alert rule", "ignore no-rule"]


# 発表, 訂正, 取消; 通常, 訓練, 試験.


def test_a_correction_is_a_later_version_though_it_has_the_time_of_what_it_corrects() -> None:
    first = warning({SEIYO: RAIN3}, sent="2026-11-21T18:00:30Z")
    corrected = warning({SEIYO: RAIN4}, info="訂正", sent="2026-11-21T18:00:30Z")
    assert one(corrected).kind == "changed"
    assert follow([first, corrected, first], {"level": "3"}) == ["alert rule", "update worse", "ignore repeated"]


def test_versions_rise_with_the_report_then_the_serial_then_the_sending() -> None:
    raws = [
        quake("", serial="1", at="00"),
        quake("", serial="2", at="00", sent="2026-11-21T18:00:00Z"),
        quake("", serial="２", at="00", sent="2026-11-21T18:00:10Z"),
        quake("", serial="1", at="01"),
        quake("", serial="9999999", at="02"),
    ]
    versions = [one(raw).version for raw in raws]
    assert versions == sorted(set(versions))
    assert [one(raw).kind for raw in raws] == ["new", "changed", "changed", "new", "new"]


def test_what_is_called_off_has_only_text_and_ends_its_incident() -> None:
    called_off = {"info": "取消", "at": "20", "text": "先ほどの電文を取り消します。"}
    shaken = quake(region("621", "愛媛県南予", "<MaxInt>6+</MaxInt>"))
    assert follow([shaken, quake("", **called_off)], {"intensity": "4"})[1] == "stand-down withdrawn"
    wave = tsunami({"600": ("愛媛県宇和海沿岸", "津波警報", "51", "00")})
    assert follow([wave, tsunami({}, **called_off)], {"tsunami": "warning"})[1] == "stand-down withdrawn"
    assert follow([warning({SEIYO: RAIN5}), telegram(**called_off)], {"level": "3"})[1] == "stand-down withdrawn"
    observation = one(telegram(**called_off))
    assert (observation.kind, observation.level) == ("withdrawn", 0)
    assert "取り消します" in observation.body


def test_an_old_form_that_is_called_off_ends_the_hazards_that_it_names() -> None:
    old = {"control": "気象警報・注意報（Ｈ２７）", "title": "愛媛県気象警報・注意報", "info": "取消", "at": "20"}
    first = old_warning({SEIYO: kind("大雨警報", "03", "発表", "土砂災害", "土砂災害警戒") + kind("暴風警報", "05")})
    found = read(telegram(**old, text="先ほどの大雨警報、強風注意報を取り消します。"))
    assert [(each.hazard, each.kind) for each in found] == [
        ("大雨", "withdrawn"),
        ("暴風", "withdrawn"),
        ("土砂災害", "withdrawn"),
    ]
    assert {each.incident for each in read(first)} == {each.incident for each in found}
    assert one(telegram(**old, text="取り消します。")).hazard == ""


@pytest.mark.parametrize(("status", "standing"), [("通常", "actual"), ("訓練", "drill"), ("試験", "test")])
def test_what_is_no_real_telegram_is_never_one(status: str, standing: str) -> None:
    raw = warning({SEIYO: RAIN5}, status=status)
    assert one(raw).standing == standing
    told = {"actual": "alert rule", "drill": "ignore drill-ignored", "test": "ignore test"}[standing]
    assert follow([raw], {"level": "3"}) == [told]


# What each kind says.


def test_intensities_are_read_with_their_spaces_and_where_no_reading_has_come_from() -> None:
    silent = city(KIHOKU, "<Condition>震度５弱以上未入電</Condition>")
    cities = city(MATSUYAMA, "<MaxInt>4 </MaxInt>") + city(SEIYO, "<MaxInt>６強</MaxInt>") + silent
    observation = one(quake(region("621", "愛媛県南予", "<MaxInt>6+ </MaxInt>", cities)))
    assert observation.type == "VXSE53"
    assert ranks(observation) == {"621": 8, MATSUYAMA: 4, SEIYO: 0, KIHOKU: 5}
    assert [area.words for area in observation.areas] == ["震度６強", "震度４", "６強", "震度５弱"]
    assert (observation.severity, observation.hazard) == ("extreme", "地震")


def test_an_area_that_stands_twice_is_as_where_it_is_worst() -> None:
    twice = [region("621", "愛媛県南予", f"<MaxInt>{most}</MaxInt>") for most in ("3", "5+")]
    assert ranks(one(quake("".join(twice)))) == ranks(one(quake("".join(reversed(twice))))) == {"621": 6}


def test_an_area_without_code_and_name_is_none_and_a_code_has_an_end() -> None:
    named = region(" ", " ", "<MaxInt>3</MaxInt>") + region("6" * 300, "愛媛県南予", "<MaxInt>3</MaxInt>")
    (area,) = one(quake(named)).areas
    assert len(area.code) == 200


def test_a_flash_and_the_full_report_of_a_quake_are_one_incident() -> None:
    flash = telegram(
        control="震度速報",
        kind="震度速報",
        event="20261122025500",
        information=information("震度速報", "震度６弱", "", {"621": "愛媛県南予"}),
    )
    full = quake(region("621", "愛媛県南予", "<MaxInt>6-</MaxInt>", city(SEIYO, "<MaxInt>6-</MaxInt>")), at="04")
    assert one(flash).type == "VXSE51"
    assert follow([flash, full], {"intensity": "5-"}) == ["alert rule", "update new-area"]


def test_old_rain_warnings_are_told_apart_and_raised_by_their_notice() -> None:
    raw = old_warning(
        {
            MATSUYAMA: kind("大雨特別警報", "33", "発表", "土砂災害", "土砂災害警戒", "浸水警戒"),
            SEIYO: kind("大雨警報", "03", "発表", "浸水害", "土砂災害注意", "浸水警戒") + kind("強風注意報", "15"),
            KIHOKU: kind("大雨注意報", "10", "発表", "", "土砂災害注意"),
        },
        notice="［危険警報の発表状況］\n〈レベル４氾濫危険警報〉肱川＊\n〈レベル４大雨危険警報〉西予市、今治市",
    )
    assert by_hazard(raw) == {
        "大雨": {MATSUYAMA: 3, SEIYO: 4, KIHOKU: 0},
        "土砂災害": {MATSUYAMA: 5, SEIYO: 2, KIHOKU: 2},
        "暴風": {SEIYO: 2},
    }
    assert read(raw)[0].title == "愛媛県気象警報・注意報（大雨）"


def test_an_unknown_code_is_ranked_by_its_words() -> None:
    kinds = kind("レベル５竜巻特別警報", "77") + kind("黄砂情報", "78") + kind("", "43")
    assert by_hazard(warning({SEIYO: kinds})) == {"竜巻": {SEIYO: 5}, "黄砂情報": {SEIYO: 0}, "大雨": {SEIYO: 4}}
    assert {each.hazard: each.kind for each in read(warning({SEIYO: kinds}))}["黄砂情報"] == "new"


def test_only_municipalities_count_and_one_without_a_code_is_known_by_its_name() -> None:
    raw = warning({SEIYO: RAIN3}).replace(b"<Code>3821400</Code>", b"")
    assert ranks(one(raw)) == {"西予市": 3}


LANDSLIDE = {"control": "土砂災害警戒情報", "kind": "土砂災害警戒情報", "event": "愛媛県土砂災害警戒情報"}


def landslide(code: str, status: str, **changes: str) -> bytes:
    item = f"<Item>{kind('警戒', code, status)}<Area><Name>西予市</Name><Code>{SEIYO}</Code></Area></Item>"
    return telegram(**{**LANDSLIDE, "body": f'<Warning type="土砂災害警戒情報">{item}</Warning>', **changes})


def test_landslides_are_level_4_until_they_are_over() -> None:
    raws = [landslide("3", "発表"), landslide("3", "継続", at="10", serial="2"), landslide("1", "解除", at="20")]
    assert ranks(one(raws[0])) == {SEIYO: 4}
    assert follow(raws, {"level": "4"}, SEIYO) == ["alert rule", "ignore unchanged", "stand-down withdrawn"]
    assert ranks(one(landslide("9", "発表"))) == {SEIYO: 4}


def river(name: str, code: str, **changes: str) -> bytes:
    flooded = f"<Area><Name>大洲市大洲</Name><City>西予市</City><CityCode>{SEIYO}</CityCode></Area>"
    item = f"<Item>{kind('浸水想定地区', '')}<Areas>{flooded}</Areas></Item>"
    return telegram(
        **{
            "control": "指定河川洪水予報",
            "kind": "指定河川洪水予報",
            "event": "880808000100",
            "information": information("指定河川洪水予報（予報区域）", name, code, {"880808000100": "肱川"}),
            "body": f'<Warning type="指定河川洪水予報">{item}</Warning>',
            **changes,
        }
    )


def test_rivers_reach_the_municipalities_that_they_may_flood() -> None:
    raws = [
        river("氾濫注意情報", "20"),
        river("レベル４氾濫危険警報", "40", at="10"),
        river("氾濫発生情報", "51", at="20"),
        river("氾濫注意情報（警戒情報解除）", "22", at="30"),
        river("氾濫注意情報解除", "10", at="40"),
    ]
    assert ranks(one(raws[1])) == {"880808000100": 4, SEIYO: 4}
    assert one(raws[0], "20261122_0_VXKO57_380000.xml").type == "VXKO"
    assert follow(raws, {"level": "4"}, SEIYO) == [
        "ignore no-rule",
        "alert rule",
        "update worse",
        "update better",
        "stand-down withdrawn",
    ]
    assert one(river("氾濫発生の見込", "59")).rank == 5
    assert one(river("氾濫の情報", "59")).kind == "new"


def volcano(level: str, code: str, told: str, place: str, condition: str, **changes: str) -> bytes:
    lists = information("噴火警報・予報（対象火山）", level, code, {"506": "桜島"}, condition)
    lists += information("噴火警報・予報（対象市町村等）", told, place, {"4620100": "鹿児島県鹿児島市"}, condition)
    form = {"control": "噴火警報・予報", "kind": "噴火警報・予報", "event": "506", "information": lists}
    return telegram(**{**form, **changes})


def test_a_volcano_is_one_incident_by_its_level() -> None:
    raws = [
        volcano("レベル３（入山規制）", "13", "火口周辺警報", "02", "引上げ"),
        volcano("レベル５（避難）", "15", "噴火警報", "01", "引上げ", at="10"),
        volcano("レベル３（入山規制）", "13", "火口周辺警報", "02", "引下げ", at="20"),
        volcano("レベル１（活火山であることに留意）", "11", "噴火予報：警報解除", "04", "解除", at="30"),
    ]
    assert ranks(one(raws[1])) == {"4620100": 5}
    assert follow(raws, {"volcano": "3"}, "46201") == [
        "alert rule",
        "update worse",
        "update better",
        "stand-down withdrawn",
    ]


def test_an_eruption_does_not_end_the_warning_of_its_volcano() -> None:
    flash = telegram(
        control="噴火速報",
        event="506",
        at="05",
        information=information("噴火速報（対象市町村等）", "噴火速報", "56", {"4620100": "鹿児島県鹿児島市"}),
    )
    warned = volcano("レベル３（入山規制）", "13", "火口周辺警報", "02", "引上げ")
    assert follow([warned, flash], {"volcano": "3"}) == ["alert rule", "ignore no-rule"]
    observation = one(flash)
    assert (observation.type, observation.severity, ranks(observation)) == ("VFVO56", "severe", {"4620100": 0})


def test_records_of_rain_and_the_trough_are_kept_by_their_events() -> None:
    rain = telegram(
        control="記録的短時間大雨情報",
        title="愛媛県記録的短時間大雨情報",
        information=information("記録的短時間大雨情報（発表細分）", "記録的短時間大雨情報", "1", {"380030": "南予"}),
    )
    observation = one(rain)
    assert (observation.type, observation.severity, ranks(observation)) == ("VPOA50", "severe", {"380030": 0})
    trough = {"control": "南海トラフ地震臨時情報", "event": "20261122020000"}
    severities = [
        one(telegram(**trough, title=f"南海トラフ地震臨時情報（{word}）")).severity
        for word in ("巨大地震警戒", "調査中")
    ]
    assert severities == ["extreme", "moderate"]
    told = {"control": "南海トラフ地震関連解説情報", "event": "20261122020000"}
    assert [one(telegram(**told), name).type for name in ("", "x_VYSE52_010000.xml")] == ["VYSE51", "VYSE52"]


# What is not known.


def test_an_unknown_kind_is_kept_with_the_level_that_its_words_name() -> None:
    raw = telegram(
        control="新しい情報", kind="新情報", title="愛媛県新情報", text="レベル５高潮特別警報を発表しました。"
    )
    observation = one(raw)
    assert (observation.type, observation.level, observation.severity) == ("新情報", 5, "extreme")
    assert (observation.areas, observation.scale) == ((), None)
    assert follow([raw], {"level": "5"}) == ["alert rule"]


def test_what_nothing_ends_is_told_anew_each_time() -> None:
    again = [telegram(control="新しい情報", text="レベル５", event="880808000100", at=at) for at in ("00", "30")]
    assert follow(again, {"level": "5"}) == ["alert rule", "alert rule"]
    series = [
        telegram(control="新しい情報", text=f"レベル５ {at}", event="20261122010000", at=at) for at in ("00", "30")
    ]
    assert follow(series, {"level": "5"}) == ["alert rule", "update changed"]


def test_an_unknown_title_is_read_as_its_file_is_named() -> None:
    raw = warning({SEIYO: RAIN4}, control="気象警報・注意報（Ｒ１０）（大雨）")
    assert one(raw).type == "気象警報・注意報"
    for name in ("15_17_01_250630_VPWW55.xml", "20261122030000_0_VPWW55_380000.xml"):
        assert (one(raw, name).type, ranks(one(raw, name))) == ("VPWW55", {SEIYO: 4})
    assert one(warning({SEIYO: RAIN4}), "x_VTSE41_1.xml").type == "VPWW55"


def test_a_companion_names_no_level_of_its_own() -> None:
    assert one(telegram(control="津波情報a", event="20261122025500", text="大津波警報を発表中です。")).level == 0
    assert one(telegram(control="気象警報・注意報（Ｒ０６）（集約通報）", text="レベル５大雨特別警報")).level == 0


def test_what_was_or_is_lifted_or_only_explained_is_no_level_of_an_unknown_kind() -> None:
    body = (
        f"<Warning><Item>{kind('大雨特別警報', '33', '解除')}</Item>"
        "<Item><Kind><Name>注意報</Name><LastKind><Name>大雨特別警報</Name></LastKind></Kind></Item></Warning>"
        "<Appendix>【レベル５（避難）】：避難等が必要。</Appendix>"
    )
    assert one(telegram(control="新しい情報", body=body)).level == 0
    assert one(telegram(control="新しい情報", body=body.replace("解除", "発表"))).level == 5


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("レベル５大雨特別警報を発表", 5),
        ("警戒レベル5相当", 5),
        ("警戒レベル五", 5),
        ("警戒レベルⅤ", 5),
        ("警戒レベルは５です", 5),
        ("ＬＥＶＥＬ　５ evacuation", 5),
        ("レベル五からレベル四に引き下げました", 4),
        ("【警戒レベル ４相当】", 4),
        ("氾濫発生情報", 5),
        ("大雨警報を大雨特別警報に切り替えました", 5),
        ("噴火警戒レベルを３（入山規制）から５（避難）に引上げ", 5),
        ("大雨特別警報を発表し、洪水警報を解除しました", 5),
        ("大津波警報が解除されるまで安全な場所から離れないでください", 5),
        ("大雨特別警報は解除されていません", 5),
        ("大雨特別警報を解除する見込み", 5),
        ("洪水警報を解除。大雨特別警報", 5),
        ("大雨特別警報を解除しました", 0),
        ("大雨特別警報は、解除しました", 0),
        ("大津波警報・津波警報を解除しました", 0),
        ("レベル５氾濫特別警報の解除", 0),
        ("【解除】大雨特別警報", 0),
        ("レベル５大雨特別警報をレベル３大雨警報に切り替えました", 0),
        ("大雨特別警報から大雨警報へ", 0),
        ("大雨特別警報を取り消します", 0),
        ("大雨特別警報を発表する可能性があります", 0),
        ("これは特別警報ではありません", 0),
        ("警戒レベル５からレベル４に引き下げました", 4),
        ("噴火警戒レベルを５（避難）から３（入山規制）に引下げ", 3),
        ("レベル５は解除し、レベル４高潮危険警報を発表", 4),
        ("風が強まっています", 0),
    ],
)
def test_levels_in_words(text: str, level: int) -> None:
    assert level_in([text]) == level
    assert level_in(["前の文。", text, "次の文。"]) == level


def test_hazards_in_words() -> None:
    assert hazards_in("愛媛県気象警報・注意報 レベル４大雨危険警報、強風注意報、なだれ注意報") == ["大雨", "暴風"]


# What is refused.


@pytest.mark.parametrize(
    ("before", "after", "line", "message"),
    [
        ("<Control>", "<Control/><X>", 0, "this is not XML"),
        ("http://xml.kishou.go.jp/jmaxml1/", "urn:x", 2, "the root must be Report"),
        ("<Status>通常</Status>", "", 3, "Control must have Status"),
        ("<Status>通常</Status>", "<Status></Status>", 6, "Status must not be empty"),
        ("<Status>通常</Status>", "<Status>演習</Status>", 6, "Status must be 通常, 訓練 or 試験"),
        ("<InfoType>発表</InfoType>", "", 10, "Head must have InfoType"),
        ("<EventID></EventID>", "", 10, "Head must have EventID"),
        ("<Serial></Serial>", "", 10, "Head must have Serial"),
        ("2026-11-22T03:00:00+09:00", "昨日", 12, "ReportDateTime must be a time"),
        ("2026-11-21T18:00:30Z", "2026-02-30T18:00:30Z", 5, "DateTime must be a time"),
        ("2026-11-21T18:00:30Z", "2999-02-20T18:00:30Z", 5, "DateTime must be a time"),
        ("<Headline>", "<ValidDateTime>1</ValidDateTime><Headline>", 19, "ValidDateTime must be a time"),
    ],
)
def test_what_cannot_be_told_is_refused_with_its_line(before: str, after: str, line: int, message: str) -> None:
    text = warning({SEIYO: RAIN3}).decode()
    assert before in text
    with pytest.raises(Unreadable, match=message) as caught:
        jma.read(text.replace(before, after).encode())
    assert caught.value.line == line or not line


@pytest.mark.parametrize(
    "name", ["Title", "DateTime", "EditorialOffice", "PublishingOffice", "ReportDateTime", "InfoKind"]
)
def test_nothing_that_every_telegram_has_may_be_missing(name: str) -> None:
    lines = warning({SEIYO: RAIN3}).decode().splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith(f"<{name}>"))
    with pytest.raises(Unreadable, match=f"must have {name}") as caught:
        jma.read("\n".join(lines[:first] + lines[first + 1 :]).encode())
    assert caught.value.line > 0


def test_too_many_areas_are_refused() -> None:
    body = "".join(region(str(number), "x", "<MaxInt>1</MaxInt>") for number in range(5_001))
    with pytest.raises(Unreadable, match="more than 5000 areas"):
        jma.read(quake(body))


def test_what_it_is_about_and_when() -> None:
    raw = warning({SEIYO: RAIN3}, text="低い土地の浸水に警戒。").replace(
        b"<Headline>", b"<ValidDateTime>2026-11-22T09:00:00+09:00</ValidDateTime><Headline>"
    )
    observation = one(raw)
    assert observation.observed_at == datetime(2026, 11, 21, 18, 0, tzinfo=UTC)
    assert observation.expires_at == datetime(2026, 11, 22, 0, 0, tzinfo=UTC)
    assert (observation.author, observation.body) == ("松山地方気象台", "低い土地の浸水に警戒。")
    assert observation.fields["words"] == "レベル３大雨警報"
    assert observation.id == one(raw, "20261122_VPWW55.xml").id
    assert (kind_of(raw), kind_of(b"<alert/>"), kind_of(b" {}")) == ("jma", "cap", "program")


# The Agency's own samples.

HAND_CHECKED: dict[str, list[tuple[str, str, str, str, dict[str, int], int]]] = {
    # file: (type, incident, severity, scale, some ranks, how many areas have one)
    "15_14_01_170216_VPWW54": [
        ("VPWW54", "jma:warning:東京都:大雨", "moderate", "level", {"1311800": 3, "1330800": 3, "1310400": 0}, 3),
        ("VPWW54", "jma:warning:東京都:土砂災害", "extreme", "level", {"1310400": 5, "1330800": 5, "1311800": 0}, 2),
        ("VPWW54", "jma:warning:東京都:洪水", "moderate", "level", {"1311800": 3, "1312100": 3, "1330800": 3}, 3),
    ],
    "15_16_01_241031_VPWW56": [
        ("VPWW56", "jma:warning:宗谷地方:土砂災害", "severe", "level", {"0121400": 4, "0151100": 3, "0151200": 2}, 10),
    ],
    "15_16_03_241226_VPWW55": [
        ("VPWW55", "jma:warning:宗谷地方:大雨", "severe", "level", {"0121400": 4, "0151100": 3, "0152000": 2}, 10),
    ],
    "15_17_01_250123_VPWW54": [
        ("VPWW54", "jma:warning:島根県:大雨", "severe", "level", {"3220100": 4, "3220200": 3, "3234300": 2}, 15),
        ("VPWW54", "jma:warning:島根県:土砂災害", "moderate", "level", {"3220900": 3, "3250500": 3, "3220100": 2}, 15),
        ("VPWW54", "jma:warning:島根県:雷", "minor", "level", {"3252800": 2}, 19),
        ("VPWW54", "jma:warning:島根県:暴風", "minor", "level", {"3252800": 2}, 19),
        ("VPWW54", "jma:warning:島根県:波浪", "minor", "level", {"3220100": 2}, 10),
        ("VPWW54", "jma:warning:島根県:洪水", "moderate", "level", {"3220400": 3, "3220300": 2, "3244900": 3}, 8),
    ],
    "15_17_01_250630_VPWW55": [
        ("VPWW55", "jma:warning:島根県:大雨", "moderate", "level", {"3220100": 3, "3234300": 2, "3252800": 0}, 15),
    ],
    "17_04_01_250630_VXWW50": [
        (
            *("VXWW50", "jma:landslide:神奈川県土砂災害警戒情報", "severe", "level"),
            {"1420600": 4, "1438300": 4, "1438400": 4, "1413000": 0},
            3,
        ),
    ],
    "32-35_01_01_100806_VXSE51": [
        ("VXSE51", "jma:quake:20090811050711", "extreme", "intensity", {"442": 7, "440": 6, "342": 4, "540": 3}, 37),
    ],
    "32-35_04_04_240613_VXSE53": [
        (
            *("VXSE53", "jma:quake:20100125161517", "moderate", "intensity"),
            {"771": 4, "776": 4, "4620300": 4, "4621300": 4, "4520100": 3, "4621700": 2},
            86,
        ),
    ],
    "32-35_07_05_100915_VXSE51": [
        ("VXSE51", "jma:quake:20090811050711", "extreme", "intensity", {"440": 7, "422": 5, "563": 3}, 49),
    ],
    "32-39_11_02_250206_VTSE41": [
        ("VTSE41", "jma:tsunami:20110311144640", "extreme", "tsunami", {"210": 4, "201": 3, "100": 2, "202": 1}, 43),
    ],
    "32-39_11_06_250206_VTSE41": [
        ("VTSE41", "jma:tsunami:20110311144640", "extreme", "tsunami", {"210": 4, "201": 4, "101": 3, "802": 1}, 43),
    ],
    "32-39_11_09_250206_VTSE41": [
        ("VTSE41", "jma:tsunami:20110311144640", "extreme", "tsunami", {"201": 4, "320": 3, "772": 2, "510": 1}, 43),
    ],
    "45_01_01_200522_VFVO50": [
        ("VFVO50", "jma:volcano:306", "moderate", "volcano", {"1042500": 3, "2032300": 3}, 4),
    ],
}


@pytest.mark.skipif(not JMA_SAMPLES.is_dir(), reason="the Agency's samples are not here")
def test_the_agencys_samples() -> None:
    assert {path.stem for path in JMA_SAMPLES.glob("*.xml")} == set(HAND_CHECKED)
    for name, expected in HAND_CHECKED.items():
        found = read((JMA_SAMPLES / f"{name}.xml").read_bytes())
        assert found == read((JMA_SAMPLES / f"{name}.xml").read_bytes(), f"{name}.xml")
        for observation, (type_, incident, severity, scale, some, count) in zip(found, expected, strict=True):
            assert (observation.type, observation.incident) == (type_, incident)
            assert (observation.severity, observation.scale) == (severity, scale)
            assert (observation.kind, observation.standing, observation.level) == ("new", "actual", 0)
            assert {code: ranks(observation)[code] for code in some} == some, name
            assert sum(area.rank > 0 for area in observation.areas) == count, name
            assert observation.body
            assert observation.fields["office"]


@pytest.mark.skipif(not JMA_SAMPLES.is_dir(), reason="the Agency's samples are not here")
def test_the_agencys_samples_one_after_the_other() -> None:
    def raws(*names: str) -> list[bytes]:
        return [(JMA_SAMPLES / f"{name}.xml").read_bytes() for name in names]

    waves = raws("32-39_11_02_250206_VTSE41", "32-39_11_06_250206_VTSE41", "32-39_11_09_250206_VTSE41")
    assert follow(waves, {"tsunami": "warning"}) == ["alert rule", "update worse", "ignore unchanged"]
    assert follow(waves, {"tsunami": "warning"}, "210") == ["alert rule", "ignore unchanged", "ignore unchanged"]
    shaken = raws("32-35_01_01_100806_VXSE51", "32-35_07_05_100915_VXSE51")
    assert follow(shaken, {"intensity": "5-"}, "440") == ["alert rule", "update worse"]
    # 松江市: 大雨 at level 3 in the new form at 11:19; at 13:05 in the old one, within the time that it waits.
    rain = raws("15_17_01_250630_VPWW55", "15_17_01_250123_VPWW54")
    told = follow(rain, {"level": "3"}, "32201")
    assert told[:2] == ["alert rule", "ignore older"]
    assert told.count("alert rule") == 1
