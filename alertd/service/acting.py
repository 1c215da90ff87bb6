"""Carrying out what was decided of observations: once, in order, by whoever comes first.

What is carried out goes by the observation's id as its Idempotency-Key: whoever is cut off in the middle, or is not the
only one, does nothing twice.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.alert import DRILL_MARK, REVISION_MARK, TITLE_MAX, RevisionKind, said_expiry
from alertd.core.audience import Audience
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.observation import clean
from alertd.core.roles import Role
from alertd.core.rules import Action, Reason
from alertd.service import posting, revising, views
from alertd.service.access import system_actor
from alertd.service.asking import ring, tell_waiting
from alertd.service.posting import Draft
from alertd.service.revising import Revision
from alertd.service.runtime import Actor, Runtime
from alertd.store import instance, sources
from alertd.store.rows import Row

log = logging.getLogger(__name__)

_AT_ONCE: Final = 50  # observations that one turn of the clock carries out
_FAULT_MAX: Final = 500
_AUTHOR: Final = "source-"
_REVISIONS: Final[Mapping[Action, RevisionKind]] = {Action.UPDATE: "update", Action.STAND_DOWN: "cancel"}
_ASKS_AGAIN: Final = (Reason.WORSE, Reason.NEW_AREA, Reason.LIKELY)  # an answer to less says nothing about this


def author_of(source_id: str) -> str:
    """As whom a source posts."""
    return f"{_AUTHOR}{source_id}"


def act_due(rt: Runtime) -> None:
    """Carry out what is due. Each is done once, however many do this at the same time. Raises StoreUnavailable."""
    with rt.store.read() as connection:
        waiting = sources.due(connection, rt.now(), _AT_ONCE)
    for observation_id in waiting:
        act(rt, observation_id)


def act(rt: Runtime, observation_id: int) -> None:
    """Say what was decided of an observation, if its time has come. What is refused waits for a person, and why."""
    begun = _begin(rt, observation_id)
    if begun is None:
        return
    observation, thread = begun
    try:
        done = _carry_out(rt, observation, thread)
    except (Invalid, Conflict, NotFound) as fault:
        log.warning("an observation cannot be acted on: %s", fault.message, extra={"observation": observation_id})
        with rt.store.write() as connection:
            values = {"state": "waiting", "due_at": None, "fault": clean(fault.message, _FAULT_MAX)}
            sources.change_observation(connection, observation_id, values)
            channels = tell_waiting(connection, rt, observation_id, rt.now())
        ring(rt, channels)
        return
    with rt.store.write() as connection:
        sources.change_observation(connection, observation_id, {**done, "state": "done", "fault": None})
        if done["alert_id"] is not None:
            _note(connection, rt, observation, thread, done)


def _note(connection: Connection, rt: Runtime, observation: Row, thread: Row, done: Mapping[str, Any]) -> None:
    """Keep by which alert people know of it now."""
    incident = sources.lock_incident(connection, observation["incident_id"])
    changes: dict[str, Any] = {"write_at": rt.now()}
    if thread["alert_id"] != done["alert_id"]:
        changes["written"] = None  # of another alert
    is_end = observation["content"]["kind"] == "withdrawn" and incident["version"] == observation["version"]
    if is_end and observation["reason"] == Reason.OTHER_AUTHOR:
        changes["observation"] = None  # as somebody has said by now
    there = sources.lock_thread(connection, thread["id"])
    if observation["draft"]["joins"] and "post_id" in done:
        # Not the alert of the others, whom it was to join.
        thread_id, told = rt.new_id(), Action.ALERT
        sources.add_thread(connection, thread_id, rt.now())
        changes["thread_id"] = thread_id
    else:
        # What came meanwhile may have told already that it is over.
        thread_id, told = thread["id"], Action.ALERT if there["told"] == Action.DRAFT else there["told"]
    sources.change_incident(connection, incident["id"], changes)
    sources.change_thread(connection, thread_id, {"alert_id": done["alert_id"], "told": told})


def _begin(rt: Runtime, observation_id: int) -> tuple[Row, Row] | None:
    """The observation and its thread, when it is this one's turn; from now on nothing takes its place."""
    now = rt.now()
    with rt.store.write() as connection:
        observation = sources.get_observation(connection, observation_id)
        if observation is None:
            return None
        incident = sources.lock_incident(connection, observation["incident_id"])
        observation = sources.get_observation(connection, observation_id)
        assert observation is not None
        if observation["state"] not in ("due", "going") or observation["due_at"] > now:
            return None
        thread = sources.lock_thread(connection, incident["thread_id"])
        if not sources.is_first(connection, observation, thread["id"]):
            return None
        sources.change_observation(connection, observation_id, {"state": "going"})
    return observation, thread


def _carry_out(rt: Runtime, observation: Row, thread: Row) -> dict[str, Any]:
    """Say it; what came of it. Raises Invalid, Conflict, NotFound."""
    actor, key = _actor(rt, observation), f"observation:{observation['id']}"
    draft, action = observation["draft"], Action(observation["action"])
    if action in (Action.UPDATE, Action.STAND_DOWN) and thread["alert_id"] is not None:
        asks_again = action is Action.UPDATE and observation["reason"] in _ASKS_AGAIN
        revision = Revision(_REVISIONS[action], draft["title"], draft["body"], ask_again=asks_again)
        try:
            revising.revise(rt, actor, thread["alert_id"], revision, key)
        except (Conflict, NotFound):
            if not draft["joins"]:
                raise
        else:
            return {"alert_id": thread["alert_id"]}
    # What its rule alone would have alerted is alerted, when what it was to join is not there.
    is_urgent = action in (Action.ALERT, Action.DRAFT) or draft["joins"]
    if not is_urgent and thread["told"] in (Action.ALERT, Action.DRAFT):
        if observation["decided_by"] is None:
            raise Conflict("what it follows was not sent: send this one instead, or stop it")
        is_urgent = True
    # Nothing here may depend on when it is tried: the same key stands for the same post.
    post = _alert_of(draft, observation["due_at"]) if is_urgent else _notice_of(draft, action)
    posted = posting.post(rt, actor, post, key).body
    return {"post_id": posted["post"]["id"], "alert_id": posted["alert"]["id"] if posted["alert"] else None}


def _notice_of(draft: Row, action: Action) -> Draft:
    """The post that alerts nobody: it says itself that it is a drill, an update, or that it is over."""
    drill = DRILL_MARK["ja"] if draft["drill"] else ""
    mark = REVISION_MARK[_REVISIONS.get(action, "alert")]["ja"]
    title = clean(f"{drill}{mark}{draft['title']}", TITLE_MAX)
    return Draft(draft["board"], title, draft["body"], urgent=False, audience=Audience.from_json(draft["audience"]))


def _alert_of(draft: Row, at: datetime) -> Draft:
    """The post that alerts people."""
    ends_at = datetime.fromisoformat(draft["expires_at"]) if draft["expires_at"] else None
    life = draft["life_hours"]
    return Draft(
        board=draft["board"],
        title=draft["title"],
        body=draft["body"],
        urgent=True,
        audience=Audience.from_json(draft["audience"]),
        drill=draft["drill"],
        severity=draft["severity"],
        plan=draft["plan"],
        ask=views.ask_from_json(draft["ask"]),
        expires_at=said_expiry(ends_at, at) or (at + timedelta(hours=life) if life is not None else None),
    )


def _actor(rt: Runtime, observation: Row) -> Actor:
    """Whoever said yes, else the source itself."""
    if observation["decided_by"] is not None:
        return system_actor(observation["decided_by"], Role.MANAGER)
    return system_actor(author_of(observation["source_id"]), Role.MANAGER)


def settle(rt: Runtime, actor: Actor, observation_id: int, *, send: bool) -> dict[str, Any]:
    """Send what waits, or stop it. Raises NotFound, and Conflict when it was sent or stopped before."""
    now = rt.now()
    with rt.store.write() as connection:
        observation = sources.get_observation(connection, observation_id)
        if observation is None:
            raise NotFound(f"there is no observation {observation_id!r}")
        incident = sources.lock_incident(connection, observation["incident_id"])
        thread = sources.lock_thread(connection, incident["thread_id"])
        observation = sources.get_observation(connection, observation_id)
        assert observation is not None
        if observation["state"] not in sources.PENDING:
            raise Conflict("this was sent or stopped already")
        values = {"decided_by": actor.person_id, "state": "due" if send else "stopped", "due_at": now, "fault": None}
        sources.change_observation(connection, observation_id, values)
        if not send and thread["alert_id"] is None:
            sources.change_thread(connection, thread["id"], {"told": None})
        word = "observation.send" if send else "observation.stop"
        instance.record(connection, at=now, actor=actor.person_id, action=word, object=str(observation_id), details={})
    if send:
        act(rt, observation_id)
    with rt.store.read() as connection:
        found = sources.get_observation(connection, observation_id)
    assert found is not None
    return {"state": found["state"], "alert": found["alert_id"], "fault": found["fault"]}
