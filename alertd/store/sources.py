"""Sources, the rule books, and what was observed and decided."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, case, exists, func, insert, literal, select, update

from alertd.store.columns import UtcDateTime
from alertd.store.rows import Row, among, in_slices, insert_new
from alertd.store.schema import alerts, fetched, incidents, noticed, observations, rule_books, sources, threads

PENDING: Final = ("due", "waiting")
"""What nobody has begun to say: `due` goes at its time unless somebody stops it, `waiting` when they say so."""


_changes: Final = observations.c.action.in_(("update", "stand-down"))


def add(connection: Connection, source_id: str, values: Row) -> bool:
    """Make a source; False when there is one of that id."""
    return insert_new(connection, sources, {**values, "id": source_id})


def get(connection: Connection, source_id: str) -> Row | None:
    row = connection.execute(select(sources).where(sources.c.id == source_id)).first()
    return row._asdict() if row else None


def every(connection: Connection) -> list[Row]:
    """Every source, by id."""
    return [row._asdict() for row in connection.execute(select(sources).order_by(sources.c.id))]


def change(connection: Connection, source_id: str, values: Row) -> bool:
    """Change what is known of a source; False when there is none of that id."""
    return connection.execute(update(sources).where(sources.c.id == source_id).values(**values)).rowcount == 1


def claim_unproved(connection: Connection, source_id: str, now: datetime, after: datetime) -> bool:
    """Note that people are told of a broken signature; False when they were since `after`."""
    is_due = sources.c.unproved_at.is_(None) | (sources.c.unproved_at <= after)
    claimed = update(sources).where(sources.c.id == source_id, is_due).values(unproved_at=now)
    return connection.execute(claimed).rowcount == 1


def add_book(connection: Connection, text: str, by: str, now: datetime) -> None:
    connection.execute(insert(rule_books).values(text=text, made_by=by, created_at=now))


def books(connection: Connection, limit: int) -> list[Row]:
    """The last versions of the rule book, the one in force first."""
    query = select(rule_books).order_by(rule_books.c.id.desc()).limit(limit)
    return [row._asdict() for row in connection.execute(query)]


def find_reference(connection: Connection, source_id: str, references: Sequence[str], *, signed: bool) -> str | None:
    """What the first of these earlier observations that is known, signed or not, was about."""
    query = (
        select(observations.c.reference, incidents.c.reference.label("incident"))
        .join(incidents, incidents.c.id == observations.c.incident_id)
        .where(observations.c.source_id == source_id, among(connection, observations.c.reference, references))
        .where(incidents.c.signed == signed)
    )
    found = {row.reference: row.incident for row in connection.execute(query)}
    return next((found[each] for each in references if each in found), None)


def hold_incident(connection: Connection, incident_id: str, key: Row, now: datetime) -> Row:
    """The incident of a source, reference, standing, whether it is signed, and branch (`key`), locked; made under that
    id when there is none.
    """
    insert_new(connection, incidents, {**key, "id": incident_id, "created_at": now})
    there = [incidents.c[name] == value for name, value in key.items()]
    return connection.execute(select(incidents).where(*there).with_for_update()).one()._asdict()


def branches(connection: Connection, incident: Row) -> list[Row]:
    """The incidents about the same by which other rules alerted more people, locked."""
    same = [incidents.c[name] == incident[name] for name in ("source_id", "reference", "standing", "signed")]
    query = select(incidents).where(*same, incidents.c.branch != "").order_by(incidents.c.id).with_for_update()
    return [row._asdict() for row in connection.execute(query)]


def lock_incident(connection: Connection, incident_id: str) -> Row:
    """An incident that is there, locked."""
    return connection.execute(select(incidents).where(incidents.c.id == incident_id).with_for_update()).one()._asdict()


def hold(connection: Connection, source_ids: Sequence[str]) -> None:
    """Whatever comes of these sources waits until this transaction ends, as far as it asks for this too."""
    query = select(sources.c.id).where(sources.c.id.in_(source_ids)).order_by(sources.c.id)
    connection.execute(query.with_for_update(key_share=True)).all()


def add_thread(connection: Connection, thread_id: str, now: datetime) -> None:
    connection.execute(insert(threads).values(id=thread_id, created_at=now))


def lock_thread(connection: Connection, thread_id: str) -> Row:
    """A thread that is there, locked."""
    query = select(threads).where(threads.c.id == thread_id).with_for_update(key_share=True)
    return connection.execute(query).one()._asdict()


def change_thread(connection: Connection, thread_id: str, values: Row) -> None:
    connection.execute(update(threads).where(threads.c.id == thread_id).values(**values))


def in_threads(connection: Connection, thread_ids: Sequence[str]) -> list[Row]:
    """The incidents that belong to these threads, the latest thread first."""
    query = select(incidents).join(threads, threads.c.id == incidents.c.thread_id)
    ordered = query.where(threads.c.id.in_(thread_ids)).order_by(threads.c.created_at.desc(), incidents.c.id)
    return [row._asdict() for row in connection.execute(ordered)]


def alerting(connection: Connection, standing: str, now: datetime) -> list[str]:
    """The threads of which people have an alert that goes on, or get one this moment."""
    there = select(threads.c.id).join(incidents, incidents.c.thread_id == threads.c.id).distinct()
    there = there.where(incidents.c.standing == standing, threads.c.told == "alert")
    sent = there.join(alerts, alerts.c.id == threads.c.alert_id)
    sent = sent.where(alerts.c.state == "active", alerts.c.expires_at > now)
    goes = (
        (observations.c.action == "alert") & observations.c.state.in_(("due", "going")) & (observations.c.due_at <= now)
    )
    going = there.join(observations, observations.c.incident_id == incidents.c.id)
    found = connection.execute(sent).scalars().all()
    return [*found, *connection.execute(going.where(threads.c.alert_id.is_(None), goes)).scalars()]


def beginning(connection: Connection, thread: Row) -> Row | None:
    """The observation that a thread's alert was made of, or is being made of."""
    query = select(observations).join(incidents, incidents.c.id == observations.c.incident_id)
    query = query.where(incidents.c.thread_id == thread["id"])
    if thread["alert_id"] is not None:
        query = query.where(observations.c.alert_id == thread["alert_id"])
    else:
        query = query.where(observations.c.action == "alert", observations.c.state.in_(("due", "going")))
    row = connection.execute(query.order_by(observations.c.id).limit(1)).first()
    return row._asdict() if row else None


def change_incident(connection: Connection, incident_id: str, values: Row) -> None:
    connection.execute(update(incidents).where(incidents.c.id == incident_id).values(**values))


def is_known(connection: Connection, incident_id: str, reference: str, version: int) -> bool:
    """Whether this very observation came before."""
    here = observations.c.incident_id == incident_id
    query = select(observations.c.id).where(
        here, observations.c.reference == reference, observations.c.version == version
    )
    return connection.execute(query).first() is not None


def add_observation(connection: Connection, values: Row) -> int:
    """Keep an observation; its number."""
    return int(connection.execute(insert(observations).values(**values).returning(observations.c.id)).scalar_one())


def get_observation(connection: Connection, observation_id: int) -> Row | None:
    row = connection.execute(select(observations).where(observations.c.id == observation_id)).first()
    return row._asdict() if row else None


def change_observation(connection: Connection, observation_id: int, values: Row) -> None:
    connection.execute(update(observations).where(observations.c.id == observation_id).values(**values))


def pending(connection: Connection, incident_id: str, now: datetime) -> Row | None:
    """What would begin something and waits to be said; not what is due by now, with which somebody may have begun."""
    waits = (observations.c.state == "waiting") | ((observations.c.state == "due") & (observations.c.due_at > now))
    query = select(observations).where(observations.c.incident_id == incident_id, waits, ~_changes)
    row = connection.execute(query.order_by(observations.c.id.desc()).limit(1)).first()
    return row._asdict() if row else None


def outdate(connection: Connection, incident_id: str) -> None:
    """Whatever changes something and waits for a person is not to be said any more: something else is."""
    waits = (observations.c.incident_id == incident_id) & (observations.c.state == "waiting") & _changes
    connection.execute(update(observations).where(waits).values(state="superseded"))


def is_first(connection: Connection, observation: Row, thread_id: str) -> bool:
    """Whether nothing earlier of its thread is still to be said."""
    undone = observations.c.state.in_(("due", "going")) & (observations.c.id < observation["id"])
    query = select(observations.c.id).join(incidents, incidents.c.id == observations.c.incident_id)
    query = query.where(incidents.c.thread_id == thread_id, undone)
    return connection.execute(query.limit(1)).first() is None


def due(connection: Connection, now: datetime, limit: int) -> list[int]:
    """The observations whose time has come, or that somebody has begun with and not ended; the earliest first."""
    is_due = observations.c.state.in_(("due", "going")) & (observations.c.due_at <= now)
    query = select(observations.c.id).where(is_due).order_by(observations.c.due_at, observations.c.id).limit(limit)
    return list(connection.execute(query).scalars())


def count_alerts(connection: Connection, source_id: str, rule: str, after: datetime) -> int:
    """How many alerts a rule has made since."""
    query = select(func.count()).where(
        observations.c.source_id == source_id,
        observations.c.rule == rule,
        observations.c.action == "alert",
        observations.c.received_at > after,
    )
    return int(connection.execute(query).scalar_one())


def is_told(connection: Connection, after: datetime) -> bool:
    """Whether people were told since then of something that still waits."""
    waits = observations.c.state.in_(PENDING)
    return (
        connection.execute(select(observations.c.id).where(waits, observations.c.told_at > after)).first() is not None
    )


def count_pending(connection: Connection) -> int:
    """How many observations can still be sent or stopped."""
    query = select(func.count()).select_from(observations).where(observations.c.state.in_(PENDING))
    return int(connection.execute(query).scalar_one())


def page(connection: Connection, before: int | None, limit: int, *, only_open: bool = False) -> list[Row]:
    """What was observed, newest first; `only_open`: what somebody can still send or stop."""
    query = select(observations, incidents.c.standing).join(incidents, incidents.c.id == observations.c.incident_id)
    if before is not None:
        query = query.where(observations.c.id < before)
    if only_open:
        query = query.where(observations.c.state.in_(PENDING))
    rows: list[Any] = list(connection.execute(query.order_by(observations.c.id.desc()).limit(limit)))
    return [row._asdict() for row in rows]


def bounds(connection: Connection, start: datetime, end: datetime) -> tuple[int, int] | None:
    """The first and the last number among the observations that came from `start` on and before `end`."""
    came = (observations.c.received_at >= start) & (observations.c.received_at < end)
    row = connection.execute(select(func.min(observations.c.id), func.max(observations.c.id)).where(came)).one()
    return (row[0], row[1]) if row[0] is not None else None


def contents(connection: Connection, first: int, last: int, limit: int, source_id: str | None = None) -> list[Row]:
    """What was observed (`id`, `source_id`, `content`, `received_at`) from one number to another, each once, as it
    came.
    """
    columns = (observations.c.id, observations.c.source_id, observations.c.content, observations.c.received_at)
    query = select(*columns).join(incidents, incidents.c.id == observations.c.incident_id)
    query = query.where(observations.c.id.between(first, last), incidents.c.branch == "")
    query = query.order_by(observations.c.id).limit(limit)
    if source_id is not None:
        query = query.where(observations.c.source_id == source_id)
    return [row._asdict() for row in connection.execute(query)]


def due_polls(connection: Connection, now: datetime) -> list[Row]:
    """The sources that are to be asked now, and that nobody asks."""
    free = sources.c.leased_until.is_(None) | (sources.c.leased_until <= now)
    query = select(sources).where(sources.c.next_at <= now, free).order_by(sources.c.next_at)
    return [row._asdict() for row in connection.execute(query)]


def lease(connection: Connection, source: Row, until: datetime) -> bool:
    """Whether it is this one's turn to ask a source, which `due_polls` gave out; nobody else does until then."""
    same = sources.c.leased_until.is_not_distinct_from(source["leased_until"])
    turn = update(sources).where(sources.c.id == source["id"], sources.c.next_at == source["next_at"], same)
    return connection.execute(turn.values(leased_until=until)).rowcount == 1


def prolong(connection: Connection, source_ids: Sequence[str], until: datetime) -> None:
    """Keep others from asking these for longer."""
    held = sources.c.id.in_(source_ids) & sources.c.leased_until.is_not(None)
    connection.execute(update(sources).where(held).values(leased_until=until))


def end_poll(connection: Connection, source_id: str, asked_at: datetime, next_at: datetime, values: Row) -> None:
    """Give a source back, to be asked again at `next_at`, or when somebody has said so since `asked_at`."""
    hinted = case((sources.c.next_at > asked_at, sources.c.next_at), else_=literal(next_at, UtcDateTime))
    query = update(sources).where(sources.c.id == source_id, sources.c.next_at.is_not(None))
    connection.execute(query.values(**values, leased_until=None, next_at=hinted))


def due_writings(connection: Connection, now: datetime, limit: int) -> list[Row]:
    """The incidents whose sources are to be told now how their alert stands, with the source's kind and access."""
    query = (
        select(incidents, threads.c.alert_id, sources.c.kind, sources.c.access)
        .join(threads, threads.c.id == incidents.c.thread_id)
        .join(sources, sources.c.id == incidents.c.source_id)
        .where(incidents.c.write_at <= now)
        .order_by(incidents.c.write_at)
        .limit(limit)
    )
    return [row._asdict() for row in connection.execute(query)]


def lease_writing(connection: Connection, incident: Row, until: datetime) -> bool:
    """Whether it is this one's turn to tell a source, which `due_writings` gave out; nobody else does until then."""
    turn = update(incidents).where(incidents.c.id == incident["id"], incidents.c.write_at == incident["write_at"])
    return connection.execute(turn.values(write_at=until)).rowcount == 1


def note_writing(connection: Connection, incident_id: str, alert_id: str, values: Row) -> None:
    """Keep what a source was told of an alert; of one that is not the incident's any more it is forgotten."""
    its = incidents.c.thread_id.in_(select(threads.c.id).where(threads.c.alert_id == alert_id))
    connection.execute(update(incidents).where(incidents.c.id == incident_id, its).values(**values))


def end_writing(connection: Connection, incident_id: str, leased_until: datetime, write_at: datetime | None) -> None:
    """Say when to look again, unless something has happened meanwhile that says sooner."""
    turn = update(incidents).where(incidents.c.id == incident_id, incidents.c.write_at == leased_until)
    connection.execute(turn.values(write_at=write_at))


def noticed_of(connection: Connection, incident_id: str) -> Row | None:
    """The alert of an incident (`alert_id`), and how far people's lists on its source's side say how that stands (the
    `state`, if any). None where there is no alert, or an earlier incident of the same source is told of the same one.
    """
    other = incidents.alias()
    same = (other.c.thread_id == incidents.c.thread_id) & (other.c.source_id == incidents.c.source_id)
    earlier = exists().where(same, other.c.id < incidents.c.id, other.c.write_at.is_not(None))
    there = (noticed.c.alert_id == threads.c.alert_id) & (noticed.c.source_id == incidents.c.source_id)
    query = (
        select(threads.c.alert_id, noticed.c.state)
        .select_from(incidents)
        .join(threads, threads.c.id == incidents.c.thread_id)
        .outerjoin(noticed, there)
        .where(incidents.c.id == incident_id, threads.c.alert_id.is_not(None), ~earlier)
    )
    row = connection.execute(query).first()
    return row._asdict() if row else None


def keep_noticed(connection: Connection, alert_id: str, source_id: str, state: Row) -> None:
    """Remember how far people's lists on a source's side say how an alert stands."""
    key = {"alert_id": alert_id, "source_id": source_id}
    if not insert_new(connection, noticed, {**key, "state": dict(state)}):
        connection.execute(update(noticed).filter_by(**key).values(state=dict(state)))


def silent(connection: Connection, now: datetime) -> list[Row]:
    """The sources that were not heard for longer than they may, and of which nobody was told yet."""
    query = select(sources).where(sources.c.silent_seconds.is_not(None), sources.c.alarmed_at.is_(None))
    return [row._asdict() for row in connection.execute(query) if is_silent(row._asdict(), now)]


def is_silent(source: Row, now: datetime) -> bool:
    """Whether a source was not heard for longer than it may."""
    longest = source["silent_seconds"]
    return longest is not None and heard_at(source) + timedelta(seconds=longest) < now


def heard_at(source: Row) -> datetime:
    """When a source was last heard; when it was made, where it never was."""
    heard: datetime = max(filter(None, (source["succeeded_at"], source["created_at"])))
    return heard


def missing(connection: Connection, source_id: str, references: Sequence[str]) -> list[str]:
    """Which of these messages were not taken yet, in their order."""
    known: set[str] = set()
    for some in in_slices(references):
        here = (fetched.c.source_id == source_id) & among(connection, fetched.c.reference, some)
        known.update(
            connection.execute(select(fetched.c.reference).where(here, fetched.c.taken_at.is_not(None))).scalars()
        )
    return [each for each in references if each not in known]


def fetched_body(connection: Connection, source_id: str, reference: str) -> bytes | None:
    """A message that is here and was not taken yet."""
    here = (fetched.c.source_id == source_id) & (fetched.c.reference == reference) & fetched.c.taken_at.is_(None)
    return connection.execute(select(fetched.c.body).where(here)).scalar_one_or_none()


def keep_fetched(connection: Connection, source_id: str, reference: str, body: bytes, now: datetime) -> None:
    row = {"source_id": source_id, "reference": reference, "body": body, "fetched_at": now}
    insert_new(connection, fetched, row)


def end_fetched(connection: Connection, source_id: str, reference: str, values: Row) -> None:
    """Say of a message that is here that it was taken."""
    here = (fetched.c.source_id == source_id) & (fetched.c.reference == reference)
    connection.execute(update(fetched).where(here).values(**values))
