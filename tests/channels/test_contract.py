"""The contract of every channel: a foreign answer on one side, one outcome on the other."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Outcome, Refused
from alertd.core.message import Budget
from channels.base import Channel
from channels.email import Email
from channels.hosts import Hosts
from channels.relay import Relay
from channels.slack import Slack
from channels.sms import Sms
from channels.teams import Teams
from channels.webpush import WebPush
from tests.channels.helpers import (
    CONTEXT,
    DELIVERY,
    MAIL,
    MEMBER,
    MESSAGE,
    PHONE,
    in_an_hour,
    mail,
    push_address,
    slack_of,
    sms,
    subscribed,
    teams_of,
    webpush,
)
from tests.providers import PushService, SlackServer, SmtpServer, TeamsServer, TwilioServer
from tests.providers.slack import TOKEN
from tests.providers.smtp import Stage

Closing = Callable[[Channel], None]
Arrange = Callable[[Any], object]

STAGES: tuple[Stage, ...] = ("connect", "ehlo", "mail", "rcpt", "message")

PUSH: list[tuple[str, Arrange, type[Outcome]]] = [
    ("201", lambda push: None, Accepted),
    *((str(status), lambda push, status=status: push.answer(status), Accepted) for status in (200, 202, 204)),
    *((str(status), lambda push, status=status: push.answer(status), Gone) for status in (404, 410)),
    *(
        (str(status), lambda push, status=status: push.answer(status), Refused)
        for status in (400, 405, 406, 409, 411, 413, 415, 422)
    ),
    *((str(status), lambda push, status=status: push.answer(status), Misconfigured) for status in (401, 403)),
    *(
        (str(status), lambda push, status=status: push.answer(status), Deferred)
        for status in (301, 307, 408, 425, 429, 500, 501, 502, 503, 504, 507)
    ),
    ("cut before", lambda push: push.reset("before"), Deferred),
    ("cut after", lambda push: push.reset("after"), Deferred),
]


@pytest.mark.parametrize(("arrange", "expected"), [row[1:] for row in PUSH], ids=[row[0] for row in PUSH])
async def test_webpush(push: PushService, closing: Closing, arrange: Arrange, expected: type[Outcome]) -> None:
    channel, address, _ = subscribed(push)
    closing(channel)
    arrange(push)
    outcome = await channel.send(address, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert type(outcome) is expected, outcome
    assert push.rejections == []
    assert push.requests == 1


SMS: list[tuple[str, Arrange, type[Outcome]]] = [
    ("201", lambda twilio: None, Accepted),
    *(
        (str(code), lambda twilio, code=code: twilio.fail(code), Gone)
        for code in (21211, 21217, 21610, 21614, 21635, 30006)
    ),
    *(
        (str(code), lambda twilio, code=code: twilio.fail(code), Misconfigured)
        for code in (21212, 21408, 21603, 21606, 21608, 21609, 21659, 21660, 21661, 21701, 21703, 21705, 30002)
    ),
    *((str(code), lambda twilio, code=code: twilio.fail(code), Deferred) for code in (14107, 21611, 30001)),
    *(
        (str(code), lambda twilio, code=code: twilio.fail(code), Refused)
        for code in (21602, 21612, 21617, 30007, 99999)
    ),
    ("20003", lambda twilio: twilio.fail(20003, status=401), Misconfigured),
    ("20404", lambda twilio: twilio.fail(20404, status=404), Misconfigured),
    ("403", lambda twilio: twilio.fail(0, status=403), Misconfigured),
    ("402", lambda twilio: twilio.fail(0, status=402), Misconfigured),
    ("307", lambda twilio: twilio.answer(307, ""), Misconfigured),
    ("20429", lambda twilio: twilio.fail(20429, status=429), Deferred),
    ("429 without a code", lambda twilio: twilio.answer(429, "slow down"), Deferred),
    *(
        (str(status), lambda twilio, s=status: twilio.answer(s, "<html>"), Deferred)
        for status in (408, 500, 502, 503, 504)
    ),
    ("400 without a code", lambda twilio: twilio.answer(400, "no"), Refused),
    ("201 that is no JSON", lambda twilio: twilio.answer(201, "<html>"), Deferred),
    ("cut before", lambda twilio: twilio.reset("before"), Deferred),
    ("cut after", lambda twilio: twilio.reset("after"), Deferred),
]


@pytest.mark.parametrize(("arrange", "expected"), [row[1:] for row in SMS], ids=[row[0] for row in SMS])
async def test_sms(twilio: TwilioServer, closing: Closing, arrange: Arrange, expected: type[Outcome]) -> None:
    channel = sms(twilio.settings())
    closing(channel)
    arrange(twilio)
    outcome = await channel.send({"phone": PHONE}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert type(outcome) is expected, outcome
    assert twilio.requests == 1


MAILS: list[tuple[str, Arrange, type[Outcome]]] = [
    ("250", lambda relay: None, Accepted),
    *(
        (
            f"{code} at {stage}",
            lambda relay, stage=stage, code=code: relay.answer(stage, f"{code} 4.3.0 later"),
            Deferred,
        )
        for stage in ("connect", "mail", "rcpt", "message")
        for code in (421, 450, 451, 452)
    ),
    ("421 at ehlo", lambda relay: relay.answer("ehlo", "421 4.3.2 shutting down"), Deferred),
    ("a relay that knows only HELO", lambda relay: relay.answer("ehlo", "502 5.5.1 what"), Accepted),
    *(
        (f"{line} at rcpt", lambda relay, line=line: relay.answer("rcpt", line), Gone)
        for line in ("550 5.1.1 no such user", "551 5.1.6 moved", "553 5.1.3 bad", "550 5.1.10 null MX")
    ),
    *(
        (f"{line} at rcpt", lambda relay, line=line: relay.answer("rcpt", line), Refused)
        for line in ("552 5.2.2 mailbox full", "550 5.2.1 disabled", "552 too big", "554 5.6.0 content")
    ),
    *(
        (f"{line} at rcpt", lambda relay, line=line: relay.answer("rcpt", line), Misconfigured)
        for line in (
            "550 5.1.8 bad sender",
            "553 5.1.7 bad sender",
            "530 5.7.0 sign in",
            "550 5.7.1 relaying denied",
            "554 5.7.1 blocked",
            "554 5.7.1 Relay access denied",
            "550 relay not permitted",
            "553 sorry, that domain isn't in my list of allowed rcpthosts",
            "554 no",
            "571 5.7.26 unauthenticated",
        )
    ),
    *(
        (f"{line} at message", lambda relay, line=line: relay.answer("message", line), Refused)
        for line in ("554 spam", "554 5.6.0 content", "552 5.3.4 too big", "550 5.1.1 late")
    ),
    *(
        (f"{line} at message", lambda relay, line=line: relay.answer("message", line), Misconfigured)
        for line in ("550 5.7.1 sender not allowed", "554 5.7.26 unauthenticated mail")
    ),
    ("550 at mail", lambda relay: relay.answer("mail", "550 5.7.1 not your address"), Misconfigured),
    ("530 at mail", lambda relay: relay.answer("mail", "530 5.7.0 authentication required"), Misconfigured),
    ("552 at mail", lambda relay: relay.answer("mail", "552 5.3.4 too big"), Refused),
    ("554 at connect", lambda relay: relay.answer("connect", "554 5.7.1 go away"), Deferred),
    *(
        (f"cut at {stage}", lambda relay, stage=stage: relay.drop(stage), Deferred)
        for stage in ("connect", "ehlo", "mail", "rcpt", "message")
    ),
    ("cut after taking", lambda relay: relay.drop("message", taken=True), Deferred),
]


@pytest.mark.parametrize(("arrange", "expected"), [row[1:] for row in MAILS], ids=[row[0] for row in MAILS])
async def test_email(relay: SmtpServer, closing: Closing, arrange: Arrange, expected: type[Outcome]) -> None:
    channel = mail(relay.url)
    closing(channel)
    arrange(relay)
    outcome = await channel.send({"email": MAIL}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert type(outcome) is expected, outcome


POSTS: list[tuple[str, Arrange, type[Outcome]]] = [
    ("ok", lambda slack: None, Accepted),
    *(
        (error, lambda slack, error=error: slack.fail(error), Gone)
        for error in ("channel_not_found", "user_not_found", "user_disabled", "is_archived")
    ),
    *(
        (error, lambda slack, error=error: slack.fail(error), Misconfigured)
        for error in (
            *("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "missing_scope"),
            *("not_in_channel", "messages_tab_disabled", "restricted_action", "restricted_action_read_only_channel"),
        )
    ),
    *(
        (error, lambda slack, error=error: slack.fail(error), Deferred)
        for error in ("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable")
    ),
    *(
        (error, lambda slack, error=error: slack.fail(error), Refused)
        for error in ("msg_too_long", "invalid_blocks", "no_text", "something_new")
    ),
    *(
        (str(status), lambda slack, s=status: slack.answer(s, "<html>"), Deferred)
        for status in (302, 408, 429, 500, 502, 503, 504)
    ),
    ("200 that is no JSON", lambda slack: slack.answer(200, "<html>"), Deferred),
    ("200 that is not Slack's", lambda slack: slack.answer(200, "[1]"), Deferred),
    ("403 of a proxy", lambda slack: slack.answer(403, "<html>"), Misconfigured),
    ("cut before", lambda slack: slack.reset("before"), Deferred),
    ("cut after", lambda slack: slack.reset("after"), Deferred),
]


@pytest.mark.parametrize(("arrange", "expected"), [row[1:] for row in POSTS], ids=[row[0] for row in POSTS])
async def test_slack(slack: SlackServer, closing: Closing, arrange: Arrange, expected: type[Outcome]) -> None:
    channel = slack_of(slack.settings())
    closing(channel)
    arrange(slack)
    outcome = await channel.send({"slack": MEMBER}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert type(outcome) is expected, outcome
    assert slack.requests == 1


CARDS: list[tuple[str, Arrange, type[Outcome]]] = [
    ("202", lambda teams: None, Accepted),
    ("200 of a connector", lambda teams: teams.answer(200, "1"), Accepted),
    *((str(status), lambda teams, status=status: teams.answer(status, "gone"), Gone) for status in (404, 410)),
    *((str(status), lambda teams, status=status: teams.answer(status, "no"), Misconfigured) for status in (401, 403)),
    (
        "a flow that is off",
        lambda teams: teams.answer(400, '{"error":{"code":"WorkflowTriggerIsNotEnabled"}}'),
        Misconfigured,
    ),
    *((str(status), lambda teams, status=status: teams.answer(status, "no"), Refused) for status in (400, 413, 415)),
    *(
        (str(status), lambda teams, status=status: teams.answer(status, "later"), Deferred)
        for status in (302, 408, 425, 429, 500, 502, 503, 504)
    ),
    ("400 TooManyRequests", lambda teams: teams.answer(400, '{"error":{"code":"TooManyRequests"}}'), Deferred),
    (
        "200 that says 429 in words",
        lambda teams: teams.answer(200, "failed with error: Microsoft Teams endpoint returned HTTP error 429 with"),
        Deferred,
    ),
    (
        "200 that says 404 in words",
        lambda teams: teams.answer(200, "failed with error: Microsoft Teams endpoint returned HTTP error 404 with"),
        Gone,
    ),
    ("cut before", lambda teams: teams.reset("before"), Deferred),
    ("cut after", lambda teams: teams.reset("after"), Deferred),
]


@pytest.mark.parametrize(("arrange", "expected"), [row[1:] for row in CARDS], ids=[row[0] for row in CARDS])
async def test_teams(teams: TeamsServer, closing: Closing, arrange: Arrange, expected: type[Outcome]) -> None:
    channel = teams_of(teams.settings())
    closing(channel)
    arrange(teams)
    outcome = await channel.send({"teams": teams.make_webhook()}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert type(outcome) is expected, outcome
    assert teams.requests == 1


@pytest.mark.parametrize(
    ("arrange", "dark"),
    [
        (lambda server: server.reset("before"), True),
        (lambda server: server.reset("after"), True),
        (lambda server: server.hang(), True),
        (lambda server: server.answer(502, "later"), True),
        (lambda server: server.answer(503, "later"), False),
        (lambda server: server.stop_listening(), False),
    ],
    ids=["cut before", "cut after", "silence", "502", "503", "nobody there"],
)
@pytest.mark.parametrize("kind", ["slack", "teams"])
async def test_a_chat_without_an_answer_may_show_the_message(
    kind: str, slack: SlackServer, teams: TeamsServer, closing: Closing, arrange: Arrange, dark: bool
) -> None:
    channel: Channel
    if kind == "slack":
        channel, address = Slack(TOKEN, CONTEXT, api=f"{slack.url}/api", timeout=0.5), {"slack": MEMBER}
    else:
        channel, address = Teams(CONTEXT, Hosts.parse(teams.host), timeout=0.5), {"teams": teams.make_webhook()}
    closing(channel)
    arrange(slack if kind == "slack" else teams)
    outcome = await channel.send(address, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Deferred)
    assert outcome.dark is dark


@pytest.mark.parametrize(
    ("line", "of_recipient"),
    [("554 5.7.1 Relay access denied", True), ("550 no", True), ("530 5.7.0 sign in", False), ("553 5.1.7 bad", False)],
)
async def test_a_relay_that_denies_one_domain_is_not_given_up_for_the_others(
    relay: SmtpServer, closing: Closing, line: str, of_recipient: bool
) -> None:
    channel = mail(relay.url)
    closing(channel)
    relay.answer("rcpt", line)
    outcome = await channel.send({"email": MAIL}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Misconfigured)
    assert outcome.of_recipient is of_recipient


@pytest.mark.parametrize(
    ("stage", "line", "of_recipient"),
    [
        *(("rcpt", f"{code} 4.2.1 busy", True) for code in (450, 451, 452)),
        ("rcpt", "421 4.3.2 shutting down", False),
        ("mail", "451 4.3.0 later", False),
        ("message", "451 4.3.0 later", False),
    ],
)
async def test_a_mailbox_that_is_busy_says_nothing_of_its_neighbours(
    relay: SmtpServer, closing: Closing, stage: Stage, line: str, of_recipient: bool
) -> None:
    channel = mail(relay.url)
    closing(channel)
    relay.answer(stage, line)
    outcome = await channel.send({"email": MAIL}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Deferred)
    assert outcome.of_recipient is of_recipient


@pytest.mark.parametrize(
    ("arrange", "dark"),
    [
        (lambda push: push.reset("before"), True),
        (lambda push: push.reset("after"), True),
        (lambda push: push.hang(), True),
        (lambda push: push.answer(503), False),
        (lambda push: push.stop_listening(), False),
    ],
    ids=["cut before", "cut after", "silence", "503", "nobody there"],
)
async def test_a_push_without_an_answer_may_be_on_the_phone(
    push: PushService, closing: Closing, arrange: Arrange, dark: bool
) -> None:
    _, address, _ = subscribed(push)
    channel = WebPush(CONTEXT, "mailto:a@example.jp", Hosts.parse(push.host), timeout=0.5)
    closing(channel)
    arrange(push)
    outcome = await channel.send(address, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Deferred)
    assert outcome.dark is dark


@pytest.mark.parametrize(
    ("arrange", "dark"),
    [
        (lambda relay: relay.drop("message", taken=True), True),
        (lambda relay: relay.drop("message"), True),
        (lambda relay: relay.hang("message"), True),
        (lambda relay: relay.answer("message", "451 4.3.0 later"), False),
        (lambda relay: relay.drop("rcpt"), False),
        (lambda relay: relay.hang("rcpt"), False),
        (lambda relay: relay.stop_listening(), False),
    ],
    ids=["cut after", "cut before", "silence", "451", "cut at rcpt", "silence at rcpt", "nobody there"],
)
async def test_a_letter_without_an_answer_may_be_in_the_box(
    relay: SmtpServer, closing: Closing, arrange: Arrange, dark: bool
) -> None:
    channel = Email(Relay.parse(relay.url), MAIL, CONTEXT, timeout=0.5)
    closing(channel)
    arrange(relay)
    outcome = await channel.send({"email": MAIL}, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
    assert isinstance(outcome, Deferred)
    assert outcome.dark is dark


async def test_nobody_there_is_deferred(
    push: PushService, twilio: TwilioServer, relay: SmtpServer, closing: Closing
) -> None:
    channel, address, _ = subscribed(push)
    attempts: list[tuple[Channel, dict[str, str]]] = [
        (channel, dict(address)),
        (sms(twilio.settings()), {"phone": PHONE}),
        (mail(relay.url), {"email": MAIL}),
    ]
    for server in (push, twilio, relay):
        server.stop_listening()
    for each, where in attempts:
        closing(each)
        outcome = await each.send(where, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
        assert type(outcome) is Deferred, outcome


async def test_silence_is_deferred(
    push: PushService, twilio: TwilioServer, relay: SmtpServer, closing: Closing
) -> None:
    patient = webpush(push.host)
    address = push_address(patient, push.subscribe())
    hosts = Hosts.parse(push.host)
    text = Budget(form="short", size=2, concurrency=1)
    attempts: list[tuple[Channel, dict[str, str]]] = [
        (WebPush(CONTEXT, "mailto:a@example.jp", hosts, timeout=0.2), dict(address)),
        (Sms(twilio.settings(), CONTEXT, text, timeout=0.2), {"phone": PHONE}),
        *((Email(Relay.parse(relay.url), MAIL, CONTEXT, timeout=0.2), {"email": MAIL}) for _ in STAGES),
    ]
    push.hang()
    twilio.hang()
    for stage in STAGES:
        relay.hang(stage)
    for each, where in attempts:
        closing(each)
        outcome = await each.send(where, MESSAGE, key=DELIVERY, expires_at=in_an_hour())
        assert type(outcome) is Deferred, outcome


async def test_what_has_expired_is_not_sent(
    push: PushService,
    twilio: TwilioServer,
    relay: SmtpServer,
    slack: SlackServer,
    teams: TeamsServer,
    closing: Closing,
) -> None:
    channel, address, _ = subscribed(push)
    attempts: list[tuple[Channel, dict[str, str]]] = [
        (channel, dict(address)),
        (sms(twilio.settings()), {"phone": PHONE}),
        (mail(relay.url), {"email": MAIL}),
        (slack_of(slack.settings()), {"slack": MEMBER}),
        (teams_of(teams.settings()), {"teams": teams.make_webhook()}),
    ]
    for each, where in attempts:
        closing(each)
        over = in_an_hour() - timedelta(hours=1)
        assert await each.send(where, MESSAGE, key=DELIVERY, expires_at=over) == Refused("expired")
    assert (push.requests, twilio.requests, relay.connections, slack.requests, teams.requests) == (0, 0, 0, 0, 0)
