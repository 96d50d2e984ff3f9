"""A channel: one continuous Opus stream, alive whether or not a source is on air."""

from __future__ import annotations

from collections.abc import Hashable

from loacodecs import rtp
from relay.channels.capture import CaptureClock
from relay.channels.history import PacketHistory
from relay.channels.ingest import Ingest
from relay.channels.timeline import Timeline
from relay.net.fanout import Group, Packet
from relay.net.kernel import MAX_PAYLOAD

CAPTURE_INTERVAL_S = 1.0
"""Packets carry abs-capture-time this often, and always after a splice; between, receivers count samples."""


class Channel:
    """Decides what of its source goes out, and as which packet; sending is the caller's.

    `capacity` is the number of rows its group can hold, `history` how many packets can be retransmitted,
    `first_timestamp` a random 32-bit start (RFC 3550 §5.1).
    """

    def __init__(
        self, name: str, *, title: str = "", public: bool = False, origin: str = "", media_timeout: float =
        2.0, capacity: int = 5_000, history: int = 256, first_timestamp: int = 0,
    ) -> None:  # fmt: skip
        self.name = name
        self.title = title or name
        self.public = public
        self.origin = origin
        """The address the channel is pulled from, without secrets; empty for channels that are published
        to."""
        self.media_timeout = media_timeout
        self.group = Group(capacity)
        self.history = PacketHistory(history)
        self.timeline = Timeline(first_timestamp)
        self.capture = CaptureClock()
        self.source: Hashable | None = None
        """Who may feed the channel now; at most one."""
        self.source_since = 0.0
        self.last_packet = -1e9
        self.level_dbov: float | None = None
        self.capture_delay_s: float | None = None
        """How old the sound was when it arrived here: what relays before this one, and jitter, have cost."""
        self.packets_in = 0
        self.octets_in = 0
        self.packets_out = 0
        self.switches = 0
        self.oversized = 0
        self.lost = 0
        self.duplicates = 0
        self.late = 0
        self.nacks_sent = 0
        self.nacks_received = 0
        self.nacks_refused = 0
        self.retransmitted = 0
        self._capture_due = 0.0

    def on_air(self, now: float) -> bool:
        """Whether packets came within the media timeout."""
        return now - self.last_packet <= self.media_timeout

    def free_for(self, source: Hashable, now: float) -> bool:
        """Whether `source` may feed the channel: nobody does, or who did has fallen silent."""
        if self.source is None or self.source == source:
            return True
        return now - max(self.last_packet, self.source_since) > self.media_timeout

    def take(self, source: Hashable, now: float) -> None:
        """Make `source` the one that feeds the channel."""
        self.source = source
        self.source_since = now

    def release(self, source: Hashable, ingest: Ingest) -> None:
        """`source` feeds the channel no more; listeners stay, and what its ingest counted."""
        self.lost += ingest.lost
        self.duplicates += ingest.duplicates
        self.late += ingest.late
        self.nacks_sent += ingest.nacks_sent
        if self.source == source:
            self.source = None
            self.level_dbov = None

    def on_packet(
        self, source: Hashable, ingest: Ingest, packet: rtp.RtpPacket, now: float, arrival: float
    ) -> Packet | None:
        """What to send to the group for a packet of `source`, or None.

        `now` is monotonic, `arrival` unix seconds. A source that fell silent and lost the channel meanwhile
        is not heard; one that comes back to a free channel is.
        """
        if self.source != source:
            if not self.free_for(source, now):
                return None
            self.take(source, now)
        if len(packet.payload) > MAX_PAYLOAD or not packet.payload:
            self.oversized += 1
            return None
        if not ingest.accept(packet, now):
            return None
        position = self.timeline.place(source, packet.ssrc, packet.sequence, packet.timestamp, now)
        if position is None:
            return None
        if position.spliced:
            self.switches += 1
            self.capture.reset()
            self._capture_due = 0.0
        self._follow(ingest, packet, position.timestamp, now, arrival)
        capture = 0
        if now >= self._capture_due:
            self._capture_due = now + CAPTURE_INTERVAL_S
            captured = self.capture.capture(position.timestamp)
            if captured is not None:
                capture = rtp.ntp_from_unix(captured)
                self.capture_delay_s = arrival - captured
        out = Packet(
            position.sequence,
            position.timestamp,
            packet.payload,
            packet.marker or position.spliced,
            capture,
        )
        self.history.add(position.sequence, out)
        return out

    def on_sender_report(self, source: Hashable, ssrc: int, timestamp: int, captured: float) -> None:
        """An upstream relay's sender report: `timestamp` of its stream was captured at `captured` (unix
        seconds)."""
        mine = self.timeline.translate(source, ssrc, timestamp) if source == self.source else None
        if mine is not None:
            self.capture.on_statement(mine, captured)

    def extend(self, sequence: int) -> int:
        """The extended number of a 16-bit channel sequence near the newest packet."""
        newest = self.timeline.sequence
        return newest + rtp.sequence_delta(sequence, newest & 0xFFFF)

    def _follow(
        self, ingest: Ingest, packet: rtp.RtpPacket, timestamp: int, now: float, arrival: float
    ) -> None:
        self.last_packet = now
        self.level_dbov = ingest.level_dbov
        self.packets_in += 1
        self.octets_in += len(packet.payload)
        captured = ingest.captured(packet)
        if captured is not None:
            self.capture.on_statement(timestamp, captured)
        else:
            self.capture.on_arrival(timestamp, arrival)
