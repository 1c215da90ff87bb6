"""Delivers what is due on one channel: claim under a lease, one attempt each, settle as the outcomes come."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from anyio import to_thread

from alertd.core.delivery import Accepted, Deferred, Misconfigured, Outcome, State, Transition, after_attempt
from alertd.core.errors import StoreUnavailable
from alertd.core.flow import Passage
from alertd.core.message import Message
from alertd.service.process_clock import steady
from alertd.service.runtime import Runtime
from alertd.store import deliveries, settlements, unsent
from alertd.store.deliveries import NOT_ATTEMPTED, REFUSED_RECIPIENT, Claim
from alertd.store.rows import Row
from alertd.store.settlements import Settlement
from channels.base import Channel, Traceable
from workers.ceiling import Ceiling
from workers.lease import Lease
from workers.providers import Providers
from workers.texts import Outdated, Texts

log = logging.getLogger(__name__)

_CLAIM_MOST: Final = 200
_SETTLE_SECONDS: Final = 0.05  # outcomes that come within this share a commit
_LOOK_SECONDS: Final = 0.25  # how often new work is looked for while attempts are under way
_STORE_RETRY_SECONDS: Final = 0.5
TICKET_SECONDS: Final = 30.0  # how long one ticket is worked on, so that RQ hears from its worker


class _LeaseLapsed(Exception):
    """Others may hold by now what was claimed: nothing of it may be sent."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of asking a provider."""

    outcome: Outcome
    provider: str


class Deliverer:
    """One channel's sender in one worker process. `drain` may be called again and again; one runs at a time.

    `channels` are the channel's providers by their names, in the order in which they are used.
    """

    def __init__(
        self,
        rt: Runtime,
        channels: Mapping[str, Channel],
        worker_id: str,
        *,
        lease: Lease | None = None,
        monotonic: Callable[[], float] = steady,
    ) -> None:
        self._rt = rt
        self._worker_id = worker_id
        self._monotonic = monotonic
        self._lease = lease or Lease(monotonic(), float("inf"))
        self._providers = Providers(channels, monotonic)
        first = self._providers.first
        self._kind = first.kind
        self._texts = Texts(rt, first.kind)
        self._ceiling = Ceiling(rt, first.kind, first.budget.daily_parts)
        self._one_at_a_time = asyncio.Lock()
        self._settling = asyncio.Lock()
        self._stopping = False
        self._forgotten = True
        self._under_way: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        self._ended, self._worth = 0, 1
        self._more_is_due = True
        self._outcomes: list[Settlement] = []
        self._unattempted: list[Claim] = []

    def stop(self) -> None:
        """Claim nothing more; what is in hand is finished."""
        self._stopping = True

    def drop(self) -> None:
        """Break off every attempt under way without a word: others may hold these deliveries by now."""
        self._forgotten = True
        for task in self._under_way:
            task.cancel()

    @property
    def may_hold_more(self) -> bool:
        """Whether deliveries may stand under our name that we know nothing of: the next `drain` gives them back."""
        return self._forgotten

    def share(self, workers: int) -> None:
        """Keep to one part of so many of what the providers take in a second."""
        self._providers.share(workers)

    def circuits(self) -> list[dict[str, Any]]:
        """What keeps attempts back just now: see `Providers.circuits`."""
        return self._providers.circuits()

    async def drain(self) -> int:
        """Attempt what is due until nothing is, or until the ticket's time is up; the number of attempts."""
        async with self._one_at_a_time:
            self._forgotten = True
            drained = asyncio.Event()
            settling = asyncio.create_task(self._settle_until(drained))
            try:
                return await self._drain()
            finally:
                drained.set()
                await settling

    async def _drain(self) -> int:
        self._more_is_due = True
        attempts, ends_at = 0, time.monotonic() + TICKET_SECONDS
        while True:
            self._look.clear()
            self._ended = 0
            may_claim = not self._stopping and time.monotonic() < ends_at
            claims = await self._claim() if may_claim else []
            for claim in claims:
                self._begin(claim)
            attempts += len(claims)
            if len(claims) == _CLAIM_MOST:
                continue
            wait = self._providers.wait() if may_claim and self._more_is_due else 0.0
            if not self._under_way and not wait and not (may_claim and self._ended):
                return attempts
            # What ended while work was looked for may have made room for more.
            if self._under_way or not self._ended:
                await self._rest(min(wait, _LOOK_SECONDS) if wait else _LOOK_SECONDS)

    async def _rest(self, longest: float) -> None:
        """Until a new look for work is worth it."""
        # A claim for every single place that falls free would cost more than it gives.
        self._ended, self._worth = 0, max(1, len(self._under_way) // 4)
        try:
            async with asyncio.timeout(longest):
                await self._look.wait()
        except TimeoutError:
            return

    def _begin(self, claim: Claim) -> None:
        task = asyncio.create_task(self._attempt(claim, self._providers.begin(claim)))
        self._under_way.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._ended += 1
        if not self._under_way or (self._more_is_due and self._ended >= self._worth):
            self._look.set()

    async def _claim(self) -> list[Claim]:
        """What is due and now ours; nothing while the store is away: attempts under way must not be left alone."""
        limit = min(self._providers.first.budget.concurrency - len(self._under_way), _CLAIM_MOST)
        room = self._providers.room(limit)
        if room.limit <= 0 or not self._lease.is_fresh(self._monotonic()):
            return []
        if self._forgotten and not await self._settle():
            return []  # what is known to have gone out must not be claimed again as lost
        wanted = room.limit

        def claim_now() -> list[Claim]:
            now = self._rt.now()
            with self._rt.store.write() as connection:
                if self._forgotten and not self._under_way:
                    # Nothing is under way: whatever still stands under our name was lost by a fault.
                    unsent.lapse(connection, [self._worker_id], now)
                self._ceiling.look(connection)
                return deliveries.claim(connection, self._kind, self._worker_id, wanted, now, room)

        try:
            claims = await to_thread.run_sync(claim_now)
        except StoreUnavailable as error:
            log.warning("the store is unavailable: %s", error)
            # It may have been cut off after the commit: then these are ours, and we do not know which.
            self._forgotten = True
            return []
        self._forgotten = self._forgotten and bool(self._under_way)
        self._more_is_due = len(claims) == wanted or room.is_short
        return claims

    async def _attempt(self, claim: Claim, passage: Passage) -> None:
        alert: Row | None = None
        units = 0
        began = False
        try:
            alert, message = await self._texts.of(claim)
            units = self._providers.cost(message)
            refusal = self._ceiling.refusal(claim.drill, units)
            if refusal is not None:
                self._providers.let_go(passage)
                cancelled = Transition(State.CANCELLED, refusal, counted=False)
                self._outcomes.append(Settlement(claim, NOT_ATTEMPTED, cancelled))
                return
            answer = await self._look_up(claim, message)
            if answer is None:
                began = True
                answer = await self._send(claim, passage, message, alert["expires_at"], units)
        except (Outdated, _LeaseLapsed, StoreUnavailable):
            self._providers.let_go(passage)
            self._unattempted.append(claim)
            return
        except asyncio.CancelledError:
            self._providers.let_go(passage)
            raise
        except Exception as error:
            # A fault of ours in one message must not take the others down, nor lose this one.
            log.exception("an attempt broke", extra={"delivery": claim.delivery_id})
            broken = Deferred(f"internal error: {type(error).__name__}", timedelta(seconds=30), dark=began)
            self._providers.let_go(passage)
            self._keep(claim, _Answer(broken, claim.provider), alert, elsewhere=False, units=0)
            return
        elsewhere = False
        if answer.provider == passage.provider:
            elsewhere = self._providers.end(passage, answer.outcome, claim.refusals)
        else:
            self._providers.let_go(passage)
        self._keep(claim, answer, alert, elsewhere=elsewhere, units=units)

    def _keep(self, claim: Claim, answer: _Answer, alert: Row | None, *, elsewhere: bool, units: int) -> None:
        """Let what an attempt came to be settled."""
        now = self._rt.now()
        transition = after_attempt(
            answer.outcome,
            attempt=claim.tries,
            severity=alert["severity"] if alert else "unknown",
            now=now,
            expires_at=alert["expires_at"] if alert else now + timedelta(days=1),
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
            elsewhere=elsewhere,
        )
        word = _word(answer.outcome)
        dark = isinstance(answer.outcome, Deferred) and answer.outcome.dark
        self._outcomes.append(Settlement(claim, word, transition, answer.provider, dark, units))

    async def _look_up(self, claim: Claim, message: Message) -> _Answer | None:
        """What the providers say at which an attempt ended in the dark, as far as they can be asked; None: nothing."""
        waits: _Answer | None = None
        for where, since in claim.dark.items():
            earlier = self._providers.get(where)
            if earlier is None or not isinstance(earlier, Traceable):
                continue
            found = await earlier.find(claim.address, message, since=since, others=claim.others)
            if isinstance(found, Accepted):
                return _Answer(found, where)
            # When it cannot be asked, and its circuit is open, this one goes out over the other provider: twice is
            # better than never.
            if found is not None and where == claim.provider:
                waits = _Answer(found, where)
        return waits

    async def _send(
        self, claim: Claim, passage: Passage, message: Message, expires_at: datetime, units: int
    ) -> _Answer:
        """One attempt."""
        if not self._lease.is_fresh(self._monotonic()):
            raise _LeaseLapsed
        self._providers.spend(passage, units)
        channel = self._providers[claim.provider]
        outcome = await channel.send(claim.address, message, key=claim.key, expires_at=expires_at)
        return _Answer(outcome, claim.provider)

    async def _settle_until(self, drained: asyncio.Event) -> None:
        """Settle in groups until the drain has ended and nothing is left; a store that is away is waited for."""
        while not drained.is_set() or self._outcomes or self._unattempted:
            await asyncio.sleep(_SETTLE_SECONDS)
            if not await self._settle():
                await asyncio.sleep(_STORE_RETRY_SECONDS)

    async def _settle(self) -> bool:
        """Write the outcomes there are; False when the store could not take them, which keeps them for later."""
        async with self._settling:
            ended, self._outcomes = self._outcomes, []
            unattempted, self._unattempted = self._unattempted, []
            if not ended and not unattempted:
                return True
            try:
                await to_thread.run_sync(self._settle_now, ended, unattempted)
            except StoreUnavailable as error:
                log.warning("outcomes wait for the store: %s", error)
                self._outcomes = ended + self._outcomes
                self._unattempted = unattempted + self._unattempted
                return False
            except Exception:
                self._unattempted = unattempted + self._unattempted
                await self._settle_each(ended)
            return True

    async def _settle_each(self, ended: list[Settlement]) -> None:
        """Write outcomes one by one, because one of them cannot be kept: that one without its provider's words."""
        for settlement in ended:
            plain = replace(settlement.transition, reason="the provider's words cannot be kept", provider_id=None)
            for attempt in (settlement, replace(settlement, transition=plain)):
                try:
                    await to_thread.run_sync(self._settle_now, [attempt], [])
                    break
                except StoreUnavailable:
                    self._outcomes.append(attempt)
                    break
                except Exception:
                    log.exception("an outcome cannot be kept", extra={"delivery": settlement.claim.delivery_id})

    def _settle_now(self, ended: list[Settlement], unattempted: list[Claim]) -> None:
        with self._rt.store.write() as connection:
            now = self._rt.now()
            written = settlements.settle(connection, ended, now)
            deliveries.unclaim(connection, unattempted, now)
            units = sum(each.units for each in written if each.transition.state is State.SENT)
            if units and self._providers.first.budget.counts_parts:
                self._ceiling.use(connection, units)
        self._ceiling.tell()
        for alert_id in {settlement.claim.alert_id for settlement in written}:
            self._rt.bell.changed(alert_id)
        for reason in {each.transition.reason for each in written if each.transition.state is State.HELD}:
            log.error("deliveries are held until this is mended: %s", reason, extra={"channel": self._kind})


def _word(outcome: Outcome) -> str:
    """How an attempt ended, for its row."""
    if isinstance(outcome, Misconfigured) and outcome.of_recipient:
        return REFUSED_RECIPIENT
    return type(outcome).__name__.lower()
