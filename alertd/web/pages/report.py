"""The report of an alert: to read and print, as a table of its people, and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from alertd.core.roles import Role
from alertd.service import exporting, reporting, watching
from alertd.service.runtime import Actor, Runtime
from alertd.web import words
from alertd.web.context import in_thread
from alertd.web.pages.plot import plot
from alertd.web.pages.trees import in_tree_order
from alertd.web.templating import Page, signed_in
from alertd.web.translations import marked

_NAMED: Final = 100  # people per list on the page; the table has them all


async def show_report(request: Request) -> Response:
    """The page, to read and to print. However large the alert is, it names few people and says where all are."""
    page, actor = await signed_in(request, Role.VIEWER)
    rt, alert_id = page.web.rt, _alert_id(request)

    def read() -> dict[str, Any]:
        report = _read(rt, actor, alert_id)
        unreachable, _ = watching.list_recipients(rt, alert_id, state="unreachable", after=None, limit=_NAMED)
        awaited, _ = watching.list_recipients(rt, alert_id, state="awaited", after=None, limit=_NAMED)
        return {**report, "unreachable": unreachable, "awaited": awaited}

    context = await in_thread(read)
    drill = context["drill"]
    return page.respond(
        "report.html",
        **context,
        groups=in_tree_order(context["summary"]["groups"]),
        plot=plot(context["curve"], drill["curve"] if drill else None),
        after=_after,
    )


async def save_table(request: Request) -> Response:
    """Person by person, as a table in the reader's language, its times in the town's zone."""
    page, actor = await signed_in(request, Role.VIEWER)
    rt, alert_id = page.web.rt, _alert_id(request)

    def make() -> Iterator[str]:
        alert = watching.read_alert(rt, actor, alert_id)
        return exporting.table(_lines(page, alert))

    return _file(await in_thread(make), f"alert-{alert_id}-report.csv", "text/csv; charset=utf-8")


async def save_json(request: Request) -> Response:
    """Everything on the page, and every person with every delivery."""
    page, actor = await signed_in(request, Role.VIEWER)
    rt, alert_id = page.web.rt, _alert_id(request)

    def make() -> Iterator[str]:
        return exporting.whole(_as_json(rt, _read(rt, actor, alert_id)))

    return _file(await in_thread(make), f"alert-{alert_id}-report.json", "application/json")


def _file(text: Iterator[str], name: str, media_type: str) -> Response:
    named = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(text, media_type=media_type, headers=named)


def _alert_id(request: Request) -> str:
    return str(request.path_params["alert"])


def _read(rt: Runtime, actor: Actor, alert_id: str) -> dict[str, Any]:
    watching.read_alert(rt, actor, alert_id)
    return reporting.read_report(rt, alert_id)


def _after(alert: Mapping[str, Any], at: str | None) -> int | None:
    """How many whole seconds after an alert was posted that was."""
    if at is None:
        return None
    return int((datetime.fromisoformat(at) - datetime.fromisoformat(alert["sent_at"])).total_seconds())


def _as_json(rt: Runtime, report: Mapping[str, Any]) -> Iterator[str]:
    """The report as one JSON object, in pieces: its people come last, one a line."""
    head = json.dumps(report, ensure_ascii=False)
    yield head[:-1] + ', "people": ['
    separator = "\n"
    for people in watching.read_everybody(rt, report["alert"]["id"]):
        for person in people:
            yield separator + json.dumps(person, ensure_ascii=False)
            separator = ",\n"
    yield "]}\n"


_COLUMNS: Final = (
    marked("ID"),
    marked("Name"),
    marked("Groups"),
    marked("Told as"),
    marked("Result"),
    marked("Answer"),
    marked("Comment"),
    marked("Given at"),
    marked("Received by the server"),
    marked("Late"),
    marked("Answered by way of"),
    marked("Given for them by (proxy)"),
    marked("Phone"),
    marked("E-mail"),
)
_FURTHEST: Final = (
    ("opened_at", marked("opened")),
    ("displayed_at", marked("shown on the screen")),
    ("delivered_at", marked("Arrived at the device")),
)


def _lines(page: Page, alert: Mapping[str, Any]) -> Iterator[Sequence[object]]:
    rt = page.web.rt
    zone = getattr(rt.zone, "key", "")
    channels = [*rt.channels]
    yield [
        *(page.say(column) for column in _COLUMNS[:7]),
        *(f"{page.say(column)} ({zone})" if zone else page.say(column) for column in _COLUMNS[7:9]),
        *(page.say(column) for column in _COLUMNS[9:]),
        *(page.say(words.CHANNELS.get(channel, channel)) for channel in channels),
    ]
    choices = {choice["id"]: choice["label"] for choice in (alert["ask"] or {"choices": []})["choices"]}
    for people in watching.read_everybody(rt, alert["id"]):
        for person in people:
            yield [*_about(page, choices, person), *(_furthest(page, person, channel) for channel in channels)]


def _about(page: Page, choices: Mapping[str, str], person: Mapping[str, Any]) -> Iterator[object]:
    who, mine = person["person"], person["acknowledgement"]
    yield from (who["id"], who["name"], " ".join(who["groups"]))
    is_audience = person["part"] == "audience"
    yield page.say(marked("Audience")) if is_audience else page.say(marked("Supervisor"))
    yield _result(page, person) if is_audience else None
    if mine is None:
        yield from (None,) * 7
    else:
        yield page.say(marked("Seen")) if mine["answer"] is None else choices.get(mine["answer"], mine["answer"])
        yield mine["comment"]
        yield from (_local(page, mine["answered_at"]), _local(page, mine["received_at"]))
        yield page.say(marked("late")) if mine["late"] else None
        yield from (page.say(words.WAYS.get(mine["way"], mine["way"])), mine["by"])
    yield from (who["phone"], who["email"])


def _result(page: Page, person: Mapping[str, Any]) -> str:
    if person["state"] == "acknowledged":
        return page.say(marked("Answered"))
    if person["unreachable"]:
        return page.say(marked("Unreachable"))
    answered_before = person["acknowledgement"] is not None
    return page.say(marked("Answered an earlier version only") if answered_before else marked("Not answered"))


def _furthest(page: Page, person: Mapping[str, Any], channel: str) -> str | None:
    """The most that is proven of what went to somebody on a channel, never more; and why it got no further."""
    sent = [delivery for delivery in person["deliveries"] if delivery["channel"] == channel]
    for rung, name in _FURTHEST:
        proofs = [delivery["evidence"][rung] for delivery in sent if delivery["evidence"][rung]]
        if proofs:
            return f"{page.say(name)} {_local(page, min(proofs))}"
    if not sent:
        return None
    last = sent[-1]
    cause = words.explain(last["reason"], channel, page.language) or last["reason"]
    known = words.STATES[last["state"]]
    return page.say(known) + (f" ({cause})" if cause else "")


def _local(page: Page, at: str) -> str:
    """As spreadsheets read a time, in the town's zone."""
    return datetime.fromisoformat(at).astimezone(page.web.rt.zone).strftime("%Y-%m-%d %H:%M:%S")
