"""Taking in what sources say: kept and decided on in one transaction, then carried out, for as long as it takes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.audience import Audience
from alertd.core.joining import Join, Sent, Voice, candidates, holds, in_thread, is_held, joined, partners
from alertd.core.observation import Observation, clean
from alertd.core.rules import (
    CAP_TIME,
    UNHEARD,
    Action,
    Decision,
    Reason,
    Rule,
    Thread,
    decide,
    followed,
    further,
    match,
    own_rules,
    widened,
)
from alertd.core.wording import Words, calls, word
from alertd.service import publishing, views
from alertd.service.acting import act
from alertd.service.asking import ring, tell_waiting
from alertd.service.rule_book import RuleBook, parse_book
from alertd.service.runtime import Runtime
from alertd.service.templates import find_template
from alertd.sources.mapping import SourceMapping
from alertd.store import alerts, sources
from alertd.store.rows import Row

_FAULT_MAX: Final = 500
_BEGINS: Final = (Action.ALERT, Action.DRAFT, Action.BOARD)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one observation."""

    observation: Observation
    decision: Decision
    id: int | None  # under which it is kept; None: it was there already
    also: tuple[int, ...] = ()  # the same where other rules alerted more people

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


def take(rt: Runtime, source_id: str, found: Sequence[Observation]) -> list[Taken]:
    """Keep what a source says, decide, and carry out what is due at once. Returns after the commits.

    Raises DiskFull. What is kept and could not be carried out now, `act_due` does.
    """
    taken = []
    for observation in found:
        rt.require_room()
        taken.append(_take(rt, source_id, observation))
    for each in taken:
        for kept in (each.id, *each.also):
            if kept is not None:
                act(rt, kept)
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
        incident = sources.hold_incident(connection, rt.new_id(), {**key, "branch": ""}, now)
        is_known = sources.is_known(connection, incident["id"], observation.id, observation.version)
        taking = _Taking(rt, connection, book, now)
        branches = sources.branches(connection, incident)
        alive = {each["branch"] for each in branches if each["observation"]}
        going = [rule for rule in book.rules if rule.source == source_id and rule.name in alive]
        own = own_rules(book.rules, observation, going) if not incident["observation"] else book.rules
        first = taking.decide(incident, observation, own, is_known=is_known, is_elsewhere=bool(going))
        is_heard = first.decision.reason not in UNHEARD
        also = taking.branch_out(key, incident, branches, observation, first) if is_heard else []
        kept = [each.kept for each in (first, *also) if each.kept is not None]
        channels = {channel for each in kept for channel in tell_waiting(connection, rt, each, now)}
    ring(rt, channels)
    return Taken(observation, first.decision, first.kept, tuple(kept[1:]))


@dataclass(frozen=True, slots=True)
class _Decided:
    """What becomes of it in one incident. `kept`: under which number; None: it was there already, or says nothing."""

    decision: Decision
    kept: int | None
    joins: bool = False


@dataclass(frozen=True, slots=True)
class _Taking:
    """One observation being taken in, in one transaction."""

    rt: Runtime
    connection: Connection
    book: RuleBook
    now: datetime

    def decide(
        self,
        incident: Row,
        observation: Observation,
        rules: Sequence[Rule],
        *,
        is_known: bool = False,
        is_elsewhere: bool = False,
    ) -> _Decided:
        """`is_elsewhere`: a branch of it goes on."""
        connection, rt, source_id = self.connection, self.rt, incident["source_id"]
        thread = _thread(connection, incident, self.book.joins, self.now)
        if is_known:
            thread = replace(thread, seen=frozenset({(observation.id, observation.version)}))
        is_own = publishing.is_ours(connection, rt, observation.id)
        recent = self.recent(observation, source_id, rules)
        decision = decide(observation, source_id, rules, thread, recent, is_own=is_own)
        if decision.reason is Reason.NO_RULE and is_elsewhere:
            decision = replace(decision, reason=Reason.ELSEWHERE)
        # A branch that is over is told of nothing that its rule is not for.
        is_silent = bool(incident["branch"]) and thread.observation is None and decision.action is Action.IGNORE
        if is_known or is_silent:
            return _Decided(decision, None)
        joined = _join(connection, rt, incident, self.book.joins, observation, thread, decision)
        if joined is not None:
            incident, thread, decision = joined
        kept = _keep(connection, rt, incident, observation, decision, self.now, joins=joined is not None)
        _advance(connection, rt, incident, thread, observation, decision, joins=joined is not None)
        return _Decided(decision, kept, joined is not None)

    def branch_out(
        self, key: Row, incident: Row, branches: list[Row], observation: Observation, first: _Decided
    ) -> list[_Decided]:
        """What becomes of it by other rules, which have alerted others or do now. `incident`: as it was before."""
        source_id = incident["source_id"]
        found = list(further(observation, source_id, self.book.rules, first.decision.rule))
        wider = None if first.joins else self._wider([incident, *branches], observation, first.decision)
        if wider is not None and wider.rule is not None:
            found.append(wider.rule)
        main = sources.lock_incident(self.connection, incident["id"])
        told_by = main["rule"] if main["observation"] else None
        there = {told_by, *(each["branch"] for each in branches)}
        for name in dict.fromkeys(rule.name for rule in found if rule.do != "ignore" and rule.name not in there):
            branch = sources.hold_incident(self.connection, self.rt.new_id(), {**key, "branch": name}, self.now)
            branches.append(branch)
        # Where the rule is gone, it can only be over.
        rules = [
            [rule for rule in self.book.rules if (rule.source, rule.name) == (source_id, each["branch"])]
            for each in branches
        ]
        return [
            self.decide(each, observation, some)
            for each, some in zip(branches, rules, strict=True)
            if each["branch"] != told_by
        ]

    def recent(self, observation: Observation, source_id: str, rules: Sequence[Rule]) -> int:
        """How many alerts the rule that is for it has made in the hour before."""
        rule = match(observation, source_id, rules)
        if rule is None:
            return 0
        return sources.count_alerts(self.connection, source_id, rule.name, self.now - CAP_TIME)

    def _wider(self, incidents: Sequence[Row], observation: Observation, decision: Decision) -> Decision | None:
        """What another rule makes of what got worse, if none of these incidents has alerted all whom it names."""
        source_id, rules = incidents[0]["source_id"], self.book.rules
        recent = self.recent(observation, source_id, rules)
        found = widened(observation, source_id, rules, incidents[0]["rule"], decision, recent)
        if found is None:
            return None
        audience = _words(self.connection, self.rt, observation, found, by_template=True).audience
        threads = [each["thread_id"] for each in incidents if each["thread_id"] is not None]
        begun = [sources.beginning(self.connection, sources.lock_thread(self.connection, each)) for each in threads]
        if found.action is Action.DRAFT:
            begun += [sources.pending(self.connection, each["id"], self.now) for each in incidents]
        reached = [Audience.from_json(each["draft"]["audience"]) for each in begun if each is not None]
        return None if audience is not None and any(each.covers(audience) for each in reached) else found


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
    if told is None:
        # What others said of an alert that is over keeps nothing from beginning anew.
        return known
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
        if found is not None and not _misses_somebody(connection, there, words):
            if there["alert_id"] is None and found.action is Action.IGNORE:
                # What others are about to say may be refused yet.
                found = replace(found, action=Action.UPDATE, reason=Reason.JOINED)
            return {**incident, "thread_id": there["id"]}, in_thread(thread, candidate), found
    return None


def _misses_somebody(connection: Connection, thread: Row, words: Words) -> bool:
    """Whether somebody who is meant has come since the thread's alert was sent."""
    alert = alerts.get(connection, thread["alert_id"]) if thread["alert_id"] is not None else None
    return alert is not None and words.audience is not None and alerts.misses(connection, alert, words.audience)


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
    after, thread_id = followed(thread, observation, decision, rt.now()), incident["thread_id"]
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
        "state": "done" if action is Action.IGNORE else "waiting" if decision.waits else "due",
        "due_at": now + timedelta(seconds=rule.stop_seconds) if action is Action.ALERT and rule is not None else now,
        "received_at": now,
    }
    if follows and not decision.waits:
        sources.outdate(connection, incident["id"])
    if waiting is not None and not decision.waits:
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
