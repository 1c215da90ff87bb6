"""A record in kintone reaches staff, its edit updates what they have, its end ends it; a webhook is only a hint."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.town import Town, eventually
from tests.providers.kintone import APP, KintoneServer

EVERY = 10  # seconds between two looks
WITHIN = EVERY + 5.0
SELDOM = 3_600  # a look that comes only by a hint
AT_ONCE = 8.0
MAPPING = """
[mapping.records]
id = "{$id}"
title = "{件名}"
body = "{本文}"
type = "{緊急}"
author = "{作成者.code}"
observed_at = "{更新日時}"
standing = { of = "{区分}", actual = ["本番"], drill = ["訓練"] }
"""
RULES = """
[[rule]]
name = "緊急"
source = "records"
do = "alert"
audience = { everyone = true }
drills = "drill"

[rule.when]
types = ["はい"]
authors = ["boss"]
"""
REAL: dict[str, Any] = {"緊急": "はい", "区分": "本番"}


@pytest.fixture
def kintone() -> Any:
    with KintoneServer() as server:
        yield server


@pytest.fixture
async def town(data_dir: Path, kintone: KintoneServer) -> AsyncIterator[Town]:
    kintone.add(件名="ずっと前のこと", at=datetime.now(UTC) - timedelta(days=3), **REAL)
    async with Town(data_dir) as town:
        town.settings = {"ALERTD_SOURCE_HOSTS": kintone.host}
        await town.run()
        await town.inhabit(6, push=6, two_devices=0, phones=6, connected=0)
        yield town


async def begin(town: Town, kintone: KintoneServer, every: int, **access: str) -> str:
    """Make the source and read it once; where its webhooks go."""
    body = {
        "id": "records",
        "kind": "kintone",
        "access": {**kintone.access, **access},
        "every_seconds": every,
    }
    status, made = await town.call("POST", "/sources", body)
    assert status == 201, made

    async def is_told() -> bool:
        return "[mapping." in ((await source(town))["fault"] or "")

    await eventually(is_told, WITHIN, f"it is told that nothing says how to read it\n{town.log()[-3000:]}")
    assert kintone.asked == []
    status, saved = await town.call("PUT", "/rules", {"text": MAPPING + RULES})
    assert status == 200, saved
    hook = f"{town.url}/api/v1/sources/records/{made['secret']}"
    assert await send(hook) == 200

    async def is_heard() -> bool:
        return (await source(town))["succeeded_at"] is not None

    await eventually(is_heard, WITHIN, f"the app is looked at\n{town.log()[-3000:]}")
    return hook


async def send(hook: str, body: Any = None) -> int:
    async with aiohttp.ClientSession() as session, session.post(hook, json=body) as answer:
        return answer.status


async def source(town: Town) -> dict[str, Any]:
    _, page = await town.call("GET", "/sources")
    [row] = page["items"]
    return dict(row)


async def alerts(town: Town) -> list[tuple[str, str, int, bool]]:
    _, page = await town.call("GET", "/alerts")
    return [(each["title"], each["state"], each["revision"], each["drill"]) for each in page["items"]]


async def until(town: Town, wanted: list[tuple[str, str, int, bool]], within: float = WITHIN) -> None:
    found: list[Any] = []

    async def check() -> bool:
        found[:] = await alerts(town)
        return found == wanted

    try:
        await eventually(check, within, "the alerts")
    except AssertionError:
        raise AssertionError(f"{found}\n{await source(town)}\n{town.log()[-3000:]}") from None


async def test_a_webhook_brings_it_at_once_and_a_forged_one_nothing(town: Town, kintone: KintoneServer) -> None:
    hook = await begin(town, kintone, SELDOM)
    before = len(kintone.asked)
    lie = {
        "id": "01234567-0123-0123-0123-0123456789ab",
        "type": "ADD_RECORD",
        "app": {"id": APP, "name": "緊急連絡"},
        "record": {"件名": {"type": "SINGLE_LINE_TEXT", "value": "うその避難指示"}, "$id": {"value": "77"}},
    }
    assert await send(f"{hook[:-1]}{'a' if hook[-1] != 'a' else 'b'}", lie) == 401
    assert await send(f"{town.url}/api/v1/sources/others/{hook.rpartition('/')[2]}", lie) == 401
    assert len(kintone.asked) == before
    # With the right secret a lie has the app looked at, and there is nothing.
    assert await send(hook, lie) == 200

    async def is_asked() -> bool:
        return len(kintone.asked) > before

    await eventually(is_asked, AT_ONCE, "the app is looked at")
    kintone.webhook = hook
    kintone.add(件名="給食の献立", 緊急="いいえ", 区分="本番")
    kintone.add(件名="係員が書いたもの", by="clerk", **REAL)
    record = kintone.add(件名="参集してください", 本文="<div>本庁舎に<br>参集</div>", **REAL)
    await until(town, [("参集してください", "active", 1, False)], AT_ONCE)
    _, page = await town.call("GET", "/alerts")
    assert page["items"][0]["body"] == f"本庁舎に\n参集\n\n{kintone.url}/k/{APP}/show#record={record}"
    kintone.edit(record, 件名="参集先は消防署です")
    await until(town, [("参集先は消防署です", "active", 2, False)], AT_ONCE)
    kintone.remove(record)
    await until(town, [("kintoneのレコードが取り下げられました", "cancelled", 3, False)], AT_ONCE)
    assert {status for _, status in kintone.hooked} == {200}
    assert "うその避難指示" not in str(await town.call("GET", "/observations"))


async def test_without_webhooks_it_is_found_whoever_is_killed(town: Town, kintone: KintoneServer) -> None:
    await begin(town, kintone, EVERY)
    record = kintone.add(件名="参集してください", **REAL)
    drill = kintone.add(件名="訓練の参集", 緊急="はい", 区分="訓練")
    both = [("訓練の参集", "active", 1, True), ("参集してください", "active", 1, False)]
    await until(town, both)
    await town.everyone_has_it(within=WITHIN)
    (poller,) = town.processes[0].children("workers poller")
    poller.kill()
    # Within one minute, which is all that kintone's times tell, and so fast that only the last one is seen.
    kintone.edit(record, 件名="参集先は消防署です")
    kintone.edit(record, 件名="参集先は体育館です")
    # A lease must end before another process looks.
    await until(town, [both[0], ("参集先は体育館です", "active", 2, False)], 3 * WITHIN)
    kintone.remove(record)
    kintone.edit(drill, 区分="本番", 件名="本番の参集")
    ended = "kintoneのレコードが取り下げられました"
    await until(
        town, [("本番の参集", "active", 1, False), (ended, "cancelled", 2, True), (ended, "cancelled", 3, False)]
    )


async def test_how_the_alert_stands_is_written_into_the_record(town: Town, kintone: KintoneServer) -> None:
    hook = await begin(town, kintone, EVERY, state_field="確認状況")
    # What we write raises the revision, and has kintone tell us of it.
    kintone.webhook = hook
    record = kintone.add(件名="参集してください", **REAL)
    await until(town, [("参集してください", "active", 1, False)])
    alert = (await town.call("GET", "/alerts"))[1]["items"][0]["id"]
    ending = f" {town.url}/alerts/{alert}"

    async def written(state: str) -> None:
        async def is_written() -> bool:
            return kintone.state(record) == f"{state}{ending}"

        try:
            await eventually(is_written, 30, state)
        except AssertionError:
            raise AssertionError(f"{kintone.state(record)!r}\n{await source(town)}\n{town.log()[-2000:]}") from None

    await written("確認状況：対象7人のうち0人が確認、連絡手段がない人1人")
    path = f"/alerts/{alert}/acknowledgements"
    status, _ = await town.call("POST", path, {}, token=town.people["p00"].token)
    assert status in (200, 201)
    await written("確認状況：対象7人のうち1人が確認、連絡手段がない人1人")
    kintone.edit(record, 緊急="いいえ", 件名="参集の場所が変わりました")
    await until(town, [("参集の場所が変わりました", "active", 2, False)])
    kintone.edit(record, 区分="取消")

    async def is_refused() -> bool:
        return "'取消'" in ((await source(town))["fault"] or "")

    await eventually(is_refused, WITHIN, "what cannot be read is told")
    assert (await alerts(town)) == [("参集の場所が変わりました", "active", 2, False)]
    # Nothing was written twice, and what was written did not come back as an edit.
    texts = [values["確認状況"] for _, values in kintone.writes]
    assert len(texts) == len(set(texts)) == 2
    _, page = await town.call("GET", "/observations")
    assert len([each for each in page["items"] if each["id"] == f"kintone:{APP}:{record}"]) == 2
