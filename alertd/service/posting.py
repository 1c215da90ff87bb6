"""Posting on a board, and issuing the alert when the post is urgent: one transaction, then the bell."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Connection

from alertd.core.alert import (
    CHOICE_LABEL_MAX,
    DEFAULT_SEVERITY,
    LANGUAGES,
    MAX_LIFE,
    QUESTION_MAX,
    SEVERITIES,
    Ask,
    Content,
    Part,
    Severity,
    ask_faults,
    claims_drill,
    control_faults,
    default_expiry,
    text_faults,
)
from alertd.core.audience import Audience, with_ancestors
from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.escalation import DEFAULT_PLAN, Plan, plan_faults, timetable
from alertd.core.message import Rendered
from alertd.core.roles import Role
from alertd.service import planning, rollout, views
from alertd.service.plain_text import plain_text
from alertd.service.planning import Outlook
from alertd.service.runtime import Actor, Runtime
from alertd.store import alerts, foresight, instance, people, posts, rollouts, steps, unsent
from alertd.store.posts import Reader
from alertd.store.rows import Row

KEY_MAX: Final = 200


def fingerprint_of(request: Mapping[str, Any]) -> str:
    """The same for the same request, whatever the order or spacing it was sent in."""
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Draft:
    """A post as it was written. `drill` None: it was not said."""

    board: str
    title: str
    body: str
    urgent: bool
    audience: Audience
    drill: bool | None = None
    severity: str = DEFAULT_SEVERITY
    ask: Ask | None = None
    plan: str | Plan = DEFAULT_PLAN
    expires_at: datetime | None = None

    @property
    def fingerprint(self) -> str:
        """The same for the same draft, whatever the order or spacing it was sent in."""
        return fingerprint_of(asdict(self))


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer to a post: as JSON, and whether it is the repeated answer to an earlier request."""

    body: Mapping[str, Any]
    repeated: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom a draft would reach, before it is sent. `ways` counts people, `segments` SMS parts in all."""

    recipients: int
    ways: Mapping[str, int]
    segments_each: Mapping[str, int]  # SMS parts of one copy, by language
    segments: int  # of the first step
    outlook: Outlook
    missing: Mapping[str, str]  # channels that would hold their messages, not being set up, and what they lack

    def as_json(self) -> dict[str, Any]:
        return {
            "recipients": self.recipients,
            "ways": dict(self.ways),
            "reached": self.outlook.reached,
            "segments": self.segments,
            "missing": dict(self.missing),
            "timetable": [forecast.as_json() for forecast in self.outlook.forecasts],
            "warnings": self.outlook.warnings.as_json(),
        }


def check(rt: Runtime, draft: Draft) -> Reach:
    """What posting this urgent draft would do, without doing it. Raises Invalid with every fault at once."""
    now = rt.now()
    with rt.store.read() as connection:
        plan = _validate(connection, rt, draft, now)
        return _reach(connection, rt, draft, plan, now)


def glance(rt: Runtime, draft: Draft) -> Reach:
    """What is known of an urgent draft that is still being written: of its words only the lengths are looked at.

    Raises Invalid when there is nothing to be known yet.
    """
    now = rt.now()
    faults = [each for each in _text_faults(draft) if each != ("title", "must not be blank")]
    if draft.severity not in SEVERITIES:
        faults.append(("severity", f"must be one of {', '.join(SEVERITIES)}"))
    with rt.store.read() as connection:
        plan = planning.resolve(connection, rt, draft.plan)
        if plan is None:
            faults.append(("plan", f"there is no plan {draft.plan!r}"))
        if faults or plan is None:
            raise Invalid(faults)
        return _reach(connection, rt, draft, plan, now)


def count_audience(rt: Runtime, audience: Audience) -> int:
    """How many active people an audience has."""
    with rt.store.read() as connection:
        return people.count(connection, audience)


def posted_under(rt: Runtime, actor: Actor, keys: Collection[str]) -> set[str]:
    """Those of `actor`'s Idempotency-Keys under which something was posted."""
    with rt.store.read() as connection:
        return posts.known_keys(connection, actor.person_id, keys)


def _reach(connection: Connection, rt: Runtime, draft: Draft, plan: Plan, now: datetime) -> Reach:
    content = content_of(rt, _as_if_issued(rt, draft, now))
    each: dict[str, int] = {language: views.segments(rt, content, language) for language in LANGUAGES}
    outlook = planning.foresee(connection, rt, plan, draft.audience, now, each)
    spoken = foresight.languages(connection, draft.audience)
    wanted = {channel for step in plan.steps for channel in step.channels}
    idle = foresight.ways(connection, draft.audience, wanted & set(rt.missing)) if rt.missing else []
    return Reach(
        recipients=sum(spoken.values()),
        ways={channel: outlook.ways.get(channel, 0) for channel in rt.channels},
        segments_each={language: parts for language, parts in each.items() if language in spoken},
        segments=outlook.forecasts[0].segments,
        outlook=outlook,
        missing={way.channel: rt.missing[way.channel] for way in idle},
    )


def preview(rt: Runtime, draft: Draft, language: str, channel: str) -> Rendered:
    """What this draft's alert would say on `channel`, not yet personal."""
    content = content_of(rt, _as_if_issued(rt, draft, rt.now()))
    return views.rendered(rt, content, language, channel)


def post(rt: Runtime, actor: Actor, draft: Draft, key: str | None = None) -> Posted:
    """Put a draft on its board and, when it is urgent, issue its alert. Returns after the commit.

    `key` is the caller's Idempotency-Key: the same draft under it again answers the first result and does nothing;
    another draft raises Conflict. Raises Invalid with every fault at once, and DiskFull.
    """
    now = rt.now()
    channels: set[str] = set()
    with rt.store.write() as connection:
        if key is not None:
            earlier = claim_key(connection, actor, key, draft.fingerprint, now)
            if earlier is not None:
                return Posted(earlier, repeated=True)
        rt.require_room()
        plan = _validate(connection, rt, draft, now)
        if people.get(connection, actor.person_id) is None:
            raise Invalid([("person", f"there is no person {actor.person_id!r} who could post")])
        post_id, alert_id = rt.new_id(), rt.new_id()
        posts.add(connection, _post_values(draft, post_id, actor, now), draft.audience.groups, draft.audience.people)
        instance.record(
            connection, at=now, actor=actor.person_id, action="post", object=post_id, details={"urgent": draft.urgent}
        )
        row = posts.get(connection, post_id, reader=None)
        assert row is not None
        alert: Row | None = None
        body: dict[str, Any] = {"post": views.post(row), "alert": None}
        if draft.urgent:
            values = {**_alert_values(rt, draft, actor.person_id, now), "id": alert_id, "post_id": post_id}
            alert, channels = issue(connection, rt, values, plan)
            body = {"post": {**views.post(row), "alert": alert_id, "drill": draft.drill}, "alert": views.alert(alert)}
        if key is not None:
            posts.keep_response(connection, actor.person_id, key, body)
        if alert is not None:
            alerts.append_event(connection, alert_id, views.facts(alert), now)
    if alert is not None:
        rt.bell.events()
        rt.bell.work(channels)
    return Posted(body, repeated=False)


def issue(connection: Connection, rt: Runtime, values: Mapping[str, Any], plan: Plan) -> tuple[Row, set[str]]:
    """Write an alert and lay down the first slice of its recipients and deliveries, which in most towns is all of them:
    see `rollout`. The alert's row and the channels that have work.
    """
    now = values["sent_at"]
    version = people.hold_version(connection)
    row = {
        **values,
        "state": "active",
        "revision": 1,
        "revision_kind": "alert",
        "urgency": "immediate",
        "certainty": "observed",
        "plan": plan.as_json(),
        "people_version": version,
        "recipients": people.count(connection, Audience.from_json(values["audience"])),
        "asked_revision": 1,
        "revised_at": now,
        "closed_at": None,
    }
    alerts.add(connection, row)
    steps.add(connection, row["id"], timetable(plan), now)
    steps.start(connection, row["id"], 0, 0, now)
    channels = rollout.begin(connection, rt, row)
    instance.record(
        connection,
        at=now,
        actor=row["issued_by"],
        action="alert.issue",
        object=row["id"],
        details={"drill": row["drill"], "recipients": row["recipients"]},
    )
    return row, channels


def content_of(rt: Runtime, row: Mapping[str, Any], part: Part = "audience") -> Content:
    """An alert's row as the facts that messages are rendered from. Who is told that it is over is asked nothing."""
    return Content(
        alert_id=row["id"],
        revision=row["revision"],
        organisation=rt.organisation,
        title=row["title"],
        body=plain_text(row["body"]),
        severity=row["severity"],
        drill=row["drill"],
        ask=views.ask_from_json(row["ask"]) if row["revision_kind"] != "cancel" else None,
        sent_at=row["revised_at"],
        expires_at=row["expires_at"],
        revision_kind=row["revision_kind"],
        part=part,
    )


def read_board(rt: Runtime, actor: Actor, *, before: str | None, limit: int) -> list[dict[str, Any]]:
    """Posts that `actor` may read, newest first."""
    with rt.store.read() as connection:
        rows = posts.page(connection, before=before, limit=limit, reader=_reader(connection, actor))
    return [views.post(row) for row in rows]


def read_post(rt: Runtime, actor: Actor, post_id: str) -> dict[str, Any]:
    """One post. Raises NotFound, also for a post that is not for `actor`."""
    with rt.store.read() as connection:
        row = posts.get(connection, post_id, reader=_reader(connection, actor))
    if row is None:
        raise NotFound(f"there is no post {post_id!r}")
    return views.post(row)


def _reader(connection: Connection, actor: Actor) -> Reader | None:
    if actor.may(Role.VIEWER):
        return None
    direct = people.memberships(connection, [actor.person_id])[actor.person_id]
    groups = with_ancestors(direct, people.parents(connection))
    return Reader(actor.person_id, groups, rollouts.coming_to(connection, actor.person_id))


def claim_key(
    connection: Connection, actor: Actor, key: str, fingerprint: str, now: datetime
) -> Mapping[str, Any] | None:
    """Take an Idempotency-Key for this transaction: the answer to the same request that came with it before, or None.

    Raises Invalid, and Conflict when it came with another request.
    """
    if not 1 <= len(key) <= KEY_MAX or not key.isprintable():
        raise Invalid([("Idempotency-Key", f"must be 1 to {KEY_MAX} printable characters")])
    earlier = posts.claim_key(connection, actor.person_id, key, fingerprint, now)
    if earlier is None:
        return None
    if earlier["request_hash"] != fingerprint:
        raise Conflict("this Idempotency-Key was used for another post: use a new key for a new post")
    return cast("Mapping[str, Any]", earlier["response"])


def _validate(connection: Connection, rt: Runtime, draft: Draft, now: datetime) -> Plan:
    """The draft's plan. Raises Invalid with everything that is wrong with it."""
    faults = _text_faults(draft)
    if not posts.has_board(connection, draft.board):
        faults.append(("board", f"there is no board {draft.board!r}"))
    if draft.severity not in SEVERITIES:
        faults.append(("severity", f"must be one of {', '.join(SEVERITIES)}"))
    plan = planning.resolve(connection, rt, draft.plan)
    faults += _urgent_faults(rt, draft, plan, now) if draft.urgent else _calm_faults(draft)
    faults += _audience_faults(connection, draft.audience)
    if faults or plan is None:
        raise Invalid(faults)
    return plan


def _text_faults(draft: Draft) -> list[tuple[str, str]]:
    faults = text_faults(draft.title, draft.body)
    if draft.ask is None:
        return faults
    texts = [("ask.question", draft.ask.question)]
    for index, choice in enumerate(draft.ask.choices):
        texts += [(f"ask.choices.{index}.id", choice.id), (f"ask.choices.{index}.label", choice.label)]
        if len(choice.label) > CHOICE_LABEL_MAX:
            faults.append((f"ask.choices.{index}.label", f"must be at most {CHOICE_LABEL_MAX} characters"))
    if len(draft.ask.question) > QUESTION_MAX:
        faults.append(("ask.question", f"must be at most {QUESTION_MAX} characters"))
    return faults + control_faults(texts)


def _urgent_faults(rt: Runtime, draft: Draft, plan: Plan | None, now: datetime) -> list[tuple[str, str]]:
    faults = []
    if draft.drill is False and claims_drill(draft.title):
        faults.append(("title", "says that it is a drill, but drill is false: a real alert must not say so"))
    if draft.drill is False and draft.ask is not None and claims_drill(draft.ask.question):
        faults.append(("ask.question", "says that it is a drill, but drill is false: a real alert must not say so"))
    if draft.drill is None:
        faults.append(("drill", "an urgent post must say whether it is a drill: true or false"))
    if draft.expires_at is not None and draft.expires_at <= now:
        faults.append(("expires_at", "lies in the past"))
    if draft.expires_at is not None and draft.expires_at > now + MAX_LIFE:
        faults.append(("expires_at", f"must be within {MAX_LIFE.days} days"))
    if draft.ask is not None:
        faults += ask_faults(draft.ask.question, draft.ask.choices)
    if plan is None:
        faults.append(("plan", f"there is no plan {draft.plan!r}"))
    else:
        life = (draft.expires_at or default_expiry(now)) - now
        faults += plan_faults(plan, rt.channels, life if life > timedelta() else None)
    return faults


def _calm_faults(draft: Draft) -> list[tuple[str, str]]:
    """What only an urgent post can have: whoever wrote it down meant to alert people."""
    meant = (
        ("drill", draft.drill is True),
        ("ask", draft.ask is not None),
        ("plan", draft.plan != DEFAULT_PLAN),
        ("expires_at", draft.expires_at is not None),
    )
    return [
        (field, "only an urgent post can have this: set urgent, or leave it out") for field, is_set in meant if is_set
    ]


def _audience_faults(connection: Connection, audience: Audience) -> list[tuple[str, str]]:
    if audience.everyone and (audience.groups or audience.people):
        return [("audience", "is either everyone, or groups and people")]
    if not audience.everyone and not audience.groups and not audience.people:
        return [("audience", "must be everyone, or name at least one group or person")]
    known = people.parents(connection)
    found = people.get_many(connection, audience.people)
    faults = [("audience.groups", f"there is no group {group!r}") for group in audience.groups if group not in known]
    for person in audience.people:
        if person not in found:
            faults.append(("audience.people", f"there is no person {person!r}"))
        elif not found[person]["active"]:
            faults.append(("audience.people", f"{person!r} is not active"))
    if not faults and not people.has_any(connection, audience):
        faults.append(("audience", "holds no active person"))
    return faults


def _post_values(draft: Draft, post_id: str, actor: Actor, now: datetime) -> dict[str, Any]:
    return {
        "id": post_id,
        "board_id": draft.board,
        "title": draft.title.strip(),
        "body": draft.body,
        "urgent": draft.urgent,
        "audience": draft.audience.as_json(),
        "everyone": draft.audience.everyone,
        "author_id": actor.person_id,
        "created_at": now,
    }


def _as_if_issued(rt: Runtime, draft: Draft, now: datetime) -> dict[str, Any]:
    return {**_alert_values(rt, draft, "", now), "revision": 1, "revision_kind": "alert", "revised_at": now}


def _alert_values(rt: Runtime, draft: Draft, issued_by: str, now: datetime) -> dict[str, Any]:
    return {
        "id": "",
        "kind": "alert",
        "title": draft.title.strip(),
        "body": draft.body,
        "severity": cast("Severity", draft.severity),
        "drill": bool(draft.drill),
        "ask": views.ask_as_json(draft.ask),
        "audience": draft.audience.as_json(),
        "issued_by": issued_by,
        "sent_at": now,
        "expires_at": draft.expires_at or default_expiry(now),
    }


def release_held(rt: Runtime, channels: Sequence[str]) -> int:
    """Try again what our own fault had held on these channels. Returns how many deliveries."""
    with rt.store.write() as connection:
        released = unsent.release(connection, channels, rt.now())
    rt.bell.work(channels if released else ())
    return released
