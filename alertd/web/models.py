"""The bodies that requests may have; validation and the API's description both come from these."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from alertd.core import webhook
from alertd.core.alert import (
    BODY_MAX,
    CHOICE_LABEL_MAX,
    CHOICES_MAX,
    COMMENT_MAX,
    DEFAULT_SEVERITY,
    QUESTION_MAX,
    TITLE_MAX,
    Ask,
    Choice,
    Severity,
    has_control,
)
from alertd.core.audience import Audience
from alertd.core.escalation import (
    AFTER_MAX,
    DEFAULT_PLAN,
    EVERY_MIN,
    STEPS_MAX,
    TIMES_MAX,
    Plan,
    Repeat,
    Step,
    To,
)
from alertd.core.ids import ID_MAX
from alertd.core.template import FIELD_MAX, FIELDS_MAX, LIFE_MAX, VALUE_MAX, Hazard, Template
from alertd.service.directory import NAME_MAX, PersonDraft
from alertd.service.posting import Draft
from alertd.service.reaching import LABEL_MAX
from alertd.service.revising import Revision
from alertd.service.rule_book import TEXT_MAX as RULES_TEXT_MAX
from alertd.service.sources import Watch
from alertd.service.webhooks import URL_MAX

ENDPOINT_MAX = 2_048


def _storable(text: str) -> str:
    if has_control(text):
        raise PydanticCustomError("control", "must not hold control characters")
    return text


Plain = Annotated[str, AfterValidator(_storable)]
Id = Annotated[Plain, Field(min_length=1, max_length=ID_MAX)]
Language = Literal["ja", "en"]
RoleWord = Literal["admin", "manager", "viewer", "staff"]


class Body(BaseModel):
    """Taken strictly: no unknown field, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AudienceBody(Body):
    everyone: bool = False
    groups: list[Id] = []
    people: list[Id] = []

    def audience(self) -> Audience:
        return Audience(self.everyone, tuple(dict.fromkeys(self.groups)), tuple(dict.fromkeys(self.people)))


class ChoiceBody(Body):
    id: Id
    label: Annotated[str, Field(min_length=1, max_length=CHOICE_LABEL_MAX)]


class AskBody(Body):
    question: Annotated[str, Field(min_length=1, max_length=QUESTION_MAX)]
    choices: Annotated[list[ChoiceBody], Field(min_length=1, max_length=CHOICES_MAX)]

    def ask(self) -> Ask:
        return Ask(self.question, tuple(Choice(choice.id, choice.label) for choice in self.choices))


class RepeatBody(Body):
    every_seconds: Annotated[int, Field(ge=EVERY_MIN, le=AFTER_MAX)]
    times: Annotated[int, Field(ge=1, le=TIMES_MAX)]


class StepBody(Body):
    after_seconds: Annotated[int, Field(ge=0, le=AFTER_MAX)]
    channels: Annotated[list[str], Field(min_length=1)]
    to: To = "outstanding"
    repeat: RepeatBody | None = None

    def step(self) -> Step:
        repeat = Repeat(self.repeat.every_seconds, self.repeat.times) if self.repeat else None
        return Step(self.after_seconds, tuple(dict.fromkeys(self.channels)), self.to, repeat)


class PlanBody(Body):
    steps: Annotated[list[StepBody], Field(min_length=1, max_length=STEPS_MAX)]

    def plan(self) -> Plan:
        return Plan(tuple(step.step() for step in self.steps))


class NamedPlanBody(Body):
    id: Id | None = None
    name: Annotated[str, Field(max_length=NAME_MAX)]
    plan: PlanBody


class TemplateFieldBody(Body):
    """What could stand in a field {name} of a template's title or text."""

    name: Annotated[str, Field(min_length=1, max_length=FIELD_MAX)]
    example: Annotated[str, Field(max_length=VALUE_MAX)]


class WatchBody(Body):
    """How a source is asked and watched. Without `access` it sends by itself."""

    access: dict[str, Any] | None = None
    every_seconds: int | None = None
    silent_seconds: int | None = None

    def watch(self) -> Watch:
        return Watch(self.access, self.every_seconds, self.silent_seconds)


class SourceBody(WatchBody):
    id: Id
    kind: Annotated[str, Field(max_length=20)]


class WebhookBody(Body):
    """`types`: what it is told of; everything when left out."""

    id: Id
    url: Annotated[str, Field(max_length=URL_MAX)]
    types: Annotated[list[webhook.Type], Field(min_length=1)] = list(webhook.TYPES)


class RuleBookBody(Body):
    """All the rules, in the order in which they are tried, as TOML. `on_version`: what was read when it was written."""

    text: Annotated[str, Field(max_length=RULES_TEXT_MAX)]
    on_version: int | None = None


class ReplayBody(Body):
    """Days as dates, both with all of their hours; the last thirty when left out. `text`: rules instead of those in
    force.
    """

    start: Annotated[str, Field(alias="from", max_length=10)] = ""
    end: Annotated[str, Field(alias="to", max_length=10)] = ""
    text: Annotated[str, Field(max_length=RULES_TEXT_MAX)] | None = None
    source: Id | None = None


class DecisionBody(Body):
    """What is to become of an observation that waits."""

    send: bool


class TemplateBody(Body):
    """What urgent posts are started from. It has no say in whether they are drills; `audience` null: ask each time."""

    id: Id | None = None
    name: Annotated[str, Field(max_length=NAME_MAX)]
    language: Language = "ja"
    hazard: Hazard
    title: Annotated[str, Field(max_length=TITLE_MAX)]
    body: Annotated[str, Field(max_length=BODY_MAX)] = ""
    fields: Annotated[list[TemplateFieldBody], Field(max_length=FIELDS_MAX)] = []
    severity: Severity = DEFAULT_SEVERITY
    ask: AskBody | None = None
    audience: AudienceBody | None = None
    plan: Id = DEFAULT_PLAN
    life_hours: Annotated[int, Field(ge=1, le=LIFE_MAX)] = 24
    hidden: bool = False

    def template(self) -> Template:
        return Template(
            language=self.language,
            hazard=self.hazard,
            title=self.title,
            body=self.body,
            examples=tuple((field.name, field.example) for field in self.fields),
            severity=self.severity,
            ask=self.ask.ask() if self.ask else None,
            audience=self.audience.audience() if self.audience else None,
            plan=self.plan,
            life_hours=self.life_hours,
        )


class PostBody(Body):
    """A post. `drill` has no default: an urgent post that does not say whether it is one is refused."""

    board: Id
    title: Annotated[str, Field(max_length=TITLE_MAX)]
    body: Annotated[str, Field(max_length=BODY_MAX)]
    urgent: bool
    audience: AudienceBody
    drill: bool | None = None
    severity: Severity = DEFAULT_SEVERITY
    ask: AskBody | None = None
    plan: str | PlanBody = DEFAULT_PLAN
    expires_at: AwareDatetime | None = None

    def draft(self) -> Draft:
        return Draft(
            board=self.board,
            title=self.title,
            body=self.body,
            urgent=self.urgent,
            audience=self.audience.audience(),
            drill=self.drill,
            severity=self.severity,
            ask=self.ask.ask() if self.ask else None,
            plan=self.plan.plan() if isinstance(self.plan, PlanBody) else self.plan,
            expires_at=self.expires_at,
        )


class RevisionBody(Body):
    """What an alert says from now on, or that it is over. `ask_again`: earlier answers no longer count."""

    kind: Literal["update", "cancel"]
    title: Annotated[str, Field(max_length=TITLE_MAX)]
    body: Annotated[str, Field(max_length=BODY_MAX)]
    ask_again: bool = False
    on_revision: Annotated[int | None, Field(ge=1)] = None

    def revision(self) -> Revision:
        return Revision(self.kind, self.title, self.body, self.ask_again, self.on_revision)


class AcknowledgementBody(Body):
    answer: Id | None = None
    comment: Annotated[str | None, Field(max_length=COMMENT_MAX)] = None
    answered_at: AwareDatetime | None = None
    person: Id | None = None
    revision: Annotated[int | None, Field(ge=1)] = None


class QuietHoursBody(Body):
    """Local times like 22:00."""

    start: Annotated[str, Field(alias="from", max_length=5)]
    end: Annotated[str, Field(alias="to", max_length=5)]


class PersonBody(Body):
    """A person. `id`, when given, must be the one in the path; `role` is an admin's to change."""

    id: Id | None = None
    name: Annotated[str, Field(max_length=NAME_MAX)]
    email: str | None = None
    phone: str | None = None
    language: Language = "ja"
    groups: list[Id] = []
    active: bool = True
    role: RoleWord | None = None
    takes_self_test: bool | None = None
    quiet_hours: QuietHoursBody | None = None  # left out: they stay as they are
    addresses: dict[str, str | None] = {}  # slack, teams; "": none; null or left out: they stay as they are

    def draft(self, person_id: str) -> PersonDraft:
        return PersonDraft(
            id=person_id,
            name=self.name,
            email=self.email,
            phone=self.phone,
            language=self.language,
            groups=tuple(dict.fromkeys(self.groups)),
            active=self.active,
            role=self.role,
            takes_self_test=self.takes_self_test,
            quiet_hours=self._quiet_hours(),
            addresses=self.addresses,
        )

    def _quiet_hours(self) -> tuple[str, str] | tuple[()] | None:
        if self.quiet_hours is not None:
            return self.quiet_hours.start, self.quiet_hours.end
        return () if "quiet_hours" in self.model_fields_set else None


class GroupBody(Body):
    id: Id | None = None
    name: Annotated[str, Field(max_length=NAME_MAX)]
    parent: Id | None = None
    supervisors: list[Id] = []


class BoardBody(Body):
    id: Id | None = None
    name: Annotated[str, Field(max_length=NAME_MAX)]


class CertificatesBody(Body):
    """Certificates in PEM, one after another; "" for none."""

    certificates: str


class TokenBody(Body):
    person: Id
    role: RoleWord


class KeysBody(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    p256dh: str
    auth: str


class SubscriptionBody(BaseModel):
    """A browser's PushSubscription as its `toJSON()` gives it; browsers may add members."""

    model_config = ConfigDict(extra="ignore", strict=True)

    endpoint: Annotated[str, Field(max_length=ENDPOINT_MAX)]
    keys: KeysBody
    expirationTime: float | None = None
    label: Annotated[Plain | None, Field(max_length=LABEL_MAX)] = None
