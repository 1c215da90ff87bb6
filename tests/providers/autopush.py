"""The push service of a real Firefox: the browser's end speaks Mozilla's WebSocket protocol, the sender's RFC 8030.

It takes of a message what the real one takes, and hands it on as it came: only the browser can open it. (The protocol:
https://mozilla-push-service.readthedocs.io/en/latest/design/)
"""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSMsgType, web

from tests.providers.push import Refused, b64, check_headers, verify_vapid
from tests.providers.thread import HttpThread

_SUBPROTOCOL: Final = "push-notification"
ACKNOWLEDGED: Final = 100  # the browser opened the message and gave it to the service worker


@dataclass(slots=True)
class Channel:
    """One subscription of one browser."""

    browser: str
    key: str | None  # the application server's, which alone may send
    dead: bool = False


@dataclass(frozen=True, slots=True)
class Handed:
    """A message that was handed to the browser, and what came back."""

    id: str
    channel: str
    headers: Mapping[str, str]
    codes: list[int] = field(default_factory=list)


class Autopush(HttpThread):
    """`with Autopush() as push:` serves browsers at `push.server_url`, senders at `push.host`, until it ends."""

    def __init__(self) -> None:
        super().__init__()
        self._browsers: dict[str, web.WebSocketResponse] = {}
        self._channels: dict[str, Channel] = {}
        self._handed: list[Handed] = []
        self._refusals: list[str] = []

    @property
    def server_url(self) -> str:
        """What `dom.push.serverURL` must be."""
        return f"ws://{self.host}/"

    @property
    def channels(self) -> dict[str, Channel]:
        """Every subscription that was ever made, by its name."""
        with self.changed:
            return dict(self._channels)

    @property
    def handed(self) -> list[Handed]:
        """Every message that a browser was given, oldest first."""
        with self.changed:
            return list(self._handed)

    @property
    def refusals(self) -> list[str]:
        """What a sender was told that did something wrong."""
        with self.changed:
            return list(self._refusals)

    def forget(self) -> None:
        """Lose every subscription, as a push service does with browsers that it has not seen for long."""
        with self.changed:
            for channel in self._channels.values():
                channel.dead = True

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._serve), web.post("/wpush/{channel}", self._take)]

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=(_SUBPROTOCOL,))
        await socket.prepare(request)
        browser = ""
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                break
            said = json.loads(frame.data)
            if said.get("messageType") == "hello":
                browser = said.get("uaid") or secrets.token_hex(16)
                self._browsers[browser] = socket
            answer = self._answer(browser, said)
            if answer is not None:
                await socket.send_json(answer)
        self._browsers.pop(browser, None)
        return socket

    def _answer(self, browser: str, said: Mapping[str, Any]) -> dict[str, Any] | None:
        kind = said.get("messageType")
        answer = {"messageType": kind, "status": 200}
        with self.changed:
            match kind:
                case None:
                    return {}  # a ping
                case "hello":
                    answer |= {"uaid": browser, "use_webpush": True, "broadcasts": {}}
                case "register":
                    self._channels[said["channelID"]] = Channel(browser, said.get("key"))
                    endpoint = f"{self.url}/wpush/{said['channelID']}"
                    answer |= {"channelID": said["channelID"], "pushEndpoint": endpoint}
                case "unregister":
                    self._channels[said["channelID"]].dead = True
                    answer |= {"channelID": said["channelID"]}
                case "ack":
                    for update in said["updates"]:
                        handed = next(each for each in self._handed if each.id == update["version"])
                        handed.codes.append(update.get("code", ACKNOWLEDGED))
                    return None
                case _:
                    return None  # a nack, or an interest in broadcasts
            self.changed.notify_all()
        return answer

    async def _take(self, request: web.Request) -> web.Response:
        name, body = request.match_info["channel"], await request.read()
        channel = self.channels.get(name)
        try:
            if channel is None:
                raise Refused(404, "no such subscription")
            if channel.dead:
                raise Refused(410, "the subscription has expired")
            verify_vapid(request.headers.get("Authorization", ""), self.url, channel.key)
            check_headers(request.headers, body)
        except Refused as refusal:
            if refusal.status != 410:
                with self.changed:
                    self._refusals.append(refusal.reason)
            return web.json_response({"errno": 0, "message": refusal.reason}, status=refusal.status)
        message = Handed(f"{time.time_ns():x}", name, dict(request.headers))
        with self.changed:
            self._handed.append(message)
            self.changed.notify_all()
        notification = {
            "messageType": "notification",
            "channelID": name,
            "version": message.id,
            "data": b64(body),
            "headers": {"encoding": request.headers["Content-Encoding"]},
        }
        await self._browsers[channel.browser].send_json(notification)
        answer = web.Response(status=201, headers={"Location": f"{self.url}/m/{message.id}", "TTL": "0"})
        return await self.answered(request, answer)
