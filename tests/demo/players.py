"""How the town answers: each person sees the alert where it arrives, takes their time, and answers in their own way."""

import asyncio
import json
import random
import re
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.demo import drill
from tests.demo.loading import Keys, Providers
from tests.demo.phones import Arrivals
from tests.demo.progress import Progress
from tests.demo.server import Api, Trouble
from tests.demo.town import Person, Way
from tests.providers import Letter, PushMessage, SmsMessage

_RECEIPT_SECONDS: Final = (1.0, 3.0)
_UNREACHABLE_HANDSET: Final = 30003  # Twilio's code
_PATIENCE: Final = 20.0  # seconds that alertd may take to greet or to confirm
_FULL_WIDTH: Final = str.maketrans("123456789", "１２３４５６７８９")
_CALLERS: Final = 16


class Players:
    """`async with Players(…) as players:` plays everybody until the block ends.

    They answer whatever alert reaches them, so also one that a visitor posts after the show.
    """

    def __init__(
        self, progress: Progress, keys: Keys, providers: Providers, api: Api, http: aiohttp.ClientSession, speed: float
    ) -> None:
        """`api` is the manager's; `http` carries what people do without signing in."""
        self._progress = progress
        self._keys = keys
        self._providers = providers
        self._api = api
        self._http = http
        self._speed = speed
        self._link = re.compile(rf"{re.escape(api.url)}/a/[\w-]+")
        self._dice = random.Random()
        self._connected: set[str] = set()
        self._unconfirmed: dict[str, asyncio.Event] = {}
        self._seen: set[tuple[str, str]] = set()
        self._posts = ThreadPoolExecutor(_CALLERS, thread_name_prefix="provider")
        self._tasks = asyncio.TaskGroup()
        self._watching: list[asyncio.Task[None]] = []
        self._busy: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        connected = [person for person in self._progress.town.people if person.is_connected]
        for work in (self._push(), self._sms(), self._mail(), *map(self._sit, connected)):
            self._watching.append(self._tasks.create_task(work))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in (*self._watching, *self._busy):
            task.cancel()
        try:
            await self._tasks.__aexit__(kind, error, trace)
        finally:
            self._posts.shutdown(cancel_futures=True)

    async def wait_connected(self) -> None:
        """Until everybody who has the page open is connected. Raises Trouble."""
        total = self._progress.expected["websocket"].total()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._progress.wait_for(lambda: len(self._connected) == total)
        except TimeoutError:
            raise Trouble(f"only {len(self._connected)} of {total} people were greeted by the live stream") from None

    @property
    def are_at_rest(self) -> bool:
        """Nobody is about to answer, and no receipt is under way."""
        return not self._busy

    def answer_by_proxy(self, alert: str) -> None:
        """Let the manager answer, a while later, for whom no message can reach."""
        for person in self._progress.town.people:
            if person.way is Way.PROXY:
                self._begin(person, self._answer_for(person, alert))

    def _begin(self, person: Person, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(self._careful(person, work))
        self._busy.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._progress.tell()

    async def _careful(self, person: Person, work: Coroutine[Any, Any, None]) -> None:
        """One person's bad luck is noted, to be told at the end; the others go on."""
        try:
            await work
        except (Trouble, aiohttp.ClientError, WebSocketException, OSError) as error:
            self._progress.troubles.append(f"{person.name} ({person.id}): {type(error).__name__} {error}")

    def _is_new(self, person: Person, message: str) -> bool:
        """Whether a person takes this message up for the first time: two devices, but one answer."""
        key = (person.id, message)
        is_new = key not in self._seen
        self._seen.add(key)
        return is_new

    # What arrives where

    async def _push(self) -> None:
        push = self._providers.push
        with Arrivals(push, lambda: push.messages) as arrivals:
            while True:
                self._take_push(await arrivals.get())

    def _take_push(self, message: PushMessage) -> None:
        person, notification = self._keys.browsers[message.subscription], message.payload["notification"]
        fault = drill.fault_in(notification["title"])
        self._progress.arrive("webpush", message.subscription, message.received_at, fault)
        if person.way is Way.PUSH and self._is_new(person, notification["data"]["alert"]):
            self._begin(person, self._press_button(person, notification))

    async def _sms(self) -> None:
        twilio = self._providers.twilio
        owners = {person.phone: person for person in self._progress.town.people if person.phone}
        with Arrivals(twilio, lambda: twilio.messages) as arrivals:
            while True:
                message = await arrivals.get()
                self._take_sms(owners[message.to], message)

    def _take_sms(self, person: Person, message: SmsMessage) -> None:
        links = self._link.findall(message.body)
        fault = drill.fault_in(message.body) or _fault_in_links(links)
        self._progress.arrive("sms", message.to, message.created_at.timestamp(), fault)
        self._begin(person, self._report(person, message))
        if person.way is Way.SMS_REPLY and links and self._is_new(person, links[0]):
            self._begin(person, self._reply(person, message.body, links[0]))
        elif person.way is Way.SMS_LINK and links and self._is_new(person, links[0]):
            self._begin(person, self._follow(person, links[0]))

    async def _mail(self) -> None:
        relay = self._providers.relay
        owners = {person.email: person for person in self._progress.town.people if person.email}
        with Arrivals(relay, lambda: relay.letters) as arrivals:
            while True:
                letter = await arrivals.get()
                self._take_mail(owners[letter.recipient], letter)

    def _take_mail(self, person: Person, letter: Letter) -> None:
        links = self._link.findall(letter.text)
        fault = drill.fault_in(str(letter.message["Subject"])) or _fault_in_links(links)
        self._progress.arrive("email", letter.recipient, letter.received_at.timestamp(), fault)
        if person.way is Way.MAIL_LINK and links and self._is_new(person, links[0]):
            self._begin(person, self._follow(person, links[0]))

    async def _sit(self, person: Person) -> None:
        """Somebody who has the page open, and opens it again whenever it is lost."""
        url = f"{self._api.url.replace('http', 'ws', 1)}/api/v1/stream"
        headers = {"Authorization": f"Bearer {self._keys.tokens[person.id]}"}
        # A proxy that the shell names leads away from this machine.
        async for socket in connect(url, additional_headers=headers, proxy=None):
            await self._careful(person, self._listen(person, socket))
            self._connected.discard(person.id)

    async def _listen(self, person: Person, socket: ClientConnection) -> None:
        async for text in socket:
            frame = json.loads(text)
            match frame["type"]:
                case "hello":
                    self._connected.add(person.id)
                    self._progress.tell()
                case "alert":
                    self._take_frame(person, socket, frame["alert"])
                case "acknowledged":
                    self._unconfirmed[frame["ref"]].set()
                case _:
                    raise Trouble(f"the live stream says {text!r}")

    def _take_frame(self, person: Person, socket: ClientConnection, alert: Mapping[str, Any]) -> None:
        fault = drill.fault_in(alert["title"]) if alert["drill"] else "is not marked as a drill"
        self._progress.arrive("websocket", person.id, self._progress.now(), fault)
        if person.way in (Way.WEBSOCKET, Way.API) and self._is_new(person, alert["id"]):
            choice = _choose(person, [choice["id"] for choice in (alert["ask"] or {"choices": []})["choices"]])
            if person.way is Way.API:
                self._begin(person, self._call(person, alert["id"], choice))
            else:
                self._begin(person, self._acknowledge(person, socket, alert["id"], choice))

    # What people do about it

    async def _think(self, person: Person) -> None:
        await asyncio.sleep(person.delay / self._speed)

    async def _acknowledge(self, person: Person, socket: ClientConnection, alert: str, choice: str | None) -> None:
        await self._think(person)
        ref = f"{person.id} {alert}"
        confirmed = self._unconfirmed[ref] = asyncio.Event()
        await socket.send(json.dumps({"type": "ack", "alert": alert, "answer": choice, "ref": ref}))
        async with asyncio.timeout(_PATIENCE):
            await confirmed.wait()
        self._progress.answered(person, Way.WEBSOCKET, choice)

    async def _call(self, person: Person, alert: str, choice: str | None) -> None:
        await self._think(person)
        api = self._api.with_token(self._keys.tokens[person.id])
        await api.post(f"/alerts/{alert}/acknowledgements", {"answer": choice})
        self._progress.answered(person, Way.API, choice)

    async def _answer_for(self, person: Person, alert: str) -> None:
        await self._think(person)
        choice = _choose(person, list(drill.CHOICES))
        body = {"person": person.id, "answer": choice, "comment": "避難所で本人に会いました(訓練)"}
        await self._api.post(f"/alerts/{alert}/acknowledgements", body)
        self._progress.answered(person, Way.PROXY, choice)

    async def _press_button(self, person: Person, notification: Mapping[str, Any]) -> None:
        """What the service worker does when a button of the notification is pressed."""
        await self._think(person)
        buttons = [button["action"] for button in notification["actions"]]
        choice = _choose(person, [button.removeprefix("answer:") for button in buttons if button != "ack"])
        await self._post_form(f"{self._api.url}/a/{notification['data']['token']}", choice)
        self._progress.answered(person, Way.PUSH, choice)

    async def _follow(self, person: Person, link: str) -> None:
        await self._think(person)
        await self._open(person, link)

    async def _open(self, person: Person, link: str) -> None:
        """Open the link, read the page, press one of its buttons."""
        async with self._http.get(link) as response:
            page = await response.text()
            if response.status != 200:
                raise Trouble(f"the page behind the link was answered {response.status}")
        buttons = _Buttons()
        buttons.feed(page)
        choice = _choose(person, buttons.answers)
        await self._post_form(link, choice)
        way = Way.MAIL_LINK if person.way is Way.MAIL_LINK else Way.SMS_LINK
        self._progress.answered(person, way, choice)

    async def _post_form(self, url: str, choice: str | None) -> None:
        form = {} if choice is None else {"answer": choice}
        async with self._http.post(url, data=form, headers={"Accept": "application/json"}) as response:
            if response.status != 200 or "acknowledged" not in await response.json():
                raise Trouble(f"the answer was answered {response.status}: {await response.text()}")

    async def _reply(self, person: Person, text: str, link: str) -> None:
        """Text a number back, some in full-width digits; by the link instead when alertd asks what was meant."""
        await self._think(person)
        number = 1 + person.choice % (len(re.findall(r"\d=", text)) or 1)
        written = str(number) if self._dice.random() < 0.5 else str(number).translate(_FULL_WIDTH)
        assert person.phone
        reply = await asyncio.get_running_loop().run_in_executor(
            self._posts,
            partial(self._providers.twilio.reply, person.phone, written, f"{self._api.url}/hooks/twilio/inbound"),
        )
        if reply.status != 200:
            raise Trouble(f"the reply by SMS was answered {reply.status}")
        if re.search(rf"{number}( \d+)? = ", reply.text):
            await self._open(person, link)
        else:
            self._progress.answered(person, Way.SMS_REPLY, list(drill.CHOICES)[number - 1])

    async def _report(self, person: Person, message: SmsMessage) -> None:
        """What the carrier finds out about a message, a moment after it was handed over."""
        await asyncio.sleep(self._dice.uniform(*_RECEIPT_SECONDS) / self._speed)
        works = person.phone_is == "works"
        status = await asyncio.get_running_loop().run_in_executor(
            self._posts,
            partial(
                self._providers.twilio.report,
                message,
                "delivered" if works else "undelivered",
                error_code=None if works else _UNREACHABLE_HANDSET,
            ),
        )
        if status >= 300:
            raise Trouble(f"the carrier's receipt was answered {status}")


class _Buttons(HTMLParser):
    """The answers that a page offers."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("name") == "answer" and named.get("value"):
            self.answers.append(str(named["value"]))


def _choose(person: Person, offered: Sequence[str]) -> str | None:
    """What this person answers; None where there is nothing to choose."""
    return offered[person.choice % len(offered)] if offered else None


def _fault_in_links(links: Sequence[str]) -> str | None:
    return None if len(links) == 1 else f"holds {len(links)} links"
