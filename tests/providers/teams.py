"""Workflows of Microsoft Teams that begin with a webhook: their checks, their limit, their answers."""

import json
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from tests.providers.thread import HttpThread, Reset, cut

PAYLOAD_MAX: Final = 28 * 1_024
_ELEMENTS: Final = frozenset({"RichTextBlock", "TextBlock"})


@dataclass(frozen=True)
class Card:
    """A card that was taken over: 202."""

    workflow: str
    content: dict[str, Any]
    size: int  # bytes of the whole message

    @property
    def words(self) -> list[str]:
        """What somebody reads, line by line."""
        return [run["text"] for block in self.content["body"] for run in block["inlines"]]

    @property
    def link(self) -> str:
        """Where the card's one button leads."""
        [action] = self.content["actions"]
        return str(action["url"])


@dataclass
class _Plan:
    status: int = 202
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    reset: Reset | None = None
    hang: bool = False


class TeamsServer(HttpThread):
    """`with TeamsServer() as teams:` serves on `teams.url` until the block ends."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self._signatures: dict[str, str] = {}
        self._cards: list[Card] = []
        self._plans: deque[_Plan] = deque()
        self._requests = 0

    def settings(self) -> dict[str, str]:
        """The settings (without prefix) of a channel that may post here."""
        return {"TEAMS": "on", "TEAMS_HOSTS": self.host}

    def make_webhook(self) -> str:
        """The URL of a new workflow, as Teams shows it."""
        workflow, signature = secrets.token_hex(16), secrets.token_urlsafe(32)
        with self.changed:
            self._signatures[workflow] = signature
        path = f"/workflows/{workflow}/triggers/manual/paths/invoke"
        return f"{self.url}{path}?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={signature}"

    def remove(self, webhook: str) -> None:
        """The workflow behind that URL is deleted."""
        with self.changed:
            del self._signatures[webhook.split("/workflows/")[1].split("/")[0]]

    @property
    def cards(self) -> list[Card]:
        with self.changed:
            return list(self._cards)

    @property
    def requests(self) -> int:
        with self.changed:
            return self._requests

    def wait_for(self, count: int, within: float = 10) -> list[Card]:
        """The cards, once there are `count`."""
        self.wait_until(lambda: len(self._cards) >= count, within)
        return self.cards

    def answer(self, status: int, body: str = "", *, retry_after: str | None = None) -> None:
        """Answer so to the next request."""
        headers = {"Retry-After": retry_after} if retry_after is not None else {}
        self._plan(_Plan(status, body, headers))

    def reset(self, when: Reset) -> None:
        self._plan(_Plan(reset=when))

    def hang(self) -> None:
        self._plan(_Plan(hang=True))

    def _plan(self, plan: _Plan) -> None:
        with self.changed:
            self._plans.append(plan)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/workflows/{workflow}/triggers/manual/paths/invoke", self._post)]

    async def _post(self, request: web.Request) -> web.Response:
        with self.changed:
            self._requests += 1
            plan = self._plans.popleft() if self._plans else _Plan()
        if plan.hang:
            await self.closing.wait()
        if plan.reset == "before":
            return cut(request)
        if not 200 <= plan.status < 300 or plan.body:
            return web.Response(status=plan.status, text=plan.body, headers=plan.headers)
        workflow = request.match_info["workflow"]
        if (fault := self._fault(request, workflow)) is not None:
            return fault
        raw = await request.read()
        content = _content(raw) if request.content_type == "application/json" else None
        if content is None:
            return _error(400, "TriggerInputSchemaMismatch", "the input does not match the schema")
        with self.changed:
            self._cards.append(Card(workflow, content, len(raw)))
            self.changed.notify_all()
        if plan.reset == "after":
            return cut(request)
        return await self.answered(request, web.Response(status=202, headers={"x-ms-workflow-run-id": "0858"}))

    def _fault(self, request: web.Request, workflow: str) -> web.Response | None:
        with self.changed:
            signature = self._signatures.get(workflow)
        if signature is None:
            return _error(404, "WorkflowNotFound", f"The workflow '{workflow}' could not be found.")
        if request.query.get("sig") != signature:
            told = f"The signature '{request.query.get('sig')}' is not valid."
            return _error(401, "DirectApiAuthorizationRequired", told)
        return None


def _content(raw: bytes) -> dict[str, Any] | None:
    """The Adaptive Card of a message that Teams shows; None for any other."""
    if len(raw) > PAYLOAD_MAX:
        return None
    match json.loads(raw):
        case {
            "type": "message",
            "attachments": [
                {
                    "contentType": "application/vnd.microsoft.card.adaptive",
                    "content": {"type": "AdaptiveCard", "version": "1.4", "body": [*blocks]} as content,
                }
            ],
        } if all(block["type"] in _ELEMENTS for block in blocks):
            found: dict[str, Any] = content
            return found
    return None


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
