"""Feeds that list messages, Atom (RFC 4287) and RSS 2.0: asked by conditional requests, each message fetched once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from alertd.core.observation import ID_MAX
from alertd.sources.base import Desk, Fetch, Reader, Unfetched, Unreadable
from alertd.sources.xml import Element, parse

FEED_MAX: Final = 8_000_000  # bytes
AT_ONCE: Final = 500  # messages in one poll
_FIRST_LOOK: Final = timedelta(hours=1)  # what is older when a feed is read for the first time is history
_BACK: Final = timedelta(hours=1)
_LISTED: Final = timedelta(days=25)
_FAILURES: Final = 3  # one after another: then it is the line, not the message


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that a feed names."""

    reference: str
    url: str
    updated: datetime


@dataclass(frozen=True, slots=True)
class Following:
    """How a feed is followed."""

    url: str
    read: Callable[[Entry], Reader]  # what reads the message of an entry
    wanted: Callable[[Entry], bool] = lambda _: True
    longer: str | None = None  # a feed of the same messages that reaches back further, for after a gap


def read_feed(raw: bytes, base: str) -> list[Entry]:
    """What a feed lists, newest first; links are taken from where the feed is, `base`. Raises Unreadable."""
    root = parse(raw, FEED_MAX)
    if root.name == "feed":
        items, entry_of = list(root.all("entry")), _atom_entry
    elif root.name == "rss":
        items, entry_of = list(root.all("channel/item")), _rss_entry
    else:
        raise Unreadable(f"this is no feed: the root must be feed (Atom) or rss, and is {root.name}", root.line)
    return sorted((entry_of(item, base) for item in items), key=lambda entry: entry.updated, reverse=True)


def _atom_entry(item: Element, base: str) -> Entry:
    link = next((each for each in item.all("link") if each.attributes.get("rel", "alternate") == "alternate"), None)
    href = link.attributes.get("href", "") if link is not None else ""
    updated = item.text_at("updated")
    try:
        moment = datetime.fromisoformat(updated)
    except ValueError:
        raise Unreadable(f"updated must be a time (RFC 3339), not {updated[:50]!r}", item.line) from None
    return _entry(item, item.text_at("id") or href, urljoin(base, href or item.text_at("id")), moment)


def _rss_entry(item: Element, base: str) -> Entry:
    published = item.text_at("pubDate") or item.text_at("date")
    try:
        moment = parsedate_to_datetime(published) if "," in published else datetime.fromisoformat(published)
    except ValueError:
        raise Unreadable(f"pubDate must be a time (RFC 822), not {published[:50]!r}", item.line) from None
    link = item.text_at("link")
    return _entry(item, item.text_at("guid") or link, urljoin(base, link), moment)


def _entry(item: Element, reference: str, url: str, moment: datetime) -> Entry:
    if not reference or len(reference) > ID_MAX or urlsplit(url).scheme not in ("http", "https"):
        raise Unreadable(f"an entry must have an id of at most {ID_MAX} characters, and a link", item.line)
    return Entry(reference, url, moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC))


async def follow(following: Following, state: Mapping[str, Any], fetch: Fetch, desk: Desk) -> dict[str, Any]:
    """Take what a feed lists that was not taken yet, the newest first; what to remember as `state` the next time.

    The newest first: of an incident that has gone on meanwhile people are told how it stands, not how it came to that.
    Raises Unfetched, Unreadable; what was taken until then stays so, and the feed is read again.
    """
    conditions = {"If-None-Match": state.get("etag"), "If-Modified-Since": state.get("modified")}
    headers = {name: value for name, value in conditions.items() if value}
    answer = await fetch(following.url, headers=headers, most=FEED_MAX, accepted=(200, 304))
    if answer.status == 304:
        return dict(state)
    entries = read_feed(answer.body, following.url)
    newest = _moment(state.get("newest"))
    since = _moment(state.get("since")) or desk.now - _FIRST_LOOK
    fault = None
    if following.longer is not None and newest is not None and entries and entries[-1].updated > newest:
        try:
            longer = await fetch(following.longer, most=FEED_MAX)
            entries = _each_once([*entries, *read_feed(longer.body, following.longer)])
        except (Unfetched, Unreadable) as error:
            fault = f"what came in a gap cannot be had: {error}"
    new = [entry for entry in entries if entry.updated >= since and following.wanted(entry)]
    fault = await _take(following, new, fetch, desk) or fault
    if newest is not None and entries and entries[0].updated < newest - _BACK:
        fault = fault or f"the feed went back in time: from {newest.isoformat()} to {entries[0].updated.isoformat()}"
    if fault:
        raise Unfetched(fault)
    last = max([newest or since, *(entry.updated for entry in entries[:1])])
    return {
        "etag": answer.headers.get("etag"),
        "modified": answer.headers.get("last-modified"),
        "newest": last.isoformat(),
        # What was fetched is remembered for a month: what a feed still lists after so long is not fetched again.
        "since": max(since, last - _LISTED).isoformat(),
    }


async def _take(following: Following, entries: Sequence[Entry], fetch: Fetch, desk: Desk) -> str | None:
    """Take each message by itself, so that none keeps the others from being heard; the first fault."""
    missing = set(await desk.missing([entry.reference for entry in entries]))
    waiting = [entry for entry in entries if entry.reference in missing]
    faults: list[str] = []
    in_a_row = 0
    for entry in waiting[:AT_ONCE]:
        try:
            await desk.take_once(entry.reference, entry.url, fetch, following.read(entry))
            in_a_row = 0
        except Unfetched as error:
            faults.append(str(error))
            in_a_row += 1
            if in_a_row == _FAILURES:
                break
    if len(waiting) > AT_ONCE:
        faults.append(f"{len(waiting) - AT_ONCE} messages are left: at most {AT_ONCE} are fetched at once")
    return faults[0] if faults else None


def _each_once(entries: Sequence[Entry]) -> list[Entry]:
    found = {entry.reference: entry for entry in entries}
    return sorted(found.values(), key=lambda entry: entry.updated, reverse=True)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
