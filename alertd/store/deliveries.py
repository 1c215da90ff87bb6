"""Deliveries: laid down, claimed under a lease, settled against the attempt that was claimed."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, exists, insert, literal, or_, select, update

from alertd.core.delivery import State
from alertd.core.flow import PRIMARY, Room
from alertd.store import unsent
from alertd.store.columns import UtcDateTime
from alertd.store.rows import Row, among, given, in_slices
from alertd.store.schema import alerts, attempts, deliveries, people, recipients, subscriptions

_WORDS_MAX: Final = 500  # characters that the columns for a provider's words hold
_CLAIM_ROUNDS: Final = 8  # looks past lanes that turn out to be full
NOT_ATTEMPTED: Final = "not attempted"
REFUSED_RECIPIENT: Final = "not this recipient"  # how an attempt ends that is our fault for one recipient alone


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery in a worker's hands: everything that one attempt needs but the alert's text."""

    delivery_id: int
    attempt: int
    tries: int
    alert_id: str
    revision: int
    step: int
    repeat: int
    subscription_id: str
    recipient_id: int
    channel: str
    lane: str
    provider: str  # at which this attempt is to be made
    address: Mapping[str, str]
    language: str
    drill: bool
    dark: Mapping[str, datetime]  # by provider, when the first attempt began of which nobody knows how it ended
    others: frozenset[str]  # while there are such: the providers' names for other deliveries to this recipient
    refusals: Mapping[str, int]  # by provider, how often it was our fault there for this recipient alone

    @property
    def key(self) -> str:
        """The delivery's name, the same at every attempt."""
        return f"{self.alert_id}.{self.revision}.{self.step}.{self.repeat}.{self.subscription_id}"


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Lay down deliveries, all of them due at once."""
    # What is to come back is sent as one statement: the triggers cost as much for one row as for all.
    laid = insert(deliveries).returning(deliveries.c.id)
    for some in in_slices(rows):
        connection.execute(laid, [dict(row) for row in some])


def claim(
    connection: Connection, channel: str, worker_id: str, limit: int, now: datetime, room: Room | None = None
) -> list[Claim]:
    """Take up to `limit` due deliveries: attempt number, lease and provider are committed with this transaction,
    before the first byte leaves.

    `room` says which lanes have places for how many, and is used up; without it there is room for `limit` of any
    lane. Lanes that are full are passed over, so that they keep nobody waiting.
    """
    room = room or Room.for_any(limit)
    taken: dict[int, str] = {}
    refusals: dict[int, Counter[str]] = {}
    passed_over: list[int] = []
    for _ in range(_CLAIM_ROUNDS):
        wanted = min(limit - len(taken), room.limit)
        if wanted <= 0:
            break
        candidates = connection.execute(_candidates(channel, room, wanted, now, passed_over)).all()
        refusals |= _refusals(connection, [row.id for row in candidates if row.attempt > 0])
        places = {row.id: room.take(row.lane, refusals.get(row.id, {})) for row in candidates}
        chosen = {number: provider for number, provider in places.items() if provider is not None}
        passed_over += [number for number, provider in places.items() if provider is None and number in refusals]
        _take(connection, list(chosen), worker_id)
        taken |= chosen
        if len(candidates) < wanted or len(chosen) == len(candidates):
            break
    if not taken:
        return []
    claims = _claims(connection, taken, refusals)
    used = {claim.delivery_id: claim.provider for claim in claims}
    if len(used) < len(taken):
        _leave(connection, sorted(taken.keys() - used.keys()))
    _begin_attempts(connection, used, now)
    return claims


def _candidates(channel: str, room: Room, limit: int, now: datetime, but: Collection[int]) -> Select[Any]:
    """The due deliveries that go first among the lanes with room, locked: `id`, `lane`, `attempt`."""
    query = (
        select(deliveries.c.id, deliveries.c.lane, deliveries.c.attempt)
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(deliveries.c.channel == channel, *_claimable(now))
        .order_by(deliveries.c.rank, deliveries.c.due_at, deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=deliveries)
    )
    if but:
        query = query.where(deliveries.c.id.not_in(but))
    any_other, lanes = room.lanes()
    if not any_other:
        return query.where(deliveries.c.lane.in_(lanes))
    return query.where(deliveries.c.lane.not_in(lanes)) if lanes else query


def _claimable(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Due, and of the current revision of an alert that has not run out: one that was called off says so."""
    return (
        deliveries.c.state == State.PENDING,
        deliveries.c.due_at <= now,
        alerts.c.state.in_(("active", "cancelled")),
        alerts.c.revision == deliveries.c.revision,
        alerts.c.expires_at > now,
        # Of two versions under way at once the older might arrive last, and stand where the newer should.
        or_(deliveries.c.revision == 1, ~_is_older_under_way()),
    )


def _is_older_under_way() -> ColumnElement[bool]:
    older = deliveries.alias("older")
    return exists().where(
        older.c.subscription_id == deliveries.c.subscription_id,
        older.c.alert_id == deliveries.c.alert_id,
        older.c.revision < deliveries.c.revision,
        older.c.state == State.SENDING,
    )


def _take(connection: Connection, ids: Sequence[int], worker_id: str) -> None:
    taken = update(deliveries).values(
        state=State.SENDING, worker_id=worker_id, attempt=deliveries.c.attempt + 1, tries=deliveries.c.tries + 1
    )
    for some in in_slices(ids):
        connection.execute(taken.where(among(connection, deliveries.c.id, some)))


def _leave(connection: Connection, ids: Sequence[int]) -> None:
    """Cancel what was taken for addresses that are not used any more: by now they may be somebody else's. On PostgreSQL
    whoever lays down and whoever takes an address away do not see each other until both are done.
    """
    left = {"state": State.CANCELLED, "reason": unsent.ADDRESS_GONE, "worker_id": None}
    counted = {"attempt": deliveries.c.attempt - 1, "tries": deliveries.c.tries - 1}
    for some in in_slices(ids):
        these = among(connection, deliveries.c.id, some)
        connection.execute(update(deliveries).where(these).values(**left, **counted))


def _begin_attempts(connection: Connection, taken: Mapping[int, str], now: datetime) -> None:
    """Write that these deliveries are being attempted, each at its provider; what stands in them is not sent back."""
    by_provider: dict[str, list[int]] = {}
    for number, provider in taken.items():
        by_provider.setdefault(provider, []).append(number)
    for provider, numbers in by_provider.items():
        for some in in_slices(numbers):
            delivery, at = deliveries.c, literal(now, UtcDateTime)
            begun = select(delivery.id, delivery.attempt, delivery.worker_id, literal(provider), at)
            names = ("delivery_id", "attempt", "worker_id", "provider", "started_at")
            rows = begun.where(among(connection, delivery.id, some))
            connection.execute(insert(attempts).from_select(names, rows))


def _dark(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, datetime]]:
    """Of these deliveries those with earlier attempts whose end nobody knows: by provider, when the first began."""
    query = (
        select(attempts.c.delivery_id, attempts.c.started_at, attempts.c.provider)
        .where(among(connection, attempts.c.delivery_id, ids), attempts.c.ended_at.is_(None))
        .order_by(attempts.c.attempt)
    )
    found: dict[int, dict[str, datetime]] = {}
    for row in connection.execute(query):
        found.setdefault(row.delivery_id, {}).setdefault(row.provider or PRIMARY, row.started_at)
    return found


def _refusals(connection: Connection, ids: Sequence[int]) -> dict[int, Counter[str]]:
    """Of these deliveries those whose recipient a provider did not let us write to: by provider, how often."""
    found: dict[int, Counter[str]] = {}
    for some in in_slices(ids):
        query = select(attempts.c.delivery_id, attempts.c.provider).where(
            among(connection, attempts.c.delivery_id, some), attempts.c.outcome == REFUSED_RECIPIENT
        )
        for row in connection.execute(query):
            found.setdefault(row.delivery_id, Counter())[row.provider or PRIMARY] += 1
    return found


def _others(connection: Connection, ids: Collection[int]) -> dict[int, set[str]]:
    """The providers' names for all other deliveries to the recipients of these, on the same channel."""
    this, other = deliveries.alias("this"), deliveries.alias("other")
    query = (
        select(this.c.id, other.c.provider_id)
        .join(other, (other.c.recipient_id == this.c.recipient_id) & (other.c.channel == this.c.channel))
        .where(this.c.id.in_(ids), other.c.id != this.c.id, other.c.provider_id.is_not(None))
    )
    found: dict[int, set[str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.id, set()).add(row.provider_id)
    return found


_CLAIMED: Final = (
    "id", "attempt", "tries", "alert_id", "revision", "step", "repeat",
    "subscription_id", "recipient_id", "channel", "lane",
)  # fmt: skip


def _claims(connection: Connection, taken: Mapping[int, str], refusals: Mapping[int, Mapping[str, int]]) -> list[Claim]:
    """Those of these deliveries whose address is still used, each to be attempted at its provider."""
    claims: list[Claim] = []
    for ids in in_slices(list(taken)):
        dark = _dark(connection, ids)
        others = _others(connection, list(dark)) if dark else {}
        query = (
            select(
                *(deliveries.c[name] for name in _CLAIMED),
                subscriptions.c.address,
                people.c.language,
                alerts.c.drill,
            )
            .join(subscriptions, subscriptions.c.id == deliveries.c.subscription_id)
            .join(people, people.c.id == subscriptions.c.person_id)
            .join(alerts, alerts.c.id == deliveries.c.alert_id)
            .where(among(connection, deliveries.c.id, ids), subscriptions.c.retired_at.is_(None))
            .order_by(deliveries.c.rank, deliveries.c.due_at, deliveries.c.id)
        )
        for row in connection.execute(query):
            claims.append(
                Claim(
                    delivery_id=row.id,
                    attempt=row.attempt,
                    tries=row.tries,
                    alert_id=row.alert_id,
                    revision=row.revision,
                    step=row.step,
                    repeat=row.repeat,
                    subscription_id=row.subscription_id,
                    recipient_id=row.recipient_id,
                    channel=row.channel,
                    lane=row.lane,
                    provider=taken[row.id],
                    address=row.address,
                    language=row.language,
                    drill=row.drill,
                    dark=dark.get(row.id, {}),
                    others=frozenset(others.get(row.id, ())),
                    refusals=refusals.get(row.id, {}),
                )
            )
    return claims


def unclaim(connection: Connection, claims: Sequence[Claim], now: datetime) -> int:
    """Give back what will not be attempted, as if it had never been claimed. Returns how many were still theirs."""
    still = [(row.id, row.attempt) for row in locked(connection, claims) if row.state == State.SENDING]
    ours = [claim for claim in claims if (claim.delivery_id, claim.attempt) in still]
    given_back = {"state": State.PENDING, "worker_id": None, "tries": deliveries.c.tries - 1}
    for some in in_slices(ours):
        ids = [claim.delivery_id for claim in some]
        connection.execute(update(deliveries).where(among(connection, deliveries.c.id, ids)).values(**given_back))
    close_attempts(connection, [(claim, NOT_ATTEMPTED, None, now) for claim in ours])
    return len(ours)


def locked(connection: Connection, claims: Sequence[Claim]) -> list[Any]:
    """How these deliveries stand now (`id`, `attempt`, `state`, `accepted_at`), locked in the order of their ids."""
    rows: list[Any] = []
    for ids in in_slices(sorted({claim.delivery_id for claim in claims})):
        query = select(deliveries.c.id, deliveries.c.attempt, deliveries.c.state, deliveries.c.accepted_at)
        rows += connection.execute(
            query.where(among(connection, deliveries.c.id, ids)).order_by(deliveries.c.id).with_for_update()
        ).all()
    return rows


def close_attempts(connection: Connection, ends: Sequence[tuple[Claim, str, str | None, datetime | None]]) -> None:
    """Write how attempts ended: outcome, reason, and when; no time when only the provider knows how."""
    if not ends:
        return
    values = [
        {
            "delivery_id": claim.delivery_id,
            "attempt": claim.attempt,
            "outcome": outcome,
            "reason": reason,
            "ended_at": end,
        }
        for claim, outcome, reason, end in ends
    ]
    for some in in_slices(values):
        its = given(connection, some, _END).c
        this = (attempts.c.delivery_id == its.delivery_id) & (attempts.c.attempt == its.attempt)
        ended = update(attempts).where(this)
        connection.execute(ended.values(outcome=its.outcome, reason=its.reason, ended_at=its.ended_at))


_END: Final = (attempts.c.delivery_id, attempts.c.attempt, attempts.c.outcome, attempts.c.reason, attempts.c.ended_at)


def kept(words: str | None) -> str | None:
    """A provider's words as they can be kept: what the store refused would be attempted again and again."""
    if words is None:
        return None
    return str(words).replace("\0", " ").encode("utf-8", "replace").decode()[:_WORDS_MAX]


def due_channels(connection: Connection, now: datetime) -> list[str]:
    """The channels that have deliveries which can be claimed now."""
    waiting = select(deliveries.c.channel).where(deliveries.c.state == State.PENDING).distinct().cte("waiting")
    claimable = (
        select(deliveries.c.id)
        .join(alerts, alerts.c.id == deliveries.c.alert_id)
        .where(deliveries.c.channel == waiting.c.channel, *_claimable(now))
    )
    return list(connection.execute(select(waiting.c.channel).where(claimable.exists())).scalars())


def of_people(connection: Connection, alert_id: str, person_ids: Collection[str]) -> list[Row]:
    """The deliveries of an alert to these people, with `person_id`."""
    found: list[Row] = []
    for some in in_slices(list(person_ids)):
        query = (
            select(deliveries, recipients.c.person_id)
            .join(recipients, recipients.c.id == deliveries.c.recipient_id)
            .where(recipients.c.alert_id == alert_id, recipients.c.person_id.in_(some))
            .order_by(deliveries.c.id)
        )
        found += [row._asdict() for row in connection.execute(query)]
    return found
