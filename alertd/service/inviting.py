"""Invitations: a personal link on paper, by which somebody signs in on their phone for the first time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from alertd.core.audience import Audience
from alertd.core.errors import Invalid
from alertd.core.roles import Role
from alertd.service.access import create_links
from alertd.service.runtime import Actor, Runtime
from alertd.store import people

AT_ONCE: Final = 300  # sheets of paper


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link at the only moment when it can be read."""

    person: dict[str, Any]  # id, name, language
    url: str
    expires_at: datetime


def invite(
    rt: Runtime, actor: Actor, groups: Sequence[str], person_ids: Sequence[str], *, life: timedelta, only_new: bool
) -> tuple[list[Invitation], list[str]]:
    """An invitation for everybody active in these groups and below them, and for these people; and who of the groups
    has a higher role than `actor` and gets none, by name. `only_new`: of the groups only those without a device.

    Raises Invalid when there is nobody, when there are too many for one print, and as `create_links` does.
    """
    with rt.store.read() as connection:
        faults = [
            ("groups", f"there is no group {each!r}") for each in groups if each not in people.parents(connection)
        ]
        if faults:
            raise Invalid(faults)
        members = [row["id"] for row in people.resolve(connection, Audience(groups=tuple(groups)))] if groups else []
        if only_new:
            with_device = {way.person_id for way in people.usable_ways(connection, members) if way.channel == "webpush"}
            members = [each for each in members if each not in with_device]
        rows = people.get_many(connection, [*members, *person_ids])
    above = [each for each in members if Role.parse(rows[each]["role"]) > actor.role and each not in person_ids]
    wanted = list(dict.fromkeys(each for each in (*members, *person_ids) if each not in above))
    if not wanted:
        raise Invalid([("people", "holds no active person")])
    if len(wanted) > AT_ONCE:
        raise Invalid([("people", f"are {len(wanted)} people: at most {AT_ONCE} at once")])
    links = create_links(rt, actor, wanted, life)
    invitations = []
    for each, issued in links.items():
        assert issued.expires_at is not None
        person = {name: rows[each][name] for name in ("id", "name", "language")}
        invitations.append(Invitation(person, f"{rt.public_url}/sign-in/{issued.secret}", issued.expires_at))
    return invitations, [str(rows[each]["name"]) for each in above]
