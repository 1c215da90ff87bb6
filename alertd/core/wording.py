"""What is said of an observation, once a rule has decided that something is: in its own words, or in a template's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from alertd.core.alert import BODY_MAX, DEFAULT_SEVERITY, TITLE_MAX, Ask, Severity
from alertd.core.audience import Audience
from alertd.core.escalation import DEFAULT_PLAN
from alertd.core.observation import Observation, clean, clean_body, clean_title
from alertd.core.rules import Action, Decision, Reason, Rule
from alertd.core.template import Template, fields_of, fill

_AREAS_NAMED: Final = 20
_FIELDS: Final = "fields."
_CALLS: Final = (Reason.WORSE, Reason.NEW_AREA, Reason.JOINED, Reason.LIKELY)
FILLS: Final = ("title", "body", "areas", "words", "hazard", "type", "author", "url", "time")
"""What an observation can put in place of a template's fields, beside `fields.*` of its own."""


@dataclass(frozen=True, slots=True)
class Words:
    """A post. `audience` None: neither the rule nor its template says. `life_hours` None: as any other alert.

    `lack`: why the template could not be used, as `field: message`; the words are the observation's own then.
    """

    title: str
    body: str
    severity: Severity
    audience: Audience | None
    plan: str
    ask: Ask | None = None
    life_hours: int | None = None
    lack: str = ""


def calls(decision: Decision) -> bool:
    """Whether people are called to do something: by the template. What got better, or is over, is in its own words."""
    is_call = decision.action is Action.UPDATE and decision.reason in _CALLS
    return is_call or decision.action in (Action.ALERT, Action.DRAFT, Action.BOARD)


def word(
    observation: Observation, rule: Rule | None, template: Template | None, zone: tzinfo, *, by_template: bool
) -> Words:
    """What would be said of an observation that was narrowed to the rule's areas. `template`: the one that the rule
    names. What the rule says itself goes before what the template says, and that before the observation.
    """
    audience, plan = (rule.audience, rule.plan) if rule is not None else (None, None)
    if template is not None:
        audience, plan = audience or template.audience, plan or template.plan
    title, body, lack = _own_title(observation), _own_body(observation), ""
    if rule is not None and rule.template is not None and by_template:
        lack = f"template: there is no template {rule.template!r}"
        if template is not None:
            values = _filled(rule, template, _values(observation, template, zone))
            open_fields = [name for name, value in values.items() if not value.strip()]
            lack = "template: has nothing to put in place of " + ", ".join(open_fields) if open_fields else ""
            if not lack:
                title, body = clean_title(fill(template.title, values)), clean_body(fill(template.body, values))
    if rule is not None and rule.do in ("alert", "draft") and audience is None and not lack:
        lack = "audience: must say who is alerted: everyone, or at least one group"
    return Words(
        title=title,
        body=body,
        severity=_severity_of(observation, rule, template),
        audience=audience,
        plan=plan or DEFAULT_PLAN,
        ask=template.ask if template is not None else None,
        life_hours=template.life_hours if template is not None else None,
        lack=lack,
    )


def wording_faults(rule: Rule, template: Template) -> Iterator[tuple[str, str]]:
    """What keeps observations from filling a rule's template, as (field, message)."""
    names = fields_of(template.title, template.body)
    for name in names:
        if name not in rule.fill and not _is_known(name):
            yield "template", f"has the field {name!r}, for which an observation has nothing: say under fill what it is"
    for name, text in rule.fill.items():
        if name not in names:
            yield f"fill.{name}", f"there is no field {name!r} in the title or the text"
        if not text.strip():
            yield f"fill.{name}", "must not be blank"
        for inner in fields_of(text):
            if not _is_known(inner):
                yield (
                    f"fill.{name}",
                    f"names {inner!r}, which no observation has: there are {', '.join(FILLS)}, fields.*",
                )


def _is_known(name: str) -> bool:
    return name in FILLS or (name.startswith(_FIELDS) and name != _FIELDS)


def _values(observation: Observation, template: Template, zone: tzinfo) -> dict[str, str]:
    worst = sorted(observation.areas, key=lambda area: -area.rank)
    where = [area.name or area.code for area in worst if area.rank or not observation.rank]
    more = len(where) - _AREAS_NAMED
    comma, rest = ("、", f"ほか{more}") if template.language == "ja" else (", ", f"{more} more")
    return {
        **{_FIELDS + name: value for name, value in observation.fields.items()},
        "title": observation.title,
        "body": observation.body,
        "areas": comma.join(where[:_AREAS_NAMED] + ([rest] if more > 0 else [])),
        "words": worst[0].words if worst else "",
        "hazard": observation.hazard,
        "type": observation.type,
        "author": observation.author,
        "url": observation.url,
        "time": f"{observation.observed_at.astimezone(zone):%H:%M}",
    }


def _filled(rule: Rule, template: Template, values: Mapping[str, str]) -> dict[str, str]:
    """Each field of the template with what takes its place, "" when something is missing from that."""
    found = {}
    for name in fields_of(template.title, template.body):
        text = rule.fill.get(name, f"{{{name}}}")
        is_whole = all(values.get(inner, "").strip() for inner in fields_of(text))
        found[name] = fill(text, values) if is_whole else ""
    return found


def _own_title(observation: Observation) -> str:
    return observation.title or observation.hazard or observation.type or observation.incident[:TITLE_MAX]


def _own_body(observation: Observation) -> str:
    """Its text, after where it is and how bad there, and before where more is said."""
    worst = sorted((area for area in observation.areas if area.rank), key=lambda area: -area.rank)
    where = [f"{area.name or area.code}：{area.words}" if area.words else area.name for area in worst[:_AREAS_NAMED]]
    more = [f"（ほか {len(worst) - _AREAS_NAMED}）"] if len(worst) > _AREAS_NAMED else []
    parts = ["\n".join(where + more), observation.body, observation.url]
    return clean("\n\n".join(filter(None, parts)), BODY_MAX)


def _severity_of(observation: Observation, rule: Rule | None, template: Template | None) -> Severity:
    if rule is not None and rule.severity is not None:
        return rule.severity
    if template is not None:
        return template.severity
    return observation.severity if observation.severity != "unknown" else DEFAULT_SEVERITY
