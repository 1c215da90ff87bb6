"""The life of a delivery: its states, the outcomes of one attempt, and the only retry policy there is.

::

                claim                Accepted              receipt(ok)
     pending ----------> sending --------------> sent ------------------> delivered*
       ^  ^                |  |  \\-- Deferred --> pending (due_at = now + wait), failed* when tries are spent,
       |  |   lease lapses |  |                   expired* when no try is left before the end
       |  +----------------+  |--- Refused / Gone --> failed*   (Gone also retires the subscription)
       |                      \\--- Misconfigured ---> held      (attempt not counted)
       +------------------------------ release -------/
     sent -- receipt(failed) --> failed*      pending/held -- validity over --> expired* (sent stays: it may be there)
     pending/held -- cancelled, superseded --> cancelled*                         (* terminal)
"""

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
    DELIVERED = "delivered"  # the provider says that the device has it
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
    State.PENDING: frozenset({State.SENDING, State.EXPIRED, State.CANCELLED}),
    State.SENDING: frozenset({State.SENT, State.PENDING, State.FAILED, State.HELD, State.EXPIRED}),
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
    """Not now: 429, 5xx, time-out, connection refused. `retry_after` is the provider's own wish."""

    reason: str
    retry_after: timedelta | None = None


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
    """Our fault (401/403, bad keys, no credit, not set up)."""

    reason: str


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
    """How long to wait after failed attempt number `attempt` (1 is the first).

    `jitter` is a random number in [0, 1): the wait lies between half of the step and the whole step, so that
    ten thousand deliveries which failed together do not come back together. `retry_after` is a floor.
    """
    policy = RETRY[severity]
    step = min(policy.first * (1 << min(attempt - 1, 20)), policy.longest)
    wait = step * (0.5 + jitter / 2)
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
    outcome: Outcome, *, attempt: int, severity: Severity, now: datetime, expires_at: datetime, jitter: float
) -> Transition:
    """The one decision about what an attempt's outcome means for its delivery."""
    match outcome:
        case Accepted(provider_id):
            return Transition(State.SENT, provider_id=provider_id)
        case Refused(reason):
            return Transition(State.FAILED, reason)
        case Gone(reason):
            return Transition(State.FAILED, reason, retire=True)
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
