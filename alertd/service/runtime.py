"""What every use case needs from the installation it runs in."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, tzinfo
from typing import Protocol

from alertd.core.acknowledgement import TokenKeys
from alertd.core.ids import make_id
from alertd.core.message import Budget
from alertd.core.roles import Role
from alertd.service.process_clock import ProcessClock
from alertd.store.engine import Store


class Bell(Protocol):
    """Wakes whoever must look at the rows. Carries nothing, promises nothing, never blocks and never raises."""

    def events(self) -> None:
        """The event log has grown."""
        ...

    def work(self, channels: Iterable[str]) -> None:
        """These channels have deliveries due."""
        ...

    def changed(self, alert_id: str) -> None:
        """An alert's counts may have changed."""
        ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """The installation: its store, its bell, its clock, and how it speaks."""

    store: Store
    bell: Bell
    now: Callable[[], datetime]
    tokens: TokenKeys
    public_url: str  # no trailing slash
    organisation: str
    zone: tzinfo
    region: str
    budgets: Mapping[str, Budget]  # by channel, in the order in which channels are listed
    parse: Mapping[str, Callable[[Mapping[str, str]], Mapping[str, str]]]  # by channel: the address, or AddressError
    lanes: Mapping[str, Callable[[Mapping[str, str]], str]]  # by channel: the lane that an address lies in
    records: Mapping[str, str]  # by channel: the name under which a person's record holds its address
    secrets: frozenset[str] = frozenset()  # those of these names whose addresses are shown to nobody
    missing: Mapping[str, str] = field(default_factory=dict)  # channels that are not set up, and what they lack
    self_test: time | None = None  # when the daily self-test goes out, local; None: never
    roles: tuple[str, ...] = ("clock", "web", "poller")  # what is to run beside a worker for each channel
    host_fault: Callable[[str], str | None] = lambda _url: None  # why no source may be asked at a URL, if so
    webhook_fault: Callable[[str], str | None] = lambda _url: None  # why nothing may be told to a URL, if so
    clock: ProcessClock | None = None  # what `now` comes from where there are other processes to compare it with

    def require_room(self) -> None:
        """Raises DiskFull while the store has no room for anything new."""
        if self.store.ballast is not None:
            self.store.ballast.require_room()

    def new_id(self) -> str:
        return make_id(self.now(), os.urandom(10))

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(self.budgets)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, and what they may."""

    person_id: str
    name: str
    language: str
    role: Role
    credential_id: str
    kind: str  # token | session | system

    def may(self, role: Role) -> bool:
        return self.role >= role
