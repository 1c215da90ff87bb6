"""Joins: one event that several sources speak of is one alert, where somebody has said which sources may.

Whatever joins, nobody hears less than the source's own rule alone would have told them: what this cannot promise is an
alert of its own.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from alertd.core.alert import SEVERITIES, Ask, Severity
from alertd.core.audience import Audience
from alertd.core.observation import Observation
from alertd.core.rules import Action, Decision, Reason, Thread, area_change
from alertd.core.wording import Words

WITHIN_MAX: Final = 1_440  # minutes
DEFAULT_WITHIN: Final = 60
_TELLING: Final = 6  # characters: what is shorter may be called the same by chance
_LINK: Final = re.compile(r"https?://[^\s<>\"'「」（）【】、。]+")


@dataclass(frozen=True, slots=True)
class Join:
    """Sources that may speak of the same event. They do when one names what the other does; and where `words` has
    some, when both have the same one of them in the hazard or the title within so many minutes.
    """

    name: str
    sources: tuple[str, ...]
    words: tuple[str, ...] = ()
    within_minutes: int = DEFAULT_WITHIN
    leads: tuple[str, ...] = ()  # what these say is over or better is so, whatever the other ones say


@dataclass(frozen=True, slots=True)
class Sent:
    """An alert that people have, as far as it matters for what may join it."""

    audience: Audience
    plan: str
    severity: Severity
    ask: Ask | None


@dataclass(frozen=True, slots=True)
class Voice:
    """What one source says in a thread that people were alerted of. `thread` and `incident` tell it from others."""

    thread: str
    incident: str
    source: str
    observation: Observation


@dataclass(frozen=True, slots=True)
class Candidate:
    """A thread to which an observation may belong. `proved`: by name, not only by its words. `held`: see Thread."""

    thread: str
    others: tuple[Observation, ...]
    proved: bool
    held: bool


@dataclass(frozen=True, slots=True)
class _Names:
    own: frozenset[str] = field(default_factory=frozenset)
    linked: frozenset[str] = field(default_factory=frozenset)


def partners(joins: Sequence[Join], source: str) -> list[str]:
    """The sources that may speak of the same as this one, itself among them, by name; none where no join has it."""
    return sorted({each for join in joins if source in join.sources for each in join.sources})


def is_held(joins: Sequence[Join], source: str, others: Sequence[str]) -> bool:
    """Whether these other sources, which say that something goes on, keep it from being over when `source` says so."""
    led = {each for join in joins if source in join.leads for each in join.sources}
    return any(other not in led or _leads(joins, other, source) for other in others)


def _leads(joins: Sequence[Join], source: str, other: str) -> bool:
    return any(source in join.leads and other in join.sources for join in joins)


def candidates(
    joins: Sequence[Join], source: str, incident: str, observation: Observation, voices: Sequence[Voice]
) -> list[Candidate]:
    """The threads among these voices to which it may belong: what is proved first, else in the order of the voices.

    A source speaks of an event once: where it says something else already, this is about something else.
    """
    threads: dict[str, list[Voice]] = {}
    for voice in voices:
        threads.setdefault(voice.thread, []).append(voice)
    found = []
    for thread, said in threads.items():
        if any(voice.source == source and voice.incident != incident for voice in said):
            continue
        others = [voice for voice in said if voice.source != source]
        joinable = [voice for voice in others if any(_both(join, source, voice.source) for join in joins)]
        proved = any(_is_same(observation, voice.observation) for voice in joinable)
        likely = any(
            _is_likely(join, observation, voice.observation)
            for voice in joinable
            for join in joins
            if _both(join, source, voice.source)
        )
        if proved or likely:
            held = is_held(joins, source, [voice.source for voice in others])
            found.append(Candidate(thread, tuple(voice.observation for voice in others), proved, held))
    return sorted(found, key=lambda candidate: not candidate.proved)


def joined(decision: Decision, words: Words, sent: Sent, candidate: Candidate) -> Decision | None:
    """What becomes of what a rule would alert, once it joins an alert that people have; None: it must not.

    `words`: what it would have said by itself.
    """
    rule, found = decision.rule, decision.observation
    if decision.action is not Action.ALERT or rule is None or found is None:
        return None
    asks_else = words.ask is not None and words.ask != sent.ask
    if rule.stop_seconds or words.lack or asks_else or words.plan != sent.plan:
        return None
    if words.audience is None or not sent.audience.covers(words.audience):
        return None
    if SEVERITIES.index(words.severity) < SEVERITIES.index(sent.severity):
        return Decision(Action.UPDATE, Reason.WORSE, rule, found)
    change = area_change(candidate.others, found)
    if change in (Reason.WORSE, Reason.NEW_AREA):
        return Decision(Action.UPDATE, change, rule, found)
    if not candidate.proved:
        return Decision(Action.UPDATE, Reason.LIKELY, rule, found)
    if found.rank and candidate.held:
        return Decision(Action.IGNORE, Reason.SAME, rule, found)
    return Decision(Action.UPDATE, Reason.JOINED, rule, found)


def in_thread(thread: Thread, candidate: Candidate) -> Thread:
    """What is known of an incident once it belongs to the thread of others, before it says anything there."""
    return Thread(thread.seen, thread.version, told=Action.ALERT, others=candidate.others, held=candidate.held)


def join_faults(joins: Sequence[Join]) -> list[tuple[str, str]]:
    """What is wrong with a list of joins, by their places."""
    faults = []
    for index, join in enumerate(joins):
        place = f"join.{index}"
        if not join.name.strip():
            faults.append((f"{place}.name", "must not be blank"))
        if len(set(join.sources)) < 2 or len(set(join.sources)) < len(join.sources):
            faults.append((f"{place}.sources", "must be two sources or more, each once"))
        if any(not word.strip() for word in join.words):
            faults.append((f"{place}.words", "must not hold a blank word: it would join whatever comes"))
        if not 1 <= join.within_minutes <= WITHIN_MAX:
            faults.append((f"{place}.within_minutes", f"must be 1 to {WITHIN_MAX}"))
        if not set(join.leads) <= set(join.sources):
            faults.append((f"{place}.leads", "must be among its sources"))
    return faults


def _both(join: Join, one: str, other: str) -> bool:
    return one in join.sources and other in join.sources


def _is_same(one: Observation, other: Observation) -> bool:
    """Whether one names what the other is, or both name the same."""
    first, second = _names(one), _names(other)
    return not first.own.isdisjoint(second.own | second.linked) or not first.linked.isdisjoint(second.own)


def _names(observation: Observation) -> _Names:
    own = {observation.id, observation.incident, *observation.references, *observation.known_as}
    return _Names(
        frozenset(name for name in own if len(name) >= _TELLING),
        frozenset(link.rstrip(".,;:!?)") for link in _LINK.findall(f"{observation.title}\n{observation.body}")),
    )


def _is_likely(join: Join, one: Observation, other: Observation) -> bool:
    if abs(one.observed_at - other.observed_at) > timedelta(minutes=join.within_minutes):
        return False
    texts = [_plain(f"{each.hazard}\n{each.title}") for each in (one, other)]
    return any(all(_plain(word) in text for text in texts) for word in join.words)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def holds(observation: Observation, now: datetime) -> bool:
    """Whether what a source said still goes on, for all that it said."""
    return observation.expires_at is None or observation.expires_at > now
