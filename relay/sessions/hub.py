"""The hub: gives each datagram to its session, media first, and looks after the sessions' lives.

Everything here runs in the media thread, and only for what compiled code left (see `relay.net.watch`): the ordinary
packets of a publisher have gone out when they are booked here. Other media is handled as it arrives; all else
(connectivity checks, handshakes, RTCP) waits in a bounded queue for the reactor's work budget, so that a
thousand joins cannot make the sound late.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from loacodecs import rtcp
from loacodecs.address import Address
from loacodecs.errors import MalformedError
from loacodecs.peer import Closed, Connected, RemoteChanged, Rtcp, Rtp, Transmit
from loacodecs.rtp import ntp_from_unix
from relay.channels.channel import Channel
from relay.net.fanout import FanoutEngine, FanoutTable, Packet, Sent
from relay.net.forward import SOURCES, SourceTable
from relay.net.histogram import HistogramCounter
from relay.net.port import UdpPort
from relay.net.upkeep_kernel import DONE, LEFT
from relay.net.watch import Batch
from relay.sessions.accounts import Accounts
from relay.sessions.deliveries import Deliveries
from relay.sessions.directory import Directory
from relay.sessions.keeper import Keeper
from relay.sessions.listener import Listener
from relay.sessions.publisher import Publisher
from relay.sessions.reports import Reporter
from relay.sessions.session import Session

log = logging.getLogger("loa.sessions")

DEFERRED = 16_384
"""Datagrams that may wait for the work budget; the oldest is dropped."""

HANDSHAKE_SCAN_S = 0.01
HANDSHAKE_SCAN_EACH_S = 100e-6
"""Timers of handshakes are looked at this often, and more rarely the more there are: 3,000 who join at once must not be
kept from joining by being looked at. A peer that repeats itself is answered at once and waits for none of them."""

TIMER_SCAN_S = 1.0
"""Consent is a matter of tens of seconds; to look at it more often would be waste."""


class _Waiting(NamedTuple):
    port: UdpPort
    data: bytes
    source: bytes
    arrival: float
    session: Session | None = None
    """Whose RTCP it is, where compiled code has opened it."""


class Hub:
    """All sessions of the relay. A `reactor.Handler`."""

    def __init__(
        self, table: FanoutTable, engine: FanoutEngine, reporter: Reporter, *,
        wall: Callable[[], float] = time.time, sources: int = SOURCES,
    ) -> None:  # fmt: skip
        """Up to `sources` publishers have their ordinary packets forwarded by compiled code, the others by Python."""
        self.table = table
        self.channels: dict[str, Channel] = {}
        self.sessions: dict[str, Session] = {}
        self.listeners: dict[str, Listener] = {}
        self.publishers: dict[str, Publisher] = {}
        self.refused: Counter[str] = Counter()
        """Datagrams dropped, by reason: of all sessions there are and were."""
        self.joins: Counter[str] = Counter()
        self.leaves: Counter[str] = Counter()
        """Sessions ended, by reason."""
        self.batch_seconds = HistogramCounter()
        self.join_seconds = HistogramCounter()
        self.send_drops = 0
        self._engine = engine
        self._keeper = Keeper(table.capacity)
        self.upkeep = self._keeper.upkeep
        self.sources = SourceTable(sources)
        """Of publishers, for the compiled way."""
        self.deliveries = Deliveries(table, engine, self.batch_seconds, self._keeper.read_report)
        """Of renditions that are not plain."""
        self._accounts = Accounts(self.sources, self._on_sent)
        self._directory = Directory(table.capacity, self.refused)
        self._reporter = reporter
        self._wall = wall
        self._joining: dict[str, Session] = {}
        self._deferred: deque[_Waiting] = deque(maxlen=DEFERRED)
        self._unkept: dict[str, Session] = {}
        """Connected listeners that the kernel does not keep up."""
        self._next_scan = 0.0
        self._next_handshake_scan = 0.0

    @property
    def compiled(self) -> int:
        """Packets of publishers that compiled code forwarded."""
        return self._accounts.booked

    @property
    def misnumbered(self) -> int:
        """Those of them that went out under other numbers than the books give them; there should be none."""
        return self._accounts.mismatches

    def read_reports(self) -> None:
        """Bring the qualities of all listeners up to date; also from another thread."""
        for listener in list(self.listeners.values()):
            self._keeper.read_report(listener)

    # -- sessions

    def add(self, session: Session, role: Publisher | Listener) -> None:
        """Take `session` in; it is found by its user fragment, or by its own port if it has one.

        What it and its peer refuse is counted in `refused` from now on.
        """
        session.peer.refused = self.refused
        self.sessions[session.id] = session
        self._joining[session.id] = session
        self._directory.add(session)
        if isinstance(role, Publisher):
            role.refused = self.refused
            session.channel.admit(role.ingest)
            self.publishers[session.id] = role
        else:
            self.listeners[session.id] = role

    def rename(self, session: Session) -> None:
        """The session's ICE credentials changed (ICE restart); the ones before serve until the new are used."""
        self._keeper.dismiss(session)
        if session.connected_at is not None and session.id in self.listeners:
            self._unkept[session.id] = session
        self._accounts.pause(session)
        self._directory.rename(session)

    def close(self, session: Session, reason: str, now: float, detail: str = "") -> None:
        """End `session`: say goodbye, free its row, forget its addresses. Safe to call twice."""
        if session.closed:
            return
        session.closed = True
        self._keeper.dismiss(session)
        self._accounts.dismiss(session)
        listener = self.listeners.pop(session.id, None)
        if listener is not None:
            if listener.row is not None:
                self._reporter.goodbye(listener, self._wall())
            listener.stop(self.table)
            self.deliveries.left(listener)
        publisher = self.publishers.pop(session.id, None)
        if publisher is not None:
            publisher.release()
        session.peer.close(now)
        self._drain(session, now, 0.0)
        self.sessions.pop(session.id, None)
        self._joining.pop(session.id, None)
        self._unkept.pop(session.id, None)
        self._directory.remove(session)
        self.leaves[reason] += 1
        why = f"{reason} ({detail})" if detail else reason
        log.info("%s ended: %s", session, why, extra={"session": session.id})
        if session.on_closed is not None:
            session.on_closed(reason)

    def remove_channel(self, channel: Channel, now: float) -> None:
        """End every session of `channel` and forget it."""
        for session in [s for s in self.sessions.values() if s.channel is channel]:
            self.close(session, "channel_removed", now)
        if self.channels.get(channel.name) is channel:
            del self.channels[channel.name]

    def close_all(self, reason: str, now: float) -> None:
        """End every session, with BYE."""
        for session in list(self.sessions.values()):
            self.close(session, reason, now)

    # -- reactor.Handler

    def settle(self) -> None:
        """Book what compiled code sent."""
        self._accounts.settle()

    def on_batch(self, batch: Batch) -> None:
        """Look one by one at the datagrams that compiled code left."""
        for index, fate in enumerate(batch.fates):
            if fate == DONE:
                continue
            data, source, arrival = batch.receiver.datagram(index)
            if fate == LEFT:
                self.on_datagram(batch.port, data, source, batch.now, arrival)
            elif (session := self._directory.by_address(-1, source)) is not None:
                self._defer(_Waiting(batch.port, data, source, arrival, session))

    def on_datagram(self, port: UdpPort, data: bytes, source: bytes, now: float, arrival: float) -> None:
        """Media of a known publisher goes out at once; everything else waits its turn."""
        if len(data) > 1 and 128 <= data[0] <= 191 and not 192 <= data[1] <= 223:
            session = self._directory.by_address(port.fd, source)
            if session is None:
                self.refused["unchecked_address"] += 1
                return
            self._accounts.pause(session)
            self._feed(session, data, source, now, arrival)
            if (publisher := self.publishers.get(session.id)) is not None:
                self._accounts.arm(publisher, source, port.fd)
            return
        self._defer(_Waiting(port, data, source, arrival))

    def work(self, now: float) -> bool:
        """Handle one deferred datagram."""
        if not self._deferred:
            return False
        waiting = self._deferred.popleft()
        if waiting.session is not None:
            if not waiting.session.closed:
                self._on_rtcp(waiting.session, waiting.data, now, waiting.arrival)
            return True
        session = self._directory.find(waiting.port.fd, waiting.data, waiting.source)
        if session is not None and not session.closed:
            if session.port is None or session.kind != "pull":
                session.port = waiting.port
            self._feed(session, waiting.data, waiting.source, now, waiting.arrival)
        return True

    def on_tick(self, now: float) -> None:
        """Timers: handshakes, reports, retransmission requests, consent."""
        if now >= self._next_handshake_scan:
            self._next_handshake_scan = now + HANDSHAKE_SCAN_S + HANDSHAKE_SCAN_EACH_S * len(self._joining)
            for session in list(self._joining.values()):
                self._on_session_timer(session, now)
        for publisher in list(self.publishers.values()):
            if publisher.session.connected_at is not None:
                self._accounts.collect(publisher.session)
                publisher.on_timer(now)
                self._on_session_timer(publisher.session, now)
        self.deliveries.on_tick(now)
        self._reporter.on_tick(self.channels.values(), now, self._wall())
        self._scan_timers(now)

    def pending(self) -> bool:
        """Whether somebody joins, or a packet is missing that its source is to be asked for."""
        return bool(self._joining) or any(publisher.ingest.waiting for publisher in self.publishers.values())

    def deadline(self) -> float | None:
        """When the next tick is wanted at the latest, None when that does not matter."""
        return self.deliveries.deadline()

    # -- inside

    def _defer(self, waiting: _Waiting) -> None:
        if len(self._deferred) == DEFERRED:
            self.refused["queue_full"] += 1
        self._deferred.append(waiting)

    def _feed(self, session: Session, data: bytes, source: bytes, now: float, arrival: float) -> None:
        session.peer.receive(now, data, self._directory.text(source))
        check = data[:1] < b"\x04" and session.kind != "pull"  # several pulls share their upstream's address
        self._drain(session, now, arrival, source if check else b"")

    def _drain(self, session: Session, now: float, arrival: float, checked: bytes = b"") -> None:
        """Carry out what the peer decided. `checked` is the source of a connectivity check it may have
        answered."""
        peer = session.peer
        while (output := peer.poll()) is not None:
            if isinstance(output, Rtp):
                self._on_media(session, output.data, now, arrival)
            elif isinstance(output, Transmit):
                asked = checked and output.addr == self._directory.text(checked)
                if asked and not self._own(session, checked, now):
                    continue  # who asks rightly asks again
                if (port := session.port_to(output.addr)) is not None:
                    port.send(output.data, output.addr)
            elif isinstance(output, Rtcp):
                self._on_rtcp(session, output.data, now, arrival)
            elif isinstance(output, Connected):
                self._on_connected(session, output, now)
            elif isinstance(output, RemoteChanged):
                self._on_moved(session, output.addr)
            elif isinstance(output, Closed):
                self.close(session, output.reason, now, output.detail)

    def _on_media(self, session: Session, data: bytes, now: float, arrival: float) -> None:
        if (publisher := self.publishers.get(session.id)) is None:
            self.refused["unexpected_media"] += 1
            return
        if publisher.preempts:
            self._preempt(publisher, now)
        packet = publisher.on_rtp(data, now, arrival or self._wall())
        if publisher.ingest.waiting:
            publisher.on_timer(now)
        if packet is not None:
            self.send(session.channel, packet, now)

    def send(self, channel: Channel, packet: Packet, now: float) -> None:
        """Send a packet of a channel to all who hear it. What came through no session (a mix) is sent so, too."""
        outcome, seconds = Sent(0, 0, 0), 0.0
        if channel.group.count:
            began = time.perf_counter()
            outcome = self._engine.send(channel.group, packet)
            seconds = time.perf_counter() - began
        self._on_sent(channel, packet, outcome, seconds, now)

    def _on_sent(self, channel: Channel, packet: Packet, outcome: Sent, seconds: float, now: float) -> None:
        """Count what became of a packet, and give it to who else wants the channel's packets."""
        if outcome.sent or outcome.dropped or outcome.failed:
            self.batch_seconds.observe(seconds)
            channel.sent["plain"] += outcome.sent
            self.send_drops += outcome.dropped + outcome.failed
        for tap in channel.taps:
            tap(packet, now)

    def _preempt(self, publisher: Publisher, now: float) -> None:
        """The first sound of a publisher that asked to replace whoever is on air: only now does the other stop."""
        publisher.preempts = False
        other = publisher.session.channel.source
        publisher.take(now)
        if isinstance(other, Publisher) and other is not publisher:
            self.close(other.session, "replaced", now)

    def _on_rtcp(self, session: Session, data: bytes, now: float, arrival: float) -> None:
        listener = self.listeners.get(session.id)
        if listener is not None and listener.reading.admit(now):
            self.refused["rtcp_flood"] += 1
            return
        try:
            packets = rtcp.parse(data)
        except MalformedError:
            self.refused["malformed"] += 1
            return
        self._keeper.heard_rtcp(session, packets)
        if listener is not None:
            listener.on_rtcp(packets, self._engine, now, ntp_from_unix(self._wall()))
            self._reporter.answer(listener, packets, self.refused, now, self._wall(), arrival)
        if (publisher := self.publishers.get(session.id)) is not None:
            publisher.on_rtcp(packets, now)
        if any(isinstance(packet, rtcp.Goodbye) for packet in packets):
            self.close(session, "goodbye", now)

    def _on_connected(self, session: Session, connected: Connected, now: float) -> None:
        session.connected_at = now
        self._joining.pop(session.id, None)
        self.joins[session.kind] += 1
        self.join_seconds.observe(now - session.created)
        listener, port = self.listeners.get(session.id), session.port_to(connected.remote)
        if listener is not None and port is not None:
            if self.table.full:
                self.close(session, "table_full", now)
                return
            listener.start(self.table, connected.keys, port.fd, port.pack(connected.remote), now)
            self.deliveries.joined(listener)
            self._reporter.welcome(listener, self._wall())
            listener.recall(self._engine, now)
            if not self._keeper.admit(listener, now):
                self._unkept[session.id] = session
        passed_ms = 1e3 * (now - session.created)
        log.info("%s connected in %.0f ms", session, passed_ms, extra={"session": session.id})

    def _on_moved(self, session: Session, address: Address) -> None:
        if (port := session.port_to(address)) is None:
            return
        self._keeper.moved(session, port)
        listener = self.listeners.get(session.id)
        if listener is not None and listener.row is not None:
            self.table.set_address(listener.row, port.fd, port.pack(address))

    def _own(self, session: Session, source: bytes, now: float) -> bool:
        """Datagrams from `source` are `session`'s from now on; a check has proved it. False: it is in use."""
        before = self._directory.by_address(-1, source)
        self._keeper.tell(before)
        for affected in {before or session, session}:
            self._accounts.pause(affected)
        return self._directory.own(session, source, now)

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
