"""Web push: RFC 8030 delivery, RFC 8291 encryption, RFC 8292 identification."""

import asyncio
import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Self

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from py_vapid.jwt import sign
from pywebpush import WebPusher
from yarl import URL

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
    VapidKey,
    one_line,
    parse_rate,
    parse_retry_after,
)
from channels.push_hosts import BlockedAddress, GuardedResolver, PushHosts, is_ip

PAYLOAD_MAX: Final = 3_800  # bytes; 3,993 is what one record holds (RFC 8291 section 4), some services keep to less
ENDPOINT_MAX: Final = 2_048
TTL_MAX: Final = 28 * 24 * 3_600  # seconds; the big services refuse more
TIMEOUT: Final = 10.0  # seconds for a whole attempt
_REASON_BYTES: Final = 4_096
_REASON_SECONDS: Final = 1.0
_TOKEN_LIFE: Final = timedelta(hours=12)  # RFC 8292 section 2 allows 24
_TOKEN_RENEWAL: Final = timedelta(hours=6)
_TOKENS_KEPT: Final = 1_000
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")
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

    def __init__(
        self,
        context: Context,
        subject: str,
        hosts: PushHosts,
        timeout: float = TIMEOUT,
        *,
        rate: float | None = None,
    ) -> None:
        self.budget = Budget(form="notification", size=2_000, concurrency=768, rate=rate, pace=rate)
        self._keys = context.vapid_keys
        self._hosts = hosts
        self._public_url = context.public_url
        self._subject = subject
        self._vapid = VapidTokens(subject)
        self._clock = context.now
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def configure(cls, values: Mapping[str, str], context: Context) -> Self:
        """Always set up: it needs no account. Raises SettingFaults."""
        faults: list[tuple[str, str]] = []
        subject = values.get("VAPID_SUBJECT") or _own_subject(context.public_url)
        if not _SUBJECT.fullmatch(subject):
            faults.append(("VAPID_SUBJECT", "should be mailto:someone@example.org or https://example.org/contact"))
        hosts = PushHosts(frozenset(), frozenset())
        try:
            hosts = PushHosts.parse(values.get("PUSH_HOSTS", ""))
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
        fault = self._endpoint_fault(endpoint)
        if fault:
            raise AddressError("endpoint", fault)
        point = _decode("p256dh", raw.get("p256dh", ""), 65)
        try:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError:
            raise AddressError("p256dh", "is not a point on the curve P-256") from None
        auth = _decode("auth", raw.get("auth", ""), 16)
        key_id = raw.get("key_id", "")
        if key_id not in self._keys:
            raise AddressError("key_id", "is not a key of this installation: subscribe again")
        return {"endpoint": endpoint, "p256dh": _encode(point), "auth": _encode(auth), "key_id": key_id}

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
        fault = self._endpoint_fault(address["endpoint"])
        if fault:
            return Refused(f"endpoint: {fault}")
        try:
            body = encrypt(address, payload(message))
        except ValueError:
            return Gone("the subscription's keys are unusable")
        url = URL(address["endpoint"], encoded=True)
        headers = {
            "TTL": str(ttl),
            "Urgency": "high",
            "Topic": message.alert_id,
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": self._vapid.header(_origin(url), vapid_key, now),
        }
        return await self._post(url, body, headers)

    async def check(self) -> list[str]:
        """Whether push services would take our word for who we are: see `channels.base.Checkable`. Asks nobody."""
        faults = [] if self._keys else ["there is no VAPID key: nobody can subscribe, and nothing can be sent"]
        fault = subject_fault(self._subject)
        derived = self._subject == _own_subject(self._public_url)
        # Whoever serves one machine alone reaches no phone by Apple's service either: that is told of the public URL.
        if fault and not (derived and is_loopback(URL(self._public_url).host or "")):
            whence = f" (it comes from the public URL {self._public_url})" if derived else ""
            faults.append(f"Apple refuses everything with the VAPID subject {self._subject}{whence}: it {fault}")
        return faults

    async def aclose(self) -> None:
        """Give back kept connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _endpoint_fault(self, endpoint: str) -> str | None:
        if not endpoint:
            return "is missing"
        if len(endpoint) > ENDPOINT_MAX:
            return f"is longer than {ENDPOINT_MAX} characters"
        # It goes onto the wire as it is: nothing in it may end the request line.
        if not re.fullmatch(r"https?://[!-~]+", endpoint) or "\\" in endpoint:
            return "is not an absolute URL"
        try:
            url = URL(endpoint, encoded=True)
            user, fragment = url.raw_user or url.raw_password, url.raw_fragment
            return "must not hold a user name or a fragment" if user or fragment else self._hosts.fault(url)
        except ValueError:
            return "is not an absolute URL"

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self.budget.concurrency, resolver=GuardedResolver(self._hosts), keepalive_timeout=30
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                # A limit of its own for connecting: what never connected cannot have been taken over.
                timeout=aiohttp.ClientTimeout(total=self._timeout, connect=self._timeout * 2 / 3),
                trust_env=False,
                # Otherwise a few compressed kilobytes could unfold into memory.
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def _post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> Outcome:
        try:
            async with self._open().post(url, data=body, headers=headers, allow_redirects=False) as response:
                detail = await _detail(response)
                return self._outcome(response, detail)
        except BlockedAddress as error:
            return Refused(f"endpoint: {error}")
        except aiohttp.ConnectionTimeoutError:
            return Deferred(f"no answer within {self._timeout:g} s: no connection")
        except TimeoutError:
            return Deferred(f"no answer within {self._timeout:g} s", dark=True)
        except (aiohttp.InvalidURL, UnicodeError) as error:
            return Gone(one_line(f"the endpoint cannot be called: {error}"))
        except (aiohttp.ClientError, OSError) as error:
            connected = not isinstance(error, aiohttp.ClientConnectorError)
            return Deferred(one_line(f"{type(error).__name__}: {error}"), dark=connected)

    def _outcome(self, response: aiohttp.ClientResponse, detail: str) -> Outcome:
        status = response.status
        reason = one_line(f"{status} {response.reason or ''} {detail}")
        if 200 <= status < 300:
            return Accepted(response.headers.get("Location"))
        if status in (404, 410):
            return Gone(reason)
        if status in (401, 403):
            self._vapid.forget()
            return Misconfigured(reason)
        if status in (408, 425, 429) or status >= 500:
            return Deferred(reason, parse_retry_after(response.headers.get("Retry-After"), self._clock()))
        if 300 <= status < 400:
            # Somebody on the way, or the service on a bad day: an endpoint moves only when the browser says so.
            return Deferred(f"{reason}: redirects are not followed")
        return Refused(reason)


def subject_fault(subject: str) -> str | None:
    """What Apple's push service would not accept in a VAPID subject; None when nothing.

    It answers 403 to every message whose subject leads nowhere on the public Internet.
    """
    scheme, _, rest = subject.partition(":")
    if re.search(r"[\s<>]", subject):
        return "holds a space or an angle bracket"
    if scheme == "mailto" and rest.count("@") == 1 and rest.partition("@")[0]:
        host = rest.partition("@")[2].lower().removesuffix(".")
    elif scheme == "https":
        try:
            host = (URL(subject).host or "").lower().removesuffix(".")
        except ValueError:
            host = ""
    else:
        return "is neither mailto:someone@example.jp nor an https URL"
    if is_ip(host.removeprefix("[").removesuffix("]")):
        return "leads to a number, not to a name"
    if host == "localhost" or host.endswith(".localhost"):
        return "leads to this machine alone"
    return None if "." in host else "leads to no domain: there is no dot in it"


def _own_subject(public_url: str) -> str:
    return f"mailto:alertd@{URL(public_url).host or 'localhost'}"


class VapidTokens:
    """Authorization headers (RFC 8292), one per (push service, key), signed again long before they expire."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._kept: dict[tuple[str, str], tuple[datetime, str]] = {}

    def header(self, origin: str, key: VapidKey, now: datetime) -> str:
        made_at, header = self._kept.get((origin, key.id), (datetime.min.replace(tzinfo=UTC), ""))
        if not timedelta() <= now - made_at < _TOKEN_RENEWAL:
            if len(self._kept) >= _TOKENS_KEPT:
                self._kept.clear()
            expiry = int((now + _TOKEN_LIFE).timestamp())
            token = sign({"aud": origin, "exp": expiry, "sub": self._subject}, _private_key(key.private_key))
            header = f"vapid t={token}, k={key.public_key}"
            self._kept[origin, key.id] = (now, header)
        return header

    def forget(self) -> None:
        """Sign everything again: a push service did not believe one."""
        self._kept.clear()


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


def _dump(message: Message, body: str, buttons: tuple[Button, ...]) -> bytes:
    notification: dict[str, Any] = {
        "title": message.title,
        "body": body,
        "navigate": message.link,
        "lang": message.language,
        "dir": "auto",
        "tag": message.alert_id,
        "renotify": True,
        "requireInteraction": True,
        "silent": False,
        "timestamp": int(message.sent_at.timestamp() * 1_000),
        "actions": [
            {
                "action": "ack" if button.answer is None else f"answer:{button.answer}",
                "title": button.label,
                "navigate": message.link,
            }
            for button in buttons
        ],
        "data": {
            "alert": message.alert_id,
            "revision": message.revision,
            "token": message.token,
            "beacon": message.beacon,
            "drill": message.drill,
            "severity": message.severity,
            "navigate": message.link,
        },
    }
    document = {"web_push": 8030, "notification": notification}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def encrypt(address: Address, plaintext: bytes) -> bytes:
    """The body of a push request: one aes128gcm record (RFC 8291). ValueError when the keys are unusable."""
    keys = {"p256dh": address["p256dh"], "auth": address["auth"]}
    encoded = WebPusher({"endpoint": address["endpoint"], "keys": keys}).encode(plaintext, "aes128gcm")
    body: bytes = encoded["body"]
    return body


def generate_key() -> VapidKey:
    """A new VAPID key pair."""
    return _vapid_key(ec.generate_private_key(ec.SECP256R1()))


def load_key(private_key: str) -> VapidKey:
    """The VAPID key pair of a private key: 32 bytes as base64url, or PEM. ValueError says what is wrong."""
    text = private_key.strip()
    if text.startswith("-----BEGIN"):
        try:
            loaded = load_pem_private_key(text.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise ValueError(f"is not a PEM private key: {error}") from None
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
            raise ValueError("is not a private key on the curve P-256")
        return _vapid_key(loaded)
    try:
        return _vapid_key(_private_key(text))
    except ValueError:
        raise ValueError("should be a P-256 private key: 32 bytes as base64url, or PEM") from None


def _vapid_key(private: ec.EllipticCurvePrivateKey) -> VapidKey:
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    scalar = private.private_numbers().private_value.to_bytes(32)
    name = _encode(hashlib.sha256(point).digest())[:16]
    return VapidKey(id=name, private_key=_encode(scalar), public_key=_encode(point))


def _private_key(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(_decode("private_key", text, 32)), ec.SECP256R1())


def _origin(url: URL) -> str:
    """The push service's origin (RFC 6454 section 6.1): a default port is left out."""
    host = (url.raw_host or "").lower()
    shown = f"[{host}]" if ":" in host else host
    return f"{url.scheme}://{shown}" if url.is_default_port() else f"{url.scheme}://{shown}:{url.port}"


async def _detail(response: aiohttp.ClientResponse) -> str:
    """The beginning of the answer's body, for a reason; what is left of a long one is never read."""
    found = b""
    try:
        async with asyncio.timeout(_REASON_SECONDS):
            while len(found) < _REASON_BYTES and (part := await response.content.read(_REASON_BYTES - len(found))):
                found += part
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        # The status line has already said what happened; only the words are missing.
        return f"(the rest was cut off: {type(error).__name__})"
    return found.decode("utf-8", "replace")


def _decode(field: str, text: str, length: int) -> bytes:
    if not text:
        raise AddressError(field, "is missing")
    stripped = text.rstrip("=")
    if not _BASE64URL.fullmatch(text) or len(stripped) % 4 == 1:
        raise AddressError(field, "is not base64url")
    raw = urlsafe_b64decode(stripped + "=" * (-len(stripped) % 4))
    if len(raw) != length:
        raise AddressError(field, f"should be {length} bytes, is {len(raw)}")
    return raw


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
