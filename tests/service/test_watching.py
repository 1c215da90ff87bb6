"""The lists of the live page: several at once, by group, and which alerts are open."""

import pytest

from alertd.core.acknowledgement import Way
from alertd.core.errors import NotFound
from alertd.service import revising, watching
from alertd.service.acknowledging import acknowledge_all, wish_of
from alertd.service.revising import Revision
from alertd.service.runtime import Runtime
from alertd.service.watching import Filter
from tests.installation import BOSS, Clock, actor, alert, group, settle

STATES: tuple[Filter, ...] = ("unreachable", "awaited", "outstanding", "acknowledged")


@pytest.fixture
def alert_id(rt: Runtime) -> str:
    """For seven in two groups, one below the other, and one in none; two have answered, one has no way."""
    group(rt, "town")
    group(rt, "fire", "town")
    for number in range(6):
        settle(rt, f"p{number}", groups=("town" if number < 2 else "fire",))
    settle(rt, "alone", email=None)
    found = alert(rt)
    acknowledge_all(rt, [wish_of(actor(person), found, Way.API) for person in ("p1", "p5")])
    return found


def test_several_lists_are_what_each_is_alone(rt: Runtime, alert_id: str) -> None:
    for limit in (2, 50):
        lists = watching.list_several(rt, alert_id, STATES, limit=limit)
        for state in STATES:
            alone = watching.list_recipients(rt, alert_id, state=state, after=None, limit=limit)
            assert lists[state] == alone
    (lost,), _ = watching.list_several(rt, alert_id, STATES, limit=50)["unreachable"]
    assert lost["person"]["id"] == "alone"
    awaited, following = watching.list_recipients(rt, alert_id, state="awaited", after=None, limit=3)
    assert ([person["person"]["id"] for person in awaited], following) == (["p0", "p2", "p3"], "p3")


def test_a_group_holds_those_below_it_and_nobody_else(rt: Runtime, alert_id: str) -> None:
    def ids(group_id: str, state: Filter, after: str | None = None, limit: int = 50) -> list[str]:
        people, _ = watching.list_recipients(rt, alert_id, state=state, after=after, limit=limit, group=group_id)
        return [person["person"]["id"] for person in people]

    assert ids("town", "outstanding") == ["p0", "p2", "p3", "p4"]
    assert ids("town", "outstanding", after="p0", limit=2) == ["p2", "p3"]
    assert ids("fire", "outstanding") == ["p2", "p3", "p4"]
    assert ids("town", "acknowledged") == ["p1", "p5"]
    assert ids("fire", "unreachable") == []
    lists = watching.list_several(rt, alert_id, STATES, limit=2, group="fire")
    assert lists["outstanding"][1] == "p3"
    assert watching.read_group(rt, "fire") == {"id": "fire", "name": "fire 課"}
    with pytest.raises(NotFound):
        watching.read_group(rt, "unheard-of")


def test_open_is_what_is_neither_called_off_nor_over(rt: Runtime, clock: Clock, alert_id: str) -> None:
    clock.move(minutes=1)
    second = alert(rt, drill=False)
    clock.move(minutes=1)
    third = alert(rt, drill=True)
    assert [each["id"] for each in watching.read_open_alerts(rt)] == [second, alert_id, third]
    for each in (second, third):
        revising.revise(rt, BOSS, each, Revision("cancel", "終わり", ""))
    assert [each["id"] for each in watching.read_open_alerts(rt)] == [alert_id]
    clock.move(days=30)
    assert watching.read_open_alerts(rt) == []
