"""A push service that only counts: `python -m tests.bench.sink CERTIFICATE` answers 201 to every POST over TLS.

Its port stands in the first line of its output. It reads as little as one can, because it shares the machine with what
is measured.
"""

import asyncio
import contextlib
import json
import re
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tests.providers.certificates import self_signed

HOST: Final = "localhost"  # what the certificate is for
_TAKEN: Final = b"HTTP/1.1 201 Created\r\nLocation: https://localhost/m/1\r\nContent-Length: 0\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class Counted:
    """What a sink has taken since it was last asked."""

    requests: int = 0
    first: float = 0.0  # time.time()
    last: float = 0.0
    connections: int = 0  # ever


class _Conversation(asyncio.Protocol):
    def __init__(self, counted: Counted) -> None:
        self._counted = counted
        self._held = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._counted.connections += 1

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._held, 0, end)
            whole = end + 4 + (int(length.group(1)) if length else 0)
            if len(self._held) < whole:
                return
            asks = self._held.startswith(b"GET")
            self._held = self._held[whole:]
            self._transport.write(self._tell() if asks else self._take())

    def _take(self) -> bytes:
        counted = self._counted
        counted.last = time.time()
        if not counted.requests:
            counted.first = counted.last
        counted.requests += 1
        return _TAKEN

    def _tell(self) -> bytes:
        counted = self._counted
        told = {"requests": counted.requests, "first": counted.first, "last": counted.last}
        body = json.dumps({**told, "connections": counted.connections}).encode()
        counted.requests = 0
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def _serve(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    counted = Counted()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Conversation(counted), "127.0.0.1", 0, ssl=context, backlog=2_000
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Sink:
    """The sink as its user sees it."""

    def __init__(self, port: int, authority: Path) -> None:
        self.port = port
        self.authority = authority  # the certificate to trust: SSL_CERT_FILE, REQUESTS_CA_BUNDLE
        self._context = ssl.create_default_context(cafile=str(authority))

    @property
    def host(self) -> str:
        return f"{HOST}:{self.port}"

    def take(self) -> Counted:
        """What came since it was last asked."""
        with urllib.request.urlopen(f"https://{self.host}/", context=self._context) as answer:
            return Counted(**json.load(answer))

    @classmethod
    @contextlib.contextmanager
    def open(cls, directory: Path) -> Iterator[Self]:
        """One that runs in a process of its own until the block ends."""
        certificate, authority = directory / "sink.pem", directory / "authority.pem"
        private, public = self_signed(HOST)
        certificate.write_bytes(private + public)
        authority.write_bytes(public)
        command = [sys.executable, "-m", "tests.bench.sink", str(certificate)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield cls(int(process.stdout.readline()), authority)
            finally:
                process.kill()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Path(sys.argv[1])))
