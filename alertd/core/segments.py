"""How many parts an SMS takes (3GPP TS 23.038 alphabet, TS 23.040 concatenation)."""

from typing import Final

_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_ESCAPED: Final = frozenset("^{}\\[~]|€\f")


def is_gsm(text: str) -> bool:
    """Whether `text` fits the 7-bit alphabet; otherwise it goes as UCS-2."""
    return all(char in _GSM or char in _GSM_ESCAPED for char in text)


def count_segments(text: str) -> int:
    """The number of SMS parts of `text`: 160 septets or 70 UCS-2 units alone, 153 or 67 in each of several.

    A character is never split over two parts (an escaped one takes two septets, one outside the BMP two units).
    """
    if is_gsm(text):
        widths = [2 if char in _GSM_ESCAPED else 1 for char in text]
        single, joined = 160, 153
    else:
        widths = [2 if ord(char) > 0xFFFF else 1 for char in text]
        single, joined = 70, 67
    if sum(widths) <= single:
        return 1
    segments, room = 1, joined
    for width in widths:
        if width > room:
            segments, room = segments + 1, joined
        room -= width
    return segments
