"""The Agency's PULL feeds (気象庁防災情報XML, PULL型): which telegrams there are, each fetched once ever.

The Agency asks for that, and shuts out addresses that download again and again.
"""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field

from alertd.sources import jma
from alertd.sources.base import Access, Desk, Fetch, Reader, Unfetched, Unreadable
from alertd.sources.feed import Entry, Following, follow

FEEDS: Final = (
    "https://www.data.jma.go.jp/developer/xml/feed/extra.xml",
    "https://www.data.jma.go.jp/developer/xml/feed/eqvol.xml",
)
# What telegrams that are read begin with, and with them whatever is new among the warnings.
TYPES: Final = ("VXSE51", "VXSE53", "VTSE", "VPWW", "VXWW", "VXKO", "VFVO5", "VPOA", "VYSE")
_NAME: Final = re.compile(r"_([A-Z]{4}\d{2})_(\d{6})\.xml$")  # 20260528031500_0_VPWW54_380000.xml
_BY_OFFICE: Final = ("VPWW", "VXWW", "VPOA")

_Word = Annotated[str, Field(min_length=1, max_length=50)]


class JmaAccess(Access):
    """`types`: what the codes of wanted telegrams begin with. `offices`: where each office issues them for its own
    prefecture, only theirs (380000); all when empty.
    """

    feeds: Annotated[tuple[Annotated[str, Field(max_length=500)], ...], Field(min_length=1, max_length=10)] = FEEDS
    types: Annotated[tuple[_Word, ...], Field(min_length=1, max_length=100)] = TYPES
    offices: Annotated[tuple[Annotated[str, Field(pattern=r"^\d{6}$")], ...], Field(max_length=100)] = ()

    def urls(self) -> tuple[str, ...]:
        return self.feeds


class JmaFeed:
    """Follows the feeds, and the long form of each after a gap (`extra_l.xml` beside `extra.xml`)."""

    access = JmaAccess
    every_seconds = 60  # the feeds are made anew every minute

    async def poll(self, access: JmaAccess, fetch: Fetch, desk: Desk) -> None:
        """Looks at every feed, even when another is broken. Raises the first fault."""
        states = dict(desk.cursor.get("feeds", {}))
        faults: list[Exception] = []
        for url in access.feeds:
            longer = re.sub(r"(?<!_l)\.xml$", "_l.xml", url)
            following = Following(url, _reader, lambda entry: _is_wanted(entry, access), longer)
            try:
                states[url] = await follow(following, states.get(url, {}), fetch, desk)
            except (Unfetched, Unreadable) as error:
                faults.append(error)
                continue
            await desk.take((), {"feeds": states})
        if faults:
            raise faults[0]


def _reader(entry: Entry) -> Reader:
    return lambda raw: jma.read(raw, urlsplit(entry.url).path)


def _is_wanted(entry: Entry, access: JmaAccess) -> bool:
    """By the file's name; what has no such name is looked at."""
    found = _NAME.search(urlsplit(entry.url).path)
    if found is None:
        return True
    kind, office = found.groups()
    if not kind.startswith(access.types):
        return False
    return not (access.offices and kind.startswith(_BY_OFFICE)) or office in access.offices
