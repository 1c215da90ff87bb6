"""A worker process: it lives, for everybody to see, as long as anything that it holds is under way."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from datetime import datetime

import pytest
from redis import Redis
from rq import Queue, Worker

from alertd.core.delivery import Accepted, Outcome
from alertd.core.message import Message
from alertd.service.runtime import Runtime
from alertd.store import instance
from channels.base import Address
from tests.installation import alert, settle
from tests.services import wait_until
from tests.workers.pigeons import Pigeon, states
from workers.worker import TicketTaker, WorkerProcess


class Hanging(Pigeon):
    """Takes a letter over when it is let, and keeps every thread of the loop busy meanwhile, as dead DNS does."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    async def send(self, address: Address, message: Message, *, key: str, expires_at: datetime) -> Outcome:
        self.flying += 1
        await asyncio.gather(*(asyncio.to_thread(self.gate.wait) for _ in range(64)))
        return Accepted("m1")


@pytest.fixture
def signals() -> Iterator[None]:
    """What a worker makes of the process's signals ends with it."""
    kept = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    for each, handler in kept.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("signals")
def test_its_heart_beats_while_names_cannot_be_looked_up_and_until_the_last_attempt_has_ended(
    rt: Runtime, redis_url: str
) -> None:
    settle(rt, "taro")
    alert_id = alert(rt)
    pigeon = Hanging()
    process = WorkerProcess(rt, {"primary": pigeon}, "w1", redis_url, "test", 0.1)
    tickets = Redis.from_url(redis_url)
    seen: list[str] = []

    def beats() -> int:
        with rt.store.read() as connection:
            return next((row["beat"] for row in instance.list_workers(connection) if row["id"] == "w1"), 0)

    def watch() -> None:
        try:
            wait_until(lambda: pigeon.flying > 0 and Worker.count(connection=tickets) > 0)
            before = beats()
            wait_until(lambda: beats() >= before + 2)
            seen.append("beats while every thread hangs")
            os.kill(os.getpid(), signal.SIGTERM)
            wait_until(lambda: not Worker.count(connection=tickets))
            before = beats()
            wait_until(lambda: beats() >= before + 2)
            seen.append("beats while it finishes")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            pigeon.gate.set()

    watching = threading.Thread(target=watch)
    watching.start()
    process.run()
    watching.join()
    tickets.close()
    assert seen == ["beats while every thread hangs", "beats while it finishes"]
    assert states(rt, alert_id) == {"taro": "sent"}
    assert beats() == 0, "it has taken its leave"


@pytest.mark.usefixtures("signals")
def test_whoever_is_asked_to_end_before_the_ticket_taker_listens_ends_all_the_same(redis_url: str) -> None:
    with Redis.from_url(redis_url) as tickets:
        taker = TicketTaker([Queue("alertd-test-email", connection=tickets)], connection=tickets)
        taker.stopping = threading.Event()
        taker.stopping.set()
        assert taker.work(logging_level="WARNING") is False
