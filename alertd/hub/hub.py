"""Reads the event log and tells this process's connections; wakes on the bell, and once a second without it."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from anyio import to_thread

from alertd.core import stream
from alertd.core.alert import LANGUAGES, Language, headline
from alertd.core.errors import StoreUnavailable
from alertd.core.stream import Close, Position
from alertd.store import alerts, credentials, instance
from alertd.store.alerts import Event
from alertd.store.engine import Store

log = logging.getLogger(__name__)
T = TypeVar("T")

BUFFER_MAX: Final = 256 * 1024  # characters waiting for one reader before it is told to come back
_POLL_SECONDS: Final = 1.0
_SUMMARY_SECONDS: Final = 0.25  # with the one that greets a watcher at most 5 summaries a second
_ROUNDS_WITHOUT_BELL: Final = 4
SWEEP_SECONDS: Final = 15.0
_PAGE: Final = 500


class Connection:
    """One client: what it may hear, and what waits to be written to it.

    `frames` ends with a `Close` when the server ends the connection. Not thread-safe: the event loop's.
    """

    def __init__(
        self, person_id: str, credential_id: str, language: Language, *, hears_all: bool, watch: str | None = None
    ) -> None:
        self.person_id = person_id
        self.credential_id = credential_id
        self.language = language
        self.hears_all = hears_all
        self.watch = watch
        self.frames: asyncio.Queue[str | Close] = asyncio.Queue()
        self.offset = 0
        self._waiting = 0
        self._room = asyncio.Event()  # set: at least half of the buffer is free
        self._room.set()
        self._backlog: list[tuple[int, str]] | None = []  # what happens while the past is replayed; None: live
        self._backlog_size = 0
        self.closed = asyncio.Event()

    def send(self, frame: str) -> None:
        """Queue a frame; a reader that is too far behind is closed instead, to come back and resume."""
        if self.closed.is_set():
            return
        if self._waiting + len(frame) > BUFFER_MAX:
            self.close(Close.TOO_SLOW)
            return
        self._waiting += len(frame)
        if self._waiting > BUFFER_MAX // 2:
            self._room.clear()
        self.frames.put_nowait(frame)

    def written(self, frame: str) -> None:
        """Say that a frame has left."""
        self._waiting -= len(frame)
        if self._waiting <= BUFFER_MAX // 2:
            self._room.set()

    async def send_in_turn(self, frame: str) -> None:
        """Queue a frame when there is room: a long past is told as fast as it is read, and always gets further."""
        await self._room.wait()
        self.send(frame)

    def close(self, code: Close) -> None:
        """End the connection; of what still waits only an orderly restart lets anything be written."""
        if self.closed.is_set():
            return
        self.closed.set()
        self._room.set()
        if code is not Close.RESTARTING:
            while not self.frames.empty():
                self.frames.get_nowait()
        self.frames.put_nowait(code)

    def tell(self, offset: int, frame: str) -> None:
        """Send an event, in order and once; while the past is replayed it waits its turn."""
        if self._backlog is not None:
            self._backlog.append((offset, frame))
            self._backlog_size += len(frame)
            if self._backlog_size > BUFFER_MAX:
                self.close(Close.TOO_SLOW)
        elif offset > self.offset:
            self.offset = offset
            self.send(frame)

    def go_live(self) -> None:
        """The past is told: let what came meanwhile follow."""
        waiting, self._backlog = self._backlog or [], None
        for offset, frame in waiting:
            self.tell(offset, frame)


class Hub:
    """All live connections of this process. `run` must be running for anybody to hear anything."""

    def __init__(
        self,
        store: Store,
        summarise: Callable[[str], Mapping[str, Any]],
        now: Callable[[], datetime],
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        self._store = store
        self._sweep_seconds = sweep_seconds
        self._now = now
        self._summarise = summarise
        self._connections: set[Connection] = set()
        self._position = Position("", 0)
        self._bell = asyncio.Event()
        self._stale: set[str] = set()  # watched alerts whose counts may have changed
        self._told: dict[str, Mapping[str, Any]] = {}  # the summary that watchers of an alert saw last
        self._rounds = 0
        self._ready = asyncio.Event()

    @property
    def size(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    @property
    def offset(self) -> int:
        """How far the event log was told here."""
        return self._position.offset

    def ring(self) -> None:
        """The event log may have grown."""
        self._bell.set()

    def changed(self, alert_id: str) -> None:
        """An alert's counts may have changed."""
        self._stale.add(alert_id)

    def close_all(self) -> None:
        """Tell everybody to come back to whoever is there next."""
        for connection in list(self._connections):
            connection.close(Close.RESTARTING)

    async def attach(self, connection: Connection, after: int | None, epoch: str | None) -> None:
        """Greet a connection, tell it what it missed, then keep it told. Raises StoreUnavailable."""
        await self._ready.wait()
        head = self._position
        if after is not None and after > head.offset:
            head = await self._in_thread(self._head)  # another process may be further than this one
        start = stream.resume(after, epoch, head)
        connection.offset = start.offset
        self._connections.add(connection)
        connection.send(stream.hello(Position(head.epoch, start.offset)))
        if start.reset:
            connection.send(stream.reset())
        if start.replay:
            await self._replay(connection, head.offset)
        connection.go_live()
        if connection.watch is not None:
            summary = await self._in_thread(partial(self._summarise, connection.watch))
            connection.send(stream.summary(connection.watch, summary))
            if self._told.setdefault(connection.watch, summary) != summary:
                # Others were told something else, before or after this was read: let everybody be told again.
                del self._told[connection.watch]
                self._stale.add(connection.watch)

    def detach(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if connection.watch is not None and not any(other.watch == connection.watch for other in self._connections):
            self._told.pop(connection.watch, None)

    async def run(self) -> None:
        """Publish, watch and sweep until cancelled. A store that is away for a while is waited for."""
        while not self._position.epoch:
            try:
                self._position = await self._in_thread(self._head)
            except StoreUnavailable:
                log.warning("the store cannot be read; trying again", exc_info=True)
                await asyncio.sleep(_POLL_SECONDS)
        self._ready.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._forever(self._publish_new, self._wait_for_bell))
            tasks.create_task(self._forever(self._tell_watchers, lambda: asyncio.sleep(_SUMMARY_SECONDS)))
            tasks.create_task(self._forever(self._sweep, lambda: asyncio.sleep(self._sweep_seconds)))

    async def _forever(self, work: Callable[[], Any], wait: Callable[[], Any]) -> None:
        while True:
            try:
                await work()
            except StoreUnavailable:
                log.warning("the store cannot be read; trying again", exc_info=True)
                await asyncio.sleep(_POLL_SECONDS)
            await wait()

    async def _wait_for_bell(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._bell.wait()
        except TimeoutError:
            pass
        self._bell.clear()

    async def _publish_new(self) -> None:
        while True:
            events = await self._in_thread(self._events_after)
            for event in events:
                audience = await self._in_thread(partial(self._audience, event))
                self._publish(event, audience)
                self._position = Position(self._position.epoch, event.offset)
            if len(events) < _PAGE:
                return

    def _publish(self, event: Event, audience: frozenset[str]) -> None:
        frames = {language: frame_of(event, language) for language in LANGUAGES}
        public = event.facts["kind"] == "alert"
        for connection in self._connections:
            if connection.person_id in audience or (public and connection.hears_all):
                connection.tell(event.offset, frames[connection.language])

    async def _replay(self, connection: Connection, upto: int) -> None:
        """What this person missed, up to `upto`; later events wait in the connection meanwhile."""
        position = connection.offset
        while position < upto:
            events = await self._in_thread(partial(self._missed, connection, position, upto))
            for event in events:
                await connection.send_in_turn(frame_of(event, connection.language))
                connection.offset = event.offset
            if len(events) < _PAGE or connection.closed.is_set():
                break
            position = events[-1].offset
        connection.offset = max(connection.offset, upto)

    def _missed(self, connection: Connection, position: int, upto: int) -> list[Event]:
        with self._store.read() as reading:
            return alerts.events_for(reading, position, upto, connection.person_id, _PAGE, connection.hears_all)

    async def _tell_watchers(self) -> None:
        self._rounds += 1
        watched = {connection.watch for connection in self._connections if connection.watch is not None}
        for alert_id in watched:
            if not self._due(alert_id):
                continue
            self._stale.discard(alert_id)
            summary = await self._in_thread(partial(self._summarise, alert_id))
            if summary == self._told.get(alert_id):
                continue
            self._told[alert_id] = summary
            frame = stream.summary(alert_id, summary)
            for connection in self._connections:
                if connection.watch == alert_id:
                    connection.send(frame)
        self._stale &= watched

    def _due(self, alert_id: str) -> bool:
        # Without a bell the counts are looked at about once a second all the same.
        return alert_id in self._stale or self._rounds % _ROUNDS_WITHOUT_BELL == 0

    async def _sweep(self) -> None:
        """End the connections of credentials that ended."""
        held = {connection.credential_id for connection in self._connections}
        if not held:
            return
        ended = await self._in_thread(partial(self._ended, held))
        for connection in list(self._connections):
            if connection.credential_id in ended:
                connection.close(Close.SIGN_IN_AGAIN)

    def _head(self) -> Position:
        with self._store.read() as reading:
            return instance.head(reading)

    def _events_after(self) -> list[Event]:
        with self._store.read() as reading:
            return alerts.events_after(reading, self._position.offset, _PAGE)

    def _audience(self, event: Event) -> frozenset[str]:
        with self._store.read() as reading:
            return alerts.recipient_ids(reading, event.alert_id)

    def _ended(self, held: set[str]) -> set[str]:
        with self._store.read() as reading:
            return credentials.ended(reading, held, self._now())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work)


def frame_of(event: Event, language: Language) -> str:
    """What the stream says of an event in one language: a drill's title says that it is one."""
    title = headline(
        event.facts["title"],
        drill=event.facts["drill"],
        language=language,
        revision_kind=event.facts["revision_kind"],
    )
    return stream.alert(event.offset, {**event.facts, "title": title})
