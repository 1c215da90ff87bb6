"""Reading requests within their limits, and wording refusals."""

import json
from collections.abc import AsyncGenerator, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse

from alertd.core.errors import Conflict, DiskFull, Fault, Forbidden, Invalid, NotFound, TooMany, Unauthenticated

REQUEST_MAX: Final = 1_000_000  # bytes of a request's body
IMPORT_MAX: Final = 20_000_000  # the same of a list of people: some 200,000
_FIELDS_MAX: Final = 1_000
_UPLOAD_FIELDS_MAX: Final = 10

STATUS: Final[dict[type[Fault], int]] = {
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    TooMany: 429,
    DiskFull: 503,
}

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request, most: int = REQUEST_MAX) -> bytes:
    """The body; HTTPException 413 as soon as it is larger than `most` bytes."""
    declared = request.headers.get("content-length", "0")
    if declared == "0" and "transfer-encoding" not in request.headers:
        return b""
    if declared.isdigit() and int(declared) > most:
        raise HTTPException(413, f"a request's body may have at most {most} bytes")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, f"a request's body may have at most {most} bytes")
    return bytes(body)


def require_media(request: Request, *allowed: str) -> str:
    """The media type of the body; HTTPException 415 unless it is one of `allowed`."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in allowed:
        raise HTTPException(415, f"send the body as {' or '.join(allowed)}")
    return media


async def read_json(request: Request, model: type[Model]) -> Model:
    """The body as `model`, taken strictly: nothing is coerced. HTTPException 400, 413, 415; Invalid."""
    require_media(request, "application/json")
    body = await read_body(request)
    _require_plain_json(body)
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        if faults[0]["type"] == "json_invalid":
            raise HTTPException(400, f"the body is not JSON: {faults[0]['msg']}") from error
        raise Invalid([(field_name(fault["loc"]), fault["msg"]) for fault in faults]) from error


def _require_plain_json(body: bytes) -> None:
    """HTTPException 400 for what JSON leaves open: a member that stands twice (which `drill` would hold?), NaN."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a member stands twice in one object")
        return found

    def constant(word: str) -> None:
        raise ValueError(f"{word} is no JSON value")

    try:
        json.loads(body.decode(), object_pairs_hook=members, parse_constant=constant)
    except RecursionError:
        raise HTTPException(400, "the body is not JSON: it is nested too deeply") from None
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error


def field_name(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) or "body"


async def read_form(request: Request) -> list[tuple[str, str]]:
    """The fields of an urlencoded form, in order, empty ones too. HTTPException 400, 413, 415."""
    body = await read_body(request)
    if not body:
        return []
    require_media(request, "application/x-www-form-urlencoded")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError as error:
        raise HTTPException(400, "the form is not urlencoded UTF-8") from error


async def read_upload(request: Request, most: int) -> tuple[list[tuple[str, str]], tuple[str, bytes]]:
    """The fields of a form with a file, and the file: its name and what is in it, empty when none was chosen.

    HTTPException 400, 413, 415.
    """
    require_media(request, "multipart/form-data")
    body = await read_body(request, most)

    async def whole() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(request.headers, whole(), max_files=1, max_fields=_UPLOAD_FIELDS_MAX).parse()
    except (MultiPartException, KeyError) as error:
        raise HTTPException(400, "the form is not multipart/form-data") from error
    fields: list[tuple[str, str]] = []
    file = ("", b"")
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            file = (value.filename or "", await value.read())
        else:
            fields.append((name, value))
    await form.close()
    return fields, file


def error_body(code: str, message: str, details: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    listed = [{"field": field, "message": text} for field, text in details]
    return {"error": {"code": code, "message": message, "details": listed}}


def status_code_name(status: int) -> str:
    """An error's `code` where only its HTTP status is known; RFC 9110's phrases, whatever this Python calls them."""
    return "content_too_large" if status == 413 else HTTPStatus(status).name.lower()


def error_response(
    status: int, code: str, message: str, details: Sequence[tuple[str, str]] = (), retry_after: int | None = None
) -> JSONResponse:
    """The documented error body."""
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return JSONResponse(error_body(code, message, details), status, headers=headers)
