"""Bounces: what mail servers really write, and what anybody can send instead."""

import base64
import quopri
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.core.delivery import Receipt
from channels.bounces import BOUNCE_MAX, NEVER_AGAIN, parse_bounce

NAME = "<oamihg7tzqfdhzty6es6o5nc4l@city.example.jp>"
TO = "bounces+oamihg7tzqfdhzty6es6o5nc4l@alerts.city.example.jp"


def mail(text: str) -> bytes:
    return dedent(text).lstrip("\n").replace("\n", "\r\n").encode("utf-8", "surrogateescape")


def report(*blocks: str, head: str = "", kind: str = "delivery-status", encoding: str = "") -> bytes:
    """A report of these per-recipient blocks, as RFC 3464 has it."""
    body = "\n\n".join(("Reporting-MTA: dns; mx.example.jp", *blocks))
    coded = f"Content-Transfer-Encoding: {encoding}\n" if encoding else ""
    if encoding == "base64":
        body = base64.encodebytes(body.encode()).decode()
    elif encoding == "quoted-printable":
        body = quopri.encodestring(body.encode()).decode()
    text = (
        f"From: MAILER-DAEMON@mx.example.jp\nTo: {TO}\nSubject: Undelivered\n{head}MIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nSorry.\n"
        f"--b\nContent-Type: message/{kind}\n{coded}\n{body}\n"
        f"--b\nContent-Type: message/rfc822\n\nMessage-ID: {NAME}\n\nHello\n--b--\n"
    )
    return text.replace("\n", "\r\n").encode()


def failed(status: str = "5.1.1", action: str = "failed", diagnostic: str = "smtp; 550 no such user") -> str:
    to = "Final-Recipient: rfc822; taro@example.jp"
    return f"{to}\nAction: {action}\nStatus: {status}\nDiagnostic-Code: {diagnostic}"


POSTFIX = mail(
    f"""
    Return-Path: <>
    Date: Sun, 22 Nov 2026 12:00:00 +0900 (JST)
    From: MAILER-DAEMON@relay.city.example.jp (Mail Delivery System)
    Subject: Undelivered Mail Returned to Sender
    To: {TO}
    Auto-Submitted: auto-replied
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type=delivery-status;
    \tboundary="4FA21.1795316645/relay.city.example.jp"
    Content-Transfer-Encoding: 8bit
    Message-Id: <20261122030000.4FA21@relay.city.example.jp>

    This is a MIME-encapsulated message.

    --4FA21.1795316645/relay.city.example.jp
    Content-Description: Notification
    Content-Type: text/plain; charset=utf-8

    This is the mail system at host relay.city.example.jp.

    <taro@example.jp>: host mx.example.jp[192.0.2.1] said: 550 5.1.1
        <taro@example.jp>: Recipient address rejected: User unknown (in reply to RCPT TO command)

    --4FA21.1795316645/relay.city.example.jp
    Content-Description: Delivery report
    Content-Type: message/delivery-status

    Reporting-MTA: dns; relay.city.example.jp
    X-Postfix-Queue-ID: 4FA21
    X-Postfix-Sender: rfc822; {TO}
    Arrival-Date: Sun, 22 Nov 2026 12:00:00 +0900 (JST)

    Final-Recipient: rfc822; taro@example.jp
    Original-Recipient: rfc822;taro@example.jp
    Action: failed
    Status: 5.1.1
    Remote-MTA: dns; mx.example.jp
    Diagnostic-Code: smtp; 550 5.1.1 <taro@example.jp>: Recipient address rejected:
        User unknown

    --4FA21.1795316645/relay.city.example.jp
    Content-Description: Undelivered Message Headers
    Content-Type: text/rfc822-headers

    Message-ID: {NAME}
    Subject: =?utf-8?b?6Kmm?=

    --4FA21.1795316645/relay.city.example.jp--
    """
)
POSTFIX_DELAY = POSTFIX.replace(b"Action: failed", b"Action: delayed").replace(b"Status: 5.1.1", b"Status: 4.4.1")
EXIM = mail(
    f"""
    Return-path: <>
    X-Failed-Recipients: taro@example.jp
    Auto-Submitted: auto-replied
    From: Mail Delivery System <Mailer-Daemon@relay.example.jp>
    To: {TO}
    References: {NAME}
    Content-Type: multipart/report; report-type=delivery-status; boundary=1795316645-eximdsn-1525
    MIME-Version: 1.0
    Subject: Mail delivery failed: returning message to sender

    --1795316645-eximdsn-1525
    Content-type: text/plain; charset=us-ascii

    This message was created automatically by mail delivery software.

      taro@example.jp
        host mx.example.jp [192.0.2.1]
        SMTP error from remote mail server after RCPT TO:<taro@example.jp>:
        550-5.1.1 The account that you tried to reach does not exist.

    --1795316645-eximdsn-1525
    Content-type: message/delivery-status

    Reporting-MTA: dns; relay.example.jp

    Action: failed
    Final-Recipient: rfc822;taro@example.jp
    Status: 5.0.0
    Remote-MTA: dns; mx.example.jp
    Diagnostic-Code: smtp; 550-5.1.1 The account that you tried to reach does not exist.
     550 5.1.1 Please check the address.

    --1795316645-eximdsn-1525
    Content-type: text/rfc822-headers

    Message-ID: {NAME}

    --1795316645-eximdsn-1525--
    """
)
EXCHANGE = mail(
    f"""
    From: <postmaster@city.example.jp>
    To: <{TO}>
    Date: Sun, 22 Nov 2026 03:00:00 +0000
    Content-Type: multipart/report; report-type=delivery-status;
    \tboundary="c1a2b3c4-d5e6-4f70-8899-aabbccddeeff"
    X-MS-Exchange-Message-Is-Ndr:
    Content-Language: ja-JP
    Message-ID: <dsn-1@EX01.city.example.jp>
    In-Reply-To: {NAME}
    Subject: =?utf-8?B?6YWN5L+h5LiN6IO9?=
    Auto-Submitted: auto-replied
    MIME-Version: 1.0

    --c1a2b3c4-d5e6-4f70-8899-aabbccddeeff
    Content-Type: multipart/alternative; differences=Content-Type;
    \tboundary="inner-1"

    --inner-1
    Content-Type: text/plain; charset="iso-2022-jp"
    Content-Transfer-Encoding: quoted-printable

    =1B$BG[?.$G$-$^$;$s=1B(B
    --inner-1
    Content-Type: text/html; charset="utf-8"
    Content-Transfer-Encoding: 8bit

    <html><body>配信不能</body></html>
    --inner-1--

    --c1a2b3c4-d5e6-4f70-8899-aabbccddeeff
    Content-Type: message/delivery-status

    Reporting-MTA: dns;EX01.city.example.jp
    Received-From-MTA: dns;alerts.city.example.jp
    Arrival-Date: Sun, 22 Nov 2026 03:00:00 +0000

    Original-Recipient: rfc822;taro@city.example.jp
    Final-Recipient: rfc822;taro@city.example.jp
    Action: failed
    Status: 5.1.10
    Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup
    X-Display-Name: =?utf-8?B?5aSq6YOO?=

    --c1a2b3c4-d5e6-4f70-8899-aabbccddeeff
    Content-Type: message/rfc822

    Message-ID: {NAME}
    Subject: x

    text

    --c1a2b3c4-d5e6-4f70-8899-aabbccddeeff--
    """
)
GMAIL = mail(
    f"""
    From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
    To: {TO}
    Auto-Submitted: auto-replied
    Subject: Delivery Status Notification (Failure)
    References: {NAME}
    In-Reply-To: {NAME}
    X-Failed-Recipients: taro@gmail.com
    MIME-Version: 1.0
    Content-Type: multipart/report; boundary="000000000000f0"; report-type=delivery-status

    --000000000000f0
    Content-Type: multipart/related; boundary="000000000000f1"

    --000000000000f1
    Content-Type: multipart/alternative; boundary="000000000000f2"

    --000000000000f2
    Content-Type: text/plain; charset="UTF-8"

    ** Message blocked **
    --000000000000f2--
    --000000000000f1
    Content-Type: image/png; name="icon.png"
    Content-Transfer-Encoding: base64

    iVBORw0KGgo=
    --000000000000f1--

    --000000000000f0
    Content-Type: message/delivery-status

    Reporting-MTA: dns; googlemail.com
    Arrival-Date: Sat, 21 Nov 2026 19:00:00 -0800 (PST)
    X-Original-Message-ID: {NAME}

    Final-Recipient: rfc822; taro@gmail.com
    Action: failed
    Status: 5.2.2
    Remote-MTA: dns; gmail-smtp-in.l.google.com. (192.0.2.7, the server for the domain gmail.com.)
    Diagnostic-Code: smtp; 552-5.2.2 The email account that you tried to reach is over quota.
     552 5.2.2 Please direct the recipient to the help center.
    Last-Attempt-Date: Sat, 21 Nov 2026 19:00:01 -0800 (PST)

    --000000000000f0
    Content-Type: message/rfc822

    Message-ID: {NAME}

    text
    --000000000000f0--
    """
)
OUT_OF_OFFICE = mail(
    f"""
    From: taro@example.jp
    To: {TO}
    Subject: =?iso-2022-jp?B?GyRCSVRCPxsoQg==?=
    Auto-Submitted: auto-replied
    Content-Type: text/plain; charset=utf-8

    外出中です。 Action: failed
    Status: 5.1.1
    """
)
READ = report(failed(), kind="disposition-notification")


@pytest.mark.parametrize(
    ("raw", "receipt"),
    [
        (
            POSTFIX,
            Receipt(
                NAME,
                False,
                "bounced: 550 5.1.1 <taro@example.jp>: Recipient address rejected: User unknown",
                retire=True,
            ),
        ),
        (POSTFIX_DELAY, Receipt(NAME, None)),
        (
            EXIM,
            Receipt(
                NAME,
                False,
                "bounced: 550-5.1.1 The account that you tried to reach does not exist."
                " 550 5.1.1 Please check the address.",
                retire=True,
            ),
        ),
        (
            EXCHANGE,
            Receipt(
                NAME,
                False,
                "bounced: 550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
                retire=True,
            ),
        ),
        (
            GMAIL,
            Receipt(
                NAME,
                False,
                "bounced: 552-5.2.2 The email account that you tried to reach is over quota."
                " 552 5.2.2 Please direct the recipient to the help center.",
            ),
        ),
        (OUT_OF_OFFICE, None),
        (READ, None),
    ],
    ids=["postfix", "postfix delays", "exim", "exchange", "gmail", "out of office", "read"],
)
def test_what_mail_servers_write(raw: bytes, receipt: Receipt | None) -> None:
    assert parse_bounce(raw, NAME) == receipt
    assert parse_bounce(raw.replace(b"\r\n", b"\n"), NAME) == receipt


@pytest.mark.parametrize("status", [*sorted(NEVER_AGAIN), "5.1.1 (no such mailbox)", " 5.1.1"])
def test_an_address_that_does_not_exist_is_given_up(status: str) -> None:
    found = parse_bounce(report(failed(status)), NAME)
    assert found is not None
    assert (found.delivered, found.retire) == (False, True)


@pytest.mark.parametrize(
    "status",
    [
        *("5.0.0", "5.1.0", "5.1.4", "5.1.7", "5.1.8", "5.1.9", "5.1.11", "5.2.1", "5.2.2", "5.3.4", "5.4.4", "5.5.0"),
        *("5.6.0", "5.7.1", "5.7.26", "4.4.7", "4.1.1", "15.1.1", "5.1.1.1", "", "nonsense", "5.1"),
    ],
)
def test_any_other_failure_keeps_the_address(status: str) -> None:
    found = parse_bounce(report(failed(status, diagnostic="smtp; 550 no")), NAME)
    assert found is not None
    assert (found.delivered, found.retire) == (False, False)


@pytest.mark.parametrize(
    ("action", "delivered"),
    [
        *(("failed", False), ("FAILED", False), ("failed (permanently)", False), ("delivered", True)),
        *(("delayed", None), ("relayed", None), ("expanded", None)),
    ],
)
def test_actions(action: str, delivered: bool | None) -> None:
    found = parse_bounce(report(failed("2.0.0", action)), NAME)
    assert found is not None
    assert found.delivered is delivered


@pytest.mark.parametrize(
    ("blocks", "delivered", "retire"),
    [
        ([failed("5.1.1"), failed("5.1.2")], False, True),
        ([failed("5.1.1"), failed("5.2.2")], False, False),
        ([failed("5.1.1"), failed("2.0.0", "delivered")], True, False),
        ([failed("2.0.0", "expanded"), failed("5.1.1")], None, False),
        ([failed("4.4.1", "delayed"), failed("5.1.1")], None, False),
        (["X-Nothing: here", failed("5.1.1")], False, True),
    ],
)
def test_several_recipients_are_one_person_s_mailbox(blocks: list[str], delivered: bool | None, retire: bool) -> None:
    found = parse_bounce(report(*blocks), NAME)
    assert found is not None
    assert (found.delivered, found.retire) == (delivered, retire)


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "7bit", "8bit", "nonsense"])
def test_encoded_reports(encoding: str) -> None:
    found = parse_bounce(report(failed(), encoding=encoding), NAME)
    assert found == Receipt(NAME, False, "bounced: 550 no such user", retire=True)


def test_a_report_with_addresses_in_utf_8() -> None:
    raw = report(failed(), kind="global-delivery-status")
    assert parse_bounce(raw, NAME) == Receipt(NAME, False, "bounced: 550 no such user", retire=True)


def test_a_report_in_a_gateway_s_frame_counts_and_a_quoted_one_does_not() -> None:
    frame = b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="f"\r\n\r\n--f\r\n'
    assert parse_bounce(frame + POSTFIX + b"\r\n--f--\r\n", NAME) == parse_bounce(POSTFIX, NAME)
    quoted = frame + b"Content-Type: message/rfc822\r\n\r\n" + POSTFIX + b"\r\n--f--\r\n"
    assert parse_bounce(quoted, NAME) is None
    delivered = report(failed("2.0.0", "delivered"))
    twice = delivered.replace(b"Hello", POSTFIX)
    assert parse_bounce(twice, NAME) == Receipt(NAME, True)


def test_reasons_are_one_short_printable_line() -> None:
    found = parse_bounce(report(failed(diagnostic="smtp; 550 \x1b[31m\xff" + "x" * 5_000)), NAME)
    assert found is not None
    assert found.reason is not None
    assert found.reason.isprintable()
    assert len(found.reason) <= 200


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 1_000,
        b"\xff\xfe" * 1_000,
        b"Content-Type: multipart/report; report-type=delivery-status\r\n\r\nno boundary",
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n--b\r\n',
        POSTFIX[: len(POSTFIX) // 3],
        POSTFIX.replace(b"Action: failed", b"Action: exploded"),
        POSTFIX.replace(b"Action: failed", b""),
        POSTFIX.replace(b"message/delivery-status", b"text/plain"),
        POSTFIX.replace(b"report-type=delivery-status", b"report-type=feedback-report"),
        report(failed(), encoding="base64").replace(b"Q", b"=\xff"),
        b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(3_000)),
        b"Content-Type: message/rfc822\r\n\r\n" * 3_000,
    ],
)
def test_garbage_is_no_report(raw: bytes) -> None:
    assert parse_bounce(raw, NAME) is None


def test_wrong_charsets_hide_nothing() -> None:
    raw = POSTFIX.replace(b"charset=utf-8", b"charset=x-nonsense").replace(b"Sorry", b"\x83\x41")
    raw = raw.replace(b"User unknown", b"\x83\x86\x81[\x83U")
    found = parse_bounce(raw, NAME)
    assert found is not None
    assert found.retire


def test_a_huge_message_is_not_read() -> None:
    assert parse_bounce(POSTFIX + b"x" * BOUNCE_MAX, NAME) is None
    many = report(*[failed()] * 5_000)
    assert len(many) < BOUNCE_MAX
    assert parse_bounce(many, NAME) == Receipt(NAME, False, "bounced: 550 no such user", retire=True)


@given(
    st.binary(max_size=500),
    st.integers(0, len(POSTFIX)),
    st.integers(0, 200),
)
def test_nothing_breaks_it(noise: bytes, place: int, length: int) -> None:
    found = parse_bounce(POSTFIX[:place] + noise + POSTFIX[place + length :], NAME)
    assert found is None or found.provider_id == NAME


def test_endless_fields_cost_no_time_and_hide_nothing() -> None:
    # Left to itself the library would take a minute for it.
    raw = POSTFIX.replace(b"report-type=delivery-status;", b"report-type=delivery-status; x" + b"; a=" * 240_000, 1)
    assert len(raw) < BOUNCE_MAX
    assert parse_bounce(raw, NAME) is None  # its boundary was behind them
    raw = POSTFIX.replace(b"User unknown", b"User unknown" + b"\r\n x" * 90_000)
    found = parse_bounce(raw, NAME)
    assert found is not None
    assert found.retire


def test_a_failure_without_a_word_is_one_all_the_same() -> None:
    assert parse_bounce(report("Action: failed"), NAME) == Receipt(NAME, False, "bounced: without a reason")
    assert parse_bounce(report("Action: failed\nStatus: 5.2.1"), NAME) == Receipt(NAME, False, "bounced: 5.2.1")
