"""Web push: one worker, claim and settle included, to a push service behind TLS that only counts."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from pywebpush import WebPusher

from channels.push_crypto import encrypt
from tests.bench.figures import Curve, Figure, Run, at_least, at_most, cost, in_turn
from tests.bench.sink import HOST, Sink
from tests.bench.town import ENGINES, NAMES, Engine, Town
from tests.providers.push import BrowserSubscription, b64

_PAYLOAD: Final = b"x" * 650  # as long as an alert with a title, two lines and one button
_THREADS: Final = 16


def measure(run: Run) -> list[Figure]:
    """The rate of one worker on each engine, of the encryption alone, and how soon the first message leaves."""
    with Sink.open(run.directory) as sink:
        naive = _naive_rate(sink, run.size(1_000, 150))
        figures = _encryption(run)
        found = {engine: _deliver(run, engine, sink) for engine in ENGINES}
    bound = _openssl_ecdh()
    for engine, (rate, first) in found.items():
        name = NAMES[engine]
        figures += [
            Figure(f"web push, one worker, {name}", rate, "/s", limit=at_least(1_500)),
            Figure(f"web push against webpush() in {_THREADS} threads, {name}", rate, "/s", "webpush()", naive,
                   at_least(10, "ratio")),
            Figure(f"web push against ECDH alone, {name}", rate, "/s", "openssl speed ecdhp256", bound,
                   at_least(0.5, "ratio"), "to reach for"),
            Figure(f"first web push after the commit, {name}", first * 1_000, "ms", limit=at_most(100)),
        ]  # fmt: skip
    return figures


def browser(number: int) -> BrowserSubscription:
    return BrowserSubscription(str(number), "", ec.generate_private_key(ec.SECP256R1()), os.urandom(16))


def address(sink: Sink, key_id: str, number: int) -> Mapping[str, str]:
    """A subscription at the sink, of a browser that nobody has."""
    made = browser(number)
    endpoint = f"https://{sink.host}/wpush/v1/{number:07}"
    return {"endpoint": endpoint, "p256dh": made.p256dh, "auth": b64(made.auth), "key_id": key_id}


def settings(sink: Sink) -> dict[str, str]:
    """What an installation is told of the sink."""
    return {
        "ALERTD_PUSH_HOSTS": sink.host,
        "ALERTD_VAPID_SUBJECT": "mailto:bench@mikan.example",
        "SSL_CERT_FILE": str(sink.authority),
    }


def _deliver(run: Run, engine: Engine, sink: Sink) -> tuple[float, float]:
    """Messages a second, and seconds from the commit to the first request."""
    points: list[tuple[float, float]] = []
    with Town.open(run.fresh(), engine, settings(sink)) as town, town.workers("webpush") as workers:
        key_id = town.parts.vapid.id
        rate = first = 0.0
        for people in run.size((2_000, 8_000, 10_000), (500, 1_000)):
            town.populate(people, {"webpush": lambda number: address(sink, key_id, number)})
            sink.take()
            delivered = town.deliver(workers)
            points.append((delivered.count, delivered.seconds))
            rate, first = delivered.rate, sink.take().first - delivered.posted_at
    run.draw(Curve("push", "Web push, one worker", "people", "seconds", {NAMES[engine]: points}))
    return rate, first


def _encryption(run: Run) -> list[Figure]:
    """Ours against pywebpush's encoder, in turn."""
    made = browser(0)
    keys = {"p256dh": made.p256dh, "auth": b64(made.auth)}
    pusher = WebPusher({"endpoint": f"https://{HOST}/", "keys": keys})
    ours, theirs = in_turn(
        run.size(9, 3),
        lambda: cost(lambda: encrypt(keys, _PAYLOAD)),
        lambda: cost(lambda: pusher.encode(_PAYLOAD, "aes128gcm")),
    )
    return [Figure("encrypting a push message", ours, "µs", "pywebpush's encoder", theirs, at_most(1, "ratio"))]


def _naive_rate(sink: Sink, count: int) -> float:
    """Messages a second of what pywebpush's manual shows, in as many threads."""
    command = [sys.executable, "-m", "tests.bench.naive_push", sink.host, str(count), str(_THREADS)]
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(sink.authority)}
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def _openssl_ecdh() -> float | None:
    """Key agreements a second that OpenSSL does on one processor; None where the program is not installed."""
    try:
        told = subprocess.run(
            ["openssl", "speed", "-seconds", "2", "ecdhp256"], check=True, capture_output=True, text=True
        ).stdout
    except FileNotFoundError:
        return None
    found = re.search(r"nistp256\).*?([\d.]+)\s*$", told, re.MULTILINE)
    return float(found.group(1)) if found else None
