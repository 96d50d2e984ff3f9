"""The hub: gives each datagram to its session, media first, and looks after the sessions' lives.

Everything here runs in the media thread. Media of publishers is handled as it arrives; all else
(connectivity checks, handshakes, RTCP) waits in a bounded queue for the reactor's work budget, so that a
thousand joins cannot make the sound late.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from loacodecs import rtcp, stun
from loacodecs.address import Address
from loacodecs.errors import MalformedError
from loacodecs.peer import Closed, Connected, RemoteChanged, Rtcp, Rtp, Transmit
from relay.channels.channel import Channel
from relay.net import sockaddr
from relay.net.fanout import FanoutEngine, FanoutTable
from relay.net.histogram import HistogramCounter
from relay.net.port import UdpPort
from relay.net.upkeep_kernel import DONE, LEFT
from relay.sessions.keeper import Keeper
from relay.sessions.listener import Listener
from relay.sessions.publisher import Publisher
from relay.sessions.reports import Reporter
from relay.sessions.session import Session

log = logging.getLogger("loa.sessions")

DEFERRED = 16_384
"""Datagrams that may wait for the work budget; the oldest is dropped."""

SOURCES = 8
"""Addresses one session may own at a time; a phone that roams forever does not grow the table."""

TIMER_SCAN_S = 1.0
"""Consent is a matter of tens of seconds; to look at it more often would be waste."""


class _Waiting(NamedTuple):
    port: UdpPort
    data: bytes
    source: bytes
    arrival: float


class Hub:
    """All sessions of the relay. A `reactor.Handler`."""

    def __init__(
        self, table: FanoutTable, engine: FanoutEngine, reporter: Reporter, *,
        wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.table = table
        self.channels: dict[str, Channel] = {}
        self.sessions: dict[str, Session] = {}
        self.listeners: dict[str, Listener] = {}
        self.publishers: dict[str, Publisher] = {}
        self.refused: Counter[str] = Counter()
        """Datagrams dropped, by reason."""
        self.joins: Counter[str] = Counter()
        self.leaves: Counter[str] = Counter()
        """Sessions ended, by reason."""
        self.batch_seconds = HistogramCounter()
        self.join_seconds = HistogramCounter()
        self.send_drops = 0
        self._engine = engine
        self._keeper = Keeper(table.capacity)
        self._upkeep = self._keeper.upkeep
        self._reporter = reporter
        self._wall = wall
        self._by_source: dict[bytes, Session] = {}
        self._by_ufrag: dict[str, Session] = {}
        self._by_port: dict[int, Session] = {}
        self._joining: dict[str, Session] = {}
        self._deferred: deque[_Waiting] = deque(maxlen=DEFERRED)
        self._unkept: dict[str, Session] = {}
        """Connected listeners that the kernel does not keep up."""
        self._next_scan = 0.0
        self._addresses: dict[bytes, Address] = {}

    def warm_up(self) -> None:
        """Load what is compiled, before anything is on air."""
        self._upkeep.warm_up()

    @property
    def reports_refused(self) -> int:
        """Receiver reports that the kernel could not open: forged, replayed or broken."""
        return self._upkeep.failed

    def read_reports(self) -> None:
        """Bring the qualities of all listeners up to date; also from another thread."""
        for listener in list(self.listeners.values()):
            self._keeper.read_report(listener)

    # -- sessions

    def add(self, session: Session, role: Publisher | Listener) -> None:
        """Take `session` in; it is found by its user fragment, or by its own port if it has one."""
        self.sessions[session.id] = session
        self._joining[session.id] = session
        if session.kind == "pull" and session.port is not None:
            self._by_port[session.port.fd] = session
        else:
            self._by_ufrag[session.credentials.ufrag] = session
        if isinstance(role, Publisher):
            self.publishers[session.id] = role
        else:
            self.listeners[session.id] = role

    def rename(self, session: Session) -> None:
        """The session's ICE credentials changed (ICE restart); the ones before serve until the new are used."""
        self._keeper.dismiss(session)
        if session.connected_at is not None and session.id in self.listeners:
            self._unkept[session.id] = session
        session.ufrags.append(session.credentials.ufrag)
        self._by_ufrag[session.credentials.ufrag] = session
        while len(session.ufrags) > 2:
            self._by_ufrag.pop(session.ufrags.pop(0), None)

    def close(self, session: Session, reason: str, now: float, detail: str = "") -> None:
        """End `session`: say goodbye, free its row, forget its addresses. Safe to call twice."""
        if session.closed:
            return
        session.closed = True
        self._keeper.dismiss(session)
        listener = self.listeners.pop(session.id, None)
        if listener is not None:
            if listener.row is not None:
                self._reporter.goodbye(listener, self._wall())
            listener.stop(self.table)
        publisher = self.publishers.pop(session.id, None)
        if publisher is not None:
            publisher.release()
        session.peer.close(now)
        self._drain(session, now, 0.0)
        self.sessions.pop(session.id, None)
        self._joining.pop(session.id, None)
        self._unkept.pop(session.id, None)
        for ufrag in session.ufrags:
            self._by_ufrag.pop(ufrag, None)
        if session.kind == "pull" and session.port is not None:
            self._by_port.pop(session.port.fd, None)
        for source in session.sources:
            if self._by_source.get(source) is session:
                del self._by_source[source]
        self.refused.update(session.peer.refused)
        self.leaves[reason] += 1
        why = f"{reason} ({detail})" if detail else reason
        log.info("%s ended: %s", session, why, extra={"session": session.id})
        if session.on_closed is not None:
            session.on_closed(reason)

    def remove_channel(self, channel: Channel, now: float) -> None:
        """End every session of `channel` and forget it."""
        for session in [s for s in self.sessions.values() if s.channel is channel]:
            self.close(session, "channel_removed", now)
        self.channels.pop(channel.name, None)

    def close_all(self, reason: str, now: float) -> None:
        """End every session, with BYE."""
        for session in list(self.sessions.values()):
            self.close(session, reason, now)

    # -- reactor.Handler

    def on_batch(self, port: UdpPort, count: int, now: float) -> None:
        """Let the kernel deal with what keeps sessions alive, and look at the rest one by one."""
        receiver = port.receiver
        if port.carries == "media" or not self._upkeep.available:
            for index in range(count):
                data, source, arrival = receiver.datagram(index)
                self.on_datagram(port, data, source, now, arrival)
            return
        fates = self._upkeep.serve(
            count, port.fd, receiver.data, receiver.sizes, receiver.names, receiver.name_lengths, now
        )
        for index, fate in enumerate(fates[:count].tolist()):
            if fate == DONE:
                continue
            data, source, arrival = receiver.datagram(index)
            if fate == LEFT:
                self.on_datagram(port, data, source, now, arrival)
            elif (session := self._by_source.get(source)) is not None:
                self._on_rtcp(session, data, now)

    def on_datagram(self, port: UdpPort, data: bytes, source: bytes, now: float, arrival: float) -> None:
        """Media of a known publisher goes out at once; everything else waits its turn."""
        if len(data) > 1 and 128 <= data[0] <= 191 and not 192 <= data[1] <= 223:
            session = self._by_port.get(port.fd) or self._by_source.get(source)
            if session is None:
                self.refused["unchecked_address"] += 1
                return
            self._feed(session, data, source, now, arrival)
            return
        if len(self._deferred) == DEFERRED:
            self.refused["queue_full"] += 1
        self._deferred.append(_Waiting(port, data, source, arrival))

    def work(self, now: float) -> bool:
        """Handle one deferred datagram."""
        if not self._deferred:
            return False
        waiting = self._deferred.popleft()
        session = self._find(waiting)
        if session is not None and not session.closed:
            if session.port is None or session.kind != "pull":
                session.port = waiting.port
            self._feed(session, waiting.data, waiting.source, now, waiting.arrival)
        return True

    def on_tick(self, now: float) -> bool:
        """Timers: handshakes, reports, retransmission requests, consent."""
        pending = bool(self._joining)
        for session in list(self._joining.values()):
            self._on_session_timer(session, now)
        for publisher in list(self.publishers.values()):
            if publisher.session.connected_at is not None:
                publisher.on_timer(now)
                self._on_session_timer(publisher.session, now)
                pending = pending or publisher.ingest.waiting
        self._reporter.on_tick(self.channels.values(), now, self._wall())
        self._scan_timers(now)
        return pending

    # -- inside

    def _find(self, waiting: _Waiting) -> Session | None:
        """Whose datagram it is: by port, by source address, or for checks by user fragment."""
        session = self._by_port.get(waiting.port.fd)
        if session is not None:
            return session
        data = waiting.data
        if data and data[0] < 4:
            username = stun.username_of(data)
            if username is None:
                self.refused["stun_malformed"] += 1
                return None
            session = self._by_ufrag.get(username.partition(":")[0])
            if session is None:
                self.refused["stun_unknown_user"] += 1
            return session
        session = self._by_source.get(waiting.source)
        if session is None:
            known = bool(data) and (20 <= data[0] <= 63 or 128 <= data[0] <= 191)
            self.refused["unchecked_address" if known else "malformed"] += 1
        return session

    def _feed(self, session: Session, data: bytes, source: bytes, now: float, arrival: float) -> None:
        address = self._addresses.get(source) or self._remember(source)
        session.peer.receive(now, data, address)
        self._drain(session, now, arrival, source if data[:1] < b"\x04" else b"")

    def _drain(self, session: Session, now: float, arrival: float, checked: bytes = b"") -> None:
        """Carry out what the peer decided. `checked` is the source of a connectivity check it may have
        answered."""
        peer = session.peer
        while (output := peer.poll()) is not None:
            if isinstance(output, Rtp):
                self._on_media(session, output.data, now, arrival)
            elif isinstance(output, Transmit):
                if checked and output.addr == self._addresses.get(checked):
                    self._own(session, checked)
                if session.port is not None:
                    session.port.send(output.data, output.addr)
            elif isinstance(output, Rtcp):
                self._on_rtcp(session, output.data, now)
            elif isinstance(output, Connected):
                self._on_connected(session, output, now)
            elif isinstance(output, RemoteChanged):
                self._on_moved(session, output.addr)
            elif isinstance(output, Closed):
                self.close(session, output.reason, now, output.detail)

    def _on_media(self, session: Session, data: bytes, now: float, arrival: float) -> None:
        publisher = self.publishers.get(session.id)
        if publisher is None:
            self.refused["unexpected_media"] += 1
            return
        if publisher.preempts:
            self._preempt(publisher, now)
        packet = publisher.on_rtp(data, now, arrival or self._wall())
        if publisher.ingest.waiting:
            publisher.on_timer(now)
        if packet is None:
            return
        group = session.channel.group
        if group.count:
            began = time.perf_counter()
            outcome = self._engine.send(group, packet)
            self.batch_seconds.observe(time.perf_counter() - began)
            session.channel.packets_out += outcome.sent
            self.send_drops += outcome.dropped + outcome.failed

    def _preempt(self, publisher: Publisher, now: float) -> None:
        """The first sound of a publisher that asked to replace whoever is on air: only now does the other stop."""
        publisher.preempts = False
        other = publisher.session.channel.source
        publisher.take(now)
        if isinstance(other, Publisher) and other is not publisher:
            self.close(other.session, "replaced", now)

    def _on_rtcp(self, session: Session, data: bytes, now: float) -> None:
        try:
            packets = rtcp.parse(data)
        except MalformedError:
            self.refused["malformed"] += 1
            return
        self._keeper.heard_rtcp(session, packets)
        listener = self.listeners.get(session.id)
        if listener is not None:
            listener.on_rtcp(packets, self._engine, now)
        publisher = self.publishers.get(session.id)
        if publisher is not None:
            publisher.on_rtcp(packets, now)
        if any(isinstance(packet, rtcp.Goodbye) for packet in packets):
            self.close(session, "goodbye", now)

    def _on_connected(self, session: Session, connected: Connected, now: float) -> None:
        session.connected_at = now
        self._joining.pop(session.id, None)
        self.joins[session.kind] += 1
        self.join_seconds.observe(now - session.created)
        listener = self.listeners.get(session.id)
        if listener is not None and session.port is not None:
            if self.table.full:
                self.close(session, "table_full", now)
                return
            address = session.port.pack(connected.remote)
            listener.start(self.table, connected.keys, session.port.fd, address)
            self._reporter.welcome(listener, self._wall())
            if not self._keeper.admit(listener, now):
                self._unkept[session.id] = session
        log.info(
            "%s connected in %.0f ms",
            session,
            1e3 * (now - session.created),
            extra={"session": session.id},
        )

    def _on_moved(self, session: Session, address: Address) -> None:
        if session.port is not None:
            self._keeper.moved(session, session.port)
        listener = self.listeners.get(session.id)
        if listener is not None and listener.row is not None and session.port is not None:
            self.table.set_address(listener.row, session.port.fd, session.port.pack(address))

    def _own(self, session: Session, source: bytes) -> None:
        """Datagrams from `source` are `session`'s from now on; a check has proved it."""
        session.sources.pop(source, None)
        session.sources[source] = None
        self._by_source[source] = session
        if len(session.sources) > SOURCES:
            oldest = next(iter(session.sources))
            del session.sources[oldest]
            if self._by_source.get(oldest) is session:
                del self._by_source[oldest]

    def _remember(self, source: bytes) -> Address:
        """The text form of a packed address; the cache is emptied when it grows beyond what is alive."""
        if len(self._addresses) > 4 * self.table.capacity:
            self._addresses.clear()
        address = self._addresses[source] = sockaddr.unpack(source)
        return address

    def _scan_timers(self, now: float) -> None:
        """Look at the timers of connected listeners: of those the kernel keeps up, only at those gone quiet."""
        if now < self._next_scan:
            return
        self._next_scan = now + TIMER_SCAN_S
        for session in self._keeper.quiet(now):
            self._on_session_timer(session, now)
        for session in list(self._unkept.values()):
            if self._keeper.admit(self.listeners[session.id], now):
                del self._unkept[session.id]
            else:
                self._on_session_timer(session, now)

    def _on_session_timer(self, session: Session, now: float) -> None:
        deadline = session.peer.next_deadline()
        if deadline is not None and deadline <= now:
            session.peer.on_timeout(now)
        self._drain(session, now, 0.0)
