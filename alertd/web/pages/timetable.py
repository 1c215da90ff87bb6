"""Timetables as people read them: one line for each step, its repeats in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal

from alertd.core.escalation import DEFAULT_PLAN, To, default_plan
from alertd.service.planning import Forecast
from alertd.web.templating import Page
from alertd.web.translations import marked

Progress = Literal["done", "next", "later", "dropped"]


@dataclass(frozen=True, slots=True)
class Again:
    """How a step is repeated: every so often, so many times, the last one at `until`."""

    every: timedelta
    times: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """One step before anything is sent. `segments` are the SMS parts of its first run, `segments_in_all` those of its
    repeats too; `last_out_at` None: no rate is known.
    """

    at: datetime
    after: timedelta
    channels: Sequence[str]
    to: To
    people: int
    segments: int
    segments_in_all: int
    last_out_at: datetime | None
    again: Again | None


def fold(forecasts: Sequence[Forecast]) -> list[Line]:
    """The steps of a forecast, in order."""
    begins = min(each.at for each in forecasts)
    ordered = sorted(forecasts, key=lambda each: (each.step, each.repeat))
    return [_line(list(runs), begins) for _, runs in groupby(ordered, key=lambda each: each.step)]


def _line(runs: Sequence[Forecast], begins: datetime) -> Line:
    first = runs[0]
    again = Again(runs[1].at - first.at, len(runs) - 1, runs[-1].at) if len(runs) > 1 else None
    return Line(
        at=first.at,
        after=first.at - begins,
        channels=first.channels,
        to=first.to,
        people=first.people,
        segments_in_all=sum(run.segments for run in runs),
        segments=first.segments,
        last_out_at=first.last_out_at if first.last_out_at > first.at else None,
        again=again,
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of an alert that is under way. `at` is when it was started, or when it will be; `deliveries` are the
    messages so far; of `repeats` so many were `repeated`; `next_at` is its next run, None when there is none.
    `asked_by` is who asked for it by hand.
    """

    at: datetime
    progress: Progress
    channels: Sequence[str]
    to: To
    deliveries: int
    repeats: int
    repeated: int
    next_at: datetime | None
    asked_by: str | None


def stages(timetable: Sequence[Mapping[str, Any]], *, active: bool) -> list[Stage]:
    """An alert's `timetable` as service.watching tells it; `active`: whether what was not started still comes."""
    waiting = [_due(run) for run in timetable if run["started_at"] is None]
    following = min(waiting, default=None) if active else None
    ordered = sorted(timetable, key=lambda run: (run["step"], run["repeat"]))
    return [_stage(list(runs), following, active=active) for _, runs in groupby(ordered, key=lambda run: run["step"])]


def _due(run: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(run["due_at"])


def _stage(runs: Sequence[Mapping[str, Any]], following: datetime | None, *, active: bool) -> Stage:
    first = runs[0]
    left = [_due(run) for run in runs if run["started_at"] is None]
    next_at = min(left, default=None) if active else None
    if next_at is not None:
        progress: Progress = "next" if next_at == following else "later"
    else:
        progress = "done" if first["started_at"] is not None else "dropped"
    return Stage(
        at=datetime.fromisoformat(first["started_at"] or first["due_at"]),
        progress=progress,
        channels=first["channels"],
        to=first["to"],
        deliveries=sum(run["deliveries"] or 0 for run in runs),
        repeats=len(runs) - 1,
        repeated=sum(run["started_at"] is not None for run in runs[1:]),
        next_at=next_at,
        asked_by=first["asked_by"],
    )


def plan_name(page: Page, plan: Mapping[str, Any]) -> str:
    """What a plan is called; the built-in one has no name that an admin gave it."""
    if plan["name"] != DEFAULT_PLAN:
        return str(plan["name"])
    if plan["plan"] == default_plan(page.web.rt.channels).as_json():
        return page.say(marked("Standard: every way at once"))
    return page.say(marked("Standard"))
