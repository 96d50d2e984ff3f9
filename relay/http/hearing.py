"""Whether a publisher is heard, or awaits the chime: `GET /{channel}/whip/{session}/hearing`, server-sent events.

    data: {"heard": false, "awaits_chime": true}     at once, and on every change

Told by a Link of relation `urn:x-loa:hearing` to one who publishes where a chime may keep him waiting. His session's
secret is all that is needed, as it is to hear the others. The stream ends with the session.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from relay.errors import SessionNotFound
from relay.http.errors import Problem
from relay.http.events import event_stream, events
from relay.ports import Hearing, RelayCore

#: Relation of the address where a publisher is told whether he is heard.
HEARING: Final = "urn:x-loa:hearing"
LOOK_S: Final = 0.1
QUIET_LOOKS: Final = 150
"""After 15 s without news a comment is sent, so that proxies keep the stream and who has gone is noticed."""
WATCHERS_MAX: Final = 4
"""Of one session: a page, and those before it that have not gone yet."""


def described(now: Hearing) -> str:
    """The event that says so."""
    return f"data: {json.dumps(asdict(now))}\n\n"


def install(routes: APIRouter, core: RelayCore) -> None:
    """Add the route."""
    watching: Counter[str] = Counter()

    def now(channel: str, session: str) -> Hearing | None:
        return None if core.draining else core.hearing(channel, session)

    async def watched(channel: str, session: str) -> AsyncIterator[str]:
        watching[session] += 1
        try:
            told = events(lambda: now(channel, session), described, look_s=LOOK_S, quiet_looks=QUIET_LOOKS)
            async for event in told:
                yield event
        finally:
            watching[session] -= 1
            if not watching[session]:
                del watching[session]

    async def hearing(channel: str, session: str) -> Response:
        """Whether this publisher is heard."""
        if core.hearing(channel, session) is None:
            raise SessionNotFound("no session of that name may be kept waiting here; it may have ended")
        if watching[session] >= WATCHERS_MAX:
            raise Problem(429, f"{WATCHERS_MAX} watch this session already", {"Retry-After": "15"})
        return event_stream(watched(channel, session))

    routes.add_api_route(
        "/{channel}/whip/{session}/hearing",
        hearing,
        methods=["GET"],
        response_class=Response,
        response_model=None,
        include_in_schema=False,
    )
