"""How mail that anybody may have written is parsed, whatever it is for."""

from email.policy import Compat32
from typing import Final

HEADER_MAX: Final = 10_000  # characters of one header field


class _Policy(Compat32):
    """The library's time for a header field's parameters grows with the square of its length."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:HEADER_MAX]


BOUNDED: Final = _Policy()
