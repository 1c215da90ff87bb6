"""Laying down an alert to very many: the first slice with the alert itself, the others while that is on its way."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection

from alertd.core.delivery import State, rank
from alertd.core.errors import StoreUnavailable
from alertd.core.escalation import Plan, QuietHours, due_at
from alertd.service.runtime import Runtime
from alertd.store import alerts, people, rollouts, steps, unsent
from alertd.store.rollouts import Chosen, First
from alertd.store.rows import Row, in_slices

T = TypeVar("T")
Slice = Callable[[], None]
"""Lays down one slice."""
NextVersion = Callable[[], int]
"""Gives the people-version that a change is to have; called before the change is written."""
SLICE: Final = 1_000  # people: some tens of milliseconds, for which other writers of an SQLite file wait
_LARGE_SLICE: Final = 5_000  # on PostgreSQL nobody waits, and the work around a slice is shared by more
_CHANGES_TRIED: Final = 20


def begin(connection: Connection, rt: Runtime, alert: Row) -> set[str]:
    """Lay down the first slice of a new alert; the channels that have work. `carry_on` lays down the others."""
    upto = rollouts.edge(connection, alert, "", SLICE)
    if upto is not None:
        rollouts.begin(connection, alert["id"], upto)
    return _lay_down(connection, rt, alert, rollouts.between("", upto))


def carry_on(rt: Runtime, stopped: Callable[[], bool] = lambda: False, size: int | None = None) -> None:
    """Lay down what is left of every alert, in slices of `size` people. As `take_turns`."""
    take_turns(lambda: left(rt, size), stopped)


def left(rt: Runtime, size: int | None = None) -> list[Slice]:
    """The next slice of each alert that is not wholly laid down yet."""
    size = size or (SLICE if rt.store.is_sqlite else _LARGE_SLICE)
    with rt.store.read() as connection:
        return [partial(_carry_on, rt, alert_id, size) for alert_id in rollouts.under_way(connection)]


def take_turns(look: Callable[[], Sequence[Slice]], stopped: Callable[[], bool] = lambda: False) -> None:
    """Lay down the slices that `look` finds, one after another, a transaction each, until it finds none or `stopped`
    says so. Any number of processes may, and one that dies leaves the rest to the next. Raises StoreUnavailable, and
    whatever was wrong with one slice after the others had their turn.
    """
    # Looked for anew in every round: an alert that is issued meanwhile must not wait for the end of another's.
    while not stopped() and (slices := look()):
        faults: list[Exception] = []
        for lay_down in slices:
            try:
                lay_down()
            except Exception as fault:
                faults.append(fault)
        if faults:
            raise faults[0]


def _carry_on(rt: Runtime, alert_id: str, size: int) -> None:
    """Lay down the next slice of one alert."""
    with rt.store.write() as connection:
        alert = alerts.lock(connection, alert_id)
        after = rollouts.position(connection, alert_id)
        if alert is None or after is None:
            return
        upto = rollouts.edge(connection, alert, after, size)
        channels = _lay_down(connection, rt, alert, rollouts.between(after, upto))
        rollouts.advance(connection, alert_id, upto)
    rt.bell.work(channels)
    rt.bell.changed(alert_id)


def bring_forward(connection: Connection, rt: Runtime, alert_id: str, person_ids: Sequence[str]) -> None:
    """Let these people not wait for their slice: after this they are recipients, as far as the alert is for them. Their
    deliveries are left to the clock's bell.
    """
    if rollouts.position(connection, alert_id) is None:
        return
    alert = alerts.lock(connection, alert_id)
    if alert is not None and rollouts.position(connection, alert_id) is not None:
        for some in in_slices(sorted(person_ids)):
            _lay_down(connection, rt, alert, rollouts.these(some))


def _lay_down(connection: Connection, rt: Runtime, alert: Row, chosen: Chosen) -> set[str]:
    laid = rollouts.lay_down(connection, alert, chosen, _first(connection, rt, alert, chosen))
    steps.count(connection, alert["id"], 0, 0, laid.total())
    return set(laid)


def _first(connection: Connection, rt: Runtime, alert: Row, chosen: Chosen) -> First:
    """What goes to somebody who is laid down now: of an alert that was called off meanwhile what they will not get."""
    now, plan = rt.now(), Plan.from_json(alert["plan"])
    state, reason, revision = State.PENDING, None, alert["revision"]
    if alert["state"] == "cancelled":
        state, reason, revision = State.CANCELLED, f"superseded by revision {revision}", revision - 1
    elif alert["state"] != "active" or alert["expires_at"] <= now:
        state = State.EXPIRED

    hours = rollouts.quiet_hours(connection, chosen)
    at = {pair: due_at(now, alert["severity"], QuietHours.parse(*pair), rt.zone, alert["expires_at"]) for pair in hours}
    return First(
        revision=revision,
        channels=plan.steps[0].channels,
        state=state,
        reason=reason,
        rank=rank(kind=alert["kind"], drill=alert["drill"], alone=False),
        rank_alone=rank(kind=alert["kind"], drill=alert["drill"], alone=True),
        due_at=now,
        due_when_quiet={pair: then for pair, then in at.items() if then > now},
        queued_at=now,
    )


class _Begun(Exception):
    """An alert began to be laid down in the middle of a change of people."""


def change_people(
    rt: Runtime, person_ids: Sequence[str], change: Callable[[Connection, NextVersion], T], *, at_large: bool = False
) -> T:
    """Change these people in one transaction: what `change` returns. `at_large`: it changes groups or any number of
    people, and of these the addresses.

    Whoever an alert is being laid down for is laid down first, as they were when it was issued. Raises what `change`
    raises, and StoreUnavailable.
    """
    for _ in range(_CHANGES_TRIED):
        ready = _prepare(rt, None if at_large else person_ids)
        try:
            with rt.store.write() as connection:
                # Deliveries before the installation's row, as everywhere: see there.
                unsent.lock_unsent(connection, person_ids)
                return change(connection, partial(_next_version, connection, ready))
        except _Begun:
            continue
    raise StoreUnavailable("alerts are being laid down")


def _prepare(rt: Runtime, person_ids: Sequence[str] | None) -> set[str]:
    """Lay down whom a change is about, in transactions of their own: the alerts under way that may go on meanwhile."""
    if person_ids is None:
        carry_on(rt)
        return set()
    with rt.store.read() as connection:
        ready = rollouts.under_way(connection)
    for alert_id in ready:
        with rt.store.write() as connection:
            bring_forward(connection, rt, alert_id, person_ids)
    return set(ready)


def _next_version(connection: Connection, ready: set[str]) -> int:
    raised = people.bump_version(connection)
    # Nobody issues an alert from here on; but somebody may have since we looked.
    if not set(rollouts.under_way(connection)) <= ready:
        raise _Begun
    return raised
