"""The HTTP surface as one ASGI application."""

from __future__ import annotations

import importlib.metadata
import logging
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loacodecs.control import PATH as LINK_PATH
from relay.automation_ports import AutomationDesk
from relay.config import Config
from relay.device_ports import DeviceDesk, DeviceStats
from relay.http import (
    api,
    classes,
    devices,
    edge,
    errors,
    hearing,
    live_socket,
    meeting,
    metrics,
    pages,
    recordings,
    stream,
    token_revocations,
    whip,
)
from relay.http import live as live_control
from relay.http.audience import Audiences
from relay.http.auth import Authority, BadTokens
from relay.http.automation_metrics import AutomationCollector
from relay.http.cors import Cors
from relay.http.meeting import MeetingSockets
from relay.http.output_metrics import StreamCounts
from relay.live_ports import LiveDesk, LiveStats
from relay.meeting_ports import MeetingDesk
from relay.output_ports import OutputDesk, OutputStats
from relay.ports import RelayCore
from relay.revocation_ports import RevocationDesk
from relay.tokens import Tokens

_log = logging.getLogger(__name__)
_SOCKETS = re.compile(rf"{re.escape(LINK_PATH)}|/api/v1/channels/[^/]+/(live|meeting)")
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"})


class Edge:
    """Outermost ASGI middleware: counts requests, and answers 500 where a handler failed unexpectedly."""

    def __init__(self, app: ASGIApp, counted: metrics.HttpMetrics, clock: Callable[[], float]) -> None:
        self._app = app
        self._counted = counted
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket" and not _SOCKETS.fullmatch(scope["path"]):
            await send({"type": "websocket.close"})  # before it is accepted: 403
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._clock()
        answered: float | None = None  # streams and events go on for hours after that
        status = 0

        async def send_noting_status(message: Message) -> None:
            nonlocal answered, status
            if message["type"] == "http.response.start":
                answered, status = self._clock(), message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting_status)
        except Exception:
            _log.exception("a request failed", extra={"method": scope["method"], "path": scope["path"]})
            if status == 0:
                response = errors.problem_response(500, "the relay failed to answer; its log says why")
                await response(scope, receive, send_noting_status)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._counted.requests.labels(route, method, str(status)).inc()
            seconds = (self._clock() if answered is None else answered) - started
            self._counted.seconds.labels(route).observe(seconds)


def _streams(config: Config, outputs: OutputDesk | None, channel: str) -> bool:
    settings = config.channels.named.get(channel)
    return outputs is not None and (settings is None or settings.stream)


def create_app(
    core: RelayCore,
    config: Config,
    tokens: Tokens,
    *,
    desk: DeviceDesk | None = None,
    outputs: OutputDesk | None = None,
    live: LiveDesk | None = None,
    automation: AutomationDesk | None = None,
    meetings: MeetingDesk | None = None,
    revocations: RevocationDesk | None = None,
    folder: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The application for `core`, `desk` where there are edge receivers, `outputs` where there are other outputs,
    `live` and `automation` where channels are mixed, `meetings` where people meet on them, `revocations` where tokens
    can be revoked.

    `folder` holds the pages (None: package loaweb); `clock` is monotonic.
    """
    app = FastAPI(
        title="Loa",
        summary="Live audio relay: WHIP in, WHEP out",
        version=importlib.metadata.version("loa"),
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere, which our policy forbids
        redoc_url=None,
        redirect_slashes=False,
    )
    audiences = None if outputs is None else Audiences(outputs, lambda: core.draining, clock)
    broadcast = None if automation is None else live_socket.Broadcast(automation, lambda: core.draining)
    counted = metrics.HttpMetrics(
        core,
        app.version,
        DeviceStats if desk is None else desk.stats,
        OutputStats if outputs is None else outputs.stats,
        StreamCounts if audiences is None else audiences.counts,
        LiveStats if live is None else live.stats,
        None
        if automation is None or broadcast is None
        else AutomationCollector(automation.stats, broadcast.counts),
        dict if meetings is None else meetings.stats,
    )
    authority = Authority(
        config,
        tokens,
        BadTokens(clock=clock),
        counted.bad_tokens.inc,
        is_barred=(lambda _: False) if desk is None else desk.is_revoked,
        is_revoked=(lambda _: False) if revocations is None else revocations.is_revoked,
        on_revoked_token=counted.revoked_tokens.inc,
    )
    folder = pages.package_folder() if folder is None else folder
    errors.install(app)
    # Straight onto the application's own router: an included one would be matched as a whole, without its methods.
    api.install(app.router, core, authority, partial(_streams, config, outputs))
    metrics.install(app.router, counted, config, authority)
    if automation is not None and broadcast is not None:
        live_control.install(app.router, automation, authority, clock)
        live_socket.install(app.router, broadcast, authority, config.http.cors_origins, lambda: core.draining)
    if desk is not None:
        devices.install(app.router, desk, config, authority)
        classes.install(app.router, desk, core, authority)
        edge.install(app.router, desk, core, authority, BadTokens(clock=clock))
    if revocations is not None:
        token_revocations.install(app.router, revocations, tokens, authority)
    app.mount("/static", pages.PublicAssets(folder))
    if meetings is not None:
        meeting.install(app.router, MeetingSockets(core, meetings, authority, tokens, clock))
    whip.install(app.router, core, config, authority, meetings)
    hearing.install(app.router, core)
    if outputs is not None and audiences is not None:
        recordings.install(app.router, outputs, audiences, core, authority)
        stream.install(app.router, outputs, audiences, core, config, authority)
    pages.install(app.router, core, config, folder)
    app.add_middleware(Cors, origins=config.http.cors_origins)
    app.add_middleware(Edge, counted=counted, clock=clock)
    return app
