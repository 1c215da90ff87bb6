"""How many parts an SMS takes, at the borders where it matters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.segments import count_segments, is_gsm


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("あ" * 70, 1),
        ("あ" * 71, 2),
        ("あ" * 134, 2),
        ("あ" * 135, 3),
        # One character outside the alphabet makes the whole text UCS-2.
        ("a" * 69 + "ç", 1),
        ("a" * 70 + "ç", 2),
        # Escaped characters take two septets, and are not split over two parts.
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("a" * 153 + "€" + "a" * 151, 2),
        # So are surrogate pairs.
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("あ" * 66 + "😀" + "あ" * 66, 3),
        ("あ" * 67 + "😀" + "あ" * 65, 2),
        ("😀" * 66, 2),
        ("😀" * 67, 3),
    ],
)
def test_parts(text: str, parts: int) -> None:
    assert count_segments(text) == parts


@pytest.mark.parametrize(("text", "gsm"), [("Hello {€} ñ ÄÖÜ Ω\n\f", True), ("`", False), ("ç", False), ("あ", False)])
def test_the_seven_bit_alphabet_is_the_standard_s(text: str, gsm: bool) -> None:
    assert is_gsm(text) is gsm


@given(st.text(st.sampled_from("a€é{"), max_size=700) | st.text(st.sampled_from("aあ😀"), max_size=400))
def test_the_parts_are_those_of_filling_one_after_the_other(text: str) -> None:
    gsm = all(char in "a€é{" for char in text)
    units = [2 if char in "€{😀" else 1 for char in text]
    if sum(units) <= (160 if gsm else 70):
        assert count_segments(text) == 1
        return
    parts: list[int] = [0]
    for unit in units:
        if parts[-1] + unit > (153 if gsm else 67):
            parts.append(0)
        parts[-1] += unit
    assert count_segments(text) == len(parts)
