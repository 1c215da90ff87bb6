"""Web push: RFC 8030 delivery of declarative messages."""

import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from alertd.core.alert import Bilingual
from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Outcome, Refused
from alertd.core.errors import AddressError
from alertd.core.hosts import is_loopback
from alertd.core.message import Budget, Button, Message
from channels.base import (
    Address,
    Context,
    Field,
    Setting,
    SettingFaults,
    one_line,
    parse_rate,
    parse_retry_after,
)
from channels.guarded import GuardedHttp, Places
from channels.hosts import Hosts, is_ip
from channels.push_crypto import CURVE, VapidTokens, decode, encode, encrypt
from channels.push_http import Answer

PUSH_SERVICES: Final = (
    "fcm.googleapis.com",
    "*.push.services.mozilla.com",
    "*.push.apple.com",
    "*.notify.windows.com",
)
PAYLOAD_MAX: Final = 3_800  # bytes; 3,993 is what one record holds (RFC 8291 section 4), some services keep to less
TTL_MAX: Final = 28 * 24 * 3_600  # seconds; the big services refuse more
TIMEOUT: Final = 10.0  # seconds for a whole attempt
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_SUBJECT: Final = re.compile(r"mailto:[^\s@,<>]+@[^\s@,<>]+|https://[^\s/@]+(?:/\S*)?")


class WebPush:
    """Sends to browsers' push services."""

    kind: ClassVar[str] = "webpush"
    fields: ClassVar[tuple[Field, ...]] = (Field("endpoint"), Field("p256dh"), Field("auth"), Field("key_id"))
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("VAPID_SUBJECT", "whom a push service may contact: mailto:… or https://…"),
        Setting("PUSH_HOSTS", "extra hosts of push endpoints: host, *.host (https) or host:port (exactly that port)"),
        Setting("PUSH_PER_SECOND", "requests a second to all push services together (default: any)"),
    )
    has_second: ClassVar[bool] = False  # a browser subscribes at one push service and nowhere else
    on_record: ClassVar[bool] = False
    is_extra: ClassVar[bool] = False

    def __init__(
        self,
        context: Context,
        subject: str,
        hosts: Hosts,
        timeout: float = TIMEOUT,
        *,
        rate: float | None = None,
    ) -> None:
        self.budget = Budget(form="notification", size=2_000, concurrency=768, rate=rate, pace=rate)
        self._keys = context.vapid_keys
        self._places = Places(hosts, "endpoint")
        self._public_url = context.public_url
        self._subject = subject
        self._vapid = VapidTokens(subject)
        self._clock = context.now
        self._http = GuardedHttp(hosts, timeout)

    @classmethod
    def configure(cls, values: Mapping[str, str], context: Context) -> Self:
        """Always set up: it needs no account. Raises SettingFaults."""
        faults: list[tuple[str, str]] = []
        subject = values.get("VAPID_SUBJECT") or _own_subject(context.public_url)
        if not _SUBJECT.fullmatch(subject):
            faults.append(("VAPID_SUBJECT", "should be mailto:someone@example.org or https://example.org/contact"))
        hosts = Hosts(frozenset(), frozenset())
        try:
            hosts = Hosts.parse(values.get("PUSH_HOSTS", ""), PUSH_SERVICES)
        except ValueError as error:
            faults.append(("PUSH_HOSTS", str(error)))
        rate = None
        try:
            rate = parse_rate(values["PUSH_PER_SECOND"]) if values.get("PUSH_PER_SECOND") else None
        except ValueError as error:
            faults.append(("PUSH_PER_SECOND", str(error)))
        if faults:
            raise SettingFaults(faults)
        return cls(context, subject, hosts, rate=rate)

    def parse_address(self, raw: Mapping[str, str]) -> Address:
        """The subscription with keys that can be encrypted to and an endpoint that may be called; or AddressError."""
        endpoint = raw.get("endpoint", "")
        self._places.find(endpoint)
        point = decode("p256dh", raw.get("p256dh", ""), 65)
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)
        except ValueError:
            raise AddressError("p256dh", "is not a point on the curve P-256") from None
        auth = decode("auth", raw.get("auth", ""), 16)
        key_id = raw.get("key_id", "")
        if key_id not in self._keys:
            raise AddressError("key_id", "is not a key of this installation: subscribe again")
        return {"endpoint": endpoint, "p256dh": encode(point), "auth": encode(auth), "key_id": key_id}

    def lane(self, address: Address) -> str:
        """The push service's host."""
        return (URL(address["endpoint"], encoded=True).host or "").lower()

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        """One POST to the push service. A repeated one replaces the first on the phone (same Topic, same tag)."""
        now = self._clock()
        ttl = min(int((expires_at - now).total_seconds()), TTL_MAX)
        if ttl <= 0:
            return Refused("expired")
        if not self._keys:
            return Misconfigured("there is no VAPID key")
        vapid_key = self._keys.get(address["key_id"])
        if vapid_key is None:
            return Gone("subscribed under a key that no longer exists")
        try:
            origin, target = self._places.find(address["endpoint"])
        except AddressError as error:
            return Refused(f"endpoint: {error.message}")

        def make() -> tuple[dict[str, str], bytes]:
            fields = {
                "User-Agent": "alertd",
                "TTL": str(ttl),
                "Urgency": "high",
                "Topic": message.alert_id,
                "Content-Encoding": "aes128gcm",
                "Content-Type": "application/octet-stream",
                "Authorization": self._vapid.header(str(origin), vapid_key, now),
            }
            return fields, encrypt(address, payload(message))

        try:
            answer = await self._http.post(origin, target, make)
        except ValueError:
            return Gone("the subscription's keys are unusable")
        return self._outcome(answer) if isinstance(answer, Answer) else answer

    async def check(self) -> list[Bilingual]:
        """Whether push services would take our word for who we are: see `channels.base.Checkable`. Asks nobody."""
        faults = [] if self._keys else [_NO_KEY]
        fault = subject_fault(self._subject)
        derived = self._subject == _own_subject(self._public_url)
        # Whoever serves one machine alone reaches no phone by Apple's service either: that is told of the public URL.
        if fault and not (derived and is_loopback(URL(self._public_url).host or "")):
            faults.append(
                Bilingual(
                    f"Apple refuses everything with the VAPID subject {self._subject}"
                    f"{f' (it comes from the public URL {self._public_url})' if derived else ''}: it {fault.en}",
                    f"VAPIDの連絡先 {self._subject}"
                    f"{f'（公開URL {self._public_url} から作られたもの）' if derived else ''} は{fault.ja}。"
                    "このままではAppleがすべての通知を断ります。",
                )
            )
        return faults

    async def aclose(self) -> None:
        """Give back kept connections."""
        self._http.close()

    def _outcome(self, answer: Answer) -> Outcome:
        status = answer.status
        if 200 <= status < 300:
            return Accepted(answer.fields.get("location"))
        reason = one_line(f"{status} {answer.reason} {answer.detail.decode('utf-8', 'replace')}")
        if status in (404, 410):
            return Gone(reason)
        if status in (401, 403):
            self._vapid.forget()
            return Misconfigured(reason)
        if status in (408, 425, 429) or status >= 500:
            return Deferred(reason, parse_retry_after(answer.fields.get("retry-after"), self._clock()))
        if 300 <= status < 400:
            # Somebody on the way, or the service on a bad day: an endpoint moves only when the browser says so.
            return Deferred(f"{reason}: redirects are not followed")
        return Refused(reason)


_NO_KEY: Final = Bilingual(
    "there is no VAPID key: nobody can subscribe, and nothing can be sent",
    "VAPID鍵がありません。誰もプッシュ通知を登録できず、何も送れません。",
)


def subject_fault(subject: str) -> Bilingual | None:
    """What Apple's push service would not accept in a VAPID subject; None when nothing.

    It answers 403 to every message whose subject leads nowhere on the public Internet.
    """
    scheme, _, rest = subject.partition(":")
    if re.search(r"[\s<>]", subject):
        return Bilingual("holds a space or an angle bracket", "空白か山括弧を含みます")
    if scheme == "mailto" and rest.count("@") == 1 and rest.partition("@")[0]:
        host = rest.partition("@")[2].lower().removesuffix(".")
    elif scheme == "https":
        try:
            host = (URL(subject).host or "").lower().removesuffix(".")
        except ValueError:
            host = ""
    else:
        return Bilingual(
            "is neither mailto:someone@example.jp nor an https URL",
            "mailto:someone@example.jp の形でもhttpsのURLでもありません",
        )
    if is_ip(host.removeprefix("[").removesuffix("]")):
        return Bilingual("leads to a number, not to a name", "名前ではなくIPアドレスを指しています")
    if host == "localhost" or host.endswith(".localhost"):
        return Bilingual("leads to this machine alone", "この機械だけを指しています")
    if "." not in host:
        return Bilingual("leads to no domain: there is no dot in it", "ドメインを指していません（点がありません）")
    return None


def _own_subject(public_url: str) -> str:
    return f"mailto:alertd@{URL(public_url).host or 'localhost'}"


def payload(message: Message) -> bytes:
    """The declarative push message (`web_push` 8030) as JSON, at most PAYLOAD_MAX bytes.

    What does not fit is given up from the end: buttons first (browsers show two), then the tail of the text.
    """
    for count in range(len(message.buttons), -1, -1):
        raw = _dump(message, message.text, message.buttons[:count])
        if len(raw) <= PAYLOAD_MAX:
            return raw
    low, high = 0, len(message.text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(_dump(message, message.text[:middle] + "…", ())) <= PAYLOAD_MAX
        low, high = (middle, high) if fits else (low, middle - 1)
    return _dump(message, message.text[:low] + "…", ())


# One of these for each person's own words, others in each process, so that no post can contain them.
_PLACES: Final = tuple(secrets.token_hex(12) for _ in range(3))


def _dump(message: Message, body: str, buttons: tuple[Button, ...]) -> bytes:
    document = _shared_document(
        message.alert_id, message.revision, message.language, message.severity, message.drill, message.title,
        message.sent_at, body, buttons,
    )  # fmt: skip
    for place, own in zip(_PLACES, (message.link, message.token, message.beacon), strict=True):
        document = document.replace(place, _JSON.encode(own)[1:-1])
    return document.encode("utf-8", "replace")


@lru_cache(maxsize=64)
def _shared_document(
    alert_id: str, revision: int, language: str, severity: str, drill: bool, title: str, sent_at: datetime, body: str,
    buttons: tuple[Button, ...],
) -> str:  # fmt: skip
    """What is the same on everybody's phone, as JSON, with the places for what is not."""
    link, token, beacon = _PLACES
    notification: dict[str, Any] = {
        "title": title,
        "body": body,
        "navigate": link,
        "lang": language,
        "dir": "auto",
        "tag": alert_id,
        "renotify": True,
        "requireInteraction": True,
        "silent": False,
        "timestamp": int(sent_at.timestamp() * 1_000),
        "actions": [
            {
                "action": "ack" if button.answer is None else f"answer:{button.answer}",
                "title": button.label,
                "navigate": link,
            }
            for button in buttons
        ],
        "data": {
            "alert": alert_id,
            "revision": revision,
            "token": token,
            "beacon": beacon,
            "drill": drill,
            "severity": severity,
            "navigate": link,
        },
    }
    return _JSON.encode({"web_push": 8030, "notification": notification})
