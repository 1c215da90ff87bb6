"""The moment at which a socket changes hands, and what only many sockets show: nothing may be lost there."""

import asyncio
import contextlib
import gc
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from alertd.core.stream import FRAME_MAX
from alertd.hub import Connection, Handshake, HttpProtocol
from alertd.hub.handover import AT_ONCE
from tests.hub.cases import ping_of
from tests.hub.raw import CLOSE, CONTINUATION, PING, PONG, TEXT, Raw, close, fragments, frame, request
from tests.providers.thread import HOST
from tests.services import wait_until
from tests.web.server import PATIENCE, Site, Town
from tests.web.server import frame as frame_of

EARLY = frame(PING, b"early") + b"".join(fragments(ping_of(40), 24)) + frame(PING, b"last")


def heard(line: Raw) -> list[tuple[int, Any]]:
    """What is answered up to the last pong: pongs by payload, texts by type."""
    found: list[tuple[int, Any]] = []
    while not found or found[-1] != (PONG, b"last"):
        received = line.receive()
        assert received is not None
        opcode, payload = received
        found.append((opcode, json.loads(payload)["type"] if opcode == TEXT else payload))
    return found


def check(line: Raw) -> None:
    assert heard(line) == [(TEXT, "hello"), (PONG, b"early"), (TEXT, "pong"), (PONG, b"last")]


class TestBytes:
    @pytest.mark.parametrize("cut", range(len(EARLY) + 1))
    def test_what_comes_with_the_request_and_right_after_it_is_not_lost(self, standing_town: Town, cut: int) -> None:
        with Raw(standing_town.site.url) as line:
            line.send(request(line.url, standing_town.tokens["staff"]) + EARLY[:cut])
            line.send(EARLY[cut:])
            line.take_answer()
            check(line)

    @pytest.mark.parametrize("pause", [0, 0.0002, 0.001])
    def test_octet_by_octet_through_the_hand_over(self, standing_town: Town, pause: float) -> None:
        with Raw(standing_town.site.url) as line:
            line.send(request(line.url, standing_town.tokens["staff"]))
            for octet in EARLY:
                line.send(bytes([octet]))
                time.sleep(pause)
            line.take_answer()
            check(line)

    def test_a_request_octet_by_octet(self, standing_town: Town) -> None:
        with Raw(standing_town.site.url) as line:
            for octet in request(line.url, standing_town.tokens["staff"]) + EARLY:
                line.send(bytes([octet]))
            line.take_answer()
            check(line)

    def test_more_than_is_kept_waits_in_the_kernel(self, standing_town: Town) -> None:
        many = [frame(TEXT, ping_of(FRAME_MAX)) for _ in range(40)]
        with Raw(standing_town.site.url) as line:
            line.send(request(line.url, standing_town.tokens["staff"]) + b"".join(many) + frame(PING, b"last"))
            line.take_answer()
            assert heard(line).count((TEXT, "pong")) == len(many)

    def test_whoever_is_refused_hears_why_whatever_they_have_sent(self, standing_town: Town) -> None:
        with Raw(standing_town.site.url) as line:
            line.send(request(line.url, "nonsense") + frame(TEXT, b"early", fin=False) + frame(CONTINUATION, b"!"))
            line.take_answer()
            said, (opcode, payload) = line.receive() or (0, b""), line.receive() or (0, b"")
            assert json.loads(said[1])["code"] == "unauthenticated"
            assert (opcode, struct.unpack("!H", payload[:2])) == (CLOSE, (4401,))
            line.send(close(4401))
            assert line.receive() is None

    @pytest.mark.parametrize("sent", ["nothing", "half a frame", "a close"])
    def test_whoever_leaves_meanwhile_leaves_nothing_behind(self, open_site: Callable[..., Site], sent: str) -> None:
        site = open_site()
        token = Town(site).tokens["staff"]
        early = {"nothing": b"", "half a frame": EARLY[:5], "a close": close(1000)}[sent]
        for _ in range(20):
            with Raw(site.url) as line:
                line.send(request(line.url, token) + early)
        with Raw(site.url).open(token) as line:
            line.receive()
            wait_until(lambda: site.hub.size == 1, PATIENCE)


def test_uvicorn_is_the_one_that_this_was_made_for() -> None:
    # What is leaned on inside of uvicorn; the other tests show that it still means the same.
    assert uvicorn.__version__.startswith("0.54.")
    made = set(HttpToolsProtocol.__init__.__code__.co_names)
    assert made >= {"app", "app_state", "connections", "parser", "scope", "tasks", "transport"}
    assert "_should_upgrade_to_ws" in HttpToolsProtocol._should_upgrade.__code__.co_names
    assert "handle_websocket_upgrade" in HttpToolsProtocol.data_received.__code__.co_names
    assert {"url", "headers", "scope"} <= set(HttpToolsProtocol.on_message_begin.__code__.co_names)


class TestRefusals:
    """Requests that are no handshake (RFC 6455 section 4.2.1), and one for what is not there."""

    @pytest.mark.parametrize(
        ("right", "wrong", "status"),
        [
            (b"GET ", b"POST ", 405),
            (b"HTTP/1.1", b"HTTP/1.0", 505),
            (b"Version: 13", b"Version: 8", 426),
            (b"Version: 13", b"Versions: 13", 400),
            (b"Version: 13", b"Version: 13\r\nSec-WebSocket-Version: 13", 400),
            (b"Sec-WebSocket-Key", b"Sec-WebSocket-Lock", 400),
            (b"Sec-WebSocket-Key", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key", 400),
            (b"==\r\n", b"\r\n", 400),
            (b"==\r\n", b"AA==\r\n", 400),
            (b"/stream", b"/streams", 403),
            (b"/stream", b"/posts", 403),
            (b"/stream", b"/stre%E3%81am", 403),
        ],
    )
    def test_it_is_told_so_and_hung_up_on(self, standing_town: Town, right: bytes, wrong: bytes, status: int) -> None:
        with Raw(standing_town.site.url) as line:
            asked = request(line.url, standing_town.tokens["staff"])
            assert right in asked
            line.send(asked.replace(right, wrong, 1) + frame(PING, b"early"))
            answer = line.everything()
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"\r\nContent-Length: %d\r\n" % len(body) in head
        assert (b"\r\nSec-WebSocket-Version: 13\r\n" in head) is (status == 426)

    def test_another_one_on_the_same_line_is_right(self, standing_town: Town) -> None:
        with Raw(standing_town.site.url) as line:
            line.send(b"HEAD /health/live HTTP/1.1\r\nHost: here\r\n\r\n")
            line.take_headers(200)
            line.open(standing_town.tokens["staff"])
            line.receive()
            line.send(frame(PING, b"here"))
            assert line.receive() == (PONG, b"here")


class Gate:
    """An application that lets nobody in before it is opened; what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.opened = asyncio.Event()

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.asked.append(scope["query_string"].decode())
        await self.opened.wait()
        if "break" in self.asked[-1]:
            raise RuntimeError(self.asked[-1])
        await send({"type": "websocket.close"})


@contextlib.asynccontextmanager
async def gated() -> AsyncIterator[tuple[Gate, str]]:
    gate, listening = Gate(), socket.create_server((HOST, 0))
    server = uvicorn.Server(
        uvicorn.Config(gate, http=HttpProtocol, ws="none", log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield gate, f"http://{HOST}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def ask(url: str, query: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request(url, "token", query))
    return reader, writer


async def hang_up(lines: Iterable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
    for _, writer in lines:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class TestTurns:
    async def test_so_many_are_before_the_application_at_once_and_the_others_after_them(self) -> None:
        async with gated() as (gate, url):
            first = [await ask(url, f"?{number}") for number in range(AT_ONCE)]
            await asyncio.to_thread(wait_until, lambda: len(gate.asked) == AT_ONCE, PATIENCE)
            later = [await ask(url, f"?{number}") for number in range(AT_ONCE, AT_ONCE + 40)]
            gone, here = later[:20], later[20:]
            await hang_up(gone)
            await asyncio.sleep(0.2)
            assert len(gate.asked) == AT_ONCE
            gate.opened.set()
            for reader, _ in (*first, *here):
                assert (await asyncio.wait_for(reader.readline(), PATIENCE)).startswith(b"HTTP/1.1 403 ")
            assert gate.asked[AT_ONCE:] == [f"{number}" for number in range(AT_ONCE + 20, AT_ONCE + 40)]
            await hang_up((*first, *here))

    async def test_whoever_leaves_or_breaks_gives_their_turn_back(self) -> None:
        async with gated() as (gate, url):
            first = [await ask(url, f"?break{number}") for number in range(AT_ONCE)]
            await asyncio.to_thread(wait_until, lambda: len(gate.asked) == AT_ONCE, PATIENCE)
            await hang_up(first[::2])
            gate.opened.set()
            for reader, _ in first[1::2]:
                assert (await asyncio.wait_for(reader.readline(), PATIENCE)).startswith(b"HTTP/1.1 500 ")
            gate.opened.clear()
            again = [await ask(url, f"?{number}") for number in range(AT_ONCE)]
            await asyncio.to_thread(wait_until, lambda: len(gate.asked) == 2 * AT_ONCE, PATIENCE)
            await hang_up((*first[1::2], *again))
            gate.opened.set()

    async def test_whoever_waits_when_the_server_stops_is_told_so(self) -> None:
        async with gated() as (gate, url):
            lines = [await ask(url, f"?{number}") for number in range(AT_ONCE + 1)]
            await asyncio.to_thread(wait_until, lambda: len(gate.asked) == AT_ONCE, PATIENCE)
        for reader, _ in lines:
            assert (await asyncio.wait_for(reader.readline(), PATIENCE)).startswith(b"HTTP/1.1 503 ")
        await hang_up(lines)


async def test_a_handshake_leaves_nothing_behind_for_the_garbage_collector(town: Town) -> None:
    def count() -> int:
        return sum(type(each) in (Connection, Handshake, HttpProtocol) for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            async with town.stream("staff") as stream:
                await frame_of(stream)
        await asyncio.to_thread(wait_until, lambda: count() == 0, PATIENCE)
    finally:
        gc.enable()


def test_one_that_does_not_read_is_let_go_and_resumes_while_others_go_on(open_site: Callable[..., Site]) -> None:
    site = open_site()
    town = Town(site)
    total, size = 60, 20_000

    async def post() -> None:
        async with town:
            for number in range(total):
                await town.post(title=f"{number}", body="文" * size)

    def alerts(line: Raw) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for opcode, payload in line.rest():
            if opcode == TEXT:
                found.append(json.loads(payload))
            elif opcode == CLOSE:
                assert struct.unpack("!H", payload[:2]) == (4408,)
                break
            if len(found) == total + 1:
                break
        return found

    with (
        Raw(site.url, narrow=True).open(town.tokens["staff"]) as slow,
        Raw(site.url).open(town.tokens["staff"]) as quick,
    ):
        posting = asyncio.new_event_loop()
        try:
            reading = posting.run_in_executor(None, alerts, quick)
            posting.run_until_complete(post())
            told = posting.run_until_complete(reading)
        finally:
            posting.run_until_complete(posting.shutdown_default_executor())
            posting.close()
        before = alerts(slow)
    assert [each["alert"]["title"] for each in told[1:]] == [f"{number}" for number in range(total)]
    assert 0 < len(before) < total
    position = before[-1]["offset"]
    with Raw(site.url).open(town.tokens["staff"], f"?after={position}&epoch={told[0]['epoch']}") as again:
        hello = json.loads((again.receive() or (0, b""))[1])
        assert hello["offset"] == position
        after = [json.loads((again.receive() or (0, b""))[1]) for _ in told[len(before) :]]
    assert before + after == told


async def test_hundreds_who_come_back_at_once_miss_nothing(town: Town) -> None:
    phones, rounds = 200, 3
    for number in range(phones):
        town.move_in(f"p{number}")
    positions = dict.fromkeys(range(phones), 0)
    heard: dict[int, list[int]] = {number: [] for number in range(phones)}
    posted: list[int] = []

    async def listen(number: int, upto: int) -> None:
        async with town.stream(f"p{number}", f"?after={positions[number]}", open_timeout=60) as stream:
            assert (await frame_of(stream))["offset"] == positions[number]
            while positions[number] < upto:
                positions[number] = (await frame_of(stream))["offset"]
                heard[number].append(positions[number])

    async def post() -> int:
        async with town.stream("viewer") as stream:
            await frame_of(stream)
            for _ in range(2):
                await town.post()
                posted.append((await frame_of(stream))["offset"])
        return posted[-1]

    for _ in range(rounds):
        upto = await post()
        await asyncio.gather(*(listen(number, upto) for number in range(phones)), town.post())
        posted.append(upto + 1)
    # Whether the alert that came during the storm was heard in it or in the next one, it was heard once.
    for each in heard.values():
        assert each == posted[: len(each)]
        assert len(each) >= len(posted) - 1
