"""The pages: who opens a channel's address in a browser hears it, or speaks into it.

HTML, modules and styles come from the data package `loaweb`. A token reaches a page in the URL's fragment,
which browsers do not send; nothing here sees it.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from relay.config import Config
from relay.names import is_channel_name
from relay.ports import RelayCore

#: All from this origin only, no inline scripts or styles; data: for icons, blob: for a chosen sound file.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; manifest-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), autoplay=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Always ask again: an ETag costs nothing, an old module beside a new page costs a broadcast.
    "Cache-Control": "no-cache",
}
_SERVED_SUFFIXES: Final = frozenset({".js", ".css", ".svg", ".png", ".woff2", ".webmanifest"})
_PRIVATE: Final = frozenset({"node_modules", "tests"})
_NOT_FOUND: Final = """<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Loa: 404</title>
<link rel="icon" href="{root}static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}static/css/base.css"></head><body>
<header class="bar"><a class="brand" href="{root}"><img src="{root}static/icon.svg" alt="" width="32" height="32">
<span>Loa</span></a></header>
<main class="page">
<h1>Không có kênh này</h1><p>Hãy kiểm tra lại địa chỉ, hoặc <a href="{root}">xem các kênh</a>.</p>
<h2 lang="en">No such channel</h2><p lang="en">Check the address, or <a href="{root}">see the channels</a>.</p>
</main></body></html>
"""


def package_folder() -> Path:
    """Where the installed `loaweb` keeps its pages."""
    return Path(str(importlib.resources.files("loaweb")))


class Assets(StaticFiles):
    """Files below a folder with the pages' headers; a folder or file that is not there is a 404."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, check_dir=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at `path`, 304 when the browser has it already."""
        response = await super().get_response(path, scope)
        headers = MutableHeaders(raw=response.raw_headers)
        headers.update(SECURITY_HEADERS)
        return response

    async def check_config(self) -> None:
        """Nothing to check: the folder may come later, and its absence is a 404."""


class PublicAssets(Assets):
    """`/static/`: what pages load. A developer's folder also holds tests and tools, which stay private."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file at `path` when it is of a kind that pages load."""
        parts = Path(path).parts
        if Path(path).suffix not in _SERVED_SUFFIXES or not _PRIVATE.isdisjoint(parts):
            raise HTTPException(404)
        return await super().get_response(path, scope)


def install(routes: APIRouter, core: RelayCore, config: Config, folder: Path) -> None:
    """Add `/`, `/{channel}`, `/{channel}/publish`, after all others: these paths are the widest."""
    assets = Assets(folder)

    def exists(channel: str) -> bool:
        if not is_channel_name(channel):
            return False
        if config.channels.auto or channel in config.channels.named:
            return True
        return any(state.name == channel for state in core.channels())

    async def page(name: str, request: Request) -> Response:
        try:
            return await assets.get_response(name, request.scope)
        except HTTPException as error:
            if error.status_code == 404:
                return PlainTextResponse(f"the page {name} is not installed\n", 404)
            raise

    def not_found(root: str) -> Response:
        return HTMLResponse(_NOT_FOUND.format(root=root), 404, SECURITY_HEADERS)

    async def index(request: Request) -> Response:
        return await page("index.html", request)

    async def listen(channel: str, request: Request) -> Response:
        return await page("listen.html", request) if exists(channel) else not_found("./")

    async def publish(channel: str, request: Request) -> Response:
        if not exists(channel):
            return not_found("../")
        settings = config.channels.named.get(channel)
        meets = settings is not None and settings.mode == "mix" and settings.meeting.enabled
        return await page("meeting.html" if meets else "publish.html", request)

    async def without_slash(channel: str) -> Response:
        return RedirectResponse(f"/{channel}", 308) if exists(channel) else not_found("../")

    async def robots() -> Response:
        return PlainTextResponse("User-agent: *\nDisallow: /\n")

    for path, handler in (
        ("/", index),
        ("/robots.txt", robots),
        ("/{channel}", listen),
        ("/{channel}/", without_slash),
        ("/{channel}/publish", publish),
    ):
        routes.add_api_route(
            path, handler, methods=["GET", "HEAD"], response_model=None, include_in_schema=False
        )
