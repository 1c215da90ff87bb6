"""Doing one thing many times at once."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`work` of every item, each in a thread of its own, all let go at the same moment; what each returned."""
    listed = list(items)
    barrier = threading.Barrier(len(listed))

    def run(item: Item) -> Result:
        barrier.wait(30)
        return work(item)

    with ThreadPoolExecutor(len(listed)) as pool:
        return list(pool.map(run, listed))
