"""What rules would make of given messages: nothing is sent, and nothing kept."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from types import MappingProxyType
from typing import Any

from alertd.core.alert import Language
from alertd.core.observation import Observation
from alertd.core.rehearsal import Rehearsal
from alertd.core.rules import REASON_WORDS, Action, Decision
from alertd.core.wording import Words, calls, word
from alertd.service.rule_book import RuleBook
from alertd.service.templates import STANDARD
from alertd.sources.base import Unreadable
from alertd.sources.certificates import Certificate
from alertd.sources.mapping import SourceMapping
from alertd.sources.registry import MAPPED, kind_of, read


@dataclass(frozen=True, slots=True)
class Tried:
    """What would become of one observation; or why a message could not be read."""

    file: str
    source: str
    observation: Observation | None = None
    decision: Decision | None = None
    words: Words | None = None  # what would be said; None: nothing
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        found, decision = self.observation, self.decision
        if found is None or decision is None:
            return {"file": self.file, "source": self.source, "error": self.fault}
        areas = decision.observation.areas if decision.observation else found.areas
        return {
            "file": self.file,
            "source": self.source,
            "incident": found.incident,
            "title": found.title,
            "standing": found.standing,
            "observed_at": found.observed_at.isoformat(),
            "action": decision.action,
            "reason": decision.reason,
            "rule": decision.rule.name if decision.rule else None,
            "areas": [area.name for area in areas if area.rank or not found.rank],
            "says": {"title": self.words.title, "body": self.words.body} if self.words else None,
            "lack": self.words.lack if self.words else "",
        }

    def worded(self, language: Language) -> str:
        """One line for people; below it the words of a template, or why they cannot be had."""
        found, decision = self.observation, self.decision
        if found is None or decision is None:
            return f"{self.file}: {self.fault}"
        why = REASON_WORDS[decision.reason].in_language(language)
        rule = f" [{decision.rule.name}]" if decision.rule else ""
        line = f"{decision.action:<10} {found.observed_at.isoformat()} {found.title}: {why}{rule}"
        if self.words is None or decision.rule is None or decision.rule.template is None:
            return line
        said = [f"!! {self.words.lack}"] if self.words.lack else [self.words.title, *self.words.body.splitlines()]
        return "\n".join([line, *(f"    {each}".rstrip() for each in said)])


@dataclass(frozen=True, slots=True)
class Message:
    """A file: what it says, in its order; or why it could not be read."""

    file: str
    source: str
    observations: Sequence[Observation] = ()
    fault: str = ""


def read_messages(
    files: Iterable[tuple[str, bytes]],
    source: str | None = None,
    mappings: Mapping[str, SourceMapping] = MappingProxyType({}),
    trusted: Sequence[Certificate] = (),
) -> Iterator[Message]:
    """Messages by name and content. They come from `source`, or each from a source that is called like its kind;
    `trusted` is whom it believes.
    """
    for name, raw in files:
        mapping = mappings.get(source or "")
        kind = kind_of(raw) if mapping is None else MAPPED[0]
        origin = source or kind
        try:
            found = read(kind, raw, trusted) if mapping is None else mapping.read(raw)
        except Unreadable as error:
            yield Message(name, origin, fault=str(error))
        else:
            yield Message(name, origin, found)


def play(
    book: RuleBook,
    files: Iterable[tuple[str, bytes]],
    source: str | None = None,
    trusted: Sequence[Certificate] = (),
    *,
    zone: tzinfo,
) -> list[Tried]:
    """What would become of each observation in these messages, one after another; they are read as `read_messages`
    does. Of templates those are known that come with the software; times are told in `zone`.
    """
    rehearsal, tried = Rehearsal(book.rules, STANDARD, book.joins), []
    for message in read_messages(files, source, book.mappings, trusted):
        if message.fault:
            tried.append(Tried(message.file, message.source, fault=message.fault))
        for each in message.observations:
            for decision in rehearsal.take_each(message.source, each):
                tried.append(Tried(message.file, message.source, each, decision, _words(each, decision, zone)))
    return tried


def _words(observation: Observation, decision: Decision, zone: tzinfo) -> Words | None:
    if decision.action is Action.IGNORE:
        return None
    rule, found = decision.rule, decision.observation or observation
    template = STANDARD.get(rule.template or "") if rule is not None else None
    return word(found, rule, template, zone, by_template=calls(decision))
