"""A listener: a row in the fan-out table, its receiver reports and its requests for retransmission."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from loacodecs import rtcp, srtp
from loacodecs.rtp import timestamp_delta
from relay.channels.adaptive import AdaptiveRedundancy
from relay.channels.renditions import PLAIN, RECALLED, Form, Rendition
from relay.net.fanout import FanoutEngine, FanoutTable, Packet, Row, row_secrets
from relay.ratelimit import Bucket
from relay.sessions.clock_answers import ClockAnswers
from relay.sessions.repairs import Repairs
from relay.sessions.session import Session

FIRST_SEQUENCE = 0x1000
"""Rows start between here and four times here: in the lower half of the range, so that the first wrap is far
(RFC 3711 §3.3.1), and above zero, so that a late packet from before the join does not wrap backwards."""

RETRANSMISSIONS = 100
"""Packets sent again in a second for one listener: twice a 20 ms stream."""

RTCP_A_SECOND, RTCP_AT_ONCE = 50.0, 100.0
"""Datagrams of requests and questions that are read of one listener: each may cost a millisecond, and who joins waits
behind them. What compiled code reads, reports alone, does not count."""

CLOCK_RATE = 48_000

# Packets of before a change of redundancy: 1.3 s of 20 ms, longer than a receiver has use for one.
_KEPT = 64


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed with a listener: payload types, id of abs-capture-time (0: none), form of its packets.

    With `redundancy_most` its reports decide on the redundancy, up to so much; it must have taken RED then. What
    was captured in the last `recent_ms` milliseconds before it came is sent first. With `clock` it is told the time
    when it asks (RFC 3611).
    """

    opus: int
    red: int | None = None
    capture_extension: int = 0
    form: Form = PLAIN
    redundancy_most: int = 0
    recent_ms: int = 0
    clock: bool = False


@dataclass(slots=True)
class ListenerQuality:
    """What the listener's newest receiver report says (RFC 3550 §6.4.2)."""

    fraction_lost: float = 0.0
    packets_lost: int = 0
    jitter_s: float = 0.0


class Listener:
    """The sending half of a WHEP session. The row exists from the end of DTLS to the end of the session."""

    def __init__(
        self, session: Session, ssrc: int, terms: Terms, *, retransmissions: float = RETRANSMISSIONS
    ) -> None:
        self.session = session
        self.ssrc = ssrc
        self.quality = ListenerQuality()
        self.row: int | None = None
        self.rendition: Rendition | None = None
        """What the row hears."""
        self.adaptive: AdaptiveRedundancy | None = None
        """Decides on the redundancy, if the reports are to decide."""
        if terms.redundancy_most:
            self.adaptive = AdaptiveRedundancy(terms.redundancy_most, terms.form.redundancy)
        self.clock = ClockAnswers() if terms.clock else None
        """What it may ask the time; None if that was not agreed."""
        self.reading = Bucket(rate=RTCP_A_SECOND, burst=RTCP_AT_ONCE, now=session.created)
        """How much of its RTCP is read."""
        self._terms = terms
        self._offset = 0
        self._first = 0
        self._before: dict[int, tuple[Packet, int]] = {}
        self._repairs = Repairs(retransmissions)

    def start(self, table: FanoutTable, keys: srtp.Keys, fd: int, address: bytes, now: float) -> int:
        """Add the listener's row and let it hear its rendition from the next packet on; returns the row.

        Raises IndexError when the table is full.
        """
        channel, form = self.session.channel, self._terms.form
        recall = self._terms.recent_ms > 0 and channel.on_air(now)
        rendition = channel.renditions.open(form, now if recall else None)
        self._first = rendition.stream.newest + 1
        start = FIRST_SEQUENCE + secrets.randbelow(3 * FIRST_SEQUENCE)
        self._offset = start - self._first
        row = table.add(
            Row(
                rtp=row_secrets(keys, self.ssrc),
                rtcp=srtp.Sender(keys, self.ssrc),
                fd=fd,
                address=address,
                ssrc=self.ssrc,
                payload_type=self._payload_type(rendition.form),
                sequence_offset=self._offset,
                timestamp_offset=secrets.randbits(32),
                capture_extension=self._terms.capture_extension,
            )
        )
        rendition.group.add(row)
        self.row, self.rendition = row, rendition
        return row

    def recall(self, engine: FanoutEngine, now: float) -> None:
        """Send what was captured just before the listener came, if it wants that and it is remembered.

        A receiver that plays with a constant delay still has the time for it: it is heard so much sooner. Under
        these numbers nothing was sent to the row before, so a nonce serves one plaintext here, too.
        """
        channel, rendition = self.session.channel, self.rendition
        if self.row is None or rendition is None or not self._terms.recent_ms or not channel.on_air(now):
            return
        newest = rendition.stream.newest
        found = [rendition.history.get(number) for number in range(max(0, newest - RECALLED + 1), newest + 1)]
        held = [packet for packet in found if packet is not None]
        reach = self._terms.recent_ms * CLOCK_RATE // 1_000
        recent = [one for one in held if timestamp_delta(held[-1].timestamp, one.timestamp) < reach]
        if recent:
            self._first = recent[0].sequence
        for packet in recent:
            channel.sent[str(rendition.form)] += engine.send_row(self.row, packet).sent

    def stop(self, table: FanoutTable) -> None:
        """Take the row out, if there is one."""
        if self.row is not None and self.rendition is not None:
            self.rendition.group.discard(self.row)
            self.session.channel.renditions.close(self.rendition)
            table.remove(self.row)
            self.row = self.rendition = None

    def repeat(self, redundancy: int, table: FanoutTable) -> bool:
        """Hear the rendition that repeats so many packets, from the next packet on; whether that is another one.

        The stream and with it the row's numbers stay. What was sent until now is sent again as it was: under its
        numbers the new rendition has other octets, and a nonce serves one plaintext (RFC 7714 §8.1).
        """
        old = self.rendition
        if self.row is None or old is None or old.form.redundancy == redundancy:
            return False
        form = replace(old.form, redundancy=redundancy, opus=self._terms.opus if redundancy else 0)
        new = self.session.channel.renditions.open(form)
        if new is old:
            return False
        self._keep(old)
        old.group.discard(self.row)
        new.group.add(self.row)
        table.set_payload_type(self.row, self._payload_type(new.form))
        self._first = new.stream.newest + 1
        self.rendition = new
        self.session.channel.renditions.close(old)
        return True

    def _keep(self, old: Rendition) -> None:
        """Keep what the row was sent until now, `_KEPT` packets at most, with the payload type of each.

        What `old` gets later it was not sent, though it may have a number from before.
        """
        newest, payload_type = old.stream.newest, self._payload_type(old.form)
        kept = {number: was for number, was in self._before.items() if number > newest - _KEPT}
        for number in range(max(self._first, newest - _KEPT + 1), newest + 1):
            packet = old.history.get(number)
            if packet is not None:
                kept[number] = packet, payload_type
        self._before = kept

    def on_rtcp(self, packets: list[rtcp.Packet], engine: FanoutEngine, now: float, ntp: int) -> None:
        """Take receiver reports and answer NACKs; it is `now` (monotonic) and `ntp` (Q32.32).

        Of what one datagram asks for, the first `rtcp.NACK_MAX` packets are looked at.
        """
        asked = [number for packet in packets if isinstance(packet, rtcp.Nack) for number in packet.lost]
        if asked:
            self._retransmit(asked, engine, now)
        for packet in packets:
            if isinstance(packet, rtcp.ReceiverReport | rtcp.SenderReport):
                for report in packet.reports:
                    if report.ssrc == self.ssrc:
                        self.note(report.fraction_lost, report.packets_lost, report.jitter)
                        round_trip = report.round_trip(ntp)
                        if round_trip is not None:
                            self._repairs.note_round_trip(round_trip)

    def note(self, fraction_lost: int, packets_lost: int, jitter: int) -> None:
        """A reception report on the row, in its own units: 1/256, packets, timestamp units."""
        self.quality = ListenerQuality(fraction_lost / 256, packets_lost, jitter / CLOCK_RATE)

    def _payload_type(self, form: Form) -> int:
        terms = self._terms
        return terms.red if form.redundancy and terms.red is not None else terms.opus

    def _retransmit(self, lost: list[int], engine: FanoutEngine, now: float) -> None:
        channel = self.session.channel
        channel.nacks_received += len(lost)
        channel.nacks_refused += max(0, len(lost) - rtcp.NACK_MAX)
        for sequence in lost[: rtcp.NACK_MAX]:
            was = self._remembered(sequence)
            if self.row is None or was is None or not self._repairs.take(was[0].sequence, now):
                channel.nacks_refused += 1
                continue
            channel.retransmitted += engine.send_row(self.row, *was).sent

    def _remembered(self, sequence: int) -> tuple[Packet, int] | None:
        """What the row was sent under a 16-bit sequence number of its own, and as which payload type.

        None when that cannot be said.
        """
        if self.rendition is None:
            return None
        extended = self.rendition.stream.extend((sequence - self._offset) & 0xFFFF)
        if extended < self._first:
            return self._before.get(extended)
        if self._before and extended >= self._first + _KEPT:
            self._before = {}  # nobody has use for them any more
        packet = self.rendition.history.get(extended)
        return None if packet is None else (packet, self._payload_type(self.rendition.form))
