"""What attempts came to, written by whoever holds them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, func, select, update

from alertd.core.delivery import State, Transition, outcome_code
from alertd.store import counters, unsent
from alertd.store.counters import OutcomeKind
from alertd.store.deliveries import Claim, close_attempts, kept, locked
from alertd.store.rows import Row, among, given, in_slices
from alertd.store.schema import attempts, deliveries

_HOLDS_MOST: Final = 3  # after so many it waits for an operator, whatever its siblings do


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an attempt came to, ready to be written."""

    claim: Claim
    outcome: str  # the outcome's name, for the attempt's row
    transition: Transition
    provider: str | None = None  # which one said so, if it is not the claim's
    dark: bool = False  # the provider may have taken it all the same: it will be asked before the next attempt
    units: int = 0  # what it costs when it was accepted

    @property
    def reason(self) -> str | None:
        """The provider's words as they can be kept."""
        return kept(self.transition.reason)


def settle(connection: Connection, settlements: Sequence[Settlement], now: datetime) -> list[Settlement]:
    """Write outcomes; those that were still theirs to write. An attempt whose lease was taken over changes nothing;
    one whose lease has lapsed does as long as nobody has claimed its delivery again.

    Where one was accepted, others of its lane that our own fault had held are due again.
    """
    stands = {row.id: row for row in locked(connection, [settlement.claim for settlement in settlements])}
    lapsed = _lapsed(connection, [number for number, row in stands.items() if row.state == State.PENDING])
    written, values = [], []
    for settlement in sorted(settlements, key=lambda settlement: settlement.claim.delivery_id):
        row = stands.get(settlement.claim.delivery_id)
        if row is None or row.attempt != settlement.claim.attempt:
            continue
        # A phone may have shown it before its provider's answer was here: then only the answer is written.
        is_shown = row.state == State.DELIVERED and row.accepted_at is None
        is_lapsed = row.state == State.PENDING and (row.id, row.attempt) in lapsed
        if row.state == State.SENDING or is_lapsed or is_shown:
            written.append(settlement)
            values.append(_values(settlement, State.DELIVERED if is_shown else settlement.transition.state, now))
    if not written:
        return []
    for some in in_slices(values):
        _write(connection, some)
    close_attempts(
        connection, [(each.claim, each.outcome, each.reason, None if each.dark else now) for each in written]
    )
    gone = {each.claim.subscription_id: each.reason for each in written if each.transition.retire}
    unsent.retire(connection, gone, now)
    _release_siblings(connection, [each.claim for each in written if each.transition.state is State.SENT], now)
    counters.count_outcomes(connection, Counter(map(_kind, written)))
    return written


def _write(connection: Connection, values: Sequence[Row]) -> None:
    its = given(connection, values, _OUTCOME).c
    settled = (
        update(deliveries)
        .where(deliveries.c.id == its.id)
        .values(
            state=its.state,
            reason=its.reason,
            worker_id=None,
            due_at=func.coalesce(its.due_at, deliveries.c.due_at),
            accepted_at=func.coalesce(its.accepted_at, deliveries.c.accepted_at),
            provider=its.provider,
            provider_id=func.coalesce(its.provider_id, deliveries.c.provider_id),
            tries=deliveries.c.tries - its.tries,
            holds=deliveries.c.holds + its.holds,
        )
    )
    connection.execute(settled)


_OUTCOME: Final = tuple(
    deliveries.c[name]
    for name in ("id", "state", "reason", "due_at", "accepted_at", "provider", "provider_id", "tries", "holds")
)


def _values(settlement: Settlement, state: State, now: datetime) -> dict[str, Any]:
    """What changes; of `tries` and `holds` by how much."""
    after = settlement.transition
    return {
        "id": settlement.claim.delivery_id,
        "state": state,
        "reason": None if state is State.DELIVERED else settlement.reason,
        "due_at": after.due_at,
        "accepted_at": now if after.state is State.SENT else None,
        "provider": settlement.provider or settlement.claim.provider,
        "provider_id": kept(after.provider_id),
        "tries": 0 if after.counted else 1,
        "holds": int(after.state is State.HELD),
    }


def _kind(settlement: Settlement) -> OutcomeKind:
    claim = settlement.claim
    code = outcome_code(settlement.transition.reason)
    return OutcomeKind(claim.channel, settlement.provider or claim.provider, settlement.outcome, code)


def _release_siblings(connection: Connection, accepted: Sequence[Claim], now: datetime) -> None:
    """What was our own fault is mended on these lanes; what was held too often must be something of its own.

    That goes for what was said of one recipient too: a relay that denies relaying to everybody says it to each.
    """
    for channel in sorted({claim.channel for claim in accepted}):
        lanes = {claim.lane for claim in accepted if claim.channel == channel}
        held = and_(
            deliveries.c.channel == channel,
            deliveries.c.state == State.HELD,
            deliveries.c.lane.in_(lanes),
            deliveries.c.holds < _HOLDS_MOST,
        )
        connection.execute(unsent.changing(held).values(state=State.PENDING, due_at=now))


def _lapsed(connection: Connection, ids: Sequence[int]) -> set[tuple[int, int]]:
    """(delivery, attempt) of these deliveries' attempts that nobody has said anything about."""
    found: set[tuple[int, int]] = set()
    for some in in_slices(ids):
        query = select(attempts.c.delivery_id, attempts.c.attempt).where(
            among(connection, attempts.c.delivery_id, some), attempts.c.outcome.is_(None)
        )
        found |= {(row.delivery_id, row.attempt) for row in connection.execute(query)}
    return found
