"""JSON in and out, held to pydantic models, and how OpenAPI tells of it."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from relay.http.body import read_text, require_media_type
from relay.http.errors import PROBLEM_TYPE, Problem

JSON: Final = "application/json"
LIMIT: Final = 16_384
_M = TypeVar("_M", bound=BaseModel)


async def read_model(request: Request, model: type[_M], *, limit: int = LIMIT) -> _M:
    """The body, of at most `limit` bytes, as `model`.

    Raises Problem 415, 413, 408 and 400 as `read_text`, 422 naming what is wrong.
    """
    require_media_type(request, JSON)
    text = await read_text(request, limit, what="JSON object")
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        sentence = re.sub(r"^Value error, ", "", first["msg"])
        raise Problem(422, f"{where}: {sentence}" if where else sentence) from None


def json_response(model: BaseModel, status: int = 200) -> Response:
    """`model` as an answer that nobody keeps."""
    return Response(model.model_dump_json(by_alias=True), status, {"Cache-Control": "no-store"}, JSON)


def documented(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """What OpenAPI says of a body that `read_model` reads; models within it are written out where they stand."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def written_out(value: Any) -> Any:
        if isinstance(value, list):
            return [written_out(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return written_out(parts[value["$ref"].rpartition("/")[2]])
        return {key: written_out(each) for key, each in value.items()}

    content = {JSON: {"schema": written_out(schema)}}
    return {"requestBody": {"required": required, "content": content}}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of refusals."""
    return {
        status: {"description": "Refused; `detail` says why", "content": {PROBLEM_TYPE: {}}}
        for status in statuses
    }
