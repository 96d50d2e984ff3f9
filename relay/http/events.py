"""Server-sent events about one thing that changes (HTML Standard, 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from starlette.responses import StreamingResponse

T = TypeVar("T")
Pause = Callable[[float], Awaitable[object]]

COMMENT: Final = ":\n\n"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}


async def events(
    ask: Callable[[], T | None],
    tell: Callable[[T], str],
    *,
    look_s: float,
    quiet_looks: int,
    again: Callable[[T], str] = lambda _: COMMENT,
    pause: Pause = asyncio.sleep,
) -> AsyncIterator[str]:
    """What `tell` says at once and whenever the answer of `ask` has changed, until it is None.

    `ask` is asked again after each `pause` of `look_s` seconds. After so many looks without news what `again` says is
    sent, so that proxies keep the stream and who has gone is noticed.
    """
    told: T | None = None
    quiet = 0
    while (now := ask()) is not None:
        quiet += 1
        if now != told:
            told, quiet = now, 0
            yield tell(now)
        elif quiet >= quiet_looks:
            quiet = 0
            yield again(now)
        await pause(look_s)


def event_stream(content: AsyncIterator[str]) -> StreamingResponse:
    """The response."""
    return StreamingResponse(content, headers=_HEADERS, media_type="text/event-stream")
