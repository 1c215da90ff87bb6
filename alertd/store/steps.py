"""Timetables: when each step of an alert's plan is due, and which have been started."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, tuple_, update

from alertd.core.alert import MAX_LIFE
from alertd.core.escalation import Run
from alertd.store import following
from alertd.store.rows import Row, put_row
from alertd.store.schema import alerts, plans, rollouts, steps


def add(connection: Connection, alert_id: str, runs: Sequence[Run], sent_at: datetime) -> None:
    """Lay down an alert's whole timetable."""
    rows = [
        {"alert_id": alert_id, "step": run.step, "repeat": run.repeat, "due_at": sent_at + run.after} for run in runs
    ]
    connection.execute(insert(steps), rows)


def add_by_hand(connection: Connection, alert: Row, step: Row, now: datetime) -> int:
    """Append a step to the plan of an alert (its row, locked), due at once; its number."""
    planned = alert["plan"]["steps"]
    plan = {**alert["plan"], "steps": [*planned, dict(step)]}
    connection.execute(update(alerts).where(alerts.c.id == alert["id"]).values(plan=plan))
    row = {"alert_id": alert["id"], "step": len(planned), "repeat": 0, "due_at": now}
    connection.execute(insert(steps).values(**row))
    return len(planned)


def restart(
    connection: Connection, alert_id: str, runs: Sequence[Run], asked_at: datetime, expires_at: datetime
) -> None:
    """Let the later runs of a timetable come once more, counted from `asked_at`, as far as the alert lives so long."""
    for run in runs:
        at = asked_at + run.after
        if run.after > timedelta() and at < expires_at:
            this = (steps.c.alert_id == alert_id) & (steps.c.step == run.step) & (steps.c.repeat == run.repeat)
            again = {"due_at": at, "started_at": None, "after": None, "deliveries": None}
            connection.execute(update(steps).where(this).values(**again))


def due(connection: Connection, now: datetime, limit: int = 20) -> list[Row]:
    """The runs of living alerts that are due and not started, oldest first: `alert_id`, `step`, `repeat`, `due_at`."""
    query = (
        select(steps)
        .join(alerts, alerts.c.id == steps.c.alert_id)
        # No alert lives longer: what dead ones left undone need not be looked at for ever.
        .where(steps.c.started_at.is_(None), steps.c.due_at <= now, steps.c.due_at > now - MAX_LIFE)
        .where(alerts.c.state == "active")
        # Who has not been told at all yet, or not of what the alert says now, cannot be asked again.
        .where(steps.c.alert_id.not_in(select(rollouts.c.alert_id)), steps.c.alert_id.not_in(following.under_way()))
        .order_by(steps.c.due_at, steps.c.alert_id, steps.c.step, steps.c.repeat)
        .limit(limit)
    )
    return [row._asdict() for row in connection.execute(query)]


def start(connection: Connection, alert_id: str, step: int, repeat: int, now: datetime) -> bool:
    """Take a run for oneself: True for exactly one of however many try."""
    query = update(steps).where(
        steps.c.alert_id == alert_id, steps.c.step == step, steps.c.repeat == repeat, steps.c.started_at.is_(None)
    )
    return connection.execute(query.values(started_at=now)).rowcount == 1


def unfinished(connection: Connection) -> list[Row]:
    """The runs that were started and are not laid down for everybody yet, unless what their alert says now is not
    either.
    """
    query = select(steps).where(steps.c.after.is_not(None), steps.c.alert_id.not_in(following.under_way()))
    return [row._asdict() for row in connection.execute(query.order_by(steps.c.due_at, steps.c.alert_id))]


def position(connection: Connection, run: Row) -> str | None:
    """The last person for whom a run is laid down; None when it is for everybody."""
    found: str | None = connection.execute(select(steps.c.after).where(_this(run))).scalar_one()
    return found


def advance(connection: Connection, run: Row, after: str | None) -> None:
    """Everybody up to that person is done; None: everybody is."""
    connection.execute(update(steps).where(_this(run)).values(after=after))


def _this(run: Row) -> ColumnElement[bool]:
    this = (run["alert_id"], run["step"], run["repeat"])
    return tuple_(steps.c.alert_id, steps.c.step, steps.c.repeat) == this


def count(connection: Connection, alert_id: str, step: int, repeat: int, deliveries: int) -> None:
    """Say that a run came to so many more deliveries."""
    query = update(steps).where(steps.c.alert_id == alert_id, steps.c.step == step, steps.c.repeat == repeat)
    connection.execute(query.values(deliveries=func.coalesce(steps.c.deliveries, 0) + deliveries))


def is_overtaken(connection: Connection, run: Row, now: datetime) -> bool:
    """Whether a later repeat of the same step is due as well: after a standstill one message says it all."""
    query = select(func.count()).where(
        steps.c.alert_id == run["alert_id"],
        steps.c.step == run["step"],
        steps.c.repeat > run["repeat"],
        steps.c.due_at <= now,
    )
    return bool(connection.execute(query).scalar_one())


def of_alert(connection: Connection, alert_id: str) -> list[Row]:
    """An alert's timetable in the order of time."""
    query = select(steps).where(steps.c.alert_id == alert_id).order_by(steps.c.due_at, steps.c.step, steps.c.repeat)
    return [row._asdict() for row in connection.execute(query)]


def list_plans(connection: Connection) -> list[Row]:
    return [row._asdict() for row in connection.execute(select(plans).order_by(plans.c.id))]


def put_plan(connection: Connection, plan_id: str, name: str, plan: Row, by: str, now: datetime) -> bool:
    """Make or change a named plan; True when it was made."""
    values = {"name": name, "plan": dict(plan), "updated_by": by, "updated_at": now}
    return put_row(connection, plans, plan_id, values, {"created_at": now})


def get_plan(connection: Connection, plan_id: str) -> Row | None:
    row = connection.execute(select(plans).where(plans.c.id == plan_id)).first()
    return row._asdict() if row else None


def remove_plan(connection: Connection, plan_id: str) -> bool:
    """Forget a named plan; False when there is none."""
    return connection.execute(delete(plans).where(plans.c.id == plan_id)).rowcount == 1
