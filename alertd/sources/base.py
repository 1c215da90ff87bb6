"""What a source is to the rest: something that is read into observations, or refused in words."""

from collections.abc import Sequence
from typing import Final, Protocol

from alertd.core.observation import Observation

MESSAGE_MAX: Final = 4_000_000  # bytes of one message: the Agency's largest telegrams have under a million


class Unreadable(ValueError):
    """What came is not what this source reads. `line` is where, from 1; 0 where that means nothing."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.line = line


def require_size(raw: bytes) -> None:
    """Raises Unreadable for more than MESSAGE_MAX bytes."""
    if len(raw) > MESSAGE_MAX:
        raise Unreadable(f"the message has more than {MESSAGE_MAX} bytes")


class Reader(Protocol):
    """Reads one message. A message may say several things, about several incidents."""

    def __call__(self, raw: bytes) -> Sequence[Observation]:
        """What it says. Raises Unreadable."""
        ...
