"""The live stream: telling thousands at once, against a loop of `send()` in C over as many sockets.

A crowd in C (`crowd.c`) is on the other end. Its sockets and the server's together are more than one process may have,
so that it is a process of its own; on two cores both share the machine with the server, as does the reference's.
"""

import contextlib
import http.client
import json
import secrets
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from sqlalchemy import insert

from alertd.core.roles import Role
from alertd.serve import listen
from alertd.service import access
from alertd.store.schema import credentials
from tests.acceptance.town import free_port
from tests.bench import references
from tests.bench.crowd import Crowd, Tools, most_descriptors
from tests.bench.figures import Curve, Figure, Run, Skipped, at_most
from tests.bench.town import Town
from tests.services import wait_until

STREAM: Final = "/api/v1/stream"
_WARM: Final = 500
_SHARED: Final = 100  # people whose phones make up the crowd where planning an alert is not what is measured
_BODY: Final = "第一小学校へ避難してください。" * 4


def measure(run: Run) -> list[Figure]:
    """Fan-out, cost of a frame, memory, pauses, acknowledgements meanwhile, and stalled readers."""
    tools = Tools.build(run.directory)
    most = most_descriptors() - 600
    sizes = [size for size in run.size((1_000, 5_000, 10_000, 19_000), (1_000, 2_000)) if size <= most]
    figures: list[Figure] = []
    with Town.open(run.fresh(), "sqlite") as town:
        town.populate(max(sizes), {})
        tokens = make_tokens(town, max(sizes), _SHARED)
        own = make_tokens(town, max(sizes), max(sizes))
        for size in sizes:
            with Place(town, tools, tokens) as place:
                figures += _fan_out(run, place, size)
        with Place(town, tools, tokens) as place:
            figures += _against_others(run, place, min(10_000, sizes[-1]))
        with Place(town, tools, tokens) as place:
            figures += _acknowledge_meanwhile(place, min(15_000, sizes[-1]), run.size(5, 2))
        with Place(town, tools, tokens) as place:
            figures += _stalled(place, min(10_000, sizes[-1]), run.size(8, 3))
        with Place(town, tools, own) as place:
            figures += _everyone(place, min(10_000, sizes[-1]), run.size(5, 2))
    return figures


def _fan_out(run: Run, place: "Place", size: int) -> list[Figure]:
    """Rounds in turn with the reference: POST to the last frame, processor time a frame, memory a connection."""
    rounds = run.size(9, 4)
    memory = place.fill(size)
    send_loop = references.send_loop(place.tools.sendloop)
    with Rival(send_loop, place, size) as rival:
        ours, theirs = _in_turn(place, rival, rounds + 1)
    # The first round finds caches cold that a town's second alert finds warm; it is told apart.
    first, ours, theirs = ours[0], ours[1:], theirs[1:]
    (milliseconds, cpu), (reference, reference_cpu) = (_medians(taken, size) for taken in (ours, theirs))
    loop = send_loop.name
    for name, value in (("alertd", milliseconds), (loop, reference)):
        point = (float(size), value)
        known = run.curves["fanout"].series.get(name, []) if "fanout" in run.curves else []
        run.draw(Curve("fanout", "Fan-out, publish to the last frame", "connections", "ms", {name: [*known, point]}))
    return [
        Figure(f"fan-out to {size:,}, POST to last frame", milliseconds, "ms", loop, reference, at_most(1.3, "ratio")),
        Figure(f"fan-out to {size:,}, the first of all", first.seconds * 1_000, "ms"),
        Figure(f"server CPU per frame, {size:,}", cpu, "µs", loop, reference_cpu, at_most(1.3, "ratio")),
        Figure(f"memory per idle connection, {size:,}", memory, "KiB", limit=at_most(4)),
        Figure(f"longest wait of a request during {rounds} fan-outs to {size:,}", place.longest_wait() * 1_000, "ms",
               limit=at_most(100)),
    ]  # fmt: skip


def _against_others(run: Run, place: "Place", size: int) -> list[Figure]:
    """What others use, each in turn with ours: the same figures, and none of theirs smaller."""
    memory = place.fill(size)
    figures: list[Figure] = []
    for make in (references.websockets, references.starlette, lambda: references.nchan(run.fresh())):
        try:
            other = make()
        except Skipped as reason:
            run.notes.append(f"not measured: {reason}")
            continue
        with Rival(other, place, size) as rival:
            ours, theirs = _in_turn(place, rival, run.size(6, 3))
        (milliseconds, cpu), (reference, reference_cpu) = (_medians(taken[1:], size) for taken in (ours, theirs))
        wanted = at_most(1, "ratio")
        in_python = wanted if other.name != "Nchan" else None  # in C, which keeps less and spends less
        name = f"{size:,}, against {other.name}"
        figures += [
            Figure(f"fan-out to {name}", milliseconds, "ms", other.name, reference, wanted),
            Figure(f"server CPU per frame, {name}", cpu, "µs", other.name, reference_cpu, in_python),
            Figure(f"memory per idle connection, {name}", memory, "KiB", other.name, rival.memory, in_python),
        ]
    return figures


def _in_turn(place: "Place", rival: "Rival", rounds: int) -> tuple[list["Round"], list["Round"]]:
    taken = [(place.publish(number), rival.publish(number)) for number in range(rounds)]
    return [ours for ours, _ in taken], [theirs for _, theirs in taken]


def _medians(taken: Sequence["Round"], size: int) -> tuple[float, float]:
    """Milliseconds to the last frame, microseconds on a processor for each."""
    seconds, cpu = (
        statistics.median(values) for values in zip(*((one.seconds, one.cpu) for one in taken), strict=True)
    )
    return seconds * 1_000, cpu / size * 1e6


def _acknowledge_meanwhile(place: "Place", size: int, rounds: int) -> list[Figure]:
    """Acknowledgements over HTTP, one after the other, while everybody is told of something."""
    place.crowd.connect(size, STREAM)
    alert = place.publish(0).alert
    waits: list[float] = []
    for number in range(1, rounds + 1):
        with place.acknowledging(alert) as taken:
            place.publish(number)
        waits += taken
    return [
        Figure(f"acknowledgement during a fan-out to {size:,}, worst", max(waits) * 1_000, "ms", limit=at_most(20),
               note=f"{len(waits)} of them"),
        Figure(f"acknowledgement during a fan-out to {size:,}, median", statistics.median(waits) * 1_000, "ms"),
    ]  # fmt: skip


def _everyone(place: "Place", size: int, rounds: int) -> list[Figure]:
    """An alert to everybody, each with a phone of their own: from the answer to the POST on."""
    place.crowd.connect(size, STREAM)
    taken = [place.publish(number, everyone=True).after_answer for number in range(rounds + 1)][1:]
    return [
        Figure(f"alert to everyone, {size:,} connected, 201 to the last frame", statistics.median(taken) * 1_000, "ms")
    ]


def _stalled(place: "Place", size: int, rounds: int) -> list[Figure]:
    """A tenth stops reading; how much longer the others wait, and what the stalled cost."""
    place.crowd.connect(size, STREAM)
    place.publish(0)
    before = statistics.median(place.publish(number).seconds for number in range(1, rounds + 1))
    memory = place.memory()
    stalled = size // 10
    place.crowd.ask(f"stall {stalled}")
    # As it is, not shared out by those who read: what the kernel takes for one who does not costs as much as any frame.
    after = statistics.median(place.publish(number).seconds for number in range(rounds))
    grown = max(0, place.memory() - memory) / stalled / 1024
    began = time.monotonic()
    wait_until(lambda: place.connections() <= size - stalled, 60)
    return [
        Figure(f"fan-out to {size:,}, {stalled:,} stalled, for the others", after * 1_000, "ms", "none stalled",
               before * 1_000, at_most(1.1, "ratio")),
        Figure("memory per stalled reader", grown, "KiB", limit=at_most(256)),
        Figure("until all stalled readers are gone", time.monotonic() - began, "s", limit=at_most(30)),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Round:
    seconds: float  # from before the POST to the last frame
    cpu: float  # of the server's processes
    alert: str = ""
    after_answer: float = 0.0  # of the seconds those after the POST was answered; less than 0: it came before


class Place:
    """A web process with nobody connected, a manager who posts, and a crowd. Runs from entering on."""

    def __init__(self, town: Town, tools: Tools, tokens: Path) -> None:
        self._town = town
        self.tools = tools
        self.tokens = tokens
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Place":
        with contextlib.ExitStack() as stack:
            [listening] = listen("127.0.0.1", 0)
            self._port = listening.getsockname()[1]
            self._servers = [stack.enter_context(_web(self._town, listening))]
            listening.close()
            self._manager = access.create_token(self._town.rt, self._town.admin, "manager", Role.MANAGER).secret
            self._http = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            stack.callback(self._http.close)
            wait_until(self._is_ready, 60)
            self.crowd = stack.enter_context(Crowd(self.tools, self._port, self.tokens))
            self._waits: list[float] = []
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _is_ready(self) -> bool:
        try:
            return self._call("GET", "/health/ready")[0] == 200
        except OSError:
            self._http.close()
            return False

    def _call(self, method: str, path: str, body: object = None, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or self._manager}", "Content-Type": "application/json"}
        self._http.close()  # it may have been idle for longer than a server keeps a line
        self._http.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self._http.getresponse()
        return answer.status, json.loads(answer.read())

    def publish(self, number: int, *, everyone: bool = False) -> Round:
        """One alert to the people whom the crowd consists of; until everybody has heard of it."""
        alert = ""

        def post() -> None:
            nonlocal alert
            began = time.monotonic()
            status, answer = self._call("POST", "/api/v1/posts", _post(number, everyone=everyone))
            if status != 201:
                raise RuntimeError(f"{status}: {answer}")
            alert = answer["alert"]["id"]
            self._waits.append(time.monotonic() - began)

        before = self._cpu()
        seconds = self.crowd.time(post)
        time.sleep(0.3)  # what is left to do after the last frame costs, too
        return Round(seconds, self._cpu() - before, alert, seconds - self._waits[-1])

    def longest_wait(self) -> float:
        return max(self._waits)

    def _cpu(self) -> float:
        return sum(cpu(server) for server in self._servers)

    def memory(self) -> int:
        """Bytes that belong to the web processes alone."""
        return sum(server.memory_full_info().uss for server in self._servers)

    def fill(self, size: int) -> float:
        """Let so many connect; KiB of memory that each takes."""
        self.crowd.connect(_WARM, STREAM)  # what is made once, whoever comes: threads, caches, connections to the store
        self.crowd.ask("drop")
        wait_until(lambda: self.connections() == 0, 60)
        before = self.memory()
        self.crowd.connect(size, STREAM)
        time.sleep(1)
        return (self.memory() - before) / size / 1024

    def connections(self) -> int:
        return int(self._call("GET", "/health/ready")[1]["connections"])

    @contextlib.contextmanager
    def acknowledging(self, alert: str) -> Iterator[list[float]]:
        """Somebody acknowledges again and again, beside; how long each took."""
        waits: list[float] = []
        over = threading.Event()
        token = self.tokens.read_text().splitlines()[0]

        def insist() -> None:
            line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
            line.connect()
            line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not over.is_set():
                began = time.monotonic()
                line.request("POST", f"/api/v1/alerts/{alert}/acknowledgements", "{}",
                             {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})  # fmt: skip
                answer = line.getresponse()
                answer.read()
                assert answer.status == 200
                waits.append(time.monotonic() - began)
                time.sleep(0.002)
            line.close()

        insisting = threading.Thread(target=insist)
        insisting.start()
        try:
            yield waits
        finally:
            over.set()
            insisting.join()


class Rival:
    """A reference with a crowd of its own, as large as the place's. Runs from entering to leaving."""

    def __init__(self, other: references.Broadcaster, place: Place, size: int) -> None:
        self._other, self._place, self._size = other, place, size
        self._stack = contextlib.ExitStack()
        self.memory = 0.0  # KiB that a connection takes

    def __enter__(self) -> "Rival":
        with contextlib.ExitStack() as stack:
            self._port = free_port()
            serving = references.serving(self._other.command(self._port), self._port)
            self._server = stack.enter_context(serving)
            self._crowd = stack.enter_context(Crowd(self._place.tools, self._port, self._place.tokens))
            before = self._memory()
            self._crowd.connect(self._size, "/bench")
            time.sleep(1)
            self.memory = (self._memory() - before) / self._size / 1024
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def publish(self, number: int) -> Round:
        """One frame of the size that an alert's has."""
        body = json.dumps({"bench": number, "x": json.dumps(_post(number), ensure_ascii=False) + "x" * 450},
                          ensure_ascii=False).encode()  # fmt: skip
        before = self._cpu()
        seconds = self._crowd.time(lambda: self._other.publish(self._port, body))
        time.sleep(0.3)
        return Round(seconds, self._cpu() - before)

    def _processes(self) -> list[psutil.Process]:
        return [self._server, *self._server.children(recursive=True)]

    def _cpu(self) -> float:
        return sum(cpu(process) for process in self._processes())

    def _memory(self) -> int:
        return sum(int(process.memory_full_info().uss) for process in self._processes())


def _post(number: int, *, everyone: bool = False) -> dict[str, Any]:
    few = {"people": [f"p{person:07}" for person in range(_SHARED)]}
    return {
        "board": "general", "title": f"訓練ではありません {number}", "body": _BODY, "urgent": True, "drill": False,
        "audience": {"everyone": True} if everyone else few,
    }  # fmt: skip


def make_tokens(town: Town, count: int, people: int) -> Path:
    """A file with so many bearer tokens, which so many people share."""
    secret = [secrets.token_urlsafe(32) for _ in range(count)]
    rows = [
        {
            "id": town.rt.new_id(), "kind": "token", "hash": access.digest(each), "person_id": f"p{number % people:07}",
            "role": Role.STAFF.word, "created_at": town.rt.now(), "expires_at": None,
        }
        for number, each in enumerate(secret)
    ]  # fmt: skip
    with town.rt.store.write() as connection:
        connection.execute(insert(credentials), rows)
    path = Path(town.environment["ALERTD_DATA_DIR"]) / f"tokens-{people}"
    path.write_text("\n".join(secret))
    return path


@contextlib.contextmanager
def _web(town: Town, listening: socket.socket) -> Iterator[psutil.Process]:
    """A web process as the supervisor starts it."""
    number = listening.fileno()
    command = [sys.executable, "-P", "-m", "alertd.app", "--socket", str(number), "--id", secrets.token_hex(8)]
    with (Path(town.environment["ALERTD_DATA_DIR"]) / "web.log").open("ab") as output:
        process = subprocess.Popen(
            command, env=town.environment, pass_fds=(number,), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
