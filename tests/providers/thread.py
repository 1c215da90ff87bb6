"""A server in a thread of its own, with its own event loop, so that it answers while a test blocks."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

from aiohttp import web

T = TypeVar("T")
HOST = "127.0.0.1"
Reset = Literal["before", "after"]
"""Where a connection is cut: before anything is taken, or after the message is taken but not answered."""
When = Literal["before", "after"]
"""When something is done about a message that was taken: before it is answered, or when the answer is written."""


@dataclass
class _Trap:
    action: Callable[[], None]
    left: int
    when: When


class LoopThread:
    """Runs `_open` on entering and `_close` on leaving, in a loop in its own thread. Reads are safe from any thread."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._background: set[asyncio.Task[Any]] = set()
        self.closing = asyncio.Event()
        self._trap: _Trap | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._thread.start()
        self.call(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T], within: float = 30) -> T:
        """The result of `work` in the server's loop, for a caller in another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within)

    def wait_until(self, true: Callable[[], bool], within: float = 10) -> None:
        """Until `true()`, which is asked again after everything that the server records; TimeoutError otherwise."""
        with self.changed:
            if not self.changed.wait_for(true, within):
                raise TimeoutError(f"{type(self).__name__}: not within {within} s")

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run `work` in the background, from within the server's loop."""
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def on_taken(self, action: Callable[[], None], *, nth: int = 1, when: When = "before") -> None:
        """Call `action`, once, in the server's thread, when the `nth` message from now on has been taken."""
        with self.changed:
            self._trap = _Trap(action, nth, when)

    def spring(self, when: When) -> None:
        """A message was taken (`before` its answer), or its answer was written (`after`)."""
        with self.changed:
            trap = self._trap
            if trap is None or trap.when != when:
                return
            trap.left -= 1
            if trap.left > 0:
                return
            self._trap = None
        trap.action()

    def stop_listening(self) -> None:
        """Go away for good: connections are refused from now on."""
        self.call(self._close())

    async def _stop(self) -> None:
        self.closing.set()
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._close()
        await self._loop.shutdown_default_executor()

    async def _open(self) -> None:
        raise NotImplementedError

    async def _close(self) -> None:
        raise NotImplementedError


class HttpThread(LoopThread):
    """The same for a web application, on a loopback address. `routes` are (method, path, handler)."""

    def __init__(self, port: int = 0, address: str = HOST) -> None:
        super().__init__()
        self.port = port
        self.address = address
        self._runner: web.AppRunner | None = None

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    async def answered(self, request: web.Request, answer: web.Response) -> web.Response:
        """Write the answer for a message that was taken, and spring what waits for that."""
        self.spring("before")
        try:
            await answer.prepare(request)
            await answer.write_eof()
        except ConnectionError:
            return answer  # whoever asked is gone
        self.spring("after")
        return answer

    async def _open(self) -> None:
        application = web.Application(client_max_size=1_000_000)
        application.add_routes(self.routes())
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.address, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


def cut(request: web.Request) -> web.Response:
    """Reset the connection of `request`; the returned answer goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
