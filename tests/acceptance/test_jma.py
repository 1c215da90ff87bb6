"""The Agency's feeds through the whole program: a tsunami is one thread, and no telegram is fetched twice."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.acceptance.town import Town, eventually
from tests.providers.jma import JmaServer
from tests.sources.telegrams import tsunami

RULES = """
[[rule]]
name = "津波"
source = "jma"
do = "alert"
audience = { everyone = true }
drills = "drill"

[rule.when]
areas = ["601"]
at_least = { tsunami = "advisory" }
"""
UWAKAI, BUNGO = "601", "760"
ADVISORY, WARNING, MAJOR, NONE = ("津波注意報", "62"), ("津波警報", "51"), ("大津波警報", "52"), ("津波なし", "00")


@pytest.fixture
def jma() -> Any:
    with JmaServer() as server:
        yield server


@pytest.fixture
async def town(data_dir: Path, jma: JmaServer) -> AsyncIterator[Town]:
    async with Town(data_dir) as town:
        town.settings = {"ALERTD_SOURCE_HOSTS": jma.host}
        await town.run()
        await town.inhabit(6, push=6, two_devices=0, phones=6, connected=0)
        body = {"id": "jma", "kind": "jma", "access": jma.access, "every_seconds": 10}
        status, made = await town.call("POST", "/sources", body)
        assert status == 201, made
        status, saved = await town.call("PUT", "/rules", {"text": RULES})
        assert status == 200, saved
        yield town


def told(at: str, now: tuple[str, str], before: tuple[str, str] = NONE, **changes: str) -> bytes:
    return tsunami({UWAKAI: ("愛媛県宇和海沿岸", *now, before[1])}, at=at, **changes)


async def observed(town: Town, count: int) -> list[dict[str, Any]]:
    """What came, newest first, once there is so much of it."""
    items: list[dict[str, Any]] = []

    async def check() -> bool:
        _, page = await town.call("GET", "/observations")
        items[:] = page["items"]
        return len(items) >= count

    try:
        await eventually(check, 25, f"{count} observations")
    except AssertionError as error:
        raise AssertionError(f"{error}: {await source(town)}\n{town.log()[-6000:]}") from None
    return items


async def source(town: Town) -> dict[str, Any]:
    status, page = await town.call("GET", "/sources")
    assert status == 200, town.log()[-5000:]
    (only,) = page["items"]
    return dict(only)


async def alerts(town: Town) -> list[tuple[str, int]]:
    _, page = await town.call("GET", "/alerts")
    return [(each["state"], each["revision"]) for each in page["items"]]


def pushed(town: Town) -> list[str]:
    return [message.payload["notification"]["title"] for message in town.push.messages]


async def test_a_tsunami_is_issued_raised_lowered_and_lifted_as_one_thread(town: Town, jma: JmaServer) -> None:
    jma.publish("eqvol", "VTSE41", told("01", ADVISORY, title="津波注意報"), office="010000")
    await town.everyone_has_it(within=20)
    assert await alerts(town) == [("active", 1)]
    # Whatever is killed meanwhile: the next one begins where this one was.
    (poller,) = town.processes[0].children("workers poller")
    poller.kill()
    for at, now, before, count in (("05", MAJOR, ADVISORY, 2), ("30", WARNING, MAJOR, 3)):
        jma.publish("eqvol", "VTSE41", told(at, now, before, title=now[0]), office="010000")
        await observed(town, count)
    lifted = told("50", NONE, WARNING, title="津波予報（若干の海面変動）")
    jma.publish("eqvol", "VTSE41", lifted, office="010000")
    came = await observed(town, 4)
    assert [each["action"] for each in came] == ["stand-down", "update", "update", "alert"]
    assert [each["reason"] for each in came] == ["withdrawn", "better", "worse", "rule"]

    async def ended() -> bool:
        return await alerts(town) == [("cancelled", 4)]

    await eventually(ended, 10, "one alert with four revisions")

    async def all_know() -> bool:
        return sum("若干の海面変動" in title for title in pushed(town)) == 6

    await eventually(all_know, 15, "everybody knows that it is over")
    fetched = [path for path, status in jma.requests if "/data/" in path and status == 200]
    assert len(fetched) == len(set(fetched)) == 4
    assert not jma.shut_out


async def test_a_gap_is_filled_from_the_long_feed_and_told_as_it_stands(town: Town, jma: JmaServer) -> None:
    await eventually(lambda: _is_heard(town), 15, "the source was heard")
    jma.publish("eqvol", "VTSE41", told("01", ADVISORY), office="010000", at=datetime.now(UTC) - timedelta(minutes=30))
    await observed(town, 1)
    # The line is cut; what is said meanwhile leaves the short feed.
    jma.broken = web.Response(status=503)
    jma.publish("eqvol", "VTSE41", told("05", MAJOR, ADVISORY, title="大津波"), office="010000",
                at=datetime.now(UTC) - timedelta(minutes=20))  # fmt: skip
    jma.publish("eqvol", "VTSE41", told("10", WARNING, MAJOR, title="津波警報"), office="010000",
                at=datetime.now(UTC) - timedelta(minutes=10))  # fmt: skip
    jma.forget_short()
    jma.publish("eqvol", "VTSE41", told("11", ADVISORY, event="20261122030000"), office="010000")

    async def is_unwell() -> bool:
        return "503" in str((await source(town))["fault"])

    await eventually(is_unwell, 25, "the fault is shown")
    jma.broken = None
    came = await observed(town, 4)
    assert {path for path, _ in jma.requests} >= {"/developer/xml/feed/eqvol_l.xml"}
    reasons = {each["title"]: each["reason"] for each in came}
    assert reasons["津波警報"] == "worse"
    assert reasons["大津波"] == "older"
    assert all("大津波" not in title for title in pushed(town))


async def _is_heard(town: Town) -> bool:
    return (await source(town))["succeeded_at"] is not None


async def test_what_is_no_feed_is_told_and_touches_nothing_else(town: Town, jma: JmaServer) -> None:
    for broken, words in (
        (web.Response(body=b"<html><body>maintenance</body></html>", content_type="text/html"), "no feed"),
        (web.Response(status=302, headers={"Location": "http://192.0.2.1/"}), "elsewhere"),
        (web.Response(body=b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><feed>&a;</feed>"), "DOCTYPE"),
        (web.Response(body=b"<feed>" + b" " * 9_000_000 + b"</feed>"), "more than"),
    ):
        jma.broken = broken
        _, _ = await town.call("PUT", "/sources/jma/watch", {"access": jma.access, "every_seconds": 10})

        async def is_told(words: str = words) -> bool:
            found = await source(town)
            return words in str(found["fault"]) and found["failed_at"] is not None

        await eventually(is_told, 15, words)
    status, _ = await town.post("ほかは動く")
    assert status == 201
    jma.broken = None
    jma.publish("eqvol", "VTSE41", told("01", ADVISORY), office="010000")
    _, _ = await town.call("PUT", "/sources/jma/watch", {"access": jma.access, "every_seconds": 10})
    [came] = await observed(town, 1)
    assert came["action"] == "alert"
    status, refused = await town.call(
        "PUT", "/sources/jma/watch", {"access": {"feeds": ["http://192.0.2.1/developer/xml/feed/extra.xml"]}}
    )
    assert status == 422, refused
