"""A bus as the source of a channel, in the media thread: what a publisher would be, without a network between."""

from __future__ import annotations

from typing import Final

from loacodecs import rtp
from relay.channels.channel import Channel
from relay.channels.ingest import Ingest
from relay.live.encoding import FRAME, Encoded
from relay.net.fanout import Packet

_CAPTURE_ID: Final = 1


class Programme:
    """Feeds `channel`; its sample clock is the number of the tick, so pauses stay pauses. Packets name their capture
    time, since nobody else knows it: the tick's, less the fixed delay of mixing."""

    def __init__(self, channel: Channel, ssrc: int) -> None:
        self.channel = channel
        self.closed = False
        self._ssrc = ssrc
        self._sequence = 0
        self._ingest = Ingest(nack=False, capture_id=_CAPTURE_ID)

    def packet(self, encoded: Encoded, now: float) -> Packet | None:
        """The channel's packet for an encoded one; None when the channel does not take it."""
        if self.closed:
            return None
        ntp = rtp.ntp_from_unix(encoded.captured)
        profile, extension = rtp.pack_extension([(_CAPTURE_ID, rtp.pack_capture_time(ntp))])
        packet = rtp.RtpPacket(
            0,
            encoded.marker,
            self._sequence & 0xFFFF,
            encoded.number * FRAME & 0xFFFF_FFFF,
            self._ssrc,
            encoded.payload,
            profile,
            extension,
        )
        self._sequence += 1
        return self.channel.on_packet(self, self._ingest, packet, now, encoded.captured)
