"""Servers that ours is measured against, each started for the purpose on a free port of the loopback."""

import contextlib
import grp
import http.client
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from websockets.sync.client import connect

from tests.acceptance.town import free_port
from tests.bench.figures import Skipped
from tests.services import wait_until

_BESIDE: Final = "/usr/sbin"  # not on everybody's PATH
_MODULES: Final = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules")
_KEPT: Final = 1_000_000  # requests on one connection


@dataclass(frozen=True, slots=True)
class Broadcaster:
    """A server whose WebSocket /bench tells everybody who is there what is published."""

    name: str
    command: Callable[[int], Sequence[str | Path]]  # by its port
    publish: Callable[[int, bytes], object]  # to its port


def send_loop(program: Path) -> Broadcaster:
    return Broadcaster("C loop of send()", lambda port: [program, str(port)], _post)


def websockets() -> Broadcaster:
    return Broadcaster("websockets.broadcast()", lambda port: _broadcast("websockets", port), _say)


def starlette() -> Broadcaster:
    return Broadcaster("textbook Starlette loop", lambda port: _broadcast("starlette", port), _say)


def nchan(directory: Path) -> Broadcaster:
    """Nchan within nginx. Raises Skipped."""
    program = _nginx()
    found = [path for path in (Path(each) / "ngx_nchan_module.so" for each in _MODULES) if path.exists()]
    if not found:
        raise Skipped("nchan is not installed: on Debian it is the package libnginx-mod-nchan")
    server = """
        location = /pub { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 1; }
        location = /bench {
            nchan_subscriber websocket; nchan_channel_id bench;
            nchan_subscriber_first_message newest; nchan_websocket_ping_interval 0;
        }"""

    def command(port: int) -> Sequence[str | Path]:
        return _nginx_command(program, directory, port, server, f"load_module {found[0]};")

    return Broadcaster("Nchan", command, _post)


@contextlib.contextmanager
def answering_204(directory: Path) -> Iterator[int]:
    """nginx that answers everything with 204, on this port. Raises Skipped."""
    port = free_port()
    with serving(_nginx_command(_nginx(), directory, port, "location / { return 204; }"), port):
        yield port


@contextlib.contextmanager
def serving(command: Sequence[str | Path], port: int) -> Iterator[psutil.Process]:
    """This command, which takes connections on `port`, until the block ends."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: process.poll() is not None or _is_open(port), 60)
        if process.returncode is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()  # nginx's children end with it, which they would not if it were killed
        process.wait(60)


def _nginx() -> Path:
    found = shutil.which("nginx") or shutil.which("nginx", path=_BESIDE)
    if found is None:
        raise Skipped("nginx is not installed: on Debian it is the package nginx-light")
    return Path(found)


def _nginx_command(
    program: Path, directory: Path, port: int, server: str, load_module: str = ""
) -> Sequence[str | Path]:
    """nginx with one worker and nothing but this server; what it writes stays in the directory."""
    nobody = pwd.getpwnam("nobody")
    user = f"user {nobody.pw_name} {grp.getgrgid(nobody.pw_gid).gr_name};" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    configuration = directory / "nginx.conf"
    configuration.write_text(f"""
        {load_module} {user} daemon off; worker_processes 1; worker_rlimit_nofile 65536; pid {directory}/pid;
        events {{ worker_connections 32768; }}
        http {{
            {paths} access_log off; keepalive_requests {_KEPT};
            server {{ listen 127.0.0.1:{port} backlog=4096; {server} }}
        }}""")
    return [program, "-p", directory, "-e", directory / "error.log", "-c", configuration]


def _broadcast(kind: str, port: int) -> Sequence[str]:
    return [sys.executable, "-m", "tests.bench.broadcast", kind, str(port)]


def _post(port: int, body: bytes) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    line.request("POST", "/pub", body)
    answer = line.getresponse()
    answer.read()
    line.close()
    if answer.status >= 300:
        raise RuntimeError(f"publishing was answered with {answer.status}")


def _say(port: int, body: bytes) -> None:
    """Say it on a line of one's own, and stay until it comes back: the last of all to be told."""
    with connect(f"ws://127.0.0.1:{port}/bench", proxy=None, ping_interval=None) as line:
        line.send(body.decode())
        line.recv(60)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
