"""What the API answers with, for its description; a test holds the answers against it. Times are RFC 3339 in UTC."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field

from alertd.core import webhook
from alertd.core.alert import Severity
from alertd.core.delivery import State
from alertd.core.escalation import To
from alertd.core.template import Hazard
from alertd.web.models import Language, RoleWord

Item = TypeVar("Item", bound=BaseModel)


class PageAnswer(BaseModel, Generic[Item]):
    items: list[Item]
    next: str | None


class NameAnswer(BaseModel):
    id: str
    name: str


class PostAnswer(BaseModel):
    id: str
    board: str
    title: str
    body: str
    urgent: bool
    drill: bool | None
    audience: dict[str, Any]
    author: NameAnswer
    created_at: str
    alert: str | None


class ChoiceAnswer(BaseModel):
    id: str
    label: str


class AskAnswer(BaseModel):
    question: str
    choices: list[ChoiceAnswer]


class AlertAnswer(BaseModel):
    id: str
    post: str | None
    kind: Literal["alert", "test", "self-test", "notice"]
    state: Literal["active", "cancelled", "expired"]
    revision: int
    revision_kind: Literal["alert", "update", "cancel"]
    title: str
    body: str
    severity: Severity
    urgency: str
    certainty: str
    drill: bool
    ask: AskAnswer | None
    plan: dict[str, Any]
    audience: dict[str, Any]
    recipients: int
    issued_by: str
    sent_at: str
    expires_at: str
    closed_at: str | None


class RevisionAnswer(BaseModel):
    revision: int
    kind: Literal["alert", "update", "cancel"]
    title: str
    body: str
    asks_again: bool
    created_by: str
    created_at: str


class RunAnswer(BaseModel):
    """One line of an alert's timetable."""

    step: int
    repeat: int
    channels: list[str]
    to: To
    asked_by: str | None
    due_at: str
    started_at: str | None
    deliveries: int | None


class AlertCourseAnswer(AlertAnswer):
    revisions: list[RevisionAnswer]
    timetable: list[RunAnswer]


class RevisedAnswer(AlertAnswer):
    """`deliveries`: to how many addresses the revision goes."""

    deliveries: int


class ForecastAnswer(BaseModel):
    """One line of a timetable before it is sent: the most it can come to."""

    at: str
    step: int
    repeat: int
    channels: list[str]
    to: To
    people: int
    segments: int
    last_out_at: str


class WarningCountsAnswer(BaseModel):
    without: int
    supervisors_without: int
    unsupervised: int


class WarningsAnswer(BaseModel):
    """Whom a plan leads to in vain: the first of them by name, and how many they are in all."""

    without: list[NameAnswer]
    supervisors_without: list[NameAnswer]
    unsupervised: list[NameAnswer]
    counts: WarningCountsAnswer


class ReachAnswer(BaseModel):
    """`reached`: of the recipients, those who have at least one way in the plan."""

    recipients: int
    reached: int
    ways: dict[str, int]
    segments: int
    missing: dict[str, str]
    timetable: list[ForecastAnswer]
    warnings: WarningsAnswer


class PlanAnswer(NameAnswer):
    plan: dict[str, Any]


class PutPlanAnswer(PlanAnswer):
    warnings: WarningsAnswer


class TemplateFieldAnswer(BaseModel):
    name: str
    example: str


class TemplateAnswer(NameAnswer):
    """`built_in`: it comes with the software, and deleting it brings that back; `changed`: it was written anew here."""

    language: Language
    hazard: Hazard
    title: str
    body: str
    fields: list[TemplateFieldAnswer]
    severity: Severity
    ask: AskAnswer | None
    audience: dict[str, Any] | None
    plan: str
    life_hours: int
    hidden: bool
    built_in: bool
    changed: bool


class PostedAnswer(BaseModel):
    post: PostAnswer
    alert: AlertAnswer | None


class TestAnswer(BaseModel):
    alert: AlertAnswer


class GivenAnswer(BaseModel):
    """One answer as it was given. `by` is somebody else when it was given for the person."""

    answer: str | None
    comment: str | None
    way: str
    by: str | None
    revision: int
    late: bool
    answered_at: str
    received_at: str


class AcknowledgementAnswer(GivenAnswer):
    """The last answer, and the first beside it."""

    alert: str
    person: str
    first: GivenAnswer


class GroupCountAnswer(BaseModel):
    id: str
    name: str
    parent: str | None
    recipients: int
    acknowledged: int


class SummaryAnswer(BaseModel):
    recipients: int
    acknowledged: int
    outstanding: int
    unreachable: int
    outdated: int
    supervisors: int
    revision: int
    answers: dict[str, int]
    channels: dict[str, dict[State, int]]
    evidence: dict[str, dict[str, int]]
    groups: list[GroupCountAnswer]
    opened_at: str
    last_ack_at: str | None


class EvidenceAnswer(BaseModel):
    queued_at: str
    accepted_at: str | None
    delivered_at: str | None
    displayed_at: str | None
    opened_at: str | None
    fetched_at: str | None
    sources: dict[str, str]


class DeliveryAnswer(BaseModel):
    channel: str
    revision: int
    step: int
    repeat: int
    due_at: str | None
    state: State
    reason: str | None
    attempts: int
    evidence: EvidenceAnswer


class ReachedPersonAnswer(NameAnswer):
    phone: str | None
    email: str | None
    groups: list[str]


class RecipientAnswer(BaseModel):
    person: ReachedPersonAnswer
    state: Literal["outstanding", "acknowledged"]
    unreachable: bool
    outdated: bool
    part: Literal["audience", "supervisor"]
    cause: str | None
    acknowledgement: AcknowledgementAnswer | None
    deliveries: list[DeliveryAnswer]


class QuietHoursAnswer(BaseModel):
    """Local times like 22:00."""

    start: str = Field(alias="from")
    end: str = Field(alias="to")


class PersonAnswer(ReachedPersonAnswer):
    language: Language
    active: bool
    role: RoleWord
    takes_self_test: bool
    quiet_hours: QuietHoursAnswer | None
    addresses: dict[str, str | None] = {}  # where there are such channels; null: a secret that is not told


class ChangeAnswer(BaseModel):
    id: str
    fields: list[str]


class RowErrorAnswer(BaseModel):
    row: int
    field: str
    message: str


class ImportAnswer(BaseModel):
    applied: bool
    made: list[str]
    changed: list[ChangeAnswer]
    unchanged: int
    errors: list[RowErrorAnswer]


class GroupAnswer(NameAnswer):
    parent: str | None
    supervisors: list[str]


class TokenAnswer(BaseModel):
    id: str
    token: str
    person: str
    role: RoleWord


class CertificateAnswer(BaseModel):
    """Whose signatures are believed: a signer's own certificate, or that of the authority which issued it."""

    subject: str
    sha256: str
    begins_at: str
    ends_at: str
    is_authority: bool


class CertificatesAnswer(BaseModel):
    items: list[CertificateAnswer]


class SourceAnswer(BaseModel):
    """A source: when it was last heard, what was wrong when that last went wrong, and how it is asked, without secrets.

    `silent`: it was not heard for more than `silent_seconds`.
    """

    id: str
    kind: str
    succeeded_at: str | None
    failed_at: str | None
    fault: str | None
    access: dict[str, Any] | None
    every_seconds: int | None
    silent_seconds: int | None
    next_at: str | None
    silent: bool
    certificates: list[CertificateAnswer]


class SecretAnswer(BaseModel):
    id: str
    secret: str


class WebhookAnswer(BaseModel):
    """A webhook: when it was last told something, and what was wrong when that last went wrong.

    `failures`: since it last took something. `waiting`: messages that it is still to hear; `given_up`: those that it
    never heard in the last month. `disabled_at`: when it said that it is gone.
    """

    id: str
    url: str
    types: list[webhook.Type]
    created_at: str
    succeeded_at: str | None
    failed_at: str | None
    fault: str | None
    failures: int
    waiting: int
    given_up: int
    disabled_at: str | None


class PingAnswer(BaseModel):
    """`message`: the webhook-id of what is on its way."""

    message: str


class RuleBookAnswer(BaseModel):
    """A version of the rules, 0 before there are any; `text` is TOML."""

    version: int
    text: str
    by: str | None
    at: str | None


class TallyAnswer(BaseModel):
    """How many alerts there would have been; `messages`: their people, each counted for each alert."""

    alerts: int
    drills: int
    nights: int
    twice: int
    needless: int
    drafts: int
    capped: int
    messages: int
    unreached: int


class DayAnswer(TallyAnswer):
    date: str


class RuleAnswer(TallyAnswer):
    source: str
    rule: str


class TwiceAnswer(BaseModel):
    """With which alert before it, and why that counts."""

    why: str
    at: str
    title: str


class ReplayedAnswer(BaseModel):
    """An alert that would have gone out, or a draft that would have waited."""

    at: str
    date: str
    night: bool
    received_at: str
    source: str
    incident: str
    standing: str
    rule: str
    action: str
    reason: str
    sent: bool
    title: str
    body: str
    severity: str
    lack: str
    hazard: str
    people: int
    twice: TwiceAnswer | None
    needless: list[str]


class ReplayAnswer(TallyAnswer):
    """What rules would have made of what came. `cut_at`: from when on it was not played, for there was too much."""

    observations: int
    stopped: int
    updates: int
    stand_downs: int
    board: int
    changed_drafts: int
    ignored: dict[str, int]
    hours: list[int]
    days: list[DayAnswer]
    rules: list[RuleAnswer]
    items: list[ReplayedAnswer]
    left_out: int
    faults: list[dict[str, str]]  # files that could not be read: at a shell
    cut_at: str | None
    start: str = Field(alias="from")
    end: str = Field(alias="to")


class DecidedAnswer(BaseModel):
    """What became of an observation that waited. `fault`: why it still does."""

    state: str
    alert: str | None
    fault: str | None


class ObservationAnswer(DecidedAnswer):
    """What was observed, what was decided, why, and what came of it."""

    observation: int
    source: str
    id: str
    version: int
    standing: str
    title: str
    body: str
    severity: str
    audience: dict[str, Any]
    observed_at: str
    received_at: str
    action: str
    reason: str
    rule: str | None
    signed_by: str
    due_at: str | None
    decided_by: str | None
    post: str | None


class IdAnswer(BaseModel):
    id: str


class PushKeyAnswer(BaseModel):
    public_key: str


class ErrorDetail(BaseModel):
    field: str
    message: str


class ErrorBody(BaseModel):
    code: str
    message: str
    details: list[ErrorDetail]


class ErrorAnswer(BaseModel):
    error: ErrorBody
