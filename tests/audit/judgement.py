"""What Lighthouse found on a page, held against what is asked of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

CATEGORIES: Final = ("performance", "accessibility", "best-practices")
BYTES: Final = "first view"
USABLE: Final = "usable on slow 3G"  # ms
_AT_MOST: Final = (BYTES, USABLE)


@dataclass(frozen=True)
class Figure:
    """One number of a page. A score is of 100 and at least `limit`; bytes and milliseconds are at most that."""

    page: str
    what: str
    value: int | None
    """None: Lighthouse could not tell, which is never good enough."""
    limit: int | None
    """None: told, and held to nothing."""

    @property
    def holds(self) -> bool:
        if self.limit is None:
            return True
        if self.value is None:
            return False
        return self.value <= self.limit if self.what in _AT_MOST else self.value >= self.limit


def figures(page: str, report: Mapping[str, Any], limits: Mapping[str, int]) -> list[Figure]:
    """The numbers of a report (Lighthouse's JSON), each with its limit."""
    found = []
    for category in CATEGORIES:
        score = report["categories"][category]["score"]
        # Cut off, not rounded: 99.6 is not 100.
        value = None if score is None else int(score * 100 + 1e-6)
        found.append(Figure(page, category, value, limits.get(category)))
    found.append(Figure(page, BYTES, transferred(report), limits.get(BYTES)))
    return [*found, *([Figure(page, USABLE, report["usable"], limits[USABLE])] if USABLE in limits else [])]


def transferred(report: Mapping[str, Any]) -> int | None:
    """How many bytes the first view takes on the wire, headers and all."""
    requests = report["audits"]["network-requests"].get("details")
    return sum(int(each.get("transferSize", 0)) for each in requests["items"]) if requests else None


def complaints(report: Mapping[str, Any]) -> list[str]:
    """What Lighthouse would have done better, of all that counts for a score."""
    counted = {
        audit["id"]: category
        for category in CATEGORIES
        for audit in report["categories"][category]["auditRefs"]
        if audit["weight"]
    }
    said = []
    for name, category in counted.items():
        audit = report["audits"][name]
        if audit["score"] is not None and audit["score"] < 1:
            value = f": {audit['displayValue']}" if audit.get("displayValue") else ""
            said.append(f"{category}: {audit['title']}{value}")
    return said


def table(found: Iterable[Figure]) -> str:
    """A line for each number: page, what, value, limit, and whether it holds."""
    rows = [("page", "what", "value", "limit", "")]
    for each in found:
        sign = "≤" if each.what in _AT_MOST else "≥"
        limit = "" if each.limit is None else f"{sign} {each.limit:,}"
        verdict = "" if each.limit is None else "ok" if each.holds else "MISSED"
        rows.append((each.page, each.what, "?" if each.value is None else f"{each.value:,}", limit, verdict))
    wide = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        f"{page:<{wide[0]}}  {what:<{wide[1]}}  {value:>{wide[2]}}  {limit:>{wide[3]}}  {verdict}".rstrip()
        for page, what, value, limit, verdict in rows
    )
