"""What every root puts together in the same way: settings, store, keys, channels, bell."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from alertd.bell import RedisBell
from alertd.service.installation import Installation, VapidPair, find_public_url, find_used, keep_public_url, prepare
from alertd.service.process_clock import ProcessClock
from alertd.service.runtime import Runtime
from alertd.store import ballast
from alertd.store.engine import Store
from channels import registry
from channels.base import Channel, Context, SettingFaults, Unconfigured, VapidKey
from channels.hosts import ANYWHERE, Hosts, url_fault
from channels.push_crypto import generate_key, load_key
from config.settings import Settings, load

DEFAULT_PORT: Final = 8000
SOURCE_HOSTS: Final = ("www.data.jma.go.jp", "*.cybozu.com", "*.kintone.com", "*.cybozu.cn")
"""Where sources may be asked without the operator's saying so: the Agency, and the clouds of Garoon and kintone."""
_SOCKET_PATH_MAX: Final = 100  # a Unix socket's path may have 107 bytes on Linux, 103 on macOS


@dataclass(frozen=True, slots=True)
class Parts:
    """A started installation, before it does anything."""

    settings: Settings
    installation: Installation
    channels: Mapping[str, Channel]
    seconds: Mapping[str, Channel]  # the same of second providers, where there are any
    vapid: VapidKey
    rt: Runtime
    bell: RedisBell
    redis_url: str
    source_hosts: Hosts
    webhook_hosts: Hosts

    def close(self) -> None:
        self.bell.close()
        self.rt.store.close()


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings, those of the channels included. Raises SettingsError."""
    return load(environ, [setting.name for setting in registry.all_settings()], _judge)


def _judge(settings: Settings) -> list[tuple[str, str]]:
    """What the channels and their keys say is wrong with what they were told."""
    faults: list[tuple[str, str]] = []
    url = settings.public_url or f"http://127.0.0.1:{DEFAULT_PORT}"
    for configure in (registry.configure, registry.configure_second):
        try:
            configure(settings.channels, Context(url, settings.organisation, settings.region))
        except SettingFaults as error:
            faults += [fault for fault in error.faults if fault not in faults]  # what both share is told once
    for name, value, known in (
        ("SOURCE_HOSTS", settings.source_hosts, SOURCE_HOSTS),
        ("WEBHOOK_HOSTS", settings.webhook_hosts, ANYWHERE),
    ):
        try:
            Hosts.parse(value, known)
        except ValueError as error:
            faults.append((name, str(error)))
    try:
        _given_vapid(settings)
    except ValueError as error:
        faults.append(("VAPID_PRIVATE_KEY", str(error)))
    return faults


def redis_socket(data_dir: Path) -> Path:
    """Where the private Redis of this data directory listens: in it, or in a private place where paths are short."""
    inside = data_dir / "redis.sock"
    if len(os.fsencode(inside)) <= _SOCKET_PATH_MAX:
        return inside
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"alertd-{os.getuid()}-{name}" / "redis.sock"


def redis_url(settings: Settings) -> str:
    return settings.redis_url or f"unix://{redis_socket(settings.data_dir)}"


def roles(settings: Settings) -> tuple[str, ...]:
    """What is to run beside a worker for each channel."""
    return ("clock", "web", "poller") if settings.mail_listen is None else ("clock", "web", "poller", "incoming")


def compose(settings: Settings, public_url: str | None = None) -> Parts:
    """Open the store, bring it to this version, find or make the keys, and set up the channels.

    Where the settings name no public URL it is `public_url`, which whoever serves the web tells everybody else through
    the store; without that it is what stands there. Raises NewerStore, StoreUnavailable.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    clock = ProcessClock()
    store = Store(settings.database_url, ballast.beside(settings.database_url))
    now = clock.now()
    installation = prepare(
        store,
        now,
        secret_key=settings.secret_key,
        vapid=_given_vapid(settings),
        make_vapid=lambda: _pair(generate_key()),
    )
    if store.is_sqlite and store.engine.url.database:
        os.chmod(store.engine.url.database, 0o600)  # it holds the keys, and how to reach everybody
    if store.ballast is not None:
        store.ballast.put_in_place()
    url = settings.public_url or public_url
    if url is not None:
        keep_public_url(store, url)
    url = url or find_public_url(store) or f"http://127.0.0.1:{DEFAULT_PORT}"
    keys = [load_key(pair.private_key) for pair in installation.vapid]
    context = Context(url, settings.organisation, settings.region, {key.id: key for key in keys}, clock.now)
    channels = registry.configure(settings.channels, context, find_used(store, registry.EXTRAS))
    redis = redis_url(settings)
    bell = RedisBell(redis, installation.instance.name)
    source_hosts = Hosts.parse(settings.source_hosts, SOURCE_HOSTS)
    webhook_hosts = Hosts.parse(settings.webhook_hosts, ANYWHERE)
    rt = Runtime(
        store=store,
        bell=bell,
        now=clock.now,
        clock=clock,
        self_test=settings.self_test,
        roles=roles(settings),
        host_fault=partial(url_fault, source_hosts),
        webhook_fault=partial(url_fault, webhook_hosts),
        tokens=installation.tokens,
        public_url=url,
        organisation=settings.organisation,
        zone=settings.time_zone,
        region=settings.region,
        budgets={kind: channel.budget for kind, channel in channels.items()},
        parse={kind: channel.parse_address for kind, channel in channels.items()},
        lanes={kind: channel.lane for kind, channel in channels.items()},
        records={kind: field.name for kind, field in registry.ON_RECORD.items() if kind in channels},
        secrets=frozenset(field.name for field in registry.ON_RECORD.values() if field.secret),
        missing={kind: each.missing for kind, each in channels.items() if isinstance(each, Unconfigured)},
    )
    seconds = registry.configure_second(settings.channels, context)
    return Parts(settings, installation, channels, seconds, keys[0], rt, bell, redis, source_hosts, webhook_hosts)


def _given_vapid(settings: Settings) -> VapidPair | None:
    return _pair(load_key(settings.vapid_private_key)) if settings.vapid_private_key is not None else None


def _pair(key: VapidKey) -> VapidPair:
    return VapidPair(key.id, key.private_key)
