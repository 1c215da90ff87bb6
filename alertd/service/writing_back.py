"""Telling sources how the alerts stand that were made of what they said: written there, for whoever reads there.

In the lists that people have there it is told to everybody whom the alert was sent to, some hundreds at a time. How far
that has come is kept after each step, so whoever is killed leaves the rest, and at most one step that is done twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.observation import clean
from alertd.service import watching
from alertd.service.runtime import Runtime
from alertd.sources.base import Access, Notice, Outcome, PersonField, Poller, Refusal, Unfetched
from alertd.sources.registry import POLLERS
from alertd.store import alerts, sources
from alertd.store.rows import Row

_LEASE: Final = timedelta(seconds=90)  # longer than the other side may take, in its three goes of 20 seconds
_EVERY: Final = timedelta(seconds=10)
_AFTER_FAULT: Final = timedelta(seconds=60)
_GIVEN_UP: Final = timedelta(days=1)
_FAULT_MAX: Final = 500
_PEOPLE_AT_ONCE: Final = 200
_STRANGERS: Final = 50  # refused one by one, and nobody taken: it is not for who they are


@dataclass(frozen=True, slots=True)
class Writing:
    """One incident whose source is this process's to tell. `leased_until` says whose turn it is."""

    incident_id: str
    source_id: str
    poller: Poller
    access: Access
    outcome: Outcome
    before: Mapping[str, Any] | None
    leased_until: datetime
    ended_at: datetime | None  # when all was over
    is_branch: bool  # another incident has the alert that the other side reads of


@dataclass(frozen=True, slots=True)
class Noticed:
    """How far people's lists on the other side say how an alert stands, in the order of people's ids."""

    alert_id: str
    revision: int = 0
    is_over: bool = False
    is_again: bool = False  # in the part of those who were told something of it before
    after: str = ""  # up to this person it is done
    furthest: str = ""  # up to this person it was told to whoever was taken
    at_once: int = _PEOPLE_AT_ONCE
    taken: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What is told next, and to whom: `last` is the id of the last of them, who are known there by their `field`."""

    start: Noticed
    notice: Notice
    last: str
    field: PersonField


def take_turns(rt: Runtime, limit: int) -> list[Writing]:
    """Whatever is to be written now, `limit` at most; nobody else writes it while the lease holds.

    Whoever is killed after writing and before saying so has it written once more.
    """
    now = rt.now()
    with rt.store.read() as connection:
        due = sources.due_writings(connection, now, limit)
    found = [_take(rt, row, now) for row in due]
    return [each for each in found if each is not None]


def _take(rt: Runtime, row: Row, now: datetime) -> Writing | None:
    until = now + _LEASE
    with rt.store.write() as connection:
        if not sources.lease_writing(connection, row, until):
            return None
        access = _access_of(row)
        alert = alerts.get(connection, row["alert_id"]) if row["alert_id"] else None
        if access is None or alert is None:
            sources.end_writing(connection, row["id"], until, None)
            return None
        counts = watching.summary_of(connection, rt, alert)
    return Writing(
        incident_id=row["id"],
        source_id=row["source_id"],
        poller=POLLERS[row["kind"]],
        access=access,
        outcome=_outcome(rt, row["reference"], alert, counts, now),
        before=row["written"],
        leased_until=until,
        ended_at=(alert["closed_at"] or alert["expires_at"]) if _is_over(alert, now) else None,
        is_branch=bool(row["branch"]),
    )


def _access_of(row: Row) -> Access | None:
    """How the source is reached, if it is one that is told, and wants to be."""
    poller = POLLERS.get(row["kind"])
    if poller is None or row["access"] is None:
        return None
    access = poller.access.model_validate(row["access"], strict=False)
    return access if access.writes_back() or access.notifies_by() else None


def _outcome(rt: Runtime, reference: str, alert: Row, counts: Mapping[str, Any], now: datetime) -> Outcome:
    return Outcome(
        incident=reference,
        alert_id=alert["id"],
        url=f"{rt.public_url}/alerts/{alert['id']}",
        title=alert["title"],
        is_drill=alert["drill"],
        is_over=_is_over(alert, now),
        revision=alert["revision"],
        recipients=counts["recipients"],
        acknowledged=counts["acknowledged"],
        unreachable=counts["unreachable"],
        age=now - alert["sent_at"],
        now=now,
    )


def _is_over(alert: Row, now: datetime) -> bool:
    return bool(alert["state"] != "active" or alert["expires_at"] <= now)


def next_step(rt: Runtime, writing: Writing) -> Step | None:
    """Whose lists are to say next how the alert stands now; None: there is nobody whose do not."""
    field = writing.access.notifies_by()
    if field is None:
        return None
    now = rt.now()
    with rt.store.read() as connection:
        kept = sources.noticed_of(connection, writing.incident_id)
        alert = alerts.get(connection, kept["alert_id"]) if kept is not None else None
        if kept is None or alert is None:
            return None
        start = _start(kept["state"], alert, now)
        start, page = _people(connection, start, field)
    if not page:
        return None
    notice = Notice(
        alert_id=alert["id"],
        url=f"{rt.public_url}/me/alerts/{alert['id']}",
        title=alert["title"],
        body=alert["body"],
        is_drill=alert["drill"],
        is_over=start.is_over,
        revision_kind=alert["revision_kind"],
        people=list(dict.fromkeys(page.values())),
        is_first=not start.is_again,
    )
    return Step(start, notice, list(page)[-1], field)


def _start(kept: Mapping[str, Any] | None, alert: Row, now: datetime) -> Noticed:
    """How far it has come with what the alert says now: from the first person on, when it says something else."""
    before = Noticed(**kept) if kept is not None else Noticed(alert["id"])
    revision, is_over = alert["revision"], _is_over(alert, now)
    return before if (before.revision, before.is_over) == (revision, is_over) else _anew(before, revision, is_over)


def _anew(before: Noticed, revision: int, is_over: bool) -> Noticed:
    return Noticed(before.alert_id, revision, is_over, bool(before.furthest), furthest=before.furthest)


def _people(connection: Connection, start: Noticed, field: PersonField) -> tuple[Noticed, dict[str, str]]:
    """The next people, of one part: first whoever was told something before, then the others."""
    if start.is_again:
        upto = start.furthest
        page = alerts.audience_of(connection, start.alert_id, field, start.after, upto, start.at_once)
        if page:
            return start, page
        start = replace(start, is_again=False, after=upto)
    return start, alerts.audience_of(connection, start.alert_id, field, start.after, None, start.at_once)


def note(rt: Runtime, writing: Writing, step: Step, refusal: Refusal | None) -> None:
    """Keep what came of a step. What was refused is tried again with fewer people, until it is known of whom: that is
    shown with the source, and the others follow. Raises Unfetched where it seems to be of nobody in particular; then
    everybody's turn comes again.
    """
    if refusal is None:
        _keep(rt, writing, _taken(step))
        return
    start, people = step.start, step.notice.people
    if len(people) > 1:
        _keep(rt, writing, replace(start, at_once=len(people) // 2))
    elif refusal.is_personal or start.taken or _may_be_taken(rt, step):
        done = replace(start, after=step.last, refused=start.refused + 1)
        told = f"{done.refused} people were not notified there, the last of them {people[0]}: {refusal.words}"
        _keep(rt, writing, done, [told])
    else:
        _keep(rt, writing, _anew(start, start.revision, start.is_over))
        raise Unfetched(refusal.words)


def _may_be_taken(rt: Runtime, step: Step) -> bool:
    """Whether somebody may be taken yet, of whom nobody was: there are others, and not too many were tried."""
    if step.start.refused + 1 >= _STRANGERS:
        return False
    with rt.store.read() as connection:
        _, others = _people(connection, replace(step.start, after=step.last), step.field)
    return bool(others)


def _taken(step: Step) -> Noticed:
    start = step.start
    return replace(
        start,
        after=step.last,
        furthest=start.furthest if start.is_again else step.last,
        at_once=min(start.at_once * 2, _PEOPLE_AT_ONCE),
        taken=start.taken + len(step.notice.people),
    )


def _keep(rt: Runtime, writing: Writing, done: Noticed, faults: Sequence[str] = ()) -> None:
    with rt.store.write() as connection:
        sources.keep_noticed(connection, done.alert_id, writing.source_id, asdict(done))
        _show(connection, writing, faults, rt.now())


def _show(connection: Connection, writing: Writing, faults: Sequence[str], now: datetime) -> None:
    """What was wrong stands with the source."""
    if faults:
        values = {"failed_at": now, "fault": clean("; ".join(faults), _FAULT_MAX)}
        sources.change(connection, writing.source_id, values)


def give_back(rt: Runtime, writing: Writing) -> None:
    """Leave it to whoever comes next, at once."""
    with rt.store.write() as connection:
        sources.end_writing(connection, writing.incident_id, writing.leased_until, rt.now())


def end(rt: Runtime, writing: Writing, written: Mapping[str, Any] | None, faults: Sequence[str]) -> None:
    """What was `written` for staff to read, if it was time to, and what the other side did not take: that is shown with
    the source, and tried again in a while, for a day after all was over. Otherwise look again soon, and no more once it
    said that.
    """
    now = rt.now()
    write_at: datetime | None = now + _EVERY
    if faults:
        is_given_up = writing.ended_at is not None and writing.ended_at + _GIVEN_UP < now
        write_at = None if is_given_up else now + _AFTER_FAULT
    elif next_step(rt, writing) is not None:
        write_at = now
    elif writing.outcome.is_over:
        write_at = None
    with rt.store.write() as connection:
        # The source before its incident: what comes of joined sources locks them in this order.
        _show(connection, writing, faults, now)
        if written is not None:
            sources.note_writing(connection, writing.incident_id, writing.outcome.alert_id, {"written": dict(written)})
        sources.end_writing(connection, writing.incident_id, writing.leased_until, write_at)
