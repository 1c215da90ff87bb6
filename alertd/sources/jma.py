"""Telegrams of the Japan Meteorological Agency (気象庁防災情報XML): what happens where, and how bad the Agency says.

What is not known here (a new telegram, a new code) is kept with its words; only what cannot be told apart from
something else, whether it is a drill, when it was said, is refused with its line.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from alertd.core.alert import Severity
from alertd.core.observation import (
    AREAS_MAX,
    CODE_MAX,
    ID_MAX,
    Area,
    Observation,
    ObservationKind,
    Scale,
    Standing,
    clean,
    clean_body,
    clean_title,
    rank_of,
)
from alertd.sources import jma_words as words
from alertd.sources.base import Unreadable
from alertd.sources.xml import Element, parse

NAMESPACE: Final = "http://xml.kishou.go.jp/jmaxml1/"

_CODE_MAX: Final = 200
_DATED: Final = re.compile(r"20[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9]")  # 20110311144640
# jmx.xsd and jmx_ib.xsd: what every telegram has; what may be empty stands in the second.
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "Control": ("Title", "DateTime", "Status", "EditorialOffice", "PublishingOffice"),
    "Head": ("Title", "ReportDateTime", "InfoType", "InfoKind"),
}
_MAY_BE_EMPTY: Final = ("EventID", "Serial", "Headline")
_STANDING: Final[Mapping[str, Standing]] = {"通常": "actual", "訓練": "drill", "試験": "test"}
_KINDS: Final[Mapping[str, ObservationKind]] = {"発表": "new", "訂正": "changed", "取消": "withdrawn"}
_TIME: Final = re.compile(
    r"2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[-+][0-9]{2}:[0-9]{2})"
)
_YEARS: Final = range(2000, 2100)
_SERIAL_MAX: Final = 999
_DAY: Final = 86_400

_SEVERITIES: Final[Mapping[Scale, tuple[Severity, ...]]] = {
    "level": ("minor", "minor", "moderate", "severe", "extreme"),
    "intensity": ("minor", "minor", "minor", "moderate", "severe", "severe", "extreme", "extreme", "extreme"),
    "tsunami": ("minor", "moderate", "severe", "extreme"),
    "volcano": ("minor", "minor", "moderate", "severe", "extreme"),
}
# Where a telegram tells people what it means for them; 主文 of the river forecasts is the last.
_ADVICE: Final = (
    *("Notice", "Text", "Comment/Text", "Comments/WarningComment/Text", "Comments/ForecastComment/Text"),
    *("Comments/FreeFormComment", "EarthquakeInfo/Text", "VolcanoInfoContent/VolcanoActivity"),
    *("VolcanoInfoContent/VolcanoPrevention", "Warning/Item/Kind/Property/Text"),
)
# They accompany others that name the level, with areas: VPWS50 repeats the warnings of the whole country, the others
# tell more of a tsunami or a quake. An incident of their own, so that they never end the one they are about.
_COMPANIONS: Final = ("VPWS50", "VTSE51", "VTSE52", "VXSE52")

# VPWW53/54 go on beside VPWW55 to 61, which say the same better: an old one tells 危険警報 only in its notice, and the
# small rivers of 大雨 as 洪水. It would seem to lower and raise again what the new ones said. So it counts as this
# much earlier than it is, within the incident of its prefecture and hazard: it speaks where no new one has for so
# long (they come at every change), and whichever comes first begins the incident.
_OLD_FORMS: Final = ("VPWW53", "VPWW54")
_OLD_FORMS_WAIT: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class _Telegram:
    root: Element
    type: str  # VTSE41; "" when it is not known
    event: str
    serial: int
    kind: ObservationKind
    standing: Standing
    reported_at: datetime
    sent_at: datetime

    def text(self, path: str) -> str:
        return " ".join(self.root.text_at(path).split())

    def items(self, where: str) -> Iterator[Element]:
        """The items of the lists whose type is so, in the body; where it has none, in the headline."""
        for path in ("Body/Warning", "Body/VolcanoInfo", "Head/Headline/Information"):
            lists = [each for each in self.root.all(path) if where in each.attributes.get("type", "")]
            if lists:
                for each in lists:
                    yield from each.all("Item")
                return

    @property
    def occasion(self) -> str:
        """Its EventID, with its time where that does not say which occasion is meant: a volcano, a river. Nothing ends
        these, so that the next one would be taken for more of what is long over.
        """
        return self.event if _DATED.match(self.event) else f"{self.event}:{self.reported_at:%Y%m%dT%H%MZ}"


@dataclass(frozen=True, slots=True)
class _Said:
    """What a telegram says about one incident."""

    incident: str
    hazard: str
    title: str = ""  # where the telegram's own does not do
    scale: Scale | None = None
    areas: Sequence[Area] = ()
    over: bool = False
    severity: Severity = "unknown"  # where nothing has a rank
    silent: bool = False  # its words name no level of their own
    waits: timedelta = timedelta()
    fields: Mapping[str, str] = field(default_factory=dict)


def read(raw: bytes, name: str = "") -> Sequence[Observation]:
    """What a telegram says; a weather warning says it of each hazard. `name`: its file's, which may hold its code."""
    telegram = _telegram(parse(raw), name)
    reader = _READERS.get(telegram.type, _unknown)
    found = list(reader(telegram)) or list(_unknown(telegram))
    return [_observation(telegram, _apart(telegram, said)) for said in found]


def _apart(telegram: _Telegram, said: _Said) -> _Said:
    """Whatever names no area though it should (a quake far away, a list that is missing) is told by itself: within
    its incident it would read as "nowhere any more" and end it.
    """
    if said.scale is None or said.areas or telegram.kind == "withdrawn":
        return said
    return replace(said, incident=_incident(telegram), over=False, silent=False)


def _incident(telegram: _Telegram) -> str:
    """The incident of what belongs to no other."""
    told = telegram.text("Control/Title"), telegram.text("Control/EditorialOffice"), telegram.occasion
    return f"jma:{':'.join(told)}"


def _telegram(root: Element, name: str) -> _Telegram:
    if (root.namespace, root.name) != (NAMESPACE, "Report"):
        raise Unreadable(f"this is no telegram of the Agency: the root must be Report in {NAMESPACE}", root.line)
    for path, names in _NEEDED.items():
        part = _part(root, path)
        for each in names:
            if not _part(part, each).text.strip():
                raise Unreadable(f"{each} must not be empty", _part(part, each).line)
    for each in _MAY_BE_EMPTY:
        _part(_part(root, "Head"), each)
    standing = _STANDING.get(root.text_at("Control/Status"))
    if standing is None:
        # Whoever takes it for 通常 may send a drill as real.
        raise Unreadable("Status must be 通常, 訓練 or 試験", _line(root, "Control/Status"))
    serial = _serial(root.text_at("Head/Serial"))
    kind = _KINDS.get(root.text_at("Head/InfoType"), "changed")
    return _Telegram(
        root=root,
        type=words.telegram_of(root.text_at("Control/Title"), root.text_at("Head/InfoKind"), name),
        event=" ".join(root.text_at("Head/EventID").split()),
        serial=serial,
        kind="changed" if kind == "new" and serial > 1 else kind,
        standing=standing,
        reported_at=_time(root, "Head/ReportDateTime"),
        sent_at=_time(root, "Control/DateTime"),
    )


def _part(element: Element, name: str) -> Element:
    found = element.find(name)
    if found is None:
        raise Unreadable(f"{element.name} must have {name}", element.line)
    return found


def _line(root: Element, path: str) -> int:
    found = root.find(path)
    return found.line if found is not None else root.line


def _serial(text: str) -> int:
    digits = re.fullmatch(r"[0-9]{1,6}", words.plain(text))
    return min(int(digits[0]), _SERIAL_MAX) if digits else 0


def _time(root: Element, path: str) -> datetime:
    text = root.text_at(path)
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC) if _TIME.fullmatch(text) else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.year not in _YEARS:
        example = "2026-11-22T03:04:05+09:00"
        raise Unreadable(f"{path.rpartition('/')[2]} must be a time such as {example}", _line(root, path))
    return moment


def _observation(telegram: _Telegram, said: _Said) -> Observation:
    areas = _each_once(telegram, said.areas)
    rank = max((area.rank for area in areas), default=0)
    over = said.over or telegram.kind == "withdrawn"
    level = 0 if rank or over or said.silent else words.level_in(_told(telegram.root))
    severity = said.severity
    if rank and said.scale is not None:
        severity = _SEVERITIES[said.scale][rank - 1]
    elif level:
        severity = _SEVERITIES["level"][level - 1]
    return Observation(
        id=_id(telegram, said),
        incident=_key(said.incident),
        version=_version(telegram, said.waits),
        kind="withdrawn" if over else telegram.kind,
        standing=telegram.standing,
        title=clean_title(said.title or telegram.text("Head/Title")),
        body=_body(telegram),
        observed_at=telegram.reported_at,
        severity=severity,
        type=telegram.type or clean_title(telegram.text("Head/InfoKind")),
        hazard=clean_title(said.hazard),
        author=clean_title(telegram.text("Control/PublishingOffice")),
        scale=said.scale if areas else None,
        areas=areas,
        expires_at=_time(telegram.root, "Head/ValidDateTime") if telegram.text("Head/ValidDateTime") else None,
        level=level,
        fields=_fields(telegram, said, areas),
    )


def _key(text: str) -> str:
    return clean(" ".join(text.split()), ID_MAX)


def _id(telegram: _Telegram, said: _Said) -> str:
    """The same for the same telegram, whichever way it came."""
    told = ("Control/DateTime", "Control/EditorialOffice", "Control/Title", "Head/Serial", "Head/InfoType")
    return _key("/".join([said.incident, *(telegram.text(path) for path in told)]))


def _version(telegram: _Telegram, waits: timedelta) -> int:
    """Rises with ReportDateTime, then Serial; a correction may have both of what it corrects, and went out later."""
    reported = int((telegram.reported_at - waits).timestamp())
    gone = int(telegram.sent_at.timestamp()) - int(telegram.reported_at.timestamp())
    order = min(max(gone + _DAY // 2, 0), _DAY - 1)
    kind = 0 if telegram.root.text_at("Head/InfoType") == "発表" else 1
    return ((reported * (_SERIAL_MAX + 1) + telegram.serial) * _DAY + order) * 2 + kind


def _each_once(telegram: _Telegram, areas: Iterable[Area]) -> tuple[Area, ...]:
    """Every area once, as where it is worst."""
    found: dict[str, Area] = {}
    for area in areas:
        if area.code and (area.code not in found or area.rank > found[area.code].rank):
            found[area.code] = area
    if len(found) > AREAS_MAX:
        raise Unreadable(f"the telegram names more than {AREAS_MAX} areas", telegram.root.line)
    return tuple(found.values())


def _area(element: Element | None, rank: int, told: str, code: str = "Code", name: str = "Name") -> Area:
    """An area as an element has it; one without a code is known by its name."""
    title = clean_title(element.text_at(name)) if element is not None else ""
    key = clean(" ".join(element.text_at(code).split()), CODE_MAX) if element is not None else ""
    return Area(key or title, title, rank, clean_title(told))


def _areas_of(item: Element) -> Iterator[Element]:
    yield from item.all("Area")
    yield from item.all("Areas/Area")


def _body(telegram: _Telegram) -> str:
    texts = [telegram.root.text_at("Head/Headline/Text")]
    texts += [each.text.strip() for path in _ADVICE for each in telegram.root.all(f"Body/{path}")]
    return clean_body("\n\n".join(dict.fromkeys(filter(None, texts))))


def _told(root: Element) -> Iterator[str]:
    """All that it says of now: not what was before, what it explains, nor what it names as lifted."""
    left = [root]
    while left:
        element = left.pop()
        if element.name in ("Control", "LastKind", "Appendix", "InfoKind") or _is_lifted(element):
            continue
        yield element.text
        left.extend(reversed(element.children))


def _is_lifted(kind: Element) -> bool:
    return kind.name == "Kind" and "解除" in (kind.text_at("Status"), kind.text_at("Condition"))


def _fields(telegram: _Telegram, said: _Said, areas: Sequence[Area]) -> dict[str, str]:
    worst = max(areas, key=lambda area: area.rank, default=None)
    found = {
        "office": telegram.text("Control/PublishingOffice"),
        "information": telegram.text("Control/Title"),
        "event": telegram.event,
        "serial": telegram.text("Head/Serial"),
        "words": worst.words if worst is not None and worst.rank else "",
        **said.fields,
    }
    return {name: clean(value, 2_000) for name, value in found.items() if value}


def _quake(telegram: _Telegram) -> Iterator[_Said]:
    yield _Said(
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
        for element in _areas_of(item) if degree else ():
            yield _shaken(element, degree)


def _shaken(element: Element, degree: str) -> Area:
    if not degree:
        return _area(element, 0, element.text_at("MaxInt") or element.text_at("Condition"))
    return _area(element, rank_of("intensity", degree), words.INTENSITY[degree])


def _quake_fields(telegram: _Telegram) -> dict[str, str]:
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


def _tsunami(telegram: _Telegram) -> Iterator[_Said]:
    areas: list[Area] = []
    ended = False
    for item in telegram.root.all("Body/Tsunami/Forecast/Item"):
        code, told = item.text_at("Category/Kind/Code"), item.text_at("Category/Kind/Name")
        before = item.text_at("Category/LastKind/Code"), item.text_at("Category/LastKind/Name")
        ended = ended or code in words.TSUNAMI_OVER or words.tsunami_rank(*before) > rank_of("tsunami", "forecast")
        areas.append(_area(item.find("Area"), words.tsunami_rank(code, told), told))
    highest = max((area.rank for area in areas), default=0)
    # Several quakes may have raised one tsunami: it is the first one's.
    event = min(telegram.event.split(), default="") or telegram.occasion
    yield _Said(
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


def _weather(telegram: _Telegram) -> Iterator[_Said]:
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
                each.areas += [_area(area, rank, told) for area in _areas_of(item)]
                each.lifted = each.lifted and (_is_lifted(kind) or not told)
    _raise_by_notice(telegram, items, found)
    for hazard in () if found else _hazards_over(telegram):
        everywhere = [_area(area, 0, "") for item in items for area in _areas_of(item)]
        found[hazard] = _Hazard(areas=everywhere)
    for hazard, each in found.items():
        title = telegram.text("Head/Title")
        yield _Said(
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
        if _is_lifted(kind):
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


def _raise_by_notice(telegram: _Telegram, items: Sequence[Element], found: dict[str, _Hazard]) -> None:
    """危険警報 stands in VPWW53/54 only in their notice: 〈レベル４大雨危険警報〉松江市. Rivers stand there as well."""
    if telegram.type not in _OLD_FORMS:
        return
    places = {words.plain(area.text_at("Name")): area for item in items for area in _areas_of(item)}
    for told, names in _NOTICE.findall(telegram.root.text_at("Body/Notice")):
        hazard, rank = words.warning_of("", told)
        for name in re.split(r"[\s、，,]+", names):
            if rank and words.plain(name) in places and "解除" not in told:
                each = found.setdefault(hazard, _Hazard())
                each.areas.append(_area(places[words.plain(name)], rank, told))
                each.lifted = False


def _hazards_over(telegram: _Telegram) -> Iterable[str]:
    """The hazards of a telegram whose lists name none: nothing is in force, or it is called off (取消), which has only
    text.
    """
    hazards: Iterable[str] = words.HAZARDS.get(telegram.type, ())
    if telegram.kind == "withdrawn" and not hazards:
        hazards = words.hazards_in(f"{telegram.text('Head/Title')}\n{_body(telegram)}")
        if telegram.type in _OLD_FORMS and "大雨" in hazards:
            hazards = [*hazards, "土砂災害"]
    return dict.fromkeys(hazards)


def _prefecture(telegram: _Telegram) -> str:
    """The 府県予報区 by name, which a 取消 has as well, in its title: 島根県大雨警報・注意報."""
    for item in telegram.items("（府県予報区等）"):
        for area in _areas_of(item):
            if area.text_at("Name"):
                return words.plain(area.text_at("Name"))
    title = re.match(
        r"(.+?)(?:気象|大雨|土砂|高潮|洪水|暴風|強風|風雪|波浪|大雪|その他)", words.plain(telegram.text("Head/Title"))
    )
    return title[1] if title else telegram.text("Control/EditorialOffice")


def _landslide(telegram: _Telegram) -> Iterator[_Said]:
    areas: list[Area] = []
    for item in telegram.items("土砂災害警戒情報"):
        name = item.text_at("Kind/Name")
        ended = any(word in name + item.text_at("Kind/Status") for word in ("解除", "なし"))
        rank = words.LANDSLIDE.get(item.text_at("Kind/Code"), 0 if ended else words.LANDSLIDE["3"])
        areas += [_area(area, rank, name) for area in _areas_of(item)]
    yield _Said(
        incident=f"jma:landslide:{telegram.event or telegram.text('Control/EditorialOffice')}",
        hazard="土砂災害",
        scale="level",
        areas=areas,
        over=not any(area.rank for area in areas),
    )


def _river(telegram: _Telegram) -> Iterator[_Said]:
    areas: list[Area] = []
    lifted = True
    for item in (*telegram.items("（予報区域）"), *telegram.items("（河川）")):
        code, told = item.text_at("Kind/Code"), item.text_at("Kind/Name")
        rank = words.river_rank(code, told)
        lifted = lifted and not rank and (code in words.RIVER or "解除" in told)
        areas += [_area(area, rank, told) for area in _areas_of(item)]
    worst = max(areas, key=lambda area: area.rank, default=Area("", ""))
    # Where it is expected to flood (浸水想定地区): the municipalities, for they are what rules are for.
    for item in telegram.root.all("Body/Warning/Item"):
        flooded = (area for area in _areas_of(item) if area.text_at("CityCode"))
        areas += [_area(area, worst.rank, worst.words, "CityCode", "City") for area in flooded]
    yield _Said(
        incident=f"jma:river:{telegram.event or telegram.text('Head/Title')}",
        hazard="氾濫",
        scale="level",
        areas=areas,
        over=lifted,
    )


def _volcano(telegram: _Telegram) -> Iterator[_Said]:
    """The level is the volcano's; the areas are the municipalities that its warning is for."""
    volcanoes = list(telegram.items("（対象火山）"))
    places = list(telegram.items("（対象市町村等）"))
    ranks = [words.volcano_rank(item.text_at("Kind/Code"), item.text_at("Kind/Name")) for item in volcanoes]
    highest = max(ranks, default=0)
    told = next((item.text_at("Kind/Name") for item, rank in zip(volcanoes, ranks, strict=True) if rank == highest), "")
    areas: list[Area] = []
    for item in places or volcanoes:
        rank = min(highest, words.VOLCANO_PLACES.get(item.text_at("Kind/Code"), highest))
        areas += [_area(area, rank, told or item.text_at("Kind/Name")) for area in _areas_of(item)]
    turns = {item.text_at("Kind/Condition") for item in (*volcanoes, *places)}
    code = next((area.text_at("Code") for item in volcanoes for area in _areas_of(item)), "")
    yield _Said(
        incident=f"jma:volcano:{telegram.event or code or telegram.text('Head/Title')}",
        hazard="噴火",
        scale="volcano",
        areas=areas,
        # Level 1 is no warning; that a warning has ended is said by how it came to it.
        over=highest <= 1 and bool(turns & {"解除", "引下げ", "引き下げ"}),
    )


def _eruption(telegram: _Telegram) -> Iterator[_Said]:
    """An eruption has no level. It is its own incident, since without one it would end the warning of its volcano."""
    yield _Said(
        incident=f"jma:eruption:{telegram.occasion}",
        hazard="噴火",
        areas=_named(telegram, "（対象市町村等）") or _named(telegram, ""),
        severity="severe" if telegram.type == "VFVO56" else "moderate",
    )


def _named(telegram: _Telegram, where: str) -> list[Area]:
    items = telegram.items(where)
    return [_area(area, 0, item.text_at("Kind/Name")) for item in items for area in _areas_of(item)]


def _rain(telegram: _Telegram) -> Iterator[_Said]:
    """A record of rain within an hour: it has no level of its own."""
    yield _Said(incident=f"jma:rain:{telegram.occasion}", hazard="大雨", areas=_named(telegram, ""), severity="severe")


def _nankai(telegram: _Telegram) -> Iterator[_Said]:
    title = telegram.text("Head/Title")
    severity = next((severity for word, severity in words.NANKAI if word in title), "unknown")
    yield _Said(
        incident=f"jma:nankai:{telegram.occasion}", hazard="南海トラフ地震", severity=cast("Severity", severity)
    )


def _unknown(telegram: _Telegram) -> Iterator[_Said]:
    yield _Said(incident=_incident(telegram), hazard="", silent=telegram.type in _COMPANIONS)


_RAIN: Final = (("大雨", "浸水"), ("土砂災害", "土砂"))
_NOTICE: Final = re.compile(r"[〈＜<]([^〉＞>\n]*レベル[^〉＞>\n]*)[〉＞>]([^〈＜<\n]*)")
_READERS: Final[Mapping[str, Callable[[_Telegram], Iterable[_Said]]]] = {
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
