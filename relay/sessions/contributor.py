"""A publisher of a mixed channel: one of several, whose packets go to the mixer and not to the channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from loacodecs import rtp
from relay.channels.ingest import Ingest
from relay.net.fanout import Packet
from relay.sessions.publisher import Publisher
from relay.sessions.session import Session


class PacketSink(Protocol):
    """Takes the packets of one source; never blocks, never raises."""

    def push(self, ssrc: int, sequence: int, timestamp: int, payload: bytes, now: float) -> None:
        """An Opus packet came at `now` (monotonic seconds)."""
        ...


class Contributor(Publisher):
    """Publishes to `sink`. `on_sound` is called with the first packet, `on_end` when the session has ended."""

    def __init__(
        self, session: Session, ingest: Ingest, payload_type: int, sink: PacketSink, *,
        on_sound: Callable[[float], None], on_end: Callable[[], None],
    ) -> None:  # fmt: skip
        super().__init__(session, ingest, payload_type)
        self._sink = sink
        self._on_sound: Callable[[float], None] | None = on_sound
        self._on_end = on_end

    @property
    def heard(self) -> bool:
        """What it sends always goes to the mix."""
        return True

    def take(self, now: float) -> None:
        """The channel belongs to the mixer."""

    def release(self) -> None:
        """Leave the mix."""
        super().release()
        self._on_end()

    def _take_in(self, packet: rtp.RtpPacket, now: float, arrival: float) -> Packet | None:
        if packet.payload and self.ingest.accept(packet, now):
            if self._on_sound is not None:
                on_sound, self._on_sound = self._on_sound, None
                on_sound(now)
            self._sink.push(packet.ssrc, packet.sequence, packet.timestamp, packet.payload, now)
        return None
