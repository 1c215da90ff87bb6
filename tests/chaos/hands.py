"""People who answer, all the time, over three ways, and remember what they were promised."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.acceptance.town import Person
from tests.chaos.ledger import Ledger
from tests.chaos.place import Place

_AGAIN_SECONDS: Final = 0.3
_PATIENCE_SECONDS: Final = 90.0
_THINKING_SECONDS: Final = 3.0  # at most, between an alert and its answer
_SILENT: Final = 0.2  # the share of those who never answer


class Hands:
    """Everybody's hands. `promised` holds, by alert, who was told that the answer is kept."""

    def __init__(self, place: Place, ledger: Ledger, connected: Iterable[Person], patience: float) -> None:
        self._place = place
        self._ledger = ledger
        self._patience = max(patience, _PATIENCE_SECONDS)  # for a message to come
        self.promised: dict[str, set[str]] = defaultdict(set)
        self.counts: Counter[str] = Counter()
        """Answers by way, and what became of the calls that were not answered with 200."""
        self.streams = {person.id: _Stream(place, self, person) for person in connected}
        self._tasks = [asyncio.create_task(stream.run()) for stream in self.streams.values()]
        self._answering: set[asyncio.Task[None]] = set()
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8))

    async def listening(self) -> None:
        """Returns when every stream has said hello: what was issued before that is not heard on it."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            for stream in self.streams.values():
                await stream.greeted.wait()

    async def close(self) -> None:
        for task in [*self._tasks, *self._answering]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._answering, return_exceptions=True)
        await self._http.close()

    def answer(self, tag: str, alert_id: str, audience: Iterable[Person], dice: random.Random) -> None:
        """Let these people answer, each in a way and after a while that the dice say."""
        for person in audience:
            wait = dice.uniform(0, _THINKING_SECONDS)
            if dice.random() < _SILENT:
                continue
            if person.id in self.streams:
                work = self.streams[person.id].answer(tag, alert_id, wait)
            elif person.token and dice.random() < 0.5:
                work = self._call(tag, alert_id, person, wait)
            else:
                work = self._follow(tag, person, wait)
            task = asyncio.create_task(work)
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    @property
    def are_at_rest(self) -> bool:
        return not self._answering

    def troubles(self) -> list[str]:
        """Why somebody stopped trying; empty when nobody did."""
        return [f"{name[8:]} ({count})" for name, count in self.counts.items() if name.startswith("gave up:")]

    async def _call(self, tag: str, alert_id: str, person: Person, wait: float) -> None:
        await asyncio.sleep(wait)
        url = f"/api/v1/alerts/{alert_id}/acknowledgements"
        headers = {"Authorization": f"Bearer {person.token}"}
        if await self._insist("api", url, {"json": {}, "headers": headers}):
            self.promised[tag].add(person.id)

    async def _follow(self, tag: str, person: Person, wait: float) -> None:
        """Press the button behind the link of whatever message comes first."""
        deadline = time.monotonic() + self._patience
        while (link := self._link_of(tag, person)) is None:
            if time.monotonic() > deadline:
                self.counts["gave up: no message with a link"] += 1
                return
            await asyncio.sleep(0.1)
        await asyncio.sleep(wait / 3)
        path = link.removeprefix(self._place.url)
        if await self._insist("link", path, {"data": {}}):
            self.promised[tag].add(person.id)

    def _link_of(self, tag: str, person: Person) -> str | None:
        received = self._ledger.received.get(tag, {})
        ways = [("sms", person.phone or ""), ("email", person.email or "")]
        ways += [("webpush", browser.id) for browser in person.browsers]
        found = [received[way].link for way in ways if way in received]
        return found[0] if found else None

    async def _insist(self, way: str, path: str, request: dict[str, Any]) -> bool:
        """POST until it is answered with 200, as somebody does who presses the button again."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        web = 0
        while time.monotonic() < deadline:
            url = self._place.urls[web % len(self._place.urls)] + path
            try:
                async with self._http.post(url, **request) as answer:
                    if answer.status == 200:
                        await answer.read()
                        self.counts[way] += 1
                        return True
                    self.counts[f"{way} answered {answer.status}"] += 1
                    if answer.status < 500 and answer.status != 429:
                        self.counts[f"gave up: {way} answered {answer.status}"] += 1
                        return False
            except (aiohttp.ClientError, TimeoutError, OSError):
                self.counts[f"{way} unanswered"] += 1
            web += 1
            await asyncio.sleep(_AGAIN_SECONDS)
        self.counts[f"gave up: {way} not answered for {_PATIENCE_SECONDS:g} s"] += 1
        return False


class _Stream:
    """One person's live stream: connects again and resumes, whatever happens."""

    def __init__(self, place: Place, hands: Hands, person: Person) -> None:
        self._place = place
        self._hands = hands
        self._person = person
        self._position: dict[str, Any] = {}
        self._unanswered: dict[str, asyncio.Event] = {}
        self._socket: ClientConnection | None = None
        self.greeted = asyncio.Event()
        self.heard: Counter[str] = Counter()
        """How many frames of each alert came, by its title."""

    async def run(self) -> None:
        web = int(self._person.id[1:]) % len(self._place.urls)
        while True:
            query = f"?{urlencode(self._position)}" if self._position else ""
            url = f"{self._place.urls[web].replace('http', 'ws')}/api/v1/stream{query}"
            headers = {"Authorization": f"Bearer {self._person.token}"}
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                async with connect(url, additional_headers=headers, open_timeout=5, close_timeout=1) as socket:
                    await self._listen(socket)
            self._socket = None
            self._hands.counts["stream broken"] += 1
            web = (web + 1) % len(self._place.urls)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _listen(self, socket: ClientConnection) -> None:
        self._socket = socket
        async for text in socket:
            frame = json.loads(text)
            match frame["type"]:
                case "hello":
                    self._position = {"epoch": frame["epoch"], "after": frame["offset"]}
                    self.greeted.set()
                case "alert":
                    self._position["after"] = frame["offset"]
                    self.heard[frame["alert"]["title"]] += 1
                case "reset":
                    self._position = {}
                case "acknowledged" if frame["alert"] in self._unanswered:
                    self._unanswered[frame["alert"]].set()

    async def answer(self, tag: str, alert_id: str, wait: float) -> None:
        """Answer until it is confirmed."""
        await asyncio.sleep(wait)
        confirmed = self._unanswered[alert_id] = asyncio.Event()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not confirmed.is_set():
            if time.monotonic() > deadline:
                self._hands.counts["gave up: the stream does not confirm"] += 1
                return
            if self._socket is not None:
                with contextlib.suppress(OSError, WebSocketException):
                    await self._socket.send(json.dumps({"type": "ack", "alert": alert_id}))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await confirmed.wait()
        self._hands.counts["stream"] += 1
        self._hands.promised[tag].add(self._person.id)
