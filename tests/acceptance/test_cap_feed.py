"""What one town publishes as CAP another reads back: the same alert, its update and its end, a drill as a drill."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.town import Town, eventually

RULES = """
[[rule]]
name = "neighbour"
source = "neighbour"
do = "alert"
audience = { everyone = true }
drills = "drill"
"""


@pytest.fixture
async def towns(data_dir: Path) -> AsyncIterator[tuple[Town, Town]]:
    """A town that publishes, and one that follows its feed."""
    for name in ("a", "b"):
        (data_dir / name).mkdir()
    async with Town(data_dir / "a") as first, Town(data_dir / "b") as second:
        await first.run()
        await first.inhabit(2, push=0, two_devices=0, phones=0, connected=0)
        second.settings = {"ALERTD_SOURCE_HOSTS": urlsplit(first.url).netloc}
        await second.run()
        await second.inhabit(4, push=4, two_devices=0, phones=4, connected=0)
        status, made = await first.call("POST", "/tokens", {"person": "p00", "role": "viewer"})
        assert status == 201, made
        access = {"feed": f"{first.url}/api/v1/alerts.atom", "token": made["token"]}
        body = {"id": "neighbour", "kind": "cap", "access": access, "every_seconds": 10}
        status, source = await second.call("POST", "/sources", body)
        assert status == 201, source
        await second.call("PUT", "/rules", {"text": RULES})
        yield first, second


async def alerts(town: Town) -> list[tuple[Any, ...]]:
    _, page = await town.call("GET", "/alerts")
    names = ("title", "body", "severity", "state", "revision", "drill")
    return [tuple(each[name] for name in names) for each in page["items"]]


async def until_alike(first: Town, second: Town, count: int) -> None:
    found: list[Any] = []

    async def check() -> bool:
        found[:] = [await alerts(first), await alerts(second)]
        plain = [[(each[0].removeprefix("【訓練】"), *each[2:]) for each in some] for some in found]
        return plain[0] == plain[1] and len(plain[1]) == count

    try:
        await eventually(check, 25, "both say the same")
    except AssertionError:
        _, page = await second.call("GET", "/observations")
        _, rows = await second.call("GET", "/sources")
        raise AssertionError(f"{found}\n{page}\n{rows}\n{second.log()[-2000:]}") from None


async def test_what_is_published_reads_back_to_the_same_alert(towns: tuple[Town, Town]) -> None:
    first, second = towns
    status, real = await first.post("堤防が切れました", severity="extreme")
    assert status == 201, real
    await until_alike(first, second, 1)
    await second.everyone_has_it(within=15)
    [(_, body, *_)] = await alerts(second)
    assert body.startswith("本庁舎に集まってください。")
    status, told = await first.call(
        "POST",
        f"/alerts/{real['alert']['id']}/revisions",
        {"kind": "update", "title": "堤防が二か所", "body": "高台へ"},
    )
    assert status == 201, told
    await until_alike(first, second, 1)
    status, told = await first.call(
        "POST", f"/alerts/{real['alert']['id']}/revisions", {"kind": "cancel", "title": "解除", "body": "もう安全"}
    )
    assert status == 201, told
    await until_alike(first, second, 1)
    assert (await alerts(second))[0][3:5] == ("cancelled", 3)
    status, drill = await first.post("参集の訓練", drill=True)
    assert status == 201, drill
    await until_alike(first, second, 2)
    assert (await alerts(second))[0][5] is True
