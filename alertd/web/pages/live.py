"""The page on which an alert is watched: who has answered, who has not, and why."""

from collections.abc import Mapping
from typing import Any, Final, get_args
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.acknowledgement import Way
from alertd.core.errors import NotFound
from alertd.core.roles import Role
from alertd.service import directory, reporting, watching
from alertd.service.acknowledging import wish_of
from alertd.service.obstacles import list_obstacles
from alertd.service.runtime import Actor, Runtime
from alertd.service.watching import Filter
from alertd.web.context import in_thread
from alertd.web.pages.forms import read_own_form
from alertd.web.pages.plot import plot
from alertd.web.pages.timetable import stages
from alertd.web.pages.trees import in_tree_order
from alertd.web.templating import Page, signed_in

_SHOWN: Final = 20  # people per list on the live page
_LISTED: Final = 200  # people per page of one list
LISTS: Final[tuple[Filter, ...]] = ("unreachable", "awaited", "acknowledged")


async def show_alert(request: Request) -> Response:
    page, actor = await signed_in(request)
    alert_id, rt = _alert_id(request), page.web.rt
    if not actor.may(Role.VIEWER):
        # The address stands where all staff read, such as in Garoon; what they may see is what they have to answer.
        return RedirectResponse(f"/me/alerts/{quote(alert_id, safe='')}", 303)
    context = await _read(page, actor, alert_id)
    summary = await in_thread(lambda: watching.summarise(rt, alert_id))
    return page.respond(
        "alert.html",
        **context,
        summary=summary,
        groups=in_tree_order(summary["groups"]),
        zone=getattr(rt.zone, "key", ""),
    )


async def show_people(request: Request) -> Response:
    """What changes on the page while it is open, beside the numbers."""
    page, actor = await signed_in(request, Role.VIEWER)
    return page.respond("_live.html", **await _read(page, actor, _alert_id(request)))


async def show_list(request: Request) -> Response:
    """One list in full, or as far as a group goes, page by page."""
    page, actor = await signed_in(request, Role.VIEWER)
    alert_id, state = _alert_id(request), str(request.path_params["state"])
    chosen = next((each for each in get_args(Filter) if each == state), None)
    if chosen is None:
        raise NotFound(f"there is no list {state!r}")
    rt, after, group_id = page.web.rt, request.query_params.get("after"), request.query_params.get("group")

    def read() -> dict[str, Any]:
        alert = watching.read_alert(rt, actor, alert_id)
        people, following = watching.list_recipients(
            rt, alert_id, state=chosen, after=after, limit=_LISTED, group=group_id
        )
        group = watching.read_group(rt, group_id) if group_id is not None else None
        return {"alert": alert, "people": people, "following": following, "group": group}

    return page.respond("people.html", state=chosen, **await in_thread(read))


async def show_group(request: Request) -> Response:
    """The people of a group and of those below it: who has not answered, and who has."""
    page, actor = await signed_in(request, Role.VIEWER)
    rt, alert_id, group_id = page.web.rt, _alert_id(request), str(request.path_params["group"])

    def read() -> dict[str, Any]:
        alert = watching.read_alert(rt, actor, alert_id)
        lists = watching.list_several(rt, alert_id, ("outstanding", "acknowledged"), limit=_SHOWN, group=group_id)
        return {"alert": alert, "group": watching.read_group(rt, group_id), "lists": lists}

    return page.respond("alert_group.html", **await in_thread(read))


async def answer_for(request: Request) -> Response:
    """A proxy's answer: somebody was reached by telephone. Kept as the manager's, for the person, and as an answer to
    the version that the manager had before them.
    """
    page, actor = await signed_in(request, Role.MANAGER)
    form = await read_own_form(request, actor)
    alert_id = _alert_id(request)
    wish = wish_of(
        actor,
        alert_id,
        Way.PAGE,
        person=form.one("person"),
        answer=form.maybe("answer"),
        comment=form.maybe("comment"),
        revision=form.number("revision"),
    )
    await page.web.acknowledgements.submit(wish)
    return RedirectResponse(f"/alerts/{alert_id}#outstanding", 303)


def _doers(course: Mapping[str, Any]) -> set[str]:
    asked_by = {run["asked_by"] for run in course["timetable"] if run["asked_by"] is not None}
    return asked_by | {each["created_by"] for each in course["revisions"]}


def _alert_id(request: Request) -> str:
    return str(request.path_params["alert"])


async def _read(page: Page, actor: Actor, alert_id: str) -> dict[str, Any]:
    return await in_thread(lambda: _read_all(page.web.rt, actor, alert_id))


def _read_all(rt: Runtime, actor: Actor, alert_id: str) -> dict[str, Any]:
    alert = watching.read_alert(rt, actor, alert_id)
    course = watching.read_course(rt, alert_id)
    return {
        "alert": alert,
        "course": course,
        "names": directory.names_of(rt, _doers(course)),
        "plot": plot(reporting.read_curve(rt, alert_id)),
        "stages": stages(course["timetable"], active=alert["state"] == "active"),
        "obstacles": list_obstacles(rt, alert_id),
        "lists": watching.list_several(rt, alert_id, LISTS, limit=_SHOWN),
    }
