"""What rules would make of given messages: nothing is sent, and nothing kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from alertd.core.alert import Language
from alertd.core.observation import Observation
from alertd.core.rehearsal import Rehearsal
from alertd.core.rules import REASON_WORDS, Decision, Rule
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
        }

    def worded(self, language: Language) -> str:
        """One line for people."""
        found, decision = self.observation, self.decision
        if found is None or decision is None:
            return f"{self.file}: {self.fault}"
        why = REASON_WORDS[decision.reason].in_language(language)
        rule = f" [{decision.rule.name}]" if decision.rule else ""
        return f"{decision.action:<10} {found.observed_at.isoformat()} {found.title}: {why}{rule}"


def play(
    rules: Sequence[Rule],
    files: Iterable[tuple[str, bytes]],
    source: str | None = None,
    mappings: Mapping[str, SourceMapping] = MappingProxyType({}),
    trusted: Sequence[Certificate] = (),
) -> list[Tried]:
    """What would become of each observation in these messages, by name and content, one after another.

    They come from `source`, or each from a source that is called like its kind; `trusted` is whom it believes.
    """
    rehearsal, tried = Rehearsal(rules), []
    for name, raw in files:
        mapping = mappings.get(source or "")
        kind = kind_of(raw) if mapping is None else MAPPED[0]
        origin = source or kind
        try:
            found = read(kind, raw, trusted) if mapping is None else mapping.read(raw)
        except Unreadable as error:
            tried.append(Tried(name, origin, fault=str(error)))
            continue
        tried += [Tried(name, origin, each, rehearsal.take(origin, each)) for each in found]
    return tried
