"""A hub as a process runs it, and connections to it without sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from alertd.core.stream import Close
from alertd.hub import Connection, Hub


@contextlib.asynccontextmanager
async def process(hub: Hub) -> AsyncIterator[Hub]:
    running = asyncio.create_task(hub.run())
    yield hub
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def heard(connection: Connection) -> dict[str, Any] | Close:
    """The next frame, read and said to be written; or why there is none any more."""
    async with asyncio.timeout(20):
        frame = await connection.frames.get()
    if isinstance(frame, Close):
        return frame
    connection.written(frame)
    read: dict[str, Any] = json.loads(frame)
    return read


async def offset(connection: Connection) -> int:
    """The offset of the next frame, which has one."""
    frame = await heard(connection)
    assert isinstance(frame, dict), frame
    return int(frame["offset"])
