"""Ten kills and a light round of other faults that alertd must survive; `make chaos` plays them all, many times."""

import secrets
from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from tests.chaos.record import Record, Unit
from tests.chaos.run import BY_NAME, NoSmallDisk, Runner, parts, units
from tests.chaos.scenarios import SCENARIOS

SEED: Final = secrets.randbelow(10**6)
KILLS: Final = ("kill-web", "kill-worker", "kill-clock", "kill-redis", "kill-between", "kill-all")
# The others that come to an end soon, and each stands for more like it.
CHEAP: Final = (
    "redis-flushed", "redis-gone", "same-key", "push-429-date", "push-redirect", "push-reset-after", "push-trickle",
    "sms-20003", "sms-21610", "sms-reset-after", "mail-451", "mail-550-recipient", "mail-drop-after", "disk-full",
)  # fmt: skip
# Those whose way through the store is another one there.
ON_POSTGRESQL: Final = (
    "kill-worker", "kill-between", "postgresql-fast", "cut-post-after", "cut-claim-after", "cut-settlement-after",
)  # fmt: skip
LIGHT: Final = [
    unit
    for unit in units("ci", ("sqlite", "postgresql"))
    if (unit.store == "sqlite" and unit.scenario in KILLS + CHEAP)
    or (unit.store == "postgresql" and unit.scenario in ON_POSTGRESQL and unit.number == 0)
]


# A round that does not come back is given up, and told with its seed, before this.
pytestmark = pytest.mark.timeout(300)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner() -> AsyncIterator[Runner]:
    # How soon all is back says more about what else the machine does; `make chaos` holds it against the limits.
    one = Runner(SEED, "ci", Record(None, SEED, "ci"), is_timed=False)
    yield one
    await one.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("unit", LIGHT, ids=lambda unit: f"{unit.scenario}-{unit.store}-{unit.number}")
async def test_the_fault_is_survived(runner: Runner, unit: Unit) -> None:
    print(f"seed {SEED}")
    try:
        line = await runner.play(unit)
    except NoSmallDisk as reason:
        pytest.fail(f"no small disk can be mounted, so a full one cannot be tried: run this as root ({reason})")
    again = f"repeat with: python -m tests.chaos --only {unit.scenario} --store {unit.store} --seed {SEED}"
    assert line["faults"] == [], again
    assert (line["lost"], line["lost_acks"], line["unexpected"]) == (0, 0, 0), again


@pytest.mark.asyncio(loop_scope="module")
async def test_the_kills_hit_what_was_under_way(runner: Runner) -> None:
    lines = [line for line in runner.record.lines if line["scenario"] in KILLS]
    assert sum(line["proof"].get("processes killed", 0) for line in lines) > 0
    assert sum(count for line in lines for name, count in line["notes"].items() if name.startswith("requests")) > 0


def test_the_parts_of_the_long_set_are_the_whole_and_no_longer_than_an_hour() -> None:
    whole = units("long", ("sqlite", "postgresql"))
    assert [unit for some in parts(whole) for unit in some] == whole
    seconds = [sum(BY_NAME[unit.scenario].rounds.seconds for unit in some) for some in parts(whole)]
    assert max(seconds) < 3_600
    assert {unit.scenario for unit in whole} == {scenario.name for scenario in SCENARIOS}
