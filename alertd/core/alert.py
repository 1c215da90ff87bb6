"""What an alert is: its facts, its words for severity, and the mark that sets a drill apart."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

Language = Literal["ja", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("ja", "en")


@dataclass(frozen=True, slots=True)
class Bilingual:
    """The same sentence in both languages."""

    en: str
    ja: str

    def in_language(self, language: Language) -> str:
        return self.ja if language == "ja" else self.en

    def followed_by(self, detail: str) -> "Bilingual":
        """With what somebody else said about it, in their words."""
        return Bilingual(f"{self.en}: {detail}", f"{self.ja}: {detail}")


Severity = Literal["extreme", "severe", "moderate", "minor", "unknown"]
SEVERITIES: Final[tuple[Severity, ...]] = ("extreme", "severe", "moderate", "minor", "unknown")
DEFAULT_SEVERITY: Final[Severity] = "severe"
DEFAULT_LIFE: Final = timedelta(hours=24)
MAX_LIFE: Final = timedelta(
    days=28
)  # TTL a push service must accept at most: RFC 8030 section 5.2 leaves it open; 28 days is what they keep

TITLE_MAX: Final = 200
BODY_MAX: Final = 20_000
COMMENT_MAX: Final = 2_000
QUESTION_MAX: Final = 200
CHOICE_LABEL_MAX: Final = 40
CHOICES_MAX: Final = 9  # one digit answers by SMS

DRILL_MARK: Final[dict[Language, str]] = {"ja": "【訓練】", "en": "[DRILL] "}

RevisionKind = Literal["alert", "update", "cancel"]
Part = Literal["audience", "supervisor"]
REVISION_MARK: Final[dict[RevisionKind, dict[Language, str]]] = {
    "alert": {"ja": "", "en": ""},
    "update": {"ja": "【更新】", "en": "[UPDATE] "},
    "cancel": {"ja": "【解除】", "en": "[CANCELLED] "},
}
SUPERVISOR_MARK: Final[dict[Language, str]] = {"ja": "【部下未回答】", "en": "[STAFF SILENT] "}

AlertState = Literal["active", "cancelled", "expired"]


@dataclass(frozen=True, slots=True)
class Choice:
    id: str
    label: str


@dataclass(frozen=True, slots=True)
class Ask:
    """The question an alert puts; answered by one choice."""

    question: str
    choices: tuple[Choice, ...]

    def choice(self, choice_id: str) -> Choice | None:
        return next((choice for choice in self.choices if choice.id == choice_id), None)


@dataclass(frozen=True, slots=True)
class Content:
    """The facts of one revision of an alert, as every channel needs them. Times are aware UTC."""

    alert_id: str
    revision: int
    organisation: str
    title: str
    body: str
    severity: Severity
    drill: bool
    ask: Ask | None
    sent_at: datetime
    expires_at: datetime
    revision_kind: RevisionKind = "alert"
    part: Part = "audience"  # whom this copy is for: a supervisor is told of somebody else's silence

    def headline(self, language: Language) -> str:
        """The title as people see it: one line, and a drill always says first that it is one."""
        return headline(
            self.title, drill=self.drill, language=language, revision_kind=self.revision_kind, part=self.part
        )


def headline(
    title: str,
    *,
    drill: bool,
    language: Language,
    revision_kind: RevisionKind = "alert",
    part: Part = "audience",
) -> str:
    """`title` on one line behind its marks in `language`: first that it is a drill, then what kind of message."""
    line = " ".join(title.split())
    mark = DRILL_MARK[language] if drill else ""
    told = SUPERVISOR_MARK[language] if part == "supervisor" else ""
    return mark + REVISION_MARK[revision_kind][language] + told + line.removeprefix(mark)


_DRILL_TITLE: Final = re.compile(r"[【\[(「『〔<《]\s*(訓練|drill)\s*[】\])」』〕>》]")


def claims_drill(title: str) -> bool:
    """Whether a title says in front, in whatever brackets, that it is a drill: a real alert's must not."""
    visible = "".join(char for char in unicodedata.normalize("NFKC", title) if not _is_invisible(char))
    return _DRILL_TITLE.match(visible.strip().casefold()) is not None


def is_blank(text: str) -> bool:
    """Whether nothing of `text` can be seen."""
    return all(char.isspace() or _is_invisible(char) for char in text)


def text_faults(title: str, body: str) -> list[tuple[str, str]]:
    """What is wrong with the words of a post or of a revision, as (field, message); empty when they can be sent."""
    faults = []
    if is_blank(title):
        faults.append(("title", "must not be blank"))
    if len(title) > TITLE_MAX:
        faults.append(("title", f"must be at most {TITLE_MAX} characters"))
    if len(body) > BODY_MAX:
        faults.append(("body", f"must be at most {BODY_MAX} characters"))
    return faults + control_faults([("title", title), ("body", body)])


def control_faults(texts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Which of these (field, text) hold what no message may carry."""
    return [(field, "must not hold control characters") for field, text in texts if has_control(text)]


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")


# Explicit direction changes (Unicode annex 9): with them a text reads other than it is written.
_BIDI_OVERRIDES: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def has_control(text: str) -> bool:
    """Whether `text` holds characters that no message may carry (line breaks and tabs are fine)."""
    return any(
        char in _BIDI_OVERRIDES or (unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\r\t")
        for char in text
    )


def default_expiry(sent_at: datetime) -> datetime:
    return sent_at + DEFAULT_LIFE


def said_expiry(ends_at: datetime | None, sent_at: datetime) -> datetime | None:
    """When an alert ends of which its source says so. None: as any other. Never sooner than any other: the steps of its
    plan must have their time.
    """
    is_later = ends_at is not None and ends_at > sent_at + DEFAULT_LIFE
    return min(ends_at, sent_at + MAX_LIFE) if ends_at is not None and is_later else None


def ask_faults(question: str, choices: Sequence[Choice]) -> list[tuple[str, str]]:
    """What is wrong with a question, as (field, message); empty when it can be asked."""
    faults: list[tuple[str, str]] = []
    if is_blank(question):
        faults.append(("ask.question", "must not be blank"))
    if not 1 <= len(choices) <= CHOICES_MAX:
        faults.append(("ask.choices", f"must be 1 to {CHOICES_MAX} choices"))
    seen: set[str] = set()
    for index, choice in enumerate(choices):
        if choice.id in seen:
            faults.append((f"ask.choices.{index}.id", f"{choice.id!r} stands twice"))
        seen.add(choice.id)
        if is_blank(choice.label):
            faults.append((f"ask.choices.{index}.label", "must not be blank"))
    return faults
