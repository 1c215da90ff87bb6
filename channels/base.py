"""What a channel is. Nothing here knows any particular one."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import ClassVar, Final, Protocol, runtime_checkable

from yarl import URL

from alertd.core.alert import Bilingual
from alertd.core.delivery import Misconfigured, Outcome, Receipt
from alertd.core.message import Budget, Message

Address = Mapping[str, str]
"""A subscription's address: the channel's own `fields`, checked and normalised by `parse_address`."""


class SignatureError(Exception):
    """A webhook call that the provider did not sign."""


@dataclass(frozen=True, slots=True)
class Field:
    """One part of an address. Whoever knows a `secret` one can write to that person: it is shown to nobody."""

    name: str
    required: bool = True
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a channel, named without the `ALERTD_` prefix.

    A `shared` one says how the channel speaks, whichever provider carries it: there is no second of it.
    """

    name: str
    help: str
    secret: bool = False
    shared: bool = False


class SettingFaults(Exception):
    """Everything that is wrong with a channel's settings, as (name without prefix, what would be right)."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {message}" for name, message in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class VapidKey:
    """A VAPID key pair (RFC 8292): `id` is remembered with each subscription that was made under it."""

    id: str
    private_key: str = field(repr=False)  # raw 32-byte scalar, base64url without padding
    public_key: str = ""  # uncompressed P-256 point, 65 bytes, base64url without padding


@dataclass(frozen=True, slots=True)
class Context:
    """What every channel may need to know about this installation."""

    public_url: str  # no trailing slash
    organisation: str
    region: str  # ISO 3166 code, for phone numbers written without a country
    vapid_keys: Mapping[str, VapidKey] = field(default_factory=dict)  # by id, retired ones included
    now: Callable[[], datetime] = lambda: datetime.now(UTC)  # the installation's time: one machine's clock may be wrong


class Channel(Protocol):
    """One way to a person. Makes one attempt, never retries, never raises for a provider's answer."""

    @property
    def kind(self) -> str:
        """The channel's name in plans, summaries and subscriptions."""
        ...

    @property
    def budget(self) -> Budget:
        """What a message must fit, and how many attempts may run at once."""
        ...

    def parse_address(self, raw: Mapping[str, str]) -> Address:
        """The normalised address, or AddressError."""
        ...

    def lane(self, address: Address) -> str:
        """What this address depends on beside the provider, "" when on nothing: a push service's host, a mail domain.

        Lanes fail apart: one that hangs takes no places from the others.
        """
        ...

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        """One attempt. `key` is the delivery's, the same at every attempt."""
        ...

    async def aclose(self) -> None:
        """Give back kept connections."""
        ...


class ChannelType(Protocol):
    """A channel's class, as the registry lists it."""

    kind: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    settings: ClassVar[tuple[Setting, ...]]
    has_second: ClassVar[bool]  # whether a second provider can stand in for the first
    on_record: ClassVar[bool]  # whether the address, its one field, stands with the person; else people add their own
    is_extra: ClassVar[bool]  # whether nothing is lacking where it is not set up: no worker, no word of it

    @classmethod
    def configure(cls, values: Mapping[str, str], context: Context) -> Channel:
        """The channel for these settings (names without prefix); an `Unconfigured` when it is not set up at all.

        Raises SettingFaults with everything that is wrong at once.
        """
        ...


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message that a person sent to us: a reply."""

    sender: str
    text: str
    message_id: str | None  # the provider's name for it: a repeated call carries the same


@runtime_checkable
class Receipts(Protocol):
    """A channel whose provider reports back over a webhook."""

    def parse_receipts(self, url: str, headers: Mapping[str, str], form: Sequence[tuple[str, str]]) -> list[Receipt]:
        """The receipts in a call to `url` (as the provider sees it). Raises SignatureError."""
        ...


@runtime_checkable
class Replies(Protocol):
    """A channel that people can answer on."""

    @property
    def can_reply(self) -> bool:
        """Whether this installation's sender can be answered at all."""
        ...

    def parse_reply(self, url: str, headers: Mapping[str, str], form: Sequence[tuple[str, str]]) -> Inbound:
        """The reply in a call to `url` (as the provider sees it). Raises SignatureError."""
        ...

    def render_answer(self, text: str | None) -> tuple[str, str]:
        """(media type, body) that makes the provider send `text` back, or nothing."""
        ...


@runtime_checkable
class Traceable(Protocol):
    """A channel that can ask its provider whether an attempt that ended in the dark arrived after all."""

    async def find(
        self, address: Address, message: Message, *, since: datetime, others: Collection[str] = ()
    ) -> Outcome | None:
        """Accepted when the provider took `message` over at `since` or later, None when it knows nothing of it.

        Deferred when it cannot be asked now. For a delivery with an attempt that has no known outcome (its worker
        died): call this, with the time of the first such attempt, before `send`. `others` are the provider's names
        for other deliveries, which may read the same.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """A channel that can tell beforehand whether its provider would take anything."""

    async def check(self) -> list[Bilingual]:
        """What would not work, told without secrets, found by asking in a way that sends nothing; [] when fine.

        Answers within CHECK_SECONDS and never raises for what the provider says.
        """
        ...


CHECK_SECONDS: Final = 8.0
RATE_MAX: Final = 10_000.0  # units a second; more than any provider takes
LONGEST_WISH: Final = timedelta(hours=1)  # a provider's Retry-After beyond this is cut: an alert is urgent


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The wait that a Retry-After field asks for (RFC 9110 section 10.2.3: seconds or a date), 0 to 1 hour.

    None when there is no field or it makes no sense.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # A number of seconds may have any length; a timedelta may not.
        wait = timedelta(seconds=int(text)) if len(text) < 9 else LONGEST_WISH
    else:
        try:
            wait = parsedate_to_datetime(text) - now
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(wait, timedelta()), LONGEST_WISH)


def parse_rate(text: str) -> float:
    """Units a second as an operator writes them. ValueError says what would be right."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text, re.ASCII) or not 0 < float(text) <= RATE_MAX:
        raise ValueError(f"should be a number above 0, at most {RATE_MAX:g}")
    return float(text)


def is_api_url(text: str) -> bool:
    """Whether a provider's API may be called at `text`: by https, or by http on a loopback address."""
    try:
        url = URL(text)
    except ValueError:
        return False
    host = url.host or ""
    loopback = host in ("localhost", "::1") or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))
    plain = not (url.user or url.password or url.query_string or url.fragment)
    return plain and bool(host) and (url.scheme == "https" or (url.scheme == "http" and loopback))


def words_of(error: Exception) -> str:
    """What an attempt that ended in `error`, without an answer, is told to have ended in."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return one_line(f"{type(error).__name__}: {error}")


def one_line(text: str, longest: int = 200) -> str:
    """`text` from outside as a reason to show: one line, printable, at most `longest` characters."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:longest]


class Unconfigured:
    """Stands where a channel is not set up: every delivery is held, in words, and none is lost.

    `missing` names the settings that would set it up. Addresses are taken as the channel takes them, so that
    whoever imports people first and sets the channel up later has nobody to enter again.
    """

    def __init__(
        self, kind: str, budget: Budget, missing: str, parse_address: Callable[[Mapping[str, str]], Address]
    ) -> None:
        self.kind = kind
        self.budget = budget
        self.missing = missing
        self._parse_address = parse_address

    def parse_address(self, raw: Mapping[str, str]) -> Address:
        return self._parse_address(raw)

    def lane(self, address: Address) -> str:
        return ""

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        return Misconfigured(f"{self.kind} is not set up: {self.missing}")

    async def aclose(self) -> None:
        return None
