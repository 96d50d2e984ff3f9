"""A listener: a row in the fan-out table, its receiver reports and its requests for retransmission."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from loacodecs import rtcp, srtp
from relay.channels.channel import Channel
from relay.net.fanout import FanoutEngine, FanoutTable, Packet, Row, row_secrets
from relay.sessions.session import Session

FIRST_SEQUENCE = 0x1000
"""Rows start between here and four times here: in the lower half of the range, so that the first wrap is far
(RFC 3711 §3.3.1), and above zero, so that a late packet from before the join does not wrap backwards."""

RETRANSMIT_RATE = 100.0
RETRANSMIT_BURST = 100.0
"""Retransmissions a second for one listener: twice a 20 ms stream; more would only deepen the congestion
that lost them."""

CLOCK_RATE = 48_000


@dataclass(slots=True)
class ListenerQuality:
    """What the listener's newest receiver report says (RFC 3550 §6.4.2)."""

    fraction_lost: float = 0.0
    packets_lost: int = 0
    jitter_s: float = 0.0


class Listener:
    """The sending half of a WHEP session. The row exists from the end of DTLS to the end of the session."""

    def __init__(self, session: Session, payload_type: int, ssrc: int, capture_extension: int) -> None:
        self.session = session
        self.ssrc = ssrc
        self.quality = ListenerQuality()
        self.row: int | None = None
        self._payload_type = payload_type
        self._capture_extension = capture_extension
        self._offset = 0
        self._first = 0
        self._budget = RETRANSMIT_BURST
        self._budget_at = 0.0

    def start(self, table: FanoutTable, keys: srtp.Keys, fd: int, address: bytes) -> int:
        """Add the listener's row and let it hear the channel from the next packet on; returns the row.

        Raises IndexError when the table is full.
        """
        channel = self.session.channel
        self._first = channel.timeline.sequence + 1
        start = FIRST_SEQUENCE + secrets.randbelow(3 * FIRST_SEQUENCE)
        self._offset = start - self._first
        row = table.add(
            Row(
                rtp=row_secrets(keys, self.ssrc),
                rtcp=srtp.Sender(keys, self.ssrc),
                fd=fd,
                address=address,
                ssrc=self.ssrc,
                payload_type=self._payload_type,
                sequence_offset=self._offset,
                timestamp_offset=secrets.randbits(32),
                capture_extension=self._capture_extension,
            )
        )
        channel.group.add(row)
        self.row = row
        return row

    def stop(self, table: FanoutTable) -> None:
        """Take the row out, if there is one."""
        if self.row is not None:
            self.session.channel.group.discard(self.row)
            table.remove(self.row)
            self.row = None

    def on_rtcp(self, packets: list[rtcp.Packet], engine: FanoutEngine, now: float) -> None:
        """Take receiver reports and answer NACKs, within the listener's budget."""
        for packet in packets:
            if isinstance(packet, rtcp.Nack):
                self._retransmit(packet.lost, engine, now)
            elif isinstance(packet, rtcp.ReceiverReport | rtcp.SenderReport):
                for report in packet.reports:
                    if report.ssrc == self.ssrc:
                        self.note(report.fraction_lost, report.packets_lost, report.jitter)

    def note(self, fraction_lost: int, packets_lost: int, jitter: int) -> None:
        """A reception report on the row, in its own units: 1/256, packets, timestamp units."""
        self.quality = ListenerQuality(fraction_lost / 256, packets_lost, jitter / CLOCK_RATE)

    def _retransmit(self, lost: tuple[int, ...], engine: FanoutEngine, now: float) -> None:
        channel = self.session.channel
        self._budget = min(RETRANSMIT_BURST, self._budget + (now - self._budget_at) * RETRANSMIT_RATE)
        self._budget_at = now
        for sequence in lost:
            channel.nacks_received += 1
            packet = self._remembered(channel, sequence)
            if packet is None or self.row is None or self._budget < 1:
                channel.nacks_refused += 1
                continue
            self._budget -= 1
            channel.retransmitted += engine.send_row(self.row, packet).sent

    def _remembered(self, channel: Channel, sequence: int) -> Packet | None:
        extended = channel.extend((sequence - self._offset) & 0xFFFF)
        return channel.history.get(extended) if extended >= self._first else None
