"""One WHEP session's RTP on its way to the line: order does not matter here, only time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

from loacodecs import red, rtcp, rtp
from loacodecs.errors import MalformedError
from loacodecs.opus import SAMPLE_RATE, is_dtx
from loacodecs.rtp import RtpPacket, timestamp_delta

from ..feedback import Feedback
from .frames import Insertion, take_apart
from .line import Line
from .repair import RoundTrip
from .stream import Stream, Unit

REPORT_INTERVAL_S: Final = 4.0
SUCCESSOR_SAMPLES: Final = 2 * SAMPLE_RATE
"""How far after the first packet of a fresh stream the second may begin."""
PENDING: Final = 256
"""Packets that wait for their stream's place to be found; the oldest goes first."""
SEARCH_INTERVAL_S: Final = 0.1


class Fate(Enum):
    """How a packet came."""

    ORIGINAL = "original"
    OVERTAKEN = "overtaken"
    """Later than packets after it."""
    LATE = "late"
    """Before all packets after it, and after it had been asked for: nothing tells whether it had been lost."""
    ANSWER = "answer"
    """On request."""
    COPY = "copy"
    """What it brings was here."""


class Source:
    """Packets of one session; feed `on_rtp` and `on_rtcp`, send what `poll_rtcp` gives until it gives None.

    Come back at `next_deadline`. Made by `Playout.open`. Nothing that arrives raises.
    """

    def __init__(
        self,
        name: str,
        line: Line,
        *,
        payload_type: int,
        red_payload_type: int | None,
        nack: bool,
        ssrc: int,
        cname: str,
        random: Callable[[int], bytes],
        capture_extension: int = 0,
    ) -> None:
        self.name = name
        self.gone = False
        """The relay said BYE."""
        self.round_trip = RoundTrip()
        self._line = line
        self._payload_type = payload_type
        self._red_payload_type = red_payload_type
        self._nack = nack
        self._capture_extension = capture_extension
        self._random = random
        self._feedback = Feedback(ssrc, cname, random, REPORT_INTERVAL_S)
        self._stream: Stream | None = None
        self._pending: deque[Unit] = deque(maxlen=PENDING)
        self._search_at = 0.0
        self._doubtful: tuple[RtpPacket, float] | None = None
        self._early: tuple[int, int, float] | None = None  # a sender report before its stream's first packet
        self._active = False

    def on_rtp(self, data: bytes, now: float) -> None:
        """Take a datagram that SRTP has authenticated; never raises."""
        self._line.now = now
        try:
            packet = rtp.parse(data)
        except MalformedError:
            self._line.stats.refused += 1
            return
        kind = packet.payload_type
        if (kind != self._payload_type and kind != self._red_payload_type) or not packet.payload:
            self._line.stats.refused += 1
            return
        stream = self._stream
        if (
            stream is None
            or packet.ssrc != stream.ssrc
            or not stream.follows(packet.sequence, packet.timestamp, now)
        ):
            stream = self._begin(packet, now)
            if stream is None:
                return
        self._take(stream, packet, now)

    def on_rtcp(self, data: bytes, now: float) -> None:
        """Take a compound RTCP datagram; never raises."""
        self._line.now = now
        try:
            packets = rtcp.parse(data)
        except MalformedError:
            self._line.stats.refused += 1
            return
        for packet in packets:
            if isinstance(packet, rtcp.SenderReport):
                self._on_sender_report(packet, now)
            elif isinstance(packet, rtcp.Goodbye) and self._feedback.source in packet.ssrcs:
                self.gone = True

    def poll_rtcp(self, now: float) -> bytes | None:
        """RTCP to send at `now`: a report (none while nothing comes), a request for packets, or None."""
        self._line.now = now
        if (report := self._feedback.due(now)) is not None:
            if not self._active:
                self._feedback.next_report = None
            self._active = False
            return report
        stream = self._stream
        if stream is None or stream.shift is None:
            return None
        wanted = self._overdue(stream, stream.shift, now) or self._missing(stream, stream.shift, now)
        self._line.stats.requests += len(wanted)
        return self._feedback.request(wanted) if wanted else None

    def _overdue(self, stream: Stream, shift: int, now: float) -> list[int]:
        """What to ask for before anything shows that it is lost."""
        line = self._line
        if not self._nack:
            return []
        return stream.overdue.due(
            now,
            lambda media: line.deadline(media + shift),
            lambda begin, end: _moved(line.absent(begin + shift, end + shift), -shift),
        )

    def _missing(self, stream: Stream, shift: int, now: float) -> list[int]:
        """What to ask for of that which is lost."""
        if not stream.repair:
            return []
        line = self._line
        wanted, given_up, elsewhere = stream.repair.due(
            now,
            lambda media: line.deadline(media + shift),
            lambda begin, end: _moved(line.absent(begin + shift, end + shift), -shift),
            ask=self._nack,
        )
        line.stats.lost += given_up + elsewhere
        line.stats.recovered_second += elsewhere
        return wanted

    def next_deadline(self) -> float | None:
        """When `poll_rtcp` will have something to do (local time); None when nothing is due."""
        moments = [self._feedback.next_report]
        stream, line = self._stream, self._line
        if stream is not None and (shift := stream.shift) is not None:
            moments.append(stream.repair.next_deadline())
            if self._nack:
                moments.append(stream.overdue.next_deadline(lambda media: line.deadline(media + shift)))
        return min((moment for moment in moments if moment is not None), default=None)

    def goodbye(self, now: float) -> bytes:
        """The last compound packet: report, CNAME and BYE."""
        return self._feedback.goodbye(now)

    def _begin(self, packet: RtpPacket, now: float) -> Stream | None:
        """A fresh stream: at once the first one, later when its second packet confirms it."""
        before, self._doubtful = self._doubtful, None
        if self._stream is not None:
            if before is None or not _succeeds(packet, before[0]):
                self._doubtful = packet, now
                return None
            self._line.stats.restarts += 1
        self._pending.clear()
        self._stream = stream = Stream(packet.ssrc, self.round_trip)
        self._feedback.follow(packet.ssrc, now)
        first = packet if before is None else before[0]
        if self._early is not None and self._early[0] == packet.ssrc:
            _, timestamp, captured = self._early
            stream.capture = (first.timestamp + timestamp_delta(timestamp, first.timestamp), captured)
        self._early = None
        if before is not None:
            self._take(stream, *before)
        return stream

    def _take(self, stream: Stream, packet: RtpPacket, now: float) -> None:
        sequence, media = stream.unwrap(packet.sequence, packet.timestamp, now)
        try:
            units, redundancy = self._contents(stream, packet, sequence, media, now)
        except MalformedError:
            self._line.stats.refused += 1
            return
        self._line.stats.received += 1
        self._active = True
        if self._feedback.next_report is None:
            self._feedback.next_report = now + REPORT_INTERVAL_S / 4
        for unit in units[:-1]:
            self._recover(stream, unit, now)
        fate = self._fate(stream, packet, sequence, media, now)
        in_time = self._lay(stream, units[-1], now)
        if fate is Fate.ANSWER:
            self._line.stats.lost += 1
            self._line.stats.recovered_nack += in_time
        elif fate is Fate.ORIGINAL:
            stream.overdue.beat.note(units[-1].end, now)
            if in_time and stream.shift is not None:
                self._line.schedule.arrival.on_arrival(media + stream.shift, now)
        if sequence == stream.newest and fate is not Fate.COPY:
            stream.overdue.follow(
                sequence,
                units[-1].start,
                units[-1].end,
                self._random(1)[0] / 256,
                pausing=is_dtx(units[-1].frames[-1].data),
                redundancy=redundancy,
            )

    def _fate(self, stream: Stream, packet: RtpPacket, sequence: int, media: int, now: float) -> Fate:
        """How packet `sequence` came. The relay is told what the network lost, whether it was mended or not."""
        known, missing = stream.known(sequence), sequence in stream.repair
        asked = stream.repair.arrived(sequence, now)
        overdue = stream.overdue.arrived(sequence, media)
        if known:
            if overdue is not None and overdue.tries == 1 and self.round_trip.answers(overdue, now):
                self.round_trip.add(now - overdue.first)
            return Fate.COPY
        if asked:
            return Fate.ANSWER
        self._feedback.statistics.on_packet(packet.sequence, packet.timestamp, now)
        if missing:
            return Fate.OVERTAKEN
        late = overdue is not None and self.round_trip.answers(overdue, now)
        return Fate.LATE if late else Fate.ORIGINAL

    def _contents(
        self, stream: Stream, packet: RtpPacket, sequence: int, media: int, now: float
    ) -> tuple[list[Unit], int]:
        """What is new in the packet, redundant blocks first, and how many packets before it repeats.

        Raises MalformedError.
        """
        payload, units, redundancy = packet.payload, [], 0
        if packet.payload_type == self._red_payload_type:
            blocks = red.parse(payload)
            payload = blocks.pop().data
            for age in range(len(blocks), 0, -1):
                block = blocks[-age]
                if not block.data or block.payload_type != self._payload_type:
                    continue
                redundancy = max(redundancy, age)
                if stream.newest >= 0 and not stream.known(sequence - age):
                    frames = take_apart(block.data, media - block.timestamp_offset)
                    units.append(Unit(sequence - age, frames, now, None, False))
        captured = None
        if packet.extension_profile and self._capture_extension:
            value = packet.extension_value(self._capture_extension)
            ntp = rtp.capture_time(value) if value is not None else None
            if ntp:
                captured = rtp.unix_from_ntp(ntp)
                stream.capture = (media, captured)
        units.append(Unit(sequence, take_apart(payload, media), now, captured, packet.marker))
        return units, redundancy

    def _recover(self, stream: Stream, unit: Unit, now: float) -> None:
        """A packet that did not come, but whose content a later one repeats."""
        if self._lay(stream, unit, now):
            stream.repair.resolve(unit.sequence)
            self._line.stats.lost += 1
            self._line.stats.recovered_red += 1

    def _lay(self, stream: Stream, unit: Unit, now: float) -> bool:
        """Put the content of a packet in its place, or keep it until that is known; False when it is too late."""
        given_up, pauses = stream.note(unit.sequence, unit.start, unit.end, now)
        self._line.stats.lost += given_up
        if stream.shift is None:
            self._pending.append(unit)
            self._search(stream, now)
            return True
        for begin, end in pauses:
            self._line.buffer.pause(begin + stream.shift, end + stream.shift)
        return self._place(stream, stream.shift, unit, now)

    def _place(self, stream: Stream, shift: int, unit: Unit, now: float) -> bool:
        line, in_time = self._line, False
        for frame in unit.frames:
            outcome = line.insert(self.name, frame.moved(shift), now)
            in_time = in_time or outcome is not Insertion.LATE
        if unit.captured is not None:
            self._state(stream, shift, unit.start, unit.captured, now, splice=unit.splice)
        if line.misplaced and line.misplaced == self.name:
            stream.shift, line.misplaced = None, None
        return in_time

    def _search(self, stream: Stream, now: float) -> None:
        """Look for the place of the stream among what is there; then lay down what has waited for it."""
        if now < self._search_at:
            return
        self._search_at = now + SEARCH_INTERVAL_S
        alone = self._line.alone(self.name, now)
        shift = self._line.find(self.name, stream, self._pending, now)
        if shift is None:
            return
        stream.shift = shift
        stream.stated = not alone
        if stream.capture is not None:
            media, captured = stream.capture
            self._state(stream, shift, media, captured, now, splice=False)
        waiting, end = list(self._pending), None
        self._pending.clear()
        for unit in waiting:
            if end is not None and end[0] + 1 == unit.sequence:
                self._line.buffer.pause(end[1] + shift, unit.start + shift)
            self._place(stream, shift, unit, now)
            self._line.schedule.arrival.on_arrival(unit.start + shift, unit.at)
            end = unit.sequence, unit.end

    def _state(
        self, stream: Stream, shift: int, media: int, captured: float, now: float, *, splice: bool
    ) -> None:
        self._line.state(self.name, media + shift, captured, now, splice=splice or not stream.stated)
        stream.stated = True

    def _on_sender_report(self, report: rtcp.SenderReport, now: float) -> None:
        """A sender report ties its stream's clock to the relay's (RFC 3550 §6.4.1)."""
        if not report.ntp:
            return
        captured, stream = rtp.unix_from_ntp(report.ntp), self._stream
        if stream is None or report.ssrc != stream.ssrc:
            self._early = report.ssrc, report.rtp_timestamp, captured
            return
        self._feedback.statistics.on_sender_report(report.ntp, now)
        media = stream.media_time(report.rtp_timestamp, now)
        stream.capture = media, captured
        if stream.shift is not None:
            self._state(stream, stream.shift, media, captured, now, splice=False)


def _moved(position: int | None, shift: int) -> int | None:
    return None if position is None else position + shift


def _succeeds(packet: RtpPacket, before: RtpPacket) -> bool:
    """Whether two packets follow one another in one stream."""
    return (
        packet.ssrc == before.ssrc
        and packet.sequence == before.sequence + 1 & 0xFFFF
        and 0 < timestamp_delta(packet.timestamp, before.timestamp) <= SUCCESSOR_SAMPLES
    )
