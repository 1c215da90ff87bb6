"""Signed messages as their senders make them."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from lxml import etree  # type: ignore[import-untyped]
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.signer import XMLSigner

from tests.sources.test_cap import message

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
EXCLUSIVE: Final = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
INCLUSIVE: Final = CanonicalizationMethod.CANONICAL_XML_1_0
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Signer:
    """A key with its certificate: by itself, or by an authority."""

    def __init__(
        self,
        name: str,
        *,
        by: "Signer | None" = None,
        key: Key | None = None,
        days: int = 730,
        authority: bool = False,
    ) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by.certificate.subject if by else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(BEGIN)
            .not_valid_after(BEGIN + timedelta(days=days))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        self.certificate: x509.Certificate = made.sign(by.key if by else self.key, hashes.SHA256())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def private_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def sign(self, text: str | bytes, **changes: Any) -> bytes:
        """The message with its signature as the last child of the root."""
        return bytes(etree.tostring(self.signed(text, **changes).getroottree(), encoding="UTF-8"))

    def signed(
        self,
        text: str | bytes,
        *,
        method: SignatureMethod | None = None,
        digest: DigestAlgorithm = DigestAlgorithm.SHA256,
        canonical: CanonicalizationMethod = EXCLUSIVE,
        uri: str | None = None,
    ) -> Any:
        own = SignatureMethod.RSA_SHA256 if isinstance(self.key, rsa.RSAPrivateKey) else SignatureMethod.ECDSA_SHA256
        signer = _Signer(signature_algorithm=method or own, digest_algorithm=digest, c14n_algorithm=canonical)
        root = etree.fromstring(text.encode() if isinstance(text, str) else text)
        return signer.sign(root, key=self.key, cert=[self.certificate], reference_uri=uri)


class _Signer(XMLSigner):
    """Signs with what has been broken too, as some senders do."""

    def check_deprecated_methods(self) -> None:
        return


AGENCY: Final = Signer("bousai.city.example")
STRANGER: Final = Signer("bousai.city.example")  # of the same name
AUTHORITY: Final = Signer("CA of the prefecture", authority=True)
MEMBER: Final = Signer("town.example", by=AUTHORITY)
SIGNED: Final = AGENCY.sign(message())
