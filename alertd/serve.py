"""Root of the supervised roles: which programs a command runs, and the socket that web processes accept from."""

import argparse
import resource
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alertd.compose import redis_socket
from alertd.private_redis import PrivateRedis
from alertd.supervisor import CannotStart, Child, Supervisor
from config.settings import Settings

_BACKLOG: Final = 4096  # Linux takes no more by default (net.core.somaxconn)
# Thousands come back in one second, and whoever finds a queue full tries again after 1, 3, 7 and 15 seconds. Only Linux
# deals them out.
_QUEUES: Final = 8 if sys.platform == "linux" else 1


def python_child(name: str, supervisor_lifeline: Callable[[], int], module: str, *arguments: str) -> Child:
    """One of our own roles, run by this very interpreter."""

    def command(new_id: str, replaced: str | None) -> Sequence[str]:
        replaces = ("--replaces", replaced) if replaced and module == "workers" and arguments[0] == "worker" else ()
        # -P: a config.py or queue.py in the directory that somebody starts us from is none of ours.
        lifeline = ("--lifeline", str(supervisor_lifeline()))
        return [sys.executable, "-P", "-m", module, *arguments, "--id", new_id, *lifeline, *replaces]

    return Child(name, command)


def read_arguments(module: str) -> argparse.Namespace:
    """What `python_child` gave a child that serves a socket which the supervisor holds."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description="started by alertd, never by hand")
    parser.add_argument("--socket", type=int, nargs="+", required=True, help="descriptors of the listening sockets")
    parser.add_argument("--id", required=True)
    parser.add_argument("--lifeline", type=int)
    parser.add_argument("--public-url")
    parser.add_argument("--number", type=int, default=1, help="which it is of those on the same socket, from 1")
    return parser.parse_args()


def listen(
    host: str, port: int, remedy: str = "choose another with --host and --port", queues: int = 1
) -> list[socket.socket]:
    """Sockets on one port, each with a queue of its own, that children accept from.

    Raises CannotStart, with the `remedy`.
    """
    sockets: list[socket.socket] = []
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = addresses[0]
        for number in range(queues):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if number:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                listening.bind(sockets[0].getsockname())
            else:
                # By itself, so that nobody else who is on this port goes unnoticed; then it lets the others in.
                listening.bind(address)
                if queues > 1:
                    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        for each in sockets:
            each.close()
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror or error}; {remedy}") from error
    for each in sockets:
        each.listen(_BACKLOG)
        each.set_inheritable(True)
    return sockets


@dataclass(frozen=True, slots=True)
class Roles:
    """Which roles a command runs."""

    web: bool = False
    clock: bool = False
    poller: bool = False
    channels: tuple[str, ...] = ()
    incoming: bool = False


def run_roles(
    roles: Roles, settings: Settings, new_id: Callable[[], str], host: str, port: int, ready: Callable[[str], None]
) -> None:
    """Run these roles under supervision until asked to stop. `ready` is called with the URL once it is listened on.

    Raises CannotStart.
    """
    _raise_descriptors()
    children: list[Child] = []
    if settings.redis_url is None:
        children.append(PrivateRedis(redis_socket(settings.data_dir), settings.data_dir / "redis.lock").child())
    supervisor: Supervisor

    def lifeline() -> int:
        return supervisor.lifeline

    shared: tuple[str, ...] = ()
    if roles.web:
        listening = listen(host, port, queues=_QUEUES)
        public_url = settings.public_url or f"http://{_reachable(host)}:{listening[0].getsockname()[1]}"
        shared = ("--public-url", public_url)
        numbers = [each.fileno() for each in listening]
        for number in range(1, settings.web_processes + 1):
            which = ("--number", str(number))
            here = ("--socket", *map(str, numbers))
            web = python_child(_name("web", number), lifeline, "alertd.app", *here, *which, *shared)
            web.keep_fds = tuple(numbers)
            children.append(web)
        ready(public_url)
    for channel in roles.channels:
        for number in range(1, settings.workers_per_channel + 1):
            name = _name(f"worker:{channel}", number)
            children.append(python_child(name, lifeline, "workers", "worker", "--channel", channel, *shared))
    if roles.clock:
        children.append(python_child("clock", lifeline, "workers", "clock", *shared))
    if roles.poller:
        children.append(python_child("poller", lifeline, "workers", "poller", *shared))
    if roles.incoming and settings.mail_listen is not None:
        place = settings.mail_listen
        [incoming] = listen(place.host, place.port, "choose another with ALERTD_MAIL_LISTEN")
        mail = python_child("incoming", lifeline, "alertd.incoming", "--socket", str(incoming.fileno()), *shared)
        mail.keep_fds = (incoming.fileno(),)
        children.append(mail)
    supervisor = Supervisor(children, new_id)
    supervisor.run()


def _raise_descriptors() -> None:
    """Let children hold as many connections as the system allows: the usual soft limit of 1,024 is a small town's."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _name(name: str, number: int) -> str:
    return name if number == 1 else f"{name} {number}"


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104


def child_environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The environment that children read the same settings from, whatever directory they look from."""
    return {**environ, "ALERTD_DATA_DIR": str(settings.data_dir)}
