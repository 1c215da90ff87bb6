"""Our alerts for whoever listens: each revision as CAP 1.2, and a feed of them."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection

from alertd.core import cap
from alertd.core.alert import Content
from alertd.core.cap import Entry, Said
from alertd.core.errors import NotFound
from alertd.service import posting
from alertd.service.runtime import Runtime
from alertd.store import alerts
from alertd.store.rows import Row

FEED_MAX: Final = 50  # alerts


def read_message(rt: Runtime, alert_id: str, revision: int | None = None) -> bytes:
    """A revision of an alert as a CAP document; None: what it says now. Raises NotFound."""
    with rt.store.read() as connection:
        row = alerts.get(connection, alert_id)
        said = alerts.revisions(connection, alert_id) if row is not None and row["kind"] == "alert" else []
    wanted = next((each for each in reversed(said) if revision in (None, each["revision"])), None)
    if row is None or wanted is None:
        raise NotFound(f"there is no such revision of an alert {alert_id!r}")
    earlier = [_said(alert_id, each) for each in said if each["revision"] < wanted["revision"]]
    return cap.message(
        _content(rt, row, wanted), earlier, sender=_sender(rt), zone=rt.zone, url=f"{rt.public_url}/alerts/{alert_id}"
    )


def read_feed(rt: Runtime) -> bytes:
    """The revisions of the latest alerts as an Atom feed, newest first."""
    with rt.store.read() as connection:
        rows = alerts.page(connection, before=None, limit=FEED_MAX, reader=None)
        said = {row["id"]: alerts.revisions(connection, row["id"]) for row in rows}
    entries = [_entry(rt, row, each) for row in rows for each in said[row["id"]]]
    entries.sort(key=lambda entry: (entry.said.sent_at, entry.said.revision), reverse=True)
    updated_at = entries[0].said.sent_at if entries else rt.now()
    url = f"{rt.public_url}/api/v1/alerts.atom"
    return cap.feed(entries, title=rt.organisation or "alertd", url=url, updated_at=updated_at)


def _entry(rt: Runtime, row: Row, said: Row) -> Entry:
    url = f"{rt.public_url}/api/v1/alerts/{row['id']}/cap?revision={said['revision']}"
    return Entry(_said(row["id"], said), said["kind"], said["title"], row["drill"], url)


def _said(alert_id: str, said: Row) -> Said:
    return Said(alert_id, said["revision"], said["created_at"])


def _content(rt: Runtime, row: Row, said: Row) -> Content:
    """The alert as it stood in that revision."""
    then: Mapping[str, Any] = {
        **row,
        "revision": said["revision"],
        "revision_kind": said["kind"],
        "title": said["title"],
        "body": said["body"],
        "revised_at": said["created_at"],
    }
    return posting.content_of(rt, then)


def is_ours(connection: Connection, rt: Runtime, reference: str) -> bool:
    """Whether a CAP message, named as in `references`, is a revision of an alert of this very installation."""
    author, _, rest = reference.partition(",")
    alert_id, dot, _ = rest.partition(",")[0].rpartition(".")
    return bool(dot) and author == _sender(rt) and alerts.get(connection, alert_id) is not None


def _sender(rt: Runtime) -> str:
    """Who speaks, as section 3.2.1 wants it: unique, and without spaces or commas."""
    return f"alertd@{urlsplit(rt.public_url).hostname or 'localhost'}"
