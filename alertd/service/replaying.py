"""Playing what sources have said through rules once more: nothing is sent, and nothing kept."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.audience import Audience
from alertd.core.errors import Invalid
from alertd.core.observation import Observation
from alertd.core.rehearsal import Joining
from alertd.core.replay import Event, Reach, Replay, Tally, is_night
from alertd.core.rules import Action
from alertd.service.rehearsal import read_messages
from alertd.service.rule_book import RuleBook, parse_book
from alertd.service.runtime import Runtime
from alertd.service.sources import checked_book
from alertd.service.templates import all_templates
from alertd.sources.certificates import read_certificates
from alertd.store import people, sources

_DEFAULT_DAYS: Final = 30
_DAYS_MAX: Final = 3_660
_PAGE: Final = 500  # observations that are read at once
AT_ONCE: Final = 50_000  # observations, for whoever waits for an answer: some ten seconds
_RUN_IN: Final = timedelta(days=7)

_Came = tuple[str, Observation, datetime]  # the source, what it said, and when that came


def read_day(text: str, field: str) -> date:
    """A date such as 2026-11-22. Raises Invalid."""
    try:
        day = date.fromisoformat(text)
        # Python reads other ways of writing a date too, and has days that no time zone knows.
        if day.isoformat() != text or not 1900 <= day.year < 9000:
            raise ValueError
        return day
    except ValueError:
        raise Invalid([(field, "must be a date such as 2026-11-22")]) from None


def span(rt: Runtime, first: str, last: str, most: int = _DAYS_MAX) -> tuple[date, date]:
    """The days from one date to another, both with all of their hours; the last thirty where nothing is said.

    Raises Invalid, also for more than so many.
    """
    until = read_day(last, "to") if last else rt.now().astimezone(rt.zone).date()
    since = read_day(first, "from") if first else until - timedelta(days=_DEFAULT_DAYS - 1)
    if since > until:
        raise Invalid([("from", "must not be later than the other date")])
    if (until - since).days >= most:
        raise Invalid([("from", f"must be at most {most} days before the other date")])
    return since, until


def replay(
    rt: Runtime,
    days: tuple[date, date],
    *,
    text: str | None = None,
    source: str | None = None,
    most: int | None = None,
) -> dict[str, Any]:
    """What rules would have made of what came on these days, first and last included, as JSON.

    `text`: a rule book instead of the one in force. `most`: how many observations of these days are played; the answer
    says when there were more. What came in the week before is played too and not counted, so that what had begun then
    is known. Raises Invalid.
    """
    start, end = _midnight(days[0], rt.zone), _midnight(days[1] + timedelta(days=1), rt.zone)
    with rt.store.read() as connection:
        book = _book(connection, rt, text)
        if source is not None and sources.get(connection, source) is None:
            raise Invalid([("source", f"there is no source {source!r}")])
        playing = _playing(connection, rt, book, start)
        counted = sources.bounds(connection, start, end)
        run_in = sources.bounds(connection, start - _RUN_IN, start)
    cut_at = None
    if counted is not None:
        first = run_in[0] if run_in is not None else counted[0]
        if most is not None:
            first = max(first, counted[0] - most)
        for source_id, observation, at in _stream(rt, first, counted[1], source):
            if playing.observations == most:
                cut_at = at
                break
            playing.take(source_id, observation, at)
    return _report(playing, rt.zone) | {
        "from": days[0].isoformat(),
        "to": days[1].isoformat(),
        "cut_at": cut_at.isoformat() if cut_at is not None else None,
        "faults": [],
    }


def replay_files(
    rt: Runtime,
    days: tuple[date, date] | None,
    files: Iterable[tuple[str, bytes]],
    *,
    text: str | None = None,
    source: str | None = None,
) -> dict[str, Any]:
    """The same of messages in files, as if each had come when it was observed; `days` None: whenever that was."""
    with rt.store.read() as connection:
        book = _book(connection, rt, text)
        playing = _playing(connection, rt, book, None)
        row = sources.get(connection, source) if source is not None else None
    trusted = read_certificates((row or {}).get("certificates") or "")
    joining, faults = Joining(), []
    for message in read_messages(files, source, book.mappings, trusted):
        if message.fault:
            faults.append({"file": message.file, "error": message.fault})
        for each in message.observations:
            if days is None or days[0] <= each.observed_at.astimezone(rt.zone).date() <= days[1]:
                playing.take(message.source, joining.join(message.source, each), each.observed_at)
    return _report(playing, rt.zone) | {
        "from": days[0].isoformat() if days is not None else None,
        "to": days[1].isoformat() if days is not None else None,
        "cut_at": None,
        "faults": faults,
    }


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _book(connection: Connection, rt: Runtime, text: str | None) -> RuleBook:
    """The rule book in that text, else the one in force."""
    if text is not None:
        return checked_book(connection, rt, text)
    books = sources.books(connection, 1)
    return parse_book(books[0]["text"]) if books else RuleBook()


def _playing(connection: Connection, rt: Runtime, book: RuleBook, start: datetime | None) -> Replay:
    known = all_templates(connection)
    used = [known[rule.template].audience for rule in book.rules if rule.template in known]
    audiences = {*used, *(rule.audience for rule in book.rules), Audience(everyone=True)}
    return Replay(book.rules, _reach(connection, audiences), rt.zone, known, start, book.joins)


def _reach(connection: Connection, audiences: Iterable[Audience | None]) -> Reach:
    """Today's people of these audiences, read once."""
    names: dict[str, str] = {}  # the same person in many audiences is one string
    found: dict[Audience, frozenset[str]] = {}
    for audience in filter(None, audiences):
        rows = people.resolve(connection, audience)
        found[audience] = frozenset(names.setdefault(row["id"], row["id"]) for row in rows)
    return found.__getitem__


def _stream(rt: Runtime, first: int, last: int, source: str | None) -> Iterator[_Came]:
    """What came, a page at a time: no transaction lasts as long as the whole."""
    while first <= last:
        with rt.store.read() as connection:
            rows = sources.contents(connection, first, last, _PAGE, source)
        for row in rows:
            yield row["source_id"], Observation.from_json(row["content"]), row["received_at"]
        first = rows[-1]["id"] + 1 if len(rows) == _PAGE else last + 1


def _report(playing: Replay, zone: tzinfo) -> dict[str, Any]:
    total, hours = Tally(), [0] * 24
    days: defaultdict[str, Tally] = defaultdict(Tally)
    rules: defaultdict[tuple[str, str], Tally] = defaultdict(Tally)
    for event in playing.events:
        local = event.at.astimezone(zone)
        for tally in (total, days[local.date().isoformat()], rules[event.source, event.rule]):
            tally.add(event, zone)
        hours[local.hour] += event.action is Action.ALERT and event.is_sent
    listed = [event for event in playing.events if event.words is not None]
    return {
        "observations": playing.observations,
        **total.as_json(),
        "stopped": sum(not event.is_sent for event in playing.events),
        "updates": playing.tally[Action.UPDATE],
        "stand_downs": playing.tally[Action.STAND_DOWN],
        "board": playing.tally[Action.BOARD],
        "changed_drafts": playing.tally["changed-draft"],
        "ignored": dict(playing.ignored.most_common()),
        "hours": hours,
        "days": [{"date": day, **tally.as_json()} for day, tally in sorted(days.items())],
        "rules": [{"source": key[0], "rule": key[1], **tally.as_json()} for key, tally in sorted(rules.items())],
        "items": [_item(event, zone) for event in listed],
        "left_out": len(playing.events) - len(listed),
    }


def _item(event: Event, zone: tzinfo) -> dict[str, Any]:
    assert event.words is not None
    other = event.twice_with
    return {
        "at": event.at.isoformat(),
        "date": event.at.astimezone(zone).date().isoformat(),
        "night": is_night(event.at, zone),
        "received_at": event.received_at.isoformat(),
        "source": event.source,
        "incident": event.incident,
        "standing": event.standing,
        "rule": event.rule,
        "action": event.action,
        "reason": event.reason,
        "sent": event.action is Action.ALERT and event.is_sent,
        "title": event.title,
        "body": event.words.body,
        "severity": event.words.severity,
        "lack": event.lack,
        "hazard": event.hazard,
        "people": event.people,
        "twice": {"why": event.twice, "at": other.at.isoformat(), "title": other.title}
        if event.twice is not None and other is not None
        else None,
        "needless": event.needless,
    }
