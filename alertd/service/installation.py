"""First start and every later one: the schema, the installation's name, and the keys that must never be made twice."""

import secrets
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from alertd.core.acknowledgement import TokenKeys
from alertd.core.escalation import Plan
from alertd.service.runtime import Runtime
from alertd.service.views import moment
from alertd.store import instance, people, steps
from alertd.store.engine import Store
from alertd.store.instance import Instance
from alertd.store.migrate import is_migrated, migrate

_KEY_IDS_MAX: Final = 256  # a token names its key in one byte


@dataclass(frozen=True, slots=True)
class VapidPair:
    """A VAPID key pair as it is kept: `id` follows from the public key."""

    id: str
    private_key: str


@dataclass(frozen=True, slots=True)
class Installation:
    instance: Instance
    tokens: TokenKeys
    session_secret: bytes
    vapid: tuple[VapidPair, ...]  # the one in use first


def prepare(
    store: Store,
    now: datetime,
    *,
    secret_key: str | None,
    vapid: VapidPair | None,
    make_vapid: Callable[[], VapidPair],
) -> Installation:
    """Bring the store to this version and find its keys, making those that are missing.

    A key that is given takes the place of the one in use; the older ones are kept, because tokens and subscriptions
    made under them are still in people's hands. Several roles may do this at once: the instance row is their lock.
    """
    migrate(store)
    with store.write() as connection:
        here = instance.ensure(connection, name=secrets.token_hex(8), epoch=secrets.token_hex(8), now=now)
        instance.lock(connection)
        known = {key.value: key.id for key in instance.list_keys(connection, "secret")}
        wanted = secret_key or (None if known else secrets.token_urlsafe(48))
        if wanted is not None:
            key_id = known.get(wanted) or str(len(known) + 1)
            if int(key_id) >= _KEY_IDS_MAX:
                raise ValueError("the secret key was changed 255 times: no number is left for another one")
            instance.add_key(connection, "secret", key_id, wanted, now)
            instance.use_key(connection, "secret", key_id, now)
        if vapid is not None or not instance.list_keys(connection, "vapid"):
            pair = vapid or make_vapid()
            instance.add_key(connection, "vapid", pair.id, pair.private_key, now)
            instance.use_key(connection, "vapid", pair.id, now)
        secret_keys = instance.list_keys(connection, "secret")
        vapid_keys = instance.list_keys(connection, "vapid")
    return Installation(
        instance=here,
        tokens=TokenKeys({int(key.id): key.value.encode() for key in secret_keys}, int(secret_keys[0].id)),
        session_secret=secret_keys[0].value.encode(),
        vapid=tuple(VapidPair(key.id, key.value) for key in vapid_keys),
    )


def find_vapid(store: Store) -> tuple[VapidPair, ...]:
    """The VAPID key pairs as they stand, the one in use first. Changes nothing. Raises StoreUnavailable."""
    with store.read() as connection:
        return tuple(VapidPair(key.id, key.value) for key in instance.list_keys(connection, "vapid"))


def keep_public_url(store: Store, url: str) -> None:
    """Tell the other roles where the web is reached."""
    with store.write() as connection:
        if instance.public_url(connection) != url:
            instance.set_public_url(connection, url)


def find_public_url(store: Store) -> str | None:
    """Where the web is reached, if it was ever started."""
    with store.read() as connection:
        return instance.public_url(connection)


def find_used(store: Store, channels: Collection[str]) -> frozenset[str]:
    """Those of these channels that somebody is to be reached over, or that a plan names."""
    with store.read() as connection:
        plans = [Plan.from_json(row["plan"]) for row in steps.list_plans(connection)]
        named = {channel for plan in plans for step in plan.steps for channel in step.channels}
        return frozenset(each for each in channels if each in named or people.is_channel_used(connection, each))


def restored(rt: Runtime) -> None:
    """Make every position in the live stream unknown: a backup was put in place, and offsets may come a second time."""
    with rt.store.write() as connection:
        instance.change_epoch(connection, secrets.token_hex(8))


def read_health(rt: Runtime) -> dict[str, Any]:
    """Whether the store can be written and is migrated, and which roles were seen when. Raises StoreUnavailable."""
    with rt.store.write() as connection:
        instance.probe(connection, socket.gethostname(), rt.now())
        migrated = is_migrated(connection)
        roles = instance.list_workers(connection)
    return {
        "store": "writable",
        "migrated": migrated,
        "roles": [
            {"role": row["role"], "channel": row["channel"], "host": row["host"], "seen_at": moment(row["seen_at"])}
            for row in roles
        ],
    }
