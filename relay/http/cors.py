"""Cross-origin requests: pages of other sites may publish and listen with a token of their own.

No cookies are used anywhere, so any origin can be let in without handing it anything. Pages, metrics and
health are of no use to other sites and say nothing to them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SHARED = re.compile(r"/api/|/[^/]+/wh[ei]p(/[^/]+(/hearing)?)?$")
_SESSION = re.compile(r"/[^/]+/wh[ei]p/[^/]+$")
_EXPOSED = b"Location, Link, ETag, WWW-Authenticate, Retry-After, Accept-Post, Accept-Patch"
_HEADERS = b"Authorization, Content-Type, If-Match, X-Loa-Replace, X-Loa-Participant"
_PREFLIGHT_SECONDS = b"86400"


class Cors:
    """ASGI middleware: answers preflights itself (they carry no token), marks the other responses."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._any = "*" in origins
        self._origins = frozenset(origin.rstrip("/").encode("latin-1") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not _SHARED.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        origin = requested = None
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value
            elif name == b"access-control-request-method":
                requested = value
        marks = self._marks(origin)
        if origin is not None and requested is not None and scope["method"] == "OPTIONS":
            await _answer_preflight(scope["path"], marks, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *marks]
                if origin is not None:
                    message["headers"].append((b"access-control-expose-headers", _EXPOSED))
            await send(message)

        await self._app(scope, receive, send_marked)

    def _marks(self, origin: bytes | None) -> list[tuple[bytes, bytes]]:
        if self._any:
            return [(b"access-control-allow-origin", b"*")] if origin is not None else []
        vary = (b"vary", b"Origin")
        if origin is not None and origin in self._origins:
            return [(b"access-control-allow-origin", origin), vary]
        return [vary]


async def _answer_preflight(path: str, marks: list[tuple[bytes, bytes]], send: Send) -> None:
    """200 without body (RFC 9725 §4.2 wants 200), also to origins not let in: the browser stops them."""
    headers = [
        *marks,
        (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS"),
        (b"access-control-allow-headers", _HEADERS),
        (b"access-control-max-age", _PREFLIGHT_SECONDS),
        (b"content-length", b"0"),
    ]
    if _SESSION.match(path):
        headers.append((b"accept-patch", b"application/trickle-ice-sdpfrag"))
    elif not path.startswith("/api/"):
        headers.append((b"accept-post", b"application/sdp"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
