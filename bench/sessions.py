"""Real WHIP and WHEP sessions by the thousand: full ICE, DTLS and SRTP keys, without a task or a thread each.

One thread owns all peers and turns one loop, `pump`: answers from `bench.signalling`, datagrams that the
receivers' loop handed over, and timers (ICE checks, consent every 5 s, reports). Once the first packet of a
listener was opened, its RTP is only counted, in `bench.drain`; a sample of the listeners goes on opening
every packet and comparing it with what the publisher sent.
"""

from __future__ import annotations

import heapq
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol as Interface

import numpy as np

from bench.errors import BenchError
from bench.histogram import BINS, bin_of, percentile
from bench.publisher import Publishers, Source
from bench.receivers import Arrival, Receivers
from bench.sendlog import identify, payload
from bench.session import Protocol, Session, State
from bench.signalling import Answer, Offer
from bench.under_test import UnderTest
from loacodecs import demux, rtp, srtp
from loacodecs.certificate import Certificate
from loacodecs.errors import LoaError
from loacodecs.peer import Closed, Connected, Rtcp, Rtp, Transmit

RECEIVER_REPORT_PERIOD_S = 5.0
SENDER_REPORT_PERIOD_S = 1.0


# Which publisher and packet an opened packet carries, None if that cannot be told
Identify = Callable[[rtp.RtpPacket], tuple[int, int] | None]


class Exchange(Interface):
    """How offers reach the server: `bench.signalling.Signalling` by WHIP and WHEP."""

    def fileno(self) -> int:
        """Readable while `take` has something."""

    def post(self, offer: Offer) -> None:
        """Queue an offer."""

    def take(self) -> Iterator[Answer]:
        """The answers that have come since the last call."""

    def close(self) -> None:
        """Stop."""


class Sessions:
    """All sessions of a run, in one thread."""

    def __init__(
        self,
        server: UnderTest,
        receivers: Receivers,
        signalling: Exchange,
        *,
        payload_bytes: int,
        frame_ms: int,
        reencoded: Identify | None = None,
        listening: Callable[[int, rtp.RtpPacket, int], None] | None = None,
    ) -> None:
        """`reencoded` is for servers that encode anew: it tells packets apart, since their payload cannot, and
        is then not compared either. `listening` gets the packets that are opened: row, packet, kernel's arrival.
        """
        self._server = server
        self._reencoded = reencoded
        self._listening = listening
        self._receivers = receivers
        self._payload_bytes = payload_bytes
        self._frame_ms = frame_ms
        self._certificate = Certificate.generate("loa-bench")
        self._signalling = signalling
        self._tokens = {"whip": server.token("publish"), "whep": server.token("listen")}
        self._by_row: dict[int, Session] = {}
        self._used: set[int] = set()
        self._timers: list[tuple[float, int]] = []
        self._scheduled: dict[int, float] = {}
        self._report_order: deque[Session] = deque()
        self._next_report = time.monotonic()
        self._next_sender_report = 0.0
        self._publishers: Publishers | None = None
        self._lag = np.zeros(BINS, np.int64)
        self._poll = select.poll()
        self._poll.register(receivers.fileno(), select.POLLIN)
        self._poll.register(self._signalling.fileno(), select.POLLIN)

    def close(self) -> None:
        """Stop the HTTP threads; the relay is told nothing, it drains by itself."""
        self._signalling.close()

    def prepare(
        self, rows: Iterable[int], protocol: Protocol, *, channels: int, samples: int = 0
    ) -> list[Session]:
        """Sessions that have all but posted: keys, sockets, offers. Channels are dealt round robin."""
        prepared = []
        for index, row in enumerate(rows):
            if row in self._used:
                self._receivers.renew(row)
            self._used.add(row)
            session = Session.prepare(
                row,
                self._receivers.address(row),
                index % channels,
                protocol,
                self._certificate,
                sample=index < samples,
            )
            self._by_row[row] = session
            prepared.append(session)
        return prepared

    def begin(self, sessions: Iterable[Session], cohort: int = 0) -> None:
        """Post all offers at once."""
        for session in sessions:
            self._receivers.join(session.row, session.channel, cohort)
            session.state = State.OFFERED
            session.began_ns = time.time_ns()
            path = self._server.path(session.channel, session.protocol)
            self._signalling.post(Offer(session.row, path, self._tokens[session.protocol], session.offer))

    def source(self, session: Session) -> Source:
        """A connected publisher as the pacer needs it."""
        peer = session.peer
        if peer.keys is None or peer.remote is None:
            raise BenchError(f"publisher {session.channel} is not connected: {session.problem}")
        # The pacer's own SRTP session: it alone seals this SSRC's RTP, the peer seals its RTCP
        sender = srtp.Sender(peer.keys, session.ssrc)
        descriptor = self._receivers.sockets[session.row].fileno()
        return Source(descriptor, peer.remote, sender, session.ssrc, session.payload_type)

    def leave(self, session: Session) -> None:
        """Say goodbye by DTLS and forget the session."""
        session.peer.close(time.monotonic())
        self._settle(session, time.monotonic())
        self.drop(session)

    def drop(self, session: Session) -> None:
        """Forget a session without a word, as after a loss of power or of the relay; its receiver is free again."""
        session.fail("left")
        self._by_row.pop(session.row, None)
        self._scheduled.pop(session.row, None)
        self._receivers.retire(session.row)

    def report_for(self, publishers: Publishers) -> None:
        """Send the sender reports of these publishers from now on."""
        self._publishers = publishers

    def wait(self, done: Callable[[], bool], timeout_s: float, watch: Callable[[], None]) -> bool:
        """Turn the loop until `done()`; False when `timeout_s` has passed first. `watch` is called in
        between.
        """
        deadline = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() >= deadline:
                return False
            self.pump(0.02)
            watch()
        return True

    def pump(self, timeout_s: float) -> None:
        """Wait for something to do, at most `timeout_s`, and do all that is due."""
        now = time.monotonic()
        if self._timers:
            timeout_s = min(timeout_s, max(0.0, self._timers[0][0] - now))
        self._poll.poll(timeout_s * 1000)
        for answer in self._signalling.take():
            self._answered(answer)
        for arrival in self._receivers.take():
            self._received(arrival)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            due, row = heapq.heappop(self._timers)
            if self._scheduled.get(row) == due:
                del self._scheduled[row]
                self._lag[bin_of(int((now - due) * 1e9))] += 1
                session = self._by_row[row]
                session.peer.on_timeout(now)
                self._settle(session, now)
        self._report(now)

    def lag_ms(self, share: float) -> float:
        """By how much `share` of the timers at most were late, milliseconds."""
        return (percentile(self._lag, share) or 0) / 1e6

    def forget_lag(self) -> None:
        """Begin to count lateness anew."""
        self._lag[:] = 0

    def _answered(self, answer: Answer) -> None:
        session = self._by_row.get(answer.key)
        now = time.monotonic()
        if session is None or session.state is not State.OFFERED:
            return  # dropped meanwhile
        if answer.sdp is None:
            session.fail(answer.problem)
            return
        try:
            session.answered(answer.sdp, now)
        except LoaError as error:
            session.fail(str(error))
            return
        self._settle(session, now)

    def _received(self, arrival: Arrival) -> None:
        session = self._by_row.get(arrival.row)
        if session is None or session.state is State.FAILED:
            return
        data = arrival.data
        only_counted = session.state is State.HEARD and not session.sample
        if only_counted and demux.kind(data) is demux.Kind.RTP:
            return  # came between its first packet and the change to counting
        now = time.monotonic()
        session.peer.receive(now, data, arrival.address)
        self._settle(session, now, arrival.arrival_ns)

    def _settle(self, session: Session, now: float, arrival_ns: int = 0) -> None:
        """Drain the peer and put its next deadline into the timers."""
        send = self._receivers.sockets[session.row].sendto
        while (output := session.peer.poll()) is not None:
            match output:
                case Transmit(data, address):
                    try:
                        send(data, address)
                    except OSError as error:
                        session.fail(f"sendto: {error.strerror}")
                case Connected():
                    session.connected_ns = arrival_ns or time.time_ns()
                    session.state = State.CONNECTED
                    if session.protocol == "whip":
                        self._receivers.settle(session.row)
                case Rtp(data):
                    self._opened(session, data, arrival_ns)
                case Rtcp(data):
                    session.note_rtcp(data, now)
                case Closed(reason, detail):
                    session.fail(f"session closed: {detail or reason}")
        deadline = session.peer.next_deadline()
        if deadline is not None and deadline < self._scheduled.get(session.row, float("inf")):
            self._scheduled[session.row] = deadline
            heapq.heappush(self._timers, (deadline, session.row))

    def _opened(self, session: Session, data: bytes, arrival_ns: int) -> None:
        """A packet that passed SRTP: the first tells which one it is, those of the sample are compared."""
        packet = rtp.parse(data)
        if self._listening is not None:
            self._listening(session.row, packet, arrival_ns)
        found = self._reencoded(packet) if self._reencoded else identify(packet.payload)
        session.opened += 1
        if found is None or found[0] != session.channel:
            session.wrong += 1
            return
        if not self._reencoded and packet.payload != payload(*found, self._payload_bytes, self._frame_ms):
            session.wrong += 1
        if session.state is not State.HEARD:
            session.state = State.HEARD
            session.source_ssrc = packet.ssrc
            session.base = (packet.timestamp, found[1])
            self._receivers.measure(
                session.row, timestamp=packet.timestamp, counter=found[1], sample=session.sample
            )
            self._report_order.append(session)
            return
        # what `bench.drain` computes from the clear header must be what the payload says
        step = rtp.timestamp_delta(packet.timestamp, session.base[0]) // (48 * self._frame_ms)
        if session.base[1] + step != found[1]:
            session.wrong += 1
        session.base = (packet.timestamp, found[1])

    def _report(self, now: float) -> None:
        """Receiver reports spread evenly over their period, and sender reports."""
        while self._report_order and self._next_report <= now:
            self._next_report += RECEIVER_REPORT_PERIOD_S / len(self._report_order)
            session = self._report_order.popleft()
            if session.state is State.HEARD:
                self._report_order.append(session)
                session.peer.send_rtcp(session.receiver_report(self._receivers.table, now))
                self._settle(session, now)
        if not self._report_order:
            self._next_report = now
        if self._publishers is not None and self._next_sender_report <= now:
            self._next_sender_report = now + SENDER_REPORT_PERIOD_S
            for session in self._by_row.values():
                if session.protocol == "whip" and session.state is State.CONNECTED:
                    self._send_sender_report(session, self._publishers, now)

    def _send_sender_report(self, session: Session, publishers: Publishers, now: float) -> None:
        timestamp = publishers.rtp_timestamp(session.channel, time.monotonic_ns())
        packets = publishers.packets(session.channel)
        octets = packets * self._payload_bytes
        session.peer.send_rtcp(session.sender_report(timestamp, packets, octets, time.time()))
        self._settle(session, now)
