"""Slack's Web API as far as a bot posts to members: its checks, its limits, its answers (docs.slack.dev)."""

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from tests.providers.thread import HttpThread, Reset, cut

TOKEN: Final = "xoxb-0123456789-0123456789-abcdefghijklmnop"
BLOCKS_MAX: Final = 50
SECTION_MAX: Final = 3_000
HEADER_MAX: Final = 150
BUTTON_MAX: Final = 75
URL_MAX: Final = 3_000
_ENTITY: Final = re.compile(r"&(?!amp;|lt;|gt;)|[<>]")


@dataclass(frozen=True)
class SlackMessage:
    """A message that was taken over."""

    ts: str
    channel: str
    text: str
    blocks: list[dict[str, Any]]
    document: dict[str, Any]

    @property
    def words(self) -> list[str]:
        """What a member reads, block by block, as Slack shows it."""
        return [_shown(block["text"]["text"]) for block in self.blocks if block["type"] in ("header", "section")]

    @property
    def link(self) -> str:
        """Where the message's one button leads."""
        [button] = [each for block in self.blocks if block["type"] == "actions" for each in block["elements"]]
        return str(button["url"])


@dataclass
class _Plan:
    error: str = ""
    status: int = 200
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    reset: Reset | None = None
    hang: bool = False


class _Refusal(Exception):
    """What Slack says with `ok: false`."""


class SlackServer(HttpThread):
    """`with SlackServer() as slack:` serves on `slack.url` until the block ends. `members` None: whoever is asked."""

    def __init__(self, port: int = 0, *, token: str = TOKEN, members: set[str] | None = None) -> None:
        super().__init__(port)
        self.token = token
        self.members = members
        self.scopes = "chat:write"
        self._messages: list[SlackMessage] = []
        self._plans: deque[_Plan] = deque()
        self._requests = 0

    def settings(self) -> dict[str, str]:
        """The settings (without prefix) of a channel that posts here."""
        return {"SLACK_TOKEN": self.token, "SLACK_API_URL": f"{self.url}/api"}

    @property
    def messages(self) -> list[SlackMessage]:
        with self.changed:
            return list(self._messages)

    @property
    def requests(self) -> int:
        with self.changed:
            return self._requests

    def wait_for(self, count: int, within: float = 10) -> list[SlackMessage]:
        """The messages, once there are `count`."""
        self.wait_until(lambda: len(self._messages) >= count, within)
        return self.messages

    def fail(self, error: str, *, retry_after: str | None = None) -> None:
        """Say `ok: false` to the next call; as HTTP 429 when it is `ratelimited`."""
        headers = {"Retry-After": retry_after} if retry_after is not None else {}
        self._plan(_Plan(error, 429 if error == "ratelimited" else 200, headers=headers))

    def answer(self, status: int, body: str) -> None:
        """Answer the next call with something that is not Slack's."""
        self._plan(_Plan(status=status, body=body))

    def reset(self, when: Reset) -> None:
        self._plan(_Plan(reset=when))

    def hang(self) -> None:
        self._plan(_Plan(hang=True))

    def _plan(self, plan: _Plan) -> None:
        with self.changed:
            self._plans.append(plan)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/chat.postMessage", self._post), web.post("/api/auth.test", self._test)]

    def _next(self) -> _Plan:
        with self.changed:
            self._requests += 1
            self.changed.notify_all()
            return self._plans.popleft() if self._plans else _Plan()

    async def _test(self, request: web.Request) -> web.Response:
        return await self._respond(request, {"team": "みどり市", "user": "alertd"}, self._next())

    async def _post(self, request: web.Request) -> web.Response:
        plan = self._next()
        if plan.hang:
            await self.closing.wait()
        if plan.reset == "before":
            return cut(request)
        if plan.error or plan.body is not None:
            return await self._respond(request, {}, plan)
        try:
            message = self._take(request, await request.read())
        except _Refusal as error:
            return await self._respond(request, {}, _Plan(str(error)))
        with self.changed:
            self._messages.append(message)
            self.changed.notify_all()
        if plan.reset == "after":
            return cut(request)
        return await self._respond(request, {"channel": "D1", "ts": message.ts, "message": message.document}, plan)

    async def _respond(self, request: web.Request, more: Mapping[str, Any], plan: _Plan) -> web.Response:
        if plan.body is not None:
            return web.Response(status=plan.status, text=plan.body)
        error = plan.error or self._unauthorised(request)
        document = {"ok": False, "error": error} if error else {"ok": True, **more}
        answer = web.json_response(document, status=plan.status, headers=plan.headers)
        answer.headers["X-OAuth-Scopes"] = self.scopes
        return await self.answered(request, answer)

    def _unauthorised(self, request: web.Request) -> str:
        given = request.headers.get("Authorization", "")
        if not given.startswith("Bearer "):
            return "not_authed"
        return "" if given == f"Bearer {self.token}" else "invalid_auth"

    def _take(self, request: web.Request, raw: bytes) -> SlackMessage:
        if error := self._unauthorised(request):
            raise _Refusal(error)
        if request.content_type != "application/json" or request.charset != "utf-8":
            raise _Refusal("invalid_post_type")
        try:
            document = json.loads(raw)
        except ValueError:
            raise _Refusal("invalid_json") from None
        member = document.get("channel", "")
        if not re.fullmatch(r"[UW][A-Z0-9]{6,20}", member) or (self.members is not None and member not in self.members):
            raise _Refusal("channel_not_found")
        if not document.get("text"):
            raise _Refusal("no_text")
        _check_blocks(document.get("blocks", []))
        if _ENTITY.search(document["text"]) or document.get("unfurl_links") is not False:
            raise _Refusal("invalid_arguments")  # ours alone: a link that Slack fetches, or a mention that wakes all
        ts = f"1700000000.{len(self._messages):06}"
        return SlackMessage(ts, member, document["text"], document["blocks"], document)


def _check_blocks(blocks: list[dict[str, Any]]) -> None:
    if not 0 < len(blocks) <= BLOCKS_MAX:
        raise _Refusal("invalid_blocks")
    for block in blocks:
        match block:
            case {"type": "header", "text": {"type": "plain_text", "text": text}}:
                _check_text(text, HEADER_MAX)
            case {"type": "section", "text": {"type": "plain_text" | "mrkdwn", "text": text}}:
                _check_text(text, SECTION_MAX)
            case {"type": "context", "elements": [{"type": "plain_text", "text": text}]}:
                _check_text(text, SECTION_MAX)
            case {"type": "actions", "elements": [{"type": "button", "text": {"text": text}, "url": url}]}:
                _check_text(text, BUTTON_MAX)
                if not re.match("https?://", url) or len(url) > URL_MAX:
                    raise _Refusal("invalid_blocks")
            case _:
                raise _Refusal("invalid_blocks")


def _check_text(text: str, most: int) -> None:
    if not 0 < len(text) <= most or _ENTITY.search(text):
        raise _Refusal("invalid_blocks")


def _shown(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
