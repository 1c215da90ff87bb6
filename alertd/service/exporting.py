"""An alert as a table: one line for each delivery to each person, every rung of evidence in a column of its own."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

from alertd.service import watching
from alertd.service.runtime import Runtime

_PAGE: Final = 500
_RUNGS: Final = ("queued", "accepted", "delivered", "displayed", "opened")
COLUMNS: Final = (
    "person",
    "name",
    "groups",
    "state",
    "unreachable",
    "outdated",
    "answer",
    "comment",
    "way",
    "answered_by",
    "answered_at",
    "late",
    "channel",
    "revision",
    "step",
    "repeat",
    "delivery_state",
    "reason",
    "attempts",
    *(f"{rung}_at" for rung in _RUNGS),
    "accepted_by",
    "link_fetched_at",
)
# Spreadsheet programs take a cell that begins like this for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def export(rt: Runtime, alert_id: str) -> Iterator[str]:
    """The lines of a CSV file (RFC 4180, with the mark by which spreadsheets know UTF-8), read page by page.

    Times are RFC 3339 in UTC. Whoever has no delivery at all has one line. Raises NotFound at the first.
    """
    yield "\ufeff" + _line(COLUMNS)
    after: str | None = None
    while True:
        people, after = watching.list_recipients(rt, alert_id, state=None, after=after, limit=_PAGE)
        for person in people:
            about = _about(person)
            for delivery in person["deliveries"] or [None]:
                yield _line((*about, *_of(delivery)))
        if after is None:
            return


def _about(person: dict[str, Any]) -> tuple[object, ...]:
    answer = person["acknowledgement"] or {}
    return (
        person["person"]["id"],
        person["person"]["name"],
        " ".join(person["person"]["groups"]),
        person["state"],
        person["unreachable"],
        person["outdated"],
        *(answer.get(name) for name in ("answer", "comment", "way", "by", "answered_at", "late")),
    )


def _of(delivery: dict[str, Any] | None) -> tuple[object, ...]:
    if delivery is None:
        return (None,) * (len(COLUMNS) - COLUMNS.index("channel"))
    evidence = delivery["evidence"]
    return (
        *(delivery[name] for name in ("channel", "revision", "step", "repeat", "state", "reason", "attempts")),
        *(evidence[f"{rung}_at"] for rung in _RUNGS),
        evidence["sources"].get("accepted"),
        evidence["fetched_at"],
    )


def _line(cells: tuple[object, ...]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def _cell(cell: object) -> str:
    text = "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text
