"""The list of what is new that everybody has in Garoon: items that other systems put there.

cybozu developer network, Garoon REST API, "通知を登録する": `POST …/api/v1/notification/items`, in the cloud and in
packages from 5.0 on. An administrator of Garoon must have registered the code that the items come under
("APIの外部通知"), and the addresses that they may lead to.
"""

import json
from typing import Final

from pydantic import BaseModel

from alertd.core.alert import headline
from alertd.core.observation import clean
from alertd.sources.base import Answer, Fetch, Notice, Refusal, Unfetched
from alertd.sources.garoon_rest import headers_of
from alertd.sources.json import parse_answer

# The vendor does not say how long these may be: so much fits into a line of the list, and into a glance.
_TITLE_MAX: Final = 100
_BODY_MAX: Final = 500
_OVER: Final = "（終了）"
_TAKEN: Final = (200, 201)
_MAY_BE_PERSONAL: Final = (400, 404, 520)
_NOT_SIGNED_IN: Final = (401, 403)
_NO_SUCH_USER: Final = "GRN_CMMN_00105"


class _Fault(BaseModel):
    errorCode: str = ""
    message: str = ""


class _Item(BaseModel):
    title: str


class _Faulty(BaseModel):
    error: _Fault


async def post(fetch: Fetch, url: str, login: str, password: str, app: str, notice: Notice) -> Refusal | None:
    """Put a notice under the code `app` into people's lists; why nobody got it, when it may be for one of them. Raises
    Unfetched.
    """
    answer = await fetch(
        f"{url}/api/v1/notification/items",
        method="POST",
        headers={**headers_of(login, password), "Content-Type": "application/json"},
        body=json.dumps(_item(app, notice), ensure_ascii=False).encode(),
        accepted=(*_TAKEN, *_MAY_BE_PERSONAL, *_NOT_SIGNED_IN),
    )
    if answer.status in _TAKEN:
        # A page to sign in at has such a status, too.
        parse_answer(answer, _Item, "Garoon")
        return None
    refusal = _refusal(answer)
    if answer.status in _NOT_SIGNED_IN:
        raise Unfetched(refusal.words)
    return refusal


def _item(app: str, notice: Notice) -> dict[str, object]:
    return {
        "app": app,
        "notificationKey": notice.alert_id,
        # Two marks of one item, which Garoon keeps by its key: never `remove`, for what is over must be seen to be.
        "operation": "add" if notice.is_first else "modify",
        "url": notice.url,
        "title": _title(notice),
        "body": clean(notice.body, _BODY_MAX) or _title(notice),
        "destinations": [{"type": "USER", "code": person} for person in notice.people],
    }


def _title(notice: Notice) -> str:
    said = headline(notice.title, drill=notice.is_drill, language="ja", revision_kind=notice.revision_kind)
    over = _OVER if notice.is_over else ""
    return clean(said, _TITLE_MAX - len(over)) + over


def _refusal(answer: Answer) -> Refusal:
    fault = parse_answer(answer, _Faulty, "Garoon").error
    words = f"Garoon refuses the notification: {fault.errorCode} {' '.join(fault.message.split())[:200]}".strip()
    return Refusal(words, fault.errorCode == _NO_SUCH_USER or "destinations" in fault.message)
