"""Those who watch an alert's counts: told when they change, each frame made once, at most five a second."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from alertd.core import stream
from alertd.hub import frames
from alertd.hub.connection import Connection

SUMMARY_SECONDS: Final = 0.25  # with the one that greets a watcher at most 5 summaries a second
_ROUNDS_WITHOUT_BELL: Final = 4


class Watchers:
    """The connections that watch something. `read` gives the counts of an alert."""

    def __init__(self, read: Callable[[str], Awaitable[Mapping[str, Any]]]) -> None:
        self._read = read
        self._watching: dict[str, set[Connection]] = {}
        self._stale: set[str] = set()  # alerts whose counts may have changed
        self._told: dict[str, Mapping[str, Any]] = {}  # what the watchers of an alert saw last
        self._rounds = 0

    def changed(self, alert_id: str) -> None:
        """An alert's counts may have changed."""
        self._stale.add(alert_id)

    async def greet(self, connection: Connection) -> None:
        """Tell a connection that watches something how it stands, and from now on how it changes."""
        alert_id = connection.watch
        if alert_id is None or not connection.is_open:
            return
        self._watching.setdefault(alert_id, set()).add(connection)
        summary = await self._read(alert_id)
        connection.say(stream.summary(alert_id, summary))
        if alert_id in self._watching and self._told.setdefault(alert_id, summary) != summary:
            # Others were told something else, before or after this was read: let everybody be told again.
            del self._told[alert_id]
            self._stale.add(alert_id)

    def forget(self, connection: Connection) -> None:
        alert_id = connection.watch
        if alert_id is None or connection not in self._watching.get(alert_id, ()):
            return
        self._watching[alert_id].remove(connection)
        if not self._watching[alert_id]:
            del self._watching[alert_id]
            self._told.pop(alert_id, None)

    async def tell(self) -> None:
        """Tell whoever watches something that has changed."""
        self._rounds += 1
        for alert_id in list(self._watching):
            if not self._is_due(alert_id):
                continue
            self._stale.discard(alert_id)
            summary = await self._read(alert_id)
            if alert_id not in self._watching or summary == self._told.get(alert_id):
                continue
            self._told[alert_id] = summary
            frame = frames.text(stream.summary(alert_id, summary))
            for connection in self._watching[alert_id]:
                connection.send(frame)
        self._stale &= self._watching.keys()

    def _is_due(self, alert_id: str) -> bool:
        # Without a bell the counts are looked at about once a second all the same.
        return alert_id in self._stale or self._rounds % _ROUNDS_WITHOUT_BELL == 0
