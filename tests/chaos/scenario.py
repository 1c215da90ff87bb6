"""What a scenario is: a fault, how often it is done, and where."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.place import StoreKind
from tests.chaos.stage import Limits, Stage

BOTH: Final[tuple[StoreKind, ...]] = ("sqlite", "postgresql")
SQLITE: Final[tuple[StoreKind, ...]] = ("sqlite",)
POSTGRESQL: Final[tuple[StoreKind, ...]] = ("postgresql",)


@dataclass(frozen=True)
class Rounds:
    """How often it is played: in the light set, in the long one; and about how many seconds a round takes there."""

    light: int
    long: int
    seconds: float


@dataclass(frozen=True)
class People:
    """Who lives in the place: all have mail; the first `phones` a phone, the last `push` a browser or two."""

    count: int = 24
    push: int = 18
    phones: int = 16
    two_devices: int = 4
    connected: int = 6


@dataclass(frozen=True)
class Scenario:
    """A fault. `play` does it within one round, and says what is allowed to happen."""

    name: str
    play: Callable[[Stage], Awaitable[Limits]]
    stores: tuple[StoreKind, ...]
    rounds: Rounds
    people: People = People()
    own_disk: bool = False  # its data lie on a small disk of their own
    settings: Mapping[str, str] = field(default_factory=dict)  # of alertd
