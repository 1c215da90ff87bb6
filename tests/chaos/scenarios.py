"""Every scenario, by name."""

import time
from typing import Final

from tests.chaos.kills import KILLS
from tests.chaos.scenario import BOTH, People, Rounds, Scenario
from tests.chaos.services import SERVICES
from tests.chaos.stage import Limits, Stage
from tests.chaos.weather import WEATHER

_ANSWERS: Final = 500
_LONG_SECONDS: Final = 1_800.0


async def _do_nothing(stage: Stage) -> Limits:
    alert = await stage.issue(stage.people)
    stage.prove("deliveries", len(alert.expected))
    return Limits(extra=0)


async def _reach_many(stage: Stage) -> Limits:
    """One alert to everybody; of the many some hundreds answer."""
    begun_at = time.monotonic()
    alert = stage.draft(stage.people, is_answered=False)
    alert.body["audience"] = {"everyone": True}
    await stage.post(alert)
    stage.prove("deliveries", len(alert.expected))
    stage.prove("seconds until it was issued", round(time.monotonic() - begun_at, 1))
    stage.hands.answer(alert.tag, alert.id, stage.some(_ANSWERS / len(stage.people)), stage.dice)
    await stage.finish_sending(within=_LONG_SECONDS)
    stage.prove("seconds until all had it", round(time.monotonic() - begun_at, 1))
    stage.over()
    return Limits(extra=0)


SCENARIOS: Final = (
    Scenario("none", _do_nothing, BOTH, Rounds(1, 2, 6)),
    *KILLS,
    *SERVICES,
    *WEATHER,
    Scenario(
        "none-100000",
        _reach_many,
        BOTH,
        Rounds(0, 1, 1_500),
        people=People(count=49_000, push=2_000, phones=49_000, two_devices=0, connected=6),
        settings={"ALERTD_SMS_PARTS_PER_SECOND": "10000"},
    ),
)
