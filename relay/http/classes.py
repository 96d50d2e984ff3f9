"""What the live programme of a channel is: normal, or an emergency that receivers play in quiet hours too.

    GET    /api/v1/channels/{channel}/class   scope publish, listen or emergency
    PUT    /api/v1/channels/{channel}/class   scope emergency
    DELETE /api/v1/channels/{channel}/class   scope emergency; the same as PUT of "normal"
    GET    /api/v1/channels/{channel}/class/events   as GET: signed statements for relays that pull the channel

A token to publish is none to declare: whoever may speak on a channel cannot by that wake a commune at night.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from loacodecs.control import CLASS_SECONDS_MAX, BulletinClass
from relay.device_ports import DeviceDesk, Told
from relay.errors import ChannelNotFound, Unavailable
from relay.http.auth import Authority
from relay.http.events import event_stream, events
from relay.http.json_body import documented, json_response, read_model, refusals
from relay.mistakes import suggestion
from relay.ports import RelayCore
from relay.tokens import Grant, Scope

PATH: Final = "/api/v1/channels/{channel}/class"
TTL_S: Final = 900
LOOK_S: Final = 0.25
QUIET_LOOKS: Final = 80
"""Every 20 s all is stated anew."""
FOLLOWERS_MAX: Final = 1_000
FOLLOWERS_RETRY_S: Final = 30
_MAY_LOOK: Final[tuple[Scope, ...]] = ("emergency", "publish", "listen")
_log = logging.getLogger(__name__)


class ClassWanted(BaseModel):
    """What the live programme is from now on; an emergency is one for `ttl_s` seconds unless declared again."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[Literal["normal", "emergency"], Field(alias="class")]
    ttl_s: Annotated[int, Field(ge=10, le=int(CLASS_SECONDS_MAX))] = TTL_S


class DeclaredClass(BaseModel):
    """What the live programme is, until when (unix seconds) and by whose word.

    After a change: how many receivers on a link were told, and how many of these are too old to understand.
    """

    model_config = ConfigDict(populate_by_name=True)

    channel: str
    kind: Annotated[BulletinClass, Field(alias="class")]
    until: float | None = None
    declared_by: str | None = None
    receivers: int | None = None
    receivers_too_old: int | None = None


@dataclass(frozen=True, slots=True)
class Classes:
    """The handlers."""

    desk: DeviceDesk
    core: RelayCore
    authority: Authority
    followers: set[object] = field(default_factory=set)

    async def show(self, channel: str, request: Request) -> Response:
        """GET."""
        self._viewer(channel, request)
        self._check(channel)
        return json_response(self._shown(channel, None))

    async def follow(self, channel: str, request: Request) -> Response:
        """GET of the events."""
        grant = self._viewer(channel, request)
        self._check(channel)
        if len(self.followers) >= FOLLOWERS_MAX:
            raise Unavailable(f"{FOLLOWERS_MAX} relays follow the classes of this one", FOLLOWERS_RETRY_S)
        return event_stream(self._followed(channel, grant))

    async def _followed(self, channel: str, grant: Grant) -> AsyncIterator[str]:
        follower = object()
        self.followers.add(follower)
        public = self._is_public(channel)

        def ask() -> tuple[BulletinClass, float] | None:
            if self.core.draining or not self.authority.holds(grant, whenever=public):
                return None
            declared = self.desk.declared(channel)
            return ("normal", 0.0) if declared is None else (declared.kind, declared.until)

        def tell(_now: object) -> str:
            stated = self.desk.statement(channel)
            body = {"command_key": stated.command_key, **asdict(stated.command)}
            return f"data: {json.dumps(body, separators=(',', ':'))}\n\n"

        try:
            async for event in events(ask, tell, again=tell, look_s=LOOK_S, quiet_looks=QUIET_LOOKS):
                yield event
        finally:
            self.followers.discard(follower)

    async def declare(self, channel: str, request: Request) -> Response:
        """PUT."""
        return await self._change(channel, request, None)

    async def withdraw(self, channel: str, request: Request) -> Response:
        """DELETE."""
        wanted = ClassWanted.model_validate({"class": "normal"})
        return await self._change(channel, request, wanted)

    async def _change(self, channel: str, request: Request, wanted: ClassWanted | None) -> Response:
        peer = self.authority.peer(request)
        grant = self.authority.require(request, peer, "emergency", channel)
        wanted = wanted or await read_model(request, ClassWanted)
        self._check(channel)
        told = await self.desk.declare(channel, wanted.kind, ttl=wanted.ttl_s, subject=grant.subject)
        _log.warning(
            "the live programme of channel %s is declared %s",
            channel,
            wanted.kind,
            extra={"subject": grant.subject, "address": peer.address, "ttl_s": wanted.ttl_s},
        )
        return json_response(self._shown(channel, told))

    def _shown(self, channel: str, told: Told | None) -> DeclaredClass:
        declared = self.desk.declared(channel)
        return DeclaredClass(
            channel=channel,
            kind="normal" if declared is None else declared.kind,
            until=None if declared is None else declared.until,
            declared_by=None if declared is None else declared.declared_by,
            receivers=None if told is None else told.receivers,
            receivers_too_old=None if told is None else told.deaf,
        )

    def _viewer(self, channel: str, request: Request) -> Grant:
        """What lets somebody see the class: as much as lets him hear the channel. Raises Problem."""
        peer = self.authority.peer(request)
        if self._is_public(channel):
            return self.authority.lenient(request, peer)
        grant = self.authority.grant(request, peer)
        if not any(grant.allows(scope, channel) for scope in _MAY_LOOK):
            self.authority.require(request, peer, "emergency", channel)  # says what is needed
        return grant

    def _is_public(self, channel: str) -> bool:
        return any(state.public for state in self.core.channels() if state.name == channel)

    def _check(self, channel: str) -> None:
        known = [state.name for state in self.core.channels()]
        if channel not in known:
            raise ChannelNotFound(f"there is no channel {channel[:80]!r}{suggestion(channel, known)}")


def install(routes: APIRouter, desk: DeviceDesk, core: RelayCore, authority: Authority) -> None:
    """Add the routes."""
    handlers = Classes(desk, core, authority)
    table: tuple[tuple[str, Any, str, bool], ...] = (
        ("GET", handlers.show, "What the live programme of a channel is", False),
        ("PUT", handlers.declare, "Declare what the live programme of a channel is", True),
        ("DELETE", handlers.withdraw, "Let the live programme of a channel be normal again", False),
    )
    routes.add_api_route(
        f"{PATH}/events",
        handlers.follow,
        methods=["GET"],
        summary="The class of a channel's live programme as it changes, signed for relays that pull it",
        response_class=Response,
        response_model=None,
        responses=refusals(401, 403, 404, 503),
    )
    success: dict[int | str, dict[str, Any]] = {200: {"model": DeclaredClass}}
    for method, handler, summary, has_body in table:
        routes.add_api_route(
            PATH,
            handler,
            methods=[method],
            summary=summary,
            response_class=Response,
            response_model=None,
            responses=success | refusals(401, 403, 404, 422),
            openapi_extra=documented(ClassWanted) if has_body else None,
        )
