"""Another system hears of every alert through a webhook, in order, whoever is killed meanwhile."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.acceptance.town import Town, eventually
from tests.providers.webhook import WebhookReceiver


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as here:
        yield here


@pytest.fixture(params=["sqlite", "postgres"])
async def town(request: pytest.FixtureRequest, data_dir: Path, receiver: WebhookReceiver) -> AsyncIterator[Town]:
    """A town whose operator has named where the receiver is; on PostgreSQL with two pollers."""
    urls = (None, None)
    if request.param == "postgres":
        urls = request.getfixturevalue("postgres_url"), request.getfixturevalue("redis_url")
    async with Town(data_dir, database_url=urls[0], redis_url=urls[1]) as here:
        here.settings["ALERTD_WEBHOOK_HOSTS"] = receiver.host
        await here.run()
        if here.database_url:
            here.start("poller")
            here.start("poller")
        status, made = await here.call("POST", "/webhooks", {"id": "chat", "url": receiver.hook})
        assert status == 201, made
        receiver.secret = made["secret"]
        yield here


async def test_every_alert_is_heard_whoever_is_killed(town: Town, receiver: WebhookReceiver) -> None:
    await town.inhabit(3, push=3, two_devices=0, phones=3, connected=0)
    # Killed with a message in its hands: the receiver has it, and whoever told it does not know that.
    killed: list[int] = []

    def kill() -> None:
        for each in [each for process in town.processes for each in process.children("workers poller")]:
            each.kill()
            killed.append(each.pid)

    receiver.on_taken(kill)
    status, posted = await town.post("氾濫しました")
    assert status == 201
    alert_id = posted["alert"]["id"]

    async def heard_of() -> bool:
        return bool(killed)

    await eventually(heard_of, 30, f"the first message was told\n{town.log()[-3000:]}")
    revised = {"kind": "update", "title": "水位が上がっています", "body": "二階へ"}
    assert (await town.call("POST", f"/alerts/{alert_id}/revisions", revised))[0] == 201
    cancelled = {"kind": "cancel", "title": "水位が下がりました", "body": "解除します"}
    assert (await town.call("POST", f"/alerts/{alert_id}/revisions", cancelled))[0] == 201
    status, _ = await town.post("避難の練習", drill=True)
    assert status == 201

    async def all_heard() -> bool:
        return len({each.id for each in receiver.taken if each.type != "alert.counts"}) == 4

    await eventually(all_heard, 60, f"all is told\n{town.log()[-3000:]}")
    said = [each for each in receiver.taken if each.type != "alert.counts"]
    # The one whose teller was killed comes again, under its name.
    assert [each.id for each in said[:2]] == [said[0].id] * 2
    assert [(each.data["title"], each.data["drill"]) for each in said[1:]] == [
        ("氾濫しました", False),
        ("【更新】水位が上がっています", False),
        ("【解除】水位が下がりました", False),
        ("【訓練】避難の練習", True),
    ]
    assert receiver.refused == []


async def test_the_last_count_is_told_and_a_ping_arrives(town: Town, receiver: WebhookReceiver) -> None:
    await town.inhabit(2, push=2, two_devices=0, phones=2, connected=0)
    status, sent = await town.call("POST", "/webhooks/chat/ping")
    assert status == 202, sent
    _, posted = await town.post("氾濫しました")
    alert_id = posted["alert"]["id"]
    for person in town.people.values():
        status, kept = await town.call("POST", f"/alerts/{alert_id}/acknowledgements", {}, token=person.token)
        assert status == 200, kept

    async def all_counted() -> bool:
        counted = [each.data for each in receiver.taken if each.type == "alert.counts"]
        return bool(counted) and (counted[-1]["acknowledged"], counted[-1]["outstanding"]) == (2, 0)

    await eventually(all_counted, 60, f"the counts are told\n{town.log()[-3000:]}")
    assert [each.id for each in receiver.taken if each.type == "webhook.ping"] == [sent["message"]]
    _, page = await town.call("GET", "/webhooks")
    [shown] = page["items"]
    assert (shown["failures"], shown["fault"], shown["given_up"]) == (0, None, 0)
    assert receiver.refused == []
