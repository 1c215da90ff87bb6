"""What the deliveries of one channel say: alerts read once per revision, rendered once per language."""

import asyncio
from typing import Final

from anyio import to_thread

from alertd.core.message import Message, Rendered
from alertd.service import escalating, posting, views
from alertd.service.runtime import Runtime
from alertd.store import alerts
from alertd.store.deliveries import Claim
from alertd.store.rows import Row

_KEPT_MOST: Final = 64


class Outdated(Exception):
    """The alert has said something else since this delivery was claimed."""


class Texts:
    """The messages of one channel."""

    def __init__(self, rt: Runtime, channel: str) -> None:
        self._rt = rt
        self._channel = channel
        self._rendered: dict[tuple[str, int, str, int], Rendered] = {}
        self._alerts: dict[tuple[str, int], Row] = {}
        self._reading: dict[tuple[str, int], asyncio.Task[Row]] = {}

    async def of(self, claim: Claim) -> tuple[Row, Message]:
        """The alert's row and this recipient's copy: the same at every attempt. Raises Outdated, StoreUnavailable."""
        alert = await self._alert(claim)
        # By step, not by part: only a plan that is read says which part of the people a step goes to.
        key = (claim.alert_id, claim.revision, claim.language, claim.step)
        if key not in self._rendered:
            part = escalating.part_of(alert, claim.step)
            content = posting.content_of(self._rt, alert, part)
            self._rendered[key] = views.rendered(self._rt, content, claim.language, self._channel)
        text = self._rendered[key]
        return alert, views.personal(self._rt, text, claim.recipient_id, self._channel, claim.delivery_id)

    async def _alert(self, claim: Claim) -> Row:
        key = (claim.alert_id, claim.revision)
        if key in self._alerts:
            return self._alerts[key]
        # A new alert is claimed by the hundred, and all of them ask at once.
        if key not in self._reading:
            self._reading[key] = asyncio.create_task(self._read(claim))
            self._reading[key].add_done_callback(lambda _: self._reading.pop(key))
        return await asyncio.shield(self._reading[key])

    async def _read(self, claim: Claim) -> Row:
        row = await to_thread.run_sync(self._read_now, claim.alert_id)
        if row["revision"] != claim.revision:
            raise Outdated
        if len(self._alerts) >= _KEPT_MOST:
            self._alerts.clear()
            self._rendered.clear()
        self._alerts[claim.alert_id, claim.revision] = row
        return row

    def _read_now(self, alert_id: str) -> Row:
        with self._rt.store.read() as connection:
            row = alerts.get(connection, alert_id)
        assert row is not None
        return row
