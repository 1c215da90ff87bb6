"""Sources that are asked: whose turn it is, what is kept between two looks, and who is told when one falls silent."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from alertd.core.observation import Observation, clean
from alertd.service import notices, observing
from alertd.service.asking import tell_unproved
from alertd.service.runtime import Runtime
from alertd.sources import registry
from alertd.sources.base import Access, Poller, Reader, Unproved, Unreadable
from alertd.sources.certificates import read_certificates
from alertd.sources.mapping import SourceMapping
from alertd.sources.registry import POLLERS
from alertd.store import sources
from alertd.store.rows import Row

LEASE: Final = timedelta(seconds=15)  # prolonged while a look goes on; a killed poller's sources wait for so long
FAULT_MAX: Final = 500
_RESTS_MOST: Final = 60  # seconds, unless the source is asked less often: what is back again must be noticed


@dataclass(frozen=True, slots=True)
class Turn:
    """A source that is this process's to ask."""

    source_id: str
    poller: Poller
    access: Access
    cursor: Mapping[str, Any]
    every_seconds: int
    failures: int
    mapping: SourceMapping | None
    read: Reader
    asked_at: datetime


def take_turns(rt: Runtime, limit: int) -> list[Turn]:
    """Whatever is to be asked now, `limit` sources at most; nobody else asks them while the lease holds."""
    now = rt.now()
    with rt.store.read() as connection:
        due = sources.due_polls(connection, now)[:limit]
    mappings = observing.mappings(rt) if due else {}
    turns = []
    for row in due:
        with rt.store.write() as connection:
            is_ours = sources.lease(connection, row, now + LEASE)
        if is_ours:
            turns.append(_turn(row, mappings.get(row["id"]), now))
    return turns


def _turn(row: Row, mapping: SourceMapping | None, now: datetime) -> Turn:
    poller = POLLERS[row["kind"]]
    # It was judged when it was saved, strictly; here it only comes out of the row.
    access = poller.access.model_validate(row["access"], strict=False)
    told = (row["cursor"] or {}, row["every_seconds"], row["failures"])
    trusted = read_certificates(row["certificates"] or "")
    return Turn(row["id"], poller, access, *told, mapping, lambda raw: registry.read(row["kind"], raw, trusted), now)


def prolong(rt: Runtime, source_ids: Sequence[str]) -> None:
    """Keep these for another lease."""
    with rt.store.write() as connection:
        sources.prolong(connection, source_ids, rt.now() + LEASE)


def end_turn(rt: Runtime, turn: Turn, fault: str | None) -> None:
    """Give a source back: it answered, or what was wrong. It is asked again in time, sooner when somebody hints."""
    now = rt.now()
    if fault is None:
        rests, values = turn.every_seconds, {"succeeded_at": now, "failures": 0, "alarmed_at": None}
    else:
        failures = turn.failures + 1
        rests = max(turn.every_seconds, min(turn.every_seconds * 2 ** min(failures, 16), _RESTS_MOST))
        values = {"failed_at": now, "failures": failures, "fault": clean(fault, FAULT_MAX)}
    with rt.store.write() as connection:
        sources.end_poll(connection, turn.source_id, turn.asked_at, turn.asked_at + timedelta(seconds=rests), values)


def give_back(rt: Runtime, source_id: str) -> None:
    """Leave a source to whoever comes next, at once."""
    with rt.store.write() as connection:
        sources.change(connection, source_id, {"leased_until": None})


def hint(rt: Runtime, source_id: str) -> None:
    """Somebody says that a source has something new: it is asked at once, when it is one that is asked."""
    with rt.store.write() as connection:
        row = sources.get(connection, source_id)
        if row is not None and row["next_at"] is not None:
            sources.change(connection, source_id, {"next_at": rt.now()})


def take(rt: Runtime, source_id: str, found: Sequence[Observation], cursor: Mapping[str, Any] | None) -> None:
    """What `Desk.take` promises. Raises DiskFull."""
    observing.take(rt, source_id, found)
    if cursor is not None:
        with rt.store.write() as connection:
            sources.change(connection, source_id, {"cursor": dict(cursor)})


def missing(rt: Runtime, source_id: str, references: Sequence[str]) -> list[str]:
    """Which of these messages were not taken yet, in their order."""
    with rt.store.read() as connection:
        return sources.missing(connection, source_id, references)


def kept(rt: Runtime, source_id: str, reference: str) -> bytes | None:
    """A message that was fetched and whose taking was cut off."""
    with rt.store.read() as connection:
        body = sources.fetched_body(connection, source_id, reference)
    return zlib.decompress(body) if body is not None else None


def keep(rt: Runtime, source_id: str, reference: str, body: bytes) -> None:
    """Keep a message before anything is done with it. Raises DiskFull."""
    rt.require_room()
    with rt.store.write() as connection:
        sources.keep_fetched(connection, source_id, reference, zlib.compress(body), rt.now())


def read_kept(rt: Runtime, source_id: str, reference: str, body: bytes, read: Reader) -> None:
    """Take what a kept message says; what cannot be read stays, with the reason."""
    try:
        found = read(body)
    except Unreadable as fault:
        if isinstance(fault, Unproved):
            tell_unproved(rt, source_id, fault.message)
        told = clean(f"{reference}: {fault}", FAULT_MAX)
        with rt.store.write() as connection:
            sources.end_fetched(connection, source_id, reference, {"taken_at": rt.now(), "fault": told})
            sources.change(connection, source_id, {"failed_at": rt.now(), "fault": told})
        return
    observing.take(rt, source_id, found)
    with rt.store.write() as connection:
        sources.end_fetched(connection, source_id, reference, {"taken_at": rt.now(), "body": None})


def tell_of_silence(rt: Runtime) -> None:
    """Tell the administrators of sources that were not heard for longer than they may, once each."""
    now = rt.now()
    with rt.store.read() as connection:
        quiet = sources.silent(connection, now)
    for row in quiet:
        with rt.store.write() as connection:
            sources.change(connection, row["id"], {"alarmed_at": now})
            title, body = _silence_words(rt, row)
            channels = notices.tell_admins(connection, rt, title, body, rt.channels, now)
        if channels:
            rt.bell.events()
            rt.bell.work(channels)


def _silence_words(rt: Runtime, row: Row) -> tuple[str, str]:
    heard = row["succeeded_at"]
    ja = f"{heard.astimezone(rt.zone):%m月%d日 %H:%M}から" if heard else "一度も"
    en = f"since {heard.astimezone(rt.zone):%Y-%m-%d %H:%M}" if heard else "at all"
    why = f": {row['fault']}" if row["fault"] and row["failures"] else ""
    return (
        f"【システム】情報源「{row['id']}」が途絶えています / [SYSTEM] A source is silent",
        f"情報源「{row['id']}」から{ja}受信できていません。その間の情報は届いていません{why}\n"
        f"The source {row['id']} was not heard {en}; what it had to say since is not here{why}\n"
        f"{rt.public_url}/sources",
    )
