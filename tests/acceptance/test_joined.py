"""A tsunami that the Agency, the prefecture, the board and a record speak of is one alert, until it is over."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.town import Town, eventually
from tests.providers.garoon import GaroonServer
from tests.providers.jma import JmaServer
from tests.providers.kintone import KintoneServer
from tests.sources.telegrams import tsunami
from tests.sources.test_cap import info, message

EVERY = 10  # seconds between two looks
WITHIN = EVERY + 10.0
EVENT = "20261122030000"
RULES = """
[[join]]
name = "津波"
sources = ["jma", "board", "records", "prefecture"]
leads = ["jma"]
words = ["津波"]

[mapping.records]
id = "{$id}"
title = "{件名}"
body = "{本文}"
observed_at = "{更新日時}"
standing = { of = "{区分}", actual = ["本番"], drill = ["訓練"] }
""" + "".join(
    f'\n[[rule]]\nname = "{name}"\nsource = "{name}"\ndo = "alert"\nseverity = "severe"\n'
    f"audience = {{ everyone = true }}\n{when}\n"
    for name, when in {
        "jma": '[rule.when]\nareas = ["601"]\nat_least = { tsunami = "advisory" }',
        "board": '[rule.when]\nprefixes = ["【緊急】"]',
        "records": "",
        "prefecture": "",
    }.items()
)
NONE, ADVISORY, WARNING = ("津波なし", "00"), ("津波注意報", "62"), ("津波警報", "51")


@pytest.fixture
def others() -> Iterator[tuple[JmaServer, GaroonServer, KintoneServer]]:
    with JmaServer() as jma, GaroonServer() as garoon, KintoneServer() as kintone:
        yield jma, garoon, kintone


@pytest.fixture
async def town(data_dir: Path, others: tuple[JmaServer, GaroonServer, KintoneServer]) -> AsyncIterator[Town]:
    async with Town(data_dir) as town:
        town.settings = {"ALERTD_SOURCE_HOSTS": ",".join(each.host for each in others)}
        await town.run()
        await town.inhabit(6, push=6, two_devices=0, phones=6, connected=0)
        yield town


def told(now: tuple[str, str], before: tuple[str, str]) -> bytes:
    reported = datetime.now(UTC).replace(microsecond=0).isoformat()
    return tsunami(
        {"601": ("愛媛県宇和海沿岸", *now, before[1])}, event=EVENT, title=now[0], reported=reported, sent=reported
    )


async def observed(town: Town, wanted: list[str]) -> None:
    """What came, in its order, once it is this."""
    found: list[str] = []

    async def check() -> bool:
        _, page = await town.call("GET", "/observations")
        found[:] = [f"{each['source']}: {each['action']} {each['reason']}" for each in reversed(page["items"])]
        return found == wanted

    try:
        await eventually(check, WITHIN, "the observations")
    except AssertionError:
        raise AssertionError(f"{found}\n{town.log()[-3000:]}") from None


async def test_four_sources_speak_of_one_event(
    town: Town, others: tuple[JmaServer, GaroonServer, KintoneServer]
) -> None:
    jma, garoon, kintone = others
    secrets = {}
    for name, kind, access in (
        ("jma", "jma", jma.access),
        ("board", "garoon", garoon.access("rest")),
        ("records", "kintone", kintone.access),
        ("prefecture", "cap", None),
    ):
        watched = {"access": access, "every_seconds": EVERY} if access is not None else {}
        status, made = await town.call("POST", "/sources", {"id": name, "kind": kind, **watched})
        assert status == 201, made
        secrets[name] = made["secret"]
    status, saved = await town.call("PUT", "/rules", {"text": RULES})
    assert status == 200, saved

    async def are_heard() -> bool:
        _, page = await town.call("GET", "/sources")
        return all(each["succeeded_at"] or each["id"] == "prefecture" for each in page["items"])

    await eventually(are_heard, 30, "all are looked at")
    jma.publish("eqvol", "VTSE41", told(ADVISORY, NONE), office="010000")
    await town.everyone_has_it(within=WITHIN)
    came = ["jma: alert rule"]
    await observed(town, came)
    # A post on the board may have nothing in common with it but a word in its title and the hour.
    topic = garoon.post("【緊急】参集してください", "<p>津波のため、本庁舎に参集</p>")
    came.append("board: alert rule")
    await observed(town, came)
    garoon.remove(topic)
    came.append("board: stand-down withdrawn")
    await observed(town, came)
    topic = garoon.post("【緊急】津波のため参集してください")
    came.append("board: update likely-same")
    await observed(town, came)
    # Nor has the record, but that it leads to the post.
    address = f"{garoon.access('rest')['url']}/bulletin/view.csp?cid=5&aid={topic}"
    record = kintone.add(件名="避難所を開設", 本文=f"<div>掲示は {address} です</div>", 区分="本番")
    came.append("records: update joined")
    await observed(town, came)
    incidents = f"<incidents>{EVENT}</incidents>"
    await post(
        town, secrets["prefecture"], message(infos=info(event="避難", headline="避難指示"), references=incidents)
    )
    came.append("prefecture: update joined")
    jma.publish("eqvol", "VTSE41", told(WARNING, ADVISORY), office="010000")
    came.append("jma: update worse")
    await observed(town, came)
    garoon.remove(topic)
    came.append("board: update still-holds")
    await observed(town, came)
    jma.publish("eqvol", "VTSE41", told(NONE, WARNING), office="010000")
    came.append("jma: stand-down withdrawn")
    await observed(town, came)
    kintone.edit(record, 本文="<div>避難所を閉鎖</div>")
    came.append("records: ignore closed")
    await observed(town, came)
    _, page = await town.call("GET", "/alerts")
    ours = [(each["state"], each["revision"]) for each in page["items"] if "津波なし" in each["title"]]
    assert ours == [("cancelled", 7)], page
    assert len(page["items"]) == 2

    async def all_know() -> bool:
        return sum("津波なし" in each.payload["notification"]["title"] for each in town.push.messages) == 6

    await eventually(all_know, 15, "everybody knows that it is over")


async def post(town: Town, secret: str, text: str) -> None:
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/cap+xml"}
    ends = text.replace("2026-11-23T06:00:00", "2126-11-23T06:00:00")
    url = f"{town.url}/api/v1/sources/prefecture"
    async with aiohttp.ClientSession() as session, session.post(url, data=ends.encode(), headers=headers) as answer:
        assert answer.status == 200, await answer.text()
