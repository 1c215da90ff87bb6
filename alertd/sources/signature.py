"""Enveloped XML signatures (W3C, XML Signature Syntax and Processing 1.1) in the one form that CAP needs.

`lxml` and `signxml` are loaded when the first signature is verified: most processes never see one.
"""

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from alertd.sources.base import Unproved, Unreadable
from alertd.sources.certificates import Certificate, signers
from alertd.sources.xml import Element

NAMESPACE: Final = "http://www.w3.org/2000/09/xmldsig#"
SIGNED_MAX: Final = 1_000_000  # bytes of a message whose signatures are verified: it is held several times over
NODES_MAX: Final = 20_000  # its elements and attributes
# What takes squares of their number to verify. CAP needs one namespace, or a handful, and no attribute.
NAMESPACES_MAX: Final = 100
INSTRUCTIONS_MAX: Final = 100
ATTRIBUTES_MAX: Final = 20  # of one element
SIGNATURES_MAX: Final = 4  # of one alert
CARRIED_MAX: Final = 10  # certificates in one signature

_ENVELOPED: Final = f"{NAMESPACE}enveloped-signature"
_INCLUSIVE_NAMESPACES: Final = "{http://www.w3.org/2001/10/xml-exc-c14n#}InclusiveNamespaces"
_CANONICAL: Final = (
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2006/12/xml-c14n11",
    "http://www.w3.org/2001/10/xml-exc-c14n#",
)
_SIZES: Final = (256, 384, 512)
_METHODS: Final = (
    *(f"http://www.w3.org/2001/04/xmldsig-more#{key}-sha{size}" for key in ("rsa", "ecdsa") for size in _SIZES),
    *(f"http://www.w3.org/2007/05/xmldsig-more#sha{size}-rsa-MGF1" for size in _SIZES),
)
_DIGESTS: Final = (
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What was signed, as the very bytes whose digest was compared, and by whom."""

    content: bytes
    signed_by: str


def signatures(element: Element) -> list[Element]:
    """The signatures that an element carries for itself."""
    return [child for child in element.children if (child.namespace, child.name) == (NAMESPACE, "Signature")]


class Verifier:
    """The signed elements of one message, which `xml.parse` has read before: what that refuses never comes here."""

    def __init__(self, root: Element, raw: bytes, tag: str, trusted: Sequence[Certificate]) -> None:
        """`raw` is the message in UTF-8, `tag` is `{namespace}name` of what carries signatures. Raises Unreadable."""
        _require_light(root, raw)
        from lxml import etree  # type: ignore[import-untyped]

        self._trusted = trusted
        self._etree = etree
        # Comments are no part of what is signed (section 4.4.3.3), nor of what is read.
        self._parser = etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True, remove_comments=True)
        try:
            self._elements = list(etree.fromstring(raw, self._parser).iter(tag))
        except etree.LxmlError:
            raise Unproved("the signature cannot be verified: the message is not XML to every reader", 1) from None

    def open(self, place: int, sent: datetime) -> Proof:
        """What the element at `place` among those of the tag says by proof of a signature. Raises Unreadable.

        Of several signatures one has to hold, each for the element without any: so do Canada's, whose agency and
        whose distributor sign the same alert. The element counts as if it stood alone, not as part of a wrapper.
        """
        alone = self._etree.tostring(self._elements[place], encoding="UTF-8", with_tail=False)
        count = len(self._elements[place].findall(f"{{{NAMESPACE}}}Signature"))
        if count > SIGNATURES_MAX:
            raise Unreadable(f"there may be at most {SIGNATURES_MAX} signatures")
        faults: list[str] = []
        for number in range(count):
            element = self._etree.fromstring(alone, self._parser)
            try:
                return self._verified(element, _leave(element, number), sent)
            except Unreadable as fault:
                faults.append(fault.message)
        raise Unreadable(f"the signature does not hold: {'; '.join(dict.fromkeys(faults))}")

    def _verified(self, element: Any, signature: Any, sent: datetime) -> Proof:
        from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
        from signxml.exceptions import InvalidDigest, SignXMLException
        from signxml.verifier import SignatureConfiguration, XMLVerifier

        _require_form(signature)
        expected = SignatureConfiguration(
            location="./",
            signature_methods=frozenset(map(SignatureMethod, _METHODS)),
            digest_algorithms=frozenset(map(DigestAlgorithm, _DIGESTS)),
            ignore_ambiguous_key_info=True,  # the key is the certificate's, whatever else stands there
            verification_time=sent,
            # Section 4.4.3.2, where no transform says how.
            default_reference_c14n_method=CanonicalizationMethod.CANONICAL_XML_1_0,
        )
        for signer in signers(_carried(signature), self._trusted, sent):
            try:
                # Its form was held against one that is narrower than the schema; real ones have ids with spaces.
                found = XMLVerifier().verify(
                    element,
                    x509_cert=signer.x509,
                    validate_schema=False,
                    parser=self._parser,
                    expect_config=expected,
                )
            except InvalidDigest:
                raise Unreadable("what it was made for has been altered") from None
            except self._etree.LxmlError:
                raise Unreadable("the alert has no canonical form") from None
            except (SignXMLException, ValueError):
                continue
            assert not isinstance(found, list)  # one reference is expected
            return Proof(found.signed_data, signer.words)
        raise Unreadable("it was not made with the key of the certificate")


def _require_light(root: Element, raw: bytes) -> None:
    attributes = [len(element.attributes) for element in root.walk()]
    for count, most, what in (
        (len(raw), SIGNED_MAX, "bytes"),
        (len(attributes) + sum(attributes), NODES_MAX, "elements and attributes"),
        (raw.count(b"xmlns"), NAMESPACES_MAX, "namespaces"),
        (raw.count(b"<?"), INSTRUCTIONS_MAX, "processing instructions"),
        (max(attributes), ATTRIBUTES_MAX, "attributes in one tag"),
    ):
        if count > most:
            raise Unproved(f"a message whose signature is to be verified may have at most {most} {what}", 1)


def _leave(element: Any, number: int) -> Any:
    """Take all of an element's signatures out but one, which is the answer; the text around them stays."""
    found = element.findall(f"{{{NAMESPACE}}}Signature")
    for signature in found[:number] + found[number + 1 :]:
        before, tail = signature.getprevious(), signature.tail or ""
        if before is not None:
            before.tail = (before.tail or "") + tail
        else:
            element.text = (element.text or "") + tail
        signature.tail = None
        element.remove(signature)
    return found[number]


def _require_form(signature: Any) -> None:
    """Raises Unreadable unless it is for the whole of what it stands in, and nothing but that.

    What is not here cannot be used to pass one thing off as another: references elsewhere, XPath, XSLT, base64.
    """
    info, value = _children(
        signature, "SignedInfo", "SignatureValue", rest=("KeyInfo", "Object", "SignatureProperties")
    )
    canonical, method, reference = _children(info, "CanonicalizationMethod", "SignatureMethod", "Reference")
    transforms, digest, digest_value = _children(reference, "Transforms", "DigestMethod", "DigestValue")
    if reference.get("URI") != "":
        raise Unreadable("it must be for the whole alert: one Reference, whose URI is empty")
    algorithms = [each.get("Algorithm") for each in transforms]
    if algorithms[:1] != [_ENVELOPED] or len(algorithms) > 2 or not set(algorithms[1:]) <= set(_CANONICAL):
        raise Unreadable("its transforms must be enveloped-signature, and canonical XML without comments at most")
    if canonical.get("Algorithm") not in _CANONICAL:
        raise Unreadable("its CanonicalizationMethod must be canonical XML without comments")
    if method.get("Algorithm") not in _METHODS:
        raise Unreadable(f"it is made with {_named(method)}: only RSA or ECDSA with SHA-256, 384 or 512 is believed")
    if digest.get("Algorithm") not in _DIGESTS:
        raise Unreadable(f"its digest is {_named(digest)}: only SHA-256, 384 or 512 is believed")
    for each in (canonical, method, digest, value, digest_value, *transforms):
        if any(child.tag != _INCLUSIVE_NAMESPACES for child in each):
            raise Unreadable("an algorithm has parameters that are not read")
    if not (value.text or "").strip() or not (digest_value.text or "").strip():
        raise Unreadable("it is empty")


def _children(element: Any, *names: str, rest: Sequence[str] = ()) -> list[Any]:
    """What stands in an element: these and no others, but for the rest behind them."""
    tags = [each.tag for each in element]
    wanted, more = [f"{{{NAMESPACE}}}{name}" for name in names], {f"{{{NAMESPACE}}}{name}" for name in rest}
    if tags[: len(wanted)] != wanted or not more.issuperset(tags[len(wanted) :]):
        raise Unreadable(f"its {element.tag.rpartition('}')[2]} must hold {', '.join(names)}")
    return list(element)[: len(wanted)]


def _named(method: Any) -> str:
    return (method.get("Algorithm") or "nothing").rpartition("#")[2][:60]


def _carried(signature: Any) -> list[x509.Certificate]:
    path = "/".join(f"{{{NAMESPACE}}}{name}" for name in ("KeyInfo", "X509Data", "X509Certificate"))
    found = signature.findall(path)
    if len(found) > CARRIED_MAX:
        raise Unreadable(f"it may carry at most {CARRIED_MAX} certificates")
    try:
        return [x509.load_der_x509_certificate(b64decode(each.text or "")) for each in found]
    except ValueError:
        raise Unreadable("a certificate that it carries cannot be read") from None
