"""A limit that is missed is told, and what Lighthouse could not tell counts as missed."""

from typing import Any

import pytest

from tests.audit.judgement import BYTES, USABLE, Figure, complaints, figures, table


def report(score: float | None, sizes: list[int] | None = None) -> dict[str, Any]:
    details = {"items": [{"transferSize": size} for size in sizes]} if sizes is not None else None
    requests = {"id": "network-requests", "score": 1} | ({"details": details} if details else {})
    refs = [{"id": "contrast", "weight": 3}, {"id": "told", "weight": 0}]
    empty: dict[str, Any] = {"score": 1, "auditRefs": []}
    return {
        "categories": {
            "performance": empty,
            "accessibility": {"score": score, "auditRefs": refs},
            "best-practices": empty,
        },
        "audits": {
            "network-requests": requests,
            "contrast": {"title": "Too pale", "score": score, "displayValue": "3 places"},
            "told": {"title": "Only told", "score": 0},
        },
    }


@pytest.mark.parametrize(("score", "value", "holds"), [(1, 100, True), (0.996, 99, False), (None, None, False)])
def test_a_score_is_cut_off_and_held_to_its_limit(score: float | None, value: int | None, holds: bool) -> None:
    found = figures("mine", report(score, []), {"accessibility": 100})
    (figure,) = [each for each in found if each.what == "accessibility"]
    assert (figure.value, figure.holds) == (value, holds)


@pytest.mark.parametrize(("sizes", "holds"), [([400, 200], True), ([400, 201], False), (None, False)])
def test_all_that_a_first_view_takes_counts(sizes: list[int] | None, holds: bool) -> None:
    *_, figure = figures("mine", report(1, sizes), {BYTES: 600})
    assert figure.holds is holds


@pytest.mark.parametrize(("usable", "holds"), [(3000, True), (3001, False), (None, False)])
def test_a_slow_line_must_be_enough(usable: int | None, holds: bool) -> None:
    *_, figure = figures("mine", {**report(1, []), "usable": usable}, {USABLE: 3000})
    assert figure.holds is holds


def test_what_has_no_limit_is_only_told() -> None:
    assert all(figure.holds for figure in figures("mine", report(0, [9]), {}))


def test_only_what_counts_for_a_score_is_complained_of() -> None:
    assert complaints(report(0.5, [])) == ["accessibility: Too pale: 3 places"]
    assert complaints(report(1, [])) == []


def test_the_table_names_what_was_missed() -> None:
    told = table([Figure("mine", BYTES, 70_000, 60_000), Figure("live", "performance", None, 95)])
    assert "70,000  ≤ 60,000  MISSED" in told
    assert told.splitlines()[-1].split() == ["live", "performance", "?", "≥", "95", "MISSED"]
