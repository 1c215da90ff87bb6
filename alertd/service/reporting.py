"""What became of an alert, for whoever accounts for it afterwards: its course, and its answers over time."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.errors import NotFound
from alertd.service import escalating, views, watching
from alertd.service.runtime import Runtime
from alertd.store import acknowledgements, alerts, curves, people, steps
from alertd.store.rows import Row

CHECKPOINTS: Final = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 30, 60))  # after the alert was posted
_POINTS: Final = 60
_SHORTEST: Final = timedelta(minutes=10)  # that a curve shows, so that the first minutes do not run about
_PROXIES_SHOWN: Final = 50


def read_curve(rt: Runtime, alert_id: str) -> dict[str, Any]:
    """How many had answered an alert when: `points` from the moment it was posted up to now, or up to `to` where that
    is earlier; `sends` are the times at which something was sent. Raises NotFound.
    """
    with rt.store.read() as connection:
        return _curve(connection, rt, _get(connection, alert_id))


def read_report(rt: Runtime, alert_id: str) -> dict[str, Any]:
    """Everything about an alert but its people, as of one moment; all of it JSON. Raises NotFound.

    `marks` are when the first, the half and the last of those who have answered did; `checkpoints` how many had after
    so many minutes, None where these have not gone by; `ways` how the answers that count came, and `proxies` the first
    of those that somebody gave for somebody else. `drill` is the last drill before it, None when there was none.
    """
    with rt.store.read() as connection:
        alert = _get(connection, alert_id)
        drill = alerts.last_drill(connection, alert_id)
        proxies = acknowledgements.by_proxy(connection, alert, _PROXIES_SHOWN)
        timeline = _timeline(connection, alert)
        concerned = {each["person_id"] for each in proxies} | {each["last_by"] for each in proxies}
        names = people.get_many(connection, concerned | {each["by"] for each in timeline if each["by"]})
        result = _result(connection, rt, alert)
        return {
            "alert": views.alert(alert),
            "asked_revision": alert["asked_revision"],
            "made_at": views.moment(rt.now()),
            "time_zone": getattr(rt.zone, "key", None),
            **result,
            "timeline": sorted([*timeline, *_milestones(result)], key=lambda each: each["at"]),
            "curve": _curve(connection, rt, alert),
            "ways": acknowledgements.by_way(connection, alert),
            "proxies": [
                {
                    "person": each["person_id"],
                    "by": each["last_by"],
                    "answer": each["last_answer"],
                    "comment": each["last_comment"],
                    "received_at": views.moment(each["last_received_at"]),
                }
                for each in proxies
            ],
            "names": {person_id: row["name"] for person_id, row in names.items()},
            "drill": {
                "alert": views.alert(drill),
                **_result(connection, rt, drill),
                "curve": _curve(connection, rt, drill),
            }
            if drill
            else None,
        }


def _get(connection: Connection, alert_id: str) -> Row:
    alert = alerts.get(connection, alert_id)
    if alert is None:
        raise NotFound(f"there is no alert {alert_id!r}")
    return alert


def _result(connection: Connection, rt: Runtime, alert: Row) -> dict[str, Any]:
    """What two alerts are compared by."""
    summary = watching.summary_of(connection, rt, alert)
    acknowledged, now = summary["acknowledged"], rt.now()
    half = (alert["recipients"] + 1) // 2
    marks = {
        mark: curves.moment_of(connection, alert, number, now)
        for mark, number in (("first", 1), ("half", half), ("last", acknowledged))
    }
    passed = [alert["sent_at"] + after for after in CHECKPOINTS if alert["sent_at"] + after <= now]
    counts: list[int | None] = [*curves.answered_by(connection, alert, passed)]
    counts += [None] * (len(CHECKPOINTS) - len(passed))
    return {
        "summary": summary,
        "marks": {mark: views.moment(at) for mark, at in marks.items()},
        "checkpoints": [
            {"minutes": after // timedelta(minutes=1), "acknowledged": count}
            for after, count in zip(CHECKPOINTS, counts, strict=True)
        ],
    }


def _milestones(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    marks = result["marks"]
    # Of one answer only the first is worth a line, and of the half nothing is said that the last says too.
    shown = {at: f"{mark} answer" for mark, at in marks.items() if at is not None}
    if marks["first"] is not None:
        shown[marks["first"]] = "first answer"
    return [{"at": at, "what": what, "by": None} for at, what in shown.items()]


def _timeline(connection: Connection, alert: Row) -> list[dict[str, Any]]:
    """What was done with an alert, when, and by whom; None: by the system, as was laid down before."""
    said = [
        {
            "at": views.moment(row["created_at"]),
            "what": row["kind"],
            "by": row["created_by"],
            "title": row["title"],
            "asks_again": row["asks_again"] and row["revision"] > 1,
        }
        for row in alerts.revisions(connection, alert["id"])
    ]
    sent = [
        {
            "at": views.moment(run["started_at"]),
            "what": "step",
            "by": step.asked_by,
            "step": run["step"],
            "channels": list(step.channels),
            "to": step.to,
            "repeat": run["repeat"],
            "deliveries": run["deliveries"] or 0,
        }
        for run, step in escalating.runs_of(connection, alert)
        if run["started_at"] is not None
    ]
    over = alert["closed_at"] if alert["state"] == "expired" else None
    return [*said, *sent, *([{"at": views.moment(over), "what": "over", "by": None}] if over else [])]


def _curve(connection: Connection, rt: Runtime, alert: Row) -> dict[str, Any]:
    begins, now = alert["sent_at"], rt.now()
    newest = acknowledgements.last_received_at(connection, alert["id"]) or begins
    # What lies long after the last answer would press all that happened into a corner.
    ends = begins + max((newest - begins) * 1.2, _SHORTEST)
    upto = min(now, ends)
    moments = sorted({begins + (upto - begins) * part / _POINTS for part in range(_POINTS)} | {upto})
    counts = curves.answered_by(connection, alert, moments)
    runs = {run["started_at"] for run in steps.of_alert(connection, alert["id"]) if run["started_at"] is not None}
    revised = {row["created_at"] for row in alerts.revisions(connection, alert["id"])}
    return {
        "from": views.moment(begins),
        "to": views.moment(ends),
        "recipients": alert["recipients"],
        "points": [{"at": views.moment(at), "acknowledged": count} for at, count in zip(moments, counts, strict=True)],
        "sends": [views.moment(at) for at in sorted(runs | revised) if begins <= at <= ends],
    }
