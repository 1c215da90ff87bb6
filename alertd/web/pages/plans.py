"""Plans by name: what is sent when. Admins write them, managers may read them."""

import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.escalation import DEFAULT_PLAN, STEPS_MAX, Plan, Repeat, Step
from alertd.core.roles import Role
from alertd.service import planning
from alertd.service.runtime import Actor
from alertd.web.context import in_thread
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.pages.timetable import plan_name
from alertd.web.templating import Page, signed_in

NEW: Final = "new"  # the path of the form for one that is not there yet


@dataclass(frozen=True, slots=True)
class Row:
    """A step as it stands in the form: everything as it was typed, times in minutes."""

    after: str = ""
    channels: tuple[str, ...] = ()
    to: str = "outstanding"
    every: str = ""
    times: str = ""

    @property
    def is_blank(self) -> bool:
        return not (self.after.strip() or self.channels or self.every.strip() or self.times.strip())

    @classmethod
    def of(cls, step: Step) -> "Row":
        every, times = (step.repeat.every_seconds, step.repeat.times) if step.repeat else (None, None)
        return cls(
            after=_minutes(step.after_seconds),
            channels=step.channels,
            to=step.to,
            every=_minutes(every) if every is not None else "",
            times=str(times) if times is not None else "",
        )


def _minutes(seconds: int) -> str:
    return f"{seconds / 60:g}"


async def show_plans(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    plans = await in_thread(lambda: planning.list_plans(page.web.rt))
    shown = [{**plan, "name": plan_name(page, plan)} for plan in plans]
    return page.respond("plans.html", plans=shown, default=DEFAULT_PLAN)


async def show_plan(request: Request) -> Response:
    page, actor = await signed_in(request, Role.MANAGER)
    plan_id = str(request.path_params["plan"])
    if plan_id == NEW:
        if not actor.may(Role.ADMIN):
            raise NotFound("there is no plan 'new'")
        rows = [Row("0", page.web.rt.channels), Row()]
        return await _plan_page(page, plan_id, "", rows)
    plan = await in_thread(lambda: _get(page, plan_id))
    saved = "saved" in request.query_params
    rows = [Row.of(step) for step in Plan.from_json(plan["plan"]).steps]
    return await _plan_page(page, plan_id, plan_name(page, plan), rows, saved=saved)


def _get(page: Page, plan_id: str) -> dict[str, Any]:
    found = next((plan for plan in planning.list_plans(page.web.rt) if plan["id"] == plan_id), None)
    if found is None:
        raise NotFound(f"there is no plan {plan_id!r}")
    return found


async def take_plan(request: Request) -> Response:
    """`step` says what was pressed: more (another row), drop-N (without that row), delete, or save."""
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    plan_id, pressed = str(request.path_params["plan"]), form.one("step", "save")
    rows, name = _read_rows(form), form.one("name")
    if pressed == "more":
        return await _plan_page(page, plan_id, name, [*rows, Row()][:STEPS_MAX])
    if pressed.startswith("drop-"):
        left = [row for number, row in enumerate(rows) if f"drop-{number}" != pressed]
        return await _plan_page(page, plan_id, name, left or [Row()])
    if pressed == "delete":
        return await _delete(page, actor, plan_id)
    return await _save(page, actor, plan_id, name, rows)


async def _delete(page: Page, actor: Actor, plan_id: str) -> Response:
    try:
        await in_thread(lambda: planning.delete_plan(page.web.rt, actor, plan_id))
    except Conflict as refused:
        plan = await in_thread(lambda: _get(page, plan_id))
        rows = [Row.of(step) for step in Plan.from_json(plan["plan"]).steps]
        faults = {"form": page.fault(refused.message)}
        return await _plan_page(page, plan_id, plan_name(page, plan), rows, faults=faults)
    return RedirectResponse("/plans", 303)


def _read_rows(form: Form) -> list[Row]:
    count = form.one("rows")
    most = min(int(count), STEPS_MAX) if count.isascii() and count.isdigit() else 0
    return [
        Row(
            after=form.one(f"after-{number}"),
            channels=tuple(dict.fromkeys(form.all(f"channel-{number}"))),
            to=form.one(f"to-{number}", "outstanding"),
            every=form.one(f"every-{number}"),
            times=form.one(f"times-{number}"),
        )
        for number in range(most)
    ]


async def _save(page: Page, actor: Actor, plan_id: str, name: str, rows: Sequence[Row]) -> Response:
    written = [number for number, row in enumerate(rows) if not row.is_blank]
    plan = Plan(tuple(_step(rows[number]) for number in written))
    kept_id = f"plan-{secrets.token_hex(4)}" if plan_id == NEW else plan_id
    try:
        await in_thread(lambda: planning.put_plan(page.web.rt, actor, kept_id, name, plan))
    except Invalid as refused:
        faults = {_place(field, written): page.fault(message) for field, message in reversed(refused.details)}
        return await _plan_page(page, plan_id, name, rows, faults=faults)
    return RedirectResponse(f"/plans/{kept_id}?saved=1", 303)


def _place(field: str, written: Sequence[int]) -> str:
    """Where in the form a fault belongs: `name`, `plan`, or `row-N`."""
    parts = field.split(".")
    if len(parts) > 2 and parts[2].isdigit():
        return f"row-{written[int(parts[2])]}"
    return "plan" if parts[0] == "plan" else "name"


def _step(row: Row) -> Step:
    """What the row says; what is no number becomes one that is refused."""
    every, times = _number(row.every), _number(row.times)
    has_repeat = bool(row.every.strip() or row.times.strip())
    return Step(
        after_seconds=_seconds(_number(row.after)),
        channels=row.channels,
        to="supervisors" if row.to == "supervisors" else "outstanding",
        repeat=Repeat(_seconds(every), int(times) if times is not None else -1) if has_repeat else None,
    )


def _number(typed: str) -> float | None:
    """A number in whatever width its digits were typed; None when it is none."""
    try:
        number = float(unicodedata.normalize("NFKC", typed).strip())
    except ValueError:
        return None
    return number if 0 <= number <= 1_000_000 else None


def _seconds(minutes: float | None) -> int:
    return round(minutes * 60) if minutes is not None else -1


async def _plan_page(
    page: Page,
    plan_id: str,
    name: str,
    rows: Sequence[Row],
    *,
    faults: dict[str, str] | None = None,
    saved: bool = False,
) -> Response:
    rt = page.web.rt
    plan = Plan(tuple(_step(row) for row in rows if not row.is_blank))
    warnings = None
    if plan_id != NEW and not faults and plan.steps:
        warnings = await in_thread(lambda: planning.plan_warnings(rt, plan))
    return page.respond(
        "plan.html",
        422 if faults else 200,
        plan_id=plan_id,
        name=name,
        rows=rows,
        channels=rt.channels,
        faults=faults or {},
        warnings=warnings,
        saved=saved,
        most=STEPS_MAX,
        is_default=plan_id == DEFAULT_PLAN,
        may_delete=page.actor is not None
        and page.actor.may(Role.ADMIN)
        and await in_thread(lambda: planning.is_kept(rt, plan_id)),
    )
