"""JSON as strangers send it: read within bounds, and taken strictly."""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from alertd.core.observation import Observation, observation_faults
from alertd.sources.base import Answer, Unfetched, Unreadable, require_size

Model = TypeVar("Model", bound=BaseModel)

_FAULTS_TOLD = 10


def members(raw: bytes) -> frozenset[str]:
    """The names at the top of a JSON object; none of anything else. Raises Unreadable, with the line."""
    require_size(raw)
    try:
        found: Any = json.loads(raw)
    except RecursionError:
        raise Unreadable("this is not JSON: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"this is not JSON: {error.msg}", error.lineno) from None
    except UnicodeDecodeError:
        raise Unreadable("this is not JSON: it is not UTF-8") from None
    return frozenset(found) if isinstance(found, dict) else frozenset()


def parse(raw: bytes, model: type[Model]) -> Model:
    """The message as `model`. Raises Unreadable with what is wrong, by name."""
    members(raw)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        told = [f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in faults[:_FAULTS_TOLD]]
        raise Unreadable("; ".join(told)) from None


def parse_answer(answer: Answer, model: type[Model], who: str) -> Model:
    """What `who` answered, as `model`. Raises Unfetched."""
    try:
        raw = json.loads(answer.body)
    except (ValueError, RecursionError):
        kind = answer.headers.get("content-type", "something")[:100]
        raise Unfetched(
            f"{who} answered {answer.status} with {kind} instead of JSON: is it the right address?"
        ) from None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise Unfetched(
            f"{who}'s answer is not as documented: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from None


def observe(make: Callable[[], Sequence[Observation]]) -> Sequence[Observation]:
    """What `make` makes of a message, if it can be decided on. Raises Unreadable."""
    try:
        found = make()
    except OverflowError:
        raise Unreadable("a time lies beyond what can be reckoned with") from None
    faults = [fault for each in found for fault in observation_faults(each)]
    if faults:
        raise Unreadable("; ".join(f"{field}: {message}" for field, message in faults[:_FAULTS_TOLD]))
    return found
