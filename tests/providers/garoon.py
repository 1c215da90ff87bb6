"""Garoon's bulletin board by REST and by SOAP, and people's lists of what is new, as the vendor documents them,
checking what the real one checks.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from tests.providers.thread import HttpThread

LOGIN, PASSWORD = "alertd", "garoon-secret"
CODE = "alertd-alerts"  # 外部通知コード
_SOAP = "{http://www.w3.org/2003/05/soap-envelope}"
_PAGE_MAX = 100


@dataclass
class Post:
    """A topic of the board. People are login names."""

    id: str
    category: str
    subject: str
    body: str
    author: str
    created: datetime
    updated: datetime
    editor: str = ""
    html: bool = True
    published: bool = True
    files: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


_NOTICE = {"app": str, "notificationKey": str, "operation": str, "url": str, "title": str, "body": str}


@dataclass
class Item:
    """What somebody's list of what is new says."""

    operation: str
    title: str
    body: str
    url: str


class GaroonServer(HttpThread):
    """`asked`: what was asked for, a path or a SOAP action each, with the status. `broken`: what everything answers.

    `lists`: by login names, what people are notified of, by key. `noticed`: all that ever was put there, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.topics: dict[str, Post] = {}
        self.removed: dict[str, int] = {}
        self.asked: list[tuple[str, int]] = []
        self.users = {"boss": "2", "clerk": "3", LOGIN: "9"}
        self.hidden: set[str] = set()  # categories that the account may not read
        self.broken: web.Response | None = None
        self.codes = {CODE}  # that an administrator has registered
        self.leads_to = ["*"]  # addresses that they have registered: what leads elsewhere is taken, and not shown
        self.destinations_max = 1_000  # not documented: no test rests on it
        self.lists: dict[str, dict[str, Item]] = {}
        self.noticed: list[tuple[str, str, Item]] = []  # login, key
        self.on_noticed: Callable[[], None] = lambda: None  # after something was taken, before it is answered

    def know(self, *logins: str) -> None:
        """There are these users as well."""
        for login in logins:
            self.users.setdefault(login, str(len(self.users) + 100))

    def titles(self, key: str) -> dict[str, str]:
        """What the lists say of one thing, by whose they are."""
        with self.changed:
            return {login: items[key].title for login, items in self.lists.items() if key in items}

    def access(self, api: str) -> dict[str, object]:
        """How a source of ours asks here: the cloud's addresses by REST, those of a package by SOAP."""
        path = "/g" if api == "rest" else "/cgi-bin/cbgrn/grn.cgi"
        return {
            "url": self.url + path,
            "api": api,
            "login": LOGIN,
            "password": PASSWORD,
            "categories": ["5", "7"],
            "comment": True,
            "notify_code": CODE,
        }

    def post(self, subject: str, body: str = "", *, category: str = "5", author: str = "boss", **more: object) -> str:
        """Put a topic on the board; its id."""
        with self.changed:
            topic_id = str(len(self.topics) + len(self.removed) + 31)
            now = _whole(datetime.now(UTC))
            values = {"created": now, "updated": now, **more}
            self.topics[topic_id] = Post(topic_id, category, subject, body, author, **values)  # type: ignore[arg-type]
        return topic_id

    def edit(self, topic_id: str, *, by: str = "", **changes: object) -> None:
        """Change a topic, as of now; times have whole seconds, as Garoon's have."""
        with self.changed:
            topic = self.topics[topic_id]
            for name, value in changes.items():
                setattr(topic, name, value)
            topic.editor = by or topic.author
            topic.updated = max(_whole(datetime.now(UTC)), topic.updated)

    def remove(self, topic_id: str) -> None:
        with self.changed:
            del self.topics[topic_id]
            self.removed[topic_id] = int(datetime.now(UTC).timestamp())

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/g/api/v1/bulletin/categories/{id}", self._rest_list),
            web.get("/g/api/v1/bulletin/topics/{id}", self._rest_topic),
            *(
                web.post(f"{path}/cbpapi/{service}/api{suffix}", handler)
                for path, suffix in (("/g", ".csp"), ("/cgi-bin/cbgrn/grn.cgi", ""))
                for service, handler in (("bulletin", self._soap), ("base", self._soap))
            ),
            *(
                web.post(f"{path}/api/v1/notification/items", self._rest_notice)
                for path in ("/g", "/cgi-bin/cbgrn/grn.cgi")
            ),
        ]

    def _note(self, what: str, answer: web.Response) -> web.Response:
        with self.changed:
            self.asked.append((what, answer.status))
            self.changed.notify_all()
        return answer

    def _rest_fault(self, request: web.Request) -> web.Response | None:
        if self.broken is not None:
            return web.Response(status=self.broken.status, body=self.broken.body, headers=self.broken.headers)
        token = base64.b64encode(f"{LOGIN}:{PASSWORD}".encode()).decode()
        if request.headers.get("X-Cybozu-Authorization") != token:
            return _rest_error(401, "GRN_REST_API_00000", "Unauthorized")
        return None

    async def _rest_list(self, request: web.Request) -> web.Response:
        fault = self._rest_fault(request)
        category = request.match_info["id"]
        limit, offset = int(request.query.get("limit", "100")), int(request.query.get("offset", "0"))
        if fault is None and category in self.hidden:
            fault = _rest_error(403, "GRN_BLLT_16004", "You do not have permission")
        if fault is None and not 1 <= limit <= _PAGE_MAX:
            fault = _rest_error(400, "GRN_REST_API_00101", "limit")
        if fault is not None:
            return self._note(request.path, fault)
        here = [each for each in self.topics.values() if each.category == category and each.published]
        here.sort(key=lambda each: each.updated, reverse=True)
        shown = [
            {
                "id": each.id,
                "subject": each.subject,
                "updatedAt": _local(each.updated),
                "updater": self._user(each.editor or each.author),
            }
            for each in here[offset : offset + limit]
        ]
        return self._note(request.path, web.json_response({"topics": shown, "hasNext": len(here) > offset + limit}))

    async def _rest_topic(self, request: web.Request) -> web.Response:
        fault = self._rest_fault(request)
        topic = self.topics.get(request.match_info["id"])
        if fault is None and topic is None:
            fault = _rest_error(404, "GRN_BLLT_16000", "The topic does not exist")
        if fault is not None:
            return self._note(request.path, fault)
        assert topic is not None
        told = {
            "id": topic.id,
            "subject": topic.subject,
            "body": topic.body,
            "isHtmlBody": topic.html,
            "creator": self._user(topic.author),
            "updater": self._user(topic.editor or topic.author),
            "createdAt": _local(topic.created),
            "updatedAt": _local(topic.updated),
            "acknowledgement": False,
            "allowComments": True,
            "operatorType": "ONLY_SENDER",
            "operators": [],
            "attachments": [{"id": "60", "name": name, "size": "100"} for name in topic.files],
            "publicPeriod": {"isUnlimited": True},
            "isDraft": False,
            "isPublished": topic.published,
            "isExpired": False,
            "category": {"id": topic.category, "name": "緊急"},
        }
        return self._note(request.path, web.json_response(told))

    async def _rest_notice(self, request: web.Request) -> web.Response:
        fault = self._rest_fault(request)
        if fault is None and request.content_type != "application/json":
            fault = _rest_error(415, "GRN_REST_API_00103", "Invalid header.")
        asked = json.loads(await request.read()) if fault is None else {}
        fault = fault or self._notice_fault(asked)
        if fault is not None:
            return self._note(request.path, fault)
        names = ("operation", "title", "body", "url")
        item = Item(*(asked[name] for name in names))
        with self.changed:
            for each in asked["destinations"]:
                self.noticed.append((each["code"], asked["notificationKey"], item))
                if any(fnmatchcase(item.url, pattern) for pattern in self.leads_to):
                    self.lists.setdefault(each["code"], {})[asked["notificationKey"]] = item
        self.on_noticed()
        told = {name: asked[name] for name in ("notificationKey", *names)}
        told |= {"moduleId": "grn.external", "creator": self._user(LOGIN), "createdAt": _local(datetime.now(UTC))}
        return self._note(request.path, web.json_response({**told, "icon": "", "isRead": False}))

    def _notice_fault(self, asked: dict[str, Any]) -> web.Response | None:
        missing = [name for name in (*_NOTICE, "destinations") if not asked.get(name)]
        if missing:
            return _rest_error(400, "GRN_REST_API_00201", f"{missing[0]} is required")
        wrong = [name for name, kind in _NOTICE.items() if not isinstance(asked[name], kind)]
        users = asked["destinations"]
        if wrong or not all(each.get("type") == "USER" and each.get("code") for each in users):
            return _rest_error(400, "GRN_REST_API_00202", "Invalid parameter.")
        if asked["operation"] not in ("add", "modify", "remove"):
            return _rest_error(400, "GRN_REST_API_00212", "Only allowed values for operation: add, modify, remove")
        if asked["app"] not in self.codes:
            return _rest_error(400, "GRN_REST_API_00202", "app is not valid.")
        if len(users) > self.destinations_max:
            return _rest_error(400, "GRN_REST_API_00211", "exceeds the maximum value.")
        if any(each["code"] not in self.users for each in users):
            return _rest_error(404, "GRN_CMMN_00105", "Cannot find the specified user")
        return None

    def _user(self, login: str) -> dict[str, str]:
        return {"id": self.users[login], "code": login, "name": login.title()}

    async def _soap(self, request: web.Request) -> web.Response:
        if self.broken is not None:
            broken = web.Response(status=self.broken.status, body=self.broken.body, headers=self.broken.headers)
            return self._note(request.path, broken)
        root = ElementTree.fromstring(await request.text())  # noqa: S314
        header, body = root.find(f"{_SOAP}Header"), root.find(f"{_SOAP}Body")
        assert root.tag == f"{_SOAP}Envelope"
        assert header is not None
        assert body is not None
        action = header.findtext("Action", "").strip()
        user, password = (header.findtext(f"Security/UsernameToken/{name}", "") for name in ("Username", "Password"))
        expires = datetime.fromisoformat(header.findtext("Timestamp/Expires", ""))
        parameters = body.find(f"{action}/parameters")
        service = request.path.split("/cbpapi/")[1].partition("/")[0]
        if (user, password) != (LOGIN, PASSWORD):
            answer = _soap_fault("FW00007", "ログイン名またはパスワードが正しくありません。")
        elif expires < datetime.now(UTC) or parameters is None or not action.lower().startswith(service):
            answer = _soap_fault("FW00001", "リクエストが正しくありません。")
        else:
            answer = getattr(self, f"_soap_{action}", _unknown)(parameters)
        return self._note(action, answer)

    def _soap_BulletinGetTopicVersions(self, asked: ElementTree.Element) -> web.Response:
        start = datetime.fromisoformat(asked.attrib["start"]).timestamp()
        known = {each.attrib["id"]: int(each.attrib["version"]) for each in asked.findall("topic_item")}
        wanted = {each.text for each in asked.findall("category_id")}
        told = []
        for topic in self.topics.values():
            version = int(topic.updated.timestamp())
            if not topic.published or version < start or (wanted and topic.category not in wanted):
                continue
            if known.get(topic.id) != version:
                told.append((topic.id, version, "modify" if topic.id in known else "add"))
        told += [(each, known[each], "remove") for each in known if each in self.removed]
        items = "".join(f'<topic_item id="{a}" version="{b}" operation="{c}"/>' for a, b, c in told)
        return _soap_returns("BulletinGetTopicVersions", items)

    def _soap_BulletinGetTopicByIds(self, asked: ElementTree.Element) -> web.Response:
        ids = [each.attrib["topic_id"] for each in asked.findall("topics") if each.attrib["is_draft"] == "false"]
        if any(each not in self.topics for each in ids):
            return _soap_fault("GRN_BLLT_16000", "指定された掲示が見つかりません。")
        return _soap_returns("BulletinGetTopicByIds", "".join(self._soap_topic(self.topics[each]) for each in ids))

    def _soap_topic(self, topic: Post) -> str:
        files = "".join(f'<th:file id="60" name={quoteattr(name)} size="100"/>' for name in topic.files)
        body = "html_body" if topic.html else "body"
        people = "".join(
            f'<th:{what} user_id="{self.users[who]}" name={quoteattr(who.title())} date="{_utc(when)}"/>'
            for what, who, when in (
                ("creator", topic.author, topic.created),
                ("modifier", topic.editor or topic.author, topic.updated),
            )
        )
        return (
            f'<topic xmlns:th="http://schemas.cybozu.co.jp/bulletin/2008" id="{topic.id}" '
            f'version="{int(topic.updated.timestamp())}" category_id="{topic.category}" can_follow="true" '
            f'subject={quoteattr(topic.subject)} is_draft="false" published="{str(topic.published).lower()}" '
            f'expired="false"><th:content body="x" {body}={quoteattr(topic.body)}>{files}</th:content>{people}</topic>'
        )

    def _soap_BulletinAddFollows(self, asked: ElementTree.Element) -> web.Response:
        for each in asked.findall("add_follow/follow"):
            topic = self.topics.get(each.attrib["topic_id"])
            if topic is None:
                return _soap_fault("GRN_BLLT_16000", "指定された掲示が見つかりません。")
            topic.comments.append(each.attrib["text"])
        return _soap_returns("BulletinAddFollows", "")

    def _soap_BaseGetUsersById(self, asked: ElementTree.Element) -> web.Response:
        wanted = [each.text for each in asked.findall("user_id")]
        items = "".join(
            f'<user key="{key}" version="1" order="0" login_name="{login}" name="{login}" status="0"/>'
            for login, key in self.users.items()
            if key in wanted
        )
        return _soap_returns("BaseGetUsersById", items)


def _unknown(_: ElementTree.Element) -> web.Response:
    return _soap_fault("FW00002", "APIが見つかりません。")


def _rest_error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"errorCode": code, "message": message}}, status=status)


def _soap_returns(action: str, items: str) -> web.Response:
    return _xml(200, f'<bulletin:{action}Response xmlns:bulletin="http://wsdl.cybozu.co.jp/bulletin/2008">'
                     f"<returns>{items}</returns></bulletin:{action}Response>")  # fmt: skip


def _soap_fault(code: str, words: str) -> web.Response:
    return _xml(500, f"<soap:Fault><soap:Code><soap:Value>soap:Sender</soap:Value></soap:Code><soap:Reason>"
                     f"<soap:Text>{escape(words)}</soap:Text></soap:Reason><soap:Detail><code>{code}</code>"
                     f"</soap:Detail></soap:Fault>")  # fmt: skip


def _xml(status: int, body: str) -> web.Response:
    whole = (
        '<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope">'
        f"<soap:Header/><soap:Body>{body}</soap:Body></soap:Envelope>"
    )
    return web.Response(status=status, text=whole, content_type="text/xml")


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _local(moment: datetime) -> str:
    return (moment + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S+09:00")
