"""One connection by itself: order, buffers, ends, over a real pair of sockets."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from alertd.core.stream import FRAME_MAX, Close
from alertd.hub import frames
from alertd.hub.connection import BUFFER_MAX
from tests.hub.process import Line
from tests.hub.raw import CLOSE, MASK, PING, PONG, TEXT, close, frame

FRAME = frames.text(json.dumps({"x": "x" * 1_000}))
Open = Callable[[], Awaitable[Line]]


def numbered(number: int, size: int = 1_000) -> bytes:
    return frames.text(json.dumps({"offset": number, "x": "x" * size}))


@pytest.fixture(params=["plain", "tls"])
def open_line(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """`await open_line()`: a connection, in the clear and over TLS."""
    secure = contexts(tmp_path) if request.param == "tls" else None

    async def make() -> Line:
        return await Line().open(secure=secure)

    return make


def contexts(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's, which trust each other."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "both.pem").write_bytes(pem + private)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "both.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


def fill(line: Line) -> int:
    """Send more than the kernel takes, and less than is too much; how many frames."""
    count = BUFFER_MAX // len(numbered(0))
    for number in range(count):
        line.server.send(numbered(number))
    return count


class TestWriting:
    async def test_frames_come_in_order_and_none_twice(self, open_line: Open) -> None:
        line = await open_line()
        for number in (1, 2, 2, 1, 4, 3, 5):
            line.server.tell(number, numbered(number))
        assert [await line.offset() for _ in range(4)] == [1, 2, 4, 5]

    async def test_what_the_kernel_does_not_take_at_once_follows_whole_and_in_order(self, open_line: Open) -> None:
        line = await open_line()
        count = fill(line)
        assert [await line.offset() for _ in range(count)] == list(range(count))
        line.server.send(numbered(count))
        assert await line.offset() == count
        assert line.server.is_open

    async def test_one_that_reads_too_slowly_is_told_to_come_back(self, open_line: Open) -> None:
        line = await open_line()
        sent = 0
        while line.server.is_open:
            line.server.send(numbered(sent))
            sent += 1
        line.server.send(FRAME)
        heard: list[int] = []
        while isinstance(message := await line.heard(), dict):
            heard.append(message["offset"])
        assert message is Close.TOO_SLOW
        assert heard == list(range(len(heard)))
        assert len(heard) < sent - 1, "what waited is forgotten: it is told again when the client resumes"
        line.writer.write(close(4408))
        assert await line.receive() is None

    async def test_one_that_reads_is_never_too_slow(self, open_line: Open) -> None:
        line = await open_line()
        for number in range(3 * BUFFER_MAX // len(FRAME)):
            line.server.tell(number + 1, numbered(number + 1))
            assert await line.offset() == number + 1
        assert line.server.is_open

    async def test_room_is_waited_for(self, open_line: Open) -> None:
        line = await open_line()
        count = fill(line)
        waiting = asyncio.create_task(line.server.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        for _ in range(count):
            await line.offset()
        await asyncio.wait_for(waiting, 20)

    @pytest.mark.parametrize("how", ["close", "hang up"])
    async def test_whoever_waits_for_room_is_let_go_at_the_end(self, open_line: Open, how: str) -> None:
        line = await open_line()
        fill(line)
        waiting = [asyncio.create_task(line.server.room()) for _ in range(2)]
        await asyncio.sleep(0)
        if how == "close":
            line.server.close(Close.SIGN_IN_AGAIN)
        else:
            line.hang_up()
        await asyncio.wait_for(asyncio.gather(*waiting), 20)
        assert not line.server.is_open

    async def test_a_ping_goes_before_what_waits(self, open_line: Open) -> None:
        line = await open_line()
        count = fill(line)
        line.server.ping(frames.ping(b"now"))
        kinds = [(await line.receive() or (0, b""))[0] for _ in range(count + 1)]
        assert sorted(set(kinds)) == [TEXT, PING]
        assert kinds.index(PING) < count // 2

    async def test_a_frame_of_any_length_is_framed_as_it_must_be(self, open_line: Open) -> None:
        line = await open_line()
        for length in (0, 125, 126, 65_535, 65_536):
            line.server.say("x" * length)
            assert await line.receive() == (TEXT, b"x" * length)

    async def test_a_descriptor_that_became_somebody_elses_is_never_written_to(self) -> None:
        gone = await Line().open()
        number = gone.server._fd
        assert number >= 0
        gone.hang_up()
        while not gone.lost.is_set():
            gone.server.send(FRAME)
            await asyncio.sleep(0)
        while True:  # until somebody has the number
            line = await Line().open()
            if line.server._fd == number:
                break
        for _ in range(10):
            gone.server.send(FRAME)
            gone.server.ping(frames.ping())
            gone.server.close(Close.RESTARTING)
        line.server.send(numbered(7))
        assert await line.offset() == 7


class TestEnding:
    async def test_an_orderly_end_lets_what_waits_be_written(self, open_line: Open) -> None:
        line = await open_line()
        count = fill(line)
        line.server.shutdown()
        assert [await line.offset() for _ in range(count)] == list(range(count))
        assert await line.heard() is Close.RESTARTING

    async def test_whoever_has_to_sign_in_again_hears_nothing_more(self, open_line: Open) -> None:
        line = await open_line()
        count = fill(line)
        line.server.close(Close.SIGN_IN_AGAIN)
        heard = 0
        while isinstance(message := await line.heard(), dict):
            heard += 1
        assert message is Close.SIGN_IN_AGAIN
        assert heard < count

    async def test_the_first_end_is_the_one_that_is_told(self, open_line: Open) -> None:
        line = await open_line()
        line.server.close(Close.TOO_SLOW)
        line.server.close(Close.RESTARTING)
        assert await line.heard() is Close.TOO_SLOW
        line.writer.write(frame(TEXT, b"late") + close(4408))
        assert await line.receive() is None
        await line.lost.wait()
        assert line.said == []

    async def test_a_client_that_closes_is_answered_with_its_code(self, open_line: Open) -> None:
        line = await open_line()
        line.writer.write(close(3_456, b"bye"))
        assert await line.receive() == (CLOSE, (3_456).to_bytes(2, "big"))
        assert await line.receive() is None

    async def test_one_who_stopped_reading_can_be_cut(self, open_line: Open) -> None:
        line = await open_line()
        fill(line)
        line.server.close(Close.TOO_SLOW)
        line.server.cut()
        line.server.cut()
        await asyncio.wait_for(line.lost.wait(), 20)

    async def test_one_that_broke_the_protocol_hears_why_whatever_else_it_sends(self, open_line: Open) -> None:
        line = await open_line()
        line.writer.write(b"\xff" * 100_000)
        received = await line.receive()
        assert received is not None
        assert (received[0], int.from_bytes(received[1][:2], "big")) == (CLOSE, 1002)
        with contextlib.suppress(ConnectionError):
            await line.writer.drain()
        assert await line.receive() is None


class TestReading:
    async def test_what_comes_in_pieces_is_read_whole(self, open_line: Open) -> None:
        line = await open_line()
        for octet in frame(TEXT, "避難".encode()) + frame(PING, b"x"):
            line.writer.write(bytes([octet]))
            await line.writer.drain()
        assert await line.receive() == (PONG, b"x")
        assert line.said == ["避難"]

    async def test_a_client_with_too_many_answers_under_way_is_read_no_further_until_they_are_given(
        self,
    ) -> None:
        line = await Line().open()
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        answers = [asyncio.create_task(wait()) for _ in range(16)]
        for answer in answers:
            line.server.await_answer(answer)
        total = 20 * FRAME_MAX
        said = frame(TEXT, b"x" * 1_000, mask=MASK)
        line.writer.write(said * (total // len(said)) + frame(PING, b"after all"))
        for _ in range(50):
            await asyncio.sleep(0)
        assert line.said == []
        assert line.writer.transport.get_write_buffer_size() > 0, "the server takes no more in"
        gate.set()
        assert await line.receive() == (PONG, b"after all")
        assert len(line.said) == total // len(said)
