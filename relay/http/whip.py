"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): sessions over HTTP.

    POST   /{channel}/whip             offer in, 201 with answer, Location and ETag out; likewise /whep
    PATCH  /{channel}/whip/{session}   trickle ICE 204, ICE restart 200; If-Match required
    DELETE /{channel}/whip/{session}   200

One who publishes to a mixed channel is told by a Link of relation `urn:x-loa:mix-minus` where he hears the others: a
WHEP endpoint that his session's secret opens, so that no token to listen is needed. `relay.http.hearing` tells him
whether he is heard.

Both specifications ask for a 2xx without content to a GET (RFC 9725 §4.1, WHEP §4.1); other methods get 405.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from relay.config import Config, IceServer
from relay.errors import (
    ChannelNotFound,
    MeetingRefused,
    PreconditionFailed,
    PreconditionRequired,
    SessionNotFound,
    Unavailable,
)
from relay.http.auth import Authority
from relay.http.body import read_text, require_media_type
from relay.http.errors import PROBLEM_TYPE, Problem
from relay.http.hearing import HEARING
from relay.http.peer import Peer
from relay.meeting_ports import Entry, MeetingDesk
from relay.names import is_channel_name
from relay.ports import RelayCore, SessionCreated, SessionKind
from relay.tokens import Grant

SDP: Final = "application/sdp"
FRAGMENT: Final = "application/trickle-ice-sdpfrag"
#: Relation of the endpoint where a publisher hears all but himself.
MIX_MINUS: Final = "urn:x-loa:mix-minus"
#: Names the participant of a meeting whose microphone is connected: the secret he was welcomed with.
PARTICIPANT: Final = "x-loa-participant"
#: Seconds a client should wait before it tries a relay that is going down.
DRAIN_RETRY_AFTER: Final = 5

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{8,128}")
_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_log = logging.getLogger(__name__)
_Handler = Callable[..., Awaitable[Response]]


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110 §5.6.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def ice_server_links(servers: tuple[IceServer, ...]) -> list[str]:
    """One Link field value for each address of each server (RFC 9725 §4.6)."""
    links = []
    for server in servers:
        attributes = ""
        if server.username:
            secret = server.credential.get_secret_value()
            attributes = (
                f"; username={_quoted(server.username)}; credential={_quoted(secret)}"
                f'; credential-type="password"'
            )
        for url in server.urls:
            is_turn = url.startswith("turn")
            links.append(f'<{url}>; rel="ice-server"{attributes if is_turn else ""}')
    return links


def entity_tags(field: str | None) -> list[str]:
    """The opaque tags of If-Match, or `["*"]`; also for `"*"`, as the examples of RFC 9725 write it.

    Weak tags never match (RFC 9110 §13.1.1) and are left out. Raises PreconditionRequired without the field.
    """
    if field is None or not field.strip():
        raise PreconditionRequired(
            "If-Match is needed: the ETag of the session for candidates, * for an ICE restart"
        )
    if field.strip() == "*":
        return ["*"]
    return [tag for weak, tag in _ETAG.findall(field) if not weak][:8]


@dataclass(frozen=True, slots=True)
class Sessions:
    """The handlers of one kind of session; `segment` is its path segment, `whip` or `whep`."""

    core: RelayCore
    config: Config
    authority: Authority
    kind: SessionKind
    segment: str
    links: tuple[str, ...]
    meetings: MeetingDesk | None = None

    async def offer(self, channel: str, request: Request) -> Response:
        """POST: a new session."""
        peer = self.authority.peer(request)
        grant = self._authorize(request, peer, channel)
        if self.core.draining:
            raise Unavailable("the relay is shutting down; try again in a moment", DRAIN_RETRY_AFTER)
        require_media_type(request, SDP)
        offer = await read_text(request, self.config.http.body_limit)
        if self.kind == "publish":
            created = await self._publish(channel, offer, grant, peer, request)
        else:
            created = await self.core.listen(
                channel,
                offer,
                subject=grant.subject,
                local_address=peer.local_address,
                without=_without(request),
                grant=grant,
            )
        _log.info(
            "%s session created",
            self.kind,
            extra={
                "session": created.id,
                "channel": channel,
                "subject": grant.subject,
                "address": peer.address,
            },
        )
        root = request.scope.get("root_path", "")
        secret = f"?without={_without(request)}" if self.kind == "listen" and _without(request) else ""
        headers = {
            "Location": f"{root}/{channel}/{self.segment}/{created.id}{secret}",
            "ETag": f'"{created.etag}"',
            "Cache-Control": "no-store",
        }
        response = self._with_links(Response(created.answer, 201, headers, SDP))
        if self.core.talks(channel, created.id):
            response.headers.append(
                "Link", f'<{root}/{channel}/whep?without={created.id}>; rel="{MIX_MINUS}"'
            )
        if self.core.hearing(channel, created.id) is not None:
            address = f"{root}/{channel}/whip/{created.id}/hearing"
            response.headers.append("Link", f'<{address}>; rel="{HEARING}"')
        return response

    async def _publish(
        self, channel: str, offer: str, grant: Grant, peer: Peer, request: Request
    ) -> SessionCreated:
        """A publisher's session; on a channel with meetings that of a participant."""
        room = self.meetings.room(channel) if self.meetings is not None else None
        replace, subject, person = _wants_replace(request), grant.subject, ""
        if room is not None:
            secret = request.headers.get(PARTICIPANT, "")
            person = room.seat(Entry(grant.meeting_role, grant.subject, grant.id, secret=secret))
            # Who is invited by one link has one subject with others, and must not take their places.
            replace, subject = replace or bool(secret), f"{grant.subject}/{person}"
        created = await self.core.publish(
            channel, offer, replace=replace, subject=subject, local_address=peer.local_address, grant=grant
        )
        if room is not None:
            room.connect(person, created.id)
        return created

    async def options(self, channel: str, request: Request) -> Response:
        """OPTIONS that is no preflight: what may be posted; ICE servers for whoever may have a session."""
        _known_name(channel)
        response = Response(
            status_code=200, headers={"Accept-Post": SDP, "Allow": "GET, HEAD, OPTIONS, POST"}
        )
        try:
            self._authorize(request, self.authority.peer(request), channel)
        except Problem:
            return (
                response  # RFC 9725 §4.2 asks for 200 to any OPTIONS; the credentials are not for everybody
            )
        return self._with_links(response)

    async def session_options(self, channel: str, session: str) -> Response:
        """OPTIONS on a session."""
        _known_name(channel)
        return Response(
            status_code=200, headers={"Accept-Patch": FRAGMENT, "Allow": "DELETE, GET, HEAD, OPTIONS, PATCH"}
        )

    async def trickle(self, channel: str, session: str, request: Request) -> Response:
        """PATCH: candidates, or an ICE restart."""
        self._authorize(request, self.authority.peer(request), channel)
        _known_session(session)
        require_media_type(request, FRAGMENT)
        tags = entity_tags(request.headers.get("if-match"))
        fragment = await read_text(request, self.config.http.body_limit)
        for tag in tags:
            try:
                result = await self.core.trickle(channel, self.kind, session, fragment, tag)
            except PreconditionFailed:
                continue
            if result.fragment is None:
                return Response(status_code=204)
            return Response(result.fragment, 200, {"ETag": f'"{result.etag}"'}, FRAGMENT)
        raise PreconditionFailed(
            "If-Match names an ICE session that is over; use the ETag of the latest answer, or * to restart"
        )

    async def end(self, channel: str, session: str, request: Request) -> Response:
        """DELETE: the session's end."""
        peer = self.authority.peer(request)
        grant = self._authorize(request, peer, channel)
        _known_session(session)
        await self.core.close(channel, self.kind, session)
        _log.info(
            "%s session ended by its client",
            self.kind,
            extra={"session": session, "channel": channel, "subject": grant.subject},
        )
        return Response(status_code=200)

    def _authorize(self, request: Request, peer: Peer, channel: str) -> Grant:
        """The grant for an action on `channel`; listening to a public channel needs none."""
        _known_name(channel)
        if self.kind == "listen" and _without(request):
            self._check_talker(channel, _without(request), request.method)
            return self.authority.lenient(request, peer)
        if self.kind == "listen" and self.config.channels.is_public(channel):
            return self.authority.lenient(request, peer)
        return self.authority.require(request, peer, self.kind, channel)

    def _check_talker(self, channel: str, session: str, method: str) -> None:
        """Who has the secret of a publisher's session hears the others: once he has been let in, in a meeting."""
        if not self.core.talks(channel, session):
            raise SessionNotFound("no such session publishes to this channel; it may have ended")
        room = self.meetings.room(channel) if self.meetings is not None else None
        if method == "POST" and room is not None and not room.may_hear(session):
            raise MeetingRefused("the others are heard once a chair has let this participant in")

    def _with_links(self, response: Response) -> Response:
        for link in self.links:
            response.headers.append("Link", link)
        return response


async def _no_content(channel: str) -> Response:
    """GET: the resource has no representation, which is a success (RFC 9725 §4.1)."""
    _known_name(channel)
    return Response(status_code=204)


def _known_name(channel: str) -> None:
    if not is_channel_name(channel):
        raise ChannelNotFound(f"{channel[:80]!r} cannot be a channel; names have only a-z 0-9 . _ -")


def _known_session(session: str) -> None:
    if not _SESSION_ID.fullmatch(session):
        raise SessionNotFound("there is no such session; it may have ended")


def _without(request: Request) -> str:
    return request.query_params.get("without", "")


def _wants_replace(request: Request) -> bool:
    return "1" in (request.query_params.get("replace"), request.headers.get("x-loa-replace"))


def install(
    routes: APIRouter,
    core: RelayCore,
    config: Config,
    authority: Authority,
    meetings: MeetingDesk | None = None,
) -> None:
    """Add the routes of both protocols; `meetings` where there are any."""
    links = tuple(ice_server_links(config.http.ice_servers))
    kinds: tuple[tuple[str, SessionKind], ...] = (("whip", "publish"), ("whep", "listen"))
    for segment, kind in kinds:
        sessions = Sessions(core, config, authority, kind, segment, links, meetings)
        endpoint, session = f"/{{channel}}/{segment}", f"/{{channel}}/{segment}/{{session}}"
        _add(
            routes, endpoint, "POST", sessions.offer, f"{segment.upper()}: {kind} with an SDP offer", 201, SDP
        )
        _add(routes, session, "PATCH", sessions.trickle, "Trickle ICE or ICE restart", 204, FRAGMENT)
        _add(routes, session, "DELETE", sessions.end, "End the session", 200, None)
        hidden: list[tuple[str, list[str], _Handler]] = [
            (endpoint, ["OPTIONS"], sessions.options),
            (session, ["OPTIONS"], sessions.session_options),
            (endpoint, ["GET", "HEAD"], _no_content),
            (session, ["GET", "HEAD"], _no_content),
        ]
        for path, methods, handler in hidden:
            routes.add_api_route(path, handler, methods=methods, include_in_schema=False, response_model=None)


def _add(
    routes: APIRouter, path: str, method: str, handler: _Handler, summary: str, status: int, body: str | None
) -> None:
    refusal = {"description": "Refused; `detail` says why", "content": {PROBLEM_TYPE: {}}}
    extra: dict[str, Any] = {}
    if body is not None:
        extra["requestBody"] = {"required": True, "content": {body: {"schema": {"type": "string"}}}}
    routes.add_api_route(
        path,
        handler,
        methods=[method],
        summary=summary,
        status_code=status,
        response_class=Response,
        response_model=None,
        responses={"4XX": refusal, "503": refusal},
        openapi_extra=extra,
    )
