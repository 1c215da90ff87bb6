"""What a benchmark hands back: figures, each beside its reference of the same run, and curves to be drawn."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal, TypeVar

T = TypeVar("T")
MET: Final = {True: "yes", False: "no", None: ""}


class Skipped(Exception):
    """Why something cannot be measured on this machine."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What is wanted: of the value itself, or of its ratio to the reference."""

    sign: Literal["≥", "≤"]
    number: float
    of: Literal["value", "ratio"] = "value"

    def __str__(self) -> str:
        return f"{self.sign} {number(self.number)}{' ×' if self.of == 'ratio' else ''}"


def at_least(number: float, of: Literal["value", "ratio"] = "value") -> Limit:
    return Limit("≥", number, of)


def at_most(number: float, of: Literal["value", "ratio"] = "value") -> Limit:
    return Limit("≤", number, of)


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, with what it is compared to: measured in the same run, in the same unit."""

    name: str
    value: float
    unit: str  # "/s", "ms", "µs", "KiB" …
    reference: str = ""  # what it is compared to
    reference_value: float | None = None
    limit: Limit | None = None
    note: str = ""  # what a reader must know to judge it: how many, on which engine

    @property
    def ratio(self) -> float | None:
        """The value in units of its reference."""
        return self.value / self.reference_value if self.reference_value else None

    @property
    def holds(self) -> bool | None:
        """Whether what is wanted is reached; None when nothing is, or when its reference could not be measured."""
        measured = self.value if self.limit is None or self.limit.of == "value" else self.ratio
        if self.limit is None or measured is None:
            return None
        return measured >= self.limit.number if self.limit.sign == "≥" else measured <= self.limit.number

    def json(self) -> dict[str, Any]:
        limit = None if self.limit is None else {**asdict(self.limit), "holds": self.holds}
        return {**asdict(self), "ratio": self.ratio, "limit": limit}


@dataclass(frozen=True, slots=True)
class Curve:
    """How cost grows: for each series its points (x, y), in rising order of x."""

    name: str  # of the picture's file, too
    title: str
    x: str  # what the axis shows, with its unit
    y: str
    series: dict[str, list[tuple[float, float]]]


@dataclass(slots=True)
class Run:
    """What a benchmark is told, and what it leaves beside its figures."""

    directory: Path  # empty, the benchmark's own, gone afterwards; its path is short enough for Unix sockets
    quick: bool = False  # small sizes: the whole suite in a few minutes, to try things out
    curves: dict[str, Curve] = field(default_factory=dict)  # by name
    notes: list[str] = field(default_factory=list)  # what could not be measured, and why

    def size(self, full: T, quick: T) -> T:
        """A size, a list of sizes, or a number of rounds, by what this run is for."""
        return quick if self.quick else full

    def fresh(self) -> Path:
        """An empty directory for one part of the benchmark."""
        made = Path(tempfile.mkdtemp(dir=self.directory))
        made.chmod(0o755)  # PostgreSQL may be somebody else
        return made

    def draw(self, curve: Curve) -> None:
        """Let this be drawn; a curve of the same name gets the series beside its own."""
        known = self.curves.get(curve.name)
        self.curves[curve.name] = replace(curve, series={**known.series, **curve.series}) if known else curve


def table(figures: Sequence[Figure]) -> str:
    """The figures as a table in Markdown."""
    head = ["what", "measured", "against", "ratio", "wanted", "holds"]
    rows = [
        [
            figure.name + (f" ({figure.note})" if figure.note else ""),
            with_unit(figure.value, figure.unit),
            "" if figure.reference_value is None else against(figure.reference, figure.reference_value, figure.unit),
            "" if figure.ratio is None else f"{number(figure.ratio)} ×",
            "" if figure.limit is None else str(figure.limit),
            MET[figure.holds],
        ]
        for figure in figures
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def against(name: str, value: float, unit: str) -> str:
    return f"{name}: {with_unit(value, unit)}"


def with_unit(value: float, unit: str) -> str:
    return f"{number(value)}{unit}" if unit.startswith("/") else f"{number(value)} {unit}"


def number(value: float) -> str:
    """Three figures, and none behind the point that say nothing."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    shown = f"{value:,.{digits}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def in_turn(rounds: int, *measured: Callable[[], float]) -> list[float]:
    """The medians of what each of these calls returns, taken in turn (A B A B …): a machine's mood hits all alike."""
    taken = [[one() for one in measured] for _ in range(rounds)]
    return [median(values) for values in zip(*taken, strict=True)]


def cost(one: Callable[[], object], times: int = 300) -> float:
    """Microseconds on a processor that one call takes."""
    began = time.process_time()
    for _ in range(times):
        one()
    return (time.process_time() - began) / times * 1e6
