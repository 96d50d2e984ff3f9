"""What the HTTP side knows of edge receivers, and nothing more: values that cross are frozen, errors are RelayErrors.

`relay.http` is written against `DeviceDesk`; `relay.devices` provides it. Times are unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from loacodecs.control import BulletinClass, Command, Receipt, Settings, Telemetry
from loacodecs.errors import TransportError

SettingsState = Literal["applied", "pending", "refused"]


class LinkClosed(TransportError):  # noqa: N818 - named by what happened
    """The receiver's end of a control link has gone."""


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """An enrolment code, to be told to one technician."""

    code: str
    expires: float


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a receiver keeps of its enrolment; `command_key` is base64url of 32 octets."""

    device: str
    relay: str
    command_key: str
    channel: str


@dataclass(frozen=True, slots=True)
class Presence:
    """A link that is up: since when, and what the receiver's hello said."""

    since: float
    version: str
    capabilities: tuple[str, ...]
    settings_state: SettingsState
    settings_detail: str


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device as operators see it. `presence` is None without a link; `heard` is when `telemetry` came."""

    id: str
    name: str
    settings: Settings
    enrolled: float
    revoked: float | None
    seen: float | None
    presence: Presence | None
    telemetry: Telemetry | None
    heard: float | None


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the live programme of `channel` was declared to be, by whom, and until when at the latest."""

    channel: str
    kind: BulletinClass
    until: float
    declared: float
    declared_by: str


DEVICE_SUBJECT: Final = "device:"
"""What the subject of a receiver's tokens begins with; its id follows."""

RELAYS: Final = "relays"
"""For whom a statement is signed that relays further down may take; no receiver is called so."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What the live programme of a channel is, signed for relays that pull it; `command_key` is in base64url."""

    command_key: str
    command: Command


@dataclass(frozen=True, slots=True)
class Told:
    """How many receivers on a link were told something, and how many of these do not understand it."""

    receivers: int
    deaf: int


@dataclass(frozen=True, slots=True)
class ReceiptRecord:
    """A receipt and when it came."""

    device: str
    receipt: Receipt
    received: float


@dataclass(frozen=True, slots=True)
class DeviceStats:
    """Counters since the relay started, and how many links are up; no label names a device."""

    connected: int = 0
    sounding: int = 0
    links: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    receipts: Mapping[str, int] = field(default_factory=dict)
    commands: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[str, int] = field(default_factory=dict)
    throttled: int = 0
    emergencies: frozenset[str] = frozenset()
    """Channels whose live programme is declared an emergency."""
    store_errors: int = 0
    store_waiting: int = 0


class LinkSocket(Protocol):
    """One WebSocket, as a link sees it."""

    @property
    def address(self) -> str:
        """Where it comes from, for logs and limits."""
        ...

    async def accept(self) -> None:
        """Complete the handshake; raises LinkClosed."""
        ...

    async def receive(self) -> tuple[str, float]:
        """The next text and when it arrived; raises LinkClosed, or MalformedError for a binary message."""
        ...

    async def send(self, text: str) -> None:
        """Send a text; raises LinkClosed."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close it, by force when the receiver does not read; nothing happens when it is closed already."""
        ...


class DeviceDesk(Protocol):
    """Enrolment, administration and links of edge receivers."""

    async def issue_code(self, *, name: str, channel: str, ttl: float, subject: str) -> IssuedCode:
        """A new one-time code, good for `ttl` seconds."""
        ...

    async def enrol(self, code: str, *, public_key: bytes, name: str) -> Enrolled:
        """Raises CodeRefused, DeviceExists."""
        ...

    async def devices(self) -> Sequence[DeviceView]:
        """All of them, revoked ones included, by name."""
        ...

    async def device(self, device: str) -> DeviceView:
        """Raises DeviceNotFound."""
        ...

    async def change(self, device: str, *, name: str | None, settings: Mapping[str, Any]) -> DeviceView:
        """Change what is wanted of a device and tell it; waits a little for its word. Raises DeviceNotFound."""
        ...

    async def restart(self, device: str) -> None:
        """Command the receiver to start afresh; raises DeviceNotFound, DeviceAway."""
        ...

    async def revoke(self, device: str) -> DeviceView:
        """Its key and its tokens are good no more, its link and its sessions end. Raises DeviceNotFound."""
        ...

    def is_revoked(self, subject: str) -> bool:
        """Whether a token's subject is a receiver that was revoked while that token may still be good."""
        ...

    async def receipts(self, device: str, *, limit: int, before: float | None) -> Sequence[ReceiptRecord]:
        """The latest first. Raises DeviceNotFound."""
        ...

    async def declare(self, channel: str, kind: BulletinClass, *, ttl: float, subject: str) -> Told:
        """Declare the class of the live programme of `channel` for `ttl` seconds, and tell its receivers."""
        ...

    def declared(self, channel: str) -> Declaration | None:
        """What the live programme of `channel` is declared to be; None when it is normal."""
        ...

    def statement(self, channel: str) -> Statement:
        """The same for relays that pull `channel`, signed now; good for a minute."""
        ...

    def reserve_link(self, address: str) -> bool:
        """A place for a link without hello, which `serve_link` gives back; False when there are too many."""
        ...

    async def serve_link(self, socket: LinkSocket) -> None:
        """The whole life of one link, from its acceptance on, after `reserve_link`."""
        ...

    def stats(self) -> DeviceStats:
        """A snapshot of all counters."""
        ...
