"""Ids that are made, and ids that people choose."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.ids import ID_MAX, given_id_fault, make_id

NOW = datetime(2026, 11, 22, 3, 4, 5, 678_901, tzinfo=UTC)
MOMENTS = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)


def test_an_id_is_a_ulid() -> None:
    # The example of the ULID specification, whose milliseconds are 1469918176385.
    at = datetime.fromtimestamp(1_469_918_176.385, UTC)
    assert make_id(at, b"\0" * 10) == "01ARYZ6S41" + "0" * 16
    assert make_id(NOW, b"\xff" * 10).endswith("Z" * 16)


@given(MOMENTS, st.binary(min_size=10, max_size=10))
def test_an_id_is_26_letters_and_digits_whose_order_is_time_s(at: datetime, randomness: bytes) -> None:
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", make_id(at, randomness))
    assert make_id(at, b"\xff" * 10) < make_id(at + timedelta(milliseconds=2), b"\0" * 10)


def test_the_randomness_counts() -> None:
    assert make_id(NOW, b"\0" * 10) != make_id(NOW, b"\0" * 9 + b"\1")


@pytest.mark.parametrize("value", ["a", "1", "taro.yamada@city", "職員-7", "a" * ID_MAX, "x+y_z", "été"])
def test_ids_that_may_be_given(value: str) -> None:
    assert given_id_fault(value) is None


@pytest.mark.parametrize(
    "value",
    ["", "_a", ".a", "-a", "@a", "a b", "a/b", "a\n", "a\0", "a" * (ID_MAX + 1), "a;b", "😀", "a　b", "a\ue000", "new"],
)
def test_ids_that_may_not_be_given(value: str) -> None:
    assert given_id_fault(value) is not None
