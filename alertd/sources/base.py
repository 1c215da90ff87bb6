"""What a source is to the rest: something that is read into observations, or refused in words.

Some send what they observe; others are asked for it (`Poller`). Neither sends anything to anybody.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from alertd.core.alert import RevisionKind
from alertd.core.observation import Observation

PersonField = Literal["id", "email"]
"""What of a person may be their login name on the other side."""

MESSAGE_MAX: Final = 4_000_000  # bytes of one message: the Agency's largest telegrams have under a million


class Unreadable(ValueError):
    """What came is not what this source reads. `line` is where, from 1; 0 where that means nothing."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.line = line


class Unproved(Unreadable):
    """What came carries a signature that does not hold. It may be a forgery, or true and its certificate unknown."""


class Unfetched(Exception):
    """Nothing that could be read came from the other side, and why, in words for an operator."""


def require_size(raw: bytes, most: int = MESSAGE_MAX) -> None:
    """Raises Unreadable for more than `most` bytes."""
    if len(raw) > most:
        raise Unreadable(f"the message has more than {most} bytes")


class Reader(Protocol):
    """Reads one message. A message may say several things, about several incidents."""

    def __call__(self, raw: bytes) -> Sequence[Observation]:
        """What it says. Raises Unreadable."""
        ...


class Access(BaseModel):
    """How a source is reached, as an administrator says it. Fields that `secret` names are never shown again."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def secret(cls) -> frozenset[str]:
        return frozenset()

    def writes_back(self) -> bool:
        """Whether the other side is told how an alert stands that was made of what it said."""
        return False

    def notifies_by(self) -> PersonField | None:
        """By what of a person the other side knows them, when it is to tell those whom an alert is for, in their lists
        there; None: it is to tell nobody.
        """
        return None

    def urls(self) -> Sequence[str]:
        """Everything that may be asked for starts with one of these: their hosts must be on the operator's list."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Answer:
    """What another side answered, whole."""

    status: int
    headers: Mapping[str, str]  # by names in lower case
    body: bytes


class Fetch(Protocol):
    """Asks another side over HTTP: hosts of the operator's list alone, no redirects, within bounds of time and size."""

    async def __call__(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most: int = MESSAGE_MAX,
        accepted: Collection[int] = (200,),
    ) -> Answer:
        """The answer, when it has one of the `accepted` statuses and at most so many bytes. Raises Unfetched."""
        ...


class Mapped(Protocol):
    """Reads what has a shape of its own."""

    def apply(self, document: Any) -> Sequence[Observation]:
        """What a document, as JSON has it, says. Raises Unreadable."""
        ...


class Desk(Protocol):
    """Where a poller hands in what it found, and keeps what it needs to remember."""

    @property
    def now(self) -> datetime: ...

    @property
    def cursor(self) -> Mapping[str, Any]:
        """What was last kept; empty at the very first poll."""
        ...

    @property
    def read(self) -> Reader:
        """Reads a message as one that this source had sent, its signature by the certificates that it was given."""
        ...

    @property
    def mapping(self) -> "Mapped | None":
        """How the rule book says that this source is read; None: it says nothing."""
        ...

    async def take(self, found: Sequence[Observation], cursor: Mapping[str, Any] | None = None) -> None:
        """Keep and decide on what was observed; only then keep the cursor, if there is a new one.

        The same again changes nothing, so whoever was cut off before the cursor was kept may begin anew.
        """
        ...

    async def missing(self, references: Sequence[str]) -> list[str]:
        """Which of these messages were not taken yet, in their order."""
        ...

    async def take_once(self, reference: str, url: str, fetch: Fetch, read: Reader) -> None:
        """Fetch a message, read it, and take what it says. Once it is here it is not fetched again.

        Raises Unfetched. One that cannot be read is kept, with the reason, and counts as taken.
        """
        ...


class Poller(Protocol):
    """A source that is asked. Instances hold nothing: what must be remembered is the desk's."""

    @property
    def access(self) -> type[Access]: ...

    @property
    def every_seconds(self) -> int:
        """How often it is asked, unless the administrator says otherwise."""
        ...

    async def poll(self, access: Any, fetch: Fetch, desk: Desk) -> None:
        """Look once for what is new, and hand it in. Raises Unfetched or Unreadable for what is wrong with it all."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the alert stands that was made of an incident, as counted at one moment. Counts are of people."""

    incident: str  # in the source's own reference
    alert_id: str
    url: str  # where it is watched by whoever may
    title: str
    is_drill: bool
    is_over: bool
    revision: int
    recipients: int
    acknowledged: int
    unreachable: int  # of those who have not acknowledged: no way to them works
    age: timedelta  # since it was sent
    now: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """How an alert stands, for the lists that some people have on the other side."""

    alert_id: str
    url: str  # where any of them reads and answers it, once signed in: it is nobody's own
    title: str
    body: str
    is_drill: bool
    is_over: bool
    revision_kind: RevisionKind
    people: Sequence[str]  # by their login names there, none twice
    is_first: bool  # nothing of this alert was put into their lists yet


@dataclass(frozen=True, slots=True)
class Refusal:
    """A notice was not taken, and nobody has it. `is_personal`: for one of the people, beyond doubt."""

    words: str
    is_personal: bool


class Notifies(Poller, Protocol):
    """A source that can put something into the lists in which people see there what is new."""

    async def notify(self, access: Any, fetch: Fetch, notice: Notice) -> Refusal | None:
        """Put a notice into people's lists, in place of what they have there of the same alert; None: it was taken.

        It may be called again with fewer people after a refusal, and with the same after a crash. Raises Unfetched for
        what is certainly no fault of one of the people.
        """
        ...


class WritesBack(Poller, Protocol):
    """A source in which one can read how the alert stands that was made of what it said."""

    async def write_back(
        self, access: Any, fetch: Fetch, outcome: Outcome, before: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """Write down there how an alert stands, if it is time to; what to remember of it until the next time.

        `before` is what was remembered last, None when nothing was written yet; returns None when nothing was written.
        It may be called again for the same outcome after a crash. Raises Unfetched.
        """
        ...
