"""A channel for any player, and the description of its RTP output.

    GET, HEAD /{channel}.opus   endless Ogg Opus; scope listen unless the channel is public
    GET       /{channel}.sdp    where its plain RTP goes (RFC 8866); `?output=1` for the second; likewise

Players cannot set header fields, so both take the token as `?token=` too. The stream is framed by the end of the
connection, without chunks, as Icecast does and its oldest clients need; its title is in the `icy-name` field and in the
Ogg tags. `Icy-MetaData: 1` changes nothing more: blocks of ICY metadata between the octets are for formats without
titles of their own, and would tear Ogg pages. A stream ends, with the mark of the end, when the token that opened it
expires or its bearer is revoked; a public channel's at the latter only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relay.config import Config
from relay.errors import Unavailable
from relay.http.audience import Audience, Audiences
from relay.http.auth import Authority
from relay.http.errors import Problem
from relay.output_ports import OutputDesk
from relay.ports import RelayCore
from relay.tokens import Grant

TAKE_OVER: Final = "loa.take_over"
"""Extension of an ASGI scope by `relay.http.server`: gives the transport, for a body without framing."""

AUDIO: Final = "audio/ogg"
_DRAIN_RETRY_AFTER_S: Final = 5


class _Endless(Response):
    """What the audience hears, until the client goes or is cut off."""

    def __init__(self, audience: Audience, public: bool, may_listen: Callable[[], bool]) -> None:
        super().__init__(status_code=200, headers=_headers(public))
        del self.headers["content-length"]
        # As Icecast does, and its clients expect: UTF-8, though a header field has no encoding (RFC 9110 §5.5).
        title = " ".join(audience.stream.title.split())
        self.raw_headers.append((b"icy-name", title.encode()))
        self._audience = audience
        self._may_listen = may_listen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, then leave the connection to the audience."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        take_over: Callable[[], asyncio.Transport] = scope["extensions"][TAKE_OVER]
        client = take_over()
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._audience.add(client, self._may_listen)
        try:
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._audience.remove(client)


def _headers(public: bool) -> dict[str, str]:
    return {
        "Content-Type": AUDIO,
        "Cache-Control": "no-store",
        "Connection": "close",
        "Accept-Ranges": "none",
        "X-Content-Type-Options": "nosniff",
        "X-Accel-Buffering": "no",  # nginx would gather pages
        "icy-pub": str(int(public)),
    }


def install(
    routes: APIRouter,
    desk: OutputDesk,
    audiences: Audiences,
    core: RelayCore,
    config: Config,
    authority: Authority,
) -> None:
    """Add `/{channel}.opus` and `/{channel}.sdp`; before the pages, whose paths are wider."""

    def admit(channel: str, request: Request) -> Grant:
        """What lets the client listen; raises Problem for who may not."""
        if config.channels.is_public(channel):
            return authority.lenient(request, authority.peer(request), in_query=True)
        return authority.require(request, authority.peer(request), "listen", channel, in_query=True)

    async def stream(channel: str, request: Request) -> Response:
        """The channel as Ogg Opus, without end: until the token expires where one is needed, or its bearer is
        revoked."""
        grant, public = admit(channel, request), config.channels.is_public(channel)
        if core.draining:
            raise Unavailable("the relay is shutting down; try again in a moment", _DRAIN_RETRY_AFTER_S)
        may_listen = partial(authority.holds, grant, whenever=public)
        return _Endless(await audiences.audience(channel), public, may_listen)

    async def describe(channel: str, request: Request) -> Response:
        """Where the channel's RTP goes, for players of SDP files."""
        admit(channel, request)
        number = request.query_params.get("output", "0")
        origin = authority.peer(request).local_address or "127.0.0.1"
        described = desk.sdp(channel, int(number) if number.isdecimal() and len(number) < 4 else -1, origin)
        if described is None:
            raise Problem(
                404, f"channel {channel} has no RTP output of that number; see channels.{channel}.rtp"
            )
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'inline; filename="{channel}.sdp"',
            "X-Content-Type-Options": "nosniff",
        }
        return Response(described, headers=headers, media_type="application/sdp")

    for path, answer in (("/{channel}.opus", stream), ("/{channel}.sdp", describe)):
        for method in (
            "GET",
            "HEAD",
        ):  # apart, since a description of both would name two operations the same
            routes.add_api_route(
                path, answer, methods=[method], response_class=Response, response_model=None,
                include_in_schema=method == "GET",
            )  # fmt: skip
