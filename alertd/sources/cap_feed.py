"""Feeds of CAP messages, Atom or RSS, as the world's alerting authorities publish them."""

from typing import Annotated

from pydantic import Field

from alertd.sources import cap
from alertd.sources.base import Access, Desk, Fetch
from alertd.sources.feed import Following, follow

_Url = Annotated[str, Field(min_length=1, max_length=500)]


class CapAccess(Access):
    """`links`: what the addresses of messages begin with, where they are on other hosts than the feed."""

    feed: _Url
    links: Annotated[tuple[_Url, ...], Field(max_length=10)] = ()

    def urls(self) -> tuple[str, ...]:
        return (self.feed, *self.links)


class CapFeed:
    """Follows one feed; each message is fetched once."""

    access = CapAccess
    every_seconds = 60

    async def poll(self, access: CapAccess, fetch: Fetch, desk: Desk) -> None:
        following = Following(access.feed, lambda _: cap.read)
        state = await follow(following, desk.cursor, fetch, desk)
        await desk.take((), state)
