"""Feeds of CAP messages, Atom or RSS, as the world's alerting authorities publish them."""

from collections.abc import Collection, Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from alertd.sources.base import MESSAGE_MAX, Access, Answer, Desk, Fetch
from alertd.sources.feed import Following, follow

_Url = Annotated[str, Field(min_length=1, max_length=500)]


class CapAccess(Access):
    """`token`: what the feed's own host wants as a bearer token (RFC 6750). `links`: what the addresses of messages
    begin with, where they are on other hosts.
    """

    feed: _Url
    token: Annotated[str, Field(max_length=500)] = ""
    links: Annotated[tuple[_Url, ...], Field(max_length=10)] = ()

    @classmethod
    def secret(cls) -> frozenset[str]:
        return frozenset({"token"})

    def urls(self) -> tuple[str, ...]:
        return (self.feed, *self.links)


class CapFeed:
    """Follows one feed; each message is fetched once."""

    access = CapAccess
    every_seconds = 60

    async def poll(self, access: CapAccess, fetch: Fetch, desk: Desk) -> None:
        fetch = _Bearing(fetch, access)
        following = Following(access.feed, lambda _: desk.read)
        state = await follow(following, desk.cursor, fetch, desk)
        await desk.take((), state)


class _Bearing:
    """Asks the feed's own host with the token, and nobody else."""

    def __init__(self, fetch: Fetch, access: CapAccess) -> None:
        self._fetch = fetch
        self._token = access.token
        self._origin = _origin(access.feed)

    async def __call__(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most: int = MESSAGE_MAX,
        accepted: Collection[int] = (200,),
    ) -> Answer:
        own = {"Authorization": f"Bearer {self._token}"} if self._token and _origin(url) == self._origin else {}
        asked = {**(headers or {}), **own}
        return await self._fetch(url, method=method, headers=asked, body=body, most=most, accepted=accepted)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
