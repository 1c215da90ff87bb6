"""The life of a delivery: its states, the outcomes of one attempt, and the only retry policy there is.

::

                claim                Accepted              receipt(ok)
     pending ----------> sending --------------> sent ------------------> delivered*
       ^  ^                |  |  \\-- Deferred --> pending (due_at = now + wait), failed* when tries are spent,
       |  |   lease lapses |  |                   expired* when no try is left before the end
       |  +----------------+  |--- Refused / Gone --> failed*   (Gone also retires the subscription)
       |                      \\--- Misconfigured ---> held      (attempt not counted)
       +------------------------------ release -------/
     pending after a lapse, not claimed again -- its outcome after all --> as from sending
     sent -- receipt(failed) --> failed*      pending/held -- validity over --> expired* (sent stays: it may be there)
     sent/sending/pending after an attempt -- beacon(displayed) --> delivered*
     pending/held/sending without an attempt -- cancelled, superseded --> cancelled*          (* terminal)
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from alertd.core.alert import Severity


class State(StrEnum):
    """What is known about a delivery, and no more than that."""

    PENDING = "pending"  # nobody has tried, or the last try is to be repeated at due_at
    SENDING = "sending"  # a worker holds it under a lease; the provider may or may not have it
    SENT = "sent"  # the provider took it over; nothing is known about the phone
    DELIVERED = "delivered"  # the provider says that the device has it, or the device itself does
    FAILED = "failed"  # it will not arrive
    HELD = "held"  # our own fault keeps it here until an operator mends it
    EXPIRED = "expired"  # the alert's life ended first
    CANCELLED = "cancelled"  # the alert was called off or replaced first

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL: Final = frozenset({State.DELIVERED, State.FAILED, State.EXPIRED, State.CANCELLED})
# A way counts as working while something can still come of it or already has.
HOPEFUL: Final = frozenset({State.PENDING, State.SENDING, State.SENT, State.DELIVERED})

LEGAL: Final[dict[State, frozenset[State]]] = {
    State.PENDING: frozenset({State.SENDING, State.DELIVERED, State.EXPIRED, State.CANCELLED}),
    State.SENDING: frozenset(set(State) - {State.SENDING}),
    State.SENT: frozenset({State.DELIVERED, State.FAILED}),
    State.HELD: frozenset({State.PENDING, State.EXPIRED, State.CANCELLED}),
    State.DELIVERED: frozenset(),
    State.FAILED: frozenset(),
    State.EXPIRED: frozenset(),
    State.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message over; `provider_id` is its name for it, if it gave one."""

    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: 429, 5xx, time-out, connection refused. `retry_after` is the provider's own wish.

    `dark`: the provider may have taken the message over all the same. `of_recipient`: it is about this address alone
    (its mailbox is busy), and says nothing of the others on its lane.
    """

    reason: str
    retry_after: timedelta | None = None
    dark: bool = False
    of_recipient: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """This message never; the address is fine (400, too large, content)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """This address never again (404/410, hard bounce, invalid number)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Our fault (401/403, bad keys, no credit, not set up).

    `of_recipient`: this provider lets us write to others, but not to this address; another one may.
    """

    reason: str
    of_recipient: bool = False


Outcome = Accepted | Deferred | Refused | Gone | Misconfigured


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits of `first`, 2·`first`, 4·`first` … up to `longest`; at most `tries` attempts."""

    first: timedelta
    longest: timedelta
    tries: int


LAST_TRY: Final = timedelta(seconds=30)  # before the end of an alert's life: time enough for one attempt

_URGENT: Final = RetryPolicy(timedelta(seconds=1), timedelta(seconds=60), 5_000)
_CALM: Final = RetryPolicy(timedelta(seconds=5), timedelta(minutes=10), 500)
RETRY: Final[dict[Severity, RetryPolicy]] = {
    "extreme": _URGENT,
    "severe": _URGENT,
    "unknown": _URGENT,
    "moderate": _CALM,
    "minor": _CALM,
}


def wait_before(attempt: int, severity: Severity, jitter: float, retry_after: timedelta | None) -> timedelta:
    """How long to wait after failed attempt number `attempt` (1 is the first): more than nothing.

    `jitter` is a random number in [0, 1): the wait lies anywhere in the step, so that ten thousand deliveries which
    failed together come back spread as widely as can be. `retry_after` is a floor.
    """
    policy = RETRY[severity]
    step = min(policy.first * (1 << min(attempt - 1, 20)), policy.longest)
    wait = max(step * (1 - jitter), timedelta.resolution)
    return max(wait, retry_after) if retry_after is not None else wait


@dataclass(frozen=True, slots=True)
class Transition:
    """What becomes of a delivery after an attempt. `due_at` is set when it is to be tried again."""

    state: State
    reason: str | None = None
    due_at: datetime | None = None
    provider_id: str | None = None
    retire: bool = False
    counted: bool = True


def after_attempt(
    outcome: Outcome,
    *,
    attempt: int,
    severity: Severity,
    now: datetime,
    expires_at: datetime,
    jitter: float,
    elsewhere: bool = False,
) -> Transition:
    """The one decision about what an attempt's outcome means for its delivery.

    `elsewhere`: another provider stands ready that has not said that the fault is ours, for this delivery or at all.
    """
    match outcome:
        case Accepted(provider_id):
            return Transition(State.SENT, provider_id=provider_id)
        case Refused(reason):
            return Transition(State.FAILED, reason)
        case Gone(reason):
            return Transition(State.FAILED, reason, retire=True)
        case Misconfigured(reason) if elsewhere:
            return Transition(State.PENDING, reason, due_at=now, counted=False)
        case Misconfigured(reason):
            return Transition(State.HELD, reason, counted=False)
        case Deferred(reason, retry_after):
            if attempt >= RETRY[severity].tries:
                return Transition(State.FAILED, f"gave up after {attempt} tries: {reason}")
            due_at = now + wait_before(attempt, severity, jitter, retry_after)
            if due_at >= expires_at:
                due_at = (
                    expires_at - LAST_TRY
                )  # however long a provider wants to be left alone: one more before the end
            if due_at <= now:
                return Transition(State.EXPIRED, reason)
            return Transition(State.PENDING, reason, due_at=due_at)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider's late news about a message it took over. `delivered` None: on its way, nothing to conclude."""

    provider_id: str
    delivered: bool | None
    reason: str | None = None
    retire: bool = False


def after_receipt(state: State, receipt: Receipt) -> State:
    """The state after late news. Receipts come twice and out of order: state only ever moves forward."""
    if receipt.delivered is None or state is not State.SENT:
        return state
    return State.DELIVERED if receipt.delivered else State.FAILED


def after_display(state: State, attempts: int) -> State:
    """The state once a phone shows the message: that proves arrival, whatever is known of the attempts so far."""
    may_be_there = state in (State.SENT, State.SENDING) or (state is State.PENDING and attempts > 0)
    return State.DELIVERED if may_be_there else state


TEST_KINDS: Final = frozenset({"test", "self-test"})  # of alerts
RANKS_OF_A_KIND: Final = 10
RANK_ACKNOWLEDGED: Final = 2  # among the ranks of its kind


def rank(*, kind: str, drill: bool, alone: bool, acknowledged: bool = False) -> int:
    """Which deliveries of a channel go first: those with the lower rank, from 0.

    Real alerts before drills before tests (`kind` is the alert's); among them those to people who have no other way,
    then the others, then those to people who have acknowledged.
    """
    among = 2 if kind in TEST_KINDS else 1 if drill else 0
    return among * RANKS_OF_A_KIND + (RANK_ACKNOWLEDGED if acknowledged else 0 if alone else 1)


_NUMBERS: Final = re.compile(r"(\d{3})\b(?: (\d{5})\b)?")
_WORD: Final = re.compile(r"[A-Za-z]+(?=:)")
_WORDS: Final = frozenset(  # the errors of the libraries and of the system by which an attempt may end
    {
        *("BrokenPipeError", "ConnectionAbortedError", "ConnectionRefusedError", "ConnectionResetError"),
        *("IncompleteReadError", "OSError", "SSLCertVerificationError", "SSLError", "TimeoutError", "gaierror"),
        *("ClientConnectionError", "ClientConnectionResetError", "ClientConnectorCertificateError"),
        *("ClientConnectorDNSError", "ClientConnectorError", "ClientConnectorSSLError", "ClientOSError"),
        *("ClientPayloadError", "ClientResponseError", "ConnectionTimeoutError", "InvalidURL"),
        *("ServerDisconnectedError", "ServerTimeoutError", "SocketTimeoutError"),
        *("SMTPAuthenticationError", "SMTPConnectError", "SMTPConnectResponseError", "SMTPConnectTimeoutError"),
        *("SMTPException", "SMTPHeloError", "SMTPNotSupported", "SMTPReadTimeoutError", "SMTPResponseException"),
        *("SMTPServerDisconnected", "SMTPTimeoutError"),
    }
)


def outcome_code(reason: str | None) -> str:
    """The provider's number for an outcome, or the word for what went wrong on the way, to count outcomes by.

    From the front of a reason: Twilio's own number before HTTP's or SMTP's, else the error's name where it is one of
    those that are known here, "internal error" or "time-out"; "other" for any other words, "" for none. Nothing that
    somebody else can make up gets through.
    """
    text = reason or ""
    if numbers := _NUMBERS.match(text):
        return numbers[2] or numbers[1]
    if (word := _WORD.match(text)) and word[0] in _WORDS:
        return word[0]
    if text.startswith("internal error:"):
        return "internal error"
    return "time-out" if text.startswith("no answer") else "other" if text else ""
