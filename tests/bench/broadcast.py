"""References for the live stream: `python -m tests.bench.broadcast websockets|starlette PORT`.

Two servers as their manuals show them: what one client says is told to everybody who is there. Nobody is asked for a
name, nothing is kept. No pings and no compression: idle lines cost them nothing.
"""

import asyncio
import sys
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

_BACKLOG = 4_096


async def _websockets(port: int) -> None:
    """`websockets.broadcast()`."""
    everybody: set[ServerConnection] = set()

    async def hear(line: ServerConnection) -> None:
        everybody.add(line)
        with suppress(ConnectionClosed):
            async for text in line:
                broadcast(everybody, text)
        everybody.discard(line)

    async with serve(hear, "127.0.0.1", port, ping_interval=None, compression=None, backlog=_BACKLOG) as server:
        await server.serve_forever()


def _starlette(port: int) -> None:
    """The loop of the textbook: each is told when the one before has been."""
    everybody: dict[WebSocket, None] = {}  # in the order in which they came

    async def hear(line: WebSocket) -> None:
        await line.accept()
        everybody[line] = None
        try:
            async for text in line.iter_text():
                for each in list(everybody):
                    await each.send_text(text)
        finally:
            del everybody[line]

    uvicorn.run(
        Starlette(routes=[WebSocketRoute("/bench", hear)]),
        host="127.0.0.1", port=port, ws="websockets-sansio", ws_ping_interval=None, ws_per_message_deflate=False,
        backlog=_BACKLOG, log_config=None, access_log=False,
    )  # fmt: skip


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    if kind == "websockets":
        asyncio.run(_websockets(port))
    else:
        _starlette(port)


if __name__ == "__main__":
    main()
