"""Reads the event log and tells this process's connections; wakes on the bell, and once a second without it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

from anyio import to_thread

from alertd.core import stream
from alertd.core.alert import LANGUAGES
from alertd.core.errors import StoreUnavailable
from alertd.core.stream import Close, Position
from alertd.hub import frames
from alertd.hub.audience import Audience, read_audience, read_recipients
from alertd.hub.connection import Connection
from alertd.hub.watching import SUMMARY_SECONDS, Watchers
from alertd.hub.window import EVENTS_MAX, Told, Window
from alertd.store import alerts, credentials, instance, rollouts
from alertd.store.alerts import Event
from alertd.store.engine import Store

log = logging.getLogger(__name__)
T = TypeVar("T")

SWEEP_SECONDS: Final = 15.0
PONG_SECONDS: Final = 25.0  # without a pong a line is dead
# In beats, not in seconds: time in which this process itself could not look must not count against anybody.
_DEAD_BEATS: Final = 25  # in PONG_SECONDS; time for two pings
_PING_BEATS: Final = 10
_CLOSE_BEATS: Final = 5  # one that has stopped reading may never take the close frame either
_POLL_SECONDS: Final = 1.0
# An answer over HTTP comes back to the loop a dozen times, and each time waits for the rest of a slice.
_SLICE_SECONDS: Final = 0.0005
_LOOK_EVERY: Final = 16  # connections between two looks at the clock
_PAGE: Final = 50


class Hub:
    """All live connections of this process. `run` must be running for anybody to hear anything."""

    def __init__(
        self,
        store: Store,
        summarise: Callable[[str], Mapping[str, Any]],
        now: Callable[[], datetime],
        sweep_seconds: float = SWEEP_SECONDS,
        pong_seconds: float = PONG_SECONDS,
    ) -> None:
        self._store = store
        self._now = now
        self._sweep_seconds = sweep_seconds
        self._pong_seconds = pong_seconds
        self._connections: set[Connection] = set()
        self._live: dict[str, set[Connection]] = {}  # by person: those who have heard all that was told here
        self._hear_all: set[Connection] = set()  # of them those who hear every alert
        self._window = Window(0)
        self._position = Position("", 0)
        self._bell = asyncio.Event()
        self._ready = asyncio.Event()
        self._watchers = Watchers(lambda alert_id: self._in_thread(partial(summarise, alert_id)))
        self._numbers = count()
        self._questions: dict[str, set[str]] = {}  # by alert the people of whom it is to be read whether it is theirs
        self._asking: asyncio.Task[dict[str, frozenset[str]]] | None = None
        self._asking_turn = asyncio.Lock()
        self._catching_up: set[asyncio.Task[None]] = set()

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
        self._watchers.changed(alert_id)

    def close_all(self) -> None:
        """Tell everybody to come back to whoever is there next; cut those who were told and are still here."""
        for connection in list(self._connections):
            if connection.is_closing:
                connection.cut()
            else:
                connection.close(Close.RESTARTING)

    async def attach(self, connection: Connection, after: int | None, epoch: str | None) -> None:
        """Greet a connection, tell it what it missed, then keep it told. Raises StoreUnavailable."""
        if not connection.is_open:
            return
        self._connections.add(connection)
        connection.quiet = next(self._numbers) % _PING_BEATS  # those who come together are pinged one by one
        await self._ready.wait()
        head = self._position
        if after is not None and after > head.offset:
            head = await self._in_thread(self._head)  # another process may be further than this one
        start = stream.resume(after, epoch, head)
        connection.offset = start.offset
        connection.say(stream.hello(Position(head.epoch, start.offset)))
        if start.reset:
            connection.say(stream.reset())
        connection.listen()
        await self._catch_up(connection)
        await self._watchers.greet(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._remove_from_live(connection)
        self._watchers.forget(connection)

    async def run(self) -> None:
        """Publish, watch and sweep until cancelled. A store that is away for a while is waited for."""
        while not self._position.epoch:
            try:
                self._position, latest = await self._in_thread(self._read_latest)
            except StoreUnavailable:
                log.warning("the store cannot be read; trying again", exc_info=True)
                await asyncio.sleep(_POLL_SECONDS)
            else:
                self._window = Window(max(0, self._position.offset - EVENTS_MAX), latest)
        self._ready.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forever(self._publish_new, self._wait_for_bell))
                tasks.create_task(self._forever(self._watchers.tell, lambda: asyncio.sleep(SUMMARY_SECONDS)))
                tasks.create_task(self._forever(self._sweep, lambda: asyncio.sleep(self._sweep_seconds)))
                beat = self._pong_seconds / _DEAD_BEATS
                tasks.create_task(self._forever(self._beat, lambda: asyncio.sleep(beat)))
        finally:
            for task in self._catching_up:
                task.cancel()

    async def _forever(self, work: Callable[[], Awaitable[None]], wait: Callable[[], Awaitable[None]]) -> None:
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

    # What happens now

    async def _publish_new(self) -> None:
        while True:
            news = await self._in_thread(partial(self._read_news, frozenset(self._live)))
            for event, audience in news:
                await self._publish(Told(event), audience)
            if len(news) < _PAGE:
                return

    async def _publish(self, told: Told, audience: Audience) -> None:
        """Write an event to everybody whom it is for, in slices.

        Nothing else runs until the first slice. From then on whoever comes is told by the window, and whoever is in
        a later slice can have heard nothing later: the next event waits for the last slice.
        """
        people = audience.among(self._live.keys())
        strangers = [each for person in audience.unasked(self._live.keys()) for each in self._live[person]]
        self._window.add(told, audience.recipients)
        self._position = Position(self._position.epoch, told.offset)
        for connection in strangers:
            # They came after the audience was read.
            self._remove_from_live(connection)
            self._catch_up_later(connection)
        ready = {language: told.frame(language) for language in LANGUAGES}
        async for connection in in_turns(self._hearing(people, told)):
            connection.tell(told.offset, ready[connection.language])

    def _hearing(self, people: Iterable[str], told: Told) -> Iterator[Connection]:
        for person in people:
            yield from tuple(self._live.get(person, ()))
        if told.is_public:
            yield from tuple(self._hear_all)

    # What somebody missed

    async def _catch_up(self, connection: Connection) -> None:
        """Tell a connection what it has not heard yet; when that is nothing any more, it is live."""
        while connection.is_open and connection.offset < self._position.offset:
            missed = self._window.after(connection.offset)
            if missed is None:
                await self._replay_page(connection)
            else:
                await self._replay_window(connection, missed)
        if connection.is_open:
            self._live.setdefault(connection.person_id, set()).add(connection)
            if connection.hears_all:
                self._hear_all.add(connection)

    def _catch_up_later(self, connection: Connection) -> None:
        async def catch_up() -> None:
            try:
                await self._catch_up(connection)
            except StoreUnavailable:
                connection.close(Close.RESTARTING)

        task = asyncio.create_task(catch_up())
        self._catching_up.add(task)
        task.add_done_callback(self._catching_up.discard)

    async def _replay_window(self, connection: Connection, missed: Iterable[Told]) -> None:
        person = connection.person_id
        told = {each.alert_id: self._window.is_recipient(each.alert_id, person) for each in missed}
        heard = {each.alert_id for each in missed if told[each.alert_id] or (each.is_public and connection.hears_all)}
        doubtful = told.keys() - heard
        if doubtful:
            heard |= await self._ask(person, doubtful)
        for each in missed:
            if each.alert_id in heard:
                await connection.room()
                connection.tell(each.offset, each.frame(connection.language))
            connection.offset = max(connection.offset, each.offset)

    async def _replay_page(self, connection: Connection) -> None:
        """The next events of a past that is longer than the window."""
        upto = self._position.offset
        events = await self._in_thread(partial(self._read_missed, connection, upto))
        for event in events:
            await connection.room()
            connection.tell(event.offset, Told(event).frame(connection.language))
        if len(events) < _PAGE:
            connection.offset = max(connection.offset, upto)

    async def _ask(self, person_id: str, alert_ids: Iterable[str]) -> set[str]:
        """Which of these alerts are this person's; many who come at once are looked up together."""
        asked = set(alert_ids)
        for alert_id in asked:
            self._questions.setdefault(alert_id, set()).add(person_id)
        if self._asking is None:
            self._asking = asyncio.create_task(self._answer())
        recipients = await asyncio.shield(self._asking)
        return {alert_id for alert_id in asked if person_id in recipients[alert_id]}

    async def _answer(self) -> dict[str, frozenset[str]]:
        async with self._asking_turn:  # groups grow while the one before is being read
            questions, self._questions, self._asking = self._questions, {}, None
            found = await self._in_thread(partial(self._read_recipients, questions))
        for alert_id, people in found.items():
            self._window.learn(alert_id, people)
        return found

    # Who is still there

    def _remove_from_live(self, connection: Connection) -> None:
        theirs = self._live.get(connection.person_id)
        if theirs is not None:
            theirs.discard(connection)
            if not theirs:
                del self._live[connection.person_id]
        self._hear_all.discard(connection)

    async def _beat(self) -> None:
        """Ping those who have been quiet, and cut those who are dead or do not go when told to."""
        ping = frames.ping()
        async for connection in in_turns(list(self._connections)):
            connection.quiet += 1
            if not connection.is_open:
                if connection.quiet > _CLOSE_BEATS:
                    connection.cut()
            elif connection.quiet > _DEAD_BEATS:
                connection.cut()
            elif connection.quiet % _PING_BEATS == 0:
                connection.ping(ping)

    async def _sweep(self) -> None:
        """End the connections of credentials that ended."""
        held = {connection.credential_id for connection in self._connections}
        if not held:
            return
        ended = await self._in_thread(partial(self._ended, held))
        if ended:
            async for connection in in_turns(list(self._connections)):
                if connection.credential_id in ended:
                    connection.close(Close.SIGN_IN_AGAIN)

    # What the store says

    def _head(self) -> Position:
        with self._store.read() as reading:
            return instance.head(reading)

    def _read_latest(self) -> tuple[Position, list[Event]]:
        with self._store.read() as reading:
            head = instance.head(reading)
            latest = alerts.events_after(reading, max(0, head.offset - EVENTS_MAX), EVENTS_MAX)
        return head, [event for event in latest if event.offset <= head.offset]

    def _read_news(self, connected: frozenset[str]) -> list[tuple[Event, Audience]]:
        with self._store.read() as reading:
            events = alerts.events_after(reading, self._position.offset, _PAGE)
            audiences = {
                alert_id: read_audience(reading, alert_id, connected)
                for alert_id in {event.alert_id for event in events}
            }
        return [(event, audiences[event.alert_id]) for event in events]

    def _read_missed(self, connection: Connection, upto: int) -> list[Event]:
        with self._store.read() as reading:
            coming = rollouts.coming_to(reading, connection.person_id)
            return alerts.events_for(
                reading,
                connection.offset,
                upto,
                connection.person_id,
                _PAGE,
                every_alert=connection.hears_all,
                coming=coming,
            )

    def _read_recipients(self, questions: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
        with self._store.read() as reading:
            return read_recipients(reading, questions)

    def _ended(self, held: set[str]) -> set[str]:
        with self._store.read() as reading:
            return credentials.ended(reading, held, self._now())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work)


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """These, one after the other; whatever else is due runs whenever a slice of time is over."""
    until = time.monotonic() + _SLICE_SECONDS
    for number, item in enumerate(items):
        yield item
        if number % _LOOK_EVERY == _LOOK_EVERY - 1 and time.monotonic() > until:
            await asyncio.sleep(0)
            until = time.monotonic() + _SLICE_SECONDS
