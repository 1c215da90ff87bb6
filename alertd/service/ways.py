"""The ways to people as a console shows them: whether each works, the last proof of it, and what went wrong."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from alertd.store import people, proofs
from alertd.store.proofs import Newest, Proof
from alertd.store.rows import Row

WayState = Literal["proven", "unproven", "failing", "retired", "unverified"]
"""
- proven: it was proven to work, and nothing is known against it
- unproven: nothing was ever proven to arrive, nor to get lost
- failing: the newest message did not get through
- retired: nothing is sent there any more
- unverified: nothing is sent there yet
"""


def list_ways(connection: Connection, person_ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Each person's ways, the oldest first, by person: `id`, `channel`, `label`, `state`, `proof` (`rung` and `at`, or
    None), `reason` (of failing and retired), `tried_at` and `outcome` (of the newest message) and `since`. Addresses
    that were replaced by others or taken away by their owner are left out.
    """
    rows = [
        row for row in people.subscriptions_of(connection, person_ids) if row["retired_reason"] not in proofs.ON_PURPOSE
    ]
    ids = [row["id"] for row in rows]
    proven, newest = proofs.proofs(connection, ids), proofs.newest(connection, ids)
    found: dict[str, list[dict[str, Any]]] = {person_id: [] for person_id in person_ids}
    for row in rows:
        found[row["person_id"]].append(_way(row, proven.get(row["id"]), newest.get(row["id"])))
    return found


def label(subscription: Row) -> str | None:
    """What a way is called: the name of a browser, or an address that is no secret; None when it has no name."""
    address = subscription["address"]
    # A browser's subscription has several parts, and none is anybody's name; a secret address has a label.
    name: str | None = subscription["label"] or (next(iter(address.values())) if len(address) == 1 else None)
    return name


def _way(row: Row, proof: Proof | None, newest: Newest | None) -> dict[str, Any]:
    state = _state(row, proof, newest)
    reasons = {"retired": row["retired_reason"], "failing": newest.reason if newest else None}
    since: datetime = row["retired_at"] or row["created_at"]
    return {
        "id": row["id"],
        "channel": row["channel"],
        "label": label(row),
        "state": state,
        "proof": {"rung": proof.rung, "at": proof.at} if proof else None,
        "reason": reasons.get(state),
        "tried_at": newest.at if newest else None,
        "outcome": newest.state if newest else None,
        "since": since,
    }


def _state(row: Row, proof: Proof | None, newest: Newest | None) -> WayState:
    if row["retired_at"] is not None:
        return "retired"
    if row["verified_at"] is None:
        return "unverified"
    if newest is not None and newest.state in proofs.LOST:
        return "failing"
    return "proven" if proof else "unproven"
