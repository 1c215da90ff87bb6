"""Records of a kintone app: what is added, edited and deleted there, looked at again and again.

kintone's webhooks are unsigned, sent once and not for every change. They only say that it is time to look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, cast

from pydantic import Field, field_validator

from alertd.core.observation import Observation, Standing
from alertd.sources.base import Access, Desk, Fetch, Mapped, Outcome, Unfetched, Unreadable
from alertd.sources.kintone_rest import PAGE, App, Record, is_one_of

KEPT: Final = timedelta(days=30)  # since the last edit: for so long a record's end is noticed
_FIRST_LOOK: Final = timedelta(hours=1)  # what was edited before, when an app is read for the first time, is history
_AGAIN: Final = timedelta(minutes=3)  # how far each look reaches back: times are of the minute, and edits take a while
_UNREAD: Final = timedelta(hours=1)  # for so long a record is tried again that could not be read
_TOLD_MAX: Final = 2_000


class KintoneAccess(Access):
    """`url`: https://example.cybozu.com. `guest`: the number of the guest space that the app is in, if it is in one.

    `query`: a condition in kintone's own language, without `order by` and `limit`; of other records nothing is said.
    `state_field`: the code of a text field into which it is written how the alert stands; empty: nothing is written.
    """

    url: Annotated[str, Field(min_length=1, max_length=500)]
    app: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]
    guest: Annotated[str, Field(pattern=r"^[0-9]{0,18}$")] = ""
    token: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]
    query: Annotated[str, Field(max_length=500)] = ""
    state_field: Annotated[str, Field(max_length=128)] = ""

    @field_validator("url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @classmethod
    def secret(cls) -> frozenset[str]:
        return frozenset({"token"})

    def urls(self) -> tuple[str, ...]:
        return (self.root,)

    def writes_back(self) -> bool:
        return bool(self.state_field)

    @property
    def root(self) -> str:
        return f"{self.url}/k" + (f"/guest/{self.guest}" if self.guest else "")

    @property
    def ours(self) -> tuple[str, ...]:
        """The fields that we write: what stands there is never read."""
        return (self.state_field,) if self.state_field else ()

    def reference(self, record_id: str) -> str:
        return f"kintone:{self.app}:{record_id}"


@dataclass(slots=True)
class _Seen:
    """What is remembered of a record."""

    revision: int
    digest: str = ""  # of what people have entered when it was last taken; empty: it was not, or it is over
    told: str = ""  # the standing under which it was observed: its end belongs to the same; empty: it was not
    at: float = 0.0  # when it was last edited, in seconds since 1970
    is_unread: bool = False

    def as_json(self) -> list[Any]:
        return [self.revision, self.digest, self.told, self.at, self.is_unread]


@dataclass(slots=True)
class _Memory:
    """What is remembered of an app."""

    app: str
    since: datetime  # edits before are known
    updated: str = ""  # the code of the field that says when; empty: no record was ever seen
    last: int = 0  # the greatest id that was seen: what is added may say of itself that it is old
    turn: int = 0  # which of the records that were told are looked for next
    seen: dict[str, _Seen] = field(default_factory=dict)

    @classmethod
    def of(cls, cursor: Mapping[str, Any]) -> "_Memory":
        seen = {record_id: _Seen(*told) for record_id, told in cursor["seen"].items()}
        return cls(**{**cursor, "since": datetime.fromisoformat(cursor["since"]), "seen": seen})

    def as_json(self) -> dict[str, Any]:
        return {
            "app": self.app,
            "since": self.since.isoformat(),
            "updated": self.updated,
            "last": self.last,
            "turn": self.turn,
            "seen": {record_id: each.as_json() for record_id, each in self.seen.items()},
        }

    @property
    def condition(self) -> str:
        """Which records may have changed."""
        parts = [f"$id > {self.last}"]
        if self.updated:
            parts.append(f'{self.updated} >= "{self.since:%Y-%m-%dT%H:%M:00Z}"')
        unread = [record_id for record_id, each in self.seen.items() if each.is_unread][:PAGE]
        if unread:
            parts.append(is_one_of(unread))
        return " or ".join(parts)

    def is_new(self, record: Record) -> bool:
        before = self.seen.get(record.id)
        return before is None or before.is_unread or before.revision < record.revision

    def note(self, page: Sequence[Record]) -> None:
        """These were looked at."""
        self.last = max([self.last, *(int(each.id) for each in page)])
        self.updated = next((each.updated_code for each in page if each.updated_code), self.updated)

    def forget(self, now: datetime) -> None:
        """Leave what can make no difference any more."""
        edges = {"told": now - KEPT, "unread": now - _UNREAD, "": self.since - _AGAIN}
        for record_id, each in list(self.seen.items()):
            edge = edges["told" if each.told else "unread" if each.is_unread else ""]
            if each.at < edge.timestamp():
                del self.seen[record_id]
        told = sorted((each.at, record_id) for record_id, each in self.seen.items() if each.told)
        for _, record_id in told[:-_TOLD_MAX]:
            del self.seen[record_id]


class Kintone:
    """Polls one app. A look that finds nothing costs one request, two when there are records whose end is watched for;
    kintone allows 10,000 a day for an app.
    """

    access = KintoneAccess
    every_seconds = 30

    async def poll(self, access: KintoneAccess, fetch: Fetch, desk: Desk) -> None:
        if desk.mapping is None:
            raise Unreadable("the rules do not say how to read its records: write [mapping.…] with its name there")
        app = App(access.root, access.app, access.token, fetch)
        memory = await _remember(access, app, desk)
        look = _Look(access, desk.mapping, memory, desk.now)
        asked_at = None  # by kintone's clock, which stamps its records; where clocks differ, rather too early
        try:
            async for page in app.pages(memory.condition):
                asked_at = asked_at or app.asked_at
                found = await look.read(app, page)
                if found:
                    await desk.take(found, memory.as_json())
        except Unfetched:
            # Perhaps the field has another code by now.
            await desk.take((), {**memory.as_json(), "updated": ""})
            raise
        if asked_at is not None:
            memory.since = max(memory.since, min(asked_at, desk.now) - _AGAIN)
        memory.forget(desk.now)
        await desk.take(await look.ended(app), memory.as_json())
        if look.faults:
            raise Unreadable(look.faults[0])

    async def write_back(
        self, access: KintoneAccess, fetch: Fetch, outcome: Outcome, before: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """The counts as they are, in one field, whenever they have changed. A record that is gone is left so."""
        prefix = access.reference("")
        text = _state(outcome)
        if not outcome.incident.startswith(prefix) or (before is not None and before.get("text") == text):
            return None
        app = App(access.root, access.app, access.token, fetch)
        await app.write(outcome.incident.removeprefix(prefix), {access.state_field: text})
        return {"text": text}


async def _remember(access: KintoneAccess, app: App, desk: Desk) -> _Memory:
    """What was kept of this very app; else, and where the field of the time of edits is not known, what it says now."""
    name = f"{access.root}/{access.app}"
    is_known = desk.cursor.get("app") == name
    memory = _Memory.of(desk.cursor) if is_known else _Memory(name, desk.now - _FIRST_LOOK)
    if memory.updated:
        return memory
    newest = await app.newest()
    if newest is not None and not newest.updated_code:
        raise Unfetched("the token may not see when records were edited (更新日時)")
    if not is_known:
        memory.since = min(app.asked_at or desk.now, desk.now) - _FIRST_LOOK
        memory.last = int(newest.id) if newest is not None else 0
    memory.updated = newest.updated_code if newest is not None else ""
    return memory


class _Look:
    """One look at an app: what is found, and what could not be read."""

    def __init__(self, access: KintoneAccess, mapping: Mapped, memory: _Memory, now: datetime) -> None:
        self._access = access
        self._mapping = mapping
        self._memory = memory
        self._now = now
        self.faults: list[str] = []

    async def read(self, app: App, page: Sequence[Record]) -> list[Observation]:
        """What the records of a page say that was not known; remembers it."""
        new = [each for each in page if self._memory.is_new(each)]
        wanted = {each.id: each.revision for each in new}
        if self._access.query and new:
            wanted = await app.revisions(list(wanted), self._access.query)
        found: list[Observation] = []
        for record in new:
            # One that was edited since is left to the next look, which sees it whole.
            if wanted.get(record.id, record.revision) == record.revision:
                found += self._observe(record, is_wanted=record.id in wanted)
        self._memory.note(page)
        return found

    def _observe(self, record: Record, *, is_wanted: bool) -> list[Observation]:
        before = self._memory.seen.get(record.id, _Seen(0))
        at = (record.updated_at or self._now).timestamp()
        digest = record.digest(self._access.ours)
        if before.digest == digest and not before.is_unread:
            # Nothing but what we wrote ourselves, or nothing at all.
            self._memory.seen[record.id] = replace(before, revision=record.revision, at=at)
            return []
        if not is_wanted:
            self._memory.seen[record.id] = _Seen(record.revision, at=at)
            told = "条件に当てはまらなくなりました"
            return [self._withdrawn(record.id, before, record.revision, told)] if before.told else []
        try:
            said = self._say(record, before)
        except Unreadable as fault:
            if not (before.is_unread and before.revision == record.revision):
                self.faults.append(f"record {record.id}: {fault}")
            self._memory.seen[record.id] = replace(before, revision=record.revision, at=at, is_unread=True)
            return []
        told = said.standing if said.kind != "withdrawn" else ""
        self._memory.seen[record.id] = _Seen(record.revision, digest, told, at)
        if before.told and before.told != said.standing:
            # A drill and the same for real are two things: the one ends where the other begins.
            end = self._withdrawn(record.id, before, record.revision, "区分が変わりました")
            return [replace(end, author=said.author), said]
        return [said]

    def _say(self, record: Record, before: _Seen) -> Observation:
        found = self._mapping.apply(record.document(self._access.ours))
        if len(found) != 1:
            raise Unreadable("a record must be one observation: the mapping must not name items")
        said, url = found[0], f"{self._access.root}/{self._access.app}/show#record={record.id}"
        return replace(
            said,
            id=self._access.reference(record.id),
            incident=self._access.reference(record.id),
            version=record.revision,
            kind=said.kind if said.kind == "withdrawn" else "changed" if before.told else "new",
            url=url,
            known_as=(*said.known_as, url),
        )

    def _withdrawn(self, record_id: str, before: _Seen, version: int, why: str) -> Observation:
        return Observation(
            id=self._access.reference(record_id),
            incident=self._access.reference(record_id),
            version=version,
            kind="withdrawn",
            standing=cast("Standing", before.told),
            title="kintoneのレコードが取り下げられました",
            body=f"もとになったkintoneのレコードは、{why}。",
            observed_at=self._now,
        )

    async def ended(self, app: App) -> list[Observation]:
        """The ends of records that were told and are deleted: some are looked for at each look, all in their turn."""
        memory = self._memory
        told = sorted((record_id for record_id, each in memory.seen.items() if each.told), key=int, reverse=True)
        if not told:
            return []
        memory.turn = memory.turn if memory.turn < len(told) else 0
        asked = told[memory.turn : memory.turn + PAGE]
        memory.turn += PAGE
        there = await app.revisions(asked)
        found = []
        for record_id in asked:
            if record_id not in there and await app.is_gone(record_id):
                before = memory.seen.pop(record_id)
                found.append(self._withdrawn(record_id, before, before.revision + 1, "削除されました"))
        return found


def _state(outcome: Outcome) -> str:
    drill = "【訓練】" if outcome.is_drill else ""
    over = "（終了）" if outcome.is_over else ""
    return (
        f"{drill}確認状況{over}：対象{outcome.recipients}人のうち{outcome.acknowledged}人が確認、"
        f"連絡手段がない人{outcome.unreachable}人 {outcome.url}"
    )
