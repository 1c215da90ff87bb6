"""Several web processes and workers on one machine: one address, one truth, and nobody notices when one dies."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.acceptance.town import Person, Town, eventually, gone

WEBS = 2
TITLE = "津波警報"
_ALERTS = 12


@pytest.fixture
async def busy_town(database_url: str, data_dir: Path) -> AsyncIterator[Town]:
    """A town in which one `serve` starts two of each, on each store."""
    town = Town(data_dir)
    town.settings = {"ALERTD_WEB_PROCESSES": str(WEBS), "ALERTD_WORKERS_PER_CHANNEL": "2"}
    town.settings |= {"ALERTD_DATABASE_URL": database_url}
    async with town:
        await town.run()
        await all_ready(town)
        yield town


def webs(town: Town) -> list[psutil.Process]:
    return town.processes[-1].children("alertd.app")


async def all_ready(town: Town) -> None:
    """Until every web process has counted its heartbeat and every worker is listed."""

    async def check() -> bool:
        try:
            status, text = await town.get(f"{town.url}/health/ready")
        except OSError:
            return False
        roles = [role["role"] for role in json.loads(text)["roles"]] if status == 200 else []
        return roles.count("web") >= WEBS and roles.count("worker") == 6 and len(webs(town)) == WEBS

    await eventually(check, 60, "two of each are there")


def served_by(socket: ClientConnection, processes: list[psutil.Process]) -> psutil.Process:
    """The process at the other end of a connection."""
    ours = socket.local_address[:2]
    for process in processes:
        if any(tuple(line.raddr) == ours for line in process.net_connections("tcp")):
            return process
    raise AssertionError("nobody is at the other end")


class Phone:
    """A client that comes back by itself with its position, as ours do; what it heard, in order."""

    def __init__(self, town: Town, person: Person) -> None:
        self._town = town
        self._person = person
        self._position = ""
        self.socket: ClientConnection | None = None
        self.offsets: list[int] = []
        self.titles: list[str] = []
        self.resumed = 0
        self.closed_with: list[int] = []

    async def run(self) -> None:
        url = self._town.url.replace("http", "ws") + "/api/v1/stream"
        while True:
            try:
                async with connect(
                    url + self._position, additional_headers={"Authorization": f"Bearer {self._person.token}"}
                ) as socket:
                    await self._listen(socket)
            except (OSError, WebSocketException):
                await asyncio.sleep(0.05)

    async def _listen(self, socket: ClientConnection) -> None:
        self.socket = None
        epoch = ""
        try:
            while True:
                frame = json.loads(await socket.recv())
                if frame["type"] == "hello":
                    epoch = frame["epoch"]
                    self.resumed += bool(self._position)
                    self.socket = socket
                elif frame["type"] == "alert":
                    self.offsets.append(frame["offset"])
                    self.titles.append(frame["alert"]["title"])
                if "offset" in frame:
                    self._position = f"?epoch={epoch}&after={frame['offset']}"
        except ConnectionClosed as closed:
            self.closed_with.append(closed.rcvd.code if closed.rcvd else 0)
            raise
        finally:
            self.socket = None


@pytest.fixture
async def phones(busy_town: Town) -> AsyncIterator[list[Phone]]:
    """Twenty people with live connections, some at each web process."""
    await busy_town.inhabit(20, push=0, two_devices=0, phones=0, connected=0)
    made = [Phone(busy_town, person) for person in busy_town.people.values()]
    running = [asyncio.create_task(phone.run()) for phone in made]
    await eventually(lambda: _all(made), 15, "everybody is connected")
    yield made
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _all(phones: list[Phone]) -> bool:
    return all(phone.socket is not None for phone in phones)


async def test_a_web_process_is_killed_and_nobody_misses_anything(busy_town: Town, phones: list[Phone]) -> None:
    before = webs(busy_town)
    owners = {phone: served_by(phone.socket, before) for phone in phones if phone.socket}
    victim = max(before, key=list(owners.values()).count)
    victims = [phone for phone, owner in owners.items() if owner == victim]
    wanted = []
    for number in range(_ALERTS):
        title = f"{TITLE} {number}"
        posting = asyncio.create_task(post(busy_town, title, f"key-{number}"))
        if number == _ALERTS // 3:
            victim.send_signal(signal.SIGKILL)
        await posting
        wanted.append(title)

    async def heard() -> bool:
        return all(set(phone.titles) >= set(wanted) for phone in phones)

    await eventually(heard, 20, "everybody has heard of every alert")
    for phone in phones:
        assert phone.offsets == sorted(set(phone.offsets)), "something was told twice or out of order"
        assert sorted(set(phone.titles)) == sorted(wanted)
        assert phone.resumed == (phone in victims), "those of the other process noticed something"
    assert gone([victim], 5) == []
    await all_ready(busy_town)
    assert {each.pid for each in before} - {each.pid for each in webs(busy_town)} == {victim.pid}


async def post(town: Town, title: str, key: str) -> None:
    """Post once, however often it has to be tried."""
    for _ in range(20):
        try:
            status, body = await town.post(title, key=key)
        except (OSError, EOFError):
            await asyncio.sleep(0.1)
            continue
        assert status == 201, body
        return
    raise AssertionError("it could not be posted")


async def test_a_key_posts_once_whichever_process_is_asked(busy_town: Town, phones: list[Phone]) -> None:
    answers = await asyncio.gather(*(busy_town.post(TITLE, key="once") for _ in range(16)))
    assert {status for status, _ in answers} == {201}
    assert len({body["alert"]["id"] for _, body in answers}) == 1
    _, page = await busy_town.call("GET", "/alerts")
    assert len(page["items"]) == 1

    async def heard() -> bool:
        return all(phone.titles == [TITLE] for phone in phones)

    await eventually(heard, 15, "everybody has heard of it")


async def test_one_person_s_answers_through_both_processes_are_one(busy_town: Town, phones: list[Phone]) -> None:
    before = webs(busy_town)
    _, posted = await busy_town.post(TITLE)
    alert = posted["alert"]["id"]
    person = busy_town.people["p00"]
    sockets: dict[int, ClientConnection] = {}
    for _ in range(60):
        if len(sockets) == WEBS:
            break
        url = busy_town.url.replace("http", "ws") + "/api/v1/stream"
        socket = await connect(url, additional_headers={"Authorization": f"Bearer {person.token}"})
        if (owner := served_by(socket, before).pid) in sockets:
            await socket.close()
        else:
            sockets[owner] = socket
    assert len(sockets) == WEBS, "one process takes every connection"
    frame = json.dumps({"type": "ack", "alert": alert, "ref": "x"})
    rounds = 40

    async def insist(socket: ClientConnection) -> int:
        for _ in range(rounds):
            await socket.send(frame)
        answered = 0
        while answered < rounds:
            said = json.loads(await socket.recv())
            assert said["type"] != "error", said
            answered += said["type"] == "acknowledged"
        return answered

    try:
        async with asyncio.timeout(30):
            assert await asyncio.gather(*(insist(socket) for socket in sockets.values())) == [rounds] * WEBS
    finally:
        for socket in sockets.values():
            await socket.close()
    summary = await busy_town.summary(alert)
    assert summary["acknowledged"] == 1
    assert phones


async def test_a_stop_tells_everybody_to_come_back(busy_town: Town, phones: list[Phone]) -> None:
    serve = busy_town.processes[0]
    stopped = await asyncio.to_thread(serve.stop)
    assert len(stopped) == WEBS + 6 + 3
    assert gone(stopped, 15) == []
    assert serve.returncode == 0

    async def told() -> bool:
        return all(phone.closed_with for phone in phones)

    await eventually(told, 10, "everybody was told")
    assert {phone.closed_with[0] for phone in phones} == {1012}
    busy_town.start("serve", "--port", str(busy_town.ports[0]))
    await all_ready(busy_town)
    await eventually(lambda: _all(phones), 15, "everybody is back")


async def test_two_workers_of_each_channel_send_everything_once(busy_town: Town) -> None:
    await busy_town.inhabit(60, push=30, two_devices=0, phones=30, connected=0)
    await busy_town.post(TITLE)
    await busy_town.everyone_has_it(within=30)
    for sent, count in (
        (busy_town.push.messages, 30),
        (busy_town.twilio.messages, 30),
        (busy_town.smtp.letters, 60),
    ):
        assert len(sent) == count, "something was sent twice"
