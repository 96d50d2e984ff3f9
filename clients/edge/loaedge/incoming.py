"""The RTP of a listener without its sockets: order, requests for what is missing, reports, counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loacodecs import rtcp, rtp
from loacodecs.errors import MalformedError
from loacodecs.jitter import Insertion, ReorderBuffer
from loacodecs.nack import NackScheduler
from loacodecs.rtp import RtpPacket, SequenceUnwrapper

from .feedback import Feedback

HOLD_S = 0.6
"""How long a gap may hold back what follows: room for several requests over a rural mobile link."""
NACK_INTERVAL_S = 0.12


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet in its place: extended sequence number, and when it came (monotonic seconds)."""

    sequence: int
    packet: RtpPacket
    at: float


class IncomingStream:
    """One stream of Opus packets on its way from a relay; bounded in memory whatever comes.

    Feed `on_rtp` and `on_rtcp`; then `pop` arrivals in order and `poll_rtcp` for what to send, until both
    give None; come back at `next_deadline`.
    """

    def __init__(
        self,
        *,
        ssrc: int,
        cname: str,
        payload_type: int,
        nack: bool,
        random: Callable[[int], bytes],
        hold_s: float = HOLD_S,
        capacity: int = 256,
    ) -> None:
        """`ssrc` and `cname` are the listener's own; `nack` tells whether the relay answers requests."""
        self.packets = 0
        self.recovered = 0
        """Packets that came on request and in time."""
        self.refused = 0
        """Datagrams that were no packet of this stream."""
        self.gone = False
        """The relay said BYE."""
        self._feedback = Feedback(ssrc, cname, random)
        self._payload_type = payload_type
        self._nack_accepted = nack
        self._hold_s = hold_s
        self._capacity = capacity
        self._lost_before = 0
        self._begin()

    def _begin(self) -> None:
        self._unwrapper = SequenceUnwrapper()
        self._buffer = ReorderBuffer[tuple[float, RtpPacket]](self._capacity, self._hold_s)
        self._nack = NackScheduler(
            max_age_s=self._hold_s, max_outstanding=self._capacity // 2, min_interval_s=NACK_INTERVAL_S
        )

    @property
    def lost(self) -> int:
        """Packets that did not come in time to be heard."""
        return self._lost_before + self._buffer.skipped

    @property
    def jitter_s(self) -> float:
        """Interarrival jitter (RFC 3550 §6.4.1)."""
        return self._feedback.statistics.jitter

    def on_rtp(self, data: bytes, now: float) -> None:
        """Take a datagram that SRTP has authenticated; never raises."""
        try:
            packet = rtp.parse(data)
        except MalformedError:
            self.refused += 1
            return
        if packet.payload_type != self._payload_type or not packet.payload:
            self.refused += 1
            return
        if packet.ssrc != self._feedback.source:
            self._change_source(packet.ssrc, now)
        sequence = self._unwrapper.unwrap(packet.sequence)
        self._feedback.statistics.on_packet(packet.sequence, packet.timestamp, now)
        tried = self._nack.recovered
        self._nack.on_packet(sequence, now)
        if self._buffer.insert(sequence, (now, packet), now) is Insertion.ACCEPTED:
            self.packets += 1
            self.recovered += self._nack.recovered - tried

    def on_rtcp(self, data: bytes, now: float) -> None:
        """Take a compound RTCP datagram; never raises."""
        try:
            packets = rtcp.parse(data)
        except MalformedError:
            self.refused += 1
            return
        for packet in packets:
            if isinstance(packet, rtcp.SenderReport) and packet.ssrc == self._feedback.source:
                self._feedback.statistics.on_sender_report(packet.ntp, now)
            elif isinstance(packet, rtcp.Goodbye):
                self.gone = self.gone or self._feedback.source in packet.ssrcs

    def pop(self, now: float) -> Arrival | None:
        """The next packet in order; None while there is none or a gap may still be filled."""
        entry = self._buffer.pop(now)
        return None if entry is None else Arrival(entry[0], entry[1][1], entry[1][0])

    def drain(self) -> list[Arrival]:
        """What is left at the end, in order, gaps or not."""
        return [Arrival(sequence, packet, at) for sequence, (at, packet) in self._buffer.drain()]

    def poll_rtcp(self, now: float) -> bytes | None:
        """RTCP to send at `now`: a report with the CNAME, a request for missing packets, or nothing (None)."""
        if (report := self._feedback.due(now)) is not None:
            return report
        if self._nack_accepted and (wanted := self._nack.due(now)):
            return self._feedback.request(wanted)
        return None

    def goodbye(self, now: float) -> bytes:
        """The last compound packet: report, CNAME and BYE."""
        return self._feedback.goodbye(now)

    def next_deadline(self) -> float | None:
        """When `pop` or `poll_rtcp` will have something to do (monotonic seconds)."""
        moments = [self._buffer.next_deadline(), self._feedback.next_report]
        if self._nack_accepted:
            moments.append(self._nack.next_deadline())
        return min((moment for moment in moments if moment is not None), default=None)

    def _change_source(self, source: int, now: float) -> None:
        """Follow another SSRC, which a relay that is not Loa may begin to send."""
        if self._feedback.source is not None:
            self._lost_before = self.lost + len(self._buffer)
            self._begin()
        self._feedback.follow(source, now)
