"""How a person can be reached: their subscriptions, a test of all of them, and what providers report later."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Connection

from alertd.core.acknowledgement import Way, link_channel, link_way, read_token
from alertd.core.alert import Language
from alertd.core.audience import Audience
from alertd.core.delivery import Receipt
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.escalation import default_plan
from alertd.service import posting, views
from alertd.service.acknowledging import Letter
from alertd.service.directory import address_hash, subscription_values
from alertd.service.runtime import Actor, Runtime
from alertd.service.ways import label
from alertd.store import acknowledgements, alerts, deliveries, evidence, instance, people, receipts, unsent
from alertd.store.proofs import REMOVED
from alertd.store.rows import Row

LABEL_MAX: Final = 200
TEST_LIFE: Final = timedelta(hours=1)
SUBSCRIPTIONS_MAX: Final = 20  # browsers of one person

_TEST_TEXT: Final[dict[Language, tuple[str, str]]] = {
    "ja": ("通知テスト", "これはあなたの連絡先のテストです。届いたら、ボタンまたはリンクで確認してください。"),
    "en": ("Test message", "This is a test of the ways to reach you. When it arrives, confirm by button or link."),
}


def subscribe(
    rt: Runtime, actor: Actor, channel: str, address: Mapping[str, str], label: str | None
) -> tuple[str, bool]:
    """Reach `actor` at this address, which its channel has checked; (id, made). The same address twice is one.

    Raises Invalid, and Conflict for an address that its provider has given up: the browser has to subscribe anew.
    """
    now = rt.now()
    values = subscription_values(rt, actor.person_id, channel, address, label[:LABEL_MAX] if label else None, now)
    with rt.store.write() as connection:
        if people.is_given_up(connection, channel, values["address_hash"]):
            raise Conflict("the push service has given up this address: subscribe anew")
        mine = people.subscriptions_of(connection, [actor.person_id])
        live = [row for row in mine if row["channel"] == channel and row["retired_at"] is None]
        if len(live) >= SUBSCRIPTIONS_MAX and values["address_hash"] not in {row["address_hash"] for row in live}:
            raise Invalid([("endpoint", f"you have {SUBSCRIPTIONS_MAX} devices already: remove one first")])
        # Otherwise somebody else's message, with their answer in it, would come to this browser.
        gone = people.retire_elsewhere(connection, channel, address_hash(address), actor.person_id, now)
        unsent.readdress(connection, gone, None, now)
        return people.add_subscription(connection, values)


def unsubscribe(rt: Runtime, actor: Actor, subscription_id: str) -> None:
    """Stop reaching `actor` by one of their own subscriptions. Raises NotFound."""
    now = rt.now()
    with rt.store.write() as connection:
        mine = people.subscriptions_of(connection, [actor.person_id])
        # Phone and mail belong to the town's records; only what a person added is theirs to take away.
        own = {row["id"] for row in mine if row["channel"] == "webpush"}
        if subscription_id not in own:
            raise NotFound(f"you have no subscription {subscription_id!r}")
        people.retire_subscription(connection, subscription_id, REMOVED, now)
        unsent.readdress(connection, [subscription_id], None, now)
        instance.record(
            connection, at=now, actor=actor.person_id, action="subscription.remove", object=subscription_id, details={}
        )


def list_ways(rt: Runtime, actor: Actor) -> list[dict[str, Any]]:
    """The live ways to reach `actor`, without the addresses' secrets."""
    with rt.store.read() as connection:
        rows = people.subscriptions_of(connection, [actor.person_id])
    return [
        {
            "id": row["id"],
            "channel": row["channel"],
            "label": label(row),
            "created_at": views.moment(row["created_at"]),
        }
        for row in rows
        if row["retired_at"] is None and row["verified_at"] is not None
    ]


def send_test(rt: Runtime, actor: Actor) -> dict[str, Any]:
    """A real test message to `actor` over every way there is; marked as a drill.

    Raises Invalid when there is none, and DiskFull.
    """
    rt.require_room()
    now = rt.now()
    title, body = _TEST_TEXT[cast("Language", actor.language)]
    values: dict[str, Any] = {
        "id": rt.new_id(),
        "post_id": None,
        "kind": "test",
        "title": title,
        "body": body,
        "severity": "minor",
        "drill": True,
        "ask": None,
        "audience": Audience(people=(actor.person_id,)).as_json(),
        "issued_by": actor.person_id,
        "sent_at": now,
        "expires_at": now + TEST_LIFE,
    }
    with rt.store.write() as connection:
        alert, channels = posting.issue(connection, rt, values, default_plan(rt.channels))
        if not channels:
            raise Invalid([("person", "there is no way to reach you: no phone, no mail, no device with push")])
        alerts.append_event(connection, alert["id"], views.facts(alert), now)
    rt.bell.events()
    rt.bell.work(channels)
    return views.alert(alert)


def read_test(rt: Runtime, actor: Actor, alert_id: str) -> list[dict[str, Any]]:
    """What became of each delivery of an alert to `actor`, with the `proof` that it arrived. Raises NotFound.

    `proof` is {"rung", "at"}: what a phone, a provider or the person has shown; None as long as nothing has.
    """
    with rt.store.read() as connection:
        number = alerts.recipient_of(connection, alert_id, actor.person_id)
        if number is None:
            raise NotFound(f"there is no alert {alert_id!r}")
        rows = deliveries.of_people(connection, alert_id, [actor.person_id])
        answer = acknowledgements.of(connection, number)
        mine = {row["id"]: row for row in people.subscriptions_of(connection, [actor.person_id])}
    channels = [row["channel"] for row in rows]
    return [
        {
            "id": row["id"],
            "channel": row["channel"],
            "state": row["state"],
            "reason": row["reason"],
            "label": label(mine[row["subscription_id"]]),
            "proof": _proof(row, answer, is_only=channels.count(row["channel"]) == 1),
        }
        for row in rows
    ]


def _proof(row: Row, answer: Row | None, *, is_only: bool) -> dict[str, Any] | None:
    """The surest sign that this delivery arrived. A channel's link is the same on all devices: only the one way of its
    channel is proven by its being opened or answered.
    """
    signs = [("displayed", row["displayed_at"]), ("delivered", row["delivered_at"])]
    if is_only:
        signs.append(("opened", row["opened_at"]))
        for which in ("first", "last") if answer else ():
            is_by_it = answer is not None and answer[f"{which}_way"] == link_way(row["channel"]).word
            signs.append(("answered", answer[f"{which}_received_at"] if answer and is_by_it else None))
    return next(({"rung": rung, "at": at} for rung, at in signs if at is not None), None)


def record_display(rt: Runtime, token: str) -> None:
    """A phone says that it shows the message whose beacon this is. Once more does nothing. Raises NotFound."""
    read = read_token(token, rt.tokens)
    if read is None or read[1] is not Way.BEACON:
        raise NotFound("this is no beacon of ours")
    with rt.store.write() as connection:
        alert_id = evidence.displayed(connection, read[0], rt.now())
    if alert_id is not None:
        rt.bell.changed(alert_id)


def record_fetch(rt: Runtime, letter: Letter) -> None:
    """Something fetched a personal link: a person, a preview or a scanner. It proves nothing of anybody."""
    _record(rt, letter, evidence.fetched)


def record_open(rt: Runtime, letter: Letter) -> None:
    """A person looks at the page behind their link."""
    _record(rt, letter, evidence.opened)


def _record(rt: Runtime, letter: Letter, keep: Callable[[Connection, int, str, datetime], bool]) -> None:
    channel = link_channel(letter.way)
    if channel is None:
        return
    with rt.store.write() as connection:
        is_news = keep(connection, letter.recipient, channel, rt.now())
    if is_news:
        rt.bell.changed(letter.alert["id"])


def knows_message(rt: Runtime, channel: str, provider_id: str) -> bool:
    """Whether a delivery is known to have that name at its provider. Not yet, perhaps: see `receive_receipts`."""
    with rt.store.read() as connection:
        return receipts.is_known(connection, channel, provider_id)


def receive_receipts(rt: Runtime, channel: str, news: Sequence[Receipt]) -> None:
    """Keep what a provider reports, and let it move what it speaks of. Unknown ones wait: they may be early."""
    now = rt.now()
    with rt.store.write() as connection:
        for receipt in news:
            receipts.keep(connection, channel, receipt, now)
        changed = receipts.apply(connection, now)
    for alert_id in changed:
        rt.bell.changed(alert_id)
