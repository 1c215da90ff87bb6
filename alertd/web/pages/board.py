"""The board and its posts."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from alertd.core.errors import NotFound
from alertd.core.roles import Role
from alertd.service import directory, posting, sources, watching
from alertd.service.runtime import Actor, Runtime
from alertd.web.context import in_thread
from alertd.web.pages.versions import earlier_of
from alertd.web.security import keep_signed_in
from alertd.web.templating import signed_in

PAGE_SIZE: Final = 20


async def show_board(request: Request) -> Response:
    page, actor = await signed_in(request)
    rt, before = page.web.rt, request.query_params.get("before")

    def read() -> tuple[list[dict[str, Any]], dict[str, str], dict[str, dict[str, Any] | None], int]:
        waiting = sources.count_waiting(rt) if actor.may(Role.MANAGER) else 0
        posts = posting.read_board(rt, actor, before=before, limit=PAGE_SIZE + 1)
        boards = {board["id"]: board["name"] for board in directory.list_boards(rt)}
        alerts = {post["id"]: _alert_of(rt, actor, post) for post in posts[:PAGE_SIZE]}
        return posts, boards, alerts, waiting

    posts, boards, alerts, waiting = await in_thread(read)
    older = posts[PAGE_SIZE - 1]["id"] if len(posts) > PAGE_SIZE else None
    response = page.respond(
        "board.html",
        posts=posts[:PAGE_SIZE],
        boards=boards,
        alerts=alerts,
        older=older,
        before=before,
        waiting=waiting,
    )
    await keep_signed_in(request, actor, response)
    return response


async def show_post(request: Request) -> Response:
    page, actor = await signed_in(request)
    rt, post_id = page.web.rt, str(request.path_params["post"])

    def read() -> dict[str, Any]:
        post = posting.read_post(rt, actor, post_id)
        alert = _alert_of(rt, actor, post)
        return {
            "post": post,
            "boards": {board["id"]: board["name"] for board in directory.list_boards(rt)},
            "alert": alert,
            "earlier": earlier_of(rt, alert, None)[0] if alert else [],
        }

    return page.respond("post.html", **await in_thread(read), may_watch=actor.may(Role.VIEWER))


def _alert_of(rt: Runtime, actor: Actor, post: dict[str, Any]) -> dict[str, Any] | None:
    """The alert of a post; None when it has none, or one that did not go to its reader (its author, for one)."""
    if post["alert"] is None:
        return None
    try:
        return watching.read_alert(rt, actor, post["alert"])
    except NotFound:
        return None
