"""What providers do on bad days: one push service of several, the SMS provider, the mail relay."""

import asyncio
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Final, Literal

from tests.acceptance.town import Person, eventually
from tests.chaos.ledger import Way
from tests.chaos.scenario import BOTH, People, Rounds, Scenario
from tests.chaos.stage import Alert, Limits, Stage
from tests.providers import PushService
from tests.providers.smtp import Stage as SmtpStage

_LIMITS: Final = Limits(extra=1)
_LASTS: Final = (1.5, 60.0)  # seconds: light, long
_OUTLASTS: Final = (3.0, 3_000.0)
_BETWEEN_SECONDS: Final = 300.0
_SLOWER: Final = 1.10
_SMTP_STAGES: Final[tuple[SmtpStage, ...]] = ("connect", "ehlo", "mail", "rcpt", "message")
_ON_PUSH: Final = People(count=200, push=200, phones=10, two_devices=0)
_PAIRS: Final = 7
_SHARE: Final = 9  # so many at the others for one at the bad one


def _lasts(stage: Stage) -> float:
    return _LASTS[0 if stage.light else 1]


def _in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def _cut_the_first_answer(push: PushService) -> None:
    for subscription in push.subscriptions:
        push.reset("after", subscription=subscription)


_PUSH: Final[dict[str, Callable[[PushService], None]]] = {
    "429-seconds": lambda push: push.answer(429, retry_after="2", times=None),
    "429-date": lambda push: push.answer(429, retry_after=_in_seconds(3), times=None),
    "503": lambda push: push.answer(503, times=None),
    "hang": lambda push: push.hang(times=None),
    "trickle": lambda push: push.trickle(503, times=None),
    "reset-before": lambda push: push.reset("before", times=None),
    "reset-after": _cut_the_first_answer,
    "redirect": lambda push: push.redirect("https://elsewhere.example/", times=None),
    "huge": lambda push: push.huge(503, times=None),
}


async def _spoil_push(fault: str, stage: Stage) -> Limits:
    """One of the push services misbehaves while alerts go out to all of them."""
    bad = stage.dice.choice(stage.place.pushes)
    if not stage.light:
        await _compare(fault, bad, stage)
    before = bad.requests
    _PUSH[fault](bad)
    await stage.issue(stage.people)
    await asyncio.sleep(_lasts(stage))
    stage.prove("requests to the bad one", bad.requests - before)
    bad.reset_plans()
    stage.over()
    return _LIMITS


async def _compare(fault: str, bad: PushService, stage: Stage) -> None:
    """Nine in ten at the other services, beside the tenth at this one: while it is well, and while it is not; in turn,
    so that whatever else the machine does weighs on both."""
    place = stage.place
    at_bad = [p for p in stage.people if any(place.push_of(browser) is bad for browser in p.browsers)]
    others = [p for p in stage.people if p.browsers and p not in at_bad]
    audience = others + at_bad[: len(others) // _SHARE]
    ways: set[Way] = {("webpush", browser.id) for person in others for browser in person.browsers}
    well, ill = [], []
    for _ in range(_PAIRS):
        well.append(await _seconds_to(stage, audience, ways))
        await stage.until_back()
        _PUSH[fault](bad)
        ill.append(await _seconds_to(stage, audience, ways))
        bad.reset_plans()
        await stage.until_back()
    ratio = statistics.median(ill) / statistics.median(well)
    stage.prove("the others' time, as a multiple of that while it is well", round(ratio, 3))
    stage.prove("seconds that the others' messages took while it is well", round(statistics.median(well), 2))
    if ratio > _SLOWER:
        stage.faults.append(f"the others took {ratio:.2f} times as long: {_rounded(ill)}, not {_rounded(well)}")


async def _outlast_push(stage: Stage) -> Limits:
    """One of the push services answers 503 for most of an hour, and its alerts wait all the while."""
    bad = stage.dice.choice(stage.place.pushes)
    before = bad.requests
    bad.answer(503, times=None)
    ends_at = time.monotonic() + _OUTLASTS[0 if stage.light else 1]
    while time.monotonic() < ends_at:
        await stage.issue(expires_at=(datetime.now(UTC) + timedelta(hours=24)).isoformat())
        # The message that waits for the bad one keeps this from ending early, while people read theirs and answer.
        await stage.finish_sending(within=min(_BETWEEN_SECONDS, max(0.0, ends_at - time.monotonic())))
    stage.prove("requests to the bad one", bad.requests - before)
    bad.reset_plans()
    stage.over()
    return _LIMITS


def _rounded(seconds: list[float]) -> list[float]:
    return [round(each, 2) for each in seconds]


async def _seconds_to(stage: Stage, audience: list[Person], ways: set[Way]) -> float:
    """Issue an alert to this audience: the mean time that its messages took to these addresses."""
    alert = await stage.issue(audience, channel="webpush", is_answered=False)
    deadline = time.monotonic() + 60
    while True:
        stage.ledger.read()
        received = stage.ledger.received.get(alert.tag, {})
        if received.keys() >= ways:
            break
        if time.monotonic() > deadline:
            stage.faults.append(f"{alert.tag}: {len(ways - received.keys())} at other services wait for the bad one")
            return 60.0
        await asyncio.sleep(0.05)
    return statistics.fmean(received[way].times[0] for way in ways) - alert.begun_at


async def _spoil_sms(fault: str, stage: Stage) -> Limits:
    twilio = stage.place.twilio
    before = twilio.requests
    match fault:
        case "20429":
            twilio.fail(20429, status=429, retry_after="1", times=None)
        case "20003":
            twilio.fail(20003, status=401, times=None)
        case "500":
            twilio.fail(20500, status=500, times=None)
        case "reset-before":
            twilio.reset("before", times=None)
        case _:
            raise ValueError(fault)
    await stage.issue()
    await asyncio.sleep(_lasts(stage))
    stage.prove("requests that it hit", twilio.requests - before)
    twilio.reset_plans()
    await stage.issue()  # what was held for our own fault goes when something else has gone
    stage.over()
    return Limits(extra=0)


async def _cut_sms(how: Literal["reset", "hang"], stage: Stage) -> Limits:
    """The provider takes the message; its answer never comes."""
    twilio = stage.place.twilio
    alert = stage.draft(stage.some())
    numbers = stage.dice.sample([p.phone for p in alert.audience if p.phone], 4)
    for number in numbers:
        if how == "reset":
            twilio.reset("after", number=number)
        else:
            twilio.hang(taken=True, number=number)
    looked_up = twilio.look_ups
    await stage.post(alert)
    await stage.finish_sending()
    stage.over()
    stage.on_count(lambda: stage.prove("looked up", twilio.look_ups - looked_up))
    return Limits(extra=0)


async def _until_refused(stage: Stage) -> int:
    """When all the others have theirs: how many were asked for and turned away, once that are as many as should be."""
    await stage.finish_sending()

    async def refused() -> bool:
        return stage.under_way() >= len(stage.excused)

    await eventually(refused, 60, "the provider has refused those whom it should")
    return stage.under_way()


async def _refuse_number(code: int, stage: Stage) -> Limits:
    alert = stage.draft(stage.some())
    for person in stage.dice.sample([p for p in alert.audience if p.phone], 2):
        assert person.phone
        stage.place.twilio.fail(code, number=person.phone, times=None)
        stage.excused.add(("sms", person.phone))
        stage.retired.add(("sms", person.phone))
    await stage.post(alert)
    stage.prove("numbers refused", await _until_refused(stage))
    return Limits(extra=0)


async def _spoil_mail(fault: str, stage: Stage) -> Limits:
    """The relay turns everything away at one stage of the conversation, for a while."""
    smtp = stage.place.smtp
    # Once it has the letter, 550 is its last word about this letter: that is another scenario.
    stages = _SMTP_STAGES[:-1] if fault == "550" else _SMTP_STAGES
    at = stage.dice.choice(stages) if stage.light else stages[stage.number % len(stages)]
    before = len(smtp.letters)
    smtp.drop_connections()
    if fault == "drop":
        smtp.drop(at, times=None)
    else:
        smtp.answer(at, "550 5.7.1 relaying denied" if fault == "550" else f"{fault} 4.3.0 not now", times=None)
    connections = smtp.connections
    await stage.issue()
    await asyncio.sleep(_lasts(stage))
    stage.prove(f"connections that {fault} hit at {at}", smtp.connections - connections)
    if len(smtp.letters) > before:
        stage.faults.append("letters were taken all the same: the fault did not hit")
    smtp.reset_plans()
    await stage.issue()
    stage.over()
    return _LIMITS


async def _lose_the_answer(stage: Stage) -> Limits:
    """The relay takes the letter and hangs up without a word."""
    alert = stage.draft(stage.some())
    people = stage.dice.sample([each for each in alert.audience if each.email], 4)
    for person in people:
        stage.place.smtp.drop("message", taken=True, recipient=person.email)
    await stage.post(alert)
    await stage.finish_sending()
    stage.over()
    stage.on_count(lambda: stage.prove("letters repeated", _repeated(stage, alert, people)))
    return _LIMITS


def _repeated(stage: Stage, alert: Alert, people: list[Person]) -> int:
    received = stage.ledger.received[alert.tag]
    return sum(len(received["email", person.email or ""].identities) > 1 for person in people)


async def _refuse_recipient(at: Literal["rcpt", "message"], stage: Stage) -> Limits:
    alert = stage.draft(stage.some())
    for person in stage.dice.sample([each for each in alert.audience if each.email], 2):
        assert person.email
        line = "550 5.1.1 no such user" if at == "rcpt" else "550 5.6.0 we do not want this"
        stage.place.smtp.answer(at, line, recipient=person.email, times=None)
        stage.excused.add(("email", person.email))
        if at == "rcpt":
            stage.retired.add(("email", person.email))
    await stage.post(alert)
    stage.prove("recipients refused", await _until_refused(stage))
    return Limits(extra=0)


WEATHER: Final = (
    Scenario("push-503-long", _outlast_push, BOTH, Rounds(1, 1, 3_060)),
    *(
        Scenario(f"push-{fault}", partial(_spoil_push, fault), BOTH, Rounds(1, 1, seconds), people=_ON_PUSH)
        for fault, seconds in ((fault, 190 if fault == "hang" else 120) for fault in _PUSH)
    ),
    *(
        Scenario(f"sms-{fault}", partial(_spoil_sms, fault), BOTH, Rounds(1, 2, 100))
        for fault in ("20429", "20003", "500", "reset-before")
    ),
    Scenario("sms-reset-after", partial(_cut_sms, "reset"), BOTH, Rounds(1, 5, 10)),
    Scenario("sms-hang-after", partial(_cut_sms, "hang"), BOTH, Rounds(1, 3, 30)),
    Scenario("sms-21610", partial(_refuse_number, 21610), BOTH, Rounds(1, 2, 8)),
    Scenario("sms-21211", partial(_refuse_number, 21211), BOTH, Rounds(1, 2, 8)),
    *(
        Scenario(f"mail-{fault}", partial(_spoil_mail, fault), BOTH, Rounds(1, 5, 100))
        for fault in ("421", "451", "550", "drop")
    ),
    Scenario("mail-drop-after", _lose_the_answer, BOTH, Rounds(1, 5, 10)),
    Scenario("mail-550-recipient", partial(_refuse_recipient, "rcpt"), BOTH, Rounds(1, 2, 8)),
    Scenario("mail-550-letter", partial(_refuse_recipient, "message"), BOTH, Rounds(1, 2, 8)),
)
