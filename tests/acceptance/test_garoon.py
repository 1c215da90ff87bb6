"""An urgent post on Garoon's board reaches staff, its edit updates what they have, its removal ends it: on their
phones, and in the lists of what is new that they have in Garoon.
"""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.acceptance.town import Town, eventually
from tests.providers.garoon import GaroonServer

EVERY = 10  # seconds between two looks
WITHIN = EVERY + 5.0
RULES = """
[[rule]]
name = "緊急"
source = "board"
do = "alert"
audience = { everyone = true }
drills = "drill"

[rule.when]
types = ["5"]
prefixes = ["【緊急】", "【訓練】【緊急】"]
authors = ["boss"]
"""


@pytest.fixture
def garoon() -> Any:
    with GaroonServer() as server:
        yield server


@pytest.fixture(params=["rest", "soap"])
async def town(request: pytest.FixtureRequest, data_dir: Path, garoon: GaroonServer) -> AsyncIterator[Town]:
    before = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    garoon.post("【緊急】ずっと前のこと", created=before, updated=before)
    async with Town(data_dir) as town:
        town.settings = {"ALERTD_SOURCE_HOSTS": garoon.host}
        await town.run()
        await town.inhabit(6, push=6, two_devices=0, phones=6, connected=0)
        garoon.know(*town.people)  # of whom the administrator is none
        garoon.leads_to = [f"{town.url}/*"]
        body = {"id": "board", "kind": "garoon", "access": garoon.access(request.param), "every_seconds": EVERY}
        status, made = await town.call("POST", "/sources", body)
        assert status == 201, made
        status, saved = await town.call("PUT", "/rules", {"text": RULES})
        assert status == 200, saved

        async def is_heard() -> bool:
            _, page = await town.call("GET", "/sources")
            return page["items"][0]["succeeded_at"] is not None

        await eventually(is_heard, 20, f"the board is looked at\n{town.log()[-3000:]}")
        yield town


async def alerts(town: Town) -> list[tuple[str, str, int, bool]]:
    _, page = await town.call("GET", "/alerts")
    return [(each["title"], each["state"], each["revision"], each["drill"]) for each in page["items"]]


def titles(town: Town) -> list[str]:
    return [message.payload["notification"]["title"] for message in town.push.messages]


async def until(town: Town, wanted: list[tuple[str, str, int, bool]]) -> None:
    found: list[Any] = []

    async def check() -> bool:
        found[:] = await alerts(town)
        return found == wanted

    try:
        await eventually(check, WITHIN, "the alerts")
    except AssertionError:
        _, page = await town.call("GET", "/sources")
        raise AssertionError(f"{found}\n{page}\n{town.log()[-3000:]}") from None


async def listed(town: Town, garoon: GaroonServer, title: str) -> None:
    """Until everybody's list in Garoon says so, of the one alert that there is."""
    _, page = await town.call("GET", "/alerts")
    [alert] = [each["id"] for each in page["items"]]

    async def check() -> bool:
        return garoon.titles(alert) == dict.fromkeys(town.people, title)

    try:
        await eventually(check, WITHIN, "the lists in Garoon")
    except AssertionError:
        _, page = await town.call("GET", "/sources")
        raise AssertionError(f"{garoon.titles(alert)}\n{page}\n{town.log()[-3000:]}") from None
    [url] = {item.url for _, _, item in garoon.noticed}
    status, shown = await town.get(url)
    assert status == 200
    assert f'name="next" value="/me/alerts/{alert}"' in shown, "it leads to what is their own once they have signed in"


async def test_an_urgent_post_its_edit_and_its_removal(town: Town, garoon: GaroonServer) -> None:
    garoon.post("給食の献立")
    garoon.post("【緊急】だれでも書ける", author="clerk")
    garoon.post("【緊急】別の掲示板", category="7")
    urgent = garoon.post("【緊急】参集してください", "<p>本庁舎に<br>参集</p>", files=["地図.pdf"])
    await town.everyone_has_it(within=WITHIN)
    await until(town, [("【緊急】参集してください", "active", 1, False)])
    _, page = await town.call("GET", "/alerts")
    assert page["items"][0]["body"].startswith("本庁舎に\n参集\n\n添付：地図.pdf")

    async def is_written() -> bool:
        return len(garoon.topics[urgent].comments) == 1

    await eventually(is_written, WITHIN, "the board says how many have answered")
    assert (
        garoon.topics[urgent]
        .comments[0]
        .startswith("安否・参集の確認状況：対象7人のうち0人が確認、連絡手段がない人1人\n")
    )
    await listed(town, garoon, "【緊急】参集してください")

    async def is_missed() -> bool:
        _, page = await town.call("GET", "/sources")
        return str(page["items"][0]["fault"]).startswith("1 people were not notified there, the last of them admin: ")

    await eventually(is_missed, WITHIN, "whom Garoon does not know is shown")
    # The poller dies; whoever comes next sees the edit, and nothing twice.
    (poller,) = town.processes[0].children("workers poller")
    poller.kill()
    garoon.edit(urgent, subject="【緊急】参集先は消防署です")
    await until(town, [("【緊急】参集先は消防署です", "active", 2, False)])
    await listed(town, garoon, "【更新】【緊急】参集先は消防署です")
    garoon.remove(urgent)
    await until(town, [("掲示が取り下げられました", "cancelled", 3, False)])
    await listed(town, garoon, "【解除】掲示が取り下げられました（終了）")
    told = Counter((login, item.operation) for login, _, item in garoon.noticed)
    assert told == Counter(
        {(login, "add"): 1 for login in town.people} | {(login, "modify"): 2 for login in town.people}
    )

    async def all_know() -> bool:
        return sum("取り下げ" in title for title in titles(town)) == 6

    await eventually(all_know, 10, "everybody who had it has its end")

    async def is_tried() -> bool:
        return [what for what, _ in garoon.asked].count("BulletinAddFollows") >= 2

    await eventually(is_tried, WITHIN, "the board is told that it is over")
    assert "could not be written there" not in town.log(), "a topic that is gone is no fault"
    assert len(titles(town)) == 18


async def test_a_drill_is_a_drill_and_two_edits_in_one_second_both_count(town: Town, garoon: GaroonServer) -> None:
    drill = garoon.post("【訓練】【緊急】参集", "<div>一</div>")
    await until(town, [("【訓練】【緊急】参集", "active", 1, True)])
    garoon.edit(drill, body="<div>二</div>")
    garoon.edit(drill, body="<div>三</div>")
    await until(town, [("【訓練】【緊急】参集", "active", 2, True)])
    _, page = await town.call("GET", "/alerts")
    assert page["items"][0]["body"].startswith("三")
    await listed(town, garoon, "【訓練】【更新】【緊急】参集")
    garoon.remove(drill)
    await until(town, [("掲示が取り下げられました", "cancelled", 3, True)])


async def test_what_is_wrong_is_told_and_nothing_ends_for_it(town: Town, garoon: GaroonServer) -> None:
    garoon.post("【緊急】参集")
    await until(town, [("【緊急】参集", "active", 1, False)])
    _, page = await town.call("GET", "/sources")
    assert "password" not in page["items"][0]["access"]
    for broken in (
        web.Response(text="<html><body>ログイン</body></html>", content_type="text/html"),
        web.Response(status=302, headers={"Location": "https://192.0.2.1/login"}),
        web.Response(text="{}", content_type="application/json"),
    ):
        garoon.broken = broken
        await town.call("PUT", "/sources/board/watch", {"access": page["items"][0]["access"], "every_seconds": EVERY})
        before = datetime.now(UTC) - timedelta(seconds=1)

        async def is_told(before: datetime = before) -> bool:
            _, page = await town.call("GET", "/sources")
            [row] = page["items"]
            return row["failed_at"] is not None and datetime.fromisoformat(row["failed_at"]) > before

        await eventually(is_told, 15, "the fault is shown")
        assert await alerts(town) == [("【緊急】参集", "active", 1, False)]
    garoon.broken = None


async def test_what_was_real_ends_where_an_edit_makes_a_drill_of_it(town: Town, garoon: GaroonServer) -> None:
    topic = garoon.post("【緊急】参集")
    await until(town, [("【緊急】参集", "active", 1, False)])
    garoon.edit(topic, by="clerk", subject="【緊急】解散")
    await eventually(lambda: _waits(town, "other-author"), WITHIN, "whoever may not alert may not update")
    garoon.edit(topic, subject="【訓練】【緊急】参集")
    drill, real = ("【訓練】【緊急】参集", "active", 1, True), ("掲示が取り下げられました", "cancelled", 2, False)
    await until(town, [drill, real])


async def test_whoever_may_not_alert_ends_nothing_by_calling_it_a_drill(town: Town, garoon: GaroonServer) -> None:
    topic = garoon.post("【緊急】参集")
    await until(town, [("【緊急】参集", "active", 1, False)])
    garoon.edit(topic, by="clerk", subject="【訓練】【緊急】参集")
    await eventually(lambda: _waits(town, "other-author"), WITHIN, "the end waits for a yes")
    assert await alerts(town) == [("【緊急】参集", "active", 1, False)]


async def _waits(town: Town, reason: str) -> bool:
    _, page = await town.call("GET", "/observations")
    return any((each["reason"], each["state"]) == (reason, "waiting") for each in page["items"])
