"""Delivers what is due on one channel: claim under a lease, one attempt each, settle as the outcomes come."""

import asyncio
import logging
import random
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from anyio import to_thread

from alertd.core.delivery import Deferred, Outcome, State, after_attempt
from alertd.core.errors import StoreUnavailable
from alertd.core.message import Message, Rendered
from alertd.service import posting, views
from alertd.service.runtime import Runtime
from alertd.store import alerts, deliveries
from alertd.store.deliveries import Claim, Settlement
from alertd.store.rows import Row
from channels.base import Channel, Traceable

log = logging.getLogger(__name__)

_CLAIM_MOST: Final = 200
_SETTLE_SECONDS: Final = 0.05  # outcomes that come within this share a commit
_LOOK_SECONDS: Final = 0.25  # how often new work is looked for while attempts are under way
_TEXTS_MOST: Final = 64
_STORE_RETRY_SECONDS: Final = 0.5
TICKET_SECONDS: Final = 30.0  # how long one ticket is worked on, so that RQ hears from its worker


class Deliverer:
    """One channel's sender in one worker process. `drain` may be called again and again; one runs at a time."""

    def __init__(self, rt: Runtime, channel: Channel, worker_id: str) -> None:
        self._rt = rt
        self._channel = channel
        self._worker_id = worker_id
        self._one_at_a_time = asyncio.Lock()
        self._stopping = False
        self._forgotten = True
        self._outcomes: list[Settlement] = []
        self._texts: dict[tuple[str, int, str], Rendered] = {}
        self._alerts: dict[tuple[str, int], Row] = {}

    def stop(self) -> None:
        """Claim nothing more; what is in hand is finished."""
        self._stopping = True

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
        most = self._channel.budget.concurrency
        worth = max(1, most // 4)  # a claim for every single place that falls free would cost more than it gives
        under_way: set[asyncio.Task[None]] = set()
        more_is_due = True
        least = worth
        look = asyncio.Event()

        def end(task: asyncio.Task[None]) -> None:
            under_way.discard(task)
            if not under_way or (more_is_due and most - len(under_way) >= worth):
                look.set()

        attempts, ends_at = 0, time.monotonic() + TICKET_SECONDS
        while True:
            look.clear()
            room = min(most - len(under_way), _CLAIM_MOST)
            claims: list[Claim] = []
            if room >= least and not self._stopping and time.monotonic() < ends_at:
                claims = await self._claim(room)
                more_is_due = len(claims) == room
            attempts += len(claims)
            for claim in claims:
                task = asyncio.create_task(self._attempt(claim))
                under_way.add(task)
                task.add_done_callback(end)
            if not under_way:
                return attempts
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await look.wait()
                least = worth
            except TimeoutError:
                least = 1  # attempts hang: whatever place there is goes to new work

    async def _claim(self, most: int) -> list[Claim]:
        """What is due and now ours; nothing while the store is away: attempts under way must not be left alone."""
        try:
            return await to_thread.run_sync(self._claim_now, most)
        except StoreUnavailable as error:
            log.warning("the store is unavailable: %s", error)
            return []

    def _claim_now(self, most: int) -> list[Claim]:
        now = self._rt.now()
        with self._rt.store.write() as connection:
            if self._forgotten:
                # Nothing is under way when a drain begins: whatever still stands under our name was lost by a fault.
                deliveries.lapse(connection, [self._worker_id], now)
            claims = deliveries.claim(connection, self._channel.kind, self._worker_id, most, now)
        self._forgotten = False
        return claims

    async def _attempt(self, claim: Claim) -> None:
        outcome: Outcome
        try:
            alert = await self._alert(claim)
            message = self._message(claim, alert)
            outcome = await self._send(claim, message, alert["expires_at"])
        except Exception as error:
            # A fault of ours in one message must not take the others down, nor lose this one.
            log.exception("an attempt broke", extra={"delivery": claim.delivery_id})
            outcome = Deferred(f"internal error: {type(error).__name__}", timedelta(seconds=30))
            alert = None
        now = self._rt.now()
        transition = after_attempt(
            outcome,
            attempt=claim.tries,
            severity=alert["severity"] if alert else "unknown",
            now=now,
            expires_at=alert["expires_at"] if alert else now + timedelta(days=1),
            jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
        )
        self._outcomes.append(Settlement(claim, type(outcome).__name__.lower(), transition))

    async def _send(self, claim: Claim, message: Message, expires_at: datetime) -> Outcome:
        """One attempt; after one that ended in the dark the provider is asked first, where it can be."""
        if claim.dark_since is not None and isinstance(self._channel, Traceable):
            found = await self._channel.find(claim.address, message, since=claim.dark_since)
            if found is not None:
                return found
        return await self._channel.send(claim.address, message, key=claim.key, expires_at=expires_at)

    async def _alert(self, claim: Claim) -> Row:
        key = (claim.alert_id, claim.revision)
        if key not in self._alerts:
            row = await to_thread.run_sync(self._read_alert, claim.alert_id)
            if len(self._alerts) >= _TEXTS_MOST:
                self._alerts.clear()
                self._texts.clear()
            self._alerts[key] = row
        return self._alerts[key]

    def _read_alert(self, alert_id: str) -> Row:
        with self._rt.store.read() as connection:
            row = alerts.get(connection, alert_id)
        assert row is not None
        return row

    def _message(self, claim: Claim, alert: Row) -> Message:
        key = (claim.alert_id, claim.revision, claim.language)
        if key not in self._texts:
            content = posting.content_of(self._rt, alert)
            self._texts[key] = views.rendered(self._rt, content, claim.language, self._channel.kind)
        return views.personal(self._rt, self._texts[key], claim.recipient_id, self._channel.kind)

    async def _settle_until(self, drained: asyncio.Event) -> None:
        """Settle in groups until the drain has ended and nothing is left; a store that is away is waited for."""
        while not drained.is_set() or self._outcomes:
            await asyncio.sleep(_SETTLE_SECONDS)
            if not await self._settle():
                await asyncio.sleep(_STORE_RETRY_SECONDS)

    async def _settle(self) -> bool:
        """Write the outcomes there are; False when the store could not take them, which keeps them for later."""
        settlements, self._outcomes = self._outcomes, []
        if not settlements:
            return True
        try:
            await to_thread.run_sync(self._settle_now, settlements)
        except StoreUnavailable as error:
            log.warning("outcomes wait for the store: %s", error)
            self._outcomes = settlements + self._outcomes
            return False
        except Exception:
            await self._settle_each(settlements)
        return True

    async def _settle_each(self, settlements: list[Settlement]) -> None:
        """Write outcomes one by one, because one of them cannot be kept: that one without its provider's words."""
        for settlement in settlements:
            plain = replace(settlement.transition, reason="the provider's words cannot be kept", provider_id=None)
            for attempt in (settlement, replace(settlement, transition=plain)):
                try:
                    await to_thread.run_sync(self._settle_now, [attempt])
                    break
                except StoreUnavailable:
                    self._outcomes.append(attempt)
                    break
                except Exception:
                    log.exception("an outcome cannot be kept", extra={"delivery": settlement.claim.delivery_id})

    def _settle_now(self, settlements: list[Settlement]) -> None:
        with self._rt.store.write() as connection:
            written = deliveries.settle(connection, settlements, self._rt.now())
        for alert_id in {settlement.claim.alert_id for settlement in written}:
            self._rt.bell.changed(alert_id)
        for reason in {each.transition.reason for each in written if each.transition.state is State.HELD}:
            log.error("deliveries are held until this is mended: %s", reason, extra={"channel": self._channel.kind})
