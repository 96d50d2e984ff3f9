"""What the HTTP side knows of the relay's core, and nothing more.

`relay.http` is written against `RelayCore`; `relay.app` provides it. Values that cross are frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from relay.tokens import Grant

SessionKind = Literal["publish", "listen"]


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """A session that was accepted: its unguessable id, the SDP answer and the entity tag of its ICE session."""

    id: str
    answer: str
    etag: str


@dataclass(frozen=True, slots=True)
class TrickleResult:
    """The outcome of a PATCH: `fragment` is the server's side of an ICE restart, None for mere trickle."""

    etag: str
    fragment: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel as people see it. `level_dbov` is the level announced by the source (RFC 6464), in dBov."""

    name: str
    title: str
    public: bool
    on_air: bool
    publisher: bool
    listeners: int
    level_dbov: float | None
    source: str
    capture_delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts for Prometheus: `counts[i]` observations were ≤ `bounds[i]` seconds."""

    bounds: Sequence[float]
    counts: Sequence[int]
    sum: float
    count: int


@dataclass(frozen=True, slots=True)
class RenditionStats:
    """One form of a channel's packets: who hears it now, and packets sent since the relay started."""

    listeners: int
    packets_out: int


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """Counters of one channel since the relay started."""

    listeners: int = 0
    publisher: bool = False
    on_air: bool = False
    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    lost_in: int = 0
    duplicates_in: int = 0
    late_in: int = 0
    switches: int = 0
    nacks_received: int = 0
    retransmitted: int = 0
    nacks_refused: int = 0
    nacks_sent: int = 0
    listener_fraction_lost: float = 0.0
    listener_jitter_s: float = 0.0
    renditions: Mapping[str, RenditionStats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpstreamStats:
    """How the pull of a channel from another relay is.

    `silent_s` is the time since its last packet, or since the relay started.
    """

    connected: bool
    reconnects: int
    silent_s: float


@dataclass(frozen=True, slots=True)
class RelayStats:
    """Everything `/metrics` shows; a snapshot."""

    channels: Mapping[str, ChannelStats] = field(default_factory=dict)
    upstreams: Mapping[str, UpstreamStats] = field(default_factory=dict)
    sessions: Mapping[str, int] = field(default_factory=dict)
    joins: Mapping[str, int] = field(default_factory=dict)
    leaves: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    send_errors: int = 0
    datagrams_in: int = 0
    receive_overflows: int = 0
    packets_compiled: int = 0
    packets_misnumbered: int = 0
    batch_seconds: Histogram | None = None
    loop_lag_seconds: Histogram | None = None
    join_seconds: Histogram | None = None


@dataclass(frozen=True, slots=True)
class Hearing:
    """Whether a publisher is heard now; if not, whether it is since a chime sounds before him."""

    heard: bool
    awaits_chime: bool


class RelayCore(Protocol):
    """The relay as its HTTP surface sees it. Errors are `relay.errors.RelayError` with a status."""

    @property
    def draining(self) -> bool:
        """True once the relay stopped accepting sessions."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Whether new sessions can be served now, and one sentence why not."""
        ...

    def stats(self) -> RelayStats:
        """A snapshot of all counters."""
        ...

    def channels(self) -> Sequence[ChannelState]:
        """All channels, by name."""
        ...

    async def publish(
        self, channel: str, offer: str, *, replace: bool, subject: str, local_address: str | None,
        grant: Grant | None = None,
    ) -> SessionCreated:  # fmt: skip
        """Answer a WHIP offer (RFC 9725). `local_address` is the IP the HTTP request arrived at; the session ends when
        the token of `grant` is revoked."""
        ...

    async def listen(
        self, channel: str, offer: str, *, subject: str, local_address: str | None, without: str = "",
        grant: Grant | None = None,
    ) -> SessionCreated:  # fmt: skip
        """Answer a WHEP offer (draft-ietf-wish-whep); with the mix in which the publisher's session `without`, which
        `talks`, is not heard."""
        ...

    def talks(self, channel: str, session: str) -> bool:
        """Whether a session publishes to a mixed channel, so that its owner may hear the others."""
        ...

    def hearing(self, channel: str, session: str) -> Hearing | None:
        """Whether who publishes by a session is heard; None where no chime can keep him waiting, and for a session that
        is over."""
        ...

    async def trickle(
        self, channel: str, kind: SessionKind, session: str, fragment: str, if_match: str | None
    ) -> TrickleResult:
        """Take a trickle-ice-sdpfrag (RFC 8840): candidates, or new credentials for an ICE restart."""
        ...

    async def close(self, channel: str, kind: SessionKind, session: str) -> None:
        """End a session on its owner's DELETE."""
        ...
