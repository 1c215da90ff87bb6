"""Who could not be reached as things stand, why, and what to do: read from what became of everybody's last messages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from alertd.core.delivery import State
from alertd.service import roster
from alertd.service.exporting import table
from alertd.service.roster import Found, Search
from alertd.service.runtime import Runtime
from alertd.service.views import moment
from alertd.store import self_tests
from alertd.store.roster import Lack

Standing = Literal["unreachable", "partly", "unproven", "reachable"]
Advice = Literal["our-fault", "push-again", "check-number", "check-mail", "check-address", "test"]

LISTS: Final[Mapping[str, Lack]] = {"unreachable": "hope", "partly": "part", "unproven": "certainty"}
COLUMNS: Final = (
    *("person", "name", "groups", "standing", "channel", "address", "state"),
    *("reason", "last_message_at", "last_proof_at", "last_proof"),
)
_MENDS: Final[Mapping[str, Advice]] = {"webpush": "push-again", "sms": "check-number", "email": "check-mail"}
_BATCH: Final = 500


def count(rt: Runtime, group: str | None) -> dict[str, int]:
    """How many active people there are (`people`) and how many in each of `LISTS`, of a group or of all."""
    counts = roster.count_standings(rt, _search(None, group))
    return {"people": sum(counts.values()), **{name: counts.get(lack, 0) for name, lack in LISTS.items()}}


def list_people(rt: Runtime, name: str, group: str | None, *, after: str | None, limit: int) -> Found:
    """One of `LISTS`: active people as `roster.find_people` has them, with their `standing`, and each of their ways
    with an `advice`: what to do about it; None: nothing.
    """
    found = roster.find_people(rt, _search(LISTS[name], group), after=after, limit=limit)
    return Found([_told(person) for person in found.people], found.following)


def read_self_test(rt: Runtime) -> dict[str, Any] | None:
    """The newest self-test that was looked at: its `day`, `checked_at`, whether it went to anybody (`went_out`), and
    the `failures` (channel, state, reason, count).
    """
    with rt.store.read() as connection:
        last = self_tests.last(connection)
        if last is None:
            return None
        went_out = self_tests.went_out(connection, last["alert_id"])
    return {name: last[name] for name in ("day", "checked_at", "failures")} | {"went_out": went_out}


def export(rt: Runtime, group: str | None) -> Iterator[str]:
    """Every active person and every way to them as the text of a CSV file, as `exporting.table`; whoever has none has
    one line. Times are RFC 3339 in UTC.
    """
    return table(_all_lines(rt, group))


def _all_lines(rt: Runtime, group: str | None) -> Iterator[Sequence[object]]:
    yield COLUMNS
    after: str | None = ""
    while after is not None:
        found = roster.find_people(rt, _search(None, group), after=after, limit=_BATCH)
        after = found.following
        for person in found.people:
            yield from _lines(person)


def _search(lack: Lack | None, group: str | None) -> Search:
    return Search(group=group, active=True, lacks=lack)


def _told(person: Mapping[str, Any]) -> dict[str, Any]:
    ways = [{**way, "advice": advise(way)} for way in person["ways"]]
    return {**person, "ways": ways, "standing": standing(ways)}


def standing(ways: list[dict[str, Any]]) -> Standing:
    """What can be said of a person with these ways."""
    hopeful = [way for way in ways if way["state"] in ("proven", "unproven")]
    if not hopeful:
        return "unreachable"
    used = {way["channel"] for way in ways if way["state"] != "retired"}
    if any(way["state"] == "failing" or way["channel"] not in used for way in ways):
        return "partly"
    return "reachable" if any(way["state"] == "proven" for way in ways) else "unproven"


def advise(way: Mapping[str, Any]) -> Advice | None:
    """What to do about a way."""
    if way["state"] == "failing" and way["outcome"] == State.HELD:
        return "our-fault"
    if way["state"] in ("failing", "retired"):
        return _MENDS.get(way["channel"], "check-address")
    return "test" if way["state"] == "unproven" else None


def _lines(person: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    told = _told(person)
    about = (person["id"], person["name"], " ".join(person["groups"]), told["standing"])
    for way in told["ways"]:
        proof = way["proof"] or {"at": None, "rung": None}
        yield (
            *about,
            *(way[name] for name in ("channel", "label", "state", "reason")),
            *(moment(way["tried_at"]), moment(proof["at"]), proof["rung"]),
        )
    if not told["ways"]:
        yield (*about, *(None for _ in COLUMNS[len(about) :]))
