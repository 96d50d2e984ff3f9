"""The HTTP surface as one ASGI application."""

from __future__ import annotations

import importlib.metadata
import logging
import time
from collections.abc import Callable
from pathlib import Path

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.config import Config
from relay.http import api, errors, metrics, pages, whip
from relay.http.auth import Authority, BadTokens
from relay.http.cors import Cors
from relay.ports import RelayCore
from relay.tokens import Tokens

_log = logging.getLogger(__name__)
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT"})


class Edge:
    """Outermost ASGI middleware: counts requests, and answers 500 where a handler failed unexpectedly."""

    def __init__(self, app: ASGIApp, counted: metrics.HttpMetrics, clock: Callable[[], float]) -> None:
        self._app = app
        self._counted = counted
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._clock()
        status = 0

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
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
            self._counted.seconds.labels(route).observe(self._clock() - started)


def create_app(
    core: RelayCore,
    config: Config,
    tokens: Tokens,
    *,
    folder: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> FastAPI:
    """The application for `core`. `folder` holds the pages (None: package loaweb); `clock` is monotonic."""
    app = FastAPI(
        title="Loa",
        summary="Live audio relay: WHIP in, WHEP out",
        version=importlib.metadata.version("loa"),
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere, which our policy forbids
        redoc_url=None,
        redirect_slashes=False,
    )
    counted = metrics.HttpMetrics(core, app.version)
    authority = Authority(config, tokens, BadTokens(clock=clock), counted.bad_tokens.inc)
    folder = pages.package_folder() if folder is None else folder
    errors.install(app)
    # Straight onto the application's own router: an included one would be matched as a whole, without its methods.
    api.install(app.router, core, authority)
    metrics.install(app.router, counted, config, authority)
    app.mount("/static", pages.PublicAssets(folder))
    whip.install(app.router, core, config, authority)
    pages.install(app.router, core, config, folder)
    app.add_middleware(Cors, origins=config.http.cors_origins)
    app.add_middleware(Edge, counted=counted, clock=clock)
    return app
