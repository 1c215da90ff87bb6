"""Root of a web process: `python -m alertd.app --socket FD`. The parent holds the listening socket."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import uvicorn

from alertd import bus, lifeline, log
from alertd.compose import Parts, compose, read_settings
from alertd.doctor import patient_of
from alertd.hub import HttpProtocol, Hub
from alertd.serve import read_arguments
from alertd.service import heartbeat, watching
from alertd.service.acknowledging import acknowledge_all
from alertd.service.group_commit import GroupCommit
from alertd.web.app import build_app
from alertd.web.context import Web
from alertd.web.limits import Limits

logger = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 5
_ACCEPTED_AT_ONCE: Final = 4  # of those who wait at a socket: the rest is for whichever web process is free first
_YOUNG: Final = 10_000  # containers made, less those gone, between two looks at the young ones
# Every write lets go of the interpreter; while a thread computes, the loop waits so long to have it back (else 5 ms).
_SWITCH_SECONDS: Final = 0.001
_KEEP_ALIVE_SECONDS: Final = 75  # longer than proxies and phones keep theirs: whoever closes first loses no request


def main() -> int:
    arguments = read_arguments("alertd.app")
    log.configure("web")
    if arguments.lifeline is not None:
        lifeline.hold(arguments.lifeline)
    parts = compose(read_settings(os.environ), arguments.public_url)
    asked = _AskedToStop()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, asked)  # uvicorn raises them again when it has stopped, to whoever was there before
    try:
        heartbeat.start(parts.rt, arguments.id, "web")
        listening: list[socket.socket] = [_Shared(fileno=each) for each in arguments.socket]
        asyncio.run(_serve(parts, arguments.id, arguments.number, listening, asked))
    finally:
        parts.close()
    return 0


class _AskedToStop:
    """Hears signals until uvicorn does: who is asked in the middle of starting would serve on until it is killed."""

    def __init__(self) -> None:
        self._heard = False
        self._server: uvicorn.Server | None = None

    def __call__(self, *_: object) -> None:
        self._heard = True
        if self._server is not None:
            self._server.should_exit = True

    def tell(self, server: uvicorn.Server) -> None:
        """Let `server` stop as soon as it has been, or will be, asked."""
        self._server = server
        if self._heard:
            server.should_exit = True


class _Shared(socket.socket):
    """A listening socket that is the supervisor's, and how many may wait at it too."""

    def listen(self, _backlog: int = 0, /) -> None:
        """It listens. asyncio has one number for how many wait and how many it accepts in a turn: it is the latter."""


async def _serve(
    parts: Parts, worker_id: str, number: int, listening: list[socket.socket], asked: _AskedToStop
) -> None:
    rt = parts.rt
    hub = Hub(rt.store, partial(watching.summarise, rt), rt.now)
    web = Web(
        rt=rt,
        hub=hub,
        channels=parts.channels,
        seconds=parts.seconds,
        limits=Limits(),
        acknowledgements=GroupCommit(partial(acknowledge_all, rt)),
        session_secret=parts.installation.session_secret,
        vapid_public_key=parts.vapid.public_key,
        vapid_key_id=parts.vapid.id,
        patient=patient_of(parts),
        number=number,
    )
    server: uvicorn.Server

    def watched(name: str, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """A background task whose end ends the process: a web process that cannot hear must not look alive."""

        async def run() -> None:
            try:
                await work()
            except asyncio.CancelledError:
                raise
            except BaseException:
                logger.exception("%s broke: this process ends", name)
                server.should_exit = True
                raise

        return run

    def heard(word: str) -> None:
        if word.startswith(bus.CHANGED):
            hub.changed(word.removeprefix(bus.CHANGED))
        else:
            hub.ring()

    background = (
        watched("the hub", hub.run),
        watched("the bell", lambda: bus.listen(parts.redis_url, parts.installation.instance.name, heard)),
        watched("the heartbeat", lambda: heartbeat.beat_on(parts.rt, worker_id, "web")),
    )
    server = uvicorn.Server(
        uvicorn.Config(
            build_app(web, background),
            http=HttpProtocol,
            ws="none",  # HttpProtocol answers handshakes itself
            backlog=_ACCEPTED_AT_ONCE,
            access_log=False,  # paths hold acknowledgement tokens
            log_config=None,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
            proxy_headers=bool(parts.settings.trusted_proxies),
            forwarded_allow_ips=[str(network) for network in parts.settings.trusted_proxies],
        )
    )
    asked.tell(server)
    _tune_garbage_collector()
    sys.setswitchinterval(_SWITCH_SECONDS)
    await server.serve(sockets=listening)


def _tune_garbage_collector() -> None:
    """Look at what is there now never again, and at what comes less often: see docs/decisions/0016."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)


if __name__ == "__main__":
    sys.exit(main())
