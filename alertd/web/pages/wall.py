"""The wall: how an alert stands, for a screen across the room that nobody touches."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from alertd.core.roles import Role
from alertd.service import reporting, watching
from alertd.service.runtime import Actor, Runtime
from alertd.web.context import in_thread
from alertd.web.pages.plot import plot
from alertd.web.pages.trees import in_tree_order
from alertd.web.templating import Page, signed_in

# So much can be read from five metres at once.
_GROUPS: Final = 8
_GROUPS_BESIDE: Final = 6  # answers to a question
_CHOICES: Final = 6  # with more of them there is no room for groups


async def show_alert(request: Request) -> Response:
    """One alert, whatever becomes of it."""
    page, actor = await signed_in(request, Role.VIEWER)
    alert_id = str(request.path_params["alert"])
    return await _show(page, actor, alert_id)


async def show_newest(request: Request) -> Response:
    """The newest alert that is open, no drill while there is a real one; without any, that there is none, and how the
    last one ended.
    """
    page, actor = await signed_in(request, Role.VIEWER)
    return await _show(page, actor, None)


async def _show(page: Page, actor: Actor, alert_id: str | None) -> Response:
    rt = page.web.rt
    context = await in_thread(lambda: _read(rt, actor, alert_id))
    return page.respond("wall.html", **context, zone=getattr(rt.zone, "key", ""))


def _read(rt: Runtime, actor: Actor, alert_id: str | None) -> dict[str, Any]:
    living = watching.read_open_alerts(rt)
    alert = watching.read_alert(rt, actor, alert_id) if alert_id is not None else next(iter(living), None)
    if alert is None:
        last = next(iter(watching.read_alerts(rt, actor, before=None, limit=1)), None)
        summary = watching.summarise(rt, last["id"]) if last else None
        return {"alert": None, "last": last, "summary": summary, "others": []}
    summary = watching.summarise(rt, alert["id"])
    groups = _tops(summary["groups"])
    shown = groups[: _room(alert)]
    return {
        "alert": alert,
        "others": [other for other in living if other["id"] != alert["id"]],
        "summary": summary,
        "groups": shown,
        "more_groups": len(groups) - len(shown),
        "plot": plot(reporting.read_curve(rt, alert["id"])),
    }


def _tops(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups at the top of the tree, largest first; where one is above all others, those below it."""
    ordered = in_tree_order(groups)
    depth = 1 if sum(group["depth"] == 0 for group in ordered) == 1 < len(ordered) else 0
    tops = [group for group in ordered if group["depth"] == depth]
    return sorted(tops, key=lambda group: -group["recipients"])


def _room(alert: dict[str, Any]) -> int:
    if alert["ask"] is None:
        return _GROUPS
    return _GROUPS_BESIDE if len(alert["ask"]["choices"]) <= _CHOICES else 0
