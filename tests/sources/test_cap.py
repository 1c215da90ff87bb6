"""CAP 1.2: legal shapes are read, what breaks the schema is refused with its line."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from lxml import etree  # type: ignore[import-untyped]

from alertd.core.observation import Observation, observation_faults
from alertd.sources.base import Unreadable
from alertd.sources.cap import read
from tests.sources.samples import SAMPLES

CAP_SAMPLES = SAMPLES / "cap"
SCHEMA = CAP_SAMPLES / "schema" / "CAP-v1.2.xsd"

XSI = "http://www.w3.org/2001/XMLSchema-instance"
DS = "http://www.w3.org/2000/09/xmldsig#"
ALERT = """<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
  <identifier>{identifier}</identifier>
  <sender>bousai@city.example</sender>
  <sent>{sent}</sent>
  <status>{status}</status>
  <msgType>{kind}</msgType>
  <scope>Public</scope>
  {references}
  {infos}
</alert>
"""
INFO = """<info>
    <language>{language}</language>
    <category>Met</category>
    <event>{event}</event>
    {response}
    <urgency>Immediate</urgency>
    <severity>{severity}</severity>
    <certainty>Observed</certainty>
    <expires>2026-11-23T06:00:00+09:00</expires>
    <headline>{headline}</headline>
    <description>高台へ。</description>
    <instruction>すぐに逃げてください。</instruction>
    <area>
      <areaDesc>西予市</areaDesc>
      <polygon>33.3,132.4 33.4,132.5 33.3,132.6 33.3,132.4</polygon>
      <polygon>33.1,132.4 33.2,132.5 33.1,132.6 33.1,132.4</polygon>
      <circle>33.36,132.51 10</circle>
      <geocode><valueName>JIS</valueName><value>38214</value></geocode>
    </area>
  </info>"""


def info(**changes: str) -> str:
    values = {"language": "ja", "event": "津波", "response": "", "severity": "Severe", "headline": "津波警報"}
    return INFO.format(**{**values, **changes})


def message(**changes: str) -> str:
    values = {
        "identifier": "a-1",
        "sent": "2026-11-22T18:00:00+09:00",
        "status": "Actual",
        "kind": "Alert",
        "references": "",
        "infos": info(),
    }
    return ALERT.format(**{**values, **changes})


def one(text: str | bytes) -> Observation:
    [found] = read(text.encode() if isinstance(text, str) else text)
    assert observation_faults(found) == []
    return found


def test_a_message_is_read() -> None:
    found = one(message())
    assert found.id == found.incident == "bousai@city.example,a-1,2026-11-22T09:00:00+00:00"
    assert (found.kind, found.standing, found.severity, found.hazard) == ("new", "actual", "severe", "津波")
    assert (found.title, found.body) == ("津波警報", "高台へ。\n\nすぐに逃げてください。")
    assert found.observed_at == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert found.expires_at == datetime(2026, 11, 22, 21, tzinfo=UTC)
    assert [(area.code, area.name) for area in found.areas] == [("38214", "西予市")]


@pytest.mark.parametrize(
    ("status", "standing"),
    [("Actual", "actual"), ("Exercise", "drill"), ("Test", "test"), ("System", "test"), ("Draft", "test")],
)
def test_only_what_is_actual_is_real(status: str, standing: str) -> None:
    assert one(message(status=status)).standing == standing


REFERENCES = (
    "<references>bousai@city.example,a-2,2026-11-22T09:30:00-00:00 "
    "bousai@city.example,a-1,2026-11-22T18:00:00+09:00</references>"
)


@pytest.mark.parametrize(("kind", "seen"), [("Update", "changed"), ("Cancel", "withdrawn")])
def test_an_update_is_about_the_first_of_its_references(kind: str, seen: str) -> None:
    found = one(message(identifier="a-3", sent="2026-11-22T19:00:00+09:00", kind=kind, references=REFERENCES))
    first = one(message())
    assert found.kind == seen
    assert found.incident == first.id == found.references[0]
    assert found.version > first.version


def test_a_cancel_needs_no_info() -> None:
    assert one(message(kind="Cancel", references=REFERENCES, infos="")).kind == "withdrawn"


def test_an_update_that_gives_the_all_clear_is_the_end() -> None:
    clear = info(response="<responseType>AllClear</responseType>")
    assert one(message(kind="Update", references=REFERENCES, infos=clear)).kind == "withdrawn"
    assert one(message(kind="Update", references=REFERENCES, infos=clear + info())).kind == "changed"


@pytest.mark.parametrize("kind", ["Ack", "Error"])
def test_an_ack_observes_nothing(kind: str) -> None:
    assert read(message(kind=kind).encode()) == []


def test_of_several_languages_the_one_that_is_read_here() -> None:
    french = info(language="fr", headline="alerte", severity="Extreme")
    english = info(language="en-GB", headline="Tsunami warning")
    assert one(message(infos=french + english)).title == "Tsunami warning"
    assert one(message(infos=french + english + info(language="ja-JP"))).title == "津波警報"
    assert one(message(infos=french)).title == "alerte"
    assert one(message(infos=french + english)).severity == "extreme"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig", "shift_jis", "euc_jp", "iso2022_jp"])
def test_other_encodings_are_read(encoding: str) -> None:
    [found] = read(message().replace("UTF-8", encoding.removesuffix("-sig")).encode(encoding))
    assert found.title == "津波警報"


def test_western_encodings_are_read() -> None:
    text = message(infos=info(headline="Alerte à la crue")).replace("津波", "crue").replace("西予市", "Orléans")
    latin = re.sub("[^\x00-\xff]", "?", text)
    for encoding in ("ISO-8859-1", "windows-1252", "iso-8859-15"):
        found = one(latin.replace("UTF-8", encoding).encode(encoding))
        assert (found.title, found.areas[0].name) == ("Alerte à la crue", "Orléans")


@pytest.mark.parametrize(
    ("declared", "encoding", "words"),
    [
        ("UTF-8", "shift_jis", "not utf-8, which the message says it is"),
        ("Shift_JIS", "utf-8", "not shift_jis, which"),
        ("EUC-JP", "shift_jis", "not euc_jp, which"),
        ("utf-16", "utf-8", "not utf-16, which"),
        ("utf-32", "utf-8", "utf-32 is not read"),
        ("US-ASCII", "utf-8", "not ascii, which"),
    ],
)
def test_what_is_not_in_the_encoding_that_it_names_is_refused(declared: str, encoding: str, words: str) -> None:
    with pytest.raises(Unreadable, match=words) as caught:
        read(message().replace("UTF-8", declared).encode(encoding))
    assert caught.value.line > 0


def prefixed(text: str) -> str:
    """The same with every name prefixed."""
    return re.sub(r"<(/?)(?=\w)", r"<\1cap:", text).replace("xmlns=", "xmlns:cap=")


SAME: list[Callable[[str], str]] = [
    prefixed,
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.partition("\n")[2],
    lambda text: text.replace("?>", '?><?xml-stylesheet href="cap.xsl" type="text/xsl"?><!-- from us -->', 1),
    lambda text: text + "<!-- the end -->",
    lambda text: text.replace("津波警報", "<![CDATA[津波警報]]>").replace(">Met<", "><![CDATA[Met]]><"),
    lambda text: text.replace("津波警報", "津波<!-- x -->警報").replace(">Actual<", ">Act<!-- x -->ual<"),
    lambda text: text.replace("津波警報", "&#x6d25;&#27874;警報").replace("<info>", "<info><?audit 1?>"),
    lambda text: text.replace("+09:00</", "+09:00\n  </"),
    lambda text: text.replace("T18:00:00+09:00</sent>", "T09:00:00-00:00</sent>"),
    lambda text: text.replace('xmlns="', f'xmlns:x="{XSI}" x:schemaLocation="a b" xmlns="'),
    lambda text: text.replace("<scope>", "<source/><scope>").replace("</scope>", "</scope><addresses/><code/>"),
    lambda text: text.replace("<scope>Public</scope>", '<scope>Private</scope><addresses>a@b "c d"</addresses>'),
    lambda text: text.replace("<scope>Public</scope>", "<scope>Restricted</scope><restriction>職員</restriction>"),
    lambda text: text.replace("<headline>", "<senderName/><headline>"),
    lambda text: text.replace("</instruction>", "</instruction><web/><contact/>"),
    lambda text: text.replace(
        "    <area>", "<resource><resourceDesc>図</resourceDesc><mimeType>image/png</mimeType><size>3000000</size>"
        f"<derefUri>{'iVBORw0K' * 375_000}</derefUri><digest>0</digest></resource>    <area>"
    ),
]  # fmt: skip


@pytest.mark.parametrize("change", SAME, ids=range(len(SAME)))
def test_what_is_written_in_another_way_says_the_same(change: Callable[[str], str]) -> None:
    text = change(message())
    assert text != message()
    found, plain = one(text), one(message())
    assert replace(found, fields=plain.fields) == plain


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the schema is not here")
def test_all_of_these_are_legal() -> None:
    schema = etree.XMLSchema(file=str(SCHEMA))
    for change in SAME:
        schema.assertValid(etree.fromstring(change(message()).encode()))


def test_space_around_a_word_is_passed_over() -> None:
    assert one(message(status="\n Exercise ")).standing == "drill"


def test_the_day_may_end_at_24_hours() -> None:
    found = one(message(sent="2026-11-22T24:00:00+09:00"))
    assert found.observed_at == datetime(2026, 11, 22, 15, tzinfo=UTC)


def test_an_update_of_the_same_second_is_the_later_one() -> None:
    referring = "<references>bousai@city.example,a-1,2026-11-22T18:00:00+09:00</references>"
    update = one(message(identifier="a-2", kind="Update", references=referring))
    assert update.version > one(message()).version
    both = referring.replace("</", " bousai@city.example,a-2,2026-11-22T18:00:00+09:00</")
    assert one(message(identifier="a-3", kind="Cancel", references=both)).version > update.version
    later = message(identifier="a-4", sent="2026-11-22T18:00:01+09:00")
    assert one(later).version > one(message(identifier="a-3", kind="Cancel", references=both)).version


def test_every_area_and_every_geocode_counts() -> None:
    codes = "".join(
        f"<geocode><valueName>JIS</valueName><value>{code}</value></geocode>" for code in ("38214", "38203")
    )
    more = f"<area><areaDesc>南予</areaDesc><circle>33.2,132.5 0</circle>{codes}</area>"
    named = (
        "<area><areaDesc> 宇和海\n沿岸 </areaDesc><polygon>33.1,132.1 33.2,132.2 33.3,132.3 33.1,132.1</polygon></area>"
    )
    both = info().replace("</info>", more + named + "</info>") + info(severity="Minor").replace("38214", "39")
    assert [area.code for area in one(message(infos=both)).areas] == ["38214", "38203", "宇和海 沿岸", "39"]


def test_a_heartbeat_observes_nothing() -> None:
    """Distributors send them every minute: status System, no info, and the last alerts as references."""
    assert read(message(status="System", infos="", references=REFERENCES).encode()) == []
    assert one(message(infos="").replace("</scope>", "</scope><note>津波の恐れ</note>")).title == "津波の恐れ"
    with pytest.raises(Unreadable, match="says nothing"):
        read(message(infos="").encode())


WRAPPED = """<EDXLDistribution xmlns="urn:oasis:names:tc:emergency:EDXL:DE:1.0">
<distributionID>d</distributionID><senderID>s</senderID><dateTimeSent>2026-11-22T18:00:00+09:00</dateTimeSent>
<distributionStatus>{status}</distributionStatus><distributionType>Report</distributionType>
<contentObject><xmlContent><embeddedXMLContent>{alert}</embeddedXMLContent></xmlContent></contentObject>
</EDXLDistribution>"""


@pytest.mark.parametrize(
    ("outside", "inside", "standing"),
    [
        ("Actual", "Actual", "actual"),
        ("Exercise", "Actual", "drill"),
        ("Test", "Actual", "test"),
        ("Actual", "Exercise", "drill"),
    ],
)
def test_a_wrapper_makes_nothing_more_real(outside: str, inside: str, standing: str) -> None:
    alert = message(status=inside).partition("\n")[2]
    assert one(WRAPPED.format(status=outside, alert=alert)).standing == standing


CONTENT = "<contentObject><xmlContent><embeddedXMLContent>{alert}</embeddedXMLContent></xmlContent></contentObject>"


def test_a_wrapper_holds_whole_messages_where_it_says_so() -> None:
    first, second = (message(identifier=name).partition("\n")[2] for name in ("a-1", "a-2"))
    fragment = "<alert xmlns='urn:oasis:names:tc:emergency:cap:1.2'><event/></alert>"
    keys = f"<xmlContent><keyXMLContent>{fragment}</keyXMLContent>"
    two = WRAPPED.format(status="Actual", alert=first).replace("<xmlContent>", keys, 1)
    two = two.replace("<contentObject>", CONTENT.format(alert=prefixed(second)) + "<contentObject>", 1)
    assert [found.id.split(",")[1] for found in read(two.encode())] == ["a-2", "a-1"]
    with pytest.raises(Unreadable, match="distributionStatus must be"):
        read(WRAPPED.format(status="Draft", alert=first).encode())
    with pytest.raises(Unreadable, match="line 4: alert must have scope"):
        read(WRAPPED.format(status="Actual", alert=first.replace("<scope>Public</scope>", "")).encode())


def test_a_wrapper_without_an_alert_is_refused() -> None:
    with pytest.raises(Unreadable, match="holds no CAP"):
        read(WRAPPED.format(status="Actual", alert="").encode())


@pytest.mark.parametrize(
    ("before", "after", "line", "words"),
    [
        ("<scope>Public</scope>", "", 2, "alert must have scope"),
        ("<status>Actual</status>", "<status>Real</status>", 6, "status must be one of Actual, Exercise"),
        ("2026-11-22T18:00:00+09:00", "2026-11-22T09:00:00Z", 5, "there is no Z"),
        ("2026-11-22T18:00:00+09:00", "2026-02-30T18:00:00+09:00", 5, "must be a time"),
        ("2026-11-22T18:00:00+09:00", "0001-01-01T00:00:00+09:00", 5, "must be a time"),
        ("2026-11-22T18:00:00+09:00", "2026-11-22T18:00:00.5+09:00", 5, "must be a time"),
        ("2026-11-22T18:00:00+09:00", "2026-11-22T18:00:00", 5, "must be a time"),
        ("2026-11-22T18:00:00+09:00", "2026-11-22T18:00:00+15:00", 5, "must be a time"),
        ("2026-11-22T18:00:00+09:00", "２０２６-11-22T18:00:00+09:00", 5, "must be a time"),
        ("<expires>2026-11-23T06:00:00+09:00</expires>", "<expires/>", 18, "expires must be a time"),
        ("<info>", "<info>警報", 10, "info must hold elements alone"),
        ("<identifier>a-1</identifier>", "<identifier>a, 1</identifier>", 2, "identifier must not"),
        ("<identifier>a-1</identifier>", "<identifier/>", 2, "identifier must not be empty"),
        # Its id could not be kept, and a right-to-left override makes another's of it for whoever reads it.
        ("<identifier>a-1</identifier>", "<identifier>a\u202e1</identifier>", 2, "identifier must not be empty"),
        ("bousai@city.example", "b" * 201, 2, "sender must not be empty, nor over 200"),
        ("<scope>", "<foo/>\n<scope>", 8, "foo must not stand in alert"),
        ("<status>Actual</status>", "<status>Actual</status><status>Actual</status>", 6, "status must stand once"),
        ("<msgType>Alert</msgType>", "<msgType>Update</msgType>", 2, "Update must have references"),
        ("<headline>", "<area><areaDesc>x</areaDesc></area><headline>", 19, "headline must stand before area"),
        ("<value>38214</value>", "", 27, "geocode must have value"),
        ("<event>津波</event>", "<event>津<b/>波</event>", 13, "b of|event must hold text alone"),
        ("cap:1.2", "cap:1.1", 2, "not version 1.2"),
        ("urn:oasis:names:tc:emergency:cap:1.2", "http://www.incident.com/cap/1.0", 2, "not version 1.2"),
        ("</alert>", f"<s:Signature xmlns:s='{DS}'/><info/></alert>", 30, "info must stand before the signature"),
        ('xmlns="urn:oasis:names:tc:emergency:cap:1.2"', "", 2, "not CAP 1.2"),
        ("<scope>", '<x:y xmlns:x="urn:x"/><scope>', 8, "another namespace"),
    ],
)
def test_what_breaks_the_schema_is_refused_with_its_line(before: str, after: str, line: int, words: str) -> None:
    text = message()
    assert before in text
    with pytest.raises(Unreadable, match=words) as caught:
        read(text.replace(before, after, 1).encode())
    assert caught.value.line == line


@pytest.mark.parametrize(
    "reference",
    [
        "a-1",
        "a,b",
        ",b,2026-11-22T18:00:00+09:00",
        "a,\u202e,2026-11-22T18:00:00+09:00",
        "a,b,yesterday",
        "a,b,0001-01-01T00:00:00+09:00",
    ],
)
def test_references_must_name_messages(reference: str) -> None:
    with pytest.raises(Unreadable, match="references must be"):
        read(message(kind="Update", references=f"<references>{reference}</references>").encode())


@pytest.mark.skipif(not CAP_SAMPLES.is_dir(), reason="the messages that others have sent are not here")
def test_messages_that_others_have_sent() -> None:
    titles, refused = {}, {}
    for path in sorted(CAP_SAMPLES.glob("*.*")):
        try:
            titles[path.name.partition("_")[2]] = one(path.read_bytes()).title
        except Unreadable as error:
            refused[path.name] = str(error)
    assert titles == {
        "CanadaNaad.xml": "special weather statement in effect",
        "australia.cap": "Yerong Creek Structure Fire",
        "canada.cap": "severe thunderstorm watch",
        "43b080713727.cap": "Homeland Security Sets Code ORANGE",
    }
    assert refused == {"google_invalid.cap": "line 2: alert must have scope"}
