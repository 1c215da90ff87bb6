"""Root of what takes mail in: `python -m alertd.incoming --socket FD`. The parent holds the listening socket.

The mail server that gets what is sent to MAIL_BOUNCES, and what sources write, hands it in here, by LMTP or by SMTP. It
keeps every message until this says 250, which is after what it says has been committed.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import deque
from typing import Final

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from alertd import lifeline, log
from alertd.compose import Parts, compose, read_settings
from alertd.core.errors import DiskFull, StoreUnavailable
from alertd.core.observation import clean
from alertd.serve import read_arguments
from alertd.service import heartbeat, sources
from alertd.service.process_clock import steady
from alertd.service.reaching import knows_message, receive_receipts
from alertd.service.runtime import Runtime
from alertd.sources.base import Unreadable
from alertd.sources.mail import MAIL_MAX
from channels.bounces import parse_bounce
from channels.email import Email

logger = logging.getLogger(__name__)

_ROLE: Final = "incoming"
_CHANNEL: Final = Email.kind
_IDLE_SECONDS: Final = 60.0
_LINE_MAX: Final = 65_536  # bytes; mail programs write longer lines than they should
_LATER: Final = "451 4.3.0 Cannot be kept now; try again later"
_UNKNOWN_MOST: Final = 1_000  # names an hour that we do not know, or do not know yet
_HOUR: Final = 3_600.0
_TOO_MANY: Final = "452 4.3.1 Too many names that we do not know; try again later"
_UNKNOWN: Final = "550 5.1.1 Nobody here has this address"


class Listener:
    """What is answered to each command, by LMTP and SMTP alike. One message is for one letter, or for one source.

    A bounce may be faster than the commit of what it speaks of: names that we do not know are kept, so many an hour.
    """

    def __init__(self, rt: Runtime, channel: Email | None, unknown_most: int = _UNKNOWN_MOST) -> None:
        self._rt = rt
        self._channel = channel
        self._unknown_most = unknown_most
        self._unknown_at: deque[float] = deque()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Only addresses that a letter of ours may have come from are known here, and those of sources."""
        try:
            if self._name_of_bounce(address) is None and await asyncio.to_thread(self._source_of, address) is None:
                return _UNKNOWN
        except StoreUnavailable as error:
            logger.warning("a mail has to wait: %s", error)
            return _LATER
        if envelope.rcpt_tos:
            return "452 4.5.3 One recipient at a time"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """250 once what it says has been committed, or when that is nothing."""
        address, raw = envelope.rcpt_tos[0], envelope.original_content or b""
        name = self._name_of_bounce(address)
        if name is not None:
            return await self._take_bounce(name, raw)
        if self._name_of_bounce(envelope.mail_from or "") is not None:
            logger.warning("a letter of ours came back as a source's: refused")
            return "554 5.4.6 This comes from here"
        return await asyncio.to_thread(self._take_source, address, raw)

    def _name_of_bounce(self, address: str) -> str | None:
        return self._channel.name_of_bounce(address) if self._channel is not None else None

    def _source_of(self, address: str) -> str | None:
        return sources.source_of_address(self._rt, address)

    def _take_source(self, address: str, raw: bytes) -> str:
        try:
            source_id = self._source_of(address)
            if source_id is None:
                return _UNKNOWN
            sources.receive(self._rt, source_id, raw)
        except Unreadable as fault:
            return f"554 5.6.0 {clean(fault.message, 200)}".encode("ascii", "replace").decode("ascii")
        except (StoreUnavailable, DiskFull) as error:
            logger.warning("a mail has to wait: %s", error)
            return _LATER
        return "250 2.0.0 Taken"

    async def _take_bounce(self, name: str, raw: bytes) -> str:
        receipt = await asyncio.to_thread(parse_bounce, raw, name)
        if receipt is None:
            logger.info("a message to a return path was no report of delivery: ignored")
            return "250 2.0.0 Not a report of delivery: ignored"
        try:
            is_known = await asyncio.to_thread(knows_message, self._rt, _CHANNEL, receipt.provider_id)
            if not is_known and not self._has_room_for_unknown(steady()):
                logger.warning("a bounce of a letter that nobody knows is refused: there were too many")
                return _TOO_MANY
            await asyncio.to_thread(receive_receipts, self._rt, _CHANNEL, [receipt])
        except StoreUnavailable as error:
            logger.warning("a bounce has to wait: %s", error)
            return _LATER
        logger.info("a bounce: delivered=%s retire=%s", receipt.delivered, receipt.retire)
        return "250 2.0.0 Taken"

    def _has_room_for_unknown(self, at: float) -> bool:
        while self._unknown_at and at - self._unknown_at[0] >= _HOUR:
            self._unknown_at.popleft()
        if len(self._unknown_at) >= self._unknown_most:
            return False
        self._unknown_at.append(at)
        return True

    async def handle_exception(self, error: Exception) -> str:
        """Whatever is wrong here, the mail server keeps the message."""
        logger.error("a bounce could not be taken", exc_info=error)
        return _LATER


class _Smtp(SMTP):
    line_length_limit = _LINE_MAX


class _Lmtp(LMTP):
    line_length_limit = _LINE_MAX


def make_protocol(listener: Listener, *, lmtp: bool) -> SMTP:
    """One connection's conversation, in the running loop."""
    kind = _Lmtp if lmtp else _Smtp
    return kind(
        listener,
        data_size_limit=MAIL_MAX,
        enable_SMTPUTF8=True,
        hostname=socket.gethostname(),
        ident="alertd",
        timeout=_IDLE_SECONDS,
        loop=asyncio.get_running_loop(),
    )


def main() -> int:
    arguments = read_arguments("alertd.incoming")
    log.configure(_ROLE)
    if arguments.lifeline is not None:
        lifeline.hold(arguments.lifeline)
    parts = compose(read_settings(os.environ), arguments.public_url)
    try:
        heartbeat.start(parts.rt, arguments.id, _ROLE)
        asyncio.run(_serve(parts, arguments.id, socket.socket(fileno=arguments.socket[0])))
    finally:
        parts.close()
    return 0


async def _serve(parts: Parts, process_id: str, listening: socket.socket) -> None:
    channel, place = parts.channels[_CHANNEL], parts.settings.mail_listen
    if place is None:
        raise RuntimeError("mail is taken in where ALERTD_MAIL_LISTEN says where")
    listener = Listener(parts.rt, channel if isinstance(channel, Email) else None)
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopped.set)
    server = await loop.create_server(lambda: make_protocol(listener, lmtp=place.lmtp), sock=listening)
    beating = asyncio.create_task(heartbeat.beat_on(parts.rt, process_id, _ROLE))
    ends = asyncio.create_task(stopped.wait())
    await asyncio.wait((beating, ends), return_when=asyncio.FIRST_COMPLETED)
    server.close()  # a conversation that is cut off here begins anew later, and a report that comes twice does no harm
    if beating.done():
        beating.result()
    beating.cancel()
    ends.cancel()


if __name__ == "__main__":
    sys.exit(main())
