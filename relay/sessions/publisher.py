"""A source that sends RTP: a WHIP publisher, or the relay upstream that a channel is pulled from."""

from __future__ import annotations

from collections import Counter

from loacodecs import rtcp, rtp
from loacodecs.errors import MalformedError
from relay.channels.ingest import Ingest
from relay.net.fanout import Packet
from relay.sessions.session import Session


class Publisher:
    """The receiving half of a session that feeds a channel.

    `payload_type` is the negotiated Opus one; anything else is refused. `preempts` makes the first packet take the
    channel from whoever is on air. `carries_clock` says
    that the source's sender reports name the wall clock the channel's capture times are meant in (another
    relay).
    """

    def __init__(
        self,
        session: Session,
        ingest: Ingest,
        payload_type: int,
        *,
        preempts: bool = False,
        carries_clock: bool = False,
    ) -> None:
        self.session = session
        self.ingest = ingest
        self.preempts = preempts
        self.refused: Counter[str] = Counter()
        self.payload_type = payload_type
        self._carries_clock = carries_clock

    @property
    def heard(self) -> bool:
        """Whether the channel is its own: publish pages say "on air" as long as reports come."""
        return self.session.channel.source is self

    def on_rtp(self, data: bytes, now: float, arrival: float) -> Packet | None:
        """The channel's packet for a decrypted RTP packet, or None."""
        packet = self._read(data)
        return None if packet is None else self._take_in(packet, now, arrival)

    def on_rtcp(self, packets: list[rtcp.Packet], now: float) -> None:
        """Take sender reports."""
        for packet in packets:
            if isinstance(packet, rtcp.SenderReport):
                self.ingest.statistics.on_sender_report(packet.ntp, now)
                if self._carries_clock and packet.ntp:
                    captured = rtp.unix_from_ntp(packet.ntp)
                    self.session.channel.on_sender_report(self, packet.ssrc, packet.rtp_timestamp, captured)

    def on_timer(self, now: float) -> None:
        """Send what is due to the source, if it is heard: receiver reports, requests for retransmission."""
        due = self.ingest.due(now)
        if due is not None and self.heard:
            self.session.peer.send_rtcp(due)

    def take(self, now: float) -> None:
        """Become the channel's source."""
        self.session.channel.take(self, now)

    def release(self) -> None:
        """Leave the channel to the next source."""
        self.session.channel.release(self, self.ingest)

    def _take_in(self, packet: rtp.RtpPacket, now: float, arrival: float) -> Packet | None:
        return self.session.channel.on_packet(self, self.ingest, packet, now, arrival)

    def _read(self, data: bytes) -> rtp.RtpPacket | None:
        try:
            packet = rtp.parse(data)
        except MalformedError:
            self._refuse("malformed")
            return None
        if packet.payload_type != self.payload_type:
            self._refuse("payload_type")
            return None
        return packet

    def _refuse(self, reason: str) -> None:
        self.refused[reason] += 1
