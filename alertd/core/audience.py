"""Who an alert is for: an expression over groups and people, and the tree that groups form."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Audience:
    """Everyone, or the members of some groups (their sub-groups included) and some people."""

    everyone: bool = False
    groups: tuple[str, ...] = ()
    people: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        if self.everyone:
            return {"everyone": True}
        return {"groups": list(self.groups), "people": list(self.people)}

    def covers(self, other: "Audience") -> bool:
        """Whether everybody in the other one is in this one, whoever belongs to the groups."""
        return self.everyone or (
            not other.everyone and set(other.groups) <= set(self.groups) and set(other.people) <= set(self.people)
        )

    @classmethod
    def from_json(cls, raw: Mapping[str, object]) -> "Audience":
        groups, people = raw.get("groups", ()), raw.get("people", ())
        return cls(
            everyone=raw.get("everyone") is True,
            groups=tuple(map(str, groups)) if isinstance(groups, Iterable) else (),
            people=tuple(map(str, people)) if isinstance(people, Iterable) else (),
        )


Parents = Mapping[str, str | None]
"""Each group's parent group, or None at the top."""


def with_subgroups(groups: Iterable[str], parents: Parents) -> set[str]:
    """`groups` and every group below them."""
    wanted = set(groups)
    return {group for group in parents if not wanted.isdisjoint(with_ancestors([group], parents))}


def with_ancestors(groups: Iterable[str], parents: Parents) -> set[str]:
    """`groups` and every group above them."""
    found: set[str] = set()
    for group in groups:
        current: str | None = group
        while current is not None and current not in found:
            found.add(current)
            current = parents.get(current)
    return found


def closes_loop(group: str, parent: str | None, parents: Parents) -> bool:
    """Whether putting `group` under `parent` would make the tree bite its tail."""
    return parent is not None and group in with_ancestors([parent], parents)
