"""Reading a request's body: never more than allowed, never for ever."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import ClientDisconnect, Request

from relay.http.errors import Problem

#: A session description is a few kilobytes; who needs longer than this to send it is not sending it.
BODY_SECONDS: Final = 15.0
#: Of a request's state: a function that raises Problem when what the request was let in by is void meanwhile.
STILL_GOOD: Final = "loa_still_good"
# What a refused client still sends would be read and thrown away without end on a kept connection.
_CLOSE: Final = {"Connection": "close"}


def require_media_type(request: Request, media_type: str) -> None:
    """Problem 415 unless the request says its body is `media_type`; parameters (charset) are ignored."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        wrong = f"not {given}" if given else "and the request has no Content-Type"
        raise Problem(415, f"the body must be {media_type}, {wrong}", {"Accept": media_type} | _CLOSE)


async def read_text(
    request: Request, limit: int, *, seconds: float = BODY_SECONDS, what: str = "session description"
) -> str:
    """The body, which should be a `what`, as UTF-8 text of at most `limit` bytes.

    Raises Problem 413 as soon as more is announced or has come (chunked bodies announce nothing), 408 when it
    does not come in time, 400 for an empty body or other encodings, 401 when the token was revoked while it came.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > limit):
        raise _too_large(limit, what)
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit, what)
    except TimeoutError:
        raise Problem(408, f"the body did not arrive within {seconds:g} s; send it again", _CLOSE) from None
    except ClientDisconnect:
        raise Problem(400, "the connection closed before the body was complete", _CLOSE) from None
    getattr(request.state, STILL_GOOD, lambda: None)()
    if not body:
        raise Problem(400, f"the body is empty; it must be a {what}")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(400, "the body is not UTF-8 text") from None


def _too_large(limit: int, what: str) -> Problem:
    return Problem(413, f"the body is larger than {limit} bytes; no {what} needs that", _CLOSE)
