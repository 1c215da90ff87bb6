"""The sources themselves, the rule book, and what was observed: made by administrators, read by managers."""

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection

from alertd.core.errors import Conflict, Invalid, NotFound, Unauthenticated
from alertd.core.ids import given_id_fault
from alertd.core.observation import clean
from alertd.core.rules import Rule
from alertd.core.wording import wording_faults
from alertd.service import observing, planning, polling
from alertd.service.acting import author_of
from alertd.service.asking import tell_unproved
from alertd.service.rule_book import RuleBook, parse_book
from alertd.service.runtime import Actor, Runtime
from alertd.service.templates import find_template
from alertd.sources.base import Reader, Unproved, Unreadable
from alertd.sources.certificates import Certificate, read_certificates
from alertd.sources.registry import KINDS, MAPPED, POLLERS, READERS, SIGNED_KINDS, read
from alertd.store import instance, people, posts, sources
from alertd.store.rows import Row

_NAME_MAX: Final = 50  # with what stands before it, a person's id
MAILED: Final = "mail"  # the kind whose secret is part of an address
_MAILBOX: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
_EVERY_LEAST: Final = 10  # seconds
_EVERY_MOST: Final = 86_400
_SILENT_LEAST: Final = 300
_SILENT_LOOKS: Final = 5
_SILENT_MOST: Final = 31 * 86_400
_BOOKS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class MadeSource:
    """A source at the only moment when its secret can be read."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Watch:
    """How a source is asked and watched. `access` is what its kind needs for being asked; None: it sends by itself."""

    access: Mapping[str, Any] | None = None
    every_seconds: int | None = None  # None: as its kind has it
    silent_seconds: int | None = (
        None  # None: never for what sends, five looks for what is asked, but 5 minutes at least
    )


def make_source(rt: Runtime, actor: Actor, source_id: str, kind: str, watch: Watch = Watch()) -> MadeSource:
    """Let something say what it observes. Raises Invalid, and Conflict when there is a source of that name."""
    faults = _name_faults(source_id)
    if kind not in KINDS:
        faults.append(("kind", f"must be one of {', '.join(KINDS)}"))
        raise Invalid(faults)
    watched, more = _watched(rt, kind, watch, {})
    if faults + more:
        raise Invalid(faults + more)
    if kind == MAILED and not _MAILBOX.fullmatch(source_id):
        raise Invalid([("id", "must be 1 to 31 of a-z, 0-9, - and _: it becomes part of a mail address")])
    secret, now = _secret_of(kind), rt.now()
    made = {"kind": kind, "secret_hash": _hash(secret), "made_by": actor.person_id, "created_at": now, "failures": 0}
    values = {**made, **watched}
    with rt.store.write() as connection:
        if not sources.add(connection, source_id, values):
            raise Conflict(f"there is a source {source_id!r} already")
        author = author_of(source_id)
        people.add_new(connection, author, {"name": source_id, "active": False}, now)
        _record(connection, rt, actor, "source.make", source_id, {"kind": kind})
    return MadeSource(source_id, secret)


def change_watch(rt: Runtime, actor: Actor, source_id: str, watch: Watch) -> None:
    """Ask a source in another way from now on, at once. Secrets that `watch` leaves out stay as they are.

    Raises Invalid, NotFound.
    """
    with rt.store.write() as connection:
        row = sources.get(connection, source_id)
        if row is None:
            raise NotFound(f"there is no source {source_id!r}")
        values, faults = _watched(rt, row["kind"], watch, row["access"] or {})
        if faults:
            raise Invalid(faults)
        sources.change(connection, source_id, {**values, "failures": 0, "alarmed_at": None})
        _record(connection, rt, actor, "source.watch", source_id, {"asked": watch.access is not None})


def _watched(rt: Runtime, kind: str, watch: Watch, before: Mapping[str, Any]) -> tuple[Row, list[tuple[str, str]]]:
    """The columns that say how a source is watched; what is wrong with them."""
    faults = [
        (name, f"must be {least} to {most}")
        for name, seconds, least, most in (
            ("every_seconds", watch.every_seconds, _EVERY_LEAST, _EVERY_MOST),
            ("silent_seconds", watch.silent_seconds, _EVERY_LEAST, _SILENT_MOST),
        )
        if seconds is not None and not least <= seconds <= most
    ]
    if watch.access is None:
        asked = {"access": None, "every_seconds": None, "next_at": None, "silent_seconds": watch.silent_seconds}
        return asked, faults
    poller = POLLERS.get(kind)
    if poller is None:
        return {}, [("access", f"a source of the kind {kind} sends by itself, and is not asked")]
    kept = {name: before[name] for name in poller.access.secret() if name in before}
    try:
        access = poller.access.model_validate_json(json.dumps({**kept, **watch.access}))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        return {}, faults + [(".".join(["access", *map(str, each["loc"])]), each["msg"]) for each in wrong]
    faults += [("access", told) for url in access.urls() if (told := rt.host_fault(url))]
    every = watch.every_seconds or poller.every_seconds
    return {
        "access": access.model_dump(mode="json"),
        "every_seconds": every,
        "next_at": rt.now(),
        "silent_seconds": watch.silent_seconds or max(_SILENT_LEAST, _SILENT_LOOKS * every),
    }, faults


def renew_secret(rt: Runtime, actor: Actor, source_id: str) -> MadeSource:
    """Another secret in place of a source's own, which ends. Raises NotFound."""
    with rt.store.write() as connection:
        row = sources.get(connection, source_id)
        if row is None:
            raise NotFound(f"there is no source {source_id!r}")
        secret = _secret_of(row["kind"])
        sources.change(connection, source_id, {"secret_hash": _hash(secret)})
        _record(connection, rt, actor, "source.renew", source_id, {})
    return MadeSource(source_id, secret)


def set_certificates(rt: Runtime, actor: Actor, source_id: str, pem: str) -> list[dict[str, Any]]:
    """Say whose signatures a source's messages are believed by, in place of what was said before; "": nobody's.

    Raises Invalid, NotFound, and Conflict when a rule asks for signatures that nobody could prove any more.
    """
    try:
        found = read_certificates(pem)
    except Unreadable as fault:
        raise Invalid([("certificates", fault.message)]) from None
    with rt.store.write() as connection:
        row = sources.get(connection, source_id)
        if row is None:
            raise NotFound(f"there is no source {source_id!r}")
        if found and row["kind"] not in SIGNED_KINDS:
            raise Invalid([("certificates", f"are only for sources of the kind {', '.join(SIGNED_KINDS)}")])
        books = sources.books(connection, 1)
        rules = parse_book(books[0]["text"]).rules if books and not found else ()
        asking = next((rule.name for rule in rules if rule.source == source_id and rule.when.signed), None)
        if asking is not None:
            raise Conflict(f"the rule {asking!r} asks for signatures of this source: change it first")
        sources.change(connection, source_id, {"certificates": _pem(found) or None})
        details = {"sha256": [each.fingerprint for each in found]}
        _record(connection, rt, actor, "source.certificates", source_id, details)
    return [_certificate_view(each) for each in found]


def _pem(found: Sequence[Certificate]) -> str:
    """Certificates as they are kept: each below a line that says which it is, so that people can take one out."""
    return "\n".join(f"# {each.words}\n{each.pem}" for each in found)


def _certificate_view(certificate: Certificate) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "sha256": certificate.fingerprint,
        "begins_at": _time(certificate.begins_at),
        "ends_at": _time(certificate.ends_at),
        "is_authority": certificate.is_authority,
    }


def read_pem(rt: Runtime, source_id: str) -> str:
    """The certificates that a source was given, as PEM. Raises NotFound."""
    with rt.store.read() as connection:
        row = sources.get(connection, source_id)
    if row is None:
        raise NotFound(f"there is no source {source_id!r}")
    return row["certificates"] or ""


def list_sources(rt: Runtime) -> list[dict[str, Any]]:
    """Every source with when it was last heard, and what was wrong when it was last refused."""
    now = rt.now()
    with rt.store.read() as connection:
        found = sources.every(connection)
    return [
        {
            "id": row["id"],
            "kind": row["kind"],
            "succeeded_at": _time(row["succeeded_at"]),
            "failed_at": _time(row["failed_at"]),
            "fault": row["fault"],
            "access": _shown_access(row),
            "every_seconds": row["every_seconds"],
            "silent_seconds": row["silent_seconds"],
            "next_at": _time(row["next_at"]),
            "silent": sources.is_silent(row, now),
            "certificates": [_certificate_view(each) for each in read_certificates(row["certificates"] or "")],
        }
        for row in found
    ]


def _shown_access(row: Row) -> Row | None:
    """How a source is asked, without what nobody is shown again."""
    if row["access"] is None:
        return None
    hidden = POLLERS[row["kind"]].access.secret()
    return {name: value for name, value in row["access"].items() if name not in hidden}


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
    if row["kind"] in POLLERS and row["kind"] not in READERS:
        # A hint that there is something new: what it says is never believed, the other side is asked.
        polling.hint(rt, source_id)
        return []
    try:
        found = _reader_of(rt, row)(raw)
    except Unreadable as fault:
        if isinstance(fault, Unproved):
            tell_unproved(rt, source_id, fault.message)
        _heard(rt, source_id, {"failed_at": rt.now(), "fault": clean(str(fault), polling.FAULT_MAX)})
        raise
    taken = observing.take(rt, source_id, found)
    _heard(rt, source_id, {"succeeded_at": rt.now(), "alarmed_at": None})
    return [each.as_json() for each in taken]


def _reader_of(rt: Runtime, row: Row) -> Reader:
    """What reads a source's messages. Raises Unreadable where that is a mapping, and there is none."""
    if row["kind"] not in MAPPED:
        trusted = read_certificates(row["certificates"] or "")
        return lambda raw: read(row["kind"], raw, trusted)
    mapping = observing.mappings(rt).get(row["id"])
    if mapping is None:
        raise Unreadable(f"the rules do not say how to read it: write [mapping.{row['id']}] there")
    return mapping.read


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
    now = rt.now()
    with rt.store.write() as connection:
        found = checked_book(connection, rt, text)
        last = sources.books(connection, 1)
        if on_version is not None and on_version != (last[0]["id"] if last else 0):
            raise Conflict("somebody has saved other rules meanwhile: look at them, then save yours again")
        sources.add_book(connection, text, actor.person_id, now)
        book = sources.books(connection, 1)[0]
        _record(connection, rt, actor, "rules.save", str(book["id"]), {"rules": len(found.rules)})
    return {"version": book["id"], "text": text, "by": actor.person_id, "at": _time(now)}


def checked_book(connection: Connection, rt: Runtime, text: str) -> RuleBook:
    """A book that could be put in force as it is. Raises Invalid with every fault."""
    book = parse_book(text)
    faults = [fault for index, rule in enumerate(book.rules) for fault in _rule_faults(connection, rt, index, rule)]
    for index, join in enumerate(book.joins):
        missing = [each for each in join.sources if sources.get(connection, each) is None]
        faults += [(f"join.{index}.sources", f"there is no source {each!r}") for each in missing]
    faults += _mapping_faults(connection, book)
    if faults:
        raise Invalid(faults)
    return book


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
        "signed_by": row["content"]["signed_by"],
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
    source = sources.get(connection, rule.source)
    if source is None:
        faults.append(("source", f"there is no source {rule.source!r}"))
    elif rule.when.signed and source["kind"] not in SIGNED_KINDS:
        faults.append(("when.signed", f"is only for sources of the kind {', '.join(SIGNED_KINDS)}"))
    elif rule.when.signed and not source["certificates"]:
        faults.append(("when.signed", f"nobody's signature is believed: give {rule.source!r} a certificate first"))
    if not posts.has_board(connection, rule.board):
        faults.append(("board", f"there is no board {rule.board!r}"))
    template = find_template(connection, rule.template) if rule.template is not None else None
    if rule.template is not None:
        missing_template = [("template", f"there is no template {rule.template!r}")]
        faults += wording_faults(rule, template) if template is not None else missing_template
    if rule.do in ("draft", "alert") and rule.audience is None and template is not None and template.audience is None:
        faults.append(("audience", "must say who is alerted: everyone, or at least one group"))
    if rule.plan is not None and planning.resolve(connection, rt, rule.plan) is None:
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


def _mapping_faults(connection: Connection, book: RuleBook) -> list[tuple[str, str]]:
    """What a mapping names that is not there, or is read otherwise."""
    faults = []
    for source_id in book.mappings:
        row = sources.get(connection, source_id)
        if row is None:
            faults.append((f"mapping.{source_id}", f"there is no source {source_id!r}"))
        elif row["kind"] not in MAPPED:
            told = f"a source of the kind {row['kind']} is not read by a mapping"
            faults.append((f"mapping.{source_id}", told))
    return faults


def _name_faults(source_id: str) -> list[tuple[str, str]]:
    fault = given_id_fault(source_id)
    if fault is None and len(source_id) > _NAME_MAX:
        fault = f"must be at most {_NAME_MAX} characters"
    return [("id", fault)] if fault else []


def _secret_of(kind: str) -> str:
    """256 random bits. In a mail address 160, in letters of one case: with the name they must fit in 64 characters
    (RFC 5321 section 4.5.3.1.1), and servers on the way may change the case.
    """
    if kind == MAILED:
        return base64.b32encode(os.urandom(20)).decode("ascii").lower()
    return secrets.token_urlsafe(32)


def source_of_address(rt: Runtime, address: str) -> str | None:
    """The source that a mail address is of, `NAME+SECRET@…`; None when it is nobody's. Raises StoreUnavailable."""
    name, plus, secret = address.rpartition("@")[0].lower().rpartition("+")
    if not plus:
        return None
    try:
        require_source(rt, name, secret)
    except Unauthenticated:
        return None
    return name


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _time(moment: Any) -> str | None:
    return moment.isoformat() if moment is not None else None


def _record(connection: Connection, rt: Runtime, actor: Actor, action: str, object_id: str, details: Row) -> None:
    instance.record(connection, at=rt.now(), actor=actor.person_id, action=action, object=object_id, details=details)
