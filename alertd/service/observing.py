"""Taking in what sources say: kept and decided on in one transaction, then carried out, for as long as it takes.

What is carried out goes by the observation's id as its Idempotency-Key: whoever is cut off in the middle, or is not the
only one, does nothing twice.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.alert import DRILL_MARK, REVISION_MARK, TITLE_MAX, RevisionKind, said_expiry
from alertd.core.audience import Audience
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.joining import Join, Sent, Voice, candidates, holds, in_thread, is_held, joined, partners
from alertd.core.observation import Observation, clean
from alertd.core.roles import Role
from alertd.core.rules import CAP_TIME, Action, Decision, Reason, Rule, Thread, decide, followed, match
from alertd.core.wording import Words, calls, word
from alertd.service import notices, posting, revising, views
from alertd.service.access import system_actor
from alertd.service.posting import Draft
from alertd.service.revising import Revision
from alertd.service.rule_book import RuleBook, parse_book
from alertd.service.runtime import Actor, Runtime
from alertd.service.templates import find_template
from alertd.sources.mapping import SourceMapping
from alertd.store import alerts, instance, sources
from alertd.store.rows import Row

log = logging.getLogger(__name__)

_AT_ONCE: Final = 50  # observations that one turn of the clock carries out
_FAULT_MAX: Final = 500
_TITLE_TOLD: Final = 100
_TOLD_EVERY: Final = timedelta(minutes=10)
_BEGINS: Final = (Action.ALERT, Action.DRAFT, Action.BOARD)
_AUTHOR: Final = "source-"
_REVISIONS: Final[Mapping[Action, RevisionKind]] = {Action.UPDATE: "update", Action.STAND_DOWN: "cancel"}
_ASKS_AGAIN: Final = (Reason.WORSE, Reason.NEW_AREA, Reason.LIKELY)  # an answer to less says nothing about this


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one observation."""

    observation: Observation
    decision: Decision
    id: int | None  # under which it is kept; None: it was there already

    def as_json(self) -> dict[str, Any]:
        return {
            "observation": self.id,
            "id": self.observation.id,
            "version": self.observation.version,
            "action": self.decision.action,
            "reason": self.decision.reason,
            "rule": self.decision.rule.name if self.decision.rule else None,
            "signed_by": self.observation.signed_by,
        }


def author_of(source_id: str) -> str:
    """As whom a source posts."""
    return f"{_AUTHOR}{source_id}"


def take(rt: Runtime, source_id: str, found: Sequence[Observation]) -> list[Taken]:
    """Keep what a source says, decide, and carry out what is due at once. Returns after the commits.

    Raises DiskFull. What is kept and could not be carried out now, `act_due` does.
    """
    taken = []
    for observation in found:
        rt.require_room()
        taken.append(_take(rt, source_id, observation))
    for each in taken:
        if each.id is not None:
            act(rt, each.id)
    return taken


def _take(rt: Runtime, source_id: str, observation: Observation) -> Taken:
    now, signed = rt.now(), bool(observation.signed_by)
    with rt.store.write() as connection:
        book = _book(connection)
        together = partners(book.joins, source_id)
        if together:
            # Of two that come at once, the later joins the earlier.
            sources.hold(connection, together)
        if observation.references:
            known = sources.find_reference(connection, source_id, observation.references, signed=signed)
            observation = replace(observation, incident=known or observation.incident)
        key = {
            "source_id": source_id,
            "reference": observation.incident,
            "standing": observation.standing,
            "signed": signed,
        }
        incident = sources.hold_incident(connection, rt.new_id(), key, now)
        is_known = sources.is_known(connection, incident["id"], observation.id, observation.version)
        thread = _thread(connection, incident, book.joins, now)
        if is_known:
            thread = replace(thread, seen=frozenset({(observation.id, observation.version)}))
        rule = match(observation, source_id, book.rules)
        recent = sources.count_alerts(connection, source_id, rule.name, now - CAP_TIME) if rule is not None else 0
        decision = decide(observation, source_id, book.rules, thread, recent)
        if is_known:
            return Taken(observation, decision, None)
        joined = _join(connection, rt, incident, book.joins, observation, thread, decision)
        if joined is not None:
            incident, thread, decision = joined
        observation_id = _keep(connection, rt, incident, observation, decision, now, joins=joined is not None)
        _advance(connection, rt, incident, thread, observation, decision, joins=joined is not None)
        channels = _tell(connection, rt, observation_id, now)
    _ring(rt, channels)
    return Taken(observation, decision, observation_id)


def _tell(connection: Connection, rt: Runtime, observation_id: int, now: datetime) -> set[str]:
    """Alert the managers that something waits for them, unless they were told of another a moment ago; the channels
    that have work then.
    """
    kept = sources.get_observation(connection, observation_id)
    assert kept is not None
    goes_at = kept["due_at"] if kept["state"] == "due" else None
    waits = kept["state"] == "waiting" or (goes_at is not None and goes_at > now)
    if not waits or sources.is_told(connection, now - _TOLD_EVERY):
        return set()
    sources.change_observation(connection, observation_id, {"told_at": now})
    draft = kept["draft"]
    drill = ("訓練の", " (drill)") if draft["drill"] else ("", "")
    said = clean(draft["title"], _TITLE_TOLD)
    title = f"【システム】{drill[0]}確認待ち：{said} / [SYSTEM] Waits for you{drill[1]}"
    clock = f"{goes_at.astimezone(rt.zone):%H:%M:%S}" if goes_at is not None and goes_at > now else None
    body = (
        f"情報源「{kept['source_id']}」から届きました。"
        + (f"{clock}に自動で送信します。" if clock else "送信はまだです。")
        + f"送信するか、しないかを決めてください: {rt.public_url}/sources\n"
        + f"It came from the source {kept['source_id']}. "
        + (f"It goes out by itself at {clock}. " if clock else "It is not sent yet. ")
        + f"Send it or stop it: {rt.public_url}/sources"
    )
    return notices.tell_managers(connection, rt, title, body, now)


def tell_unproved(rt: Runtime, source_id: str, fault: str) -> None:
    """Alert the managers that a message was refused for its signature, unless they were told of another a moment ago:
    it may have been true. Nothing of what it says is repeated, for nobody has proved it.
    """
    now = rt.now()
    title = (
        "【システム】署名が正しくない電文を拒否しました / [SYSTEM] A message was refused: its signature does not hold"
    )
    body = (
        f"情報源「{source_id}」から届きました。改ざんされたか、登録のない証明書で署名されています。"
        f"発信元に直接確かめてください: {rt.public_url}/sources\n"
        f"It came from the source {source_id}. It was altered, or signed with a certificate that is not known here. "
        f"Ask its sender: {rt.public_url}/sources\n{clean(fault, _FAULT_MAX)}"
    )
    with rt.store.write() as connection:
        is_first = sources.claim_unproved(connection, source_id, now, now - _TOLD_EVERY)
        channels = notices.tell_managers(connection, rt, title, body, now) if is_first else set()
    _ring(rt, channels)


def _ring(rt: Runtime, channels: set[str]) -> None:
    if channels:
        rt.bell.events()
        rt.bell.work(channels)


def mappings(rt: Runtime) -> Mapping[str, SourceMapping]:
    """How the rule book in force says that sources are read, by source."""
    with rt.store.read() as connection:
        return _book(connection).mappings


def _book(connection: Connection) -> RuleBook:
    books = sources.books(connection, 1)
    return parse_book(books[0]["text"]) if books else RuleBook()


def _thread(connection: Connection, incident: Row, joins: Sequence[Join], now: datetime) -> Thread:
    """What is known of an incident, its alert looked at as it stands now."""
    kept = incident["observation"]
    known = Thread(
        version=incident["version"],
        rule=incident["rule"],
        observation=Observation.from_json(kept) if kept else None,
    )
    if incident["thread_id"] is None:
        return known
    there = sources.lock_thread(connection, incident["thread_id"])
    told = Action(there["told"]) if there["told"] else None
    if told is Action.ALERT and there["alert_id"] is not None:
        alert = alerts.get(connection, there["alert_id"])
        if alert is None or alert["state"] != "active" or alert["expires_at"] <= now:
            told = None
    others = [
        voice
        for voice in _voices(sources.in_threads(connection, [there["id"]]), now)
        if voice.incident != incident["id"]
    ]
    return replace(
        known,
        told=told,
        others=tuple(other.observation for other in others),
        held=is_held(joins, incident["source_id"], [other.source for other in others]),
    )


def _voices(rows: Sequence[Row], now: datetime) -> list[Voice]:
    """What sources say of their incidents and goes on."""
    found = [
        Voice(row["thread_id"], row["id"], row["source_id"], Observation.from_json(row["observation"]))
        for row in rows
        if row["observation"]
    ]
    return [voice for voice in found if holds(voice.observation, now)]


def _join(
    connection: Connection,
    rt: Runtime,
    incident: Row,
    joins: Sequence[Join],
    observation: Observation,
    thread: Thread,
    decision: Decision,
) -> tuple[Row, Thread, Decision] | None:
    """The incident in the thread of others, and what becomes of the observation there; None: it stays by itself."""
    now, source_id = rt.now(), incident["source_id"]
    if decision.action is not Action.ALERT or not partners(joins, source_id):
        return None
    voices = _voices(sources.in_threads(connection, sources.alerting(connection, observation.standing, now)), now)
    words = _words(connection, rt, observation, decision, by_template=True)
    for candidate in candidates(joins, source_id, incident["id"], observation, voices):
        there = sources.lock_thread(connection, candidate.thread)
        begun = sources.beginning(connection, there)
        found = joined(decision, words, _sent(begun["draft"]), candidate) if begun is not None else None
        if found is not None:
            return {**incident, "thread_id": there["id"]}, in_thread(thread, candidate), found
    return None


def _sent(draft: Row) -> Sent:
    return Sent(
        Audience.from_json(draft["audience"]), draft["plan"], draft["severity"], views.ask_from_json(draft["ask"])
    )


def _advance(
    connection: Connection,
    rt: Runtime,
    incident: Row,
    thread: Thread,
    observation: Observation,
    decision: Decision,
    *,
    joins: bool,
) -> None:
    after, thread_id = followed(thread, observation, decision), incident["thread_id"]
    values: dict[str, Any] = {
        "version": after.version,
        "rule": after.rule,
        "observation": after.observation.as_json() if after.observation else None,
    }
    if decision.action in _BEGINS:
        if thread_id is None or len(sources.in_threads(connection, [thread_id])) > 1:
            # What others are part of is over, and stays so.
            thread_id = rt.new_id()
            sources.add_thread(connection, thread_id, rt.now())
        sources.change_thread(connection, thread_id, {"told": after.told, "alert_id": None})
    elif thread_id is not None:
        sources.change_thread(connection, thread_id, {"told": after.told})
    if joins:
        values |= {"write_at": rt.now(), "written": None}
    sources.change_incident(connection, incident["id"], {**values, "thread_id": thread_id})


def _words(
    connection: Connection, rt: Runtime, observation: Observation, decision: Decision, *, by_template: bool
) -> Words:
    rule = decision.rule
    template = find_template(connection, rule.template) if rule is not None and rule.template is not None else None
    return word(decision.observation or observation, rule, template, rt.zone, by_template=by_template)


def _keep(
    connection: Connection,
    rt: Runtime,
    incident: Row,
    observation: Observation,
    decision: Decision,
    now: datetime,
    *,
    joins: bool,
) -> int:
    action, rule = decision.action, decision.rule
    follows = action in (Action.UPDATE, Action.STAND_DOWN)
    waiting = sources.pending(connection, incident["id"], now) if follows else None
    by_template = calls(decision) or (waiting is not None and action is Action.UPDATE)
    words = _words(connection, rt, observation, decision, by_template=by_template)
    values: dict[str, Any] = {
        "source_id": incident["source_id"],
        "incident_id": incident["id"],
        "reference": observation.id,
        "version": observation.version,
        "content": observation.as_json(),
        "action": action,
        "reason": decision.reason,
        "rule": rule.name if rule is not None else None,
        "draft": _draft_of(decision.observation or observation, rule, words) | {"joins": joins},
        "state": "done" if action is Action.IGNORE else "waiting" if action is Action.DRAFT else "due",
        "due_at": now + timedelta(seconds=rule.stop_seconds) if action is Action.ALERT and rule is not None else now,
        "received_at": now,
    }
    if waiting is not None:
        values |= _in_place_of(connection, waiting, values)
    # Those who were alerted hear that it got worse in the source's words rather than when somebody has looked.
    if words.lack and values["action"] in _BEGINS:
        values |= {"fault": clean(words.lack, _FAULT_MAX), "state": "waiting", "due_at": None}
    return sources.add_observation(connection, values)


def _in_place_of(connection: Connection, waiting: Row, values: Row) -> Mapping[str, Any]:
    """What follows something that still waits takes its place: it goes when that would have gone, or not at all."""
    sources.change_observation(connection, waiting["id"], {"state": "superseded"})
    if values["action"] is Action.STAND_DOWN:
        return {"state": "done"}
    words = {name: values["draft"][name] for name in ("title", "body", "severity", "expires_at")}
    kept = {name: waiting[name] for name in ("action", "rule", "state", "due_at", "told_at")}
    return {**kept, "draft": {**waiting["draft"], **words}}


def _draft_of(observation: Observation, rule: Rule | None, words: Words) -> dict[str, Any]:
    """What would be said, as JSON."""
    return {
        "board": rule.board if rule is not None else "general",
        "title": words.title,
        "body": words.body,
        "severity": words.severity,
        "drill": observation.standing != "actual",
        "audience": (words.audience or Audience(everyone=True)).as_json(),
        "plan": words.plan,
        "ask": asdict(words.ask) if words.ask is not None else None,
        "life_hours": words.life_hours,
        "expires_at": observation.expires_at.isoformat() if observation.expires_at else None,
    }


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
            channels = _tell(connection, rt, observation_id, rt.now())
        _ring(rt, channels)
        return
    with rt.store.write() as connection:
        sources.change_observation(connection, observation_id, {**done, "state": "done", "fault": None})
        if done["alert_id"] is not None:
            incident = sources.lock_incident(connection, observation["incident_id"])
            changes: dict[str, Any] = {"write_at": rt.now()}
            if thread["alert_id"] != done["alert_id"]:
                changes["written"] = None  # of another alert
            there = sources.lock_thread(connection, thread["id"])
            if observation["draft"]["joins"] and "post_id" in done:
                # Not the alert of the others, whom it was to join.
                thread_id, told = rt.new_id(), Action.ALERT
                sources.add_thread(connection, thread_id, rt.now())
            else:
                # What came meanwhile may have told already that it is over.
                thread_id, told = thread["id"], Action.ALERT if there["told"] == Action.DRAFT else there["told"]
            sources.change_incident(connection, incident["id"], {**changes, "thread_id": thread_id})
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
