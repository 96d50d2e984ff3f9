"""What arrives from one source: duplicates, loss, level, and what to ask the source for again."""

from __future__ import annotations

from loacodecs import rtcp, rtp
from loacodecs.nack import NackScheduler
from relay.channels.timeline import MAX_DROPOUT

DUPLICATE_WINDOW = 256
"""Packets behind the newest whose numbers are remembered; older ones are late and dropped."""

LOST_BEHIND = 50
"""A packet missing so many behind the newest counts as lost: half a second of 10 ms, and no longer asked for."""

REPORT_INTERVAL_S = 1.0
"""Receiver reports to the source: publish pages derive 'the relay hears you' from them."""


class Ingest:
    """Counts and filters the packets of one RTP source.

    `nack` says whether the source answers retransmission requests (RFC 4585); `level_id` is the id of its
    audio level extension (RFC 6464) or 0; `capture_id` that of abs-capture-time, used only for sources whose
    clock is another relay's.
    """

    def __init__(self, *, nack: bool, level_id: int = 0, capture_id: int = 0, report_ssrc: int = 1) -> None:
        self.statistics = rtcp.ReceptionStatistics()
        self.level_dbov: float | None = None
        self.packets = 0
        self.octets = 0
        self.duplicates = 0
        self.late = 0
        self.lost = 0
        """Packets the source sent that did not come in time; it never falls, so what may still come is not in it."""
        self.nacks_sent = 0
        self.ssrc: int | None = None
        self._level_id = level_id
        self._capture_id = capture_id
        self._report_ssrc = report_ssrc
        self._unwrapper = rtp.SequenceUnwrapper()
        self._scheduler = NackScheduler() if nack else None
        self._first = 0
        self._highest = -1
        self._seen = 0
        self._next_report = 0.0

    @property
    def waiting(self) -> bool:
        """Whether packets are missing that the source can still be asked for."""
        return self._scheduler is not None and self._scheduler.outstanding > 0

    @property
    def following(self) -> int | None:
        """The 16-bit sequence number after the newest, None before the first packet."""
        return (self._highest + 1) & 0xFFFF if self._seen else None

    def accept(self, packet: rtp.RtpPacket, now: float) -> bool:
        """Whether to forward `packet`: False for duplicates and for what is too late to matter."""
        if packet.ssrc != self.ssrc:
            self._restart(packet.ssrc)
        extended = self._unwrapper.unwrap(packet.sequence)
        if not self._is_new(extended):
            return False
        self.packets += 1
        self.octets += len(packet.payload)
        self.statistics.on_packet(packet.sequence, packet.timestamp, now)
        if self._scheduler is not None:
            self._scheduler.on_packet(extended, now)
        if self._level_id:
            value = packet.extension_value(self._level_id)
            level = rtp.audio_level(value) if value is not None else None
            if level is not None:
                self.level_dbov = float(level[1])
        return True

    def end(self) -> None:
        """The source has ended: what is missing does not come any more."""
        self._count_lost(LOST_BEHIND)
        self._first = self._highest + 1

    def captured(self, packet: rtp.RtpPacket) -> float | None:
        """The capture time the packet itself carries, in unix seconds."""
        if not self._capture_id:
            return None
        value = packet.extension_value(self._capture_id)
        ntp = rtp.capture_time(value) if value is not None else None
        return rtp.unix_from_ntp(ntp) if ntp else None

    def due(self, now: float) -> bytes | None:
        """RTCP to send to the source now: receiver report each second, NACK when something is missing."""
        if self.ssrc is None:
            return None
        packets: list[rtcp.Packet] = []
        lost = self._scheduler.due(now) if self._scheduler is not None else []
        if lost or now >= self._next_report:
            report = self.statistics.report(self.ssrc, now)
            packets.append(rtcp.ReceiverReport(self._report_ssrc, (report,)))
        if now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL_S
            packets.append(rtcp.SourceDescription(self._report_ssrc, "loa"))
        if lost:
            self.nacks_sent += len(lost)
            numbers = tuple(sequence & 0xFFFF for sequence in lost)
            packets.append(rtcp.Nack(self._report_ssrc, self.ssrc, numbers))
        return rtcp.serialize(packets) if packets else None

    def _restart(self, ssrc: int) -> None:
        self.end()
        self.ssrc = ssrc
        self._unwrapper = rtp.SequenceUnwrapper()
        self.statistics = rtcp.ReceptionStatistics()
        if self._scheduler is not None:
            self._scheduler = NackScheduler()
        self._highest = -1
        self._seen = 0

    def _count_lost(self, ahead: int) -> None:
        """Count what is missing among the numbers that a step of `ahead` leaves `LOST_BEHIND`."""
        known = min(LOST_BEHIND, self._highest - self._first + 1)
        missing = ~self._seen & ((1 << known) - 1)
        self.lost += (missing >> max(0, LOST_BEHIND - ahead)).bit_count()
        if ahead > MAX_DROPOUT:
            self._first = self._highest + ahead
        else:
            self.lost += max(0, ahead - LOST_BEHIND)

    def _is_new(self, extended: int) -> bool:
        if not self._seen:
            self._first = self._highest = extended
            self._seen = 1
            return True
        ahead = extended - self._highest
        if ahead > 0:
            self._count_lost(ahead)
            self._seen = ((self._seen << min(ahead, DUPLICATE_WINDOW)) | 1) & ((1 << DUPLICATE_WINDOW) - 1)
            self._highest = extended
            return True
        if -ahead >= DUPLICATE_WINDOW:
            # A source that started afresh is far behind for good; the timeline splices it.
            if -ahead > MAX_DROPOUT:
                self.end()
                self._first = self._highest = extended
                self._seen = 1
                return True
            self.late += 1
            return False
        bit = 1 << -ahead
        if self._seen & bit:
            self.duplicates += 1
            return False
        self._seen |= bit
        return True
