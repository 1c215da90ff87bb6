"""Acknowledgements: of one person to one alert, by whatever way, durable before they are confirmed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from alertd.core.acknowledgement import Candidate, Way, read_reply, read_token, reply_code
from alertd.core.alert import COMMENT_MAX, Language, has_control, headline
from alertd.core.errors import Forbidden, Invalid, NotFound
from alertd.core.roles import Role
from alertd.service import escalating, rollout, views
from alertd.service.runtime import Actor, Runtime
from alertd.store import acknowledgements, alerts, instance, people, unsent
from alertd.store.acknowledgements import Answer
from alertd.store.rows import Row

_MESSAGE_ID_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Acknowledging:
    """A wish to acknowledge: for `person` of `alert`, or for recipient number `recipient`; given by `by`."""

    way: Way
    alert: str | None = None
    person: str | None = None
    recipient: int | None = None
    by: str | None = None  # None: the person themselves
    answer: str | None = None
    comment: str | None = None
    answered_at: datetime | None = None
    revision: int | None = None  # which version they had before them; None: the current one


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What is kept, and whether it was the person's first answer."""

    row: Row
    first: bool

    @property
    def body(self) -> dict[str, Any]:
        """JSON for the outside."""
        return acknowledgement_view(self.row)


def acknowledge_all(rt: Runtime, wishes: Sequence[Acknowledging]) -> list[Acknowledged | Exception]:
    """Keep a group of answers in one commit: for each what is kept now, or the Fault why it is not."""
    now = rt.now()
    results: dict[int, Acknowledged | Exception] = {}
    with rt.store.write() as connection:
        found = _recipients(connection, rt, wishes)
        told = alerts.get_many(connection, {place.alert for place in found.values() if isinstance(place, _Place)})
        answers: list[tuple[Answer, int]] = []
        # In one order everywhere: see `acknowledgements.keep_all`.
        for index, place in sorted(found.items(), key=lambda each: (_order(each[1]), each[0])):
            if isinstance(place, Exception):
                results[index] = place
                continue
            try:
                answers.append((_answer(connection, wishes[index], place, told[place.alert], now), index))
            except Invalid as fault:
                results[index] = fault
        asked = {alert_id: alert["asked_revision"] for alert_id, alert in told.items()}
        kept = acknowledgements.keep_all(connection, [answer for answer, _ in answers], asked)
        unsent.demote(connection, kept.rows.keys())
        for (answer, index), first in zip(answers, kept.firsts, strict=True):
            results[index] = Acknowledged(kept.rows[answer.recipient_id], first)
            if wishes[index].by is not None:
                _record_proxy(connection, answer)
    for alert_id in {answer.alert_id for answer, _ in answers}:
        rt.bell.changed(alert_id)
    return [results[index] for index in range(len(wishes))]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an answer belongs."""

    recipient: int
    alert: str
    person: str


def _order(place: "_Place | Exception") -> int:
    return place.recipient if isinstance(place, _Place) else 0


def _record_proxy(connection: Connection, answer: Answer) -> None:
    instance.record(
        connection,
        at=answer.received_at,
        actor=answer.by,
        action="acknowledge.proxy",
        object=answer.alert_id,
        details={"person": answer.person_id, "answer": answer.answer},
    )


def _answer(connection: Connection, wish: Acknowledging, place: _Place, alert: Row, now: datetime) -> Answer:
    _check(wish, alert)
    answered_at = _plausible(wish.answered_at, alert, now)
    return Answer(
        recipient_id=place.recipient,
        alert_id=place.alert,
        person_id=place.person,
        revision=_answered_revision(connection, wish, alert, answered_at),
        answer=wish.answer,
        comment=wish.comment,
        way=wish.way.word,
        by=wish.by or place.person,
        late=alert["state"] != "active" or alert["expires_at"] <= now,
        answered_at=answered_at,
        received_at=now,
    )


def _answered_revision(connection: Connection, wish: Acknowledging, alert: Row, answered_at: datetime) -> int:
    """The version that an answer is to: none later than was read, nor one that was not out when it was given."""
    current: int = alert["revision"]
    revision = min(wish.revision or current, current)
    if alert["asked_revision"] > 1 and wish.answered_at is not None:
        asked = alerts.revisions(connection, alert["id"])[alert["asked_revision"] - 1]
        if answered_at < asked["created_at"]:
            revision = min(revision, alert["asked_revision"] - 1)
    return max(revision, 1)


def _recipients(connection: Connection, rt: Runtime, wishes: Sequence[Acknowledging]) -> dict[int, _Place | Exception]:
    """For each wish, by its index, whose answer to what it is, or why it is nobody's."""
    numbered = alerts.recipients_of(connection, [w.recipient for w in wishes if w.recipient is not None])
    named: dict[str, list[str]] = {}
    for wish in wishes:
        if wish.recipient is None and wish.alert is not None and wish.person is not None:
            named.setdefault(wish.alert, []).append(wish.person)
    numbers = {alert: _numbers(connection, rt, alert, persons) for alert, persons in sorted(named.items())}
    found: dict[int, _Place | Exception] = {}
    for index, wish in enumerate(wishes):
        if wish.recipient is not None:
            row = numbered.get(wish.recipient)
            place = _Place(wish.recipient, row["alert_id"], row["person_id"]) if row else None
            found[index] = place or NotFound("this link belongs to no alert")
            continue
        assert wish.alert is not None
        assert wish.person is not None
        number = numbers[wish.alert].get(wish.person)
        if number is not None:
            found[index] = _Place(number, wish.alert, wish.person)
        elif wish.by is not None and alerts.get(connection, wish.alert) is not None:
            found[index] = Invalid([("person", f"{wish.person!r} is not a recipient of this alert")])
        else:
            found[index] = NotFound(f"there is no alert {wish.alert!r} for {wish.person!r}")
    return found


def _numbers(connection: Connection, rt: Runtime, alert_id: str, person_ids: Sequence[str]) -> dict[str, int]:
    """The recipient numbers of these people; who answers before their slice is laid down gets one now."""
    numbers = alerts.recipient_numbers(connection, alert_id, person_ids)
    unknown = sorted({person_id for person_id in person_ids if person_id not in numbers})
    if unknown:
        rollout.bring_forward(connection, rt, alert_id, unknown)
        numbers |= alerts.recipient_numbers(connection, alert_id, unknown)
    return numbers


def _check(wish: Acknowledging, alert: Row) -> None:
    ask = views.ask_from_json(alert["ask"])
    faults = []
    if wish.answer is not None and ask is None:
        faults.append(("answer", "this alert asks no question: leave the answer out"))
    elif wish.answer is not None and ask is not None and ask.choice(wish.answer) is None:
        faults.append(("answer", f"must be one of {', '.join(choice.id for choice in ask.choices)}"))
    if wish.comment is not None and len(wish.comment) > COMMENT_MAX:
        faults.append(("comment", f"must be at most {COMMENT_MAX} characters"))
    if wish.comment is not None and has_control(wish.comment):
        faults.append(("comment", "must not hold control characters"))
    if faults:
        raise Invalid(faults)


def _plausible(answered_at: datetime | None, alert: Row, now: datetime) -> datetime:
    """When an answer was given: after the alert was sent and not in the future, whatever a phone's clock says.

    Otherwise an answer from the year 9999 could never be changed again. Nor is an answer older than its alert: then the
    clock was set right while the answer waited, and all that is known is when it came. As the oldest of all it would
    lose against one that was given before it.
    """
    sent_at: datetime = alert["sent_at"]
    if answered_at is None or answered_at < sent_at:
        return now
    return min(answered_at, now)


def acknowledgement_view(row: Row) -> dict[str, Any]:
    """An acknowledgement with its last answer at the top and its first beside it."""

    def answer(which: str) -> dict[str, Any]:
        by = row[f"{which}_by"]
        return {
            "answer": row[f"{which}_answer"],
            "comment": row[f"{which}_comment"],
            "way": row[f"{which}_way"],
            "by": by if by != row["person_id"] else None,
            "revision": row[f"{which}_revision"],
            "late": row[f"{which}_late"],
            "answered_at": views.moment(row[f"{which}_answered_at"]),
            "received_at": views.moment(row[f"{which}_received_at"]),
        }

    return {"alert": row["alert_id"], "person": row["person_id"], **answer("last"), "first": answer("first")}


def wish_of(actor: Actor, alert_id: str, way: Way, *, person: str | None = None, **given: Any) -> Acknowledging:
    """What `actor` asks for; for somebody else only as a manager. Raises Forbidden."""
    if person is None or person == actor.person_id:
        return Acknowledging(way, alert_id, actor.person_id, **given)
    if not actor.may(Role.MANAGER):
        raise Forbidden("only a manager can answer for somebody else")
    return Acknowledging(Way.PROXY, alert_id, person, by=actor.person_id, **given)


@dataclass(frozen=True, slots=True)
class Letter:
    """What stands behind an acknowledgement link: its alert, whom it is for, and what they answered."""

    recipient: int
    way: Way
    person_id: str
    name: str
    language: str
    alert: Row
    acknowledgement: Mapping[str, Any] | None
    silent: Sequence[str] = ()  # the names of those who have not answered and whose supervisor this person is


def read_link(rt: Runtime, token: str) -> tuple[int, Way]:
    """The recipient number of a link, and the way it went. Raises NotFound for a token that we did not make."""
    read = read_token(token, rt.tokens)
    if read is None or read[1] is Way.BEACON:
        raise NotFound("this link is not complete or not ours")
    return read


def open_letter(rt: Runtime, token: str) -> Letter:
    """The alert behind a link. Changes nothing. Raises NotFound for a token that we did not make."""
    number, way = read_link(rt, token)
    with rt.store.read() as connection:
        recipient = alerts.recipient(connection, number)
        alert = alerts.get(connection, recipient["alert_id"]) if recipient else None
        person = people.get(connection, recipient["person_id"]) if recipient else None
        kept = acknowledgements.of(connection, number)
        silent = _silent_under(connection, alert, person["id"]) if alert and person else []
    if recipient is None or alert is None or person is None:
        raise NotFound("this link belongs to no alert")
    answer = acknowledgement_view(kept) if kept else None
    return Letter(number, way, person["id"], person["name"], person["language"], alert, answer, silent)


def _silent_under(connection: Connection, alert: Row, person_id: str) -> list[str]:
    """Whose silence this person is told of, by name, once a step of the plan has told them."""
    if not people.supervises(connection, person_id):
        return []
    told = any(run["started_at"] and step.to == "supervisors" for run, step in escalating.runs_of(connection, alert))
    if not told:
        return []
    mine = people.get_many(connection, escalating.silent_under(connection, alert, person_id))
    return sorted(row["name"] for row in mine.values())


@dataclass(frozen=True, slots=True)
class Understood:
    """A texted reply, read: the wish it is, or what to write back. `language` is the sender's."""

    wish: Acknowledging | None
    problem: str | None
    language: str
    candidates: Sequence[Candidate]


def repeated_reply(rt: Runtime, channel: str, message_id: str) -> str | None:
    """What was written back to a message that has come before: providers repeat calls, and replays must do nothing."""
    with rt.store.read() as connection:
        return acknowledgements.answered_reply(connection, channel, message_id[:_MESSAGE_ID_MAX])


def remember_reply(rt: Runtime, channel: str, message_id: str, answer: str) -> None:
    """Let that message do nothing more when it comes again."""
    with rt.store.write() as connection:
        acknowledgements.keep_reply(connection, channel, message_id[:_MESSAGE_ID_MAX], answer, rt.now())


def understand_reply(rt: Runtime, channel: str, address_hash: str, text: str) -> Understood:
    """What a text from that address means. It never guesses: where two things are possible, it asks back."""
    with rt.store.read() as connection:
        open_alerts = _worth_answering(alerts.active_at_address(connection, channel, address_hash, rt.now()))
        names = people.get_many(connection, {row["person_id"] for row in open_alerts})
    language: Language = next((row["language"] for row in names.values()), "ja")
    candidates = [
        Candidate(
            recipient=row["recipient_id"],
            person=names[row["person_id"]]["name"],
            title=headline(row["title"], drill=row["drill"], language=language, revision_kind=row["revision_kind"]),
            ask=views.ask_from_json(row["ask"]),
            code=reply_code(row["recipient_id"], rt.tokens),
        )
        for row in open_alerts
    ]
    reply = read_reply(text, candidates)
    if reply.problem is not None or reply.candidate is None:
        return Understood(None, reply.problem, language, candidates)
    wish = Acknowledging(Way.SMS_REPLY, recipient=reply.candidate.recipient, answer=reply.answer)
    return Understood(wish, None, language, [reply.candidate])


def _worth_answering(rows: Sequence[Row]) -> Sequence[Row]:
    """Of the open alerts those that a reply can mean: real ones before tests, unanswered before answered."""
    alerts_first = [row for row in rows if row["kind"] == "alert"] or rows
    return [row for row in alerts_first if row["answered_at"] is None] or alerts_first
