"""The end of the event log, in memory: those who come back after a short while are told from here, not by the store."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from alertd.core import stream
from alertd.core.alert import Language, headline
from alertd.hub import frames
from alertd.store.alerts import Event

EVENTS_MAX: Final = 500
_BYTES_MAX: Final = 64 * 1024 * 1024
_NAME_BYTES: Final = 200  # about what an id in a set takes


class Told:
    """An event with its frames, each made once, when somebody needs it."""

    __slots__ = ("_event", "_frames", "alert_id", "is_public", "offset")

    def __init__(self, event: Event) -> None:
        self.offset = event.offset
        self.alert_id = event.alert_id
        self.is_public = event.facts["kind"] == "alert"  # else only its recipients may know of it
        self._event = event
        self._frames: dict[Language, bytes] = {}

    def frame(self, language: Language) -> bytes:
        """What the stream says of it in that language: a drill's title says that it is one."""
        made = self._frames.get(language)
        if made is None:
            facts = self._event.facts
            title = headline(
                facts["title"], drill=facts["drill"], language=language, revision_kind=facts["revision_kind"]
            )
            made = self._frames[language] = frames.text(stream.alert(self.offset, {**facts, "title": title}))
        return made

    @property
    def weight(self) -> int:
        """About how many bytes it will take with its frames."""
        return 8 * len(self._event.facts["body"]) + 2_000


class Window:
    """The latest events in order, without a gap, and for their alerts who is known to be a recipient.

    That somebody is not known says nothing: they may have become one since.
    """

    def __init__(self, floor: int, latest: Iterable[Event] = ()) -> None:
        self._floor = floor  # everything after it is here
        self._events: deque[Told] = deque()
        self._recipients: dict[str, frozenset[str]] = {}
        self._weight = 0
        for event in latest:
            self.add(Told(event), frozenset())

    def add(self, told: Told, recipients: frozenset[str]) -> None:
        """The next event; `recipients` are those of its alert that matter here."""
        self._events.append(told)
        known = self._recipients.get(told.alert_id, frozenset())
        self._recipients[told.alert_id] = recipients
        self._weight += told.weight + _NAME_BYTES * (len(recipients) - len(known))
        while len(self._events) > EVENTS_MAX or (self._weight > _BYTES_MAX and len(self._events) > 1):
            self._drop()

    def after(self, offset: int) -> Sequence[Told] | None:
        """Every event after `offset`, in order; None when the store has to be asked."""
        if offset < self._floor:
            return None
        found: list[Told] = []
        for told in reversed(self._events):
            if told.offset <= offset:
                break
            found.append(told)
        return found[::-1]

    def is_recipient(self, alert_id: str, person_id: str) -> bool:
        """Whether that is known."""
        return person_id in self._recipients.get(alert_id, ())

    def learn(self, alert_id: str, person_ids: frozenset[str]) -> None:
        """These are recipients too."""
        known = self._recipients.get(alert_id)
        if known is not None:
            self._recipients[alert_id] = known | person_ids
            self._weight += _NAME_BYTES * (len(self._recipients[alert_id]) - len(known))

    def _drop(self) -> None:
        gone = self._events.popleft()
        self._floor = gone.offset
        self._weight -= gone.weight
        if not any(told.alert_id == gone.alert_id for told in self._events):
            self._weight -= _NAME_BYTES * len(self._recipients.pop(gone.alert_id))
