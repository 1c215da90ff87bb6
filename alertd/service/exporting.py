"""An alert as a table: one line for each delivery to each person, every rung of evidence in a column of its own; and
what every table and every long text that is saved is made by.
"""

import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, Any, Final

from alertd.service import watching
from alertd.service.runtime import Runtime

_MEMORY: Final = 32 * 1024 * 1024  # characters that are kept in memory: some 20,000 people
_PIECE: Final = 65_536
_RUNGS: Final = ("queued", "accepted", "delivered", "displayed", "opened")
COLUMNS: Final = (
    "person",
    "name",
    "groups",
    "part",
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
# Spreadsheet programs take a cell that begins like this for a formula, Japanese ones the wide forms too.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def export(rt: Runtime, alert_id: str) -> Iterator[str]:
    """The text of a CSV file, as `table` makes it.

    Times are RFC 3339 in UTC. Whoever has no delivery at all has one line. Supervisors who were told stand below the
    audience; nobody waits for their answer, so they have no `state`. Raises NotFound, StoreUnavailable.
    """
    return table(_all_lines(rt, alert_id))


def _all_lines(rt: Runtime, alert_id: str) -> Iterator[Sequence[object]]:
    yield COLUMNS
    for page in watching.read_everybody(rt, alert_id):
        for person in page:
            about = _about(person)
            for delivery in person["deliveries"] or [None]:
                yield *about, *_of(delivery)


def table(lines: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table as the text of a CSV file (RFC 4180, with the mark by which spreadsheets know UTF-8, and without cells
    that they would take for formulas). As `whole`.
    """

    def write(file: IO[str]) -> None:
        file.write("\ufeff")
        csv.writer(file).writerows(map(_cell, line) for line in lines)

    return _whole(write)


def whole(pieces: Iterable[str]) -> Iterator[str]:
    """A long text in pieces, all of which are made before the first one comes, into memory or, where it is long, a
    temporary file: a store that goes away in the middle leaves nothing that looks whole.
    """
    return _whole(lambda file: file.writelines(pieces))


def _whole(write: Callable[[IO[str]], None]) -> Iterator[str]:
    file = tempfile.SpooledTemporaryFile(_MEMORY, "w+", encoding="utf-8", newline="")  # noqa: SIM115 - see `_lines`
    try:
        write(file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return _lines(file)


def _lines(file: IO[str]) -> Iterator[str]:
    with file:
        while piece := file.read(_PIECE):
            yield piece


def _about(person: dict[str, Any]) -> tuple[object, ...]:
    answer = person["acknowledgement"] or {}
    return (
        person["person"]["id"],
        person["person"]["name"],
        " ".join(person["person"]["groups"]),
        person["part"],
        person["state"] if person["part"] == "audience" else None,
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


def _cell(value: object) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
