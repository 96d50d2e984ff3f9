"""What a `Peer` gives its shell to do or to know."""

from __future__ import annotations

from dataclasses import dataclass, field

from .address import Address
from .srtp import Keys


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send `data` as one datagram to `addr`."""

    data: bytes = field(repr=False)
    addr: Address


@dataclass(frozen=True, slots=True)
class Connected:
    """The handshake is done: media may flow to `remote` under `keys`."""

    keys: Keys
    remote: Address


@dataclass(frozen=True, slots=True)
class RemoteChanged:
    """The peer nominated another address: media goes there from now on."""

    addr: Address


@dataclass(frozen=True, slots=True)
class Rtp:
    """An authentic RTP packet, opened."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rtcp:
    """An authentic compound RTCP packet, opened."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over; the last event.

    `reason` is one of "closed" (by us), "peer_closed" (its close_notify), "handshake_failed", "setup_timeout" and
    "consent_lost"; `detail` is a sentence where there is more to say.
    """

    reason: str
    detail: str = ""


Event = Transmit | Connected | RemoteChanged | Rtp | Rtcp | Closed
