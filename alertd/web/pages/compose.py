"""Writing a post: the door, the form, the check before an urgent one goes out, and the sending."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.alert import SEVERITIES
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.roles import Role
from alertd.core.template import says_drill, says_real
from alertd.service import directory, planning, posting, templates
from alertd.service.posting import Draft
from alertd.service.runtime import Actor, Runtime
from alertd.web.context import in_thread
from alertd.web.pages.forms import read_own_form
from alertd.web.pages.post_fields import KINDS, LIVES, Fields, new_key
from alertd.web.pages.previews import channels_of, looks
from alertd.web.pages.timetable import fold, plan_name
from alertd.web.pages.trees import as_tree
from alertd.web.templating import Page, signed_in
from alertd.web.translations import marked

_NAMES_SHOWN: Final = 5  # of those whom nothing reaches, in the one sentence of the check page

# Which of a refused draft's fields is which part of the form.
_FORM_FIELDS: Final = (
    (re.compile(r"ask\.choices.*"), "choices"),
    (re.compile(r"ask\.question"), "question"),
    (re.compile(r"audience.*"), "audience"),
    (re.compile(r"expires_at"), "life"),
    (re.compile(r"plan.*"), "plan"),
)


async def show_form(request: Request) -> Response:
    """The doors; behind one of them (`kind`) the form, which may begin with a `template`."""
    page, actor = await signed_in(request, Role.MANAGER)
    kind, template_id = request.query_params.get("kind", ""), request.query_params.get("template", "")
    fields = Fields(key=new_key(), kind=kind if kind in KINDS else "")
    if template_id:
        fields = await in_thread(lambda: _begin(page.web.rt, fields, template_id))
    return await _form_page(page, actor, fields)


async def take_form(request: Request) -> Response:
    """`step` says what was pressed: check (also what Enter does), edit, send, door-KIND, use-TEMPLATE, or free."""
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    fields, step = Fields.read(form), form.one("step", "check")
    if step.startswith("use-"):
        begun = await in_thread(lambda: _begin(page.web.rt, fields, step.removeprefix("use-")))
        return await _form_page(page, actor, begun)
    if step.startswith("door-") and step.removeprefix("door-") in KINDS:
        return await _form_page(page, actor, replace(fields, kind=step.removeprefix("door-"), expires=""))
    if step in ("edit", "free"):
        return await _form_page(page, actor, fields.freed() if step == "free" else fields)
    return await _check_or_send(page, actor, fields, step)


async def _check_or_send(page: Page, actor: Actor, fields: Fields, step: str) -> Response:
    if not fields.kind:
        return await _form_page(page, actor, fields, {"kind": page.say("Say whether this is a drill or real.")})
    blank = {f"fill-{name}": page.fault(message) for name, message in fields.field_faults()}
    try:
        if blank:
            return await _form_page(page, actor, fields, blank)
        if fields.is_urgent and step != "send":
            return await _check_page(page, fields.with_expiry(page.web.rt.now()))
        return await _send(page, actor, fields)
    except Invalid as refused:
        return await _form_page(page, actor, fields, _faults(page, refused.details))
    except Conflict as refused:
        return await _form_page(page, actor, replace(fields, key=new_key()), {"form": page.fault(refused.message)})


def _begin(rt: Runtime, fields: Fields, template_id: str) -> Fields:
    """The form begun from that template. Raises NotFound."""
    try:
        before: Mapping[str, Any] | None = templates.get_template(rt, fields.template) if fields.template else None
    except NotFound:
        before = None  # somebody deleted it meanwhile
    return fields.begun_from(template_id, templates.get_template(rt, template_id), before)


async def _send(page: Page, actor: Actor, fields: Fields) -> Response:
    draft = fields.draft()
    posted = await in_thread(lambda: posting.post(page.web.rt, actor, draft, fields.key))
    alert, post = posted.body["alert"], posted.body["post"]
    return RedirectResponse(f"/alerts/{alert['id']}" if alert else f"/posts/{post['id']}", 303)


async def _form_page(page: Page, actor: Actor, fields: Fields, faults: dict[str, str] | None = None) -> Response:
    status = 422 if faults else 200
    if not fields.kind:
        return page.respond("post_doors.html", status, fields=fields, faults=faults or {}, person=actor.person_id)
    shown = await in_thread(lambda: _form_parts(page, fields))
    return page.respond("post_new.html", status, fields=fields, faults=faults or {}, person=actor.person_id, **shown)


def _form_parts(page: Page, fields: Fields) -> dict[str, Any]:
    """What the form offers to choose from."""
    rt = page.web.rt
    offered = [each for each in templates.list_templates(rt) if not each["hidden"]]
    used = next((each for each in offered if each["id"] == fields.template), None)
    examples = {field["name"]: field["example"] for field in used["fields"]} if used else {}
    groups = directory.list_group_sizes(rt)
    lives = sorted({*LIVES, int(fields.life)})
    return {
        "boards": directory.list_boards(rt),
        "tree": as_tree(groups, fields.groups),
        "chips": _named(rt, fields.person_ids),
        "severities": SEVERITIES,
        "plans": [{**plan, "name": plan_name(page, plan)} for plan in planning.list_plans(rt)],
        "lives": lives,
        "offered": [[each for each in offered if (each["language"] == page.language) is own] for own in (True, False)],
        "used": used,
        "examples": examples,
        "fills": fields.fields(),
    }


def _named(rt: Runtime, person_ids: Sequence[str]) -> list[tuple[str, str]]:
    names = directory.names_of(rt, person_ids)
    return [(person_id, names.get(person_id, person_id)) for person_id in person_ids]


async def _check_page(page: Page, fields: Fields) -> Response:
    rt, draft = page.web.rt, fields.draft()
    reach = await in_thread(lambda: posting.check(rt, draft))
    groups = await in_thread(lambda: {group["id"]: group["name"] for group in directory.list_group_sizes(rt)})
    people = await in_thread(lambda: _named(rt, draft.audience.people))
    lines = fold(reach.outlook.forecasts)
    without = reach.outlook.warnings.without
    names = [person["name"] for person in without.first[:_NAMES_SHOWN]]
    return page.respond(
        "post_check.html",
        fields=fields,
        draft=draft,
        reach=reach,
        lines=lines,
        segments=sum(line.segments_in_all for line in lines),
        last_out=max((each.last_out_at for each in reach.outlook.forecasts if each.people), default=None),
        names=names,
        others=without.count - len(names),
        plan=await in_thread(lambda: _plan_name(page, draft)),
        previews=await in_thread(lambda: looks(page, draft, list(reach.segments_each), channels_of(reach))),
        audience=[groups.get(group, group) for group in draft.audience.groups] + [name for _, name in people],
        warnings=[page.say(warning) for warning in _warnings(draft)],
    )


def _plan_name(page: Page, draft: Draft) -> str:
    return next(plan_name(page, plan) for plan in planning.list_plans(page.web.rt) if plan["id"] == draft.plan)


def _warnings(draft: Draft) -> list[str]:
    if draft.drill and says_real(draft.title):
        return [marked("The title sounds like a real alert, but this is going out as a DRILL.")]
    if draft.drill is False and says_drill(draft.title):
        return [marked("The title speaks of a drill, but this is going out as a REAL alert.")]
    return []


def _faults(page: Page, details: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The first thing that is wrong with each part of the form."""
    faults: dict[str, Any] = {}
    for field, message in details:
        name = next((part for pattern, part in _FORM_FIELDS if pattern.fullmatch(field)), field)
        faults.setdefault(name, page.fault(message))
    return faults
