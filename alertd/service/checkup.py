"""The doctor: looks at every part that an alert would need, and changes nothing. One that is down hides no other."""

import asyncio
import contextlib
import logging
import os
import socket
import time as monotonic_time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import aiohttp
from anyio import to_thread
from redis.exceptions import RedisError

from alertd import queue
from alertd.core.alert import Bilingual
from alertd.core.errors import StoreUnavailable
from alertd.core.flow import EVERY_LANE
from alertd.core.hosts import is_loopback
from alertd.core.usage import passed_step
from alertd.service.findings import Finding, worst_first
from alertd.store import ballast, circuits, counters, instance, measures, self_tests, sources, webhooks
from alertd.store.engine import Store
from alertd.store.migrate import Standing, standing
from alertd.store.rows import Row

log = logging.getLogger(__name__)
T = TypeVar("T")
Probe = Callable[[], Awaitable[list[Bilingual]]]

_URL_SECONDS: Final = 5.0
_STORE_SECONDS: Final = 3.4
_REST_SECONDS: Final = 6.0
_LOOK_SECONDS: Final = 0.25
_ODD_SECONDS: Final = 5.0
_LATE: Final = timedelta(seconds=60)
_STALE: Final = timedelta(hours=26)
_MIB: Final = 1024 * 1024
_BLIP: Final = timedelta(seconds=60)  # a circuit that is open for longer is no passing trouble
_PREPARED_WITHIN: Final = timedelta(minutes=2)  # a million people take some 40 seconds


@dataclass(frozen=True, slots=True)
class Patient:
    """An installation to be looked at. `probes` ask each provider, by `channel` or `channel:secondary`."""

    store: Store | None  # None: there is no database yet
    now: Callable[[], datetime]
    wall: Callable[[], datetime]
    zone: tzinfo
    redis_url: str
    public_url: str | None
    channels: tuple[str, ...]
    probes: Mapping[str, Probe]
    missing: Mapping[str, str]  # channels that are not set up, and what they lack
    roles: tuple[str, ...]  # what is to run beside the workers
    self_test: time | None
    sms_ceiling: int | None
    data_dir: Path | None = None  # where Redis and the logs may lie when the database is elsewhere
    faults: Sequence[Finding] = field(default=())  # what was found while the installation was opened
    deadline_seconds: float = 9.5  # for every check
    alive_seconds: float = 5.5  # a process whose counter stands still for so long is not there


async def examine(patient: Patient) -> list[Finding]:
    """Every finding, the worst first, within ten seconds."""
    results = await asyncio.gather(
        _check("store", _store(patient), patient.deadline_seconds),
        _check("redis", _redis(patient), patient.deadline_seconds),
        _check("public_url", _public_url(patient), patient.deadline_seconds),
        _check("disk", _in_thread(_disk, patient), patient.deadline_seconds),
        *(
            _check(f"channel:{name}", _provider(f"channel:{name}", probe), patient.deadline_seconds)
            for name, probe in patient.probes.items()
        ),
    )
    return worst_first([*patient.faults, *(finding for findings in results for finding in findings)])


async def _check(name: str, check: Awaitable[list[Finding]], seconds: float) -> list[Finding]:
    """A check's findings; that it did not answer, or broke, is one too."""
    try:
        async with asyncio.timeout(seconds):
            return await check
    except TimeoutError:
        return [Finding(name, "fault", "unanswered")]
    except StoreUnavailable as error:
        return [Finding(name, "fault", "store_away", {"problem": error})]
    except Exception as error:
        log.exception("a check broke", extra={"check": name})
        return [Finding(name, "fault", "broke", {"problem": type(error).__name__})]


async def _in_thread(check: Callable[..., T], *arguments: Any) -> T:
    return await to_thread.run_sync(lambda: check(*arguments), abandon_on_cancel=True)


async def _store(patient: Patient) -> list[Finding]:
    """The store itself, then what only it can tell."""
    found = await _check("store", _store_itself(patient), _STORE_SECONDS)
    store = patient.store
    if store is None or any(finding.level == "fault" for finding in found):
        return [*found, *(Finding(name, "warning", "cannot_tell") for name in ("processes", *_FROM_STORE))]
    results = await asyncio.gather(
        _check("processes", _processes(patient, store), _REST_SECONDS),
        *(_check(name, _in_thread(check, patient, store), _REST_SECONDS) for name, check in _FROM_STORE.items()),
    )
    found += [finding for findings in results for finding in findings]
    if not any(finding.check == "time" for finding in found):
        found.append(Finding("time", "ok", "time_ok"))
    return found


class _Undo(Exception):
    """Ends a transaction that was only to show that it can be had."""


async def _store_itself(patient: Patient) -> list[Finding]:
    if patient.store is None:
        return [Finding("store", "fault", "store_missing")]
    stands = await _in_thread(_standing, patient.store)
    if stands == "current":
        await _in_thread(_try_to_write, patient)
    migration = Finding("migration", "ok" if stands == "current" else "fault", f"migration_{_STANDING[stands]}")
    return [Finding("store", "ok", "store_ok"), migration]


_STANDING: Final[dict[Standing, str]] = {"current": "ok", "older": "missing", "newer": "newer"}


def _standing(store: Store) -> Standing:
    with store.read() as connection:
        return standing(connection)


def _try_to_write(patient: Patient) -> None:
    assert patient.store is not None
    with contextlib.suppress(_Undo), patient.store.write() as connection:
        instance.probe(connection, socket.gethostname(), patient.now())
        raise _Undo


async def _redis(patient: Patient) -> list[Finding]:
    def ping() -> None:
        client = queue.connect(patient.redis_url)
        try:
            client.ping()
        finally:
            client.close()

    try:
        await _in_thread(ping)
    except (RedisError, OSError) as error:
        return [Finding("redis", "fault", "redis_away", {"problem": type(error).__name__})]
    return [Finding("redis", "ok", "redis_ok")]


async def _provider(check: str, probe: Probe) -> list[Finding]:
    problems = await probe()
    return [Finding(check, "fault", "channel_fault", {"problem": problem}) for problem in problems] or [
        Finding(check, "ok", "channel_ok")
    ]


async def _public_url(patient: Patient) -> list[Finding]:
    url = patient.public_url
    if url is None:
        return [Finding("public_url", "fault", "url_unset")]
    found = []
    host = urlsplit(url).hostname or ""
    if is_loopback(host):
        found.append(Finding("public_url", "warning", "url_local", {"url": url}))
    elif url.startswith("http:"):
        found.append(Finding("public_url", "warning", "url_plain", {"url": url}))
    problem = await _fetch(f"{url}/health/live")
    if problem is not None:
        found.append(Finding("public_url", "fault", "url_away", {"url": url, "problem": problem}))
    return found or [Finding("public_url", "ok", "url_ok", {"url": url})]


async def _fetch(url: str) -> str | None:
    """Why a health page does not answer as ours; None when it does."""
    timeout = aiohttp.ClientTimeout(total=_URL_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, allow_redirects=False) as answer:
            body = await answer.content.read(1_000)
    except TimeoutError:
        return "no answer in time"
    except (aiohttp.ClientError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return None if answer.status == 200 and b'"status":"live"' in body.replace(b" ", b"") else f"HTTP {answer.status}"


async def _processes(patient: Patient, store: Store) -> list[Finding]:
    """Whose counter moves, and whose clock is off. As soon as every role is seen to live, it is told."""
    first: dict[str, int] = {}
    alive: dict[str, Row] = {}
    offsets: dict[str, float] = {}
    ends_at = monotonic_time.monotonic() + patient.alive_seconds
    while True:
        rows = await _in_thread(_workers, store)
        wall = patient.wall()
        for row in rows:
            if first.setdefault(row["id"], row["beat"]) != row["beat"] and row["id"] not in alive:
                alive[row["id"]] = row
                offsets[row["id"]] = (row["seen_at"] - wall).total_seconds()
        found = list(_roles(patient, list(alive.values())))
        if monotonic_time.monotonic() > ends_at or not any(finding.level == "fault" for finding in found):
            return [*found, *_clock_findings(alive, offsets)]
        await asyncio.sleep(_LOOK_SECONDS)


def _workers(store: Store) -> list[Row]:
    with store.read() as connection:
        return instance.list_workers(connection)


def _roles(patient: Patient, alive: Sequence[Row]) -> Iterator[Finding]:
    for channel in patient.channels:
        count = sum(row["role"] == "worker" and row["channel"] == channel for row in alive)
        yield _role(f"worker:{channel}", count, Finding("", "fault", "worker_away", {"channel": channel}))
    for role in patient.roles:
        count = sum(row["role"] == role for row in alive)
        yield _role(role, count, Finding("", "fault", f"{role}_away"))


def _role(check: str, count: int, away: Finding) -> Finding:
    return (
        Finding(check, "ok", "role_ok", {"count": count}) if count else Finding(check, "fault", away.word, away.values)
    )


def _clock_findings(alive: Mapping[str, Row], offsets: Mapping[str, float]) -> Iterator[Finding]:
    for worker_id, row in alive.items():
        if abs(offsets[worker_id]) > _ODD_SECONDS:
            name = f"{row['role']}:{row['channel']}" if row["channel"] else row["role"]
            yield _time_off(f"{name} ({row['host']})", offsets[worker_id])


def _time_off(whose: str, seconds: float) -> Finding:
    return Finding("time", "fault", "time_off", {"whose": whose, "seconds": round(abs(seconds))})


def _database_time(patient: Patient, store: Store) -> list[Finding]:
    with store.read() as connection:
        at = measures.database_clock(connection)
        offset = (at - patient.wall()).total_seconds() if at else 0.0
    return [_time_off("the database / データベース", offset)] if abs(offset) > _ODD_SECONDS else []


def _missing(patient: Patient, store: Store) -> list[Finding]:
    with store.read() as connection:
        people = measures.people_by_channel(connection)
    found = []
    for channel, lack in patient.missing.items():
        count = people.get(channel, 0)
        level, word = ("fault", "channel_needed") if count else ("warning", "channel_unset")
        found.append(Finding(f"channel:{channel}", level, word, {"lack": lack, "count": count}))  # type: ignore[arg-type]
    return found


def _held(_patient: Patient, store: Store) -> list[Finding]:
    with store.read() as connection:
        rows = measures.held(connection)
    return [
        Finding(f"held:{row['channel']}", "fault", "held", {"count": row["count"], "reason": row["reason"]})
        for row in rows
    ] or [Finding("held", "ok", "held_none")]


def _unprepared(patient: Patient, store: Store) -> list[Finding]:
    now = patient.now()
    with store.read() as connection:
        rows = measures.unprepared(connection, now - _PREPARED_WITHIN)
    return [
        Finding(
            "prepared",
            "fault",
            "unprepared",
            {"title": row["title"], "seconds": round((now - row["since"]).total_seconds())},
        )
        for row in rows
    ] or [Finding("prepared", "ok", "prepared")]


def _circuits(patient: Patient, store: Store) -> list[Finding]:
    now = patient.now()
    with store.read() as connection:
        rows = circuits.not_closed(connection)
        waiting = measures.waiting(connection, now)
    shown: dict[tuple[str, str, str], Row] = {}
    for row in sorted(rows, key=lambda row: row["since"], reverse=True):
        shown[row["channel"], row["provider"], row["lane"]] = row  # whoever has avoided it longest
    return [_circuit(row, waiting, now) for _, row in sorted(shown.items())] or [
        Finding("circuits", "ok", "circuits_none")
    ]


def _circuit(row: Row, waiting: Set[tuple[str, str]], now: datetime) -> Finding:
    keeps_back = any(channel == row["channel"] and row["lane"] in (lane, EVERY_LANE) for channel, lane in waiting)
    values = {**row, "reason": row["reason"] or "–", "seconds": round((now - row["since"]).total_seconds())}
    if keeps_back and now - row["since"] > _BLIP:
        return Finding(f"circuit:{row['channel']}", "fault", "circuit_stuck", values)
    return Finding(f"circuit:{row['channel']}", "warning", "circuit", values)


def _oldest_due(patient: Patient, store: Store) -> list[Finding]:
    now = patient.now()
    with store.read() as connection:
        oldest = measures.oldest_due(connection, now)
    return [
        Finding("due", "fault", "due_late", {"channel": channel, "seconds": round((now - due).total_seconds())})
        for channel, due in oldest.items()
        if now - due > _LATE
    ] or [Finding("due", "ok", "due_none")]


def _disk(patient: Patient) -> list[Finding]:
    kept = patient.store.ballast if patient.store is not None else None
    if kept is None:
        return _data_dir(patient.data_dir)
    free = kept.free
    values = {"free": free // _MIB, "wanted": 2 * kept.size // _MIB}
    if not kept.is_in_place or free < kept.size // 2:
        return [Finding("disk", "fault", "disk_full", values)]
    if free < 2 * kept.size:
        return [Finding("disk", "warning", "disk_low", values)]
    return [Finding("disk", "ok", "disk_ok", values)]


def _data_dir(path: Path | None) -> list[Finding]:
    """The data directory's disk, where the database lies elsewhere."""
    if path is None or not path.exists():
        return []
    found = os.statvfs(path)
    free = found.f_bavail * found.f_frsize
    values = {"free": free // _MIB, "path": path}
    if free < 2 * ballast.SIZE:
        return [Finding("disk", "warning", "data_dir_low", values)]
    return [Finding("disk", "ok", "disk_ok", values)]


def _self_test(patient: Patient, store: Store) -> list[Finding]:
    if patient.self_test is None:
        return [Finding("self_test", "warning", "self_test_off")]
    with store.read() as connection:
        last = self_tests.last(connection)
        takers = self_tests.takers(connection)
        went_out = last is not None and self_tests.went_out(connection, last["alert_id"])
    if not takers:
        return [Finding("self_test", "warning", "self_test_nobody")]
    if last is None or patient.now() - last["checked_at"] > _STALE:
        return [Finding("self_test", "warning", "self_test_stale", {"at": f"{patient.self_test:%H:%M}"})]
    if last["failures"]:
        problem = ", ".join(f"{each['channel']} {each['state']}" for each in last["failures"])
        return [Finding("self_test", "fault", "self_test_failed", {"day": last["day"], "problem": problem})]
    if not went_out:
        return [Finding("self_test", "warning", "self_test_unproven", {"day": last["day"]})]
    return [Finding("self_test", "ok", "self_test_ok", {"day": last["day"]})]


def _sources(patient: Patient, store: Store) -> list[Finding]:
    now = patient.now()
    with store.read() as connection:
        rows = sources.every(connection)
    quiet = [row["id"] for row in rows if sources.is_silent(row, now)]
    return [Finding("sources", "fault", "source_silent", {"source": each}) for each in quiet] or [
        Finding("sources", "ok", "sources_heard", {"count": len(rows)})
    ]


def _webhooks(_patient: Patient, store: Store) -> list[Finding]:
    with store.read() as connection:
        rows = webhooks.every(connection)
    silent = [row["id"] for row in rows if row["failures"] or row["disabled_at"] is not None or row["given_up"]]
    return [Finding("webhooks", "warning", "webhook_fails", {"webhook": each}) for each in silent] or [
        Finding("webhooks", "ok", "webhooks_told", {"count": len(rows)})
    ]


def _sms(patient: Patient, store: Store) -> list[Finding]:
    day = patient.now().astimezone(patient.zone).date().isoformat()
    with store.read() as connection:
        used = counters.used(connection, "sms", day)
    percent = passed_step(used, patient.sms_ceiling)
    if percent is None:
        return [Finding("sms_parts", "ok", "sms_ok", {"used": used})]
    values = {"used": used, "ceiling": patient.sms_ceiling, "percent": percent}
    return [Finding("sms_parts", "warning", "sms_ceiling", values)]


_FROM_STORE: Final[dict[str, Callable[[Patient, Store], list[Finding]]]] = {
    "channels": _missing,
    "prepared": _unprepared,
    "held": _held,
    "circuits": _circuits,
    "due": _oldest_due,
    "self_test": _self_test,
    "sources": _sources,
    "webhooks": _webhooks,
    "sms_parts": _sms,
    "time": _database_time,
}
