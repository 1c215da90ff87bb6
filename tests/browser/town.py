"""A small town on a real server, started as a user starts it."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy import Connection, select, update

from alertd.core.acknowledgement import TokenKeys, Way, make_token
from alertd.core.delivery import State
from alertd.store import alerts, instance
from alertd.store.engine import Store
from alertd.store.schema import alerts as alert_rows
from alertd.store.schema import deliveries, recipients

READY_SECONDS: Final = 60
STOP_SECONDS: Final = 20
ROOT: Final = Path(__file__).parents[2]

PEOPLE: Final = """id,name,email,phone,language,groups,active
boss,防災 課長,boss@example.jp,090-1111-0000,ja,bousai,true
tanaka,田中 恵子,tanaka@example.jp,090-1111-2222,ja,bousai,true
suzuki,鈴木 一郎,suzuki@example.jp,090-1111-3333,ja,fukushi,true
smith,Anna Smith,smith@example.jp,090-1111-4444,en,kosodate,true
sato,佐藤 花子,,,ja,fukushi,true
kondo,近藤 勇,kondo@example.jp,,ja,bousai,true
"""
GROUPS: Final = (
    ("bousai", "防災課", None),
    ("fukushi", "福祉部", None),
    ("kosodate", "子育て支援課", "fukushi"),
)


class Town:
    """A server process with people in it. `stop` ends it."""

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ALERTD_")},
            "ALERTD_DATA_DIR": str(directory),
            "ALERTD_PUBLIC_URL": self.url,
            "ALERTD_ORGANISATION": "みなと市",
            "ALERTD_TIME_ZONE": "Asia/Tokyo",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""

    def start(self) -> None:
        """Start the server, or start it again after `stop`; returns when it is ready."""
        command = [sys.executable, "-m", "alertd", "serve", "--host", "127.0.0.1", "--port", str(self.port)]
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("the server did not start:\n" + (self.directory / "server.log").read_text()[-4000:])
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(STOP_SECONDS)
            self._process = None

    def settle(self) -> None:
        """Let people and groups move in."""
        self._token = self._json("token", "create", "--person", "admin", "--role", "admin")["token"]
        for group, name, parent in GROUPS:
            self.call("PUT", f"/groups/{group}", {"name": name, "parent": parent, "supervisors": []})
        listed = self.directory / "people.csv"
        listed.write_text(PEOPLE, encoding="utf-8")
        self.run("people", "import", str(listed))
        boss = {"id": "boss", "name": "防災 課長", "email": "boss@example.jp", "phone": "090-1111-0000"}
        self.call("PUT", "/people/boss", {**boss, "language": "ja", "groups": ["bousai"], "role": "manager"})

    def run(self, *arguments: str, given: str = "") -> str:
        """What a command of `alertd` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "alertd", *arguments],
            cwd=ROOT,
            env=self._environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"alertd {' '.join(arguments)} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def _json(self, *arguments: str) -> dict[str, Any]:
        return cast("dict[str, Any]", json.loads(self.run(*arguments, "--json")))

    def link(self, person: str) -> str:
        """A one-time link that signs `person` in."""
        made = self._json("link", "create", "--person", person)
        return str(next(value for value in made.values() if str(value).startswith("http")))

    def call(self, method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        """An API call as the admin."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return cast("dict[str, Any]", json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as error:
            log = (self.directory / "server.log").read_text()[-4000:]
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}\n{log}") from error

    def post(self, title: str, *, drill: bool, **more: object) -> str:
        """Post an urgent alert to everyone; its id."""
        body = {
            "board": "general",
            "title": title,
            "body": "",
            "urgent": True,
            "drill": drill,
            "audience": {"everyone": True},
            **more,
        }
        posted = self.call("POST", "/posts", body, **{"Idempotency-Key": secrets.token_hex(8)})
        return str(posted["alert"]["id"])

    @contextmanager
    def store(self) -> Iterator[Store]:
        """What the server keeps, beside it."""
        store = Store(f"sqlite:///{self.directory}/alertd.db")
        try:
            yield store
        finally:
            store.close()

    def letter(self, alert: str, person: str) -> str:
        """The personal link of `person` to `alert`, as their SMS carries it."""
        with self.store() as store, store.read() as connection:
            number = alerts.recipient_of(connection, alert, person)
            keys = _token_keys(connection)
        assert number is not None
        return f"{self.url}/a/{make_token(number, Way.SMS_LINK, keys)}"

    def hand_over(self, alert: str) -> None:
        """Nothing is set up here that could send: let the rows say that the providers took everything over."""
        with self.store() as store, store.write() as connection:
            of_alert = update(deliveries).where(deliveries.c.alert_id == alert)
            connection.execute(of_alert.values(state=State.SENT, attempt=1, worker_id=None, reason=None))

    def age(self, alert: str, by: timedelta) -> None:
        """Let `alert` have been sent earlier than it was."""
        with self.store() as store, store.write() as connection:
            row = alerts.get(connection, alert)
            assert row is not None
            earlier = update(alert_rows).where(alert_rows.c.id == alert).values(sent_at=row["sent_at"] - by)
            connection.execute(earlier)

    def delivery(self, alert: str, person: str) -> Any:
        """The row of the one delivery of `alert` to `person`."""
        query = select(deliveries).join(recipients, recipients.c.id == deliveries.c.recipient_id)
        with self.store() as store, store.read() as connection:
            mine = query.where(deliveries.c.alert_id == alert, recipients.c.person_id == person)
            return connection.execute(mine).one()

    def beacon(self, alert: str, person: str) -> str:
        """Where `person`'s phone says that it shows the one delivery of `alert` to them."""
        with self.store() as store, store.read() as connection:
            keys = _token_keys(connection)
        return f"{self.url}/b/{make_token(self.delivery(alert, person).id, Way.BEACON, keys)}"


def _token_keys(connection: Connection) -> TokenKeys:
    keys = instance.list_keys(connection, "secret")
    return TokenKeys({int(key.id): key.value.encode() for key in keys}, int(keys[0].id))
