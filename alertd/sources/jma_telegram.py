"""A telegram of the Japan Meteorological Agency as it stands: who says it, when, about what, and its items."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from alertd.core.alert import Severity
from alertd.core.observation import (
    CODE_MAX,
    Area,
    ObservationKind,
    Scale,
    Standing,
    clean,
    clean_body,
    clean_title,
)
from alertd.sources import jma_words as words
from alertd.sources.base import Unreadable
from alertd.sources.xml import Element

NAMESPACE: Final = "http://xml.kishou.go.jp/jmaxml1/"

SERIAL_MAX: Final = 999
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

# Where a telegram tells people what it means for them; 主文 of the river forecasts is the last.
_ADVICE: Final = (
    *("Notice", "Text", "Comment/Text", "Comments/WarningComment/Text", "Comments/ForecastComment/Text"),
    *("Comments/FreeFormComment", "EarthquakeInfo/Text", "VolcanoInfoContent/VolcanoActivity"),
    *("VolcanoInfoContent/VolcanoPrevention", "Warning/Item/Kind/Property/Text"),
)


@dataclass(frozen=True, slots=True)
class Telegram:
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
    def is_dated(self) -> bool:
        """Whether its EventID says which occasion is meant."""
        return bool(_DATED.match(self.event))

    @property
    def occasion(self) -> str:
        """Its EventID, with its time where that does not say which occasion is meant: a volcano, a river. Nothing ends
        these, so that the next one would be taken for more of what is long over.
        """
        return self.event if self.is_dated else f"{self.event}:{self.reported_at:%Y%m%dT%H%MZ}"


@dataclass(frozen=True, slots=True)
class Said:
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


def telegram_of(root: Element, name: str) -> Telegram:
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
    return Telegram(
        root=root,
        type=words.telegram_of(root.text_at("Control/Title"), root.text_at("Head/InfoKind"), name),
        event=" ".join(root.text_at("Head/EventID").split()),
        serial=serial,
        kind="changed" if kind == "new" and serial > 1 else kind,
        standing=standing,
        reported_at=time_at(root, "Head/ReportDateTime"),
        sent_at=time_at(root, "Control/DateTime"),
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
    return min(int(digits[0]), SERIAL_MAX) if digits else 0


def time_at(root: Element, path: str) -> datetime:
    text = root.text_at(path)
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC) if _TIME.fullmatch(text) else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.year not in _YEARS:
        example = "2026-11-22T03:04:05+09:00"
        raise Unreadable(f"{path.rpartition('/')[2]} must be a time such as {example}", _line(root, path))
    return moment


def own_incident(telegram: Telegram) -> str:
    """The incident of what belongs to no other."""
    told = telegram.text("Control/Title"), telegram.text("Control/EditorialOffice"), telegram.occasion
    return f"jma:{':'.join(told)}"


def body_of(telegram: Telegram) -> str:
    texts = [telegram.root.text_at("Head/Headline/Text")]
    texts += [each.text.strip() for path in _ADVICE for each in telegram.root.all(f"Body/{path}")]
    return clean_body("\n\n".join(dict.fromkeys(filter(None, texts))))


def area_of(element: Element | None, rank: int, told: str, code: str = "Code", name: str = "Name") -> Area:
    """An area as an element has it; one without a code is known by its name."""
    title = clean_title(element.text_at(name)) if element is not None else ""
    key = clean(" ".join(element.text_at(code).split()), CODE_MAX) if element is not None else ""
    return Area(key or title, title, rank, clean_title(told))


def areas_of(item: Element) -> Iterator[Element]:
    yield from item.all("Area")
    yield from item.all("Areas/Area")


def is_lifted(kind: Element) -> bool:
    return kind.name == "Kind" and "解除" in (kind.text_at("Status"), kind.text_at("Condition"))
