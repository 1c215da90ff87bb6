"""People from a file: handed in, its differences looked at, applied, and undone."""

from contextlib import suppress
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Conflict, Invalid
from alertd.core.roles import Role
from alertd.service import directory, imports
from alertd.service.importing import columns
from alertd.web.bodies import IMPORT_MAX
from alertd.web.context import in_thread
from alertd.web.pages.forms import read_own_form, read_own_upload
from alertd.web.templating import Page, signed_in

_SHOWN: Final = 100  # people of each kind on one page
_FAULTS_MAX: Final = 5


async def show_form(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    return await _form_page(page)


async def take_file(request: Request) -> Response:
    page, actor = await signed_in(request, Role.MANAGER)
    _, name, content = await read_own_upload(request, actor, IMPORT_MAX)
    if not content:
        return await _form_page(page, [page.say("Choose a file that is not empty.")])
    try:
        import_id = await in_thread(lambda: imports.hand_in(page.web.rt, actor, name, content))
    except Invalid as refused:
        return await _form_page(page, [page.fault(message) for _, message in refused.details], name)
    return RedirectResponse(f"/people/import/{import_id}", 303)


async def _form_page(page: Page, faults: list[str] | None = None, name: str = "") -> Response:
    rt = page.web.rt
    listed = await in_thread(lambda: imports.list_imports(rt))
    names = await in_thread(lambda: directory.names_of(rt, {each["actor_id"] for each in listed}))
    return page.respond(
        "import.html",
        422 if faults else 200,
        faults=list(dict.fromkeys(faults or ()))[:_FAULTS_MAX],
        name=name,
        imports=listed,
        names=names,
        columns=columns(rt),
    )


async def show_import(request: Request) -> Response:
    """A draft's differences, or what became of it."""
    page, actor = await signed_in(request, Role.MANAGER)
    rt, import_id = page.web.rt, str(request.path_params["id"])
    found = await in_thread(lambda: imports.read_import(rt, import_id))
    if found["applied_at"] is None:
        return await _draft_page(page, found)
    undoing = None
    if found["undone_at"] is None:
        undoing = await in_thread(lambda: imports.foresee_undo(rt, actor, import_id))
    left = undoing.left if undoing else {each["id"]: each["why"] for each in found["kept"]}
    shown = dict(sorted(left.items())[:_SHOWN])
    names = await in_thread(lambda: directory.names_of(rt, {found["actor_id"], *shown}))
    return page.respond(
        "import_done.html",
        found=found,
        back=len(undoing.back) if undoing else 0,
        left=shown,
        left_count=len(left),
        names=names,
        just_done="done" in request.query_params,
    )


async def _draft_page(page: Page, found: dict[str, Any]) -> Response:
    preview, query = found["preview"], page.request.query_params
    start = int(query["from"]) if query.get("from", "").isdecimal() and len(query["from"]) < 7 else 0
    kinds = ("deactivated", "changed", "made")
    group_ids = await in_thread(lambda: directory.list_groups(page.web.rt))
    return page.respond(
        "import_preview.html",
        found=found,
        errors=[(row, field, page.fault(message)) for row, field, message in preview["errors"][start : start + _SHOWN]],
        error_count=len(preview["errors"]),
        kinds={kind: preview[kind][start : start + _SHOWN] for kind in kinds},
        counts={kind: len(preview[kind]) for kind in kinds},
        unchanged=found["counts"]["unchanged"],
        group_names={group["id"]: group["name"] for group in group_ids},
        start=start,
        following=start + _SHOWN if any(len(preview[kind]) > start + _SHOWN for kind in (*kinds, "errors")) else None,
        is_stale="stale" in query,
        addresses=directory.other_addresses(page.web.rt),
        secrets=page.web.rt.secrets,
    )


async def apply(request: Request) -> Response:
    """Take it in. Whoever presses twice, or comes back later, finds what was done."""
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    import_id, digest = str(request.path_params["id"]), form.one("digest")
    done = await in_thread(lambda: imports.apply(page.web.rt, actor, import_id, digest))
    return RedirectResponse(f"/people/import/{import_id}?{'done' if done else 'stale'}=1", 303)


async def undo(request: Request) -> Response:
    page, actor = await signed_in(request, Role.MANAGER)
    await read_own_form(request, actor)
    import_id = str(request.path_params["id"])
    with suppress(Conflict):  # pressed twice: the page says what became of it
        await in_thread(lambda: imports.undo(page.web.rt, actor, import_id))
    return RedirectResponse(f"/people/import/{import_id}", 303)
