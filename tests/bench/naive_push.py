"""The reference: `python -m tests.bench.naive_push HOST:PORT COUNT THREADS` sends as pywebpush's manual shows.

Prints messages a second.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from pywebpush import webpush

from channels.push_crypto import generate_key
from tests.providers.push import BrowserSubscription


def main() -> None:
    host, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    key = generate_key()
    subscriptions = [_subscription(host, number) for number in range(count)]
    body = json.dumps({"title": "x" * 600})

    def send(subscription: dict[str, Any]) -> None:
        webpush(
            subscription, body, vapid_private_key=key.private_key, vapid_claims={"sub": "mailto:bench@mikan.example"}
        )

    with ThreadPoolExecutor(threads) as pool:
        began = time.monotonic()
        list(pool.map(send, subscriptions))
        print(count / (time.monotonic() - began))


def _subscription(host: str, number: int) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    return BrowserSubscription(str(number), f"https://{host}/wpush/{number}", key, os.urandom(16)).json()


if __name__ == "__main__":
    main()
