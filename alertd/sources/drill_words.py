"""Whether a title that people wrote says that it is a drill, or a test of the line."""

from typing import Final

from alertd.core.observation import Standing

_DRILL: Final = ("訓練", "演習", "DRILL", "EXERCISE")
_TEST: Final = ("試験", "テスト", "TEST")


def standing_of(title: str) -> Standing:
    """What a title says of itself, in whatever form: where it is in doubt, nothing real is sent by itself."""
    words = title.upper()
    if any(word in words for word in _DRILL):
        return "drill"
    return "test" if any(word in words for word in _TEST) else "actual"
