"""As-aired recordings over HTTP.

GET       /api/v1/channels/{channel}/recordings          scope recordings; the newest first
GET, HEAD /api/v1/channels/{channel}/recordings/{name}   the file, ranges too; also with `?token=`
GET       /api/v1/channels/{channel}/outputs             scope recordings; what is recorded and sent now

A download breaks off, incomplete, when its token is revoked; it goes on when that expires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from relay.errors import ChannelNotFound
from relay.http.audience import Audiences
from relay.http.auth import Authority
from relay.http.errors import Problem
from relay.http.json_body import json_response, refusals
from relay.http.stream import TAKE_OVER
from relay.output_ports import OutputDesk, Recording, RecordingActivity, RecordingStats
from relay.ports import RelayCore

PATH: Final = "/api/v1/channels/{channel}/recordings"
_LIMIT_MAX: Final = 1_000
_EVER: Final = 1e15


class _BrokenOff(Exception):  # noqa: N818 - what happens, not what went wrong
    """Ends a download from within."""


class _Download(FileResponse):
    """A file, piece by piece as long as its token is not `revoked`."""

    revoked: Callable[[], object]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""

        async def send_unless_revoked(message: Message) -> None:
            if message["type"] == "http.response.body" and self.revoked():
                scope["extensions"][TAKE_OVER]().abort()  # the only way to say that a body is not complete
                raise _BrokenOff
            await send(message)

        try:
            await super().__call__(scope, receive, send_unless_revoked)
        except _BrokenOff:
            while (await receive())["type"] != "http.disconnect":
                pass


class RecordingItem(BaseModel):
    """A recording: `started` in local time with its offset, `seconds` of sound so far, `url` to fetch it."""

    name: str
    started: str
    seconds: float
    bytes: int
    finished: bool
    url: str


class RecordingList(BaseModel):
    """Recordings, the newest first."""

    recordings: list[RecordingItem]


class RecordingNow(BaseModel):
    """What the recording does: off (not configured), idle (nothing on air), recording, full, failed; `fault` says
    why."""

    activity: RecordingActivity
    fault: str
    seconds: float
    bytes: int
    missing_seconds: float
    dropped: int


class RtpTarget(BaseModel):
    """An RTP output and what it sent; `sdp` describes it."""

    target: str
    packets: int
    errors: int
    sdp: str


class OutputState(BaseModel):
    """A channel's outputs besides WebRTC, counted since the relay started."""

    recording: RecordingNow
    stream_clients: int
    rtp: list[RtpTarget]


def install(
    routes: APIRouter, desk: OutputDesk, audiences: Audiences, core: RelayCore, authority: Authority
) -> None:
    """Add the three."""

    async def listed(
        channel: str,
        request: Request,
        since: Annotated[datetime | None, Query(description="began then or later; ISO 8601")] = None,
        until: Annotated[datetime | None, Query(description="began before; ISO 8601")] = None,
        limit: Annotated[int, Query(ge=1, le=_LIMIT_MAX)] = 200,
    ) -> Response:
        """The recordings of a channel, the newest first."""
        authority.require(request, authority.peer(request), "recordings", channel)
        # A time without offset is the relay's own, as the names of the files are.
        after = -_EVER if since is None else _unix(since)
        before = _EVER if until is None else _unix(until)
        found = await asyncio.to_thread(desk.recordings, channel, after, before, limit)
        return json_response(RecordingList(recordings=[_item(channel, each) for each in found]))

    async def fetched(channel: str, name: str, request: Request) -> Response:
        """One recording, whole or in ranges; while it is written, what there is of it."""
        grant = authority.require(request, authority.peer(request), "recordings", channel, in_query=True)
        found = await asyncio.to_thread(desk.recording, channel, name)
        if found is None:
            raise Problem(404, f"channel {channel} has no recording of that name; it may have been deleted")
        headers = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
        download = _Download(found.path, headers=headers, media_type="audio/ogg", filename=name)
        download.revoked = partial(authority.revoked, grant)
        return download

    async def outputs(channel: str, request: Request) -> Response:
        """What the outputs of a channel do now."""
        authority.require(request, authority.peer(request), "recordings", channel)
        if all(state.name != channel for state in core.channels()):
            raise ChannelNotFound(f"channel {channel} is not configured on this relay")
        stats = desk.stats()
        state = OutputState(
            recording=_now(stats.recordings.get(channel, RecordingStats())),
            stream_clients=audiences.counts().clients.get(channel, 0),
            rtp=[
                RtpTarget(
                    target=each.target,
                    packets=each.packets,
                    errors=each.errors,
                    sdp=f"/{channel}.sdp?output={number}",
                )
                for number, each in enumerate(stats.rtp.get(channel, ()))
            ],
        )
        return json_response(state)

    routes.add_api_route(
        PATH, listed, methods=["GET"], response_model=RecordingList, responses=refusals(401, 403, 404, 503)
    )
    for method in ("GET", "HEAD"):  # apart, since a description of both would name two operations the same
        routes.add_api_route(
            PATH + "/{name}",
            fetched,
            methods=[method],
            response_class=Response,
            response_model=None,
            responses=refusals(401, 403, 404, 503),
            include_in_schema=method == "GET",
        )
    routes.add_api_route(
        "/api/v1/channels/{channel}/outputs",
        outputs,
        methods=["GET"],
        response_model=OutputState,
        responses=refusals(401, 403, 404),
    )


def _unix(moment: datetime) -> float:
    """Unix seconds; the first day there is, which some programs say for "ever", has none in local time."""
    try:
        return moment.timestamp()
    except (ValueError, OverflowError):
        return -_EVER if moment.year == 1 else _EVER


def _item(channel: str, each: Recording) -> RecordingItem:
    return RecordingItem(
        name=each.name,
        started=each.local,
        seconds=round(each.seconds, 3),
        bytes=each.size,
        finished=each.finished,
        url=f"{PATH.format(channel=channel)}/{each.name}",
    )


def _now(stats: RecordingStats) -> RecordingNow:
    return RecordingNow(
        activity=stats.activity,
        fault=stats.fault,
        seconds=round(stats.seconds, 3),
        bytes=stats.octets,
        missing_seconds=round(stats.missing_seconds, 3),
        dropped=sum(stats.dropped.values()),
    )
