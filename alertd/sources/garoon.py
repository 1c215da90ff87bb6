"""The bulletin board of Garoon: what is posted, edited and removed there, looked at again and again.

The board itself knows no urgency: rules know it by category, by a prefix of the title, and by who wrote it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Protocol, cast

from pydantic import Field, field_validator

from alertd.core.drill_words import standing_of
from alertd.core.observation import Observation, Standing, clean, clean_body, clean_title
from alertd.sources import garoon_notice
from alertd.sources.base import Access, Desk, Fetch, Notice, Outcome, PersonField, Refusal, Unfetched
from alertd.sources.garoon_rest import Rest
from alertd.sources.garoon_soap import Refused, Soap
from alertd.sources.garoon_topic import Listed, Topic

KEPT: Final = timedelta(days=30)  # since the last edit: what is edited later than that counts as new
_FIRST_LOOK: Final = timedelta(hours=1)
_FRESH: Final = timedelta(seconds=5)  # times have whole seconds: a second edit in one shows only to who looks again
_KNOWN_MAX: Final = 5_000
_AGAIN_MAX: Final = 100  # topics that are read again though nothing says that they have changed
_MILESTONES: Final = (timedelta(0), timedelta(minutes=10), timedelta(hours=1))


class GaroonAccess(Access):
    """`url`: up to `/g` in the cloud, up to `grn.cgi` or `grn.exe` on one's own server. `categories`: their numbers.

    `notify_code`: the code under which Garoon lets us put items into people's lists (外部通知コード); empty: none are.
    `notify_login`: what of a person is their login name in Garoon.
    """

    url: Annotated[str, Field(min_length=1, max_length=500)]
    api: Literal["rest", "soap"] = "rest"
    login: Annotated[str, Field(min_length=1, max_length=200)]
    password: Annotated[str, Field(min_length=1, max_length=200)]
    categories: Annotated[tuple[Annotated[str, Field(pattern=r"^\d{1,10}$")], ...], Field(max_length=100)]
    comment: bool = False
    notify_code: Annotated[str, Field(max_length=100)] = ""
    notify_login: PersonField = "id"

    @field_validator("url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @field_validator("categories")
    @classmethod
    def _some(cls, categories: tuple[str, ...]) -> tuple[str, ...]:
        if not categories:
            raise ValueError("name at least one category")
        return categories

    @classmethod
    def secret(cls) -> frozenset[str]:
        return frozenset({"password"})

    def urls(self) -> tuple[str, ...]:
        return (self.url,)

    def writes_back(self) -> bool:
        return self.comment

    def notifies_by(self) -> PersonField | None:
        return self.notify_login if self.notify_code else None


class Board(Protocol):
    """Garoon's two ways of being asked."""

    async def listed(self, since: datetime, known: Mapping[str, int]) -> Listed:
        """Which topics there are that changed since, or that are `known` (by id, with their versions) and changed."""
        ...

    async def topics(self, ids: Sequence[str]) -> dict[str, Topic]:
        """These topics; those that are gone are left out."""
        ...


@dataclass(slots=True)
class _Seen:
    """What is remembered of a topic."""

    version: int
    edit: int = 0  # which of the edits within that second
    digest: str = ""
    told: str = ""  # the standing under which it was observed: its end belongs to the same; empty: it was not
    again: bool = False  # it may have changed without saying so

    def as_json(self) -> list[Any]:
        return [self.version, self.edit, self.digest, self.told, self.again]


class Garoon:
    """Polls one Garoon. Every fifteen seconds: staff hear of it within one interval and a few seconds more."""

    access = GaroonAccess
    every_seconds = 15

    async def poll(self, access: GaroonAccess, fetch: Fetch, desk: Desk) -> None:
        board = _board(access, fetch, desk.now)
        seen = {topic_id: _Seen(*told) for topic_id, told in desk.cursor.get("topics", {}).items()}
        is_first = "topics" not in desk.cursor
        since = desk.now - KEPT
        listed = await board.listed(since, {topic_id: each.version for topic_id, each in seen.items()})
        changed = {topic_id: version for topic_id, version in listed.changed.items()
                   if topic_id not in seen or seen[topic_id].version != version}  # fmt: skip
        if is_first:
            history = int((desk.now - _FIRST_LOOK).timestamp())
            seen |= {topic_id: _Seen(version) for topic_id, version in changed.items() if version < history}
        again = [topic_id for topic_id, each in seen.items() if each.again][:_AGAIN_MAX]
        lost = [topic_id for topic_id in listed.lost if topic_id in seen and seen[topic_id].told]
        wanted = dict.fromkeys([topic_id for topic_id in changed if topic_id not in seen or not is_first])
        ids = list(dict.fromkeys([*wanted, *again, *lost]))
        topics = await board.topics(ids)
        found = [each for topic_id in ids for each in _observe(seen, topics.get(topic_id), topic_id, desk.now)]
        await desk.take(found, {"topics": _kept(seen, since)})
        if listed.fault:
            raise Unfetched(listed.fault)

    async def write_back(
        self, access: GaroonAccess, fetch: Fetch, outcome: Outcome, before: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """A comment when it was sent, after ten minutes, after an hour, and when it is over: comments stay for ever."""
        done = int(before["step"]) if before is not None else -1
        step = len(_MILESTONES) if outcome.is_over else sum(outcome.age >= each for each in _MILESTONES) - 1
        if step <= done:
            return None
        soap = Soap(access.url, access.login, access.password, access.categories, fetch, outcome.now)
        topic_id = outcome.incident.removeprefix("garoon:")
        try:
            await soap.add_comment(topic_id, _comment(outcome))
        except Refused:
            # A topic that is gone is left so, whichever way Garoon says that it is.
            if await _board(access, fetch, outcome.now).topics([topic_id]):
                raise
        return {"step": step}

    async def notify(self, access: GaroonAccess, fetch: Fetch, notice: Notice) -> Refusal | None:
        """By REST also where the board is read by SOAP, which has nothing like it."""
        return await garoon_notice.post(fetch, access.url, access.login, access.password, access.notify_code, notice)


def _board(access: GaroonAccess, fetch: Fetch, now: datetime) -> Board:
    if access.api == "rest":
        return Rest(access.url, access.login, access.password, access.categories, fetch)
    return Soap(access.url, access.login, access.password, access.categories, fetch, now)


def _observe(seen: dict[str, _Seen], topic: Topic | None, topic_id: str, now: datetime) -> list[Observation]:
    """What a topic says that was not known; remembers it in `seen`."""
    before = seen.get(topic_id)
    if topic is None or (not topic.is_published and before is not None and before.told):
        if before is None or not before.told:
            seen.pop(topic_id, None)
            return []
        return [_removed(seen, topic, topic_id, before, now)]
    digest = hashlib.sha256("\x00".join((topic.subject, topic.body, topic.editor)).encode()).hexdigest()[:16]
    version = int(topic.updated_at.timestamp())
    is_fresh = not topic.is_published or topic.updated_at > now - _FRESH
    if before is not None and (before.version, before.digest) == (version, digest):
        before.again = is_fresh
        if before.told or not topic.is_published:
            return []
        before.told = standing_of(topic.subject)
        return [_observation(topic, version, before)]
    edit = before.edit + 1 if before is not None and before.version == version else 0
    told = standing_of(topic.subject) if topic.is_published else ""
    seen[topic_id] = _Seen(version, edit, digest, told, is_fresh)
    found = [_observation(topic, version, seen[topic_id])] if told else []
    if before is not None and before.told and before.told != told:
        # A drill and the same for real are two things: the one ends where the other begins.
        why = "書き換えられて区分が変わりました"
        end = _withdrawn(topic_id, _version(version, edit), before.told, why, now)
        found.insert(0, replace(end, author=clean(topic.editor, 200)))
    return found


def _observation(topic: Topic, version: int, seen: _Seen) -> Observation:
    is_edited = topic.updated_at > topic.created_at
    files = "\n".join(f"添付：{name}" for name in topic.files)
    return Observation(
        id=f"garoon:{topic.id}",
        incident=f"garoon:{topic.id}",
        version=_version(version, seen.edit),
        kind="changed" if is_edited else "new",
        standing=standing_of(topic.subject),
        title=clean_title(topic.subject),
        body=clean_body("\n\n".join(filter(None, (topic.body, files)))),
        observed_at=topic.updated_at.astimezone(UTC),
        type=topic.category_id,
        # Who may write urgent posts answers for what stands there now: that is whoever wrote it last.
        author=clean(topic.editor if is_edited else topic.author, 200),
        expires_at=topic.ends_at,
        url=topic.url,
        known_as=(topic.url,) if topic.url else (),
        fields={"category": clean(topic.category, 200), "by": clean(topic.author_name, 200)},
    )


def _removed(seen: dict[str, _Seen], topic: Topic | None, topic_id: str, before: _Seen, now: datetime) -> Observation:
    if topic is None:
        del seen[topic_id]
    else:
        seen[topic_id] = _Seen(int(topic.updated_at.timestamp()), before.edit + 1, again=True)
    version = _version(before.version, before.edit + 1)
    return _withdrawn(topic_id, version, before.told, "削除されたか、非公開になりました", now)


def _withdrawn(topic_id: str, version: int, told: str, why: str, now: datetime) -> Observation:
    return Observation(
        id=f"garoon:{topic_id}",
        incident=f"garoon:{topic_id}",
        version=version,
        kind="withdrawn",
        standing=cast("Standing", told),
        title="掲示が取り下げられました",
        body=f"もとになったGaroonの掲示は、{why}。",
        observed_at=now,
    )


def _version(seconds: int, edit: int) -> int:
    return seconds * 1_000 + min(edit, 999)


def _kept(seen: Mapping[str, _Seen], since: datetime) -> dict[str, list[Any]]:
    """What is remembered: the latest, and no more than fits in a row."""
    alive = [(topic_id, each) for topic_id, each in seen.items() if each.version >= since.timestamp()]
    alive.sort(key=lambda item: item[1].version, reverse=True)
    return {topic_id: each.as_json() for topic_id, each in alive[:_KNOWN_MAX]}


def _comment(outcome: Outcome) -> str:
    drill = "【訓練】" if outcome.is_drill else ""
    over = "（終了）" if outcome.is_over else ""
    return (
        f"{drill}安否・参集の確認状況{over}：対象{outcome.recipients}人のうち{outcome.acknowledged}人が確認、"
        f"連絡手段がない人{outcome.unreachable}人\n{outcome.url}"
    )
