"""A light round of every fault that alertd must survive; `make chaos` plays them all, many times."""

import secrets
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from tests.chaos.record import Record, Unit
from tests.chaos.run import BY_NAME, NoSmallDisk, Runner, part, units
from tests.chaos.scenarios import SCENARIOS

SEED: Final = secrets.randbelow(10**6)
# Every fault once; on PostgreSQL those whose way through the store is another one.
ON_POSTGRESQL: Final = ("kill-web", "kill-worker", "kill-all")
LIGHT: Final = [
    unit
    for unit in units("ci", ("sqlite", "postgresql"))
    if unit.store == BY_NAME[unit.scenario].stores[0] or (unit.scenario in ON_POSTGRESQL and unit.number == 0)
]


# A round that does not come back is given up, and told with its seed, before this.
pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner() -> AsyncIterator[Runner]:
    one = Runner(SEED, "ci", Record(None, SEED, "ci"))
    yield one
    await one.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("unit", LIGHT, ids=lambda unit: f"{unit.scenario}-{unit.store}-{unit.number}")
async def test_the_fault_is_survived(runner: Runner, unit: Unit) -> None:
    print(f"seed {SEED}")
    try:
        line = await runner.play(unit)
    except NoSmallDisk as reason:
        pytest.skip(f"no small disk can be mounted here: {reason}")
    again = f"repeat with: python -m tests.chaos --only {unit.scenario} --store {unit.store} --seed {SEED}"
    assert line["faults"] == [], again
    assert (line["lost"], line["lost_acks"], line["unexpected"]) == (0, 0, 0), again


def test_the_parts_of_the_long_set_are_the_whole_and_no_longer_than_an_hour() -> None:
    whole = units("long", ("sqlite", "postgresql"))
    parts = [part(whole, number, 8) for number in range(1, 9)]
    assert [unit for some in parts for unit in some] == whole
    seconds = [sum(BY_NAME[unit.scenario].rounds.seconds for unit in some) for some in parts]
    assert max(seconds) < 3_600
    assert {unit.scenario for unit in whole} == {scenario.name for scenario in SCENARIOS}
