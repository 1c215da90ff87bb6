"""Where everything that is set up is found, and the boards."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Invalid
from alertd.core.roles import Role
from alertd.service import directory
from alertd.web.context import in_thread
from alertd.web.pages.forms import read_own_form
from alertd.web.templating import Page, signed_in


async def show_admin(request: Request) -> Response:
    """What its reader may open, by what it is for."""
    page, _ = await signed_in(request, Role.MANAGER)
    return page.respond("admin.html")


async def show_boards(request: Request) -> Response:
    page, _ = await signed_in(request, Role.ADMIN)
    return await _boards_page(page)


async def make_board(request: Request) -> Response:
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    board_id, name = form.one("id").strip(), form.one("name")
    there = await in_thread(lambda: directory.list_boards(page.web.rt))
    if any(board["id"] == board_id for board in there):
        faults = {"id": page.say("There is a board with this ID already.")}
        return await _boards_page(page, typed={"id": board_id, "name": name}, faults=faults)
    try:
        await in_thread(lambda: directory.put_board(page.web.rt, actor, board_id, name))
    except Invalid as refused:
        return await _boards_page(page, typed={"id": board_id, "name": name}, faults=_faults(page, refused))
    return RedirectResponse("/boards?saved=1", 303)


async def rename_board(request: Request) -> Response:
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    board_id, name = str(request.path_params["board"]), form.one("name")
    try:
        await in_thread(lambda: directory.put_board(page.web.rt, actor, board_id, name))
    except Invalid as refused:
        faults = {f"name-{board_id}": page.fault(refused.details[0][1])}
        return await _boards_page(page, names={board_id: name}, faults=faults)
    return RedirectResponse("/boards?saved=1", 303)


async def _boards_page(
    page: Page,
    *,
    typed: dict[str, str] | None = None,
    names: dict[str, str] | None = None,
    faults: dict[str, str] | None = None,
) -> Response:
    boards: list[dict[str, Any]] = await in_thread(lambda: directory.list_boards(page.web.rt))
    return page.respond(
        "boards.html",
        422 if faults else 200,
        boards=boards,
        typed=typed or {"id": "", "name": ""},
        names=names or {},
        faults=faults or {},
        saved="saved" in page.request.query_params,
    )


def _faults(page: Page, refused: Invalid) -> dict[str, str]:
    return {field: page.fault(message) for field, message in reversed(refused.details)}
