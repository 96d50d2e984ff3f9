"""The control of mixed channels; every route needs a token with scope control (or admin) on the channel.

    GET    /api/v1/channels/{channel}/state
    POST   /api/v1/channels/{channel}/play, stop, skip, fade, duck
    PATCH  /api/v1/channels/{channel}/inputs/{input}        gain, mute, pan
    GET    /api/v1/channels/{channel}/queue                 all items
    POST   /api/v1/channels/{channel}/queue                 put items in
    DELETE /api/v1/channels/{channel}/queue                 empty it
    PATCH  /api/v1/channels/{channel}/queue/{item}          move it
    DELETE /api/v1/channels/{channel}/queue/{item}
    GET    /api/v1/channels/{channel}/live                  a WebSocket, see relay/http/live_socket.py

Commands answer with the state that they brought about.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response

from relay.automation_ports import AutomationDesk, InputChange, ItemView, WantedItem
from relay.http.auth import Authority
from relay.http.errors import Problem
from relay.http.json_body import documented, json_response, read_model, refusals
from relay.http.live_state import Queue, StateNow, item_of, state_now
from relay.ratelimit import Bucket
from relay.tokens import Grant

BASE: Final = "/api/v1/channels/{channel}"
COMMANDS_A_SECOND: Final = 10.0
COMMANDS_AT_ONCE: Final = 50.0
ITEMS_BYTES_MAX: Final = 262_144
"""As many items as there may be at once, with the longest sources."""
_REMEMBERED: Final = 1_024
_M = TypeVar("_M", bound=BaseModel)
_log = logging.getLogger(__name__)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a text is one line of printable characters")
    return text.strip()


Text = Annotated[str, Field(max_length=200), AfterValidator(_printable)]
Gain = Annotated[float, Field(ge=-120, le=24, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)]


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Play(_Wanted):
    """What to put on air: a source of the list, an item of the queue, or neither to go on by itself."""

    source: Text | None = None
    item: Text | None = None


class Stop(_Wanted):
    """How long the programme fades."""

    fade_s: Seconds = 1.0


class Fade(_Wanted):
    """An input's way to another gain."""

    input: Text
    gain_db: Gain
    seconds: Seconds = 3.0


class Duck(_Wanted):
    """Hold the programme down, or leave it to the announcements."""

    held: bool


class InputWanted(_Wanted):
    """What shall be different about an input."""

    gain_db: Gain | None = None
    muted: bool | None = None
    pan: Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)] | None = None


class ItemWanted(_Wanted):
    """Something to be played; without a title it is called what it says itself. `chime`: the chime comes before it."""

    source: Annotated[str, Field(min_length=1, max_length=2048)]
    title: Text = ""
    gain_db: Gain = 0.0
    chime: bool = False


class ItemsWanted(_Wanted):
    """Items to be put into the queue: at `place` (0 interrupts what is played, 1 is next), else at its end."""

    items: Annotated[list[ItemWanted], Field(min_length=1, max_length=100)]
    place: Annotated[int, Field(ge=0, le=10_000)] | None = None


class Move(_Wanted):
    """Another place in the queue; 0 is the one that is played."""

    place: Annotated[int, Field(ge=0, le=10_000)]


@dataclass(slots=True)
class Pace:
    """How fast each subject may command a channel."""

    clock: Callable[[], float]
    _buckets: OrderedDict[tuple[str, str], Bucket] = field(default_factory=OrderedDict)

    def check(self, subject: str, channel: str) -> None:
        """Raises Problem 429."""
        now = self.clock()
        key = (subject, channel)
        bucket = self._buckets.pop(key, None) or Bucket(
            rate=COMMANDS_A_SECOND, burst=COMMANDS_AT_ONCE, now=now
        )
        self._buckets[key] = bucket
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        wait = bucket.admit(now)
        if wait > 0:
            seconds = str(max(1, math.ceil(wait)))
            raise Problem(429, f"too many commands; wait {seconds} s", {"Retry-After": seconds})


@dataclass(frozen=True, slots=True)
class Control:
    """The handlers."""

    desk: AutomationDesk
    authority: Authority
    pace: Pace
    wall: Callable[[], float] = time.time

    async def state(self, channel: str, request: Request) -> Response:
        """GET state."""
        self._grant(channel, request)
        return self._answer(channel)

    async def play(self, channel: str, request: Request) -> Response:
        """POST play."""
        grant = self._grant(channel, request)
        wanted = await _read_or(request, Play())
        if wanted.source is not None and wanted.item is not None and wanted.source != "queue":
            raise Problem(422, "an item is played by the queue; name no other source with it")
        await self.desk.play(channel, source=wanted.source, item=wanted.item)
        return self._done(grant, channel, "play", source=wanted.source, item=wanted.item)

    async def stop(self, channel: str, request: Request) -> Response:
        """POST stop."""
        grant = self._grant(channel, request)
        wanted = await _read_or(request, Stop())
        await self.desk.stop(channel, fade_s=wanted.fade_s)
        return self._done(grant, channel, "stop", fade_s=wanted.fade_s)

    async def skip(self, channel: str, request: Request) -> Response:
        """POST skip."""
        grant = self._grant(channel, request)
        await self.desk.skip(channel)
        return self._done(grant, channel, "skip")

    async def fade(self, channel: str, request: Request) -> Response:
        """POST fade."""
        grant = self._grant(channel, request)
        wanted = await read_model(request, Fade)
        change = InputChange(gain_db=wanted.gain_db, seconds=wanted.seconds)
        await self.desk.change_input(channel, wanted.input, change)
        return self._done(grant, channel, "fade", input=wanted.input, gain_db=wanted.gain_db)

    async def duck(self, channel: str, request: Request) -> Response:
        """POST duck."""
        grant = self._grant(channel, request)
        wanted = await read_model(request, Duck)
        await self.desk.duck(channel, wanted.held)
        return self._done(grant, channel, "duck", held=wanted.held)

    async def change(self, channel: str, input: str, request: Request) -> Response:  # noqa: A002 - as in the path
        """PATCH inputs."""
        grant = self._grant(channel, request)
        wanted = await read_model(request, InputWanted)
        await self.desk.change_input(
            channel, input, InputChange(gain_db=wanted.gain_db, muted=wanted.muted, pan=wanted.pan)
        )
        return self._done(grant, channel, "change", input=input, **wanted.model_dump(exclude_none=True))

    async def queue(self, channel: str, request: Request) -> Response:
        """GET queue."""
        self._grant(channel, request)
        return json_response(self._queue(channel, self.desk.queue(channel)))

    async def enqueue(self, channel: str, request: Request) -> Response:
        """POST queue: all of the items or none."""
        grant = self._grant(channel, request)
        wanted = await read_model(request, ItemsWanted, limit=ITEMS_BYTES_MAX)
        items = [WantedItem(each.source, each.title, each.gain_db, each.chime) for each in wanted.items]
        added = await self.desk.enqueue(channel, items, place=wanted.place, subject=grant.subject)
        shown = ", ".join(item.source for item in added)
        self._done(grant, channel, "enqueue", sources=shown[:500], place=wanted.place)
        return json_response(self._queue(channel, added), 201)

    async def clear(self, channel: str, request: Request) -> Response:
        """DELETE queue."""
        grant = self._grant(channel, request)
        count = await self.desk.clear(channel)
        return self._done(grant, channel, "clear", items=count)

    async def move(self, channel: str, item: str, request: Request) -> Response:
        """PATCH queue item."""
        grant = self._grant(channel, request)
        wanted = await read_model(request, Move)
        await self.desk.move(channel, item, wanted.place)
        return self._done(grant, channel, "move", item=item, place=wanted.place)

    async def remove(self, channel: str, item: str, request: Request) -> Response:
        """DELETE queue item."""
        grant = self._grant(channel, request)
        await self.desk.remove(channel, item)
        return self._done(grant, channel, "remove", item=item)

    def _grant(self, channel: str, request: Request) -> Grant:
        grant = self.authority.require(request, self.authority.peer(request), "control", channel)
        self.pace.check(grant.subject, channel)
        return grant

    def _done(self, grant: Grant, channel: str, command: str, **what: Any) -> Response:
        """Who did what, for the log, and what became of it."""
        extra = {"subject": grant.subject, "channel": channel, "command": command}
        _log.info("channel command", extra=extra | {f"to_{key}": value for key, value in what.items()})
        return self._answer(channel)

    def _queue(self, channel: str, items: Sequence[ItemView]) -> Queue:
        stored = self.desk.view(channel).automation.stored
        return Queue(queue=[item_of(item) for item in items], stored=stored)

    def _answer(self, channel: str) -> Response:
        return json_response(state_now(self.desk.view(channel), self.wall()))


async def _read_or(request: Request, default: _M) -> _M:
    """The body, or `default` where there is none."""
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return default
    return await read_model(request, type(default))


def install(
    routes: APIRouter,
    desk: AutomationDesk,
    authority: Authority,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Add the routes, but for the WebSocket."""
    on = Control(desk, authority, Pace(clock))
    queue, item = f"{BASE}/queue", f"{BASE}/queue/{{item}}"
    table: tuple[tuple[str, str, Any, str, type[BaseModel] | None], ...] = (
        (f"{BASE}/state", "GET", on.state, "How a mixed channel stands", None),
        (f"{BASE}/play", "POST", on.play, "Go on, or put a source or an item on air", Play),
        (f"{BASE}/stop", "POST", on.stop, "Fade the programme out", Stop),
        (f"{BASE}/skip", "POST", on.skip, "Go to the next item of the queue", None),
        (f"{BASE}/fade", "POST", on.fade, "Bring an input to another gain", Fade),
        (f"{BASE}/duck", "POST", on.duck, "Hold the programme down", Duck),
        (f"{BASE}/inputs/{{input}}", "PATCH", on.change, "Change gain, mute or pan of an input", InputWanted),
        (queue, "GET", on.queue, "All items of the queue", None),
        (queue, "POST", on.enqueue, "Put items into the queue", ItemsWanted),
        (queue, "DELETE", on.clear, "Empty the queue", None),
        (item, "PATCH", on.move, "Move an item of the queue", Move),
        (item, "DELETE", on.remove, "Take an item out of the queue", None),
    )
    for path, method, handler, summary, body in table:
        status = 201 if handler == on.enqueue else 200
        answer: type[BaseModel] = Queue if handler in (on.enqueue, on.queue) else StateNow
        success: dict[int | str, dict[str, Any]] = {status: {"model": answer}}
        routes.add_api_route(
            path,
            handler,
            methods=[method],
            summary=summary,
            status_code=status,
            response_class=Response,
            response_model=None,
            responses=success | refusals(401, 403, 404, 409, 422, 429, 503),
            openapi_extra=documented(body, required=body not in (Play, Stop)) if body else None,
        )
