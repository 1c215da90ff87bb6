"""The rule book: all rules in one text that people write, in TOML, in the order in which they are tried."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from alertd.core.alert import Severity
from alertd.core.audience import Audience
from alertd.core.errors import Invalid
from alertd.core.joining import DEFAULT_WITHIN, Join, join_faults
from alertd.core.observation import Scale
from alertd.core.rules import DEFAULT_CAP, Drills, Outcome, Rule, When, rules_faults
from alertd.sources.mapping import MappingFaults, SourceMapping, read_mapping

TEXT_MAX: Final = 200_000  # characters
RULES_MAX: Final = 500

_Words = Annotated[list[StrictStr], Field(max_length=2_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Audience(_Strict):
    everyone: Literal[True] | None = None
    groups: _Words = []
    people: _Words = []


class _When(_Strict):
    types: _Words = []
    hazards: _Words = []
    authors: _Words = []
    prefixes: _Words = []
    areas: _Words = []
    severity_at_least: Severity | None = None
    at_least: dict[Scale, StrictStr] = {}
    signed: StrictBool = False


class _Rule(_Strict):
    name: StrictStr
    source: StrictStr
    do: Outcome
    when: _When = _When()
    severity: Severity | None = None
    audience: _Audience | None = None
    plan: StrictStr | None = None
    template: StrictStr | None = None
    fill: dict[StrictStr, StrictStr] = {}
    board: StrictStr = "general"
    drills: Drills = "ignore"
    stop_seconds: StrictInt = 0
    most_per_hour: StrictInt = DEFAULT_CAP

    def rule(self) -> Rule:
        when, audience = self.when, self.audience
        return Rule(
            **self.model_dump(exclude={"when", "audience"}),
            when=When(
                types=tuple(when.types),
                hazards=tuple(when.hazards),
                authors=tuple(when.authors),
                prefixes=tuple(when.prefixes),
                areas=tuple(when.areas),
                severity_at_least=when.severity_at_least,
                at_least=when.at_least,
                signed=when.signed,
            ),
            audience=Audience(bool(audience.everyone), tuple(audience.groups), tuple(audience.people))
            if audience is not None
            else None,
        )


class _Join(_Strict):
    name: StrictStr
    sources: _Words
    words: _Words = []
    within_minutes: StrictInt = DEFAULT_WITHIN
    leads: _Words = []

    def join(self) -> Join:
        return Join(
            name=self.name,
            sources=tuple(self.sources),
            words=tuple(self.words),
            within_minutes=self.within_minutes,
            leads=tuple(self.leads),
        )


class _Book(_Strict):
    rule: Annotated[list[_Rule], Field(max_length=RULES_MAX)] = []
    join: Annotated[list[_Join], Field(max_length=RULES_MAX)] = []
    mapping: Annotated[dict[StrictStr, dict[str, Any]], Field(max_length=RULES_MAX)] = {}


@dataclass(frozen=True, slots=True)
class RuleBook:
    """What a book says."""

    rules: tuple[Rule, ...] = ()
    joins: tuple[Join, ...] = ()
    mappings: Mapping[str, SourceMapping] = field(default_factory=dict)  # how messages are read, by source


def parse_book(text: str) -> RuleBook:
    """Raises Invalid with every fault, each with its place such as `rule.0.do`."""
    book = _read(text)
    rules, joins = tuple(rule.rule() for rule in book.rule), tuple(join.join() for join in book.join)
    mappings, faults = _mappings(book)
    faults = [*rules_faults(rules), *join_faults(joins), *faults]
    if faults:
        raise Invalid(faults)
    return RuleBook(rules, joins, mappings)


def _mappings(book: _Book) -> tuple[dict[str, SourceMapping], list[tuple[str, str]]]:
    mappings: dict[str, SourceMapping] = {}
    faults: list[tuple[str, str]] = []
    for source, raw in book.mapping.items():
        try:
            mappings[source] = read_mapping(raw)
        except MappingFaults as error:
            faults += [(f"mapping.{source}.{name}", message) for name, message in error.faults]
    return mappings, faults


def _read(text: str) -> _Book:
    if len(text) > TEXT_MAX:
        raise Invalid([("rules", f"must be at most {TEXT_MAX} characters")])
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Invalid([("rules", f"are not TOML: {error}")]) from None
    try:
        return _Book.model_validate(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise Invalid([(".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults]) from None
