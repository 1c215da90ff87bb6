"""Writing a post: the form, the check before an urgent one goes out, and the sending."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.alert import DEFAULT_SEVERITY, SEVERITIES, Ask, Choice
from alertd.core.audience import Audience
from alertd.core.errors import Conflict, Invalid
from alertd.core.escalation import DEFAULT_PLAN
from alertd.core.message import LINK
from alertd.core.roles import Role
from alertd.service import directory, planning, posting
from alertd.service.posting import Draft, Reach
from alertd.service.runtime import Actor
from alertd.web.context import in_thread
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.pages.timetable import fold, plan_name
from alertd.web.pages.trees import in_tree_order
from alertd.web.templating import Page, signed_in
from alertd.web.translations import marked

LIVES: Final = (1, 3, 6, 12, 24, 48, 72, 168)  # hours
DEFAULT_LIFE_HOURS: Final = 24

_SAYS_REAL: Final = re.compile(
    r"訓練では(?:ない|なく|ありません)|本番|実際の|not\s+a\s+drill|no\s+drill|\breal\b", re.IGNORECASE
)
_SAYS_DRILL: Final = re.compile(r"訓練|演習|\bdrill|\bexercise\b", re.IGNORECASE)

# Which of a refused draft's fields is which part of the form.
_FORM_FIELDS: Final = (
    (re.compile(r"ask\.choices.*"), "choices"),
    (re.compile(r"ask\.question"), "question"),
    (re.compile(r"audience.*"), "audience"),
    (re.compile(r"expires_at"), "life"),
    (re.compile(r"plan.*"), "plan"),
)


@dataclass(frozen=True, slots=True)
class Fields:
    """The form as it was filled in; it goes from page to page so that nothing typed is ever lost."""

    key: str
    board: str = "general"
    title: str = ""
    body: str = ""
    urgent: str = ""  # yes | no | "" while it was not said
    drill: str = ""  # drill | real | "" while it was not said: there is no default
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

    @classmethod
    def read(cls, form: Form) -> "Fields":
        single = {
            name: form.one(name)
            for name in ("board", "title", "body", "urgent", "drill", "audience", "people", "question", "choices")
        }
        return cls(
            **single,
            key=form.one("key") or new_key(),
            severity=form.one("severity", DEFAULT_SEVERITY),
            groups=tuple(form.all("group")),
            ask=form.one("ask", "plain"),
            plan=form.one("plan", DEFAULT_PLAN),
            life=form.one("life", str(DEFAULT_LIFE_HOURS)),
            expires=form.one("expires"),
        )

    def hidden(self) -> list[tuple[str, str]]:
        """Every field, for the pages on which the form itself is not seen."""
        names = [name for name in self.__dataclass_fields__ if name != "groups"]
        return [*((name, str(getattr(self, name))) for name in names), *(("group", group) for group in self.groups)]

    def draft(self) -> Draft:
        lines = [line.strip() for line in self.choices.split("\n") if line.strip()]
        choices = tuple(Choice(f"c{number}", line) for number, line in enumerate(lines, 1))
        urgent = self.urgent == "yes"
        return Draft(
            board=self.board,
            title=self.title,
            body=self.body,
            urgent=urgent,
            audience=self._audience(),
            drill={"drill": True, "real": False}.get(self.drill) if urgent else None,
            severity=self.severity,
            ask=Ask(self.question.strip(), choices) if urgent and self.ask == "choices" else None,
            plan=self.plan if urgent else DEFAULT_PLAN,
            expires_at=_parse_moment(self.expires) if urgent else None,
        )

    def _audience(self) -> Audience:
        if self.audience == "everyone":
            return Audience(everyone=True)
        if self.audience != "chosen":
            return Audience()
        people = tuple(dict.fromkeys(re.split(r"[\s,、，;]+", self.people.strip()))) if self.people.strip() else ()
        return Audience(groups=self.groups, people=people)


def new_key() -> str:
    """An Idempotency-Key: made with the form, so that a double click is one post."""
    return secrets.token_urlsafe(16)


def _parse_moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


async def show_form(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    return await _form_page(page, Fields(key=new_key()))


async def take_form(request: Request) -> Response:
    """`step` says what was pressed: check (also what Enter does), edit, or send."""
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    fields, step = Fields.read(form), form.one("step", "check")
    if step == "edit":
        return await _form_page(page, fields)
    if fields.urgent not in ("yes", "no"):
        return await _form_page(page, fields, {"urgent": page.say("Say whether this is urgent.")})
    try:
        if fields.urgent == "yes" and step != "send":
            return await _check_page(page, _with_expiry(page, fields))
        return await _send(page, actor, fields)
    except Invalid as refused:
        return await _form_page(page, fields, _faults(page, refused.details))
    except Conflict as refused:
        return await _form_page(page, replace(fields, key=new_key()), {"form": page.fault(refused.message)})


def _with_expiry(page: Page, fields: Fields) -> Fields:
    """The fields with their end fixed, so that sending twice sends the same."""
    hours = int(fields.life) if fields.life in map(str, LIVES) else DEFAULT_LIFE_HOURS
    end = page.web.rt.now().replace(microsecond=0) + timedelta(hours=hours)
    return replace(fields, life=str(hours), expires=end.isoformat())


async def _send(page: Page, actor: Actor, fields: Fields) -> Response:
    draft = fields.draft()
    posted = await in_thread(lambda: posting.post(page.web.rt, actor, draft, fields.key))
    alert, post = posted.body["alert"], posted.body["post"]
    return RedirectResponse(f"/alerts/{alert['id']}" if alert else f"/posts/{post['id']}", 303)


async def _form_page(page: Page, fields: Fields, faults: dict[str, str] | None = None) -> Response:
    rt = page.web.rt
    boards, groups, plans = await in_thread(
        lambda: (directory.list_boards(rt), directory.list_groups(rt), planning.list_plans(rt))
    )
    return page.respond(
        "post_new.html",
        422 if faults else 200,
        fields=fields,
        faults=faults or {},
        boards=boards,
        groups=in_tree_order(groups),
        severities=SEVERITIES,
        plans=[{**plan, "name": plan_name(page, plan)} for plan in plans],
        lives=LIVES,
    )


async def _check_page(page: Page, fields: Fields) -> Response:
    rt, draft = page.web.rt, fields.draft()
    reach = await in_thread(lambda: posting.check(rt, draft))
    groups = await in_thread(lambda: {group["id"]: group["name"] for group in directory.list_groups(rt)})
    return page.respond(
        "post_check.html",
        fields=fields,
        draft=draft,
        reach=reach,
        lines=fold(reach.outlook.forecasts),
        plan=await in_thread(lambda: _plan_name(page, draft)),
        previews=await in_thread(lambda: _previews(page, draft, reach)),
        group_names=[groups.get(group, group) for group in draft.audience.groups],
        warnings=[page.say(warning) for warning in _warnings(draft)],
    )


def _plan_name(page: Page, draft: Draft) -> str:
    return next(plan_name(page, plan) for plan in planning.list_plans(page.web.rt) if plan["id"] == draft.plan)


def _previews(page: Page, draft: Draft, reach: Reach) -> list[dict[str, str]]:
    """What phones will show, in each language that somebody in the audience reads."""
    rt = page.web.rt
    shown = []
    for language in sorted(reach.segments_each, key=lambda code: code != page.language):
        push = posting.preview(rt, draft, language, "webpush")
        short = posting.preview(rt, draft, language, "sms")
        sms = short.text.replace(LINK, f"{rt.public_url}/a/…")
        shown.append({"language": language, "title": push.title, "body": push.text, "sms": sms})
    return shown


def _warnings(draft: Draft) -> list[str]:
    title, says_real = draft.title, _SAYS_REAL.search(draft.title) is not None
    if draft.drill and says_real:
        return [marked("The title sounds like a real alert, but this is going out as a DRILL.")]
    if draft.drill is False and not says_real and _SAYS_DRILL.search(title):
        return [marked("The title speaks of a drill, but this is going out as a REAL alert.")]
    return []


def _faults(page: Page, details: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The first thing that is wrong with each part of the form."""
    faults: dict[str, Any] = {}
    for field, message in details:
        name = next((part for pattern, part in _FORM_FIELDS if pattern.fullmatch(field)), field)
        faults.setdefault(name, page.fault(message))
    return faults
