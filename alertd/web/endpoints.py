"""One description per API call: routing, rights, validation and the OpenAPI document all read the same one."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alertd import __version__
from alertd.core.errors import Invalid
from alertd.core.roles import Role
from alertd.service.runtime import Actor
from alertd.web.answers import ErrorAnswer
from alertd.web.bodies import read_json
from alertd.web.context import web_of
from alertd.web.security import check_csrf, require

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Call:
    """One request, ready to be carried out: who asks, and what was sent."""

    request: Request
    actor: Actor
    body: Any  # an instance of the endpoint's body model, or None

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter."""

    name: str
    description: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """A header that a call takes beside the usual ones."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Other:
    """A route that is no JSON call: told in the description, served elsewhere."""

    method: str
    path: str
    summary: str
    statuses: tuple[tuple[int, str], ...]
    takes: str | None = None


CURSOR: Final = Query("cursor", "where the page before ended: its `next`")
LIMIT: Final = Query("limit", f"items on a page, 1 to {LIMIT_MAX}, otherwise {LIMIT_DEFAULT}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One API call. `role` None: anybody, without signing in; its `handle` gets no actor."""

    method: str
    path: str
    role: Role | None
    summary: str
    handle: Callable[[Call], Awaitable[Response]]
    answer: type[BaseModel] | None
    body: type[BaseModel] | None = None
    status: int = 200
    query: tuple[Query, ...] = ()
    headers: tuple[Header, ...] = ()
    takes: str | None = None  # the media type of a body that `handle` reads by itself
    gives: str | None = None  # the media type of an answer that is no JSON

    async def __call__(self, request: Request) -> Response:
        _check_query(request, self.query)
        if self.role is None:
            return await self.handle(Call(request, _NOBODY, None))
        actor = await require(request, self.role)
        if request.method not in ("GET", "HEAD"):
            check_csrf(web_of(request), actor, request.headers.get("x-csrf-token"))
        body = await read_json(request, self.body) if self.body else None
        return await self.handle(Call(request, actor, body))


_NOBODY: Final = Actor("", "", "ja", Role.STAFF, "", "nobody")


def _check_query(request: Request, known: Sequence[Query]) -> None:
    names = {query.name: query for query in known}
    faults = [
        (name, "is not a parameter of this call")
        if name not in names
        else (name, f"must be one of {names[name].choices}")
        for name, value in request.query_params.multi_items()
        if name not in names or (names[name].choices and value not in names[name].choices)
    ]
    if faults:
        raise Invalid(faults)


def read_limit(request: Request) -> int:
    """How many items the caller wants. Raises Invalid."""
    raw = request.query_params.get("limit", str(LIMIT_DEFAULT))
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 3 and 1 <= int(raw) <= LIMIT_MAX):
        raise Invalid([("limit", f"must be 1 to {LIMIT_MAX}")])
    return int(raw)


def page_answer(items: Sequence[dict[str, Any]], limit: int, cursor: Callable[[dict[str, Any]], str]) -> JSONResponse:
    """A page of at most `limit` of `items`, which were read with a limit of one more to see whether there is a next."""
    shown = list(items[:limit])
    return JSONResponse({"items": shown, "next": cursor(shown[-1]) if len(items) > limit else None})


def routes(endpoints: Sequence[Endpoint]) -> list[Route]:
    """Starlette routes: one per path, so that a wrong method is 405 and not 404."""
    by_path: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [_route(path, by_method) for path, by_method in by_path.items()]


def _route(path: str, by_method: dict[str, Endpoint]) -> Route:
    async def dispatch(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await by_method[method](request)

    return Route(path, dispatch, methods=list(by_method))


def openapi(endpoints: Sequence[Endpoint], others: Sequence[Other]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these calls and routes."""
    models = {model for endpoint in endpoints for model in (endpoint.body, endpoint.answer, ErrorAnswer) if model}
    ordered = sorted(models, key=lambda model: model.__name__)
    found, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template="#/components/schemas/{model}"
    )
    schemas = {model: schema for (model, _), schema in found.items()}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    for other in others:
        paths.setdefault(other.path, {})[other.method.lower()] = _other(other)
    return {
        "openapi": "3.1.0",
        "info": {"title": "alertd", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


_Schemas = Mapping[Any, Mapping[str, Any]]


def _operation(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    parameters = _path_parameters(endpoint.path)
    for query in endpoint.query:
        schema: dict[str, Any] = {"type": "string", **({"enum": list(query.choices)} if query.choices else {})}
        parameters.append({"name": query.name, "in": "query", "description": query.description, "schema": schema})
    for header in endpoint.headers:
        described = {"description": header.description, "schema": {"type": "string"}}
        parameters.append({"name": header.name, "in": "header", **described})
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": _operation_id(endpoint.method, endpoint.path),
        "parameters": parameters,
        "responses": {
            str(endpoint.status): {"description": endpoint.summary, **_content(endpoint.answer, schemas)},
            "default": {"description": "refused", **_content(ErrorAnswer, schemas)},
        },
    }
    if endpoint.role is not None:
        operation["security"] = [{"bearer": []}]
        operation["x-role"] = endpoint.role.word
    if endpoint.gives is not None:
        operation["responses"][str(endpoint.status)]["content"] = {endpoint.gives: {"schema": {"type": "string"}}}
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, **_content(endpoint.body, schemas)}
    if endpoint.takes is not None:
        operation["requestBody"] = _text_body(endpoint.takes, required=True)
    return operation


def _other(other: Other) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": other.summary,
        "operationId": _operation_id(other.method, other.path),
        "parameters": _path_parameters(other.path),
        "responses": {str(status): {"description": description} for status, description in other.statuses},
    }
    if other.takes is not None:
        operation["requestBody"] = _text_body(other.takes, required=False)
    return operation


def _operation_id(method: str, path: str) -> str:
    return method.lower() + re.sub(r"[^a-zA-Z]+", "_", path.removeprefix("/api/v1"))


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _text_body(media: str, *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {media: {"schema": {"type": "string"}}}}


def _content(model: type[BaseModel] | None, schemas: _Schemas) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schemas[model]}}} if model is not None else {}
