"""The Agency's feeds (気象庁防災情報XML, PULL型), and its rule: whoever fetches a telegram twice is shut out."""

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape

from aiohttp import web

from tests.providers.thread import HttpThread

_FEED = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="ja">
<title>高頻度（随時）</title><subtitle>JMAXML publishing feed</subtitle>
<updated>{updated}</updated><id>{id}</id>
<link rel="related" href="https://www.jma.go.jp/"/><link rel="self" href="{id}"/>
{entries}</feed>
"""
_ENTRY = """<entry><title>{title}</title><id>{url}</id><updated>{updated}</updated>
<author><name>松山地方気象台</name></author><link type="application/xml" href="{url}"/>
<content type="text">【お知らせ】</content></entry>
"""


class JmaServer(HttpThread):
    """Short and long feeds of what was published. `requests`: what was asked for, by path, with the status answered."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[tuple[str, int]] = []
        self.shut_out = False
        self.broken: web.Response | None = None  # what every feed answers instead
        self._telegrams: dict[str, bytes] = {}
        self._listed: dict[str, list[tuple[str, str, datetime]]] = {"extra": [], "eqvol": []}
        self._old: set[str] = set()  # not in the short feeds any more
        self._fetched: set[str] = set()

    @property
    def access(self) -> dict[str, list[str]]:
        """How a source of ours asks here."""
        return {"feeds": [f"{self.url}/developer/xml/feed/{name}.xml" for name in self._listed]}

    def publish(
        self, feed: str, kind: str, telegram: bytes, *, office: str = "380000", at: datetime | None = None
    ) -> str:
        """Put a telegram on a feed; its file's name."""
        moment = at or datetime.now(UTC)
        with self.changed:
            name = f"{moment:%Y%m%d%H%M%S}_{len(self._telegrams)}_{kind}_{office}.xml"
            self._telegrams[name] = telegram
            self._listed[feed].append((name, kind, moment))
            self.changed.notify_all()
        return name

    def forget_short(self) -> None:
        """Let the short feeds list only what comes from now on, as they do after some minutes."""
        with self.changed:
            self._old.update(self._telegrams)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/developer/xml/feed/{name}.xml", self._feed),
            web.get("/developer/xml/data/{name}", self._data),
        ]

    def _note(self, request: web.Request, answer: web.Response) -> web.Response:
        with self.changed:
            self.requests.append((request.path, answer.status))
            self.changed.notify_all()
        return answer

    async def _feed(self, request: web.Request) -> web.Response:
        if self.broken is not None:
            broken = web.Response(status=self.broken.status, body=self.broken.body, headers=self.broken.headers)
            return self._note(request, broken)
        name = request.match_info["name"]
        is_long = name.endswith("_l")
        listed = self._listed.get(name.removesuffix("_l"))
        if self.shut_out or listed is None:
            return self._note(request, web.Response(status=403 if self.shut_out else 404))
        shown = sorted((each for each in listed if is_long or each[0] not in self._old), key=lambda each: each[2])
        entries = "".join(
            _ENTRY.format(title=escape(kind), url=f"{self.url}/developer/xml/data/{file}", updated=_time(moment))
            for file, kind, moment in reversed(shown)
        )
        updated = shown[-1][2] if shown else datetime(2026, 1, 1, tzinfo=UTC)
        body = _FEED.format(updated=_time(updated), id=f"{self.url}{request.path}", entries=entries).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {"ETag": etag, "Last-Modified": format_datetime(updated, usegmt=True)}
        if request.headers.get("If-None-Match") == etag:
            return self._note(request, web.Response(status=304, headers=headers))
        return self._note(request, web.Response(body=body, content_type="application/xml", headers=headers))

    async def _data(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if self.shut_out or name in self._fetched:
            self.shut_out = True
            return self._note(request, web.Response(status=403))
        if name not in self._telegrams:
            return self._note(request, web.Response(status=404))
        self._fetched.add(name)
        return self._note(request, web.Response(body=self._telegrams[name], content_type="application/xml"))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
