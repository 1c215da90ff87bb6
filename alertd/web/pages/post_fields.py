"""The form of a post as it was filled in: it goes from page to page, so that nothing typed is ever lost."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from alertd.core.alert import DEFAULT_SEVERITY, Ask, Choice
from alertd.core.audience import Audience
from alertd.core.escalation import DEFAULT_PLAN
from alertd.core.template import LIFE_MAX, VALUE_MAX, Template, fields_of, fill
from alertd.service.posting import Draft
from alertd.web.pages.forms import FILL, Form

KINDS: Final = ("board", "drill", "real")  # the doors; there is none by default
LIVES: Final = (1, 3, 6, 12, 24, 48, 72, 168)  # hours
DEFAULT_LIFE_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class Fields:
    """Everything as it was typed. `kind` "" while nobody has said which door; `template` "" for words of one's own."""

    key: str
    kind: str = ""
    template: str = ""
    board: str = "general"
    title: str = ""
    body: str = ""
    severity: str = DEFAULT_SEVERITY
    audience: str = ""  # everyone | chosen
    groups: tuple[str, ...] = ()
    people: str = ""
    ask: str = "plain"  # plain | choices
    question: str = ""
    choices: str = ""
    plan: str = DEFAULT_PLAN
    life: str = str(DEFAULT_LIFE_HOURS)
    expires: str = ""  # the moment that `life` came to when the draft was checked
    fills: tuple[tuple[str, str], ...] = ()  # what takes the place of each field of a template

    @classmethod
    def read(cls, form: Form) -> "Fields":
        single = {
            name: form.one(name)
            for name in ("template", "board", "title", "body", "audience", "people", "question", "choices")
        }
        return cls(
            **single,
            key=form.one("key") or new_key(),
            kind=form.one("kind") if form.one("kind") in KINDS else "",
            severity=form.one("severity", DEFAULT_SEVERITY),
            groups=tuple(form.all("group")),
            ask=form.one("ask", "plain"),
            plan=form.one("plan", DEFAULT_PLAN),
            life=_possible_life(form.one("life")),
            expires=form.one("expires"),
            fills=tuple(form.behind(FILL)),
        )

    def hidden(self) -> list[tuple[str, str]]:
        """Every field, for the pages on which the form itself is not seen."""
        names = [name for name in self.__dataclass_fields__ if name not in ("groups", "fills")]
        return [
            *((name, str(getattr(self, name))) for name in names),
            *(("group", group) for group in self.groups),
            *((f"{FILL}{name}", value) for name, value in self.fills),
        ]

    @property
    def is_urgent(self) -> bool:
        return self.kind in ("drill", "real")

    @property
    def is_blank(self) -> bool:
        """Whether nothing was typed that could be lost."""
        return not any(text.strip() for text in (self.title, self.body, self.people, self.question, self.choices))

    @property
    def person_ids(self) -> tuple[str, ...]:
        """The people who were named one by one."""
        return tuple(dict.fromkeys(re.split(r"[\s,、，;]+", self.people.strip()))) if self.people.strip() else ()

    def draft(self) -> Draft:
        """The post that this comes to, with what is known of the template's fields in their places."""
        values = dict(self.fills) if self.template else {}
        lines = [fill(line.strip(), values) for line in self.choices.split("\n") if line.strip()]
        choices = tuple(Choice(f"c{number}", line) for number, line in enumerate(lines, 1))
        asks = self.is_urgent and self.ask == "choices"
        return Draft(
            board=self.board,
            title=fill(self.title, values),
            body=fill(self.body, values),
            urgent=self.is_urgent,
            audience=self._audience(),
            drill={"drill": True, "real": False}.get(self.kind),
            severity=self.severity,
            ask=Ask(fill(self.question.strip(), values), choices) if asks else None,
            plan=self.plan if self.is_urgent else DEFAULT_PLAN,
            expires_at=_parse_moment(self.expires) if self.is_urgent else None,
        )

    def _audience(self) -> Audience:
        if self.audience == "everyone":
            return Audience(everyone=True)
        if self.audience != "chosen":
            return Audience()
        return Audience(groups=self.groups, people=self.person_ids)

    def fields(self) -> list[tuple[str, str]]:
        """The fields that stand open in the words of a template, each with what was filled in."""
        if not self.template:
            return []
        asked = (self.question, self.choices) if self.ask == "choices" else ()
        values = dict(self.fills)
        return [(name, values.get(name, "")) for name in fields_of(self.title, self.body, *asked)]

    def field_faults(self) -> list[tuple[str, str]]:
        """What is wrong with what was filled in, by field; a field that says nothing must not go out."""
        return [
            (name, "must not be blank" if not value.strip() else f"must be at most {VALUE_MAX} characters")
            for name, value in self.fields()
            if not value.strip() or len(value) > VALUE_MAX
        ]

    def with_expiry(self, now: datetime) -> "Fields":
        """With the end fixed, so that sending twice sends the same."""
        end = now.replace(microsecond=0) + timedelta(hours=int(self.life))
        return replace(self, expires=end.isoformat())

    def begun_from(self, template_id: str, content: Mapping[str, Any], before: Mapping[str, Any] | None) -> "Fields":
        """These fields with a template's words; what was written beside the words of `before` is kept below them."""
        template = Template.from_json(content)
        known = (before["title"], before["body"]) if before else ("", "")
        typed = (self.title.strip(), self.body.strip())
        own = [text for text, old in zip(typed, known, strict=True) if text and text != old.strip()]
        audience, ask = template.audience, template.ask
        changed = self
        if audience is not None:
            kind = "everyone" if audience.everyone else "chosen"
            changed = replace(changed, audience=kind, groups=audience.groups)
        if ask is not None:
            choices = "\n".join(choice.label for choice in ask.choices)
            changed = replace(changed, question=ask.question, choices=choices)
        return replace(
            changed,
            template=template_id,
            title=template.title,
            body="\n\n".join([template.body, *own]),
            severity=template.severity,
            plan=template.plan,
            life=str(template.life_hours),
            ask="plain" if ask is None else "choices",
        )

    def freed(self) -> "Fields":
        """With the words as they are, no longer those of a template."""
        values = dict(self.fills)
        return replace(
            self,
            template="",
            fills=(),
            title=fill(self.title, values),
            body=fill(self.body, values),
            question=fill(self.question, values),
            choices=fill(self.choices, values),
        )


def new_key() -> str:
    """An Idempotency-Key: made with the form, so that a double click is one post."""
    return secrets.token_urlsafe(16)


def _possible_life(text: str) -> str:
    """Those hours, or the usual ones where no alert can live so long: a form would begin with its first choice."""
    return text if text in map(str, range(1, LIFE_MAX + 1)) else str(DEFAULT_LIFE_HOURS)


def _parse_moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
