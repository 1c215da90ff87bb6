"""Garoon's SOAP API of the bulletin board (cybozu developer network, Garoon SOAP API; SOAP 1.2).

It is the one that reports removals, and the one that packages on one's own server have.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from alertd.sources.base import Fetch, Unfetched, Unreadable
from alertd.sources.garoon_topic import Listed, Topic
from alertd.sources.html import to_text
from alertd.sources.xml import Element, parse

_ENVELOPE: Final = "http://www.w3.org/2003/05/soap-envelope"
_VALID: Final = timedelta(minutes=5)
_IDS_AT_ONCE: Final = 50
_REQUEST: Final = """<?xml version="1.0" encoding="UTF-8"?>
<soap:Envelope xmlns:soap="{envelope}"><soap:Header><Action>{action}</Action>
<Security><UsernameToken><Username>{login}</Username><Password>{password}</Password></UsernameToken></Security>
<Timestamp><Created>{created}</Created><Expires>{expires}</Expires></Timestamp><Locale>jp</Locale></soap:Header>
<soap:Body><{action}>{parameters}</{action}></soap:Body></soap:Envelope>"""


class Soap:
    """The board by SOAP."""

    def __init__(
        self, url: str, login: str, password: str, categories: Sequence[str], fetch: Fetch, now: datetime
    ) -> None:
        self._url = url
        self._suffix = ".csp" if url.endswith("/g") else ""  # in the cloud
        self._login = login
        self._password = password
        self._categories = categories
        self._fetch = fetch
        self._now = now

    async def listed(self, since: datetime, known: Mapping[str, int]) -> Listed:
        """`BulletinGetTopicVersions`: what differs from the versions that we have, removals among them."""
        items = "".join(f'<topic_item xmlns="" id="{key}" version="{version}"/>' for key, version in known.items())
        wanted = "".join(f'<category_id xmlns="">{each}</category_id>' for each in self._categories)
        parameters = f'<parameters start="{_time(since)}">{items}{wanted}</parameters>'
        returns = await self._call("bulletin", "BulletinGetTopicVersions", parameters)
        told = [each.attributes for each in returns.all("topic_item")]
        removed = [each.get("id", "") for each in told if each.get("operation") == "remove"]
        changed = {each.get("id", ""): _number(each, "version") for each in told if each.get("operation") != "remove"}
        return Listed(changed, [each for each in removed if each in known])

    async def topics(self, ids: Sequence[str]) -> dict[str, Topic]:
        """`BulletinGetTopicByIds`; who wrote them by login name, from `BaseGetUsersById`."""
        found: list[Element] = []
        for start in range(0, len(ids), _IDS_AT_ONCE):
            found += await self._some(ids[start : start + _IDS_AT_ONCE])
        users = {each.attributes.get("user_id", "") for topic in found for each in topic.children if _is_person(each)}
        names = await self._names(sorted(users - {""}))
        return {topic.attributes["id"]: self._topic(topic, names) for topic in found}

    async def _some(self, ids: Sequence[str]) -> list[Element]:
        """Garoon refuses the whole question for one topic that is gone: then each is asked for by itself."""
        try:
            return await self._by_ids(ids)
        except Refused as refusal:
            if len(ids) == 1 and refusal.code.startswith("GRN_BLLT"):
                return []
            if len(ids) == 1:
                raise
        return [topic for each in ids for topic in await self._some([each])]

    async def _by_ids(self, ids: Sequence[str]) -> list[Element]:
        items = "".join(f'<topics xmlns="" topic_id={quoteattr(each)} is_draft="false"/>' for each in ids)
        returns = await self._call("bulletin", "BulletinGetTopicByIds", f"<parameters>{items}</parameters>")
        return [each for each in returns.all("topic") if each.attributes.get("id") in ids]

    async def _names(self, users: Sequence[str]) -> dict[str, str]:
        if not users:
            return {}
        items = "".join(f'<user_id xmlns="">{escape(each)}</user_id>' for each in users)
        returns = await self._call("base", "BaseGetUsersById", f"<parameters>{items}</parameters>")
        told = [each.attributes for each in returns.all("user")]
        return {each.get("key", ""): each.get("login_name", "") for each in told}

    async def add_comment(self, topic_id: str, text: str) -> None:
        """`BulletinAddFollows`. Raises Unfetched, where the topic allows no comments as well."""
        follow = f'<follow xmlns="" topic_id={quoteattr(topic_id)} text={quoteattr(text)}/>'
        parameters = f'<parameters><add_follow xmlns="">{follow}</add_follow></parameters>'
        await self._call("bulletin", "BulletinAddFollows", parameters)

    def _topic(self, told: Element, names: Mapping[str, str]) -> Topic:
        content, creator, modifier = told.find("content"), told.find("creator"), told.find("modifier")
        if content is None or creator is None:
            raise Unfetched(f"Garoon's answer is not as documented: topic {told.attributes['id']} lacks its content")
        last = modifier if modifier is not None else creator
        is_html = bool(content.attributes.get("html_body"))
        body = content.attributes.get("html_body") or content.attributes.get("body", "")
        flag = told.attributes.get
        category = flag("category_id", "")
        return Topic(
            id=told.attributes["id"],
            subject=flag("subject", ""),
            body=to_text(body) if is_html else body,
            author=names.get(creator.attributes.get("user_id", ""), ""),
            author_name=creator.attributes.get("name", ""),
            editor=names.get(last.attributes.get("user_id", ""), ""),
            category_id=category,
            category="",
            created_at=_moment(creator),
            updated_at=datetime.fromtimestamp(_number(told.attributes, "version"), UTC),
            is_published=flag("published", "true") == "true"
            and flag("expired") != "true"
            and flag("is_draft") != "true",
            ends_at=_maybe(flag("end_datetime", "")),
            files=[each.attributes.get("name", "") for each in content.all("file")],
            url=f"{self._url}/bulletin/view{self._suffix}?cid={category}&aid={told.attributes['id']}",
        )

    async def _call(self, service: str, action: str, parameters: str) -> Element:
        """What `action` returns. Raises Refused for a fault, Unfetched for whatever else it is not."""
        body = _REQUEST.format(
            envelope=_ENVELOPE,
            action=action,
            login=escape(self._login),
            password=escape(self._password),
            created=_time(self._now),
            expires=_time(self._now + _VALID),
            parameters=parameters,
        )
        answer = await self._fetch(
            f"{self._url}/cbpapi/{service}/api{self._suffix}",
            method="POST",
            headers={"Content-Type": "text/xml; charset=UTF-8"},
            body=body.encode(),
            accepted=(200, 400, 500),
        )
        try:
            root = parse(answer.body)
        except Unreadable as error:
            raise Unfetched(
                f"Garoon answered with something else than SOAP: {error}: is it the right address?"
            ) from None
        fault = root.find("Body/Fault")
        if fault is not None:
            code = next((each.text.strip() for each in fault.walk() if each.name == "code"), "")
            words = next((each.text.strip() for each in fault.walk() if each.name in ("Text", "cause")), "")
            raise Refused(code, f"Garoon refuses {action}: {code} {' '.join(words.split())[:200]}")
        returns = next((each for each in root.walk() if each.name == "returns"), None)
        if answer.status != 200 or returns is None:
            raise Unfetched(f"Garoon's answer to {action} is not as documented: it returns nothing")
        return returns


class Refused(Unfetched):
    """A SOAP fault, with Garoon's code of it."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


def _is_person(element: Element) -> bool:
    return element.name in ("creator", "modifier")


def _number(attributes: Mapping[str, str], name: str) -> int:
    text = attributes.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise Unfetched(f"Garoon's answer is not as documented: {name} is {text[:50]!r}")
    return int(text)


def _moment(element: Element) -> datetime:
    found = _maybe(element.attributes.get("date", ""))
    if found is None:
        raise Unfetched("Garoon's answer is not as documented: a topic without the time at which it was made")
    return found


def _maybe(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
