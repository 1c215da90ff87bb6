"""What a source observes reaches staff by a rule, and its end reaches the same people, whoever is killed meanwhile."""

from typing import Any

from tests.acceptance.town import Town, eventually

RULES = """
[[rule]]
name = "river"
source = "river"
do = "alert"
audience = { everyone = true }
drills = "drill"
stop_seconds = 1
"""


async def make_source(town: Town) -> str:
    status, made = await town.call("POST", "/sources", {"id": "river", "kind": "program"})
    assert status == 201, made
    status, saved = await town.call("PUT", "/rules", {"text": RULES})
    assert status == 200, saved
    return str(made["secret"])


async def observe(town: Town, secret: str, version: int, **said: Any) -> list[dict[str, Any]]:
    told = {
        "id": f"river/{version}",
        "incident": "river",
        "version": version,
        "standing": "actual",
        "observed_at": "2026-11-22T18:00:00+09:00",
        **said,
    }
    status, answer = await town.call("POST", "/sources/river", told, token=secret)
    assert status == 200, answer
    items: list[dict[str, Any]] = answer["items"]
    return items


async def titles(town: Town) -> set[str]:
    return {message.payload["notification"]["title"] for message in town.push.messages}


async def state(town: Town) -> list[tuple[str, str]]:
    _, page = await town.call("GET", "/alerts")
    return [(each["title"], each["state"]) for each in page["items"]]


async def test_the_clock_sends_what_nobody_stopped_and_the_end_follows(small_town: Town) -> None:
    town = small_town
    await town.inhabit(10, push=10, two_devices=0, phones=10, connected=0)
    secret = await make_source(town)
    [taken] = await observe(town, secret, 1, title="氾濫危険水位を超えました", body="高台へ")
    assert (taken["action"], taken["reason"]) == ("alert", "rule")
    # The clock that would have sent it dies; the next one finds it.
    clocks = town.processes[0].children("workers clock")
    assert len(clocks) == 1
    clocks[0].kill()
    await town.everyone_has_it(within=30)
    assert await titles(town) == {"氾濫危険水位を超えました"}
    [again] = await observe(town, secret, 1, title="氾濫危険水位を超えました", body="高台へ")
    assert again["reason"] == "repeated"
    await observe(town, secret, 2, title="水位が下がりました", kind="withdrawn")

    async def all_know() -> bool:
        lifted = [each for each in town.push.messages if "水位が下がりました" in each.payload["notification"]["title"]]
        return len(lifted) == 10

    await eventually(all_know, 20, "everybody who had the alert has its end")
    assert await state(town) == [("水位が下がりました", "cancelled")]
    assert len(town.push.messages) == 20


async def test_a_drill_of_a_source_is_a_drill_on_every_phone(small_town: Town) -> None:
    town = small_town
    await town.inhabit(5, push=5, two_devices=0, phones=5, connected=0)
    secret = await make_source(town)
    await observe(town, secret, 1, title="水位の訓練", standing="drill")
    await observe(town, secret, 2, title="試験", standing="test")
    await town.everyone_has_it(within=30)
    assert all(title.startswith(("【訓練】", "[DRILL]")) for title in await titles(town))
    assert all(sms.body.startswith(("【訓練】", "[DRILL]")) for sms in town.twilio.messages)
    assert len(await state(town)) == 1
