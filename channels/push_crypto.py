"""What keeps a push to its reader and says who sends it: RFC 8291 encryption, RFC 8292 identification, VAPID keys."""

import hashlib
import hmac
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from py_vapid.jwt import sign

from alertd.core.errors import AddressError
from channels.base import Address, VapidKey

_TOKEN_LIFE: Final = timedelta(hours=12)  # RFC 8292 section 2 allows 24
_TOKEN_RENEWAL: Final = timedelta(hours=6)
_TOKENS_KEPT: Final = 1_000
CURVE: Final = ec.SECP256R1()
_ECDH: Final = ec.ECDH()
_RECORD_SIZE: Final = 4_096  # what a record says of itself; the one and last may be shorter
_LAST_RECORD: Final = b"\2"  # the delimiter behind its plaintext (RFC 8188 section 2)
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")


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


def encrypt(address: Address, plaintext: bytes) -> bytes:
    """The body of a push request: one aes128gcm record (RFC 8188), its key agreed on as in RFC 8291 section 3.4.

    ValueError when the subscription's keys are unusable.
    """
    return seal(address, plaintext, ec.generate_private_key(CURVE), os.urandom(16))


def seal(address: Address, plaintext: bytes, sender: ec.EllipticCurvePrivateKey, salt: bytes) -> bytes:
    """`encrypt` under this key pair and these 16 bytes, of which no two messages may have the same."""
    point = decode("p256dh", address["p256dh"], 65)
    shared = sender.exchange(_ECDH, ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point))
    own_point = _point(sender.public_key())
    auth = decode("auth", address["auth"], 16)
    material = _expand(_mac(auth, shared), b"WebPush: info\0" + point + own_point)
    secret = _mac(salt, material)
    key = _expand(secret, b"Content-Encoding: aes128gcm\0")[:16]
    nonce = _expand(secret, b"Content-Encoding: nonce\0")[:12]
    head = salt + _RECORD_SIZE.to_bytes(4) + bytes([len(own_point)]) + own_point
    return head + AESGCM(key).encrypt(nonce, plaintext + _LAST_RECORD, None)


def _expand(secret: bytes, info: bytes) -> bytes:
    """HKDF-Expand (RFC 5869 section 2.3) to the 32 bytes of one block; HKDF-Extract is a plain `_mac`."""
    return _mac(secret, info + b"\1")


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def generate_key() -> VapidKey:
    """A new VAPID key pair."""
    return _vapid_key(ec.generate_private_key(CURVE))


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
    point = _point(private.public_key())
    scalar = private.private_numbers().private_value.to_bytes(32)
    name = encode(hashlib.sha256(point).digest())[:16]
    return VapidKey(id=name, private_key=encode(scalar), public_key=encode(point))


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _private_key(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(decode("private_key", text, 32)), CURVE)


def decode(field: str, text: str, length: int) -> bytes:
    """`length` bytes that an address gives as base64url under `field`. Raises AddressError."""
    if not text:
        raise AddressError(field, "is missing")
    stripped = text.rstrip("=")
    if not _BASE64URL.fullmatch(text) or len(stripped) % 4 == 1:
        raise AddressError(field, "is not base64url")
    raw = urlsafe_b64decode(stripped + "=" * (-len(stripped) % 4))
    if len(raw) != length:
        raise AddressError(field, f"should be {length} bytes, is {len(raw)}")
    return raw


def encode(raw: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
