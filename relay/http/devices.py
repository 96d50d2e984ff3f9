"""The administration of edge receivers; every route needs a token with scope admin on the device's channel.

    POST   /api/v1/devices/codes           a one-time enrolment code
    GET    /api/v1/devices                 all devices of the token's channels
    GET    /api/v1/devices/{id}
    PATCH  /api/v1/devices/{id}            change what is wanted of it
    DELETE /api/v1/devices/{id}            revoke its key
    POST   /api/v1/devices/{id}/restart
    GET    /api/v1/devices/{id}/receipts   what it played

A device without a channel belongs to tokens for all channels (`*`).
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response

from relay.config import Config
from relay.device_ports import DeviceDesk, DeviceView, ReceiptRecord
from relay.http.auth import Authority
from relay.http.errors import Problem
from relay.http.json_body import documented, json_response, read_model, refusals
from relay.mistakes import suggestion
from relay.names import is_channel_name
from relay.tokens import Grant

BASE: Final = "/api/v1/devices"
RECEIPTS_MAX: Final = 1000
_log = logging.getLogger(__name__)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a name is one line of printable characters")
    return text.strip()


Name = Annotated[str, Field(max_length=100), AfterValidator(_printable)]
Channel = Annotated[str, Field(max_length=63)]


class CodeWanted(BaseModel):
    """An enrolment code to be made: what the device will be called and play, and how many seconds the code is good."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    channel: Channel = ""
    ttl_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 86_400


class Code(BaseModel):
    """A one-time code and when it expires (unix seconds)."""

    code: str
    expires: float


class Change(BaseModel):
    """What is to be different; everything else stays. An empty channel is none."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    channel: Channel | None = None
    delay_ms: Annotated[int, Field(ge=150, le=3000)] | None = None
    trim_ms: Annotated[int, Field(ge=0, le=1000)] | None = None
    volume_db: Annotated[float, Field(ge=-60, le=20, allow_inf_nan=False)] | None = None
    muted: bool | None = None


class Heard(BaseModel):
    """The newest telemetry, `at` being when it came (unix seconds)."""

    at: float
    number: int
    on_air: bool
    level_dbfs: float | None
    buffer_ms: float
    concealed_ms: float
    lost: int
    recovered: int
    temperature_c: float | None
    link: str
    clock_error_ms: float | None
    state: str
    error_ms: float | None
    commands_refused: int
    uptime_s: float
    faults: list[str]


class Device(BaseModel):
    """A receiver: what is wanted of it, and what is known of it. Times are unix seconds."""

    id: str
    name: str
    channel: str
    delay_ms: int
    trim_ms: int
    volume_db: float
    muted: bool
    enrolled: float
    revoked: float | None
    seen: float | None
    connected: bool
    since: float | None
    version: str | None
    capabilities: list[str]
    settings_state: Literal["applied", "pending", "refused"]
    settings_detail: str
    telemetry: Heard | None


class DeviceList(BaseModel):
    """Devices by name."""

    devices: list[Device]


class PlayedReceipt(BaseModel):
    """What a device says it played, and when the receipt came. Times are unix seconds."""

    id: str
    programme: str
    channel: str
    started: float
    ended: float
    played_ratio: float
    concealed_ms: float
    level_dbfs: float | None
    outcome: str
    received: float


class ReceiptList(BaseModel):
    """Receipts, the latest first."""

    receipts: list[PlayedReceipt]


def _device(view: DeviceView) -> Device:
    presence, heard = view.presence, None
    if view.telemetry is not None and view.heard is not None:
        said = asdict(view.telemetry)
        heard = Heard(at=view.heard, **{key: said[key] for key in Heard.model_fields if key != "at"})
    return Device(
        id=view.id,
        name=view.name,
        **asdict(view.settings),
        enrolled=view.enrolled,
        revoked=view.revoked,
        seen=view.seen,
        connected=presence is not None,
        since=presence.since if presence else None,
        version=presence.version if presence else None,
        capabilities=list(presence.capabilities) if presence else [],
        settings_state=presence.settings_state if presence else "pending",
        settings_detail=presence.settings_detail if presence else "",
        telemetry=heard,
    )


def _receipt(record: ReceiptRecord) -> PlayedReceipt:
    return PlayedReceipt(**asdict(record.receipt), received=record.received)


@dataclass(frozen=True, slots=True)
class Administration:
    """The handlers."""

    desk: DeviceDesk
    config: Config
    authority: Authority

    async def code(self, request: Request) -> Response:
        """POST codes."""
        self._grant(request)
        wanted = await read_model(request, CodeWanted)
        grant = self._grant(request, wanted.channel)
        self._check_channel(wanted.channel)
        issued = await self.desk.issue_code(
            name=wanted.name, channel=wanted.channel, ttl=wanted.ttl_s, subject=grant.subject
        )
        _log.info("enrolment code made", extra={"subject": grant.subject, "channel": wanted.channel})
        return json_response(Code(code=issued.code, expires=issued.expires), 201)

    async def all(self, request: Request) -> Response:
        """GET all."""
        grant = self._grant(request)
        views = await self.desk.devices()
        visible = [_device(view) for view in views if grant.allows("admin", view.settings.channel)]
        return json_response(DeviceList(devices=visible))

    async def one(self, device: str, request: Request) -> Response:
        """GET one."""
        _, view = await self._allowed(device, request)
        return json_response(_device(view))

    async def change(self, device: str, request: Request) -> Response:
        """PATCH: answers when the receiver has said that it obeys, or after two seconds."""
        grant, _ = await self._allowed(device, request)
        wanted = await read_model(request, Change)
        changes = {key: value for key, value in wanted.model_dump().items() if value is not None}
        name = changes.pop("name", None)
        if "channel" in changes:
            self._grant(request, changes["channel"])
            self._check_channel(changes["channel"])
        view = await self.desk.change(device, name=name, settings=changes)
        _log.info("device changed", extra={"subject": grant.subject, "device": device, **_shown(changes)})
        return json_response(_device(view))

    async def revoke(self, device: str, request: Request) -> Response:
        """DELETE."""
        grant, _ = await self._allowed(device, request)
        view = await self.desk.revoke(device)
        _log.info("device revoked", extra={"subject": grant.subject, "device": device})
        return json_response(_device(view))

    async def restart(self, device: str, request: Request) -> Response:
        """POST restart."""
        grant, _ = await self._allowed(device, request)
        await self.desk.restart(device)
        _log.info("device restarted", extra={"subject": grant.subject, "device": device})
        return Response(status_code=202)

    async def receipts(self, device: str, request: Request) -> Response:
        """GET receipts: `limit` (100 if not said), `before` a start (unix seconds)."""
        await self._allowed(device, request)
        limit = _number(request, "limit", 100.0)
        before = _number(request, "before", None)
        assert limit is not None
        if not 1 <= limit <= RECEIPTS_MAX:
            raise Problem(422, f"limit must be from 1 to {RECEIPTS_MAX}")
        records = await self.desk.receipts(device, limit=int(limit), before=before)
        return json_response(ReceiptList(receipts=[_receipt(record) for record in records]))

    def _grant(self, request: Request, channel: str | None = None) -> Grant:
        return self.authority.require(request, self.authority.peer(request), "admin", channel)

    async def _allowed(self, device: str, request: Request) -> tuple[Grant, DeviceView]:
        self._grant(request)  # before anybody learns whether there is such a device
        view = await self.desk.device(device[:64])
        return self._grant(request, view.settings.channel), view

    def _check_channel(self, channel: str) -> None:
        named = self.config.channels.named
        if not channel or channel in named or (self.config.channels.auto and is_channel_name(channel)):
            return
        raise Problem(422, f"the configuration has no channel {channel!r}{suggestion(channel, named)}")


def _query(name: str, means: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"in": "query", "name": name, "required": False, "description": means, "schema": schema}


_RECEIPTS_QUERY: Final = {
    "parameters": [
        _query("limit", "at most so many", {"type": "integer", "minimum": 1, "maximum": RECEIPTS_MAX}),
        _query("before", "a start, unix seconds: only what began earlier", {"type": "number"}),
    ]
}


def _number(request: Request, name: str, default: float | None) -> float | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e12:
        raise Problem(422, f"{name} must be a number")
    return value


def _shown(changes: dict[str, Any]) -> dict[str, Any]:
    """Changes as fields of a log record, which has a `name` of its own."""
    return {f"new_{key}": value for key, value in changes.items()}


def install(routes: APIRouter, desk: DeviceDesk, config: Config, authority: Authority) -> None:
    """Add the routes."""
    handlers = Administration(desk, config, authority)
    one = f"{BASE}/{{device}}"
    table: tuple[tuple[str, str, Any, str, int, type[BaseModel] | None, type[BaseModel] | None], ...] = (
        (f"{BASE}/codes", "POST", handlers.code, "A one-time enrolment code", 201, Code, CodeWanted),
        (BASE, "GET", handlers.all, "All devices of the token's channels", 200, DeviceList, None),
        (one, "GET", handlers.one, "One device", 200, Device, None),
        (one, "PATCH", handlers.change, "Change what is wanted of a device", 200, Device, Change),
        (one, "DELETE", handlers.revoke, "Revoke a device's key", 200, Device, None),
        (f"{one}/restart", "POST", handlers.restart, "Have a receiver start afresh", 202, None, None),
        (f"{one}/receipts", "GET", handlers.receipts, "What a device played", 200, ReceiptList, None),
    )
    for path, method, handler, summary, status, answer, body in table:
        success: dict[int | str, dict[str, Any]] = {status: {"model": answer}} if answer else {}
        query = _RECEIPTS_QUERY if answer is ReceiptList else None
        routes.add_api_route(
            path,
            handler,
            methods=[method],
            summary=summary,
            status_code=status,
            response_class=Response,
            response_model=None,
            responses=success | refusals(401, 403, 404, 422, 503),
            openapi_extra=documented(body) if body else query,
        )
