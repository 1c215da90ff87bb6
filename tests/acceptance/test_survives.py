"""What happens when a process dies at the worst moment: everyone still gets it."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from alertd.core.errors import StoreUnavailable
from alertd.store import instance
from alertd.store.engine import Store
from tests.acceptance.town import Town, eventually, gone, running_town
from tests.services import Redis

TITLE = "津波警報"


async def test_workers_killed_in_the_middle_of_sending_lose_nobody(town: Town) -> None:
    await town.inhabit(60, push=20, two_devices=5, phones=30, connected=0)
    town.push.delay(1.0, times=None)
    town.twilio.delay(1.0, times=None)
    town.smtp.delay("message", 1.0, times=None)
    status, _ = await town.post(TITLE)
    assert status == 201

    async def sending() -> bool:
        return town.push.requests > 0 and town.twilio.requests > 0 and town.smtp.attempts > 0

    await eventually(sending, 10, "every channel is sending")
    under_way = town.push.requests - len(town.push.messages)
    workers = [child for process in town.processes for child in process.children("workers worker")]
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
    assert under_way > 0, "nothing was under way when the workers were killed"
    assert len(workers) == (6 if town.database_url else 3)
    assert gone(workers, 5) == []
    town.push.reset_plans()
    town.twilio.reset_plans()
    town.smtp.reset_plans()
    await town.everyone_has_it(within=20)


async def test_a_worker_killed_between_the_providers_yes_and_our_commit_sends_no_second_sms(small_town: Town) -> None:
    await small_town.inhabit(20, push=0, two_devices=0, phones=20, connected=0)
    small_town.twilio.hang(taken=True, times=None)
    await small_town.post(TITLE)

    async def taken() -> bool:
        return len(small_town.twilio.messages) == 20

    await eventually(taken, 10, "the provider has every SMS")
    for worker in small_town.processes[0].children("--channel sms"):
        worker.kill()
    small_town.twilio.reset_plans()

    async def known() -> bool:
        _, page = await small_town.call("GET", "/alerts")
        summary = await small_town.summary(page["items"][0]["id"])
        return bool(summary["channels"]["sms"]["sent"] == 20)

    await eventually(known, 20, "every SMS is known to be with the provider")
    assert small_town.twilio.look_ups >= 20
    assert len(small_town.twilio.messages) == 20, "an SMS was sent twice"


async def test_redis_killed_right_after_the_answer_loses_nobody(small_town: Town) -> None:
    town = small_town
    await town.inhabit(60, push=20, two_devices=5, phones=30, connected=10)
    redis = town.processes[0].children("redis")
    assert len(redis) == 1
    status, _ = await town.post(TITLE)
    redis[0].kill()
    assert status == 201
    await town.everyone_has_it(within=20)

    async def told() -> bool:
        connected = [person for person in town.people.values() if person.socket is not None]
        return all(any(frame["type"] == "alert" for frame in person.frames) for person in connected)

    await eventually(told, 10, "every connection has the frame")

    async def back() -> bool:
        return any(child.is_running() for child in town.processes[0].children("redis"))

    await eventually(back, 15, "Redis is back")


async def test_a_redis_that_never_comes_back_loses_nobody(
    data_dir: Path, postgres_url: str, redis_server: Redis
) -> None:
    async with running_town(data_dir, database_url=postgres_url, redis_url=redis_server.url) as town:
        await town.inhabit(60, push=20, two_devices=5, phones=30, connected=10)
        redis_server.stop()
        status, _ = await town.post(TITLE)
        assert status == 201
        await town.everyone_has_it(within=20)


async def test_a_child_that_dies_is_back_and_the_rest_goes_on(small_town: Town) -> None:
    serve = small_town.processes[0]
    for name in ("alertd.app", "workers clock", "workers poller", "redis", "--channel sms"):
        before = serve.children(name)
        assert len(before) == 1, name
        before[0].kill()

        async def replaced(name: str = name, before: int = before[0].pid) -> bool:
            now = serve.children(name)
            return len(now) == 1 and now[0].pid != before

        await eventually(replaced, 15, f"{name} is back")
    await small_town.ready()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_serve_leaves_nothing_running_whatever_way_it_ends(small_town: Town, number: int) -> None:
    serve = small_town.processes[0]
    children = serve.stop(number)
    assert len(children) == 7
    assert gone(children, 15) == []
    assert serve.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    if number == signal.SIGKILL:
        small_town.start("serve", "--port", str(small_town.ports[0]))
        await small_town.ready()


@pytest.mark.parametrize("role", ["web", "worker", "clock"])
async def test_serve_that_is_asked_to_stop_while_a_role_starts_stops(data_dir: Path, role: str) -> None:
    async with Town(data_dir) as town:
        serve = town.start("serve", "--port", str(town.ports[0]))
        store = Store(f"sqlite:///{data_dir}/data/alertd.db")

        async def starting() -> bool:
            try:
                with store.read() as connection:
                    return role in {row["role"] for row in instance.list_workers(connection)}
            except StoreUnavailable:  # nothing is there yet
                return False

        await eventually(starting, 30, f"the {role} is listed")
        store.close()
        await asyncio.wait_for(asyncio.to_thread(serve.stop), 25)
        assert serve.returncode == 0


async def test_sigterm_finishes_the_batch_in_hand(small_town: Town) -> None:
    await small_town.inhabit(10, push=10, two_devices=0, phones=0, connected=0)
    small_town.push.delay(1.5, times=None)
    _, posted = await small_town.post(TITLE)

    async def sending() -> bool:
        return small_town.push.requests == 10

    await eventually(sending, 10, "pushes are under way")
    assert small_town.push.messages == []
    small_town.processes[0].stop()
    assert len(small_town.push.messages) == 10
    small_town.push.reset_plans()
    small_town.start("serve", "--port", str(small_town.ports[0]))
    await small_town.ready()
    summary = await small_town.summary(posted["alert"]["id"])
    assert summary["channels"]["webpush"]["sent"] == 10
    assert small_town.push.requests == 10, "what was sent was sent again"


async def test_a_second_serve_on_the_same_data_is_refused_in_words(small_town: Town) -> None:
    status, _, error = await small_town.command("serve", "--port", "0")
    assert status == 1
    assert "another alertd serve runs on" in error


async def test_a_port_that_is_taken_is_refused_in_words(small_town: Town, tmp_path: Path) -> None:
    status, _, error = await small_town.command(
        "serve", "--port", str(small_town.ports[0]), "--data", str(tmp_path / "other")
    )
    assert status == 1
    assert "cannot listen on 127.0.0.1" in error
    left = [
        child for child in psutil.process_iter(["cmdline"]) if "other/redis" in " ".join(child.info["cmdline"] or ())
    ]
    assert left == []


async def test_logs_hold_nothing_by_which_somebody_could_be_reached_or_impersonated(small_town: Town) -> None:
    town = small_town
    await town.inhabit(10, push=10, two_devices=0, phones=10, connected=5)
    town.push.answer(500, times=3)
    town.twilio.fail(21211, number=town.people["p01"].phone)
    town.smtp.answer("rcpt", "550 5.1.1 <p02@mikan.example> is unknown", recipient="p02@mikan.example")
    await town.post(TITLE)
    secrets = [town.admin, *(person.token for person in town.people.values())]
    for person in town.people.values():
        secrets += [person.phone or "?", person.email or "?", person.browsers[0].endpoint, person.browsers[0].p256dh]

    async def settled() -> bool:
        return len(town.push.messages) == 10 and len(town.twilio.messages) == 9 and len(town.smtp.letters) == 9

    await eventually(settled, 20, "everything is settled")
    secrets += [message.payload["notification"]["data"]["token"] for message in town.push.messages]
    for token in secrets[-3:]:
        await town.form(f"{town.url}/a/{token}")
    await town.get(f"{town.url}/a/{secrets[-1]}x")
    await town.call("GET", "/people", token="wrong-token-which-is-secret-all-the-same")
    town.processes[0].stop()
    assert [secret for secret in [*secrets, "wrong-token-which"] if secret in town.log()] == []
