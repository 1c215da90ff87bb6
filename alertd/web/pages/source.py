"""One source: how it is asked or may send, and how it fares."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

from pydantic.fields import FieldInfo
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from alertd.core.errors import Conflict, Invalid, NotFound
from alertd.core.roles import Role
from alertd.service import sources
from alertd.service.sources import Watch
from alertd.sources.registry import MAPPED, POLLERS, READERS, SIGNED_KINDS
from alertd.web.context import in_thread
from alertd.web.pages.forms import Form, read_own_form
from alertd.web.templating import Page, signed_in
from alertd.web.words import ACCESS_FIELDS

_PREFIX: Final = "access-"
_TRUE: Final = "true"


@dataclass(frozen=True, slots=True)
class Field:
    """What the form asks for one thing that a kind of source needs."""

    name: str
    label: str
    look: str  # text | secret | lines | check | choice
    value: str
    is_kept: bool  # a secret that is there, and not shown
    choices: Sequence[str] = ()
    fault: str = ""


async def show_source(request: Request) -> Response:
    page, _ = await signed_in(request, Role.MANAGER)
    return await source_page(page, str(request.path_params["source"]), saved="saved" in request.query_params)


async def save_source(request: Request) -> Response:
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    source_id = str(request.path_params["source"])
    row = await in_thread(lambda: _get(page, source_id))
    is_asked = form.one("step") == "ask"
    fields = _fields_of(row["kind"])
    access = {name: _read(form, name, info) for name, info in fields.items() if _is_said(form, name, info)}
    watch = Watch(access if is_asked else None, form.number("every_seconds"), form.number("silent_seconds"))
    try:
        await in_thread(lambda: sources.change_watch(page.web.rt, actor, source_id, watch))
    except Invalid as refused:
        faults = {field.removeprefix("access."): page.fault(told) for field, told in reversed(refused.details)}
        return await source_page(page, source_id, form=form, faults=faults)
    return RedirectResponse(f"/sources/{source_id}?saved=1", 303)


async def show_certificates(request: Request) -> Response:
    page, _ = await signed_in(request, Role.ADMIN)
    return await _certificates_page(page)


async def save_certificates(request: Request) -> Response:
    page, actor = await signed_in(request, Role.ADMIN)
    form = await read_own_form(request, actor)
    source_id, pem = str(request.path_params["source"]), form.one("certificates")
    try:
        await in_thread(lambda: sources.set_certificates(page.web.rt, actor, source_id, pem))
    except Invalid as refused:
        return await _certificates_page(page, pem, [page.fault(told) for _, told in refused.details])
    except Conflict as refused:
        return await _certificates_page(page, pem, [page.fault(refused.message)])
    return RedirectResponse(f"/sources/{source_id}?told=certificates", 303)


async def _certificates_page(page: Page, pem: str | None = None, faults: list[str] | None = None) -> Response:
    source_id = str(page.request.path_params["source"])
    kept = await in_thread(lambda: sources.read_pem(page.web.rt, source_id))
    return page.respond(
        "source_certificates.html",
        422 if faults else 200,
        source=source_id,
        pem=kept if pem is None else pem,
        faults=faults or [],
    )


async def source_page(
    page: Page,
    source_id: str,
    *,
    form: Form | None = None,
    faults: Mapping[str, str] | None = None,
    secret: str | None = None,
    saved: bool = False,
) -> Response:
    """`form`: what was typed and refused, with its `faults`. `secret`: one that was just made, shown this once."""
    row = await in_thread(lambda: _get(page, source_id))
    told = faults or {}
    kind, access = row["kind"], row["access"]
    return page.respond(
        "source.html",
        422 if faults else 200,
        source=row,
        fields=[_field(page, kind, name, info, access, form, told) for name, info in _fields_of(kind).items()],
        every=form.one("every_seconds") if form else row["every_seconds"] or _every_of(kind) or "",
        silent=form.one("silent_seconds") if form else row["silent_seconds"] or "",
        faults=told,
        general=[words for name, words in told.items() if name not in {*_fields_of(kind), *_SECONDS}],
        may_send=kind in READERS or (kind in MAPPED and kind not in POLLERS),
        may_be_asked=kind in POLLERS,
        url=f"{page.web.rt.public_url}/api/v1/sources/{source_id}",
        secret=secret,
        worded=page.fault,
        by_mail=kind == sources.MAILED,
        saved=saved,
        may_be_signed=kind in SIGNED_KINDS,
        certified=page.request.query_params.get("told") == "certificates",
    )


_SECONDS: Final = ("every_seconds", "silent_seconds")


def _get(page: Page, source_id: str) -> dict[str, Any]:
    found = next((row for row in sources.list_sources(page.web.rt) if row["id"] == source_id), None)
    if found is None:
        raise NotFound(f"there is no source {source_id!r}")
    return found


def _fields_of(kind: str) -> Mapping[str, FieldInfo]:
    return POLLERS[kind].access.model_fields if kind in POLLERS else {}


def _every_of(kind: str) -> int | None:
    return POLLERS[kind].every_seconds if kind in POLLERS else None


def _field(
    page: Page,
    kind: str,
    name: str,
    info: FieldInfo,
    access: Mapping[str, Any] | None,
    form: Form | None,
    faults: Mapping[str, str],
) -> Field:
    is_secret = name in POLLERS[kind].access.secret()
    look = "secret" if is_secret else _look_of(info)
    now = (access or {}).get(name, info.get_default() if not info.is_required() else "")
    value = form.one(_PREFIX + name) if form and look != "secret" else _written(now)
    fault = next((words for field, words in faults.items() if field.partition(".")[0] == name), "")
    label = page.say(ACCESS_FIELDS.get(name, name))
    choices = [str(each) for each in get_args(info.annotation)] if look == "choice" else []
    return Field(name, label, look, "" if is_secret else value, is_secret and access is not None, choices, fault)


def _look_of(info: FieldInfo) -> str:
    """How a field is asked for, by what it takes."""
    annotation: Any = info.annotation
    if annotation is bool:
        return "check"
    origin = get_origin(annotation)
    if origin in (tuple, list):
        return "lines"
    # A choice among words; what may be left out is a text.
    return "choice" if origin is not None and origin is not types.UnionType and origin is not dict else "text"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return _TRUE if value else ""
    return "\n".join(map(str, value)) if isinstance(value, tuple | list) else "" if value is None else str(value)


def _is_said(form: Form, name: str, info: FieldInfo) -> bool:
    """A box that is not ticked says no; a text that is left empty says nothing, and the kind's own word holds."""
    return _look_of(info) == "check" or bool(form.one(_PREFIX + name).strip())


def _read(form: Form, name: str, info: FieldInfo) -> Any:
    text = form.one(_PREFIX + name).strip()
    look = _look_of(info)
    if look == "check":
        return text == _TRUE
    if look == "lines":
        return [line.strip() for line in text.split("\n") if line.strip()]
    return text
