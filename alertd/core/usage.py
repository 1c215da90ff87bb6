"""What a day may cost: binding for drills and tests, never for a real alert."""

from typing import Final

CEILING_STEPS: Final = (50, 80, 100)  # per cent of a day's ceiling at which somebody is told
_BEYOND: Final = "not sent: drills and tests end at the day's ceiling of "


def passed_step(used: int, ceiling: int | None) -> int | None:
    """The highest step that has been reached; None for none, or without a ceiling."""
    if ceiling is None:
        return None
    return max((step for step in CEILING_STEPS if 100 * used >= step * ceiling), default=None)


def beyond_ceiling(ceiling: int) -> str:
    """Why a drill's or test's delivery is cancelled."""
    return f"{_BEYOND}{ceiling} parts"


def is_beyond_ceiling(reason: str | None) -> bool:
    """Whether that is why a delivery was cancelled."""
    return (reason or "").startswith(_BEYOND)
