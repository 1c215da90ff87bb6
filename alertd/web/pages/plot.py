"""The answers over time as the shape of a drawing, in a frame of 1000 by 400 that is stretched to its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

WIDTH: Final = 1000
HEIGHT: Final = 400


@dataclass(frozen=True, slots=True)
class Plot:
    """`line` and `area` are points for SVG, `sends` where from the left something was sent; `other` is the line of an
    alert to compare with, by share, "" without one. The times are those at the left edge, the middle, and the right.
    """

    line: str
    area: str
    other: str
    sends: list[float]
    times: tuple[datetime, datetime, datetime]


def plot(curve: Mapping[str, Any], other: Mapping[str, Any] | None = None) -> Plot:
    """A curve as `service.reporting` tells it. `other` begins where it does, and is cut off where it ends."""
    begins, ends = datetime.fromisoformat(curve["from"]), datetime.fromisoformat(curve["to"])
    span = ends - begins
    places = _places(curve, span)
    last = places[-1][0]
    return Plot(
        line=_points(places),
        area=_points([*places, (last, HEIGHT), (0, HEIGHT)]),
        other=_points([place for place in _places(other, span) if place[0] <= WIDTH]) if other else "",
        sends=[_across(datetime.fromisoformat(at) - begins, span) for at in curve["sends"]],
        times=(begins, begins + span / 2, ends),
    )


def _places(curve: Mapping[str, Any], span: timedelta) -> list[tuple[float, float]]:
    begins, most = datetime.fromisoformat(curve["from"]), max(curve["recipients"], 1)
    return [
        (_across(datetime.fromisoformat(point["at"]) - begins, span), HEIGHT * (1 - point["acknowledged"] / most))
        for point in curve["points"]
    ]


def _across(after: timedelta, span: timedelta) -> float:
    return round(WIDTH * (after / span), 1)


def _points(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{round(y, 1):g}" for x, y in places)
