"""HTTP to a push service that says, byte for byte, what a test has it say."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from yarl import URL

from channels.hosts import BlockedAddress, GuardedResolver, Hosts
from channels.push_http import Answer, NotSent, Origin, PushHttp, Unanswered
from tests.providers.certificates import self_signed

CREATED = "HTTP/1.1 201 Created\nLocation: /m/1\nContent-Length: 0\n\n"
GONE = "HTTP/1.1 410 Gone\nContent-Length: 0\n\n"
Part = Callable[["Line"], Awaitable[None]]


class Line:
    """The service's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hear(self) -> bytes:
        """One request with its body, which ends as `request` has it."""
        return await self._reader.readuntil(b"body!")

    async def say(self, text: str) -> None:
        self._writer.write(text.replace("\n", "\r\n").encode("latin-1"))
        await self._writer.drain()

    async def say_in_pieces(self, text: str) -> None:
        for char in text.replace("\n", "\r\n"):
            self._writer.write(char.encode("latin-1"))
            await self._writer.drain()
            await asyncio.sleep(0)

    async def hear_out(self) -> bytes:
        """What comes until the connection ends."""
        with suppress(ConnectionError):
            return await self._reader.read()
        return b""


def saying(*answers: str) -> Part:
    """Answers one request after the other, and hangs up."""

    async def part(line: Line) -> None:
        for answer in answers:
            await line.hear()
            await line.say(answer)

    return part


class Service:
    """Plays a part on each connection: the first of them on the first one, the last on all that follow."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._parts = parts
        self.connections = 0
        self.port = 0

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        part = self._parts[min(self.connections, len(self._parts) - 1)]
        self.connections += 1
        try:
            await part(Line(reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever called has hung up
        finally:
            writer.close()

    def origin(self, scheme: str = "http") -> Origin:
        return Origin.of(URL(f"{scheme}://localhost:{self.port}"))

    def client(self, timeout: float = 5, kept_seconds: float = 30) -> PushHttp:
        hosts = Hosts.parse(f"localhost:{self.port}")
        return PushHttp(GuardedResolver(hosts), timeout, kept_seconds=kept_seconds)


@asynccontextmanager
async def serving(*parts: Part, tls: ssl.SSLContext | None = None) -> AsyncIterator[Service]:
    service = Service(parts)
    server = await asyncio.start_server(service.play, "127.0.0.1", 0, ssl=tls)
    service.port = server.sockets[0].getsockname()[1]
    async with server:
        yield service


def request() -> tuple[Mapping[str, str], bytes]:
    return {"TTL": "60"}, b"body!"


async def answers(service: Service, count: int = 1) -> list[Answer]:
    """To so many requests, one after the other."""
    client = service.client()
    told = []
    for _ in range(count):
        told.append(await client.post(service.origin(), "/x", request))
        await asyncio.sleep(0.01)
    client.close()
    return told


# Requests


async def test_what_is_sent() -> None:
    heard = []

    async def part(line: Line) -> None:
        heard.append(await line.hear())
        await line.say(CREATED)

    async with serving(part) as service:
        (answer,) = await answers(service)
        head = f"POST /x HTTP/1.1\r\nHost: localhost:{service.port}\r\nTTL: 60\r\nContent-Length: 5\r\n\r\n"
    assert heard == [head.encode() + b"body!"]
    assert (answer.status, answer.reason, answer.fields["location"]) == (201, "Created", "/m/1")


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb"])
async def test_a_field_cannot_smuggle_another(value: str) -> None:
    heard = []

    async def part(line: Line) -> None:
        heard.append(await line.hear_out())

    async with serving(part) as service:
        with pytest.raises(RuntimeError):
            await service.client().post(service.origin(), "/x", lambda: ({"TTL": value}, b"."))
        await asyncio.sleep(0.02)
    assert heard == [b""]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://Push.example", "https://push.example"),
        ("https://push.example:443", "https://push.example"),
        ("http://push.example:8080", "http://push.example:8080"),
        ("https://[::1]:444", "https://[::1]:444"),
    ],
)
def test_origins(url: str, text: str) -> None:
    origin = Origin.of(URL(url, encoded=True))
    assert str(origin) == text
    assert origin.authority == text.partition("://")[2]


# Answers


@pytest.mark.parametrize(
    "said",
    [
        "HTTP/1.1 410 Gone\nContent-Length: 3\n\nbye",
        "HTTP/1.1 410 Gone\nTransfer-Encoding: chunked\n\n3\nbye\n0\n\n",
        "HTTP/1.1 410 Gone\n\nbye",
        "HTTP/1.0 410 Gone\n\nbye",
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 410 Gone\nContent-Length: 3\n\nbye",
        "HTTP/1.1 103 Early Hints\nLink: </x>\n\nHTTP/1.1 410 Gone\nContent-Length: 3\n\nbye",
    ],
)
async def test_answers_are_read_however_they_come(said: str) -> None:
    async def whole(line: Line) -> None:
        await line.hear()
        await line.say(said)

    async def in_pieces(line: Line) -> None:
        await line.hear()
        await line.say_in_pieces(said)

    for part in (whole, in_pieces):
        async with serving(part) as service:
            (answer,) = await answers(service)
        assert (answer.status, answer.reason, answer.detail) == (410, "Gone", b"bye")
        assert "link" not in answer.fields


@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ("HTTP/1.1 410 Gone\nContent-Length: 9\n\nbye", b"bye"),
        ("HTTP/1.1 410 Gone\nContent-Length: 9\n\n", b""),
        ("HTTP/1.1 410 Gone\nTransfer-Encoding: chunked\n\n3\nbye\n", b"bye"),
    ],
)
async def test_an_answer_that_is_cut_short_is_one(said: str, detail: bytes) -> None:
    async with serving(saying(said)) as service:
        (answer,) = await answers(service)
    assert (answer.status, answer.detail) == (410, detail)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "HTTP/1.1 201",
        "HTTP/1.1 201 Created\nLocation: /m/1\n",
        "HTTP/1.1 100 Continue\n\n",
        "220 relay.test\n",
        "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: x\n\n",
        "HTTP/1.1 201 Created\n" + "X: y\n" * 20_000,
    ],
)
async def test_without_an_answer_nobody_knows(said: str) -> None:
    async with serving(saying(said)) as service:
        with pytest.raises(Unanswered):
            await answers(service)


async def test_silence_runs_into_the_time_limit() -> None:
    async def part(line: Line) -> None:
        await line.hear_out()

    async with serving(part) as service:
        with pytest.raises(TimeoutError):
            await service.client(timeout=0.2).post(service.origin(), "/x", request)


# Connections


async def test_a_connection_is_kept() -> None:
    async with serving(saying(CREATED, GONE, CREATED)) as service:
        assert [answer.status for answer in await answers(service, 3)] == [201, 410, 201]
        assert service.connections == 1


@pytest.mark.parametrize(
    "first",
    [
        CREATED.replace("\n\n", "\nConnection: close\n\n"),
        CREATED.replace("1.1", "1.0"),
        CREATED + GONE,  # a second answer, to nobody's request
        CREATED + "HTTP/1.1 4",
        CREATED + "what",
    ],
)
async def test_a_connection_that_is_spent_is_not_used_again(first: str) -> None:
    async def part(line: Line) -> None:
        await line.hear()
        await line.say(first)
        await line.hear_out()

    async with serving(part, saying(CREATED)) as service:
        assert [answer.status for answer in await answers(service, 2)] == [201, 201]
        assert service.connections == 2


@pytest.mark.parametrize("said", [GONE, "HTTP/1.1 408 Request Timeout\nConnection: close\n\n", "x"])
async def test_what_comes_unasked_is_nobody_s_answer(said: str) -> None:
    async def part(line: Line) -> None:
        await line.hear()
        await line.say(CREATED)
        await asyncio.sleep(0.002)
        await line.say(said)
        await line.hear_out()

    async with serving(part, saying(CREATED)) as service:
        assert [answer.status for answer in await answers(service, 2)] == [201, 201]
        assert service.connections == 2


async def test_a_service_that_hung_up_in_the_meantime_costs_nothing() -> None:
    async with serving(saying(CREATED)) as service:
        assert [answer.status for answer in await answers(service, 3)] == [201] * 3
        assert service.connections == 3


async def test_idle_connections_are_given_back() -> None:
    ended = asyncio.Event()

    async def part(line: Line) -> None:
        await line.hear()
        await line.say(CREATED)
        await line.hear_out()
        ended.set()

    async with serving(part) as service:
        client = service.client(kept_seconds=0.05)
        await client.post(service.origin(), "/x", request)
        async with asyncio.timeout(5):
            await ended.wait()


async def test_many_at_once_do_not_open_a_connection_each() -> None:
    async def part(line: Line) -> None:
        while True:
            await line.hear()
            await line.say(CREATED)

    async with serving(part) as service:
        client = service.client()
        told = await asyncio.gather(*(client.post(service.origin(), "/x", request) for _ in range(300)))
        assert {answer.status for answer in told} == {201}
        assert service.connections < 300
        client.close()


# What never left


async def test_a_service_that_does_not_finish_the_handshake_has_taken_nothing() -> None:
    async def part(line: Line) -> None:
        await line.hear_out()

    async with serving(part) as service:
        client = service.client(timeout=0.3)
        sending = (client.post(service.origin("https"), "/x", request) for _ in range(70))
        for outcome in await asyncio.gather(*sending, return_exceptions=True):
            assert isinstance(outcome, NotSent)


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = self_signed("localhost")
    (tmp_path / "both.pem").write_bytes(private + public)
    (tmp_path / "ca.pem").write_bytes(public)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "both.pem")
    async with serving(saying(CREATED), tls=context) as service:
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            await service.client().post(service.origin("https"), "/x", request)
        monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(tmp_path / "ca.pem"))
        assert (await service.client().post(service.origin("https"), "/x", request)).status == 201


async def test_nobody_there() -> None:
    async with serving(saying()) as service:
        pass
    with pytest.raises(NotSent, match="Connect"):
        await service.client().post(service.origin(), "/x", request)


@pytest.mark.parametrize("host", ["x" * 64 + ".example", "a..b"])
async def test_a_host_that_is_no_name(host: str) -> None:
    client = PushHttp(GuardedResolver(Hosts.parse("")), 5)
    with pytest.raises(UnicodeError):
        await client.post(Origin(True, host, 443, host), "/x", request)


async def test_names_are_looked_up_once_for_all_and_never_lead_inside() -> None:
    resolver = GuardedResolver(Hosts.parse("localhost:8080"))
    for outcome in await asyncio.gather(
        *(resolver.resolve("localhost", 443) for _ in range(5)), return_exceptions=True
    ):
        assert isinstance(outcome, BlockedAddress)
    found = await asyncio.gather(*(resolver.resolve("localhost", 8080) for _ in range(5)))
    assert {id(each) for each in found} == {id(found[0])}
    for _ in range(2):
        with pytest.raises(OSError, match=r"."):
            await resolver.resolve("nobody.invalid", 443)
