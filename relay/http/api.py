"""The JSON API, and the two questions a supervisor asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from relay.http.auth import Authority
from relay.http.errors import problem_response
from relay.ports import ChannelState, RelayCore
from relay.tokens import Grant


def install(
    routes: APIRouter, core: RelayCore, authority: Authority, streams: Callable[[str], bool] = lambda _: False
) -> None:
    """Add `/api/v1/channels`, `/healthz`, `/readyz`. `streams` says whether a channel has its Ogg stream."""

    async def channels(request: Request) -> Response:
        """The channels that the token may listen to, and the public ones."""
        grant = authority.grant(request, authority.peer(request))
        visible = [
            _described(state, grant, streams(state.name))
            for state in core.channels()
            if state.public or grant.allows("listen", state.name) or grant.allows("publish", state.name)
        ]
        return JSONResponse({"channels": visible}, headers={"Cache-Control": "no-store"})

    async def healthz() -> Response:
        """The process is alive and answers."""
        return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})

    async def readyz() -> Response:
        """New sessions are served now; otherwise 503 and why not."""
        ready, reason = core.ready()
        if not ready:
            return problem_response(503, reason, {"Retry-After": "5"})
        return PlainTextResponse("ready\n", headers={"Cache-Control": "no-store"})

    for path, handler in (("/api/v1/channels", channels), ("/healthz", healthz), ("/readyz", readyz)):
        routes.add_api_route(path, handler, methods=["GET"], response_class=Response, response_model=None)


def _described(state: ChannelState, grant: Grant, streams: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": state.name,
        "title": state.title,
        "public": state.public,
        "on_air": state.on_air,
        "publisher": state.publisher,
        "listeners": state.listeners,
        "level_dbov": state.level_dbov,
        "capture_delay_s": state.capture_delay_s,
        "stream": streams and (state.public or grant.allows("listen", state.name)),
    }
    if grant.allows("admin", state.name):
        described["source"] = state.source  # addresses of other relays are no listener's business
    return described
