"""Curves as SVG pictures: two axes from zero, one line for each series."""

from math import floor, log10
from typing import Final
from xml.sax.saxutils import escape

from tests.bench.figures import Curve, number

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 600, 50, 300
_COLOURS: Final = ("#0b5cad", "#c2410c", "#15803d", "#7c3aed", "#a16207")
_STYLE: Final = (
    "text{font:13px sans-serif;fill:#333}.title{font-size:16px}.grid{stroke:#ddd}"
    ".line{fill:none;stroke-width:2}.paper{fill:#fff}"
)


def svg(curve: Curve) -> str:
    """The picture, the same bytes for the same curve."""
    points = [point for series in curve.series.values() for point in series]
    across, up = _ticks(max(x for x, _ in points)), _ticks(max(y for _, y in points))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(curve.title)}</title><style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}"/>',
        _text(_LEFT, 28, curve.title, "start", "title"),
        _text((_LEFT + _RIGHT) / 2, _BOTTOM + 44, curve.x, "middle"),
        _text(8, _TOP - 8, curve.y, "start"),
        *_grid(across, up),
    ]
    for place, (name, series) in enumerate(curve.series.items()):
        placed = [(_along(x, across[-1]), _above(y, up[-1])) for x, y in series]
        parts += _series(place, name, placed)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid(across: list[float], up: list[float]) -> list[str]:
    parts = []
    for tick in up:
        y = _above(tick, up[-1])
        parts.append(
            f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>' + _text(_LEFT - 8, y + 4, number(tick), "end")
        )
    for tick in across:
        x = _along(tick, across[-1])
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{_BOTTOM}"/>')
        parts.append(_text(x, _BOTTOM + 18, number(tick), "middle"))
    return parts


def _series(place: int, name: str, placed: list[tuple[float, float]]) -> list[str]:
    colour = _COLOURS[place % len(_COLOURS)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
    return [
        f'<path class="line" stroke="{colour}" d="{path}"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in placed),
        f'<rect x="{_LEFT + 12}" y="{_TOP + 8 + place * 20}" width="12" height="12" fill="{colour}"/>',
        _text(_LEFT + 30, _TOP + 19 + place * 20, name, "start"),
    ]


def _along(x: float, most: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * x / most


def _above(y: float, most: float) -> float:
    return _BOTTOM - (_BOTTOM - _TOP) * y / most


def _ticks(most: float) -> list[float]:
    """From 0 in round steps to just beyond `most`."""
    rough = (most or 1) / 5
    power = 10 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    ticks = [0.0]
    while ticks[-1] < most:
        ticks.append(len(ticks) * step)
    return ticks if len(ticks) > 1 else [0.0, step]


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(words)}</text>'
