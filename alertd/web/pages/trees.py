"""Groups in the order of their tree."""

from collections.abc import Iterator, Sequence
from typing import Any


def in_tree_order(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each group after its parent, with its `depth`; a group whose parent is not among them stands at the top."""
    known = {group["id"] for group in groups}
    below: dict[str | None, list[dict[str, Any]]] = {}
    for group in groups:
        parent = group["parent"] if group["parent"] in known else None
        below.setdefault(parent, []).append(group)
    return list(_walk(None, below, 0))


def _walk(parent: str | None, below: dict[str | None, list[dict[str, Any]]], depth: int) -> Iterator[dict[str, Any]]:
    for group in below.get(parent, ()):
        yield {**group, "depth": depth}
        yield from _walk(group["id"], below, depth + 1)
