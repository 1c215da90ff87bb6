"""Templates for urgent posts. Admins write them, managers read and use them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.alert import DEFAULT_SEVERITY, LANGUAGES, SEVERITIES, Ask, Choice, Language, Severity
from alertd.core.audience import Audience
from alertd.core.errors import Invalid, NotFound
from alertd.core.escalation import DEFAULT_PLAN
from alertd.core.roles import Role
from alertd.core.template import HAZARDS, LIFE_MAX, Hazard, Template, fields_of
from alertd.service import directory, planning, templates
from alertd.service.runtime import Actor
from alertd.web.context import in_thread
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.pages.post_fields import LIVES
from alertd.web.pages.timetable import plan_name
from alertd.web.pages.trees import as_tree
from alertd.web.templating import Page, signed_in

NEW: Final = "new"  # the path of the form for one that is not there yet
_EXAMPLE: Final = "example-"
_FORM_FIELDS: Final = {"ask": "choices", "audience": "audience", "life_hours": "life", "fields": "body"}


@dataclass(frozen=True, slots=True)
class Fields:
    """The form as it was filled in."""

    name: str = ""
    language: str = "ja"
    hazard: str = "other"
    title: str = ""
    body: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    severity: str = DEFAULT_SEVERITY
    audience: str = ""  # everyone | chosen | "": to be chosen each time
    groups: tuple[str, ...] = ()
    ask: str = "plain"
    question: str = ""
    choices: str = ""
    plan: str = DEFAULT_PLAN
    life: str = "24"
    hidden: bool = False

    @classmethod
    def read(cls, form: Form) -> "Fields":
        single = {name: form.one(name) for name in ("name", "title", "body", "audience", "question", "choices")}
        return cls(
            **single,
            language=form.one("language", "ja"),
            hazard=form.one("hazard", "other"),
            examples=tuple(form.behind(_EXAMPLE)),
            severity=form.one("severity", DEFAULT_SEVERITY),
            groups=tuple(form.all("group")),
            ask=form.one("ask", "plain"),
            plan=form.one("plan", DEFAULT_PLAN),
            life=form.one("life", "24"),
            hidden=form.one("hidden") == "yes",
        )

    @classmethod
    def of(cls, view: dict[str, Any]) -> "Fields":
        template = Template.from_json(view)
        audience, ask = template.audience, template.ask
        return cls(
            name=view["name"],
            language=template.language,
            hazard=template.hazard,
            title=template.title,
            body=template.body,
            examples=template.examples,
            severity=template.severity,
            audience="" if audience is None else "everyone" if audience.everyone else "chosen",
            groups=audience.groups if audience is not None else (),
            ask="choices" if ask is not None else "plain",
            question=ask.question if ask is not None else "",
            choices="\n".join(choice.label for choice in ask.choices) if ask is not None else "",
            plan=template.plan,
            life=str(template.life_hours),
            hidden=view["hidden"],
        )

    def template(self) -> Template:
        lines = [line.strip() for line in self.choices.split("\n") if line.strip()]
        named = fields_of(self.title, self.body)
        return Template(
            language=cast("Language", self.language),
            hazard=cast("Hazard", self.hazard),
            title=self.title.strip(),
            body=self.body,
            examples=tuple((name, example.strip()) for name, example in self.examples if name in named),
            severity=cast("Severity", self.severity),
            ask=Ask(self.question.strip(), tuple(Choice(f"c{number}", line) for number, line in enumerate(lines, 1)))
            if self.ask == "choices"
            else None,
            audience={"everyone": Audience(everyone=True), "chosen": Audience(groups=self.groups)}.get(self.audience),
            plan=self.plan,
            life_hours=int(self.life) if self.life in map(str, range(1, LIFE_MAX + 1)) else 0,
        )


async def show_templates(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    found = await in_thread(lambda: templates.list_templates(page.web.rt))
    own = [each for each in found if each["language"] == page.language]
    return page.respond("templates.html", shelves=[own, [each for each in found if each not in own]])


async def show_template(request: Request) -> Response:
    page, actor = await signed_in(request, Role.MANAGER)
    template_id = str(request.path_params["template"])
    if template_id != NEW:
        view = await in_thread(lambda: templates.get_template(page.web.rt, template_id))
        return await _template_page(page, template_id, Fields.of(view), saved="saved" in request.query_params)
    if not actor.may(Role.ADMIN):
        raise NotFound("there is no template 'new'")
    copied = request.query_params.get("from")
    if copied is None:
        return await _template_page(page, NEW, Fields(language=page.language))
    return await _template_page(
        page, NEW, Fields.of(await in_thread(lambda: templates.get_template(page.web.rt, copied)))
    )


async def take_template(request: Request) -> Response:
    """`step` says what was pressed: fields (look for them in the words), delete, hide, show, or save."""
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    template_id, pressed, fields = str(request.path_params["template"]), form.one("step", "save"), Fields.read(form)
    if pressed == "fields":
        return await _template_page(page, template_id, fields)
    if pressed == "delete":
        await in_thread(lambda: templates.delete_template(page.web.rt, actor, template_id))
        return RedirectResponse("/templates", 303)
    hidden = {"hide": True, "show": False}.get(pressed, fields.hidden)
    return await _save(page, actor, template_id, fields, hidden=hidden)


async def _save(page: Page, actor: Actor, template_id: str, fields: Fields, *, hidden: bool) -> Response:
    kept_id = f"template-{secrets.token_hex(4)}" if template_id == NEW else template_id
    template = fields.template()
    try:
        await in_thread(
            lambda: templates.put_template(page.web.rt, actor, kept_id, fields.name, template, hidden=hidden)
        )
    except Invalid as refused:
        return await _template_page(page, template_id, fields, faults=_faults(page, refused.details))
    return RedirectResponse(f"/templates/{kept_id}?saved=1", 303)


def _faults(page: Page, details: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The first thing that is wrong with each part of the form."""
    faults: dict[str, str] = {}
    for field, message in details:
        part = "question" if field == "ask.question" else _FORM_FIELDS.get(field.split(".", 1)[0], field)
        faults.setdefault(part, page.fault(message))
    return faults


async def _template_page(
    page: Page, template_id: str, fields: Fields, *, faults: dict[str, str] | None = None, saved: bool = False
) -> Response:
    shown = await in_thread(lambda: _parts(page, template_id, fields))
    examples = dict(fields.examples)
    return page.respond(
        "template.html",
        422 if faults else 200,
        template_id=template_id,
        fields=fields,
        faults=faults or {},
        saved=saved,
        examples=[(name, examples.get(name, "")) for name in fields_of(fields.title, fields.body)],
        **shown,
    )


def _parts(page: Page, template_id: str, fields: Fields) -> dict[str, Any]:
    """What the form offers to choose from, and what can be done with a template."""
    rt = page.web.rt
    view = None if template_id == NEW else _found(page, template_id)
    return {
        "tree": as_tree(directory.list_group_sizes(rt), fields.groups),
        "severities": SEVERITIES,
        "hazards": HAZARDS,
        "languages": LANGUAGES,
        "plans": [{**plan, "name": plan_name(page, plan)} for plan in planning.list_plans(rt)],
        "lives": sorted({*LIVES, int(fields.life)}) if fields.life in map(str, range(1, LIFE_MAX + 1)) else LIVES,
        "built_in": view is not None and view["built_in"],
        "deletable": view is not None and (view["changed"] or not view["built_in"]),
    }


def _found(page: Page, template_id: str) -> dict[str, Any] | None:
    try:
        return templates.get_template(page.web.rt, template_id)
    except NotFound:
        return None  # somebody deleted it while it stood in this form, which makes it anew
