"""The web application over a real store, and people who look at its pages."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import update
from starlette.testclient import TestClient

from alertd.core.acknowledgement import Way, make_token
from alertd.core.alert import RevisionKind
from alertd.core.audience import Audience
from alertd.core.delivery import State
from alertd.core.message import Budget
from alertd.core.roles import Role
from alertd.hub import Hub
from alertd.service import access, directory, posting, revising, watching
from alertd.service.acknowledging import acknowledge_all
from alertd.service.directory import PersonDraft
from alertd.service.group_commit import GroupCommit
from alertd.service.installation import VapidPair, prepare
from alertd.service.posting import Draft
from alertd.service.revising import Revision
from alertd.service.runtime import Runtime
from alertd.store import alerts
from alertd.store.engine import Store
from alertd.store.schema import deliveries
from alertd.web.app import build_app
from alertd.web.context import Web
from alertd.web.limits import Limits
from tests.installation import LANES, PARSE, RECORDS, patient

URL = "http://testserver"
ADMIN = access.system_actor("admin", Role.ADMIN)


class Silent:
    """A bell that nobody hears: pages read the store."""

    def events(self) -> None: ...
    def work(self, channels: Iterable[str]) -> None: ...
    def changed(self, alert_id: str) -> None: ...


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 18, 12, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, wait: timedelta) -> None:
        self.now += wait


class Site:
    """An installation with an admin, a manager, a viewer and two members of staff."""

    def __init__(self, directory_path: Path, **more: Any) -> None:
        """`more` takes the place of what an installation without further channels knows of them."""
        self.clock = Clock()
        self.directory = directory_path
        store = Store(f"sqlite:///{directory_path}/alertd.db")
        here = prepare(
            store, self.clock(), secret_key=None, vapid=None, make_vapid=lambda: VapidPair("key", "not used here")
        )
        self.rt = Runtime(
            store=store,
            bell=Silent(),
            now=self.clock,
            tokens=here.tokens,
            public_url=URL,
            organisation="みなと市",
            zone=ZoneInfo("Asia/Tokyo"),
            region="JP",
            budgets={
                "webpush": Budget("notification", 2_000, 1),
                "sms": Budget("short", 5, 1),
                "email": Budget("letter", 0, 1),
            },
            parse=PARSE,
            lanes=LANES,
            records=RECORDS,
        )
        self.rt = replace(self.rt, **more)
        self.web = Web(
            rt=self.rt,
            hub=Hub(store, partial(watching.summarise, self.rt), self.clock),
            channels={},
            limits=Limits(),
            acknowledgements=GroupCommit(partial(acknowledge_all, self.rt)),
            session_secret=here.session_secret,
            vapid_public_key="",
            vapid_key_id="key",
            patient=patient(self.rt),
        )
        self.app = build_app(self.web, ())
        self._settle()

    def _settle(self) -> None:
        access.create_token(self.rt, ADMIN, "admin", Role.ADMIN)
        directory.put_group(self.rt, ADMIN, "town", "市役所", None, ())
        directory.put_group(self.rt, ADMIN, "fire", "消防課", "town", ())
        self.person("boss", "防災 課長", role="manager", email="boss@example.jp")
        self.person("viewer", "見る人", role="viewer")
        self.person("tanaka", "田中 恵子", phone="090-1111-2222", groups=("fire",))
        self.person("smith", "Anna Smith", language="en", email="smith@example.jp", groups=("town",))

    def person(self, person_id: str, name: str, **more: Any) -> None:
        directory.put_person(self.rt, ADMIN, PersonDraft(person_id, name, **more))

    def post(self, **more: Any) -> str:
        """Post an urgent alert to everyone as the manager; its id."""
        draft = Draft(
            **{
                **{
                    "board": "general",
                    "title": "避難してください",
                    "body": "",
                    "urgent": True,
                    "drill": False,
                    "audience": Audience(everyone=True),
                },
                **more,
            }
        )
        posted = posting.post(self.rt, access.system_actor("boss", Role.MANAGER), draft)
        return str(posted.body["alert"]["id"] if draft.urgent else posted.body["post"]["id"])

    def letter(self, alert: str, person: str, way: Way = Way.SMS_LINK) -> str:
        """The path of the personal link of `person`."""
        with self.rt.store.read() as connection:
            number = alerts.recipient_of(connection, alert, person)
        assert number is not None
        return f"/a/{make_token(number, way, self.rt.tokens)}"

    def hand_over(self, alert: str) -> None:
        """The providers take over everything that waits."""
        taken = {"state": State.SENT, "attempt": 1, "provider": "primary", "accepted_at": self.clock()}
        waiting = (deliveries.c.alert_id == alert) & (deliveries.c.state == State.PENDING)
        with self.rt.store.write() as connection:
            connection.execute(update(deliveries).where(waiting).values(**taken))

    def revise(self, alert: str, kind: RevisionKind, title: str, body: str = "", **more: Any) -> None:
        """Say something else as the manager."""
        revising.revise(self.rt, access.system_actor("boss", Role.MANAGER), alert, Revision(kind, title, body, **more))

    def counts(self, alert: str) -> dict[str, Any]:
        return watching.summarise(self.rt, alert)


class Visitor:
    """A browser without scripts: follows what pages offer."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def get(self, path: str, **headers: str) -> "Shown":
        return Shown(self.client.get(path, headers=headers))

    def post(self, path: str, *fields: tuple[str, str], **headers: str) -> "Shown":
        """Send a form, and follow where it leads."""
        names: dict[str, list[str]] = {}
        for name, value in fields:
            names.setdefault(name, []).append(value)
        return Shown(self.client.post(path, data=names, headers=headers))

    def submit(self, shown: "Shown", action: str, *fields: tuple[str, str]) -> "Shown":
        """Fill in the form with that `action`: `fields` take the place of what stands in it under those names."""
        named = {name for name, _ in fields}
        return self.post(action, *(each for each in shown.fields(action) if each[0] not in named), *fields)


_FORM = re.compile(r'<form[^>]*action="(?P<action>[^"]*)"[^>]*>(?P<inside>.*?)</form>', re.DOTALL)
_INPUT = re.compile(r"<input(?P<attributes>[^>]*)>")
_TEXTAREA = re.compile(r'<textarea[^>]*name="(?P<name>[^"]*)"[^>]*>(?P<value>.*?)</textarea>', re.DOTALL)
_SELECT = re.compile(r'<select[^>]*name="(?P<name>[^"]*)".*?</select>', re.DOTALL)
_SELECTED = re.compile(r'<option value="(?P<value>[^"]*)" selected')


class Shown:
    """A page as it came."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.path: str = response.url.path
        self.text: str = response.text
        self.headers = response.headers
        self.response = response

    @property
    def csrf(self) -> str:
        found = re.search(r'<meta name="csrf" content="([0-9a-f]+)">', self.text)
        assert found
        return found[1]

    def fields(self, action: str) -> list[tuple[str, str]]:
        """What a browser would send of the form with that `action`, buttons left out."""
        form = next(match["inside"] for match in _FORM.finditer(self.text) if match["action"] == action)
        fields = []
        for match in _INPUT.finditer(form):
            attributes = dict(re.findall(r'(\w+)="([^"]*)"', match["attributes"]))
            if "name" not in attributes:
                continue
            if attributes.get("type") in ("radio", "checkbox") and not match["attributes"].endswith(" checked"):
                continue
            fields.append((attributes["name"], unescape(attributes.get("value", ""))))
        fields += [(match["name"], unescape(match["value"])) for match in _TEXTAREA.finditer(form)]
        for match in _SELECT.finditer(form):
            chosen = _SELECTED.search(match[0])
            assert chosen
            fields.append((match["name"], unescape(chosen["value"])))
        return fields


Enter = Callable[[str | None], Visitor]


@contextmanager
def entering(site: Site) -> Iterator[Enter]:
    """`enter(person)`: a visitor who has signed in as that person; None: one who has not."""
    opened: list[TestClient] = []

    def enter(person: str | None) -> Visitor:
        # One loop for all: the group commit of acknowledgements belongs to the process.
        client = TestClient(site.app, base_url=URL, headers={"accept-language": "en"})
        if opened:
            client.portal = opened[0].portal
        else:
            client.__enter__()
        opened.append(client)
        visitor = Visitor(client)
        if person is not None:
            client.cookies.set("lang", "en")  # chosen on this device, so that tests read one language
            secret = access.create_link(site.rt, ADMIN, person).secret
            visitor.post(f"/sign-in/{secret}")
        return visitor

    yield enter
    if opened:
        opened[0].__exit__()


URGENT = (("kind", "real"),)


def written(visitor: Visitor, *fields: tuple[str, str]) -> Shown:
    """What comes of a new post with these `fields`, behind the door that they name as `kind`."""
    filled = {"title": "件名", "audience": "everyone", **dict(fields)}
    return visitor.submit(visitor.get(f"/posts/new?kind={filled['kind']}"), "/posts/new", *filled.items())
