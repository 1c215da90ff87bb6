"""Somebody else's system that takes webhooks, and believes nothing that is not signed."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.providers.thread import HttpThread

_TOLERANCE = 300  # seconds that a message may have been on its way


@dataclass(frozen=True)
class Heard:
    """A message whose signature was right."""

    id: str
    body: dict[str, Any]
    status: int  # that it was answered with

    @property
    def type(self) -> str:
        return str(self.body["type"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.body["data"]
        return data


class WebhookReceiver(HttpThread):
    """Checks what Standard Webhooks says that a receiver is to check, by itself.

    `secret` is what it was given; `statuses` what it answers next, one by one, then 204. `heard`: what was signed
    rightly, `refused`: why anything else was not. `now`: None goes by the wall clock.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.secret = ""
        self.statuses: list[int] = []
        self.answer: bytes = b""
        self.location: str | None = None
        self.now: float | None = None
        self.hangs = False
        self.asked = 0
        self.heard: list[Heard] = []
        self.refused: list[str] = []

    @property
    def hook(self) -> str:
        return f"{self.url}/hook?room=7"

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/hook", self._take)]

    @property
    def taken(self) -> list[Heard]:
        """What was heard and answered with success."""
        with self.changed:
            return [each for each in self.heard if 200 <= each.status < 300]

    async def _take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        with self.changed:
            self.asked += 1
            self.changed.notify_all()
        if self.hangs:
            await self.closing.wait()
        fault = self._fault(request, raw)
        with self.changed:
            if fault is not None:
                self.refused.append(fault)
                status = 400
            else:
                status = self.statuses.pop(0) if self.statuses else 204
                self.heard.append(Heard(request.headers["webhook-id"], json.loads(raw), status))
            self.changed.notify_all()
        headers = {"Location": self.location} if self.location else {}
        return await self.answered(request, web.Response(status=status, body=self.answer, headers=headers))

    def _fault(self, request: web.Request, raw: bytes) -> str | None:
        if request.query_string != "room=7":
            return "the address was changed"
        if request.content_type != "application/json":
            return f"it is {request.content_type}"
        name, stamp = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
        now = time.time() if self.now is None else self.now
        if not stamp.isdigit() or abs(int(stamp) - now) > _TOLERANCE:
            return f"it is of {stamp!r}"
        try:
            key = base64.b64decode(self.secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            return "the secret is none"
        expected = hmac.new(key, f"{name}.{stamp}.".encode() + raw, hashlib.sha256).digest()
        for version, _, signature in (each.partition(",") for each in request.headers["webhook-signature"].split()):
            if version == "v1" and hmac.compare_digest(base64.b64decode(signature), expected):
                return None
        return "the signature is wrong"
