"""Asking other sides over HTTP: whatever they answer, it stays within bounds, and nobody else is asked."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web

from alertd.sources.base import Unfetched
from channels.hosts import Hosts
from tests.providers.thread import HttpThread
from workers.fetching import HttpFetch


class Other(HttpThread):
    """Another side. `seen`: the headers of what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, str]] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/plain", self._plain),
            web.post("/plain", self._plain),
            web.get("/elsewhere", self._elsewhere),
            web.get("/endless", self._endless),
            web.get("/bomb", self._bomb),
            web.get("/short", self._short),
        ]

    async def _plain(self, request: web.Request) -> web.Response:
        self.seen.append({**request.headers, "body": await request.text()})
        return web.Response(text="hello", headers={"Set-Cookie": "a=b", "ETag": '"1"'})

    async def _elsewhere(self, _: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"{self.url}/plain"})

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while not self.closing.is_set():
            await answer.write(b"x" * 65_536)
        return answer

    async def _bomb(self, _: web.Request) -> web.Response:
        packed = zlib.compress(b"\0" * 200_000_000, 9)
        return web.Response(body=packed, headers={"Content-Encoding": "deflate"})

    async def _short(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return answer


@pytest.fixture
def other() -> Iterator[Other]:
    with Other() as server:
        yield server


@pytest.fixture
async def fetch(other: Other) -> AsyncIterator[HttpFetch]:
    made = HttpFetch(Hosts.parse(other.host, ("known.example",)), "alertd/test")
    yield made
    await made.close()


async def test_an_answer_comes_whole_and_leaves_nothing_behind(fetch: HttpFetch, other: Other) -> None:
    answer = await fetch(f"{other.url}/plain", method="POST", headers={"X-Key": "k"}, body=b"asked")
    assert (answer.status, answer.body, answer.headers["etag"]) == (200, b"hello", '"1"')
    await fetch(f"{other.url}/plain")
    first, second = other.seen
    assert (first["X-Key"], first["User-Agent"], first["body"]) == ("k", "alertd/test", "asked")
    assert "Cookie" not in second


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/elsewhere", "302, and sends us elsewhere"),
        ("/endless", "more than 100000 bytes"),
        ("/bomb", "more than 100000 bytes"),
        ("/short", "http://127.0.0.1"),
        ("/nothing", "answered 404 Not Found"),
    ],
)
async def test_what_is_no_answer_is_told_in_words(fetch: HttpFetch, other: Other, path: str, words: str) -> None:
    with pytest.raises(Unfetched) as caught:
        await fetch(f"{other.url}{path}", most=100_000)
    assert words in str(caught.value)
    assert other.seen == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://unknown.example/feed", "unknown.example"),
        ("http://known.example/feed", "must be https on port 443"),
        ("https://169.254.169.254/latest", "169.254.169.254"),
        ("https://known.example:8443/feed", "must be https on port 443"),
        ("file:///etc/passwd", "must be https"),
        ("https://known.example@evil.example/", "evil.example"),
        ("http://[::1", "no address"),
    ],
)
async def test_only_hosts_that_the_operator_named_are_asked(fetch: HttpFetch, url: str, words: str) -> None:
    with pytest.raises(Unfetched) as caught:
        await fetch(url)
    assert words in str(caught.value)


async def test_a_side_that_is_gone_is_told(fetch: HttpFetch, other: Other) -> None:
    other.stop_listening()
    with pytest.raises(Unfetched, match=r"http://127\.0\.0\.1"):
        await fetch(f"{other.url}/plain")


async def test_several_are_asked_at_once(fetch: HttpFetch, other: Other) -> None:
    answers = await asyncio.gather(*(fetch(f"{other.url}/plain") for _ in range(20)))
    assert {answer.body for answer in answers} == {b"hello"}
