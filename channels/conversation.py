"""A mail transaction (RFC 5321 section 3.3) on a connection that stands, in one write where the relay allows it."""

import asyncio
import re
from collections import deque
from contextlib import suppress
from typing import Final, NamedTuple

from aiosmtplib import (
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

_PATH: Final = re.compile(r"[!-;=?-~]+")  # an address goes onto the wire as it is: nothing in it may end its command
_LINE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)  # RFC 5321 section 4.2
_REPLY_MAX: Final = 32_768  # bytes with all of its lines; an answer to EHLO has a few hundred
_CLOSING: Final = 421  # RFC 5321 section 3.8: nothing more comes
_START_INPUT: Final = 354
_PATIENCE: Final = 2.0  # seconds for the answer to a DATA that leads nowhere


class Reply(NamedTuple):
    """What the relay answered to one command; lines are joined by line feeds."""

    code: int
    text: str

    @property
    def is_positive(self) -> bool:
        return 200 <= self.code < 300


class Conversation(asyncio.Protocol):
    """The relay on the other end of `transport`, which is ready for MAIL: it is taken over from whoever set it up.

    One command or letter at a time. Whoever saw an exception closes it.
    """

    def __init__(self, transport: asyncio.Transport, *, pipelines: bool) -> None:
        self.is_handed_over = False  # whether the last letter left: then only an answer says what became of it
        self._transport = transport
        self._pipelines = pipelines
        self._held = b""
        self._lines: list[str] = []  # of a reply that goes on
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._end: Exception | None = None
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether it can be used, as far as is known. What comes unasked says goodbye, or is not meant for us."""
        return self._end is None and not self._replies and not self._held and not self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    async def hand_in(self, sender: str, recipient: str, letter: bytes) -> None:
        """One letter, its lines ended by CRLF, to one recipient. When this returns the relay has taken it over.

        Raises SMTPSenderRefused, SMTPRecipientRefused or SMTPDataError with what the relay said against it, and
        SMTPServerDisconnected.
        """
        self.is_handed_over = False
        mail, rcpt = b"MAIL FROM:<%b>\r\n" % _path(sender), b"RCPT TO:<%b>\r\n" % _path(recipient)
        data = b"DATA\r\n"
        if self._pipelines:
            # RFC 2920 section 3.1: DATA may only be the last of a group.
            self._write(mail + rcpt + data)
        reply = await self._answer(mail)
        if not reply.is_positive:
            raise SMTPSenderRefused(reply.code, reply.text, sender)
        reply = await self._answer(rcpt)
        if not reply.is_positive:
            await self._leave_data(reply)
            raise SMTPRecipientRefused(reply.code, reply.text, recipient)
        reply = await self._answer(data)
        if reply.code != _START_INPUT:
            raise SMTPDataError(reply.code, reply.text)
        self.is_handed_over = True
        self._write(_content(letter))
        reply = await self._next()
        if not reply.is_positive:
            raise SMTPDataError(reply.code, reply.text)

    async def ask(self, command: bytes) -> None:
        """NOOP or QUIT. Raises SMTPResponseException when the relay declines, and SMTPServerDisconnected."""
        self._write(command + b"\r\n")
        reply = await self._next()
        if not reply.is_positive:
            raise SMTPResponseException(reply.code, reply.text)

    async def _answer(self, command: bytes) -> Reply:
        """What the relay says to one command of a transaction, which has left already where it pipelines."""
        if not self._pipelines:
            self._write(command)
        return await self._next()

    async def _leave_data(self, refusal: Reply) -> None:
        """End a DATA that was accepted though nobody is to get the letter, without a letter (RFC 2920 section 3.1)."""
        if not self._pipelines or refusal.code == _CLOSING:
            return
        # The refusal is what counts, whatever becomes of this.
        with suppress(SMTPException, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                if (await self._next()).code == _START_INPUT:
                    self._write(b".\r\n")

    def _write(self, data: bytes) -> None:
        if self._end is not None or self._transport.is_closing():
            raise SMTPServerDisconnected("Connection lost") from self._end
        self._transport.write(data)

    async def _next(self) -> Reply:
        while not self._replies:
            if self._end is not None:
                raise SMTPServerDisconnected(str(self._end)) from self._end
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._replies.popleft()

    def data_received(self, data: bytes) -> None:
        held = self._held + data
        start = 0
        while (end := held.find(b"\n", start)) >= 0:
            if not self._take(held[start:end].rstrip(b"\r")):
                return
            start = end + 1
        self._held = held[start:]
        if len(self._held) > _REPLY_MAX:
            self._break_off("an answer without an end")

    def _take(self, line: bytes) -> bool:
        """One line of a reply; False when it is none."""
        found = _LINE.fullmatch(line)
        if found is None or len(self._lines) > _REPLY_MAX // 4:
            self._break_off(f"no answer of SMTP: {line[:100].decode('ascii', 'replace')}")
            return False
        code, mark, text = found.groups()
        self._lines.append((text or b"").decode("utf-8", "surrogateescape").strip())
        if mark != b"-":
            self._replies.append(Reply(int(code), "\n".join(self._lines)))
            self._lines = []
            self._wake()
        return True

    def _break_off(self, why: str) -> None:
        self._end = self._end or ConnectionAbortedError(why)
        self._transport.abort()
        self._wake()

    def eof_received(self) -> bool:
        self._end = self._end or ConnectionResetError("the relay hung up")
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end = self._end or exc or ConnectionResetError("Connection lost")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _path(address: str) -> bytes:
    if not _PATH.fullmatch(address):
        raise ValueError(f"{address!r} cannot stand in a command")
    return address.encode("ascii")


def _content(letter: bytes) -> bytes:
    """The letter as it is sent: no line of it is a lone dot, and the end is one (RFC 5321 section 4.5.2)."""
    body = letter.replace(b"\r\n.", b"\r\n..") + (b".\r\n" if letter.endswith(b"\r\n") else b"\r\n.\r\n")
    return b"." + body if letter.startswith(b".") else body
