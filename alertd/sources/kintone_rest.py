"""kintone's REST API of records (cybozu developer network: 共通仕様, クエリの書き方, フィールド形式)."""

import hashlib
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from alertd.sources.base import Answer, Fetch, Unfetched
from alertd.sources.html import to_text
from alertd.sources.json import parse_answer

PAGE: Final = 100  # records at once, of the 500 that are allowed: whole ones may be large, and addresses have 8 KB
_ANSWER_MAX: Final = 16_000_000  # bytes
_REFUSED: Final = (400, 401, 402, 403, 404, 409, 503, 520)  # with JSON that says why
_NO_RECORD: Final = "GAIA_RE01"
# What changes with every edit, whatever was edited.
_BY_ITSELF: Final = ("__REVISION__", "UPDATED_TIME", "MODIFIER")
_PEOPLE: Final = ("USER_SELECT", "ORGANIZATION_SELECT", "GROUP_SELECT", "STATUS_ASSIGNEE", "FILE")

_NUMBER: Final[TypeAdapter[str]] = TypeAdapter(Annotated[str, Field(pattern=r"^[0-9]{1,18}$")])
_TIME: Final[TypeAdapter[datetime]] = TypeAdapter(AwareDatetime)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Field(_Part):
    type: str
    value: Any = None


class _Records(_Part):
    records: Annotated[list[dict[str, _Field]], Field(max_length=PAGE)]


class _Refusal(_Part):
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A record of an app. `updated_at` is of the minute: kintone's times know no seconds."""

    id: str
    revision: int
    updated_at: datetime | None  # None: the field was not asked for, or the token may not see it
    updated_code: str  # of the field that says so
    fields: Mapping[str, _Field]

    def digest(self, ours: Collection[str]) -> str:
        """Of what people have entered: neither of `ours`, the fields that we write, nor of what every edit changes."""
        said = {
            code: field.value
            for code, field in self.fields.items()
            if code not in ours and field.type not in _BY_ITSELF
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def document(self, ours: Collection[str]) -> dict[str, Any]:
        """The record as a mapping reads it, `{件名}`, without `ours`: text, lists of words, tables as lists of rows.

        People, groups and files in lists are their names; whoever made or changed the record has `code` and `name`.
        """
        return {code: _plain(field.type, field.value) for code, field in self.fields.items() if code not in ours}


def _plain(kind: str, value: Any) -> Any:
    if kind == "RICH_TEXT" and isinstance(value, str):
        return to_text(value)
    if kind in _PEOPLE and isinstance(value, list):
        return [str(each.get("name", "")) for each in value if isinstance(each, dict)]
    if kind == "SUBTABLE" and isinstance(value, list):
        return [_row(each.get("value")) for each in value if isinstance(each, dict)]
    return value


def _row(cells: Any) -> dict[str, Any]:
    found = cells if isinstance(cells, dict) else {}
    return {
        code: _plain(str(cell.get("type", "")), cell.get("value"))
        for code, cell in found.items()
        if isinstance(cell, dict)
    }


def is_one_of(ids: Sequence[str]) -> str:
    """The condition that a record is one of these."""
    return "$id in ({})".format(", ".join(f'"{each}"' for each in ids))


class App:
    """One app, asked with its API token. `asked_at`: when the last answer was given, by kintone's own clock."""

    def __init__(self, root: str, app: str, token: str, fetch: Fetch) -> None:
        self._root = f"{root}/v1"
        self._app = app
        self._headers = {"X-Cybozu-API-Token": token}
        self._fetch = fetch
        self.asked_at: datetime | None = None

    async def newest(self) -> Record | None:
        """The record that was added last."""
        found = await self._records("order by $id desc limit 1")
        return found[0] if found else None

    async def pages(self, condition: str) -> AsyncIterator[list[Record]]:
        """All records that meet a condition, whole, by their ids.

        Each page begins after the last record of the one before: no more than 10,000 can be left out by an offset.
        """
        last = 0
        while True:
            page = await self._records(f"({condition}) and $id > {last} order by $id asc limit {PAGE}")
            ids = [int(each.id) for each in page]
            if ids and (ids != sorted(ids) or ids[0] <= last):
                raise Unfetched("its pages repeat themselves")
            yield page
            if len(page) < PAGE:
                return
            last = ids[-1]

    async def revisions(self, ids: Sequence[str], condition: str = "") -> dict[str, int]:
        """Which of these records there are, at most PAGE, and meet the condition; with their revisions."""
        query = is_one_of(ids) + (f" and ({condition})" if condition else "")
        found = await self._records(f"{query} limit {PAGE}", ("$id", "$revision"))
        return {each.id: each.revision for each in found}

    async def is_gone(self, record_id: str) -> bool:
        """Whether there is no such record any more; what may not be seen is not gone."""
        answer = await self._ask("record.json", {"app": self._app, "id": record_id}, accepted=(200, 403, 404))
        if answer.status != 404:
            return False
        refusal = parse_answer(answer, _Refusal, "kintone")
        if refusal.code != _NO_RECORD:
            raise Unfetched(_told(answer, refusal))
        return True

    async def write(self, record_id: str, values: Mapping[str, str]) -> None:
        """Put these values into a record, whoever has edited it meanwhile; nothing when there is none any more."""
        record = {code: {"value": value} for code, value in values.items()}
        body = {"app": self._app, "id": record_id, "revision": -1, "record": record}
        answer = await self._fetch(
            f"{self._root}/record.json",
            method="PUT",
            headers={**self._headers, "Content-Type": "application/json"},
            body=json.dumps(body).encode(),
            accepted=(200, *_REFUSED),
        )
        if answer.status != 200:
            refusal = parse_answer(answer, _Refusal, "kintone")
            if refusal.code != _NO_RECORD:
                raise Unfetched(_told(answer, refusal))

    async def _records(self, query: str, fields: Sequence[str] = ()) -> list[Record]:
        named = {f"fields[{number}]": code for number, code in enumerate(fields)}
        answer = await self._ask("records.json", {"app": self._app, "query": query, **named})
        return [_record(each) for each in parse_answer(answer, _Records, "kintone").records]

    async def _ask(self, what: str, parameters: Mapping[str, str], accepted: Sequence[int] = (200,)) -> Answer:
        where = f"{self._root}/{what}?{urlencode(parameters, quote_via=quote, safe='')}"
        answer = await self._fetch(where, headers=self._headers, most=_ANSWER_MAX, accepted=(200, *_REFUSED))
        if answer.status not in accepted:
            raise Unfetched(_told(answer, parse_answer(answer, _Refusal, "kintone")))
        self.asked_at = _date_of(answer)
        return answer


def _record(fields: Mapping[str, _Field]) -> Record:
    try:
        record_id, revision = (_NUMBER.validate_python(fields[code].value) for code in ("$id", "$revision"))
        code = next((code for code, field in fields.items() if field.type == "UPDATED_TIME"), "")
        updated_at = _TIME.validate_python(fields[code].value).astimezone(UTC) if code else None
    except (KeyError, ValidationError):
        raise Unfetched("kintone's answer is not as documented: a record without number, revision or time") from None
    return Record(record_id, int(revision), updated_at, code, fields)


def _told(answer: Answer, refusal: _Refusal) -> str:
    return f"kintone answered {answer.status} {refusal.code[:50]}: {refusal.message[:300]}"


def _date_of(answer: Answer) -> datetime | None:
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
