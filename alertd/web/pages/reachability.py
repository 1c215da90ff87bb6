"""Who could not be reached, why, and what to do about it."""

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from alertd.core.roles import Role
from alertd.service import directory, reachability
from alertd.web.context import in_thread
from alertd.web.pages.trees import in_tree_order
from alertd.web.templating import signed_in

PAGE_SIZE: Final = 50
_FIRST: Final = "unreachable"


async def show_reachability(request: Request) -> Response:
    """One of the lists, the first of them unless the query says which."""
    page, _ = await signed_in(request, Role.MANAGER)
    rt, query = page.web.rt, request.query_params
    which = query.get("list", _FIRST) if query.get("list") in reachability.LISTS else _FIRST
    group, after = query.get("group") or None, query.get("after")
    found = await in_thread(lambda: reachability.list_people(rt, which, group, after=after, limit=PAGE_SIZE))
    groups = await in_thread(lambda: directory.list_groups(rt))
    kept = {"group": group} if group else {}
    return page.respond(
        "reachability.html",
        which=which,
        lists=list(reachability.LISTS),
        counts=await in_thread(lambda: reachability.count(rt, group)),
        found=found,
        groups=in_tree_order(groups),
        group_names={each["id"]: each["name"] for each in groups},
        group=group,
        test=await in_thread(lambda: reachability.read_self_test(rt)),
        tests_daily=rt.self_test is not None,
        addresses={name: "?" + urlencode({"list": name, **kept}) for name in reachability.LISTS},
        table="/people/reachability.csv" + (f"?{urlencode(kept)}" if kept else ""),
        after=after,
        following="?" + urlencode({"list": which, **kept, "after": found.following}) if found.following else None,
    )


async def save_reachability(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    group = request.query_params.get("group") or None
    # Read whole before it is answered: a store that goes away in the middle leaves no table that looks whole.
    text = await in_thread(lambda: "".join(reachability.export(page.web.rt, group)))
    day = page.web.rt.now().astimezone(page.web.rt.zone).date().isoformat()
    headers = {"Content-Disposition": f'attachment; filename="reachability-{day}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)
