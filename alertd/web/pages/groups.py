"""The tree of groups. Managers may look, admins change it."""

import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.audience import with_subgroups
from alertd.core.errors import Conflict, Invalid
from alertd.core.roles import Role
from alertd.service import directory, grouping
from alertd.service.grouping import Group
from alertd.web.context import in_thread
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.pages.trees import in_tree_order
from alertd.web.templating import Page, signed_in
from alertd.web.translations import marked

_DONE = {
    "made": marked("The group is there now. Next, put people into it."),
    "saved": marked("Saved."),
    "gone": marked("The group is deleted."),
}


@dataclass(frozen=True, slots=True)
class Fields:
    """A group as it stands in the form."""

    name: str = ""
    parent: str = ""
    supervisors: str = ""  # ids, separated by anything

    @classmethod
    def read(cls, form: Form, prefix: str = "") -> "Fields":
        return cls(*(form.one(prefix + name) for name in ("name", "parent", "supervisors")))

    @classmethod
    def of(cls, group: dict[str, Any]) -> "Fields":
        return cls(group["name"], group["parent"] or "", " ".join(group["supervisors"]))

    def group(self) -> Group:
        people = re.split(r"[\s,、，;]+", self.supervisors.strip()) if self.supervisors.strip() else []
        return Group(self.name, self.parent or None, tuple(sorted(set(people))))


async def show_groups(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    tree = in_tree_order(await in_thread(lambda: grouping.list_tree(page.web.rt)))
    names = await _names(page, tree)
    done = _DONE.get(request.query_params.get("done", ""))
    return page.respond("groups.html", groups=tree, names=names, done=page.say(done) if done else None)


async def show_new(request: Request) -> Response:
    page, _ = await signed_in(request, Role.ADMIN)
    return await _form_page(page, "", Fields(parent=request.query_params.get("parent", "")))


async def take_new(request: Request) -> Response:
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    group_id, fields = form.one("id").strip(), Fields.read(form)
    try:
        await in_thread(lambda: grouping.add_group(page.web.rt, actor, group_id, fields.group()))
    except Invalid as refused:
        return await _form_page(page, group_id, fields, _faults(page, refused))
    except Conflict:
        faults = {"id": page.say("There is a group with this ID already.")}
        return await _form_page(page, group_id, fields, faults, 409)
    return RedirectResponse(f"{_path(group_id)}?done=made", 303)


async def show_group(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    group = await _read(page, request)
    return await _group_page(page, group, Fields.of(group))


async def take_group(request: Request) -> Response:
    """Save the form; when somebody else was faster, show theirs beside it."""
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    mine, base, group = Fields.read(form), Fields.read(form, "was-"), await _read(page, request)
    try:
        await in_thread(lambda: grouping.change_group(page.web.rt, actor, group["id"], mine.group(), base.group()))
    except Invalid as refused:
        return await _group_page(page, group, mine, faults=_faults(page, refused))
    except Conflict:
        group = await _read(page, request)
        return await _clash_page(page, group, mine, base)
    return RedirectResponse(f"{_path(group['id'])}?done=saved", 303)


async def _clash_page(page: Page, group: dict[str, Any], mine: Fields, base: Fields) -> Response:
    """What only one of the two has changed is filled in as changed, of the rest what the one who looks has typed."""
    theirs = Fields.of(group)
    untouched = {
        name: getattr(theirs, name)
        for name in Fields.__dataclass_fields__
        if getattr(mine.group(), name) == getattr(base.group(), name)
    }
    return await _group_page(page, group, replace(mine, **untouched), clash=theirs)


async def delete(request: Request) -> Response:
    page, actor = await signed_in(request, Role.ADMIN)
    await read_own_form(request, actor)
    group = await _read(page, request)
    try:
        await in_thread(lambda: grouping.delete_group(page.web.rt, actor, group["id"]))
    except Conflict as refused:
        return await _group_page(page, group, Fields.of(group), faults={"delete": page.fault(refused.message)})
    return RedirectResponse("/groups?done=gone", 303)


async def _read(page: Page, request: Request) -> dict[str, Any]:
    group_id = str(request.path_params["group"])
    return await in_thread(lambda: grouping.read_group(page.web.rt, group_id))


async def _group_page(
    page: Page,
    group: dict[str, Any],
    fields: Fields,
    *,
    faults: dict[str, str] | None = None,
    clash: Fields | None = None,
) -> Response:
    done = _DONE.get(page.request.query_params.get("done", ""))
    return await _form_page(
        page,
        group["id"],
        fields,
        faults,
        409 if clash else 422,
        group=group,
        was=Fields.of(group),
        clash=clash,
        done=page.say(done) if done else None,
    )


async def _form_page(
    page: Page,
    group_id: str,
    fields: Fields,
    faults: dict[str, str] | None = None,
    refused: int = 422,
    **more: Any,
) -> Response:
    tree = in_tree_order(await in_thread(lambda: grouping.list_tree(page.web.rt)))
    inside = with_subgroups([group_id], {each["id"]: each["parent"] for each in tree})
    context = {"group": None, "was": None, "clash": None, "done": None, **more}
    return page.respond(
        "group.html",
        refused if faults or context["clash"] else 200,
        group_id=group_id,
        fields=fields,
        faults=faults or {},
        parents=[each for each in tree if each["id"] not in inside],
        group_names={each["id"]: each["name"] for each in tree},
        names=await _names(page, [context["group"]] if context["group"] else []),
        **context,
    )


async def _names(page: Page, groups: list[dict[str, Any]]) -> dict[str, str]:
    """What the supervisors of these groups are called."""
    supervisors = {person for group in groups for person in group["supervisors"]}
    return await in_thread(lambda: directory.names_of(page.web.rt, supervisors))


def _faults(page: Page, refused: Invalid) -> dict[str, str]:
    return {field: page.fault(message) for field, message in reversed(refused.details)}


def _path(group_id: str) -> str:
    return f"/groups/{quote(group_id)}"
