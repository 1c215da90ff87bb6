"""Whatever is done to a message: it is read into observations that can be decided on, or refused in words."""

import re
from collections.abc import Callable, Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertd.core.observation import observation_faults
from alertd.sources.base import Reader, Unreadable
from alertd.sources.registry import READERS, kind_of
from tests.sources.samples import SAMPLES
from tests.sources.telegrams import (
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
from tests.sources.test_cap import info, message

SAMPLE_MAX: Final = 60_000  # bytes: so that thousands of examples take seconds

RAIN = kind("レベル４大雨危険警報", "43") + kind("レベル３土砂災害警報", "09", "継続")
OLD = kind("大雨警報", "03", "継続", "浸水害", "土砂災害注意", "浸水警戒")
VOLCANO = information("噴火警報・予報（対象火山）", "レベル３（入山規制）", "13", {"506": "桜島"}, "引上げ")
RIVER = information("指定河川洪水予報（予報区域）", "氾濫危険情報", "40", {"880808000100": "肱川"})
OWN: Final = [
    warning({"3821400": RAIN, "3820100": kind("レベル２大雨注意報", "10", "解除")}),
    old_warning({"3821400": OLD}, notice="〈レベル４大雨危険警報〉西予市"),
    tsunami({"600": ("愛媛県宇和海沿岸", "大津波警報", "52", "51"), "610": ("高知県", "警報解除", "50", "51")}),
    quake(region("621", "愛媛県南予", "<MaxInt>6+ </MaxInt>", city("3821400", "<MaxInt>6-</MaxInt>"))),
    telegram(control="噴火警報・予報", event="506", information=VOLCANO, body="<Text>警戒</Text>"),
    telegram(control="指定河川洪水予報", event="880808000100", information=RIVER),
    telegram(control="土砂災害警戒情報", info="取消", text="取り消します。"),
    telegram(control="記録的短時間大雨情報", event="1", information=RIVER),
    telegram(control="南海トラフ地震臨時情報", title="南海トラフ地震臨時情報（調査中）", event="20261122025500"),
    telegram(control="新しい情報", text="レベル５高潮特別警報から引き下げ", status="訓練"),
    message().encode(),
    message(kind="Update", references="<references>a,b,2026-11-22T18:00:00+09:00</references>").encode(),
    message(infos=info(language="en") + info(severity="Minor")).encode(),
]
SENT: Final = sorted(path for folder in ("cap", "jma") for path in (SAMPLES / folder).glob("*.*"))

TEXTS: Final = (
    *(
        "",
        " ",
        "　",
        "0",
        "-1",
        "9" * 400,
        "NaN",
        "４ ",
        "６強",
        "レベル９",
        "レベル５大雨特別警報",
        "解除",
        "なし",
    ),
    *("通常", "訓練", "発表", "取消", "Actual", "Cancel", "2026-11-22T03:00:00+09:00", "9999-12-31T23:59:59-14:00"),
    *("0001-01-01T00:00:00+14:00", "2026-11-22T03:00:00", "２０２６-11-22T03:00:00+09:00", "a,b,c", "🌊" * 300),
    *(
        "\u202e",
        "\u0301",
        "\u2028",
        "&#9;",
        "&#13;",
        "\u200b",
        "が" * 3_000,
        "]]>",
        "&amp;",
        "<b>x</b>",
        "<!-- -->",
    ),
    *("震度速報", "津波警報・注意報・予報", "気象警報・注意報（Ｒ０６）（暴風）", "噴火速報", "指定河川洪水予報"),
)
ELEMENT: Final = re.compile(r"<([A-Za-z][\w:]*)(?: [^<>]*)?>[^<]*</\1>|<[A-Za-z][^<>]*/>")
INNER: Final = re.compile(r"(?<=>)[^<>]+(?=</)")
BLOCK: Final = re.compile(
    r"<(Item|Kind|Area|Areas|Warning|Head|Body|Control|info|area|Information|Category)(?: [^<>]*)?>.*?</\1>",
    re.DOTALL,
)
ENCODINGS: Final = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "cp932",
    "shift_jis",
    "euc_jp",
    "iso2022_jp",
)

Draw = Callable[[st.SearchStrategy[int]], int]


def _pick(draw: Draw, text: str, what: re.Pattern[str]) -> re.Match[str] | None:
    found = list(what.finditer(text))
    return found[draw(st.integers(0, len(found) - 1))] if found else None


@st.composite
def changed(draw: st.DrawFn, raws: list[bytes]) -> bytes:
    """A message, changed one to four times."""
    text = draw(st.sampled_from(raws)).decode("utf-8", "replace")
    for _ in range(draw(st.integers(1, 4))):
        what = draw(st.sampled_from([ELEMENT, ELEMENT, INNER, BLOCK]))
        one, other = _pick(draw, text, what), _pick(draw, text, what)
        if one is None or other is None:
            continue
        before, after = text[: one.start()], text[one.end() :]
        match draw(st.sampled_from(["delete", "twice", "swap", "move", "text"])):
            case "delete":
                text = before + after
            case "twice":
                text = before + one[0] * draw(st.integers(2, 5)) + after
            case "swap":
                text = before + other[0] + after
            case "move":
                place = other.start() if other.end() <= one.start() else one.start()
                text = text[:place] + one[0] + text[place : one.start()] + after
            case _:
                inner = _pick(draw, text, INNER)
                if inner is not None:
                    text = text[: inner.start()] + draw(st.sampled_from(TEXTS)) + text[inner.end() :]
    raw = text.encode("utf-8", "replace")
    return raw if draw(st.integers(0, 4)) else _spoilt(draw, text, raw)


def _spoilt(draw: st.DrawFn, text: str, raw: bytes) -> bytes:
    at = draw(st.integers(0, max(len(raw) - 1, 0)))
    match draw(st.sampled_from(["cut", "head", "flip", "encoding", "declared", "more"])):
        case "cut":
            return raw[:at]
        case "head":
            return raw[at:]
        case "flip":
            return raw[:at] + bytes([raw[at] ^ draw(st.integers(1, 255))]) + raw[at + 1 :] if raw else raw
        case "encoding":
            return text.encode(draw(st.sampled_from(ENCODINGS)), "xmlcharrefreplace")
        case "declared":
            name = draw(st.sampled_from([*ENCODINGS, "x", "utf-7", "rot13", "base64", "ascii"]))
            return re.sub(rb'encoding="[^"]*"', f'encoding="{name}"'.encode(), raw)
        case _:
            return raw[:at] + draw(st.binary(max_size=8)) + raw[at:]


def hold(raw: bytes, reader: Reader) -> None:
    try:
        found = reader(raw)
    except Unreadable:
        return
    for observation in found:
        assert observation_faults(observation) == []
        assert observation.version > 0


every_time = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)


@settings(every_time, max_examples=2_500)
@given(changed(OWN))
def test_messages_of_our_own(raw: bytes) -> None:
    for kind_ in {"cap", "jma", kind_of(raw)}:
        hold(raw, READERS[kind_])


def _each_changed_once(text: str) -> Iterator[str]:
    """Every element and block away, and twice; every text as each of the others."""
    for found in (*ELEMENT.finditer(text), *BLOCK.finditer(text)):
        yield text[: found.start()] + text[found.end() :]
        yield text[: found.end()] + text[found.start() :]
    for found in INNER.finditer(text):
        yield from (text[: found.start()] + other + text[found.end() :] for other in TEXTS)


@pytest.mark.parametrize("raw", OWN, ids=range(len(OWN)))
def test_every_single_change_of_ours(raw: bytes) -> None:
    for text in _each_changed_once(raw.decode()):
        hold(text.encode(), READERS[kind_of(raw)])


@pytest.mark.skipif(not SENT, reason="the messages that others have sent are not here")
@settings(every_time, max_examples=500)
@given(st.data())
def test_messages_that_others_have_sent(data: st.DataObject) -> None:
    raws = [path.read_bytes() for path in SENT if path.stat().st_size <= SAMPLE_MAX]
    raw = data.draw(changed(raws))
    hold(raw, READERS[kind_of(raw)])


@settings(every_time, max_examples=300)
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_anything_else(text: str) -> None:
    for reader in READERS.values():
        hold(text.encode("utf-8", "replace"), reader)
