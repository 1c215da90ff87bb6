"""Webhooks: made, looked at, tried and ended by administrators."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core import webhook
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.ids import given_id_fault
from alertd.service import telling, views
from alertd.service.runtime import Actor, Runtime
from alertd.store import instance, webhooks
from alertd.store.rows import Row

URL_MAX: Final = 2_000
_MOST: Final = 20  # each is told everything for itself
_BOTH: Final = timedelta(days=1)  # for which two secrets sign, so that the other side can change over in its own time


@dataclass(frozen=True, slots=True)
class MadeWebhook:
    """A webhook at the only moment when its secret can be read."""

    id: str
    secret: str


def make_webhook(
    rt: Runtime, actor: Actor, webhook_id: str, url: str, types: Sequence[str] = webhook.TYPES
) -> MadeWebhook:
    """Tell what happens from now on to a URL. Raises Invalid, and Conflict when there is a webhook of that name."""
    faults = [("id", told) for told in [given_id_fault(webhook_id)] if told]
    faults += [("url", told) for told in [_url_fault(rt, url)] if told]
    if not types or not set(types) <= set(webhook.TYPES):
        faults.append(("types", f"must be one or more of {', '.join(webhook.TYPES)}"))
    if faults:
        raise Invalid(faults)
    secret, now = _secret(), rt.now()
    values = {"url": url, "types": [each for each in webhook.TYPES if each in types], "secret": secret}
    with rt.store.write() as connection:
        instance.lock(connection)
        if len(webhooks.every(connection)) >= _MOST:
            raise Conflict(f"there are {_MOST} webhooks already: delete one first")
        cursor = instance.head(connection).offset
        made = {**values, "cursor": cursor, "failures": 0, "made_by": actor.person_id, "created_at": now}
        if not webhooks.add(connection, webhook_id, made):
            raise Conflict(f"there is a webhook {webhook_id!r} already")
        _record(connection, rt, actor, "webhook.make", webhook_id, {"types": values["types"]})
    return MadeWebhook(webhook_id, secret)


def renew_secret(rt: Runtime, actor: Actor, webhook_id: str) -> MadeWebhook:
    """Another secret; the one before it signs beside it for a day. Raises NotFound."""
    secret, now = _secret(), rt.now()
    with rt.store.write() as connection:
        row = _lock(connection, webhook_id)
        earlier = {"earlier_secret": row["secret"], "earlier_until": now + _BOTH}
        webhooks.change(connection, webhook_id, {"secret": secret, **earlier})
        _record(connection, rt, actor, "webhook.renew", webhook_id, {})
    return MadeWebhook(webhook_id, secret)


def delete_webhook(rt: Runtime, actor: Actor, webhook_id: str) -> None:
    """Tell it nothing any more, not even what waits. Raises NotFound."""
    with rt.store.write() as connection:
        _lock(connection, webhook_id)
        webhooks.remove(connection, webhook_id)
        _record(connection, rt, actor, "webhook.delete", webhook_id, {})


def ping(rt: Runtime, actor: Actor, webhook_id: str) -> str:
    """Let a webhook hear a message that says nothing, once; what it is called. Raises NotFound.

    One that was gone is told what happens again when it takes this.
    """
    with rt.store.write() as connection:
        _lock(connection, webhook_id)
        body = webhook.body(webhook.PING, rt.now(), {"webhook": webhook_id})
        reference = telling.add_message(connection, rt, webhook_id, None, webhook.PING, body)
        _record(connection, rt, actor, "webhook.ping", webhook_id, {})
    return reference


def list_webhooks(rt: Runtime) -> list[dict[str, Any]]:
    """Every webhook: when it was last told something, what was wrong when that last failed, and what waits.

    `failures` are those since it last took something, `given_up` the messages of the last month that it never heard.
    """
    with rt.store.read() as connection:
        found = webhooks.every(connection)
    names = ("id", "url", "types", "fault", "failures", "waiting", "given_up")
    times = ("created_at", "succeeded_at", "failed_at", "disabled_at")
    return [
        {**{name: row[name] for name in names}, **{name: views.moment(row[name]) for name in times}} for row in found
    ]


def _url_fault(rt: Runtime, url: str) -> str | None:
    return f"must be at most {URL_MAX} characters" if len(url) > URL_MAX else rt.webhook_fault(url)


def _secret() -> str:
    return webhook.make_secret(os.urandom(webhook.SECRET_BYTES))


def _lock(connection: Connection, webhook_id: str) -> Row:
    row = webhooks.lock(connection, webhook_id)
    if row is None:
        raise NotFound(f"there is no webhook {webhook_id!r}")
    return row


def _record(connection: Connection, rt: Runtime, actor: Actor, action: str, object_id: str, details: Row) -> None:
    instance.record(connection, at=rt.now(), actor=actor.person_id, action=action, object=object_id, details=details)
