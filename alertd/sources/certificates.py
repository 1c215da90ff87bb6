"""The certificates that a source was given: whose signatures are believed. No other trust counts, no system's store.

Each is either a signer's own or that of the authority which issued the signer's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from alertd.core.observation import clean
from alertd.sources.base import Unreadable

CERTIFICATES_MAX: Final = 20
TEXT_MAX: Final = 200_000  # characters
_SUBJECT_MAX: Final = 200
# NIST SP 800-131A revision 2: less has been disallowed for signatures since 2014.
_RSA_BITS: Final = 2_048
_CURVE_BITS: Final = 256


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with what people tell it by. Times are aware UTC."""

    x509: x509.Certificate
    subject: str
    fingerprint: str  # SHA-256, 64 hexadecimal digits
    begins_at: datetime
    ends_at: datetime
    is_authority: bool

    @property
    def words(self) -> str:
        return f"{self.subject} (SHA-256 {self.fingerprint})"

    @property
    def pem(self) -> str:
        return self.x509.public_bytes(Encoding.PEM).decode()

    def is_valid_at(self, moment: datetime) -> bool:
        return self.begins_at <= moment <= self.ends_at


def read_certificates(text: str) -> tuple[Certificate, ...]:
    """The certificates in PEM, each once, whatever else stands between them. Raises Unreadable."""
    if len(text) > TEXT_MAX:
        raise Unreadable(f"must be at most {TEXT_MAX} characters")
    if "PRIVATE KEY-----" in text:
        raise Unreadable("hold a private key: it belongs to the signer alone, and a new one is needed now")
    if "-----BEGIN" not in text:
        if text.strip():
            raise Unreadable("are not PEM: each begins with -----BEGIN CERTIFICATE-----")
        return ()
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise Unreadable("hold a certificate that cannot be read") from None
    read = tuple({each.fingerprint: each for each in map(read_certificate, found)}.values())
    if len(read) > CERTIFICATES_MAX:
        raise Unreadable(f"must be at most {CERTIFICATES_MAX}")
    return read


def read_certificate(found: x509.Certificate) -> Certificate:
    """Raises Unreadable for one that nothing can be proved with."""
    try:
        subject = clean(found.subject.rfc4514_string(), _SUBJECT_MAX)
        key, is_authority = found.public_key(), _is_authority(found)
    except (ValueError, x509.DuplicateExtension):
        raise Unreadable("hold a certificate that cannot be read") from None
    is_strong = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_BITS) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.key_size >= _CURVE_BITS
    )
    if not is_strong:
        raise Unreadable(f"must have RSA keys of {_RSA_BITS} bits, or keys on curves of {_CURVE_BITS}, or more")
    return Certificate(
        x509=found,
        subject=subject,
        fingerprint=found.fingerprint(hashes.SHA256()).hex(),
        begins_at=found.not_valid_before_utc,
        ends_at=found.not_valid_after_utc,
        is_authority=is_authority,
    )


def signers(carried: Sequence[x509.Certificate], trusted: Sequence[Certificate], at: datetime) -> list[Certificate]:
    """Who may have signed a message that carries these certificates and was sent at that moment; at least one.

    Raises Unreadable when it is nobody that is believed.
    """
    known = [each for each in trusted if not carried or each.x509 in carried]
    known += [each for each in _issued(carried, trusted, at) if each not in known]
    if not known:
        raise Unreadable("it is by nobody whose certificate, or whose authority's, this source was given")
    valid = [each for each in known if each.is_valid_at(at)]
    if not valid:
        one = known[0]
        told = f"{one.begins_at:%Y-%m-%d} to {one.ends_at:%Y-%m-%d}"
        raise Unreadable(f"the certificate of {one.subject} was valid {told}, not when the message was sent")
    return valid


def _issued(carried: Sequence[x509.Certificate], trusted: Sequence[Certificate], at: datetime) -> list[Certificate]:
    """Of these, what the authorities among those that are trusted issued themselves."""
    authorities = [each.x509 for each in trusted if each.is_authority and each.is_valid_at(at)]
    if not authorities:
        return []
    any_at_all = verification.ExtensionPolicy.permit_all()
    agnostic = verification.Criticality.AGNOSTIC
    policy = (
        verification.PolicyBuilder()
        .store(verification.Store(authorities))
        .max_chain_depth(0)
        .extension_policies(
            ee_policy=any_at_all.may_be_present(x509.KeyUsage, agnostic, _require_signing),
            ca_policy=any_at_all.require_present(x509.BasicConstraints, agnostic, _require_authority),
        )
    )
    found = []
    for certificate in carried:
        try:
            issued = read_certificate(certificate)
            # One that is over is told apart from one that nobody issued.
            moment = at if issued.is_valid_at(at) else issued.begins_at
            policy.time(moment).build_client_verifier().verify(certificate, [])
        except (Unreadable, verification.VerificationError):
            continue
        found.append(issued)
    return found


def _require_signing(_policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise ValueError("its key is not for signatures")


def _require_authority(
    _policy: verification.Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints
) -> None:
    if not constraints.ca:
        raise ValueError("it is no authority's")


def _is_authority(found: x509.Certificate) -> bool:
    try:
        constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    try:
        return constraints.ca and found.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return constraints.ca
