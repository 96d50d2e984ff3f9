"""The proxy without its sockets: who talks to whom, what becomes of each datagram, what is due when.

Time is an argument. Feed `from_client` and `from_relay`, send what `pop` gives until it gives None, come back at
`next_deadline`; `sweep` now and then. Memory is bounded by `Limits`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from .counts import Counts
from .model import Fates, Links
from .schedule import Schedule
from .trace import Direction, Row

SocketName = tuple[Any, ...]
"""A socket address as the system gives it: (host, port), longer for IPv6."""


class Observer(Protocol):
    """Sees every datagram after its fate was decided: `observe.PathObserver` is one."""

    def on_datagram(self, at: float, client: int, direction: Direction, data: bytes) -> None:
        """A datagram of a client's came `at` seconds after the first one; must not raise."""


@dataclass(frozen=True, slots=True)
class Limits:
    """clients at a time; datagrams and bytes on their way; seconds of silence after which a client is forgotten."""

    clients: int = 512
    datagrams: int = 200_000
    bytes: int = 64 * 1024 * 1024
    idle_s: float = 60.0


@dataclass(slots=True, eq=False)
class Flow:
    """One client's path. `number` counts clients from 0 in the order they came."""

    number: int
    client: SocketName
    up: Fates
    down: Fates
    last_seen: float
    closed: bool = False


class Delivery(NamedTuple):
    """A datagram to be sent: up to the relay, or down to the client."""

    flow: Flow
    direction: Direction
    data: bytes
    due: float


@dataclass(slots=True)
class Dropped:
    """Datagrams that met no link: `clients`, there were too many; `orphans`, their client was forgotten."""

    clients: int = 0
    orphans: int = 0


@dataclass(slots=True)
class _Retired:
    """Counts of the links of clients that were forgotten."""

    up: Counts = field(default_factory=Counts)
    down: Counts = field(default_factory=Counts)


class ProxyCore:
    """Flows by client address, and one schedule for all of them.

    Time of the links, and of traces, begins with the first datagram, so that it does not matter how long the
    proxy waited for it.
    """

    def __init__(
        self,
        links: Links,
        limits: Limits | None = None,
        *,
        record: Row | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`record` is told each datagram's fate; `observer` sees each datagram and its time since the epoch."""
        self.epoch: float | None = None
        self.clients = 0
        """Clients seen so far."""
        self.dropped = Dropped()
        self._links = links
        self._limits = limits or Limits()
        self._record = record
        self._observer = observer
        self._flows: dict[SocketName, Flow] = {}
        self._retired = _Retired()
        self._schedule: Schedule[tuple[Flow, Direction, bytes]] = Schedule(
            self._limits.datagrams, self._limits.bytes
        )

    @property
    def flows(self) -> int:
        """Clients there are now."""
        return len(self._flows)

    @property
    def waiting(self) -> int:
        """Datagrams on their way."""
        return len(self._schedule)

    @property
    def overfull(self) -> int:
        """Datagrams for which `Limits` left no room."""
        return self._schedule.refused

    def counts(self, direction: Direction) -> Counts:
        """What became of all packets in a direction."""
        total = Counts()
        total.add(self._retired.up if direction == "up" else self._retired.down)
        for flow in self._flows.values():
            total.add(flow.up.counts if direction == "up" else flow.down.counts)
        return total

    def from_client(self, now: float, data: bytes, client: SocketName) -> Flow | None:
        """Take a datagram of a client; gives its flow, None when there are too many clients."""
        flow = self._flows.get(client)
        if flow is None:
            if len(self._flows) >= self._limits.clients:
                self.dropped.clients += 1
                return None
            if self.epoch is None:
                self.epoch = now
            flow = Flow(self.clients, client, *self._links(self.clients, self.epoch), now)
            self._flows[client] = flow
            self.clients += 1
        self._enter(now, flow, "up", flow.up, data)
        return flow

    def from_relay(self, now: float, data: bytes, flow: Flow) -> None:
        """Take a datagram of the relay to the client of `flow`."""
        if not flow.closed:
            self._enter(now, flow, "down", flow.down, data)

    def pop(self, now: float) -> Delivery | None:
        """The next datagram to be sent at `now`; None when there is none."""
        while (entry := self._schedule.pop(now)) is not None:
            due, (flow, direction, data) = entry
            if not flow.closed:
                return Delivery(flow, direction, data, due)
            self.dropped.orphans += 1
        return None

    def next_deadline(self) -> float | None:
        """When `pop` will have something; None while nothing is on its way."""
        return self._schedule.next_due()

    def sweep(self, now: float) -> list[Flow]:
        """Forget clients that were silent for too long; gives their flows."""
        idle = [flow for flow in self._flows.values() if now - flow.last_seen > self._limits.idle_s]
        for flow in idle:
            self.forget(flow)
        return idle

    def forget(self, flow: Flow) -> None:
        """Forget a client: what is on its way to or from it is dropped."""
        if self._flows.pop(flow.client, None) is not None:
            flow.closed = True
            self._retired.up.add(flow.up.counts)
            self._retired.down.add(flow.down.counts)

    def _enter(self, now: float, flow: Flow, direction: Direction, link: Fates, data: bytes) -> None:
        # Arrivals are told by another clock, whose tie to ours is a little off now and then: time only goes on.
        now = flow.last_seen = max(now, flow.last_seen)
        size = len(data)
        deliveries = link.fate(now, size)
        for due in deliveries:
            self._schedule.push(due, (flow, direction, data), size)
        since = now - (self.epoch or 0.0)
        if self._record is not None:
            delays = tuple([delivery - now for delivery in deliveries])
            self._record(since, flow.number, direction, size, delays)
        if self._observer is not None:
            self._observer.on_datagram(since, flow.number, direction, data)
