"""Real servers for tests: a Redis and a PostgreSQL, started from installed binaries and gone with the test run."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Final

import psycopg
import redis
from psycopg import sql

# Outlives a test run that is killed: when the pipe to it closes, for whatever reason, it ends the server and clears up.
_KEEPER: Final = """
directory=$1 signal=$2
shift 2
"$@" </dev/null >"$directory/log" 2>&1 &
cat >/dev/null
kill -s "$signal" $!
wait
rm -rf "$directory"
"""


_IN_MEMORY: Final = "/dev/shm"
_ROOM: Final = 4 * 2**30


class Unavailable(Exception):
    """Something that the tests need is not installed."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not installed: run `make test`, which installs it")


def find_binary(*names: str, beside: Sequence[Path] = ()) -> Path:
    """The first of these programs that is on PATH, or in one of the directories `beside` it. Raises Unavailable."""
    for directory in (None, *beside):
        for name in names:
            if found := shutil.which(name, path=directory):
                return Path(found)
    raise Unavailable(" or ".join(names))


def compile_c(source: Path, directory: Path, *options: str) -> Path:
    """What a file in C becomes, in `directory`; `options` are the compiler's. Raises Unavailable."""
    made = directory / source.stem
    subprocess.run([find_binary("cc", "gcc"), "-O2", *options, "-o", made, source], check=True)
    return made


def short_directory(*, durable: bool = False) -> Path:
    """A path that nobody uses yet, short enough for Unix sockets in it.

    In memory where there is plenty, since making databases is most of what tests wait for; `durable`: on a disk.
    """
    beneath = tempfile.gettempdir() if durable or not _is_roomy(_IN_MEMORY) else _IN_MEMORY
    return Path(beneath, f"alertd-{secrets.token_hex(4)}")


def _is_roomy(directory: str) -> bool:
    try:
        return os.access(directory, os.W_OK | os.X_OK) and shutil.disk_usage(directory).free >= _ROOM
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Returns as soon as the condition holds; TimeoutError when it does not within that time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not after {seconds} s")
        time.sleep(0.005)


def give_away(directory: Path) -> list[str]:
    """Give `directory` to the user postgres; the words before a command that is to run as that user.

    PostgreSQL refuses to run as root.
    """
    setpriv = find_binary("setpriv")
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        raise Unavailable("the user postgres, and with it PostgreSQL,") from None
    os.chown(directory, user.pw_uid, user.pw_gid)
    return [str(setpriv), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


class _Server:
    """A running program and its directory."""

    def __init__(self, directory: Path, command: Sequence[str], *, stop_by: str) -> None:
        self._directory = directory
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", directory, stop_by, *command],
            cwd=directory,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for pytest, whose fixtures then end the servers
        )

    def wait_for(self, ready: Callable[[], bool]) -> None:
        try:
            wait_until(ready)
        except TimeoutError as error:
            error.add_note((self._directory / "log").read_text("utf-8", errors="replace"))
            self.stop()
            raise

    def stop(self) -> None:
        self._keeper.communicate()


class Redis:
    """A private Redis at one `url`, which a test may stop and start again; what it knew is then forgotten."""

    def __init__(self) -> None:
        self._binary = find_binary("redis-server", "valkey-server")
        self._directory = short_directory()
        self._server: _Server | None = None
        self.url = f"unix://{self._directory}/redis.sock"

    def start(self) -> None:
        """Returns when it answers."""
        self._directory.mkdir(mode=0o700)
        options = ["--port", "0", "--unixsocket", f"{self._directory}/redis.sock", "--save", "", "--appendonly", "no"]
        self._server = _Server(self._directory, [str(self._binary), *options], stop_by="KILL")
        self._server.wait_for(self._answers)

    def stop(self) -> None:
        """Returns when it is gone; once more does nothing."""
        if self._server:
            self._server.stop()
            self._server = None

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            try:
                return client.ping() is True
            except redis.ConnectionError:
                return False


class Postgres:
    """A PostgreSQL of the test run's own, whose databases come and go. It does not care for power cuts."""

    def __init__(self) -> None:
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        postgres = find_binary("postgres", beside=installed[::-1]).resolve()
        self._numbers = count(1)
        self._templates: dict[str, str] = {}
        self._directory = short_directory()
        self._directory.mkdir(mode=0o700)
        as_owner = give_away(self._directory) if os.geteuid() == 0 else []
        data = str(self._directory / "data")
        initdb = [str(postgres.with_name("initdb")), "--no-sync", "--auth=trust", "--username=postgres"]
        try:
            subprocess.run(
                [*as_owner, *initdb, "--encoding=UTF8", "--locale=C", data],
                cwd=self._directory,
                check=True,
                capture_output=True,
                text=True,
            )
        except subprocess.CalledProcessError as error:
            shutil.rmtree(self._directory)
            raise RuntimeError(error.stderr) from error
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._directory),
            "max_connections": "200",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._server = _Server(self._directory, [*as_owner, str(postgres), "-D", data, *options], stop_by="QUIT")
        self._server.wait_for(self._answers)
        self._admin = self._connect()

    def url(self, database: str) -> str:
        """Where SQLAlchemy finds this database."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._directory}"

    def create(self, template: str = "template1") -> str:
        """The name of a new database like the template."""
        database = f"test_{next(self._numbers)}"
        self._run("CREATE DATABASE {} TEMPLATE {}", database, template)
        return database

    def template(self, name: str, prepare: Callable[[str], None]) -> str:
        """The name of a database that `prepare` got the URL of, once a test run; it leaves no connection open."""
        if name not in self._templates:
            database = self.create()
            prepare(self.url(database))
            self._templates[name] = database
        return self._templates[name]

    def drop(self, database: str) -> None:
        """Drops it, whoever is still connected."""
        self._run("DROP DATABASE {} WITH (FORCE)", database)

    def stop(self) -> None:
        self._admin.close()
        self._server.stop()

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self._directory), user="postgres", dbname="postgres", autocommit=True)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, statement: str, *names: str) -> None:
        self._admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
