"""A session with one peer: what publishers, listeners and pulls from another relay have in common."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from typing import Literal, Protocol

from loacodecs.address import Address
from loacodecs.credentials import IceCredentials
from loacodecs.peer import Peer
from loacodecs.sdp import AudioDescription
from relay.channels.channel import Channel
from relay.tokens import Grant

Kind = Literal["publish", "listen", "pull"]

_serial = itertools.count(1)


class Port(Protocol):
    """A socket as sessions see it."""

    fd: int

    def send(self, data: bytes, address: Address) -> bool:
        """Send one datagram now; False when the kernel refused it."""
        ...

    def pack(self, address: Address) -> bytes:
        """`address` as a packed socket address of this socket's family."""
        ...


class Session:
    """One peer on one channel. `id` is unguessable and names the session's HTTP resource."""

    def __init__(
        self, kind: Kind, channel: Channel, peer: Peer, credentials: IceCredentials, now: float,
        *, subject: str = "", grant: Grant | None = None, offer: AudioDescription | None = None,
    ) -> None:  # fmt: skip
        self.id = secrets.token_urlsafe(24)
        self.number = next(_serial)
        """Tells sessions apart in logs without giving their address away."""
        self.kind: Kind = kind
        self.channel = channel
        self.peer = peer
        self.credentials = credentials
        self.ufrags = [credentials.ufrag]
        """User fragments that find the session: the current one, and the one before an ICE restart."""
        self.subject = subject
        self.grant = grant
        """By which it was begun; looked at when a token is revoked."""
        self.mid = offer.mid if offer is not None else "0"
        self.idle_s = offer.delivery.idle_s if offer is not None and kind == "listen" else 0
        """Seconds between two checks of consent while no media flows, 0 for the usual ones."""
        self.remote_ufrag = offer.ice_ufrag if offer is not None else ""
        self.created = now
        self.connected_at: float | None = None
        self.etag = secrets.token_urlsafe(9)
        self.port: Port | None = None
        """A pull's own socket; of others the one that something came by last."""
        self.sources: dict[bytes, None] = {}
        """Packed addresses the peer proved to send from, newest last, bounded."""
        self.ports: dict[Address, Port] = {}
        """The sockets they were checked by: a peer may have a way by IPv4 and one by IPv6."""
        self.closed = False
        self.on_closed: Callable[[str], None] | None = None

    def port_to(self, address: Address) -> Port | None:
        """The socket that reaches `address`."""
        return self.ports.get(address, self.port)

    def __repr__(self) -> str:
        return f"<{self.kind} session {self.number} on {self.channel.name}>"
