"""Every scenario, by name."""

import asyncio
from typing import Final

from tests.chaos.kills import KILLS
from tests.chaos.scenario import BOTH, People, Rounds, Scenario
from tests.chaos.services import SERVICES
from tests.chaos.stage import Limits, Stage
from tests.chaos.weather import WEATHER

MANY: Final = 100_000


async def _do_nothing(stage: Stage) -> Limits:
    alert = await stage.issue(stage.people)
    stage.prove("deliveries", len(alert.expected))
    ends_at = asyncio.get_running_loop().time() + 1_800
    while stage.missing(alert) and asyncio.get_running_loop().time() < ends_at:
        stage.ledger.read()
        await asyncio.sleep(1)
    return Limits(extra=0)


SCENARIOS: Final = (
    Scenario("none", _do_nothing, BOTH, Rounds(1, 2, 6)),
    *KILLS,
    *SERVICES,
    *WEATHER,
    Scenario(
        "none-100000",
        _do_nothing,
        BOTH,
        Rounds(0, 1, 1_500),
        people=People(count=49_000, push=2_000, phones=49_000, two_devices=0, connected=6),
    ),
)
