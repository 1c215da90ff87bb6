"""A push service (RFC 8030) that refuses what the real ones refuse, and opens what it is sent as the browser would."""

import asyncio
import json
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.providers.thread import HOST, HttpThread, Reset, cut

BODY_MAX: Final = 4_096  # RFC 8030 section 7.2
_HUGE_CHUNK: Final = b"x" * 65_536


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class BrowserSubscription:
    """What a browser keeps of a subscription: the endpoint, and the secrets that open its messages."""

    id: str
    endpoint: str
    private_key: ec.EllipticCurvePrivateKey
    auth: bytes
    application_server_key: str | None = None

    @property
    def p256dh(self) -> str:
        return b64(_point(self.private_key.public_key()))

    def json(self) -> dict[str, Any]:
        """PushSubscription.toJSON() of the Push API."""
        return {
            "endpoint": self.endpoint,
            "expirationTime": None,
            "keys": {"p256dh": self.p256dh, "auth": b64(self.auth)},
        }


@dataclass(frozen=True)
class PushMessage:
    """A message that was taken over: 201."""

    id: str
    subscription: str
    headers: Mapping[str, str]
    payload: dict[str, Any]
    claims: dict[str, Any]
    size: int
    received_at: float  # time.time()

    @property
    def topic(self) -> str | None:
        return self.headers.get("Topic")


@dataclass(frozen=True)
class Rejection:
    """A request that a real push service would have refused, too."""

    subscription: str
    status: int
    reason: str


@dataclass
class _Plan:
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    hang: bool = False
    reset: Reset | None = None
    huge: bool = False
    stall: bool = False
    trickle: bool = False
    left: int | None = 1  # times; None for ever


class Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class PushService(HttpThread):
    """`with PushService() as push:` serves on `push.host` until the block ends."""

    def __init__(self, port: int = 0, address: str = HOST) -> None:
        super().__init__(port, address)
        self._subscriptions: dict[str, BrowserSubscription] = {}
        self._plans: dict[str | None, deque[_Plan]] = {}
        self._messages: list[PushMessage] = []
        self._rejections: list[Rejection] = []
        self._dead: set[str] = set()
        self._requests = 0
        self._bytes_answered = 0

    def subscribe(self, application_server_key: str | None = None) -> BrowserSubscription:
        """A new browser. With a key (base64url point) only messages signed under it are let through (403)."""
        name = secrets.token_urlsafe(16)
        subscription = BrowserSubscription(
            id=name,
            endpoint=f"{self.url}/wpush/{name}",
            private_key=ec.generate_private_key(ec.SECP256R1()),
            auth=secrets.token_bytes(16),
            application_server_key=application_server_key,
        )
        with self.changed:
            self._subscriptions[name] = subscription
        return subscription

    def kill(self, subscription: BrowserSubscription) -> None:
        """The phone is gone: 410 from now on."""
        with self.changed:
            self._dead.add(subscription.id)

    def answer(
        self,
        status: int,
        *,
        retry_after: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        subscription: BrowserSubscription | None = None,
        times: int | None = 1,
    ) -> None:
        """Answer this to the next requests instead of taking the message; to everybody's without `subscription`."""
        sent = dict(headers or {}) | ({"Retry-After": retry_after} if retry_after is not None else {})
        self._plan(subscription, _Plan(status=status, headers=sent, body=body, left=times))

    def redirect(
        self, location: str, *, subscription: BrowserSubscription | None = None, times: int | None = 1
    ) -> None:
        self.answer(307, headers={"Location": location}, subscription=subscription, times=times)

    def delay(self, seconds: float, *, subscription: BrowserSubscription | None = None, times: int | None = 1) -> None:
        """Take the message, but only after a while."""
        self._plan(subscription, _Plan(delay=seconds, left=times))

    def hang(self, *, subscription: BrowserSubscription | None = None, times: int | None = 1) -> None:
        """Read the request and never answer it (until the service ends)."""
        self._plan(subscription, _Plan(hang=True, left=times))

    def reset(
        self, when: Reset = "before", *, subscription: BrowserSubscription | None = None, times: int | None = 1
    ) -> None:
        """Cut the connection before the message is taken, or after it without an answer."""
        self._plan(subscription, _Plan(reset=when, left=times))

    def huge(
        self, status: int = 400, *, subscription: BrowserSubscription | None = None, times: int | None = 1
    ) -> None:
        """Answer with a body of up to 1 GB; `bytes_answered` tells how much of it went out."""
        self._plan(subscription, _Plan(status=status, huge=True, left=times))

    def stall(
        self, status: int = 201, *, subscription: BrowserSubscription | None = None, times: int | None = 1
    ) -> None:
        """Answer with a status and then keep its body back (until the service ends)."""
        self._plan(subscription, _Plan(status=status, stall=True, left=times))

    def trickle(
        self, status: int = 500, *, subscription: BrowserSubscription | None = None, times: int | None = 1
    ) -> None:
        """Answer with a status and then its body, one byte a second."""
        self._plan(subscription, _Plan(status=status, trickle=True, left=times))

    def reset_plans(self) -> None:
        """Behave again."""
        with self.changed:
            self._plans.clear()

    @property
    def messages(self) -> list[PushMessage]:
        """Everything that was taken over, oldest first."""
        with self.changed:
            return list(self._messages)

    @property
    def rejections(self) -> list[Rejection]:
        """Requests that were wrong (not those that a plan or a dead phone turned away)."""
        with self.changed:
            return list(self._rejections)

    @property
    def requests(self) -> int:
        """POSTs that arrived, whatever became of them."""
        with self.changed:
            return self._requests

    @property
    def bytes_answered(self) -> int:
        with self.changed:
            return self._bytes_answered

    @property
    def subscriptions(self) -> list[BrowserSubscription]:
        """Every browser that ever subscribed."""
        with self.changed:
            return list(self._subscriptions.values())

    def received(self, subscription: BrowserSubscription) -> list[PushMessage]:
        return [message for message in self.messages if message.subscription == subscription.id]

    def waiting(self, subscription: BrowserSubscription) -> list[PushMessage]:
        """What an offline phone gets when it comes back: of each topic the newest (RFC 8030 section 5.4)."""
        kept: dict[str, PushMessage] = {}
        for message in self.received(subscription):
            slot = message.topic or message.id
            kept.pop(slot, None)
            kept[slot] = message
        return list(kept.values())

    def wait_for(self, count: int, within: float = 10) -> list[PushMessage]:
        """The messages, once there are `count`."""
        self.wait_until(lambda: len(self._messages) >= count, within)
        return self.messages

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/wpush/{id}", self._take)]

    def _plan(self, subscription: BrowserSubscription | None, plan: _Plan) -> None:
        with self.changed:
            self._plans.setdefault(subscription.id if subscription else None, deque()).append(plan)

    def _next_plan(self, name: str) -> _Plan:
        with self.changed:
            for key in (name, None):
                queue = self._plans.get(key)
                if queue:
                    plan = queue[0]
                    if plan.left is not None:
                        plan.left -= 1
                        if plan.left <= 0:
                            queue.popleft()
                    return plan
        return _Plan()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["id"]
        with self.changed:
            self._requests += 1
            self.changed.notify_all()
        body = await request.read()
        plan = self._next_plan(name)
        if plan.delay:
            await asyncio.sleep(plan.delay)
        if plan.hang:
            await self.closing.wait()
            return cut(request)
        if plan.reset == "before":
            return cut(request)
        if plan.huge:
            return await self._answer_hugely(request, plan.status or 400)
        if plan.trickle:
            return await self._answer_slowly(request, plan.status or 500)
        if plan.stall:
            return await self._answer_half(request, plan.status or 201)
        if plan.status is not None:
            return web.Response(status=plan.status, headers=plan.headers, body=plan.body)
        try:
            message = self._accept(name, request.headers, body)
        except Refused as refusal:
            return web.json_response({"errno": 0, "message": refusal.reason}, status=refusal.status)
        if plan.reset == "after":
            return cut(request)
        headers = {"Location": f"{self.url}/message/{message.id}", "TTL": message.headers["TTL"]}
        return await self.answered(request, web.Response(status=201, headers=headers))

    def _accept(self, name: str, headers: Mapping[str, str], body: bytes) -> PushMessage:
        subscription = self._subscriptions.get(name)
        if subscription is None:
            raise Refused(404, "no such subscription")
        if name in self._dead:
            raise Refused(410, "the subscription has expired")
        try:
            claims = verify_vapid(headers.get("Authorization", ""), self.url, subscription.application_server_key)
            check_headers(headers, body)
            payload = open_payload(body, subscription)
        except Refused as refusal:
            with self.changed:
                self._rejections.append(Rejection(name, refusal.status, refusal.reason))
                self.changed.notify_all()
            raise
        message = PushMessage(
            id=secrets.token_urlsafe(12),
            subscription=name,
            headers={key: value for key, value in headers.items() if key != "Authorization"},
            payload=payload,
            claims=claims,
            size=len(body),
            received_at=time.time(),
        )
        with self.changed:
            self._messages.append(message)
            self.changed.notify_all()
        return message

    async def _answer_half(self, request: web.Request, status: int) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        response.content_length = 10
        await response.prepare(request)
        await self.closing.wait()
        return response

    async def _answer_slowly(self, request: web.Request, status: int) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        response.content_length = 600
        await response.prepare(request)
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            for _ in range(600):
                await response.write(b"x")
                await asyncio.wait((closing,), timeout=1)
                if closing.done():
                    break
        except ConnectionError:
            return response  # the sender had waited enough
        finally:
            closing.cancel()
        return response

    async def _answer_hugely(self, request: web.Request, status: int) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        try:
            for _ in range(1_000_000_000 // len(_HUGE_CHUNK)):
                await response.write(_HUGE_CHUNK)
                with self.changed:
                    self._bytes_answered += len(_HUGE_CHUNK)
        except ConnectionError:
            # The sender had seen enough: that is what this answer is for.
            return response
        return response


def verify_vapid(authorization: str, origin: str, expected_key: str | None) -> dict[str, Any]:
    """The claims of a `vapid` Authorization field (RFC 8292), or Refused."""
    scheme, _, rest = authorization.partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if scheme.lower() != "vapid" or "t" not in fields or "k" not in fields:
        raise Refused(401, "Authorization: vapid t=…, k=… is missing")
    try:
        point = unb64(fields["k"])
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        head, claims_part, signature_part = fields["t"].split(".")
        signature = unb64(signature_part)
        if json.loads(unb64(head)).get("alg") != "ES256" or len(signature) != 64:
            raise Refused(401, "the token is not signed with ES256")
        pair = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        key.verify(pair, f"{head}.{claims_part}".encode(), ec.ECDSA(SHA256()))
        claims = json.loads(unb64(claims_part))
    except (ValueError, InvalidSignature) as error:
        raise Refused(401, f"the token cannot be verified: {error!r}") from error
    if expected_key is not None and point != unb64(expected_key):
        raise Refused(403, "signed under another key than the subscription's")
    if claims.get("aud") != origin:
        raise Refused(403, f"aud is {claims.get('aud')!r}, not {origin!r}")
    expiry = claims.get("exp")
    if not isinstance(expiry, int) or not time.time() < expiry <= time.time() + 24 * 3_600:
        raise Refused(403, "exp is missing, past, or more than 24 hours away")
    if not re.match(r"mailto:[^@\s]+@[^@\s]+$|https://", str(claims.get("sub", ""))):
        raise Refused(403, "sub is not mailto: or https:")
    assert isinstance(claims, dict)
    return claims


def check_headers(headers: Mapping[str, str], body: bytes) -> None:
    """Refused for what RFC 8030 sections 5 and 7.2 do not allow."""
    if len(body) > BODY_MAX:
        raise Refused(413, f"the body has {len(body)} bytes")
    if not re.fullmatch(r"\d{1,10}", headers.get("TTL", "")):
        raise Refused(400, "TTL is missing or not a number")
    if headers.get("Urgency", "normal") not in ("very-low", "low", "normal", "high"):
        raise Refused(400, "Urgency is unknown")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", headers.get("Topic", "none")):
        raise Refused(400, "Topic is not up to 32 characters of base64url")
    if headers.get("Content-Encoding") != "aes128gcm":
        raise Refused(400, "Content-Encoding is not aes128gcm")


def open_payload(body: bytes, subscription: BrowserSubscription) -> dict[str, Any]:
    try:
        payload = json.loads(decrypt(body, subscription.private_key, subscription.auth))
    except (ValueError, InvalidTag) as error:
        raise Refused(400, f"the browser cannot open the message: {error!r}") from error
    if not isinstance(payload, dict):
        raise Refused(400, "the message is not a JSON object")
    return payload


def decrypt(body: bytes, private_key: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """The plaintext of one aes128gcm record (RFC 8188) whose key is made as in RFC 8291 section 3.4."""
    salt, record_size, length = body[:16], int.from_bytes(body[16:20]), body[20]
    sender, ciphertext = body[21 : 21 + length], body[21 + length :]
    if length != 65 or len(ciphertext) > record_size:
        raise ValueError("not one record with a P-256 key")
    shared = private_key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    info = b"WebPush: info\0" + _point(private_key.public_key()) + sender
    material = _hkdf(auth, shared, info, 32)
    key = _hkdf(salt, material, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, material, b"Content-Encoding: nonce\0", 12)
    padded = AESGCM(key).decrypt(nonce, ciphertext, None).rstrip(b"\0")
    if not padded.endswith(b"\2"):
        raise ValueError("the last record's delimiter is not 2")
    return padded[:-1]


def _hkdf(salt: bytes, material: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(material)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
