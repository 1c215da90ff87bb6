"""An app of kintone: its REST API as the vendor documents it, checking what the real one checks, and its webhooks."""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.providers.thread import HttpThread

APP, TOKEN = "12", "BuBNIwbRRaUvr33nWXcfUZ5VhaFsJxN0xH4NPN92"
_LIMIT_MAX, _OFFSET_MAX, _URL_MAX = 500, 10_000, 8_192
FORM: Final = {
    "件名": "SINGLE_LINE_TEXT",
    "本文": "RICH_TEXT",
    "緊急": "RADIO_BUTTON",
    "区分": "DROP_DOWN",
    "対象": "CHECK_BOX",
    "担当": "USER_SELECT",
    "班": "SUBTABLE",
    "確認状況": "MULTI_LINE_TEXT",
    "更新日時": "UPDATED_TIME",
    "更新者": "MODIFIER",
    "作成日時": "CREATED_TIME",
    "作成者": "CREATOR",
    "レコード番号": "RECORD_NUMBER",
    "$id": "__ID__",
    "$revision": "__REVISION__",
}
_SYSTEM: Final = ("更新日時", "更新者", "作成日時", "作成者", "レコード番号", "$id", "$revision")
_COMPARED: Final = ("=", "!=", ">", "<", ">=", "<=")
_LISTED: Final = ("in", "not in")
_OPERATORS: Final = {
    "__ID__": (*_COMPARED, *_LISTED),
    "RECORD_NUMBER": (*_COMPARED, *_LISTED),
    "UPDATED_TIME": _COMPARED,
    "CREATED_TIME": _COMPARED,
    "SINGLE_LINE_TEXT": ("=", "!=", *_LISTED, "like", "not like"),
    "RADIO_BUTTON": _LISTED,
    "DROP_DOWN": _LISTED,
    "CHECK_BOX": _LISTED,
}
"""What a condition may ask of a field of a type (クエリの書き方)."""

_WORD: Final = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[(),]|>=|<=|!=|[=<>]|[^\s(),=<>!"]+)')
_PEOPLE: Final = {"boss": "課長", "clerk": "係員", "Administrator": "Administrator"}

Condition = Callable[["Entry"], bool]


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code, self.message = status, code, message


@dataclass
class Entry:
    """A record; `values` are by field code, as they were entered."""

    id: int
    revision: int
    values: dict[str, Any]
    author: str
    editor: str
    created: datetime
    updated: datetime

    def field(self, code: str) -> Any:
        """Its value as the API gives it."""
        match FORM[code]:
            case "__ID__" | "RECORD_NUMBER":
                return str(self.id)
            case "__REVISION__":
                return str(self.revision)
            case "UPDATED_TIME":
                return _minute(self.updated)
            case "CREATED_TIME":
                return _minute(self.created)
            case "CREATOR":
                return {"code": self.author, "name": _PEOPLE[self.author]}
            case "MODIFIER":
                return {"code": self.editor, "name": _PEOPLE[self.editor]}
            case "CHECK_BOX" | "USER_SELECT" | "SUBTABLE":
                return self.values.get(code, [])
            case _:
                return self.values.get(code, "")


class KintoneServer(HttpThread):
    """One app. `asked`: methods, queries or record ids, and statuses. `writes`: what was written by the API.

    `webhook`: where webhooks go, `hooked`: the status that each got, 0 where none came within five seconds.
    `broken`: what everything answers. `hidden`: records that the token may not see.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__()
        self._now = now
        self.records: dict[int, Entry] = {}
        self.asked: list[tuple[str, str, int]] = []
        self.writes: list[tuple[int, dict[str, Any]]] = []
        self.webhook = ""
        self.hooked: list[tuple[str, int]] = []
        self.broken: web.Response | None = None
        self.hidden: set[int] = set()
        self.may_write = True
        self._last = 0

    @property
    def access(self) -> dict[str, str]:
        """How a source of ours asks here."""
        return {"url": self.url, "app": APP, "token": TOKEN}

    def add(self, *, by: str = "boss", at: datetime | None = None, silent: bool = False, **values: Any) -> int:
        """Add a record; its id. `silent`: as an import does, of which no webhook tells."""
        with self.changed:
            self._last += 1
            now = at or self._now()
            self.records[self._last] = Entry(self._last, 1, values, by, by, now, now)
            record_id = self._last
        if not silent:
            self._tell("ADD_RECORD", record_id)
        return record_id

    def edit(self, record_id: int, *, by: str = "boss", silent: bool = False, **values: Any) -> None:
        with self.changed:
            record = self.records[record_id]
            record.values |= values
            record.editor, record.updated = by, self._now()
            record.revision += 1
        if not silent:
            self._tell("UPDATE_RECORD", record_id)

    def remove(self, record_id: int, *, silent: bool = False) -> None:
        with self.changed:
            del self.records[record_id]
        if not silent:
            self._tell("DELETE_RECORD", record_id)

    def state(self, record_id: int) -> str:
        """What stands in the field for how the alert stands."""
        with self.changed:
            return str(self.records[record_id].values.get("確認状況", ""))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/k/v1/records.json", self._answer(self._records)),
            web.get("/k/v1/record.json", self._answer(self._record)),
            web.put("/k/v1/record.json", self._answer(self._write)),
        ]

    def _tell(self, kind: str, record_id: int) -> None:
        """Send a webhook: unsigned, once, in the background."""
        if self.webhook:
            body = self._hook(kind, record_id)
            self._loop.call_soon_threadsafe(lambda: self.later(self._send(kind, body)))

    def _hook(self, kind: str, record_id: int) -> dict[str, Any]:
        told: dict[str, Any] = {"id": str(uuid.uuid4()), "type": kind, "app": {"id": APP, "name": "緊急連絡"}}
        if kind == "DELETE_RECORD":
            deleted_by = {"code": "boss", "name": _PEOPLE["boss"]}
            return told | {"recordId": str(record_id), "deletedBy": deleted_by, "deletedAt": _minute(self._now())}
        record = self.records[record_id]
        url = f"{self.url}/k/{APP}/show#record={record_id}"
        return told | {"record": _shown(record), "recordTitle": record.field("件名"), "url": url}

    async def _send(self, kind: str, body: dict[str, Any]) -> None:
        status = 0
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self.webhook, json=body) as answer,
            ):
                status = answer.status
        except (TimeoutError, aiohttp.ClientError):
            status = 0
        with self.changed:
            self.hooked.append((kind, status))
            self.changed.notify_all()

    def _answer(self, handle: Any) -> Any:
        async def answer(request: web.Request) -> web.Response:
            what = request.query.get("query") or request.query.get("id", "")
            if self.broken is not None:
                told = web.Response(status=self.broken.status, body=self.broken.body, headers=self.broken.headers)
            else:
                try:
                    _require_plain(request)
                    with self.changed:
                        told = web.json_response(await handle(request))
                except Refused as refused:
                    body = {"code": refused.code, "id": uuid.uuid4().hex[:20], "message": refused.message}
                    told = web.json_response(body, status=refused.status)
            told.headers["Date"] = format_datetime(self._now(), usegmt=True)
            with self.changed:
                self.asked.append((request.method, what, told.status))
                self.changed.notify_all()
            return told

        return answer

    async def _records(self, request: web.Request) -> dict[str, Any]:
        _require_app(request.query.get("app", ""))
        query = _Query(request.query.get("query", ""))
        fields = [request.query[name] for name in sorted(request.query) if re.fullmatch(r"fields\[\d+\]", name)]
        for code in fields:
            _require_field(code)
        found = [each for each in self.records.values() if each.id not in self.hidden and query.condition(each)]
        for code, descending in reversed(query.order or [("$id", True)]):
            found.sort(key=lambda each: _comparable(FORM[code], each.field(code)), reverse=descending)
        shown = found[query.offset : query.offset + query.limit]
        return {"records": [_shown(each, fields) for each in shown], "totalCount": None}

    async def _record(self, request: web.Request) -> dict[str, Any]:
        _require_app(request.query.get("app", ""))
        return {"record": _shown(self._get(request.query.get("id", "")))}

    def _get(self, record_id: Any) -> Entry:
        if not str(record_id).isdigit():
            raise Refused(400, "CB_VA01", "入力内容が正しくありません。")
        if int(record_id) in self.hidden:
            raise Refused(403, "CB_NO02", "権限がありません。")
        if int(record_id) not in self.records:
            raise Refused(404, "GAIA_RE01", f"指定したレコード（id: {record_id}）が見つかりません。")
        return self.records[int(record_id)]

    async def _write(self, request: web.Request) -> dict[str, Any]:
        body = json.loads(await request.text())
        _require_app(str(body.get("app", "")))
        if not self.may_write:
            raise Refused(403, "GAIA_NO01", "このAPIトークンでは、指定したAPIを実行できません。")
        record = self._get(body.get("id", ""))
        if int(body.get("revision", -1)) not in (-1, record.revision):
            raise Refused(409, "GAIA_CO02", "指定したrevisionは最新ではありません。")
        for code, field in body["record"].items():
            _require_field(code)
            if code in _SYSTEM or not isinstance(field.get("value"), str):
                raise Refused(400, "CB_VA01", "入力内容が正しくありません。")
        values = {code: field["value"] for code, field in body["record"].items()}
        self.writes.append((record.id, values))
        self.edit(record.id, by="Administrator", **values)
        return {"revision": str(record.revision)}


def _require_plain(request: web.Request) -> None:
    if request.headers.get("X-Cybozu-API-Token") != TOKEN:
        raise Refused(520, "GAIA_IA02", "指定したAPIトークンが正しくありません。")
    is_json = request.content_type == "application/json" and "Content-Type" in request.headers
    # A type without a body is refused, and so is a body without one.
    if is_json != (request.method == "PUT"):
        raise Refused(400, "CB_IJ01", "不正なJSON文字列です。")
    if len(str(request.url)) > _URL_MAX:
        raise Refused(414, "", "Request URL Too Large")


def _require_app(app: str) -> None:
    if app != APP:
        raise Refused(404, "GAIA_AP01", f"指定したアプリ（id: {app}）が見つかりません。")


def _require_field(code: str) -> None:
    if code not in FORM:
        raise Refused(400, "GAIA_IQ11", f"指定されたフィールド（{code}）が見つかりません。")


def _shown(record: Entry, fields: list[str] | None = None) -> dict[str, Any]:
    return {code: {"type": FORM[code], "value": record.field(code)} for code in fields or FORM}


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:00Z")


def _comparable(kind: str, value: Any) -> Any:
    if kind in ("__ID__", "RECORD_NUMBER"):
        return int(value)
    return datetime.fromisoformat(value) if kind in ("UPDATED_TIME", "CREATED_TIME") else value


class _Query:
    """A query in kintone's own language: conditions, order by, limit, offset."""

    def __init__(self, text: str) -> None:
        self._words = []
        at = 0
        while text[at:].strip():
            word = _WORD.match(text, at)
            if word is None:
                raise _bad()
            self._words.append(word[1])
            at = word.end()
        self.limit, self.offset = 100, 0
        self.order: list[tuple[str, bool]] = []
        self.condition: Condition = (
            self._any() if self._next() not in ("order", "limit", "offset", "") else lambda _: True
        )
        self._options()

    def _next(self) -> str:
        return self._words[0] if self._words else ""

    def _take(self, *wanted: str) -> str:
        if not self._words or (wanted and self._words[0] not in wanted):
            raise _bad()
        return self._words.pop(0)

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._next() == "or":
            self._take()
            parts.append(self._all())
        return lambda record: any(part(record) for part in parts)

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._next() == "and":
            self._take()
            parts.append(self._one())
        return lambda record: all(part(record) for part in parts)

    def _one(self) -> Condition:
        if self._next() == "(":
            self._take()
            inner = self._any()
            self._take(")")
            return inner
        code = self._take()
        _require_field(code)
        kind = FORM[code]
        operator = self._take()
        if operator == "not":
            operator = f"not {self._take()}"
        if operator not in _OPERATORS.get(kind, ()):
            raise Refused(400, "GAIA_IQ03", f"{code}フィールドのフィールドタイプには演算子{operator}を使用できません。")
        if operator in _LISTED:
            values = self._list()
            return lambda record: bool(values & _said(record.field(code))) == (operator == "in")
        wanted = _comparable(kind, self._value())
        return lambda record: _holds(_comparable(kind, record.field(code)), operator, wanted)

    def _list(self) -> set[str]:
        self._take("(")
        values = {self._value()}
        while self._take(",", ")") == ",":
            values.add(self._value())
        return values

    def _value(self) -> str:
        word = self._take()
        if word.startswith('"'):
            return str(json.loads(word))
        if not re.fullmatch(r"-?\d+", word):
            raise _bad()
        return word

    def _options(self) -> None:
        if self._next() == "order":
            self._take()
            self._take("by")
            while True:
                code = self._take()
                _require_field(code)
                self.order.append((code, self._next() == "desc"))
                if self._next() in ("asc", "desc"):
                    self._take()
                if self._next() != ",":
                    break
                self._take()
        for name, most in (("limit", _LIMIT_MAX), ("offset", _OFFSET_MAX)):
            if self._next() == name:
                self._take()
                number = int(self._value())
                if number > most:
                    raise Refused(400, "GAIA_QU01", f"{name}には{most}以下の値を指定してください。")
                setattr(self, name, number)
        if self._words:
            raise _bad()


def _bad() -> Refused:
    return Refused(400, "CB_VA01", "query: クエリ記法が間違っています。")


def _said(value: Any) -> set[str]:
    return set(value) if isinstance(value, list) else {str(value)}


def _holds(value: Any, operator: str, wanted: Any) -> bool:
    match operator:
        case "=":
            return bool(value == wanted)
        case "!=":
            return bool(value != wanted)
        case ">":
            return bool(value > wanted)
        case "<":
            return bool(value < wanted)
        case ">=":
            return bool(value >= wanted)
        case "<=":
            return bool(value <= wanted)
        case _:
            return (str(wanted) in str(value)) == (operator == "like")
