"""Garoon's REST API of the bulletin board (cloud, since September 2025; cybozu developer network, Garoon REST API)."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alertd.sources.base import Fetch, Unfetched
from alertd.sources.garoon_topic import Listed, Topic
from alertd.sources.html import to_text
from alertd.sources.json import parse_answer

_PAGE: Final = 100
_PAGES_MAX: Final = 20  # of a category in one look
_Number = Annotated[str, Field(pattern=r"^\d{1,18}$")]
_GONE: Final = (404, 410)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _User(_Part):
    code: str = ""
    name: str = ""


class _Line(_Part):
    id: _Number
    updatedAt: AwareDatetime


class _Page(_Part):
    topics: Annotated[list[_Line], Field(max_length=1_000)]
    hasNext: bool = False


class _Named(_Part):
    id: str = ""
    name: str = ""


class _Detail(_Part):
    id: _Number
    subject: str
    body: str = ""
    isHtmlBody: bool = False
    creator: _User = _User()
    updater: _User = _User()
    createdAt: AwareDatetime
    updatedAt: AwareDatetime
    attachments: Annotated[list[_Named], Field(max_length=1_000)] = []
    publicPeriod: dict[str, Any] = {}
    isDraft: bool = False
    isPublished: bool = True
    isExpired: bool = False
    category: _Named = _Named()


def headers_of(login: str, password: str) -> dict[str, str]:
    """What every request to a REST API of Garoon says, to be signed in by password."""
    token = base64.b64encode(f"{login}:{password}".encode()).decode("ascii")
    return {"X-Cybozu-Authorization": token, "Accept": "application/json"}


class Rest:
    """The board by REST. Removals are noticed by what is missing: the API does not report them."""

    def __init__(self, url: str, login: str, password: str, categories: Sequence[str], fetch: Fetch) -> None:
        self._root = f"{url}/api/v1/bulletin"
        self._url = url
        self._categories = categories
        self._fetch = fetch
        self._headers = headers_of(login, password)

    async def listed(self, since: datetime, known: Mapping[str, int]) -> Listed:
        """Of a category that cannot be read nothing is known to be lost; the others are looked at all the same."""
        changed: dict[str, int] = {}
        fault = ""
        for category in self._categories:
            try:
                changed |= await self._list(category, since)
            except Unfetched as error:
                fault = fault or f"category {category}: {error}"
        lost = [topic_id for topic_id in known if topic_id not in changed] if not fault else []
        return Listed(changed, lost, fault)

    async def _list(self, category: str, since: datetime) -> dict[str, int]:
        """The topics of a category that changed since. The list is not promised to be in any order."""
        found: dict[str, int] = {}
        for number in range(_PAGES_MAX):
            where = f"{self._root}/categories/{category}?limit={_PAGE}&offset={number * _PAGE}"
            page = parse_answer(await self._fetch(where, headers=self._headers), _Page, "Garoon")
            new = {each.id: int(each.updatedAt.timestamp()) for each in page.topics if each.updatedAt >= since}
            if new.keys() <= found.keys() and page.topics and new:
                raise Unfetched("its pages repeat themselves")
            found |= new
            if not page.hasNext or not page.topics or not new:
                return found
        raise Unfetched(f"more than {_PAGE * _PAGES_MAX} topics changed lately: no more are read")

    async def topics(self, ids: Sequence[str]) -> dict[str, Topic]:
        found = {}
        for topic_id in ids:
            where = f"{self._root}/topics/{topic_id}"
            answer = await self._fetch(where, headers=self._headers, accepted=(200, *_GONE))
            if answer.status not in _GONE:
                found[topic_id] = self._topic(parse_answer(answer, _Detail, "Garoon"))
        return found

    def _topic(self, told: _Detail) -> Topic:
        return Topic(
            id=told.id,
            subject=told.subject,
            body=to_text(told.body) if told.isHtmlBody else told.body,
            author=told.creator.code,
            author_name=told.creator.name,
            editor=told.updater.code or told.creator.code,
            category_id=told.category.id,
            category=told.category.name,
            created_at=told.createdAt,
            updated_at=told.updatedAt,
            is_published=told.isPublished and not told.isDraft and not told.isExpired,
            ends_at=_end_of(told.publicPeriod),
            files=[each.name for each in told.attachments if each.name],
            url=f"{self._url}/bulletin/view.csp?cid={told.category.id}&aid={told.id}",
        )


def _end_of(period: Mapping[str, Any]) -> datetime | None:
    """When a topic stops being shown. A date alone is left to Garoon: it is shown to be expired then."""
    try:
        end = datetime.fromisoformat(str(period.get("end", "")))
    except ValueError:
        return None
    return end if end.tzinfo is not None else None
