"""Root of the doctor: what is handed to `service.checkup`, from settings alone or from a running installation."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from alertd.compose import DEFAULT_PORT, Parts, redis_url, roles
from alertd.core.alert import Language
from alertd.core.errors import StoreUnavailable
from alertd.service.checkup import Patient, Probe, examine
from alertd.service.findings import Finding
from alertd.service.installation import VapidPair, find_public_url, find_used, find_vapid
from alertd.store import ballast
from alertd.store.engine import Store, is_made
from alertd.store.migrate import standing
from channels import registry
from channels.base import Channel, Checkable, Context, Unconfigured, VapidKey
from channels.push_crypto import load_key
from config.settings import Settings

_MARKS: Final[dict[Language, dict[str, str]]] = {
    "en": {"fault": "FAULT", "warning": "warning", "ok": "ok"},
    "ja": {"fault": "異常", "warning": "注意", "ok": "正常"},
}


def patient_of(parts: Parts) -> Patient:
    """The installation that this process is a part of."""
    return Patient(
        store=parts.rt.store,
        now=parts.rt.now,
        wall=_wall,
        zone=parts.rt.zone,
        redis_url=parts.redis_url,
        public_url=parts.rt.public_url,
        channels=parts.rt.channels,
        probes=_probes(parts.channels, parts.seconds),
        missing=parts.rt.missing,
        roles=parts.rt.roles,
        self_test=parts.rt.self_test,
        sms_ceiling=_sms_ceiling(parts.settings),
        data_dir=parts.settings.data_dir,
    )


def check_up(settings: Settings) -> list[Finding]:
    """Look at the installation that these settings describe, without changing it."""
    store = _open(settings)
    try:
        return asyncio.run(_examine(settings, store))
    finally:
        if store is not None:
            store.close()


async def _examine(settings: Settings, store: Store | None) -> list[Finding]:
    pairs, found_url, used = _read(store)
    url = settings.public_url or found_url
    keys, faults = _load(pairs)
    context = Context(
        url or f"http://127.0.0.1:{DEFAULT_PORT}", settings.organisation, settings.region, {key.id: key for key in keys}
    )
    first = registry.configure(settings.channels, context, used)
    second = registry.configure_second(settings.channels, context)
    patient = Patient(
        store=store,
        now=_wall,
        wall=_wall,
        zone=settings.time_zone,
        redis_url=redis_url(settings),
        public_url=url,
        channels=tuple(first),
        probes=_probes(first, second),
        missing={kind: each.missing for kind, each in first.items() if isinstance(each, Unconfigured)},
        roles=roles(settings),
        self_test=settings.self_test,
        sms_ceiling=_sms_ceiling(settings),
        data_dir=settings.data_dir,
        faults=faults,
    )
    try:
        return await examine(patient)
    finally:
        for channel in (*first.values(), *second.values()):
            await channel.aclose()


def _open(settings: Settings) -> Store | None:
    """The store; None where there is none yet, which opening would make."""
    if not is_made(settings.database_url):
        return None
    return Store(settings.database_url, ballast.beside(settings.database_url))


def _read(store: Store | None) -> tuple[tuple[VapidPair, ...], str | None, frozenset[str]]:
    """What only the store knows; nothing while it is not in order, which the checks tell."""
    if store is None:
        return (), None, frozenset()
    try:
        with store.read() as connection:
            if standing(connection) != "current":
                return (), None, frozenset()
        return find_vapid(store), find_public_url(store), find_used(store, registry.EXTRAS)
    except StoreUnavailable:
        return (), None, frozenset()


def _load(pairs: Iterable[VapidPair]) -> tuple[list[VapidKey], list[Finding]]:
    keys, faults = [], []
    for pair in pairs:
        try:
            keys.append(load_key(pair.private_key))
        except ValueError as error:
            faults.append(Finding("vapid", "fault", "vapid_fault", {"problem": error}))
    return keys, faults or ([Finding("vapid", "ok", "vapid_ok")] if keys else [])


def _probes(first: Mapping[str, Channel], second: Mapping[str, Channel]) -> dict[str, Probe]:
    named = {**first, **{f"{kind}:secondary": channel for kind, channel in second.items()}}
    return {name: channel.check for name, channel in named.items() if isinstance(channel, Checkable)}


def _sms_ceiling(settings: Settings) -> int | None:
    ceiling = settings.channels.get("SMS_DAILY_PARTS")
    return int(ceiling) if ceiling else None


def _wall() -> datetime:
    return datetime.now(UTC)


def as_text(findings: Iterable[Finding], language: Language) -> str:
    """One line for each finding."""
    return "\n".join(f"{_MARKS[language][each.level]}\t{each.check}\t{each.message(language)}" for each in findings)


def as_json(findings: Iterable[Finding]) -> str:
    return json.dumps([each.as_json("en") for each in findings], ensure_ascii=False, indent=2)
