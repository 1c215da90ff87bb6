"""An SMTP relay that takes letters as strictly as the strictest, and can be told to misbehave at every stage."""

import asyncio
import email
import re
import ssl
import tempfile
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import default as default_policy
from pathlib import Path
from typing import Any, Final, Literal, NoReturn
from urllib.parse import quote

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.providers.certificates import self_signed
from tests.providers.thread import HOST, LoopThread

Stage = Literal["connect", "ehlo", "auth", "mail", "rcpt", "message"]
"""`message` is the end of the data: what is answered to the dot."""
Tls = Literal["none", "starttls", "implicit"]
NAME: Final = "localhost"  # what the certificate is for


@dataclass(frozen=True)
class Letter:
    """A letter that was taken over: 250 after the dot."""

    sender: str
    recipient: str
    raw: bytes
    message: EmailMessage
    authenticated_as: str | None
    encrypted: bool
    connection: int  # its number, from 1
    received_at: datetime

    @property
    def text(self) -> str:
        return self._part("plain")

    @property
    def html(self) -> str:
        return self._part("html")

    def _part(self, kind: Literal["plain", "html"]) -> str:
        part = self.message.get_body((kind,))
        return "" if part is None else str(part.get_content()).replace("\r\n", "\n")


@dataclass
class _Plan:
    answer: str | None = None
    delay: float = 0.0
    hang: bool = False
    drop: bool = False
    taken: bool = False  # drop at `message` only after taking the letter
    left: int | None = 1


class SmtpServer(LoopThread):
    """`with SmtpServer() as relay:` serves on `relay.host` until the block ends."""

    def __init__(
        self,
        port: int = 0,
        *,
        tls: Tls = "none",
        username: str | None = None,
        password: str | None = None,
        pipelining: bool = True,
    ) -> None:
        super().__init__()
        self.port = port
        self.tls: Tls = tls
        self.pipelining = pipelining  # whether it says that it takes commands in groups (RFC 2920)
        self.username = username
        self.password = password
        self._plans: dict[tuple[Stage, str | None], deque[_Plan]] = {}
        self._letters: list[Letter] = []
        self._connections = 0
        self._recipients = 0
        self._open_transports: set[asyncio.BaseTransport] = set()
        self._server: asyncio.Server | None = None
        self._certificate: bytes = b""

    @property
    def host(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """The setting SMTP_URL of a channel that sends here."""
        login = f"{quote(self.username, safe='')}:{quote(self.password or '', safe='')}@" if self.username else ""
        place = self.host if self.tls == "none" else f"{NAME}:{self.port}"
        return f"smtp://{login}{place}?tls={self.tls}"

    @property
    def certificate(self) -> bytes:
        """The relay's own certificate (PEM), which signs itself: trust it, or see it refused."""
        return self._certificate

    @property
    def letters(self) -> list[Letter]:
        """Everything that was taken over, oldest first."""
        with self.changed:
            return list(self._letters)

    @property
    def connections(self) -> int:
        """How many were opened so far."""
        with self.changed:
            return self._connections

    @property
    def attempts(self) -> int:
        """RCPT commands that arrived, whatever became of them."""
        with self.changed:
            return self._recipients

    def received(self, recipient: str) -> list[Letter]:
        return [letter for letter in self.letters if letter.recipient == recipient]

    def wait_for(self, count: int, within: float = 10) -> list[Letter]:
        """The letters, once there are `count`."""
        self.wait_until(lambda: len(self._letters) >= count, within)
        return self.letters

    def answer(self, stage: Stage, line: str, *, recipient: str | None = None, times: int | None = 1) -> None:
        """Answer this at `stage` (`550 5.1.1 User unknown`); `recipient` only for rcpt and message."""
        self._plan(stage, recipient, _Plan(answer=line, left=times))

    def delay(self, stage: Stage, seconds: float, *, recipient: str | None = None, times: int | None = 1) -> None:
        self._plan(stage, recipient, _Plan(delay=seconds, left=times))

    def hang(self, stage: Stage, *, recipient: str | None = None, times: int | None = 1) -> None:
        """Say nothing any more (until the server ends)."""
        self._plan(stage, recipient, _Plan(hang=True, left=times))

    def drop(self, stage: Stage, *, taken: bool = False, recipient: str | None = None, times: int | None = 1) -> None:
        """Cut the connection at `stage`; `taken`: at `message`, after taking the letter, without an answer."""
        self._plan(stage, recipient, _Plan(drop=True, taken=taken, left=times))

    def reset_plans(self) -> None:
        """Behave again."""
        with self.changed:
            self._plans.clear()

    def drop_connections(self) -> None:
        """Hang up on everybody, as a relay does with idle connections."""
        self.call(self._drop_connections())

    async def _open(self) -> None:
        context, self._certificate = _self_signed()
        implicit = context if self.tls == "implicit" else None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: self._answer_call(context), HOST, self.port, ssl=implicit
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        await self._drop_connections()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _drop_connections(self) -> None:
        for transport in list(self._open_transports):
            assert isinstance(transport, asyncio.WriteTransport)
            # A TLS connection that was closed twice has lost what would abort it (Python 3.11.2).
            if not transport.is_closing():
                transport.abort()
        # The connections' ends are noticed one turn of the loop later.
        await asyncio.sleep(0)

    def _answer_call(self, context: ssl.SSLContext) -> asyncio.BaseProtocol:
        with self.changed:
            self._connections += 1
            number = self._connections
            self.changed.notify_all()
        plan = self.next_plan("connect")
        if plan.answer is not None or plan.hang or plan.drop:
            return _TurnedAway(plan)
        return _Conversation(self, number, context if self.tls == "starttls" else None)

    def _plan(self, stage: Stage, recipient: str | None, plan: _Plan) -> None:
        with self.changed:
            self._plans.setdefault((stage, recipient), deque()).append(plan)

    def next_plan(self, stage: Stage, recipient: str | None = None) -> _Plan:
        with self.changed:
            for key in ((stage, recipient), (stage, None)):
                queue = self._plans.get(key)
                if queue:
                    plan = queue[0]
                    if plan.left is not None:
                        plan.left -= 1
                        if plan.left <= 0:
                            queue.popleft()
                    return plan
        return _Plan()

    def count_recipient(self) -> None:
        with self.changed:
            self._recipients += 1
            self.changed.notify_all()

    def keep(self, letter: Letter) -> None:
        with self.changed:
            self._letters.append(letter)
            self.changed.notify_all()

    def connected(self, transport: asyncio.BaseTransport) -> None:
        self._open_transports.add(transport)

    def disconnected(self, transport: asyncio.BaseTransport | None) -> None:
        if transport is not None:
            self._open_transports.discard(transport)


class _TurnedAway(asyncio.Protocol):
    """A connection that never becomes a conversation."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        if self._plan.answer is not None:
            transport.write(f"{self._plan.answer}\r\n".encode())
            transport.close()
        elif self._plan.drop:
            transport.abort()


class _Conversation(SMTP):
    def __init__(self, relay: SmtpServer, number: int, context: ssl.SSLContext | None) -> None:
        self.relay = relay
        self.number = number
        super().__init__(
            _Handler(relay, number),
            hostname="relay.test",
            ident="relay",
            tls_context=context,
            require_starttls=context is not None,
            auth_require_tls=False,
            authenticator=self._authenticate_login,
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.relay.connected(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.relay.disconnected(self.transport)
        super().connection_lost(error)

    def _authenticate_login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        plan = self.relay.next_plan("auth")
        if plan.answer is not None:
            return AuthResult(success=False, handled=False, message=plan.answer)
        right = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == (
            self.relay.username,
            self.relay.password,
        )
        return AuthResult(success=right, handled=False, auth_data=self.relay.username)


class _Handler:
    """aiosmtpd's hooks. What they return is the answer."""

    def __init__(self, relay: SmtpServer, number: int) -> None:
        self._relay = relay
        self._number = number

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        plan = await self._misbehave(server, "ehlo")
        if plan.answer is not None:
            return [plan.answer]
        # The last line is the one that ends the answer.
        return [*responses[:-1], "250-PIPELINING", responses[-1]] if self._relay.pipelining else responses

    async def handle_HELO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str) -> str:
        # Whoever is turned away at EHLO tries HELO next (RFC 5321 section 3.2): what is wrong is wrong there too.
        session.host_name = hostname
        plan = await self._misbehave(server, "ehlo")
        return plan.answer if plan.answer is not None else f"250 {server.hostname}"

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        plan = await self._misbehave(server, "mail")
        if plan.answer is not None:
            return plan.answer
        if self._relay.username is not None and not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._relay.count_recipient()
        plan = await self._misbehave(server, "rcpt", address)
        if plan.answer is not None:
            return plan.answer
        if envelope.rcpt_tos:
            return "554 5.5.3 One recipient each: the link in the letter is personal"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.original_content or b""
        recipient = envelope.rcpt_tos[0]
        plan = self._relay.next_plan("message", recipient)
        if not plan.taken:
            await self._act(server, plan)
        if plan.answer is not None:
            return plan.answer
        message = email.message_from_bytes(raw, policy=default_policy)
        fault = letter_fault(raw, message)
        if fault:
            return f"550 5.6.0 {fault}"
        self._relay.keep(
            Letter(
                sender=envelope.mail_from or "",
                recipient=recipient,
                raw=raw,
                message=message,
                authenticated_as=self._relay.username if session.authenticated else None,
                encrypted=session.ssl is not None or self._relay.tls == "implicit",
                connection=self._number,
                received_at=datetime.now(UTC),
            )
        )
        if plan.taken:
            await self._act(server, plan)
        self._relay.spring("before")
        # What is returned is written before the loop gets to anything else.
        asyncio.get_running_loop().call_soon(self._relay.spring, "after")
        return "250 2.0.0 Taken"

    async def _misbehave(self, server: SMTP, stage: Stage, recipient: str | None = None) -> _Plan:
        plan = self._relay.next_plan(stage, recipient)
        await self._act(server, plan)
        return plan

    async def _act(self, server: SMTP, plan: _Plan) -> None:
        if plan.delay:
            await asyncio.sleep(plan.delay)
        if plan.hang:
            await self._relay.closing.wait()
        if plan.drop:
            _abort(server)


def letter_fault(raw: bytes, message: EmailMessage) -> str | None:
    """What a strict relay refuses in a letter (RFC 5321 section 2.3.8, RFC 5322 section 3.6); None when nothing."""
    if re.search(rb"(?<!\r)\n|\r(?!\n)", raw):
        return "bare CR or LF"
    if any(len(line) > 998 for line in raw.split(b"\r\n")):
        return "a line of more than 998 characters"
    for name in ("Date", "From", "To", "Message-ID", "Subject"):
        if len(message.get_all(name, [])) != 1:
            return f"{name} must stand exactly once"
    if not re.fullmatch(r"<[^\s<>@]+@[^\s<>@]+>", str(message["Message-ID"])):
        return "Message-ID is malformed"
    if any(part.defects for part in message.walk()):
        return "malformed MIME"
    return None


def _abort(server: SMTP) -> NoReturn:
    if isinstance(server.transport, asyncio.WriteTransport):
        server.transport.abort()
    raise asyncio.CancelledError


def _self_signed() -> tuple[ssl.SSLContext, bytes]:
    private, public = self_signed(NAME)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relay.pem"
        path.write_bytes(private + public)
        context.load_cert_chain(path)
    return context, public
