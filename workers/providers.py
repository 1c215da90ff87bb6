"""The providers of one channel: which of them takes an attempt, how many at once, and how fast."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Outcome, Refused, outcome_code
from alertd.core.flow import PRIMARY, Flows, Passage, Room, Throttle
from alertd.core.message import Message
from alertd.core.segments import count_segments
from alertd.store.deliveries import Claim
from channels.base import Channel

_TOO_MANY: Final = frozenset({"429", "20429", "14107"})  # HTTP's and Twilio's
_TOO_MANY_SECONDS: Final = 1.0  # where it is not said how long to wait


class Providers:
    """A channel's providers by their names, in the order in which they are used, and their lanes."""

    def __init__(self, channels: Mapping[str, Channel], monotonic: Callable[[], float]) -> None:
        self._channels = dict(channels)
        self._now = monotonic
        self.first = self._channels[PRIMARY]
        self._flows = Flows(tuple(self._channels), self.first.budget.concurrency)
        self._throttles = {
            name: Throttle(channel.budget.rate, monotonic())
            for name, channel in self._channels.items()
            if channel.budget.rate is not None
        }
        # Attempts that have begun and not spent their units yet: their texts are still being read.
        self._unspent: dict[int, str] = {}
        # Of the last message; at first of the longest there can be.
        self._cost = self.first.budget.size if self.first.budget.counts_parts else 1

    def __getitem__(self, name: str) -> Channel:
        return self._channels[name]

    def get(self, name: str) -> Channel | None:
        """A provider that may have been taken away since it was last used."""
        return self._channels.get(name)

    def cost(self, message: Message) -> int:
        """The units that a message takes: SMS parts, or one."""
        if self.first.budget.counts_parts:
            self._cost = count_segments(message.text)
        return self._cost

    def room(self, limit: int) -> Room:
        """What may begin now, `limit` attempts at most."""
        now = self._now()
        most = {name: float(self._fits(name, limit, now)) for name in self._channels}
        return self._flows.room(int(min(limit, sum(most.values()))), most, now)

    def _fits(self, name: str, limit: int, now: float) -> int:
        if name not in self._throttles:
            return limit
        begun = sum(each == name for each in self._unspent.values())
        return max(0, self._throttles[name].fits(self._cost, now) - begun)

    def wait(self) -> float:
        """Seconds until the first provider's rate lets one more message go."""
        now = self._now()
        ready = [throttle.ready_at(self._cost, now) - now for throttle in self._throttles.values()]
        return min(ready) if len(ready) == len(self._channels) else 0.0

    def begin(self, claim: Claim) -> Passage:
        passage = self._flows.begin(claim.provider, claim.lane, self._now())
        if claim.provider in self._throttles:
            self._unspent[id(passage)] = claim.provider
        return passage

    def spend(self, passage: Passage, units: int) -> None:
        """A message of so many units goes out by that attempt."""
        self._unspent.pop(id(passage), None)
        if passage.provider in self._throttles:
            self._throttles[passage.provider].take(units, self._now())

    def let_go(self, passage: Passage) -> None:
        """That attempt ended without a word about the provider."""
        self._unspent.pop(id(passage), None)
        self._flows.let_go(passage, self._now())

    def end(self, passage: Passage, outcome: Outcome, refusals: Mapping[str, int]) -> bool:
        """Learn from what an attempt came to. Whether another provider takes over what this one says is our fault.

        `refusals`: by provider, how often it was our fault before for this recipient alone.
        """
        now = self._now()
        self._unspent.pop(id(passage), None)  # what a look-up found was not sent
        match outcome:
            case Misconfigured(reason, of_recipient):
                takes_over = self._has_other(passage.provider, refusals)
                if of_recipient:
                    self._flows.succeed(passage, now)
                    return takes_over
                return self._flows.refuse(passage, reason, now) and takes_over
            case Deferred(reason, retry_after) if _is_too_many(reason):
                seconds = _TOO_MANY_SECONDS if retry_after is None else retry_after.total_seconds()
                self._flows.pause(passage, now + seconds, now)
            case Deferred(reason, of_recipient=False):
                self._flows.fail(passage, reason, now)
            case Accepted() | Refused() | Gone() | Deferred():
                self._flows.succeed(passage, now)
        return False

    def _has_other(self, name: str, refusals: Mapping[str, int]) -> bool:
        """Whether another provider has not refused a recipient more often than this one before: each gets its turn."""
        least = refusals.get(name, 0)
        return any(refusals.get(other, 0) <= least for other in self._channels if other != name)

    def share(self, workers: int) -> None:
        """Keep to one part of so many of each provider's rate."""
        for throttle in self._throttles.values():
            throttle.share(workers, self._now())

    def circuits(self) -> list[dict[str, Any]]:
        """The circuits that are not closed: `channel`, `provider`, `lane`, `state`, `reason`, and their `age`."""
        now = self._now()
        return [
            {
                "channel": self.first.kind,
                "provider": fact.provider,
                "lane": fact.lane,
                "state": fact.stand,
                "reason": fact.reason,
                "age": timedelta(seconds=now - fact.since),
            }
            for fact in self._flows.not_closed(now)
        ]


def _is_too_many(reason: str) -> bool:
    """Whether that is all that a provider has against us; whatever else makes us wait is a failure of its own."""
    return outcome_code(reason) in _TOO_MANY or reason.startswith("429")
