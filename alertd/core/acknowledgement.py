"""Answers: the ways they come, the token that proves who gives one, and what a texted reply means."""

import hmac
import re
import unicodedata
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final

from alertd.core.alert import Ask


class Way(Enum):
    """How an answer came. The number stands in tokens and never changes its meaning."""

    WEBSOCKET = (1, "websocket")
    API = (2, "api")
    PAGE = (3, "page")
    PUSH = (4, "push")
    SMS_LINK = (5, "sms-link")
    EMAIL_LINK = (6, "email-link")
    SMS_REPLY = (7, "sms-reply")
    PROXY = (8, "proxy")
    LINK = (9, "link")
    # No way to answer: what a phone that shows a message says so with. Its number is a delivery's, not a recipient's.
    BEACON = (10, "beacon")
    SLACK_LINK = (11, "slack-link")
    TEAMS_LINK = (12, "teams-link")

    def __init__(self, number: int, word: str) -> None:
        self.number = number
        self.word = word


_LINK_WAY: Final = {
    "webpush": Way.PUSH,
    "sms": Way.SMS_LINK,
    "email": Way.EMAIL_LINK,
    "slack": Way.SLACK_LINK,
    "teams": Way.TEAMS_LINK,
}
PROVES: Final = {Way.SMS_REPLY: "sms"} | {way: channel for channel, way in _LINK_WAY.items() if way is not Way.PUSH}
"""The channel that an answer by this way proves to work. A push is not here: one answer does not tell which of the
devices it was."""
_BY_NUMBER: Final = {way.number: way for way in Way}


def link_way(channel: str) -> Way:
    """The way an answer comes when it is given over the link that `channel` carried.

    Of a channel that has none of its own nobody knows afterwards which way it was: the link works all the same.
    """
    return _LINK_WAY.get(channel, Way.LINK)


def link_channel(way: Way) -> str | None:
    """The channel that carried the link of `way`; None when that is not known."""
    return next((channel for channel, each in _LINK_WAY.items() if each is way), None)


# 6 bytes of recipient number, 1 of way, 1 of key id, 16 of HMAC: 24 bytes are 32 base64url characters without a
# spare bit, so that exactly one spelling of each token exists.
_BODY: Final = 8
_MAC: Final = 16
TOKEN_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The keys that tokens are made and checked with; `current` makes, the older ones still verify."""

    by_id: Mapping[int, bytes]
    current: int


def make_token(recipient: int, way: Way, keys: TokenKeys) -> str:
    """The token for recipient number `recipient` (one person of one alert): the same at every call."""
    return _encode(recipient, way, keys.current, keys.by_id[keys.current])


def read_token(token: str, keys: TokenKeys) -> tuple[int, Way] | None:
    """(recipient number, way) of a token that we made, or None. Compared byte for byte, in constant time."""
    if len(token) != TOKEN_LENGTH or not token.isascii():
        return None
    try:
        raw = urlsafe_b64decode(token)
    except (Base64Error, ValueError):
        return None
    if len(raw) != _BODY + _MAC:
        return None
    recipient, way, key = int.from_bytes(raw[:6], "big"), _BY_NUMBER.get(raw[6]), keys.by_id.get(raw[7])
    if way is None or key is None:
        return None
    if not hmac.compare_digest(_encode(recipient, way, raw[7], key).encode(), token.encode()):
        return None
    return recipient, way


def _encode(recipient: int, way: Way, key_id: int, key: bytes) -> str:
    body = recipient.to_bytes(6, "big") + bytes((way.number, key_id))
    mac = hmac.digest(key, b"acknowledgement:" + body, "sha256")[:_MAC]
    return urlsafe_b64encode(body + mac).decode()


@dataclass(frozen=True, slots=True)
class Candidate:
    """One alert that a texted reply could mean: for one of the people who have that number."""

    recipient: int
    person: str
    title: str
    ask: Ask | None
    code: str  # three digits that tell this candidate from others


@dataclass(frozen=True, slots=True)
class Reply:
    """What a text means: the candidate it answers and how; or why it is not clear."""

    candidate: Candidate | None
    answer: str | None = None
    problem: str | None = None  # "nothing-open" | "which" | "unclear"


def reply_code(recipient: int, keys: TokenKeys) -> str:
    """Three digits by which a recipient can be named in a reply when one number has several open alerts."""
    key = keys.by_id[min(keys.by_id)]  # the oldest key: a rotation must not change codes that people were told
    mac = hmac.new(key, b"reply:" + recipient.to_bytes(6, "big"), sha256).digest()
    return str(100 + int.from_bytes(mac[:4], "big") % 900)


_NUMBERS: Final = re.compile(r"\d+")
_WORDS_FOR_YES: Final = frozenset(
    {"ok", "yes", "ack", "はい", "確認", "確認しました", "了解", "了解しました", "見ました"}
)


def read_reply(text: str, candidates: Sequence[Candidate]) -> Reply:
    """What `text` answers among the open `candidates`. Full-width digits and spaces do not matter; it never guesses.

    `1` is the first choice or the plain acknowledgement; `1 482` names the alert by its code where several are open.
    """
    if not candidates:
        return Reply(None, problem="nothing-open")
    folded = unicodedata.normalize("NFKC", text).strip().lower()
    numbers = _NUMBERS.findall(folded)
    rest = re.sub(r"[\d\s.,、。=:#\-()]+", "", folded)
    codes = [number for number in numbers if len(number) == 3]
    picks = [int(number) for number in numbers if len(number) < 3]
    if len(codes) > 1 or len(picks) > 1 or len(codes) + len(picks) != len(numbers):
        return Reply(None, problem="unclear")
    named = [candidate for candidate in candidates if candidate.code in codes] if codes else list(candidates)
    if len(named) != 1:
        return Reply(None, problem="which")
    candidate = named[0]
    if candidate.ask is None:
        plain = (picks in ([1], []) and rest in _WORDS_FOR_YES) or (picks == [1] and not rest)
        return Reply(candidate) if plain else Reply(candidate, problem="unclear")
    if rest or len(picks) != 1 or not 1 <= picks[0] <= len(candidate.ask.choices):
        return Reply(candidate, problem="unclear")
    return Reply(candidate, answer=candidate.ask.choices[picks[0] - 1].id)
