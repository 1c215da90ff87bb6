"""Slack: a message from an app's bot to each member, over the Web API's chat.postMessage."""

import asyncio
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import aiohttp

from alertd.core.alert import Bilingual
from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Outcome, Refused
from alertd.core.errors import AddressError
from alertd.core.message import Budget, Message, link_label, warning_of_link
from channels.base import (
    CHECK_SECONDS,
    Address,
    Channel,
    Context,
    Field,
    Setting,
    SettingFaults,
    Unconfigured,
    is_api_url,
    one_line,
    parse_rate,
    parse_retry_after,
    words_of,
)

TIMEOUT: Final = 15.0  # seconds for a whole attempt
API_URL: Final = "https://slack.com/api"
PER_SECOND: Final = 5.0  # Slack lets an app post "several hundred messages per minute" in a workspace, and says no more
HEADER_MAX: Final = 150  # characters of a header block, as they are sent (docs.slack.dev, header block)
SECTION_MAX: Final = 3_000  # characters of a section's text, as they are sent (docs.slack.dev, section block)
_ANSWER_BYTES: Final = 1_000_000
_MEMBER: Final = re.compile(r"[UW][A-Z0-9]{6,20}", re.ASCII)
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})  # docs.slack.dev, "Escaping text"
_SCOPE: Final = "chat:write"

# What Slack says with `ok: false`. `account_inactive` is about our token ("for a deleted user or workspace"), never
# about whom we write to: whoever took it for theirs would give up everybody's address at once.
ERRORS: Final[dict[str, type[Deferred] | type[Gone] | type[Misconfigured]]] = {
    **dict.fromkeys(("channel_not_found", "user_not_found", "user_disabled", "is_archived"), Gone),
    **dict.fromkeys(
        (
            *("ratelimited", "rate_limited", "message_limit_exceeded", "request_timeout", "service_unavailable"),
            *("internal_error", "fatal_error", "team_added_to_org"),
        ),
        Deferred,
    ),
    **dict.fromkeys(
        (
            *("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "missing_scope"),
            *("not_allowed_token_type", "no_permission", "access_denied", "accesslimited", "ekm_access_denied"),
            *("org_login_required", "enterprise_is_restricted", "team_access_not_granted", "messages_tab_disabled"),
            *("deprecated_endpoint", "method_deprecated", "two_factor_setup_required"),
            *("not_in_channel", "cannot_dm_bot"),
        ),
        Misconfigured,
    ),
}
# We may not write to this member, though we may to others.
_OF_RECIPIENT: Final = frozenset({"not_in_channel", "cannot_dm_bot"})
# "It's possible some aspect of the operation succeeded before the error was raised."
_DARK: Final = frozenset({"internal_error", "fatal_error", "request_timeout"})
_TOO_MANY: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})


class Slack:
    """Posts to members of one workspace as an app's bot."""

    kind: ClassVar[str] = "slack"
    fields: ClassVar[tuple[Field, ...]] = (Field("slack"),)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("SLACK_TOKEN", "the app's bot token, xoxb-…, with the scope chat:write", secret=True),
        Setting("SLACK_API_URL", f"https://…, or http:// on a loopback address (default {API_URL})"),
        Setting("SLACK_PER_SECOND", f"messages a second to the workspace (default {PER_SECOND:g})"),
    )
    has_second: ClassVar[bool] = False  # a member id means nothing in another workspace
    on_record: ClassVar[bool] = True
    is_extra: ClassVar[bool] = True

    def __init__(
        self, token: str, context: Context, *, api: str = API_URL, rate: float = PER_SECOND, timeout: float = TIMEOUT
    ) -> None:
        self.budget = _budget(rate)
        self._token = token
        self._api = api.removesuffix("/")
        self._timeout = timeout
        self._clock = context.now
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def configure(cls, values: Mapping[str, str], context: Context) -> Channel:
        """The channel, or an Unconfigured when there is no token. Raises SettingFaults."""
        faults: list[tuple[str, str]] = []
        token, api, rate = values.get("SLACK_TOKEN"), values.get("SLACK_API_URL") or API_URL, PER_SECOND
        # It goes into a header as it is.
        if token and not re.fullmatch(r"xox[a-z](?:\.xox[a-z])?-[\w.%-]+", token, re.ASCII):
            faults.append(("SLACK_TOKEN", "should be the app's bot token, which begins with xoxb-"))
        if not is_api_url(api):
            faults.append(("SLACK_API_URL", "should be https://…, or http:// on a loopback address"))
        try:
            rate = parse_rate(values.get("SLACK_PER_SECOND") or f"{PER_SECOND:g}")
        except ValueError as error:
            faults.append(("SLACK_PER_SECOND", str(error)))
        if faults:
            raise SettingFaults(faults)
        if not token:
            return Unconfigured(cls.kind, _budget(rate), "ALERTD_SLACK_TOKEN is not set", parse_member)
        return cls(token, context, api=api, rate=rate)

    def parse_address(self, raw: Mapping[str, str]) -> Address:
        """The member id, or AddressError."""
        return parse_member(raw)

    def lane(self, address: Address) -> str:
        """All members depend on Slack alone, and share the workspace's limit."""
        return ""

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        """One attempt. Slack has no name for a message that we could choose: one that is repeated comes twice."""
        if expires_at <= self._clock():
            return Refused("expired")
        body = {"channel": address["slack"], **as_blocks(message), "unfurl_links": False, "unfurl_media": False}
        answer = await self._ask("chat.postMessage", body, self._timeout)
        return answer if isinstance(answer, Deferred) else self._judge(*answer)

    async def check(self) -> list[Bilingual]:
        """What auth.test says of the token: see `channels.base.Checkable`."""
        answer = await self._ask("auth.test", {}, min(self._timeout, CHECK_SECONDS))
        if isinstance(answer, Deferred):
            return [Bilingual("Slack cannot be reached", "Slackに接続できません").followed_by(answer.reason)]
        status, headers, document = answer
        error = _error_of(document)
        if status != 200 or error is None:
            told = Bilingual("what answers is not Slack's API", "SlackのAPIではないものが応答しています")
            return [told.followed_by(str(status))]
        if error:
            told = Bilingual("Slack does not accept the token", "Slackがトークンを受け付けません")
            return [told.followed_by(error)]
        scopes = headers.get("X-OAuth-Scopes")
        if scopes is not None and _SCOPE not in (scope.strip() for scope in scopes.split(",")):
            return [
                Bilingual(
                    f"the app lacks the scope {_SCOPE}: it cannot send anything",
                    f"アプリに権限（スコープ）{_SCOPE} がないため、何も送れません。",
                )
            ]
        return []

    async def aclose(self) -> None:
        """Give back kept connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, method: str, body: Mapping[str, Any], seconds: float
    ) -> tuple[int, Mapping[str, str], Any] | Deferred:
        """(status, header, document or None) of what Slack answers, or what it means that it did not."""
        raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        fields = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json; charset=utf-8"}
        try:
            async with (
                asyncio.timeout(seconds),
                self._open().post(f"{self._api}/{method}", data=raw, headers=fields, allow_redirects=False) as response,
            ):
                text = await response.content.read(_ANSWER_BYTES)
                while not response.content.at_eof() and len(text) < _ANSWER_BYTES:
                    text += await response.content.read(_ANSWER_BYTES - len(text))
                return response.status, response.headers, _read(text)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Deferred(words_of(error))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Deferred(words_of(error), dark=True)

    def _judge(self, status: int, headers: Mapping[str, str], document: Any) -> Outcome:
        error = _error_of(document)
        if status == 429 or error in _TOO_MANY:
            return Deferred(f"429 {error or ''}".strip(), parse_retry_after(headers.get("Retry-After"), self._clock()))
        if status >= 500 or status == 408 or 300 <= status < 400:
            # A gateway that gave up waiting does not know what became of it; one that is closed has handed nothing on.
            wait = parse_retry_after(headers.get("Retry-After"), self._clock())
            return Deferred(one_line(f"{status} {error or ''}"), wait, dark=status >= 500 and status != 503)
        if error == "" and status == 200:
            name = document.get("ts")
            return Accepted(name if isinstance(name, str) else None)
        if error is None:
            reason = f"{status}: an answer that is not Slack's"
            return Deferred(reason, dark=True) if status == 200 else Misconfigured(reason)
        kind = ERRORS.get(error, Misconfigured if error.startswith("restricted_action") else Refused)
        if kind is Deferred:
            return Deferred(error, dark=error in _DARK)
        if kind is Misconfigured:
            return Misconfigured(error, of_recipient=error in _OF_RECIPIENT)
        return kind(error)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.budget.concurrency, keepalive_timeout=30),
                # A limit of its own for connecting: what never connected was certainly not taken over.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout * 2 / 3),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _budget(rate: float) -> Budget:
    return Budget(form="notification", size=SECTION_MAX, concurrency=16, rate=rate, pace=rate)


def parse_member(raw: Mapping[str, str]) -> Address:
    """The member id. Raises AddressError."""
    text = unicodedata.normalize("NFKC", raw.get("slack", "")).strip().upper()
    if not text:
        raise AddressError("slack", "is missing")
    if not _MEMBER.fullmatch(text):
        raise AddressError("slack", "is not a Slack member ID: it begins with U or W, like U012AB3CD")
    return {"slack": text}


def as_blocks(message: Message) -> dict[str, Any]:
    """`text` (what a notification shows) and `blocks` of chat.postMessage.

    All of it is plain text, so that nothing in a post becomes a mention, a link or bold letters; Slack wants `&`, `<`
    and `>` written out even there.
    """
    title, body = message.title.translate(_ESCAPES), message.text
    head = {"type": "header", "text": _plain(title)} if len(title) <= HEADER_MAX else _section(title)
    parts = [_section(part) for part in _parts(body)]
    button = {
        "type": "button",
        "action_id": "open",
        "text": _plain(link_label(message)),
        "url": message.link,
        "style": "primary",
    }
    warning = {"type": "context", "elements": [_plain(warning_of_link(message))]}
    blocks = [head, *parts, {"type": "actions", "elements": [button]}, warning]
    return {"text": f"{title}\n{body.translate(_ESCAPES)}".strip(), "blocks": blocks}


def _parts(text: str) -> list[str]:
    """`text` as Slack wants it written, in pieces that each fit into a section."""
    parts = [""]
    for char in text.strip():
        written = char.translate(_ESCAPES)
        if len(parts[-1]) + len(written) > SECTION_MAX:
            parts.append("")
        parts[-1] += written
    return [part for part in parts if part.strip()]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _plain(text)}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


def _error_of(document: Any) -> str | None:
    """What Slack has against a call, "" for nothing; None when this is no answer of Slack's."""
    if not isinstance(document, dict) or not isinstance(document.get("ok"), bool):
        return None
    return "" if document["ok"] else one_line(str(document.get("error") or "unknown_error"), 80)
