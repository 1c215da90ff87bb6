"""The sources themselves, the rule book, and what was observed: made by administrators, read by managers."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.errors import Conflict, Invalid, NotFound, Unauthenticated
from alertd.core.ids import given_id_fault
from alertd.core.observation import Observation, clean
from alertd.core.rules import Rule
from alertd.service import observing, planning
from alertd.service.rule_book import read_rules
from alertd.service.runtime import Actor, Runtime
from alertd.sources.base import Unreadable
from alertd.sources.registry import KINDS, READERS
from alertd.store import instance, people, posts, sources
from alertd.store.rows import Row

_NAME_MAX: Final = 50  # with what stands before it, a person's id
_FAULT_MAX: Final = 500
_BOOKS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class MadeSource:
    """A source at the only moment when its secret can be read."""

    id: str
    secret: str


def make_source(rt: Runtime, actor: Actor, source_id: str, kind: str) -> MadeSource:
    """Let something say what it observes. Raises Invalid, and Conflict when there is a source of that name."""
    faults = _name_faults(source_id)
    if kind not in KINDS:
        faults.append(("kind", f"must be one of {', '.join(KINDS)}"))
    if faults:
        raise Invalid(faults)
    secret, now = secrets.token_urlsafe(32), rt.now()
    values = {"kind": kind, "secret_hash": _hash(secret), "made_by": actor.person_id, "created_at": now}
    with rt.store.write() as connection:
        if not sources.add(connection, source_id, values):
            raise Conflict(f"there is a source {source_id!r} already")
        author = observing.author_of(source_id)
        people.add_new(connection, author, {"name": source_id, "active": False}, now)
        _record(connection, rt, actor, "source.make", source_id, {"kind": kind})
    return MadeSource(source_id, secret)


def renew_secret(rt: Runtime, actor: Actor, source_id: str) -> MadeSource:
    """Another secret in place of a source's own, which ends. Raises NotFound."""
    secret = secrets.token_urlsafe(32)
    with rt.store.write() as connection:
        if not sources.change(connection, source_id, {"secret_hash": _hash(secret)}):
            raise NotFound(f"there is no source {source_id!r}")
        _record(connection, rt, actor, "source.renew", source_id, {})
    return MadeSource(source_id, secret)


def list_sources(rt: Runtime) -> list[dict[str, Any]]:
    """Every source with when it was last heard, and what was wrong when it was last refused."""
    with rt.store.read() as connection:
        found = sources.every(connection)
    return [
        {
            "id": row["id"],
            "kind": row["kind"],
            "succeeded_at": _time(row["succeeded_at"]),
            "failed_at": _time(row["failed_at"]),
            "fault": row["fault"],
        }
        for row in found
    ]


def require_source(rt: Runtime, source_id: str, secret: str) -> None:
    """Raises Unauthenticated, alike for a wrong secret and for no such source."""
    with rt.store.read() as connection:
        row = sources.get(connection, source_id)
    # Compared in any case, so that an answer tells nobody which names there are.
    if not hmac.compare_digest(row["secret_hash"] if row else _hash(""), _hash(secret)) or row is None:
        raise Unauthenticated("send this source's secret as a bearer token")


def receive(rt: Runtime, source_id: str, raw: bytes) -> list[dict[str, Any]]:
    """Take in a message that a source has sent, and what became of each observation in it.

    Raises Unreadable, which is kept as the source's fault; NotFound, DiskFull.
    """
    with rt.store.read() as connection:
        row = sources.get(connection, source_id)
    if row is None:
        raise NotFound(f"there is no source {source_id!r}")
    try:
        found: Sequence[Observation] = READERS[row["kind"]](raw)
    except Unreadable as fault:
        _heard(rt, source_id, {"failed_at": rt.now(), "fault": clean(str(fault), _FAULT_MAX)})
        raise
    taken = observing.take(rt, source_id, found)
    _heard(rt, source_id, {"succeeded_at": rt.now()})
    return [each.as_json() for each in taken]


def _heard(rt: Runtime, source_id: str, values: Row) -> None:
    with rt.store.write() as connection:
        sources.change(connection, source_id, values)


def read_book(rt: Runtime) -> list[dict[str, Any]]:
    """The last versions of the rule book, the one in force first; before there is any, an empty one."""
    with rt.store.read() as connection:
        found = sources.books(connection, _BOOKS_SHOWN)
    return [
        {"version": row["id"], "text": row["text"], "by": row["made_by"], "at": _time(row["created_at"])}
        for row in found
    ] or [{"version": 0, "text": "", "by": None, "at": None}]


def save_book(rt: Runtime, actor: Actor, text: str, on_version: int | None = None) -> dict[str, Any]:
    """Put a rule book in force. `on_version`: the one that was read when it was written.

    Raises Invalid with every fault, and Conflict when somebody has saved another one meanwhile.
    """
    rules = read_rules(text)
    now = rt.now()
    with rt.store.write() as connection:
        faults = [fault for index, rule in enumerate(rules) for fault in _rule_faults(connection, rt, index, rule)]
        if faults:
            raise Invalid(faults)
        last = sources.books(connection, 1)
        if on_version is not None and on_version != (last[0]["id"] if last else 0):
            raise Conflict("somebody has saved other rules meanwhile: look at them, then save yours again")
        sources.add_book(connection, text, actor.person_id, now)
        book = sources.books(connection, 1)[0]
        _record(connection, rt, actor, "rules.save", str(book["id"]), {"rules": len(rules)})
    return {"version": book["id"], "text": text, "by": actor.person_id, "at": _time(now)}


def list_observations(
    rt: Runtime, *, before: int | None = None, limit: int, only_open: bool = False
) -> list[dict[str, Any]]:
    """What was observed and what became of it, newest first; `only_open`: what can still be sent or stopped."""
    with rt.store.read() as connection:
        found = sources.page(connection, before, limit, only_open=only_open)
    return [_view(row) for row in found]


def count_waiting(rt: Runtime) -> int:
    """How many observations can still be sent or stopped."""
    with rt.store.read() as connection:
        return sources.count_pending(connection)


def _view(row: Row) -> dict[str, Any]:
    return {
        "observation": row["id"],
        "source": row["source_id"],
        "id": row["reference"],
        "version": row["version"],
        "standing": row["standing"],
        "title": row["draft"]["title"],
        "body": row["draft"]["body"],
        "severity": row["draft"]["severity"],
        "audience": row["draft"]["audience"],
        "observed_at": row["content"]["observed_at"],
        "received_at": _time(row["received_at"]),
        "action": row["action"],
        "reason": row["reason"],
        "rule": row["rule"],
        "state": row["state"],
        "due_at": _time(row["due_at"]) if row["state"] == "due" else None,
        "decided_by": row["decided_by"],
        "post": row["post_id"],
        "alert": row["alert_id"],
        "fault": row["fault"],
    }


def _rule_faults(connection: Connection, rt: Runtime, index: int, rule: Rule) -> list[tuple[str, str]]:
    """What a rule names that is not there."""
    faults = []
    if sources.get(connection, rule.source) is None:
        faults.append(("source", f"there is no source {rule.source!r}"))
    if not posts.has_board(connection, rule.board):
        faults.append(("board", f"there is no board {rule.board!r}"))
    if planning.resolve(connection, rt, rule.plan) is None:
        faults.append(("plan", f"there is no plan {rule.plan!r}"))
    if rule.audience is not None:
        known = people.parents(connection)
        missing = [group for group in rule.audience.groups if group not in known]
        faults += [("audience.groups", f"there is no group {group!r}") for group in missing]
        there = people.get_many(connection, rule.audience.people)
        faults += [
            ("audience.people", f"there is no person {each!r}") for each in rule.audience.people if each not in there
        ]
    return [(f"rule.{index}.{field}", message) for field, message in faults]


def _name_faults(source_id: str) -> list[tuple[str, str]]:
    fault = given_id_fault(source_id)
    if fault is None and len(source_id) > _NAME_MAX:
        fault = f"must be at most {_NAME_MAX} characters"
    return [("id", fault)] if fault else []


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _time(moment: Any) -> str | None:
    return moment.isoformat() if moment is not None else None


def _record(connection: Connection, rt: Runtime, actor: Actor, action: str, object_id: str, details: Row) -> None:
    instance.record(connection, at=rt.now(), actor=actor.person_id, action=action, object=object_id, details=details)
