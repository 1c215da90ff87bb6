"""Microsoft Teams: a card to each person's own workflow "Post to a chat when a webhook request is received".

The webhook's URL holds its own signature. Whoever knows it can write there, so it stands in no reason and no log.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote

from yarl import URL

from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Outcome, Refused
from alertd.core.errors import AddressError
from alertd.core.message import Budget, Message, link_label, warning_of_link
from channels.base import (
    Address,
    Channel,
    Context,
    Field,
    Setting,
    SettingFaults,
    Unconfigured,
    one_line,
    parse_rate,
    parse_retry_after,
)
from channels.guarded import GuardedHttp, Places
from channels.hosts import Hosts
from channels.push_http import Answer

TIMEOUT: Final = 15.0  # seconds for a whole attempt
PAYLOAD_MAX: Final = 28 * 1_024  # bytes (learn.microsoft.com, "Create incoming webhooks": 28 KB)
HOSTS: Final = ("*.logic.azure.com", "*.powerplatform.com", "*.webhook.office.com")
_SIZE: Final = 3_000  # bytes of title and body: well below PAYLOAD_MAX however they are written in JSON
_LINES_MAX: Final = 60  # blocks of text in one card; what follows runs on in the last
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
# The connectors that workflows replace answer 200 and say in words that Teams did not take it.
_FAILED_INSIDE: Final = re.compile(r"Microsoft Teams endpoint returned HTTP error (\d{3})")
_TOO_MANY: Final = re.compile(r"TooManyRequests|Too many requests", re.IGNORECASE)


class Teams:
    """Posts Adaptive Cards to webhooks."""

    kind: ClassVar[str] = "teams"
    fields: ClassVar[tuple[Field, ...]] = (Field("teams", secret=True),)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("TEAMS", "on: people may be reached by their webhooks in Microsoft Teams"),
        Setting("TEAMS_HOSTS", "extra hosts of webhooks: host, *.host (https) or host:port (exactly that port)"),
        Setting("TEAMS_PER_SECOND", "cards a second to all webhooks together (default: any)"),
    )
    has_second: ClassVar[bool] = False  # a webhook leads to one place and nowhere else
    on_record: ClassVar[bool] = True
    is_extra: ClassVar[bool] = True

    def __init__(self, context: Context, hosts: Hosts, timeout: float = TIMEOUT, *, rate: float | None = None) -> None:
        self.budget = _budget(rate)
        self._places = Places(hosts, "teams")
        self._http = GuardedHttp(hosts, timeout)
        self._clock = context.now

    @classmethod
    def configure(cls, values: Mapping[str, str], context: Context) -> Channel:
        """The channel, or an Unconfigured unless TEAMS is on. Raises SettingFaults."""
        faults: list[tuple[str, str]] = []
        hosts, rate = Hosts(frozenset(), frozenset()), None
        if values.get("TEAMS") not in (None, "", "on", "off"):
            faults.append(("TEAMS", "should be on or off"))
        try:
            hosts = Hosts.parse(values.get("TEAMS_HOSTS", ""), HOSTS)
        except ValueError as error:
            faults.append(("TEAMS_HOSTS", str(error)))
        try:
            rate = parse_rate(values["TEAMS_PER_SECOND"]) if values.get("TEAMS_PER_SECOND") else None
        except ValueError as error:
            faults.append(("TEAMS_PER_SECOND", str(error)))
        if faults:
            raise SettingFaults(faults)
        channel = cls(context, hosts, rate=rate)
        if values.get("TEAMS") != "on":
            return Unconfigured(cls.kind, channel.budget, "ALERTD_TEAMS is not on", channel.parse_address)
        return channel

    def parse_address(self, raw: Mapping[str, str]) -> Address:
        """The webhook's URL, or AddressError."""
        text = raw.get("teams", "").strip()
        self._places.find(text)
        return {"teams": text}

    def lane(self, address: Address) -> str:
        """The host of the webhook."""
        return (URL(address["teams"], encoded=True).host or "").lower()

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        """One attempt. A card that is repeated comes twice: there is no name for it that we could choose."""
        if expires_at <= self._clock():
            return Refused("expired")
        try:
            origin, target = self._places.find(address["teams"])
        except AddressError as error:
            return Refused(f"endpoint: {error.message}")
        answer = await self._http.post(
            origin, target, lambda: ({"Content-Type": "application/json; charset=utf-8"}, as_card(message))
        )
        return self._outcome(answer, target) if isinstance(answer, Answer) else answer

    async def aclose(self) -> None:
        """Give back kept connections."""
        self._http.close()

    def _outcome(self, answer: Answer, target: str) -> Outcome:
        said = answer.detail.decode("utf-8", "replace")
        inside = _FAILED_INSIDE.search(said)
        status = int(inside[1]) if inside and 200 <= answer.status < 300 else answer.status
        if 200 <= status < 300:
            return Accepted(one_line(answer.fields.get("x-ms-workflow-run-id", "")) or None)
        wait = parse_retry_after(answer.fields.get("retry-after"), self._clock())
        if status == 429 or (status == 400 and _TOO_MANY.search(said)):
            return Deferred("429 TooManyRequests", wait)
        reason = one_line(f"{status} {_without_secrets(said, target)}")
        if status in (404, 410):
            return Gone(reason)
        if status in (401, 403) or "WorkflowTriggerIsNotEnabled" in said:
            # Its signature was renewed, its flow is switched off, or a policy forbids it: the others have their own.
            return Misconfigured(reason, of_recipient=True)
        if status in (408, 425) or status >= 500:
            return Deferred(reason, wait, dark=status >= 500 and status != 503)
        if 300 <= status < 400:
            return Deferred(f"{reason}: redirects are not followed")
        return Refused(reason)


def _budget(rate: float | None) -> Budget:
    return Budget(form="notification", size=_SIZE, concurrency=64, rate=rate, pace=rate)


def _without_secrets(said: str, target: str) -> str:
    """What a workflow said, without anything of the URL that it may have said after us."""
    path, _, query = target.partition("?")
    parts = {target, *path.split("/"), *(value for _, value in parse_qsl(query)), *re.split("[=&]", query)}
    for part in sorted({unquote(part) for part in parts} | parts, key=len, reverse=True):
        if len(part) >= 16:  # ids and signatures are longer, words are not
            said = said.replace(part, "…")
    return said


def as_card(message: Message) -> bytes:
    """The webhook's message with one Adaptive Card 1.4, as JSON, at most PAYLOAD_MAX bytes.

    The text stands in runs, which know no Markdown: nothing in a post becomes a link or bold letters.
    """
    lines = [line for line in message.text.splitlines() if line.strip()]
    if len(lines) > _LINES_MAX:
        lines = [*lines[: _LINES_MAX - 1], " ".join(lines[_LINES_MAX - 1 :])]
    title = {"type": "TextRun", "text": message.title, "weight": "Bolder", "size": "Large"}
    warning = {"type": "TextRun", "text": warning_of_link(message), "size": "Small", "isSubtle": True}
    runs = [title, *({"type": "TextRun", "text": line} for line in lines), warning]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "lang": message.language,
        "fallbackText": message.title,
        "body": [{"type": "RichTextBlock", "inlines": [run]} for run in runs],
        "actions": [{"type": "Action.OpenUrl", "title": link_label(message), "url": message.link}],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return _JSON.encode({"type": "message", "attachments": [attachment]}).encode("utf-8", "replace")
