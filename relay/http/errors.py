"""Refusals over HTTP: RFC 9457 problem details, `{"title", "status", "detail"}`, for every client alike.

`detail` is one sentence that says what is wrong and, where known, the mend.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from loacodecs.errors import ConfigurationError, LoaError, MalformedError, NegotiationError
from relay.errors import RelayError

PROBLEM_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)
_TITLES = {status.value: status.phrase for status in HTTPStatus}


class Problem(LoaError):  # noqa: N818 - the word of RFC 9457
    """A refusal that the HTTP side itself decides."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})


def problem_response(
    status: int, detail: str, headers: Mapping[str, str] | None = None, kind: str = ""
) -> Response:
    """The response that carries a refusal, of the type `kind` where it has one."""
    body = {"title": _TITLES.get(status, "Error"), "status": status, "detail": detail}
    if kind:
        body["type"] = kind
    return Response(
        json.dumps(body, ensure_ascii=False),
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=PROBLEM_TYPE,
    )


def status_of(error: LoaError) -> int:
    """The status that tells a client what happened; 500 when it is no fault of the client's."""
    if isinstance(error, RelayError | Problem):
        return error.status
    if isinstance(error, NegotiationError):
        return 406
    if isinstance(error, MalformedError) and not isinstance(error, ConfigurationError):
        return 400
    return 500


def install(app: FastAPI) -> None:
    """Turn every LoaError, and what the framework itself refuses, into problem details."""

    async def loa_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, LoaError)
        status = status_of(error)
        _log.log(
            logging.ERROR if status == 500 else logging.INFO,
            "refused: %s",
            error,
            extra={
                "status": status,
                "method": request.method,
                "path": request.url.path,
                "address": _client(request),
            },
        )
        headers = error.headers if isinstance(error, Problem) else {}
        retry_after = error.retry_after if isinstance(error, RelayError) else None
        if retry_after is not None:
            headers = {**headers, "Retry-After": str(retry_after)}
        kind = error.type if isinstance(error, RelayError) else ""
        return problem_response(status, str(error), headers, kind)

    async def framework_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            allowed = _allowed_methods(request)
            return problem_response(
                405,
                f"{request.method} is not used here; use {' or '.join(allowed)}",
                {"Allow": ", ".join(allowed)},
            )
        detail = "there is nothing at this address" if error.status_code == 404 else str(error.detail)
        return problem_response(error.status_code, detail, error.headers)

    async def validation_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        return problem_response(422, f"{where} is not what this address takes")

    app.add_exception_handler(LoaError, loa_error)
    app.add_exception_handler(HTTPException, framework_error)
    app.add_exception_handler(RequestValidationError, validation_error)


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def _allowed_methods(request: Request) -> list[str]:
    """All methods of the routes whose path is the request's (RFC 9110 §15.5.6)."""
    allowed: set[str] = set()
    for route in request.app.router.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            allowed |= getattr(route, "methods", None) or set()
    return sorted(allowed)
