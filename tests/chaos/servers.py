"""A PostgreSQL that keeps what it committed and can be restarted, and the line to it, which can be cut."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import psycopg

from tests.providers.thread import HOST, LoopThread, When
from tests.services import find_binary, give_away, short_directory, wait_until

Restart = Literal["fast", "immediate"]
_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_DATABASE: Final = "alertd"
_COMMIT: Final = b"COMMIT\0"
_TAIL: Final = 256  # bytes kept of what was sent before, for a marker that two reads share

# Ends the server when the pipe to it closes, for whatever reason.
_KEEPER: Final = """
"$@" </dev/null >>log 2>&1 &
cat >/dev/null
kill -s QUIT $!
wait
"""


class RestartablePostgres:
    """A PostgreSQL on a TCP port of the loopback, with the durability that it has by default."""

    def __init__(self) -> None:
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self._postgres = find_binary("postgres", beside=installed[::-1]).resolve()
        self._directory = short_directory(durable=True)
        self._directory.mkdir(mode=0o700)
        self._as_owner = give_away(self._directory) if os.geteuid() == 0 else []
        self._keeper: subprocess.Popen[bytes] | None = None
        self.port = 0
        initdb = [str(self._postgres.with_name("initdb")), "--auth=trust", "--username=postgres", "--encoding=UTF8"]
        subprocess.run(
            [*self._as_owner, *initdb, "--locale=C", "-D", str(self._data)],
            cwd=self._directory, check=True, capture_output=True,
        )  # fmt: skip

    def start(self, port: int) -> None:
        """Returns when it answers; the database is there then."""
        self.port = port
        options = [
            f"--port={port}",
            f"--listen_addresses={HOST}",
            f"--unix_socket_directories={self._directory}",
            "--max_connections=300",
        ]
        command = [*self._as_owner, str(self._postgres), "-D", str(self._data), *options]
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", *command],
            cwd=self._directory,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers, 60)

    def stop(self, how: Restart) -> None:
        """Fast: clients are thrown out. Immediate: it falls where it stands, and recovers at the next start."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, _SIGNALS[how])
        assert self._keeper is not None
        wait_until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), 30)
        self._keeper.communicate()

    def close(self) -> None:
        if self._keeper is not None:
            self._keeper.communicate()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.conninfo("postgres"), autocommit=True, connect_timeout=3) as connection:
                found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_DATABASE]).fetchone()
                if found is None:
                    connection.execute(f"CREATE DATABASE {_DATABASE}")
        except psycopg.OperationalError:
            return False
        return True

    def conninfo(self, database: str = _DATABASE) -> str:
        return f"host={HOST} port={self.port} user=postgres dbname={database}"


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


@dataclass
class _Cut:
    markers: frozenset[bytes]
    when: When
    left: int


@dataclass(eq=False)
class _Call:
    """One connection through the line."""

    writers: list[asyncio.StreamWriter]
    tail: bytes = b""
    marked: set[bytes] = field(default_factory=set)  # the markers that this transaction has sent
    doomed: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def drop(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Line(LoopThread):
    """The line between alertd and PostgreSQL: `with Line(port) as line:` listens on `line.port`."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self.target = target
        self.port = 0
        self.cuts = 0
        self._cut: _Cut | None = None
        self._calls: set[_Call] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where SQLAlchemy finds the database at the line's end."""
        return f"postgresql+psycopg://postgres@{HOST}:{self.port}/{_DATABASE}"

    def cut_at_commit(self, *markers: bytes, when: When, times: int = 1) -> None:
        """Cut the connections that sent all of these in one transaction, at their COMMIT: before it is passed on, or
        after it has worked and before its answer is passed back."""
        with self.changed:
            self._cut = _Cut(frozenset(markers), when, times)

    def mend(self) -> None:
        with self.changed:
            self._cut = None

    def sever(self) -> int:
        """Cut every connection there is; how many."""
        return self.call(self._sever())

    async def _sever(self) -> int:
        calls = list(self._calls)
        for call in calls:
            call.drop()
        with self.changed:
            self.cuts += len(calls)
        return len(calls)

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._answer, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        for call in list(self._calls):
            call.drop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        call = _Call([writer, back])
        self._calls.add(call)
        try:
            await asyncio.gather(self._pass_on(call, reader, back), self._pass_back(call, there, writer))
        except OSError:
            pass  # an end went away: so does the call
        finally:
            self._calls.discard(call)
            call.drop()

    async def _pass_on(self, call: _Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            if not self._looked_through(call, chunk):
                raise ConnectionResetError
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError

    async def _pass_back(self, call: _Call, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            if call.doomed:
                raise ConnectionResetError  # this was the COMMIT's answer
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError

    def _looked_through(self, call: _Call, chunk: bytes) -> bool:
        """Whether the chunk may be passed on."""
        seen = call.tail + chunk
        call.tail = seen[-_TAIL:]
        with self.changed:
            cut = self._cut
            if cut is None:
                return True
            call.marked |= {marker for marker in cut.markers if marker in seen}
            if _COMMIT not in seen:
                return True
            is_it = call.marked == cut.markers
            call.marked, call.tail = set(), b""
            if not is_it:
                return True
            cut.left -= 1
            if cut.left <= 0:
                self._cut = None
            self.cuts += 1
            call.doomed = cut.when == "after"
            return call.doomed


@contextlib.contextmanager
def postgres_behind_a_line(port: int) -> Iterator[tuple[RestartablePostgres, Line]]:
    """A running PostgreSQL on `port`, and a line to it."""
    server = RestartablePostgres()
    try:
        server.start(port)
        with Line(port) as line:
            yield server, line
    finally:
        server.close()
