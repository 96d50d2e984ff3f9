"""The WebSocket of a meeting's participants: `GET /api/v1/channels/{channel}/meeting`.

    → {"type": "join", "token": "…", "name": "…", "secret": "…"}    first of all
    ← {"type": "welcome", …}   who he is
    ← {"type": "state", …}     then, and on every change: as much as he may see
    ← {"type": "levels", …}    five times a second
    → {"type": "admit" | "mute" | …}   what he wants; {"type": "refused", …} where it is not his to want

The token opens the socket. That it expires ends nothing: nobody is cut off in the middle of a sentence. When it is
revoked, or that by which its bearer was invited, the page is told so and let go.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from loacodecs.errors import LoaError, MalformedError
from relay.http import meeting_messages as messages
from relay.http.auth import Authority
from relay.http.errors import Problem, problem_response, status_of
from relay.http.meeting_messages import Invite
from relay.http.peer import Peer
from relay.http.websocket import ABORT
from relay.meeting_ports import Entry, MeetingDesk, MeetingRoom
from relay.ports import RelayCore
from relay.ratelimit import Bucket, Strangers
from relay.tokens import INVITED_BY, Grant, Tokens

PATH: Final = "/api/v1/channels/{channel}/meeting"
LEVELS_S: Final = 0.2
FIRST_MESSAGE_S: Final = 10.0
SLOW_S: Final = 10.0
"""Who does not read what he is sent for so long is let go."""
INVITATION_S: Final = 4 * 3600.0
ORDERS_A_SECOND: Final = 5.0
ORDERS_AT_ONCE: Final = 50.0
PAGES_MAX: Final = 1_000
PAGES_OF_ONE: Final = 200
"""A whole commune may stand behind one address of its mobile operator."""
CLOSE_GOING: Final = 1001
CLOSE_FLOOD: Final = 1008
CLOSE_LATER: Final = 1013
CLOSE_MALFORMED: Final = 4400
CLOSE_REFUSED: Final = 4403
CLOSE_SLOW: Final = 4408
_log = logging.getLogger(__name__)


class _Closing(Exception):  # noqa: N818 - what happens, not what went wrong
    """Ends a socket from within."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class MeetingSockets:
    """The handler of the WebSocket. `clock` is monotonic, `wall` unix seconds."""

    def __init__(
        self,
        core: RelayCore,
        meetings: MeetingDesk,
        authority: Authority,
        tokens: Tokens,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._core = core
        self._meetings = meetings
        self._authority = authority
        self._tokens = tokens
        self._clock = clock
        self._wall = wall
        self._pages = Strangers(maximum=PAGES_MAX, of_one_address=PAGES_OF_ONE)

    async def serve(self, channel: str, websocket: WebSocket) -> None:
        """The whole life of one page."""
        peer = self._authority.peer(websocket)
        room = self._meetings.room(channel)
        if room is None:
            await websocket.send_denial_response(
                problem_response(404, f"there are no meetings on channel {channel[:80]}")
            )
            return
        if self._core.draining or not self._pages.enter(peer.address):
            await websocket.send_denial_response(
                problem_response(503, "the relay takes no more pages now; try again", {"Retry-After": "5"})
            )
            return
        try:
            await websocket.accept()
            await self._attend(channel, room, websocket, peer)
        except _Closing as closing:
            await _close(websocket, closing.code, str(closing))
        except (
            WebSocketDisconnect,
            RuntimeError,
        ):  # the latter is Starlette's word for a socket that is closed
            pass
        finally:
            self._pages.leave(peer.address)

    async def _attend(self, channel: str, room: MeetingRoom, websocket: WebSocket, peer: Peer) -> None:
        grant, entry = await self._introduced(channel, websocket, peer)
        try:
            entered = room.enter(entry)
        except LoaError as error:
            await _send(websocket, messages.refused("join", status_of(error), str(error)))
            raise _Closing(CLOSE_LATER, "no room") from None
        extra = {"channel": channel, "subject": grant.subject, "person": entered.person}
        _log.info("a participant has come to a meeting", extra=extra)
        try:
            await _send(websocket, messages.welcome(entered))
            await self._both(
                self._tell(room, entered.person, grant, websocket),
                self._listen(channel, room, entered.person, grant, websocket),
            )
        finally:
            room.leave(entered.person)

    async def _introduced(self, channel: str, websocket: WebSocket, peer: Peer) -> tuple[Grant, Entry]:
        try:
            async with asyncio.timeout(FIRST_MESSAGE_S):
                join = messages.read_join(await websocket.receive_text())
        except TimeoutError:
            raise _Closing(CLOSE_SLOW, "no word came") from None
        except (MalformedError, KeyError) as error:
            raise _Closing(CLOSE_MALFORMED, str(error)) from None
        try:
            grant = self._authority.permit(self._authority.grant_of(join.token, peer), "publish", channel)
        except Problem as problem:
            await _send(websocket, messages.refused("join", problem.status, str(problem)))
            raise _Closing(CLOSE_REFUSED, "refused") from None
        return grant, Entry(grant.meeting_role, grant.subject, grant.id, join.name, join.secret)

    async def _both(self, *halves: object) -> None:
        """Run both until one of them ends, and end the other."""
        tasks = [asyncio.ensure_future(half) for half in halves]  # type: ignore[call-overload]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _tell(self, room: MeetingRoom, person: str, grant: Grant, websocket: WebSocket) -> None:
        seen, told, before = -1, "", ""
        while not self._core.draining:
            if reason := self._authority.revoked(grant):
                await _send(websocket, messages.refused("join", 401, reason))
                raise _Closing(CLOSE_REFUSED, "revoked")
            view = room.view(person)
            state, levels = messages.state(view), messages.levels(view)
            if state != told:
                await _send(websocket, state)
            if levels != before:
                await _send(websocket, levels)
            told, before = state, levels
            try:
                async with asyncio.timeout(LEVELS_S):
                    seen = await room.changed(seen)
            except TimeoutError:
                continue
        raise _Closing(CLOSE_GOING, "the relay is shutting down")

    async def _listen(
        self, channel: str, room: MeetingRoom, person: str, grant: Grant, websocket: WebSocket
    ) -> None:
        patience = Bucket(rate=ORDERS_A_SECOND, burst=ORDERS_AT_ONCE, now=self._clock())
        while True:
            try:
                text = await websocket.receive_text()
                order = messages.read_order(text)
            except (MalformedError, KeyError) as error:
                raise _Closing(CLOSE_MALFORMED, str(error)) from None
            if patience.take(self._clock()) > 0:
                raise _Closing(CLOSE_FLOOD, "too many orders")
            try:
                if isinstance(order, Invite):
                    await _send(websocket, self._invitation(channel, room, person, grant, order))
                    continue
                room.obey(person, order)
            except LoaError as error:
                kind = str(json.loads(text)["type"])
                await _send(websocket, messages.refused(kind, status_of(error), str(error)))
            else:
                _log.info("%s", order, extra={"channel": channel, "subject": grant.subject, "person": person})

    def _invitation(self, channel: str, room: MeetingRoom, person: str, grant: Grant, wish: Invite) -> str:
        """A token for a speaker of this channel, no longer than the chair's own."""
        if room.role(person) != "chair":
            raise Problem(403, "only a chair of the meeting may invite others")
        now = self._wall()
        lasts = min(INVITATION_S, grant.expires - now)
        token = self._tokens.mint(
            subject=f"{INVITED_BY}{grant.subject}", scopes=["publish"], channels=[channel], ttl=max(1.0, lasts),
            role="speaker", parent=grant.id,
        )  # fmt: skip
        return messages.invitation(f"{wish.page}#token={token}", now + lasts)


async def _send(websocket: WebSocket, text: str) -> None:
    try:
        async with asyncio.timeout(SLOW_S):
            await websocket.send_text(text)
    except TimeoutError:
        websocket.scope["state"][ABORT]()
        raise WebSocketDisconnect(1006) from None


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(SLOW_S):
            await websocket.close(code, reason)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        abort = websocket.scope["state"].get(ABORT)
        if abort is not None:
            abort()


def install(routes: APIRouter, sockets: MeetingSockets) -> None:
    """Add the WebSocket."""

    async def meeting(channel: str, websocket: WebSocket) -> None:
        await sockets.serve(channel, websocket)

    routes.add_api_websocket_route(PATH, meeting)
