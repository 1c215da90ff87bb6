"""Groups in the order of their tree."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

_FEW: Final = 15  # groups that are shown without folding any


def in_tree_order(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each group after its parent, with its `depth`; a group whose parent is not among them stands at the top."""
    return list(_walk(None, _by_parent(groups), 0))


def as_tree(groups: Sequence[dict[str, Any]], chosen: Collection[str]) -> list[dict[str, Any]]:
    """The groups at the top, each with those `below` it and whether it stands `open`: to show what is chosen below."""
    return _branch(None, _by_parent(groups), set(chosen), few=len(groups) <= _FEW)


def _branch(
    parent: str | None, below: dict[str | None, list[dict[str, Any]]], chosen: set[str], *, few: bool
) -> list[dict[str, Any]]:
    branches = []
    for group in below.get(parent, ()):
        inside = _branch(group["id"], below, chosen, few=few)
        shows = few or any(each["id"] in chosen or each["open"] for each in inside)
        branches.append({**group, "below": inside, "open": bool(inside) and shows})
    return branches


def _by_parent(groups: Sequence[dict[str, Any]]) -> dict[str | None, list[dict[str, Any]]]:
    known = {group["id"] for group in groups}
    below: dict[str | None, list[dict[str, Any]]] = {}
    for group in groups:
        parent = group["parent"] if group["parent"] in known else None
        below.setdefault(parent, []).append(group)
    return below


def _walk(parent: str | None, below: dict[str | None, list[dict[str, Any]]], depth: int) -> Iterator[dict[str, Any]]:
    for group in below.get(parent, ()):
        yield {**group, "depth": depth}
        yield from _walk(group["id"], below, depth + 1)
