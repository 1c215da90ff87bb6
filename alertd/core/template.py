"""What a post is started from: the words for a kind of hazard, with named fields like {場所} left open.

A template never says whether it is a drill: whoever uses it does.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from alertd.core.alert import (
    CHOICE_LABEL_MAX,
    DEFAULT_SEVERITY,
    LANGUAGES,
    MAX_LIFE,
    QUESTION_MAX,
    SEVERITIES,
    Ask,
    Choice,
    Language,
    Severity,
    ask_faults,
    control_faults,
    text_faults,
)
from alertd.core.audience import Audience
from alertd.core.escalation import DEFAULT_PLAN

Hazard = Literal[
    "earthquake", "tsunami", "flood", "landslide", "fire", "missing", "outage", "callout", "drill", "other"
]
HAZARDS: Final[tuple[Hazard, ...]] = (
    "earthquake",
    "tsunami",
    "flood",
    "landslide",
    "fire",
    "missing",
    "outage",
    "callout",
    "drill",
    "other",
)

FIELD_MAX: Final = 40  # characters of a field's name
VALUE_MAX: Final = 200  # characters that may take a field's place
FIELDS_MAX: Final = 20
LIFE_MAX: Final = int(MAX_LIFE.total_seconds()) // 3600  # hours
_FIELD: Final = re.compile(rf"{{([^{{}}\n]{{1,{FIELD_MAX}}})}}")

_REAL: Final = r"訓練では(?:ない|なく|ありません)|本番|実際の|not\s+a\s+drill|no\s+drill|\breal\b"
_SAYS_REAL: Final = re.compile(_REAL, re.IGNORECASE)
_SAYS_DRILL: Final = re.compile(r"訓練|演習|\bdrill|\bexercise\b", re.IGNORECASE)


def says_real(text: str) -> bool:
    """Whether `text` has words that people take for: this is no drill."""
    return _SAYS_REAL.search(text) is not None


def says_drill(text: str) -> bool:
    """Whether `text` has words that people take for: this is a drill."""
    return not says_real(text) and _SAYS_DRILL.search(text) is not None


def fields_of(*texts: str) -> list[str]:
    """The names of the fields in these texts, each once, in the order in which they come."""
    return list(dict.fromkeys(name for text in texts for name in _FIELD.findall(text)))


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with what is known of its fields in their places; the others stay as they are."""
    return _FIELD.sub(lambda match: values.get(match[1], "").strip() or match[0], text)


@dataclass(frozen=True, slots=True)
class Template:
    """The beginnings of an urgent post. `audience` None: whoever writes it must choose one."""

    language: Language
    hazard: Hazard
    title: str
    body: str
    examples: tuple[tuple[str, str], ...] = ()  # by field: what could stand there
    severity: Severity = DEFAULT_SEVERITY
    ask: Ask | None = None
    audience: Audience | None = None
    plan: str = DEFAULT_PLAN
    life_hours: int = 24

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Each field with an example, "" where there is none."""
        examples = dict(self.examples)
        return [(name, examples.get(name, "")) for name in fields_of(self.title, self.body)]

    def as_json(self) -> dict[str, Any]:
        ask = self.ask
        return {
            "language": self.language,
            "hazard": self.hazard,
            "title": self.title,
            "body": self.body,
            "fields": [{"name": name, "example": example} for name, example in self.fields],
            "severity": self.severity,
            "ask": {
                "question": ask.question,
                "choices": [{"id": choice.id, "label": choice.label} for choice in ask.choices],
            }
            if ask is not None
            else None,
            "audience": self.audience.as_json() if self.audience is not None else None,
            "plan": self.plan,
            "life_hours": self.life_hours,
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Template":
        """The template that `as_json` wrote down."""
        ask, audience = raw["ask"], raw["audience"]
        return cls(
            language=raw["language"],
            hazard=raw["hazard"],
            title=raw["title"],
            body=raw["body"],
            examples=tuple((field["name"], field["example"]) for field in raw["fields"]),
            severity=raw["severity"],
            ask=Ask(ask["question"], tuple(Choice(**choice) for choice in ask["choices"])) if ask else None,
            audience=Audience.from_json(audience) if audience else None,
            plan=raw["plan"],
            life_hours=raw["life_hours"],
        )


def template_faults(template: Template) -> list[tuple[str, str]]:
    """What is wrong with a template by itself, as (field, message); empty when posts can be started from it."""
    faults = text_faults(template.title, template.body)
    for field, value, known in (
        ("language", template.language, LANGUAGES),
        ("hazard", template.hazard, HAZARDS),
        ("severity", template.severity, SEVERITIES),
    ):
        if value not in known:
            faults.append((field, f"must be one of {', '.join(known)}"))
    if not 1 <= template.life_hours <= LIFE_MAX:
        faults.append(("life_hours", f"must be 1 to {LIFE_MAX}"))
    faults += _field_faults(template)
    if template.ask is not None:
        faults += ask_faults(template.ask.question, template.ask.choices)
    for field, text in _texts(template):
        if field.startswith("ask.") and len(text) > (QUESTION_MAX if field == "ask.question" else CHOICE_LABEL_MAX):
            most = QUESTION_MAX if field == "ask.question" else CHOICE_LABEL_MAX
            faults.append((field, f"must be at most {most} characters"))
        if _SAYS_DRILL.search(text) or (field != "body" and says_real(text)):
            faults.append((field, "must not say whether it is a drill: whoever uses the template does"))
    return faults + control_faults([each for each in _texts(template) if each[0] not in ("title", "body")])


def _field_faults(template: Template) -> Iterator[tuple[str, str]]:
    names = fields_of(template.title, template.body)
    if len(names) > FIELDS_MAX:
        yield "fields", f"must be at most {FIELDS_MAX} fields"
    for index, (name, example) in enumerate(template.examples):
        if name not in names:
            yield f"fields.{index}.name", f"there is no field {name!r} in the title or the text"
        if len(example) > VALUE_MAX:
            yield f"fields.{index}.example", f"must be at most {VALUE_MAX} characters"


def _texts(template: Template) -> Iterator[tuple[str, str]]:
    """Every text that people would read, by field."""
    yield "title", template.title
    yield "body", template.body
    for index, (_, example) in enumerate(template.examples):
        yield f"fields.{index}.example", example
    if template.ask is not None:
        yield "ask.question", template.ask.question
        for index, choice in enumerate(template.ask.choices):
            yield f"ask.choices.{index}.label", choice.label
