"""The teller over real connections: what a receiver believes, and what receivers may do without harm."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from alertd.service import webhooks
from alertd.service.runtime import Runtime
from channels.hosts import ANYWHERE, Hosts
from tests.installation import BOSS, Clock, alert, settle
from tests.providers.webhook import WebhookReceiver
from tests.services import wait_until
from workers.fetching import HttpFetch
from workers.teller import Teller

TICK = 0.02
PATIENCE = 20


@pytest.fixture
def receiver(time: Clock) -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as here:
        here.now = time().timestamp()
        yield here


@pytest.fixture
def town(rt: Runtime) -> Runtime:
    settle(rt, "taro")
    return rt


def join(rt: Runtime, receiver: WebhookReceiver, webhook_id: str = "chat") -> None:
    receiver.secret = webhooks.make_webhook(rt, BOSS, webhook_id, receiver.hook).secret


@asynccontextmanager
async def telling(rt: Runtime, *receivers: WebhookReceiver, trusted: str | None = None) -> AsyncIterator[None]:
    """The teller runs; the operator has named where these receivers are."""
    places = ",".join(each.host for each in receivers) if trusted is None else trusted
    http = HttpFetch(Hosts.parse(places, ANYWHERE), "alertd/test", per_host=0)
    stopping = asyncio.Event()
    running = asyncio.create_task(Teller(rt, http.tell, TICK).run(stopping))
    try:
        yield
    finally:
        stopping.set()
        await running
        await http.close()


async def until(true: Callable[[], Any]) -> None:
    await asyncio.to_thread(wait_until, lambda: bool(true()), PATIENCE)


def state(rt: Runtime, webhook_id: str = "chat") -> dict[str, Any]:
    return next(each for each in webhooks.list_webhooks(rt) if each["id"] == webhook_id)


async def test_a_receiver_believes_it(town: Runtime, receiver: WebhookReceiver) -> None:
    join(town, receiver)
    alert_id = alert(town, drill=True, title="絵文字🚒の訓練")
    async with telling(town, receiver):
        await until(lambda: state(town)["succeeded_at"])
    [heard] = receiver.taken
    assert (heard.type, heard.data["id"], heard.data["drill"]) == ("alert.created", alert_id, True)
    assert heard.data["title"] == "【訓練】絵文字🚒の訓練"
    assert receiver.refused == []


async def test_it_believes_no_other_secret(town: Runtime, receiver: WebhookReceiver, time: Clock) -> None:
    join(town, receiver)
    receiver.secret = webhooks.make_webhook(town, BOSS, "other", "https://example.jp/").secret
    webhooks.delete_webhook(town, BOSS, "other")
    alert(town)
    async with telling(town, receiver):
        await until(lambda: state(town)["failures"])
        receiver.secret = webhooks.renew_secret(town, BOSS, "chat").secret
        time.move(seconds=5)
        await until(lambda: state(town)["succeeded_at"])
    assert receiver.refused == ["the signature is wrong"]
    assert [heard.type for heard in receiver.taken] == ["alert.created"]


async def test_one_that_hangs_keeps_nobody_else_waiting(town: Runtime, receiver: WebhookReceiver, time: Clock) -> None:
    with WebhookReceiver() as hanging:
        hanging.hangs = True
        hanging.now = time().timestamp()
        for number in range(6):
            join(town, hanging, f"hanging{number}")
        join(town, receiver)
        async with telling(town, receiver, hanging):
            alert(town)
            await until(lambda: hanging.asked == 6)
            assert [heard.type for heard in receiver.taken] == ["alert.created"]
            alert(town, title="別の件")
            await until(lambda: len(receiver.taken) == 2)
        # Nobody asked it twice meanwhile, and whoever comes next begins at once.
        assert hanging.asked == 6
    assert state(town, "hanging0").items() >= {"waiting": 2, "failures": 0}.items()
    with WebhookReceiver(hanging.port) as back:
        back.now = time().timestamp()
        back.secret = webhooks.renew_secret(town, BOSS, "hanging0").secret
        async with telling(town, receiver, back):
            await until(lambda: state(town, "hanging0")["waiting"] == 0)
    assert [heard.data["title"] for heard in back.taken] == ["避難所を開設しました", "別の件"]


async def test_nobody_is_sent_elsewhere(town: Runtime, receiver: WebhookReceiver, time: Clock) -> None:
    with WebhookReceiver() as elsewhere:
        join(town, receiver)
        receiver.statuses, receiver.location = [307], elsewhere.hook
        alert(town)
        async with telling(town, receiver, elsewhere):
            await until(lambda: state(town)["failures"])
        assert "307" in state(town)["fault"]
        assert elsewhere.asked == 0


async def test_what_else_an_answer_says_does_not_matter(town: Runtime, receiver: WebhookReceiver) -> None:
    join(town, receiver)
    receiver.statuses, receiver.answer = [200, 200], b"x" * 20_000_000
    alert(town)
    alert(town, title="別の件")
    async with telling(town, receiver):
        await until(lambda: len(receiver.heard) == 2)
        await until(lambda: state(town)["waiting"] == 0)
    assert state(town)["failures"] == 0


async def test_gone_is_not_told_again(town: Runtime, receiver: WebhookReceiver) -> None:
    join(town, receiver)
    receiver.statuses = [410]
    alert(town)
    async with telling(town, receiver):
        await until(lambda: state(town)["disabled_at"])
        alert(town, title="別の件")
        webhooks.ping(town, BOSS, "chat")
        await until(lambda: state(town)["disabled_at"] is None)
    assert [heard.type for heard in receiver.heard] == ["alert.created", "webhook.ping"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "127.0.0.1."])
async def test_nothing_inside_is_told_unless_it_is_named(town: Runtime, receiver: WebhookReceiver, host: str) -> None:
    webhooks.make_webhook(town, BOSS, "chat", f"https://{host}/hook")
    alert(town)
    async with telling(town, trusted=receiver.host):
        await until(lambda: state(town)["failures"])
    assert "not a public address" in state(town)["fault"]
    assert receiver.asked == 0


async def test_who_is_not_there_is_told_later(town: Runtime, receiver: WebhookReceiver, time: Clock) -> None:
    join(town, receiver)
    receiver.stop_listening()
    alert(town)
    async with telling(town, receiver):
        await until(lambda: state(town)["failures"])
        assert f"http://{receiver.host}" in state(town)["fault"]
        assert "room=7" not in state(town)["fault"]
        with WebhookReceiver(receiver.port) as back:
            back.now, back.secret = time().timestamp(), receiver.secret
            time.move(seconds=5)
            await until(lambda: state(town)["waiting"] == 0)
    assert [heard.type for heard in back.taken] == ["alert.created"]
