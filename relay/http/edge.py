"""What edge receivers call: enrolment, and the WebSocket of the control link (docs/protocol.md)."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, WebSocket
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from loacodecs.control import ENROL_PATH, PATH
from loacodecs.errors import MalformedError
from loacodecs.strict_json import from_base64url
from relay.device_ports import DeviceDesk, LinkClosed
from relay.errors import CodeRefused
from relay.http.auth import Authority, BadTokens
from relay.http.devices import Name
from relay.http.errors import Problem, problem_response
from relay.http.json_body import documented, json_response, read_model, refusals
from relay.http.websocket import ABORT, RECEIVED
from relay.ports import RelayCore

_CLOSE_SECONDS: Final = 5.0
_RETRY_AFTER: Final = (10, 30)
"""Seconds, spread: those who were turned away together do not return together."""
_log = logging.getLogger(__name__)


class Enrolment(BaseModel):
    """A receiver's request; `public_key` is its Ed25519 key, 32 octets as base64url without padding."""

    model_config = ConfigDict(extra="ignore")

    code: Annotated[str, Field(min_length=1, max_length=64)]
    public_key: Annotated[str, Field(min_length=43, max_length=43)]
    name: Name = ""


class EnrolmentDone(BaseModel):
    """What the receiver keeps: who it is, and whose commands it obeys."""

    device: str
    relay: str
    command_key: str
    channel: str


class Socket:
    """A Starlette WebSocket as `relay.device_ports.LinkSocket`."""

    def __init__(self, websocket: WebSocket, address: str, wall: Callable[[], float]) -> None:
        self.address = address
        self._websocket = websocket
        self._wall = wall

    async def accept(self) -> None:
        """Complete the handshake; raises LinkClosed."""
        try:
            await self._websocket.accept()
        except (WebSocketDisconnect, RuntimeError):
            raise LinkClosed("the receiver hung up") from None

    async def receive(self) -> tuple[str, float]:
        """The next text and when it arrived; raises LinkClosed, MalformedError."""
        try:
            message = await self._websocket.receive()
        except RuntimeError:  # Starlette's word for a socket that is closed
            raise LinkClosed("the link is closed") from None
        if message["type"] != "websocket.receive":
            raise LinkClosed("the receiver hung up")
        text = message.get("text")
        if not isinstance(text, str):
            raise MalformedError("binary messages are not used here")
        return text, float(message.get(RECEIVED) or self._wall())

    async def send(self, text: str) -> None:
        """Send a text; raises LinkClosed."""
        try:
            await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            raise LinkClosed("the link is closed") from None

    async def close(self, code: int, reason: str) -> None:
        """Close it, by force when the receiver does not read."""
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            pass
        except TimeoutError:
            self._websocket.scope.get("state", {}).get(ABORT, lambda: None)()


def install(
    routes: APIRouter,
    desk: DeviceDesk,
    core: RelayCore,
    authority: Authority,
    bad_codes: BadTokens,
    wall: Callable[[], float] = time.time,
) -> None:
    """Add the enrolment and the link. `bad_codes` counts wrong enrolment codes by address."""

    async def enrol(request: Request) -> Response:
        """Turn a one-time code into a receiver's identity; the answer may be asked for again with the same key."""
        peer = authority.peer(request)
        wanted = await read_model(request, Enrolment)
        try:
            key = from_base64url(wanted.public_key)
        except ValueError:
            raise Problem(422, "public_key must be 32 octets as base64url without padding") from None
        try:
            done = await desk.enrol(wanted.code, public_key=key, name=wanted.name)
        except CodeRefused:
            wait = math.ceil(bad_codes.record(peer.address))
            if wait > 0:
                detail = f"too many wrong codes from this address; wait {wait} s and give the right one"
                raise Problem(429, detail, {"Retry-After": str(wait)}) from None
            raise
        _log.info("receiver enrolled", extra={"device": done.device, "address": peer.address})
        return json_response(
            EnrolmentDone(
                device=done.device, relay=done.relay, command_key=done.command_key, channel=done.channel
            ),
            201,
        )

    async def link(websocket: WebSocket) -> None:
        peer = authority.peer(websocket)
        if core.draining:
            refusal = "the relay is shutting down; try again in a moment"
        elif not desk.reserve_link(peer.address):
            refusal = "too many links wait to say who they are; try again in a moment"
        else:
            await desk.serve_link(Socket(websocket, peer.address, wall))
            return
        first, last = _RETRY_AFTER
        pause = str(first + secrets.randbelow(last - first + 1))
        await websocket.send_denial_response(problem_response(503, refusal, {"Retry-After": pause}))

    success: dict[int | str, dict[str, Any]] = {201: {"model": EnrolmentDone}}
    routes.add_api_route(
        ENROL_PATH,
        enrol,
        methods=["POST"],
        summary="Enrol a receiver with a one-time code",
        status_code=201,
        response_class=Response,
        response_model=None,
        responses=success | refusals(403, 409, 422, 429, 503),
        openapi_extra=documented(Enrolment),
    )
    routes.add_api_websocket_route(PATH, link)
