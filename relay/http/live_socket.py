"""Live state of mixed channels over WebSocket: `GET /api/v1/channels/{channel}/live`.

    ← {"type": "state", …}    on connecting and on every change: State of relay/http/live_state.py
    ← {"type": "levels", …}   ten times a second: Levels
    → {"token": "…"}          first of all, by browsers, which cannot send header fields; others send Authorization

What is sent is made once for all who look at a channel, and only while somebody does. Who reads slowly misses levels,
and of states all but the latest: two texts may wait for each viewer, no more.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from loacodecs.errors import LoaError
from relay.automation_ports import AutomationDesk
from relay.http.auth import Authority
from relay.http.automation_metrics import ViewerCounts
from relay.http.errors import Problem, problem_response, status_of
from relay.http.live_state import levels_of, state_of
from relay.http.peer import Peer
from relay.http.websocket import ABORT
from relay.ratelimit import Bucket, Strangers
from relay.tokens import Grant

PATH: Final = "/api/v1/channels/{channel}/live"
TICK_S: Final = 0.1
VIEWERS_MAX: Final = 1_000
FIRST_MESSAGE_S: Final = 5.0
MESSAGES_A_SECOND: Final = 1.0
MESSAGES_AT_ONCE: Final = 10.0
_STRANGERS_MAX: Final = 128
_STRANGERS_OF_ONE: Final = 16
CLOSE_GOING: Final = 1001
CLOSE_FLOOD: Final = 1008
CLOSE_REFUSED: Final = 4403
"""The token is bad, not for this, over or revoked; also when the channel is not there or not mixed."""
_CLOSE_SECONDS: Final = 5.0
_LATER: Final = {"Retry-After": "10"}
_log = logging.getLogger(__name__)


class Viewer:
    """Whoever looks at a channel: the latest state and levels that it has not been sent yet."""

    def __init__(self, grant: Grant, revoked: Callable[[], str] = lambda: "") -> None:
        self.grant = grant
        self.revoked = revoked
        """Why it may look no longer, though its time is not over; "" while it may."""
        self.skipped = 0
        """Levels that it was too slow for."""
        self.end: tuple[int, str] | None = None
        """Close code and reason, once it is over."""
        self._state: str | None = None
        self._levels: str | None = None
        self._news = asyncio.Event()

    def offer(self, state: str | None, levels: str) -> None:
        """Have these sent next; None is no change."""
        self._state = state or self._state
        self.skipped += self._levels is not None
        self._levels = levels
        self._news.set()

    def close(self, code: int, reason: str) -> None:
        """It is over."""
        self.end = self.end or (code, reason)
        self._news.set()

    async def next(self) -> list[str]:
        """What is to be sent now; nothing when it is over."""
        await self._news.wait()
        self._news.clear()
        texts = [] if self.end else [text for text in (self._state, self._levels) if text is not None]
        self._state = self._levels = None
        return texts


class Broadcast:
    """All viewers of all channels."""

    def __init__(
        self, desk: AutomationDesk, draining: Callable[[], bool], wall: Callable[[], float] = time.time
    ) -> None:
        self.skipped = 0
        """Levels not sent to viewers who are too slow, of those who have left."""
        self._desk = desk
        self._draining = draining
        self._wall = wall
        self._viewers: dict[str, set[Viewer]] = {}
        self._told: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Viewers."""
        return sum(map(len, self._viewers.values()))

    def counts(self) -> ViewerCounts:
        """For metrics."""
        looking = sum(viewer.skipped for viewers in self._viewers.values() for viewer in viewers)
        return ViewerCounts(len(self), self.skipped + looking)

    def add(self, channel: str, viewer: Viewer) -> None:
        """Show `viewer` the channel. Raises ChannelNotFound, NotMixed."""
        state, levels = self._texts(channel)
        viewer.offer(state, levels)
        self._viewers.setdefault(channel, set()).add(viewer)
        self._told.setdefault(channel, state)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def remove(self, channel: str, viewer: Viewer) -> None:
        """It has left."""
        viewers = self._viewers.get(channel, set())
        viewers.discard(viewer)
        self.skipped += viewer.skipped
        if not viewers:
            self._viewers.pop(channel, None)
            self._told.pop(channel, None)
        if not self._viewers and self._task is not None:
            self._task.cancel()
            self._task = None

    def tick(self) -> None:
        """Tell everybody what is new."""
        now = self._wall()
        for channel, viewers in list(self._viewers.items()):
            try:
                state, levels = self._texts(channel)
            except LoaError as error:
                for viewer in viewers:
                    viewer.close(CLOSE_REFUSED, str(error))
                continue
            changed = None if state == self._told[channel] else state
            self._told[channel] = state
            for viewer in viewers:
                viewer.offer(changed, levels)
                if viewer.grant.expires <= now:
                    viewer.close(CLOSE_REFUSED, "the token has expired")
                elif reason := viewer.revoked():
                    viewer.close(CLOSE_REFUSED, reason)
                elif self._draining():
                    viewer.close(CLOSE_GOING, "the relay is shutting down")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                self.tick()
            except Exception:  # whoever looks must not make the task of all others end
                _log.exception("live state failed")
            due = max(due + TICK_S, loop.time())
            await asyncio.sleep(due - loop.time())

    def _texts(self, channel: str) -> tuple[str, str]:
        view = self._desk.view(channel)
        state = state_of(view).model_dump_json()
        levels = levels_of(view, self._wall()).model_dump_json()
        return f'{{"type":"state",{state[1:]}', f'{{"type":"levels",{levels[1:]}'


class LiveSockets:
    """The WebSocket's handler."""

    def __init__(
        self,
        broadcast: Broadcast,
        authority: Authority,
        origins: Sequence[str],
        draining: Callable[[], bool],
    ) -> None:
        self._broadcast = broadcast
        self._authority = authority
        self._origins = frozenset(origin.rstrip("/") for origin in origins)
        self._draining = draining
        self._strangers = Strangers(maximum=_STRANGERS_MAX, of_one_address=_STRANGERS_OF_ONE)

    async def serve(self, channel: str, websocket: WebSocket) -> None:
        """The whole life of one viewer."""
        peer = self._authority.peer(websocket)
        entered = False
        try:
            self._check_open(websocket)
            entered = self._strangers.enter(peer.address)
            if not entered:
                raise Problem(503, "too many viewers wait to say who they are; try again in a moment", _LATER)
            # whoever sends a header field is told by a status, as of every other address
            if "authorization" in websocket.headers:
                grant = self._authority.require(websocket, peer, "control", channel)
                await websocket.accept()
            else:
                await websocket.accept()
                grant = await self._introduced(channel, websocket, peer)
            viewer = Viewer(grant, partial(self._authority.revoked, grant))
            self._broadcast.add(channel, viewer)
        except (WebSocketDisconnect, RuntimeError):
            return
        except LoaError as error:
            await _refuse(websocket, error)
            return
        finally:
            if entered:
                self._strangers.leave(peer.address)
        try:
            await _show(websocket, viewer)
        finally:
            self._broadcast.remove(channel, viewer)

    def _check_open(self, websocket: WebSocket) -> None:
        """Raises Problem 403 for a page of another site, 503 when no more viewers are served."""
        origin = websocket.headers.get("origin")
        own = urlsplit(origin or "").netloc == websocket.headers.get("host")
        if origin is not None and not own and not self._origins & {"*", origin}:
            raise Problem(
                403, f"pages of {origin[:200]} may not look here; [http] cors_origins does not name it"
            )
        if self._draining():
            raise Problem(503, "the relay is shutting down; try again in a moment", _LATER)
        if len(self._broadcast) >= VIEWERS_MAX:
            raise Problem(503, f"{VIEWERS_MAX} look at this relay already; try again later", _LATER)

    async def _introduced(self, channel: str, websocket: WebSocket, peer: Peer) -> Grant:
        """What the token of the first message grants. Raises Problem, WebSocketDisconnect."""
        try:
            async with asyncio.timeout(FIRST_MESSAGE_S):
                text = await websocket.receive_text()
            said = json.loads(text)
        except (TimeoutError, KeyError, ValueError, RecursionError):
            said = None
        token = said.get("token") if isinstance(said, dict) else None
        if not isinstance(token, str):
            raise Problem(401, 'the first message must be {"token": "…"}, within 5 s')
        return self._authority.permit(self._authority.grant_of(token, peer), "control", channel)


async def _refuse(websocket: WebSocket, error: LoaError) -> None:
    """Say why: by a status before the handshake is complete, else by a close code."""
    if websocket.application_state is WebSocketState.CONNECTING:
        headers = error.headers if isinstance(error, Problem) else {}
        await websocket.send_denial_response(problem_response(status_of(error), str(error), headers))
    else:
        await _close(websocket, CLOSE_REFUSED, str(error))


async def _show(websocket: WebSocket, viewer: Viewer) -> None:
    """Send until it is over, and read what a viewer has no reason to say, to notice that it has gone."""
    reading = asyncio.create_task(_read(websocket, viewer))
    try:
        while texts := await viewer.next():
            for text in texts:
                await websocket.send_text(text)
        await _close(websocket, *(viewer.end or (CLOSE_GOING, "")))
    except (WebSocketDisconnect, RuntimeError):
        pass
    finally:
        reading.cancel()


async def _read(websocket: WebSocket, viewer: Viewer) -> None:
    clock = asyncio.get_running_loop().time
    bucket = Bucket(rate=MESSAGES_A_SECOND, burst=MESSAGES_AT_ONCE, now=clock())
    try:
        while (await websocket.receive())["type"] == "websocket.receive":
            if bucket.take(clock()) > 0:
                viewer.close(CLOSE_FLOOD, "nothing needs to be said here")
    except RuntimeError:
        pass
    viewer.close(CLOSE_GOING, "")


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close it, by force when the viewer does not read. A reason has at most 123 octets (RFC 6455 §5.5.1)."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await websocket.close(code, reason.encode("ascii", "replace").decode()[:120])
    except (WebSocketDisconnect, RuntimeError):
        pass
    except TimeoutError:
        websocket.scope.get("state", {}).get(ABORT, lambda: None)()


def install(
    routes: APIRouter,
    broadcast: Broadcast,
    authority: Authority,
    origins: Sequence[str],
    draining: Callable[[], bool],
) -> None:
    """Add the WebSocket."""
    sockets = LiveSockets(broadcast, authority, origins, draining)

    async def live(channel: str, websocket: WebSocket) -> None:
        await sockets.serve(channel, websocket)

    routes.add_api_websocket_route(PATH, live)
