"""What telegrams of the Japan Meteorological Agency say of each kind of hazard: where, and how bad."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, cast

from alertd.core.alert import Severity
from alertd.core.observation import Area, rank_of
from alertd.sources import jma_words as words
from alertd.sources.jma_telegram import Said, Telegram, area_of, areas_of, body_of, is_lifted, own_incident
from alertd.sources.xml import Element

# They accompany others that name the level, with areas: VPWS50 repeats the warnings of the whole country, the others
# tell more of a tsunami or a quake. An incident of their own, so that they never end the one they are about.
_COMPANIONS: Final = ("VPWS50", "VTSE51", "VTSE52", "VXSE52")

# VPWW53/54 go on beside VPWW55 to 61, which say the same better: an old one tells 危険警報 only in its notice, and the
# small rivers of 大雨 as 洪水. It would seem to lower and raise again what the new ones said. So it counts as this
# much earlier than it is, within the incident of its prefecture and hazard: it speaks where no new one has for so
# long (they come at every change), and whichever comes first begins the incident.
_OLD_FORMS: Final = ("VPWW53", "VPWW54")
_OLD_FORMS_WAIT: Final = timedelta(hours=12)


def _quake(telegram: Telegram) -> Iterator[Said]:
    yield Said(
        incident=f"jma:quake:{telegram.occasion}",
        hazard="地震",
        scale="intensity",
        areas=list(_intensities(telegram.root)),
        fields=_quake_fields(telegram),
    )


def _intensities(root: Element) -> Iterator[Area]:
    observed = "Body/Intensity/Observation/Pref/Area"
    for element in (*root.all(observed), *root.all(f"{observed}/City")):
        # Where no reading has come from, MaxInt is missing and Condition says what is thought (震度５弱以上未入電).
        told = [words.intensity_of(element.text_at(name)) for name in ("MaxInt", "Condition")]
        yield _shaken(element, max(filter(None, told), key=lambda each: rank_of("intensity", each), default=""))
    for item in root.all("Head/Headline/Information/Item"):
        degree = words.intensity_of(item.text_at("Kind/Name"))
        for element in areas_of(item) if degree else ():
            yield _shaken(element, degree)


def _shaken(element: Element, degree: str) -> Area:
    if not degree:
        return area_of(element, 0, element.text_at("MaxInt") or element.text_at("Condition"))
    return area_of(element, rank_of("intensity", degree), words.INTENSITY[degree])


def _quake_fields(telegram: Telegram) -> dict[str, str]:
    quake = "Body/Earthquake"
    depth = telegram.root.find(f"{quake}/Hypocenter/Area/Coordinate")
    magnitude = telegram.root.find(f"{quake}/Magnitude")
    return {
        "hypocentre": telegram.text(f"{quake}/Hypocenter/Area/Name"),
        # Ｍ不明 and Ｍ８を超える巨大地震 have no number.
        "magnitude": magnitude.attributes.get("description", magnitude.text) if magnitude is not None else "",
        "position": depth.attributes.get("description", "") if depth is not None else "",
        "occurred_at": telegram.text(f"{quake}/OriginTime"),
    }


def _tsunami(telegram: Telegram) -> Iterator[Said]:
    areas: list[Area] = []
    ended = False
    for item in telegram.root.all("Body/Tsunami/Forecast/Item"):
        code, told = item.text_at("Category/Kind/Code"), item.text_at("Category/Kind/Name")
        before = item.text_at("Category/LastKind/Code"), item.text_at("Category/LastKind/Name")
        ended = ended or code in words.TSUNAMI_OVER or words.tsunami_rank(*before) > rank_of("tsunami", "forecast")
        areas.append(area_of(item.find("Area"), words.tsunami_rank(code, told), told))
    highest = max((area.rank for area in areas), default=0)
    # Several quakes may have raised one tsunami: it is the first one's.
    event = min(telegram.event.split(), default="") or telegram.occasion
    yield Said(
        incident=f"jma:tsunami:{event}",
        hazard="津波",
        scale="tsunami",
        areas=areas,
        # What is left when the last warning has ended is a forecast of slight changes, which nothing ends.
        over=ended and highest <= rank_of("tsunami", "forecast"),
        fields=_quake_fields(telegram),
    )


@dataclass(slots=True)
class _Hazard:
    """One hazard as a weather telegram tells of it in all its municipalities."""

    areas: list[Area] = field(default_factory=list)
    lifted: bool = True


def _weather(telegram: Telegram) -> Iterator[Said]:
    """Of each hazard in the municipalities. The incident is the prefecture's: VPWW54 and VPWW55 are about the same.

    A hazard that is over in all of them is withdrawn: whoever was told hears that it is over, nobody hears it who was
    not. Where it is over in some, their rank is 0, and what the rules make of it depends on the areas they are for.
    """
    found: dict[str, _Hazard] = {}
    items = list(telegram.items("（市町村等）"))
    for item in items:
        for kind in item.all("Kind"):
            for hazard, rank, told in _warnings(kind, telegram.type):
                each = found.setdefault(hazard, _Hazard())
                each.areas += [area_of(area, rank, told) for area in areas_of(item)]
                each.lifted = each.lifted and (is_lifted(kind) or not told)
    _raise_by_notice(telegram, items, found)
    for hazard in () if found else _hazards_over(telegram):
        everywhere = [area_of(area, 0, "") for item in items for area in areas_of(item)]
        found[hazard] = _Hazard(areas=everywhere)
    for hazard, each in found.items():
        title = telegram.text("Head/Title")
        yield Said(
            incident=f"jma:warning:{_prefecture(telegram)}:{hazard}",
            hazard=hazard,
            title=title if hazard in title else f"{title}（{hazard}）",
            scale="level",
            areas=each.areas,
            over=each.lifted,
            silent=True,
            waits=_OLD_FORMS_WAIT if telegram.type in _OLD_FORMS else timedelta(),
        )


def _warnings(kind: Element, form: str) -> Iterator[tuple[str, int, str]]:
    """The hazards that one Kind is about, each with its rank and its words; no words: it is not about this one."""
    code, name = kind.text_at("Code"), kind.text_at("Name")
    if code == "00" or name == "解除":
        yield from ((hazard, 0, "") for hazard in words.HAZARDS.get(form, ()))
    elif code or name:
        hazard, rank = words.warning_of(code, name)
        if is_lifted(kind):
            rank, name = 0, f"{name} 解除"
        if hazard == "大雨" and form in _OLD_FORMS:
            yield from _rain_apart(kind, rank, name)
        else:
            yield hazard, rank, name


def _rain_apart(kind: Element, rank: int, name: str) -> Iterator[tuple[str, int, str]]:
    """大雨 in VPWW53/54 is 浸水 (since 2026 大雨, VPWW55) or 土砂災害 (VPWW56) or both, as its Condition says; a 注意報
    and a lesser one beside it only in their notes (土砂災害注意).
    """
    condition = kind.text_at("Condition")
    notes = [note.text.strip() for note in kind.all("Attention/Note")]
    about = [(hazard, word) for hazard, word in _RAIN if word in condition]
    about = about or [(hazard, word) for hazard, word in _RAIN if any(word in note for note in notes)] or list(_RAIN)
    for hazard, word in _RAIN:
        note = next((note for note in notes if word in note), "")
        if (hazard, word) in about:
            yield hazard, rank, f"{name}（{condition}）" if condition else name
        elif note and rank:
            yield hazard, min(rank, 3 if "警戒" in note else 2), note
        else:
            yield hazard, 0, ""


def _raise_by_notice(telegram: Telegram, items: Sequence[Element], found: dict[str, _Hazard]) -> None:
    """危険警報 stands in VPWW53/54 only in their notice: 〈レベル４大雨危険警報〉松江市. Rivers stand there as well."""
    if telegram.type not in _OLD_FORMS:
        return
    places = {words.plain(area.text_at("Name")): area for item in items for area in areas_of(item)}
    for told, names in _NOTICE.findall(telegram.root.text_at("Body/Notice")):
        hazard, rank = words.warning_of("", told)
        for name in re.split(r"[\s、，,]+", names):
            if rank and words.plain(name) in places and "解除" not in told:
                each = found.setdefault(hazard, _Hazard())
                each.areas.append(area_of(places[words.plain(name)], rank, told))
                each.lifted = False


def _hazards_over(telegram: Telegram) -> Iterable[str]:
    """The hazards of a telegram whose lists name none: nothing is in force, or it is called off (取消), which has only
    text.
    """
    hazards: Iterable[str] = words.HAZARDS.get(telegram.type, ())
    if telegram.kind == "withdrawn" and not hazards:
        hazards = words.hazards_in(f"{telegram.text('Head/Title')}\n{body_of(telegram)}")
        if telegram.type in _OLD_FORMS and "大雨" in hazards:
            hazards = [*hazards, "土砂災害"]
    return dict.fromkeys(hazards)


def _prefecture(telegram: Telegram) -> str:
    """The 府県予報区 by name, which a 取消 has as well, in its title: 島根県大雨警報・注意報."""
    for item in telegram.items("（府県予報区等）"):
        for area in areas_of(item):
            if area.text_at("Name"):
                return words.plain(area.text_at("Name"))
    title = re.match(
        r"(.+?)(?:気象|大雨|土砂|高潮|洪水|暴風|強風|風雪|波浪|大雪|その他)", words.plain(telegram.text("Head/Title"))
    )
    return title[1] if title else telegram.text("Control/EditorialOffice")


def _landslide(telegram: Telegram) -> Iterator[Said]:
    areas: list[Area] = []
    for item in telegram.items("土砂災害警戒情報"):
        name = item.text_at("Kind/Name")
        ended = any(word in name + item.text_at("Kind/Status") for word in ("解除", "なし"))
        rank = words.LANDSLIDE.get(item.text_at("Kind/Code"), 0 if ended else words.LANDSLIDE["3"])
        areas += [area_of(area, rank, name) for area in areas_of(item)]
    yield Said(
        incident=f"jma:landslide:{telegram.event or telegram.text('Control/EditorialOffice')}",
        hazard="土砂災害",
        scale="level",
        areas=areas,
        over=not any(area.rank for area in areas),
    )


def _river(telegram: Telegram) -> Iterator[Said]:
    areas: list[Area] = []
    lifted = True
    for item in (*telegram.items("（予報区域）"), *telegram.items("（河川）")):
        code, told = item.text_at("Kind/Code"), item.text_at("Kind/Name")
        rank = words.river_rank(code, told)
        lifted = lifted and not rank and (code in words.RIVER or "解除" in told)
        areas += [area_of(area, rank, told) for area in areas_of(item)]
    worst = max(areas, key=lambda area: area.rank, default=Area("", ""))
    # Where it is expected to flood (浸水想定地区): the municipalities, for they are what rules are for.
    for item in telegram.root.all("Body/Warning/Item"):
        flooded = (area for area in areas_of(item) if area.text_at("CityCode"))
        areas += [area_of(area, worst.rank, worst.words, "CityCode", "City") for area in flooded]
    yield Said(
        incident=f"jma:river:{telegram.event or telegram.text('Head/Title')}",
        hazard="氾濫",
        scale="level",
        areas=areas,
        over=lifted,
    )


def _volcano(telegram: Telegram) -> Iterator[Said]:
    """The level is the volcano's; the areas are the municipalities that its warning is for."""
    volcanoes = list(telegram.items("（対象火山）"))
    places = list(telegram.items("（対象市町村等）"))
    ranks = [words.volcano_rank(item.text_at("Kind/Code"), item.text_at("Kind/Name")) for item in volcanoes]
    highest = max(ranks, default=0)
    told = next((item.text_at("Kind/Name") for item, rank in zip(volcanoes, ranks, strict=True) if rank == highest), "")
    areas: list[Area] = []
    for item in places or volcanoes:
        rank = min(highest, words.VOLCANO_PLACES.get(item.text_at("Kind/Code"), highest))
        areas += [area_of(area, rank, told or item.text_at("Kind/Name")) for area in areas_of(item)]
    turns = {item.text_at("Kind/Condition") for item in (*volcanoes, *places)}
    code = next((area.text_at("Code") for item in volcanoes for area in areas_of(item)), "")
    yield Said(
        incident=f"jma:volcano:{telegram.event or code or telegram.text('Head/Title')}",
        hazard="噴火",
        scale="volcano",
        areas=areas,
        # Level 1 is no warning; that a warning has ended is said by how it came to it.
        over=highest <= 1 and bool(turns & {"解除", "引下げ", "引き下げ"}),
    )


def _eruption(telegram: Telegram) -> Iterator[Said]:
    """An eruption has no level. It is its own incident, since without one it would end the warning of its volcano."""
    yield Said(
        incident=f"jma:eruption:{telegram.occasion}",
        hazard="噴火",
        areas=_named(telegram, "（対象市町村等）") or _named(telegram, ""),
        severity="severe" if telegram.type == "VFVO56" else "moderate",
    )


def _named(telegram: Telegram, where: str) -> list[Area]:
    items = telegram.items(where)
    return [area_of(area, 0, item.text_at("Kind/Name")) for item in items for area in areas_of(item)]


def _rain(telegram: Telegram) -> Iterator[Said]:
    """A record of rain within an hour: it has no level of its own."""
    yield Said(incident=f"jma:rain:{telegram.occasion}", hazard="大雨", areas=_named(telegram, ""), severity="severe")


def _nankai(telegram: Telegram) -> Iterator[Said]:
    title = telegram.text("Head/Title")
    severity = next((severity for word, severity in words.NANKAI if word in title), "unknown")
    yield Said(incident=f"jma:nankai:{telegram.occasion}", hazard="南海トラフ地震", severity=cast("Severity", severity))


def unknown(telegram: Telegram) -> Iterator[Said]:
    yield Said(incident=own_incident(telegram), hazard="", silent=telegram.type in _COMPANIONS)


_RAIN: Final = (("大雨", "浸水"), ("土砂災害", "土砂"))
_NOTICE: Final = re.compile(r"[〈＜<]([^〉＞>\n]*レベル[^〉＞>\n]*)[〉＞>]([^〈＜<\n]*)")
READERS: Final[Mapping[str, Callable[[Telegram], Iterable[Said]]]] = {
    **dict.fromkeys(("VXSE51", "VXSE53"), _quake),
    "VTSE41": _tsunami,
    **dict.fromkeys((*_OLD_FORMS, *(f"VPWW{number}" for number in range(55, 62))), _weather),
    "VXWW50": _landslide,
    "VXKO": _river,
    "VFVO50": _volcano,
    **dict.fromkeys(("VFVO52", "VFVO56"), _eruption),
    "VPOA50": _rain,
    **dict.fromkeys(("VYSE50", "VYSE51", "VYSE52"), _nankai),
}
