"""The mail transaction against a relay that says, byte for byte, what a test has it say."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiosmtplib import SMTPException, SMTPRecipientRefused, SMTPSenderRefused, SMTPServerDisconnected

from alertd.core.delivery import Accepted, Deferred, Gone, Misconfigured, Outcome
from channels.conversation import Conversation
from channels.email import Email
from channels.relay import Relay
from tests.channels.helpers import CONTEXT, DELIVERY, MAIL, MESSAGE, in_an_hour

SENDER = "alert@city.example.jp"
GROUP = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{MAIL}>\r\nDATA\r\n".encode()
LETTER = b"Subject: x\r\n\r\nbody\r\n"
Part = Callable[["Line"], Awaitable[None]]


class Line:
    """A relay's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.heard = b""  # everything that came

    async def hear(self, end: bytes) -> bytes:
        """What comes up to and with `end`, which must be the last that has come: nobody is to talk ahead."""
        data = await self._reader.readuntil(end)
        self.heard += data
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                more = await self._reader.read(1_000)
                raise AssertionError(f"{more!r} came before it was asked for")
        return data

    async def hear_out(self) -> None:
        """What comes until the connection ends."""
        with suppress(ConnectionError):
            self.heard += await self._reader.read()

    async def say(self, text: str) -> None:
        self._writer.write(text.replace("\n", "\r\n").encode("latin-1"))
        await self._writer.drain()

    async def say_in_pieces(self, text: str) -> None:
        for char in text.replace("\n", "\r\n"):
            await self.say(char)
            await asyncio.sleep(0)

    async def greet(self, extension: str = "PIPELINING") -> None:
        await self.say("220 relay.test\n")
        await self.hear(b"\r\n")
        await self.say(f"250-relay.test\n250 {extension}\n")

    async def take(self) -> None:
        """A letter, as relays do."""
        await self.hear(b"DATA\r\n")
        await self.say("250 ok\n250 ok\n354 go on\n")
        await self.hear(b"\r\n.\r\n")
        await self.say("250 taken\n")


class Scripted:
    """A relay that plays one part after another, one on each connection; `lines` are these connections."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self._parts = list(parts)
        self.lines: list[Line] = []
        self.faults: list[BaseException] = []
        self.port = 0

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(reader, writer)
        self.lines.append(line)
        try:
            await self._parts.pop(0)(line)
        except (AssertionError, asyncio.IncompleteReadError) as error:
            self.faults.append(error)
        finally:
            writer.close()


@asynccontextmanager
async def relay(*parts: Part) -> AsyncIterator[Scripted]:
    scripted = Scripted(parts)
    server = await asyncio.start_server(scripted.play, "127.0.0.1", 0)
    scripted.port = server.sockets[0].getsockname()[1]
    async with server:
        yield scripted
    assert scripted.faults == []


async def outcomes(scripted: Scripted, letters: int = 1) -> list[Outcome]:
    """What a channel makes of that relay, one letter after the other."""
    channel = Email(Relay.parse(f"smtp://127.0.0.1:{scripted.port}?tls=none"), SENDER, CONTEXT, timeout=5)
    told = []
    for _ in range(letters):
        told.append(await channel.send({"email": MAIL}, MESSAGE, key=DELIVERY, expires_at=in_an_hour()))
        await asyncio.sleep(0.01)
    await channel.aclose()
    return told


def answering(*said: str) -> Part:
    """Greets, says the first of these to the whole group, the next one to the letter, and hangs up."""

    async def part(line: Line) -> None:
        await line.greet()
        assert await line.hear(b"DATA\r\n") == GROUP
        await line.say(said[0])
        for more in said[1:]:
            await line.hear(b"\r\n.\r\n")
            await line.say(more)

    return part


# In one write, and step by step


async def test_a_relay_that_pipelines_hears_a_letter_in_two_writes() -> None:
    async with relay(answering("250 ok\n250 ok\n354 go on\n", "250 taken\n")) as scripted:
        assert [type(each) for each in await outcomes(scripted)] == [Accepted]


async def test_the_letter_waits_for_the_last_answer_of_the_group() -> None:
    async def part(line: Line) -> None:
        await line.greet()
        await line.hear(b"DATA\r\n")
        for answer in ("250 ok\n", "250 ok\n"):
            await line.say(answer)
            await asyncio.sleep(0.02)
        assert line.heard.endswith(GROUP)
        await line.say("354 go on\n")
        await line.hear(b"\r\n.\r\n")
        await line.say("250 taken\n")

    async with relay(part) as scripted:
        assert [type(each) for each in await outcomes(scripted)] == [Accepted]


async def test_a_relay_that_does_not_pipeline_hears_one_command_at_a_time() -> None:
    async def part(line: Line) -> None:
        await line.greet("8BITMIME")
        for start, end, answer in (
            (b"MAIL FROM:", b"\r\n", "250 ok\n"),
            (b"RCPT TO:", b"\r\n", "250 ok\n"),
            (b"DATA", b"\r\n", "354 go on\n"),
            (b"From: ", b"\r\n.\r\n", "250 taken\n"),
        ):
            assert (await line.hear(end)).startswith(start)
            await line.say(answer)

    async with relay(part) as scripted:
        assert [type(each) for each in await outcomes(scripted)] == [Accepted]


async def test_answers_may_come_in_pieces_and_in_many_lines() -> None:
    async def part(line: Line) -> None:
        await line.greet()
        await line.hear(b"DATA\r\n")
        await line.say_in_pieces("250-one\n250 two\n250\n354-go\n354 on\n")
        await line.hear(b"\r\n.\r\n")
        await line.say_in_pieces("250-2.0.0 taken\n250 2.0.0 as 1\n")

    async with relay(part) as scripted:
        assert [type(each) for each in await outcomes(scripted)] == [Accepted]


async def test_many_letters_go_over_one_connection() -> None:
    async def part(line: Line) -> None:
        await line.greet()
        for _ in range(3):
            await line.take()
        await line.hear(b"QUIT\r\n")
        await line.say("221 bye\n")

    async with relay(part) as scripted:
        assert [type(each) for each in await outcomes(scripted, 3)] == [Accepted] * 3


# What is said against it


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("250 ok\n550 5.1.1 nobody\n554 no valid recipients\n", Gone),
        ("250 ok\n550 5.1.1 nobody\n503 no\n", Gone),
        ("550 5.7.1 not you\n503 no\n503 no\n", Misconfigured),
        ("250 ok\n250 ok\n451 4.3.0 later\n", Deferred),
        ("421 4.3.2 closing\n", Deferred),
        ("250 ok\n421 4.3.2 closing\n", Deferred),
        ("250 ok\n250 ok\n421 4.3.2 closing\n", Deferred),
        ("250 ok\n550 5.1.1 nobody\n", Gone),  # and hangs up
    ],
)
async def test_what_a_relay_says_before_the_letter(said: str, expected: type[Outcome]) -> None:
    async with relay(answering(said)) as scripted:
        (outcome,) = await outcomes(scripted)
    assert type(outcome) is expected
    assert not (isinstance(outcome, Deferred) and outcome.dark)
    assert scripted.lines[0].heard.endswith(GROUP)


async def accept_data_for_nobody(line: Line) -> None:
    await line.greet()
    await line.hear(b"DATA\r\n")
    await line.say("250 ok\n550 5.1.1 nobody\n354 go on\n")
    await line.hear_out()


async def test_a_data_without_a_recipient_is_ended_without_a_letter() -> None:
    async with relay(accept_data_for_nobody) as scripted:
        (outcome,) = await outcomes(scripted)
        await asyncio.sleep(0.05)
    assert type(outcome) is Gone
    assert scripted.lines[0].heard.endswith(GROUP + b".\r\n")


async def test_a_recipient_of_a_refused_sender_gets_no_empty_letter() -> None:
    async def part(line: Line) -> None:
        await line.greet()
        await line.hear(b"DATA\r\n")
        await line.say("550 5.7.1 not you\n250 ok\n354 go on\n")
        await line.hear_out()

    async with relay(part) as scripted:
        (outcome,) = await outcomes(scripted)
        await asyncio.sleep(0.05)
    assert type(outcome) is Misconfigured
    assert scripted.lines[0].heard.endswith(GROUP)


# What is not said


@pytest.mark.parametrize(
    ("said", "dark"),
    [
        (("",), False),
        (("250 ok\n250 ok\n",), False),
        (("250 ok\n250 ok\n35",), False),
        (("hello\n",), False),
        (("250 ok\n250 ok\n999 what\n",), False),
        (("250 ok\n250 ok\n354 go on\n", ""), True),
        (("250 ok\n250 ok\n354 go on\n", "25"), True),
        (("250 ok\n250 ok\n354 go on\n", "250-taken\n"), True),
        (("250 ok\n250 ok\n354 go on\n", "thanks\n"), True),
        (("250 ok\n250 ok\n354 go on\n", "250-" + "x" * 100_000), True),
        (("250 ok\n250 ok\n354 go on\n", "250-x\n" * 20_000), True),
        (("250 ok\n250 ok\n354 go on\n", "421 4.3.2 closing\n"), False),
    ],
)
async def test_only_a_letter_that_left_may_have_arrived(said: tuple[str, ...], dark: bool) -> None:
    async with relay(answering(*said)) as scripted:
        (outcome,) = await outcomes(scripted)
    assert isinstance(outcome, Deferred)
    assert outcome.dark is dark


@pytest.mark.parametrize("said", ["421 4.4.2 idle for too long\n", "250 once more\n", "what"])
async def test_a_connection_on_which_something_came_unasked_is_not_used(said: str) -> None:
    async def first(line: Line) -> None:
        await line.greet()
        await line.take()
        await line.say(said)
        await line.hear_out()

    async def second(line: Line) -> None:
        await line.greet()
        await line.take()

    async with relay(first, second) as scripted:
        assert [type(each) for each in await outcomes(scripted, 2)] == [Accepted] * 2
    assert len(scripted.lines) == 2


# The conversation itself


@asynccontextmanager
async def conversation(scripted: Scripted) -> AsyncIterator[Conversation]:
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", scripted.port)
    talk = Conversation(transport, pipelines=True)
    try:
        yield talk
    finally:
        talk.close()


@pytest.mark.parametrize(
    "letter",
    [b".", b"..\r\n", b"a\r\n.\r\nb\r\n", b".\r\n.\r\n..\r\n", b"a\r\n.b", b"\r\n\r\n.", b"", b"a.\r\n.b.\r\n"],
)
async def test_dots_arrive_as_they_were(letter: bytes) -> None:
    async def part(line: Line) -> None:
        await line.take()

    async with relay(part) as scripted, conversation(scripted) as talk:
        await talk.hand_in(SENDER, MAIL, letter)
    *lines, dot, rest = scripted.lines[0].heard.removeprefix(GROUP).split(b"\r\n")
    assert (dot, rest) == (b".", b"")
    assert b".\r\n" not in [line + b"\r\n" for line in lines]
    arrived = b"".join(re.sub(rb"^\.", b"", line) + b"\r\n" for line in lines)
    assert arrived == (letter if letter.endswith(b"\r\n") else letter + b"\r\n")


@pytest.mark.parametrize("address", ["a@b.jp>\r\nRCPT TO:<c@d.jp", "a b@c.jp", "a@b.jp\n", "<a@b.jp>", "あ@b.jp", ""])
async def test_an_address_cannot_end_its_command(address: str) -> None:
    async def part(line: Line) -> None:
        await line.hear_out()

    async with relay(part) as scripted:
        async with conversation(scripted) as talk:
            for sender, recipient in ((SENDER, address), (address, MAIL)):
                with pytest.raises(ValueError, match="cannot stand"):
                    await talk.hand_in(sender, recipient, LETTER)
        await asyncio.sleep(0.02)
    assert scripted.lines[0].heard == b""


async def test_what_was_refused_is_told_with_its_words() -> None:
    async def part(line: Line) -> None:
        await line.hear(b"DATA\r\n")
        await line.say("250 ok\n550-5.1.1 nobody\n550 5.1.1 of that name\n554 no\n")
        await line.hear(b"DATA\r\n")
        await line.say("553 5.1.7 no\n503 no\n503 no\n")

    async with relay(part) as scripted, conversation(scripted) as talk:
        with pytest.raises(SMTPRecipientRefused) as refused:
            await talk.hand_in(SENDER, MAIL, LETTER)
        assert refused.value.args == (550, "5.1.1 nobody\n5.1.1 of that name", MAIL)
        with pytest.raises(SMTPSenderRefused):
            await talk.hand_in(SENDER, MAIL, LETTER)


async def test_after_the_end_nothing_is_sent() -> None:
    async def part(line: Line) -> None:
        await line.say("421 closing\n")

    async with relay(part) as scripted, conversation(scripted) as talk:
        before = talk.is_open
        await asyncio.sleep(0.02)
        assert (before, talk.is_open) == (True, False)
        with pytest.raises(SMTPException) as ended:
            await talk.ask(b"NOOP")
        assert isinstance(ended.value, SMTPServerDisconnected)
