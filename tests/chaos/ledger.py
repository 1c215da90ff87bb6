"""Who got what: every message at every provider, sorted by alert and address."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

from tests.acceptance.town import LINK
from tests.chaos.place import Place

_TAG: Final = re.compile(r"No\.\d{8}")
Way = tuple[str, str]
"""A channel and an address on it: ("webpush", subscription), ("sms", number), ("email", address)."""


def tag(number: int) -> str:
    """What an alert's title holds, so that each of its messages can be known as such."""
    return f"No.{number:08}"


@dataclass
class Received:
    """The messages of one alert at one address."""

    identities: list[str] = field(default_factory=list)
    """What makes a repeated one harmless: the Topic of a push, the Message-ID of a letter; an SMS has nothing."""
    times: list[float] = field(default_factory=list)
    """When each came, in seconds of `time.time()`."""
    link: str | None = None


@dataclass
class Repeats:
    """What came more than once."""

    replaced: int = 0  # push with the same Topic, letters with the same Message-ID
    plain: int = 0  # all others: people see each of them
    most: int = 0  # more than one, to one address

    def __iadd__(self, other: "Repeats") -> "Repeats":
        self.replaced += other.replaced
        self.plain += other.plain
        self.most = max(self.most, other.most)
        return self


class Ledger:
    """Reads the providers; `read` takes in what is new."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._read: Counter[str] = Counter()
        self.received: dict[str, dict[Way, Received]] = defaultdict(dict)
        self.strangers: list[str] = []
        """Messages of no alert that was ever issued here."""

    def read(self) -> None:
        for number, push in enumerate(self._place.pushes):
            messages = push.messages
            for message in messages[self._skip(f"push{number}", len(messages)) :]:
                notification = message.payload["notification"]
                link = f"{self._place.url}/a/{notification['data']['token']}"
                way = ("webpush", message.subscription)
                self._take(notification["title"], way, str(message.topic), message.received_at, link)
        sms = self._place.twilio.messages
        for text in sms[self._skip("sms", len(sms)) :]:
            found = LINK.search(text.body)
            self._take(text.body, ("sms", text.to), text.sid, text.created_at.timestamp(), found and found.group())
        letters = self._place.smtp.letters
        for letter in letters[self._skip("email", len(letters)) :]:
            found = LINK.search(letter.text)
            identity, at = str(letter.message["Message-ID"]), letter.received_at.timestamp()
            subject = str(letter.message["Subject"])
            self._take(subject, ("email", letter.recipient), identity, at, found and found.group())

    def repeats(self, alert: str) -> dict[str, Repeats]:
        """By channel."""
        found: dict[str, Repeats] = {}
        for (channel, _), received in self.received[alert].items():
            more = len(received.identities) - 1
            different = len(set(received.identities)) - 1
            found.setdefault(channel, Repeats())
            found[channel] += Repeats(more - different, different, more)
        return found

    def _skip(self, source: str, length: int) -> int:
        read = self._read[source]
        self._read[source] = length
        return read

    def _take(self, text: str, way: Way, identity: str, at: float, link: str | None) -> None:
        found = _TAG.search(text)
        if found is None:
            self.strangers.append(f"{way[0]} to {way[1]}: {text[:60]}")
            return
        received = self.received[found.group()].setdefault(way, Received())
        received.identities.append(identity)
        received.times.append(at)
        received.link = link or received.link
