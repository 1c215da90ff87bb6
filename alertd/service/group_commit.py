"""One writer for many small writes: whatever waits when it is free shares one commit."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from alertd.core.errors import StoreUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Hands items to `write` in groups, in a thread, one group at a time; each caller is answered after its commit.

    There is no waiting window: groups grow by themselves with the load. `write` returns one result or exception per
    item; when it raises as a whole, the items are written one by one, so that one cannot take the others down. While
    the store is away everybody is told at once instead.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Sequence[Result | Exception]], most: int = 500) -> None:
        self._write = write
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """The item's result, once it is committed. Raises what `write` says of it."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._run())
        return await future

    async def drain(self) -> None:
        """Return when nothing waits any more."""
        while self._writer is not None:
            await asyncio.wait([self._writer])

    async def _run(self) -> None:
        group: list[tuple[Item, asyncio.Future[Result]]] = []
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                for (_, future), result in zip(group, await self._results([item for item, _ in group]), strict=True):
                    # A caller that gave up (a closed connection) takes nothing back: theirs was written too.
                    if future.cancelled():
                        continue
                    if isinstance(result, Exception):
                        future.set_exception(result)
                        future.exception()  # seen: the caller may give up just now
                    else:
                        future.set_result(result)
        finally:
            self._writer = None
            # Whoever is left when the writer itself is ended would wait for ever.
            for _, future in (*group, *self._waiting):
                future.cancel()

    async def _results(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        try:
            results = await asyncio.to_thread(self._write, items)
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results for {len(items)} items")
            return results
        except StoreUnavailable as error:
            return [error] * len(items)
        except Exception as error:
            if len(items) == 1:
                return [error]
        return [(await self._results([item]))[0] for item in items]
